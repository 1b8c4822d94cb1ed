//! Adapts what is stored about rows to a table whose key, or the types of its columns, are others now: after a migration,
//! or with another option `primaryKey`. Changes would be sent to other rows otherwise, and unchanged rows would look as
//! if they had been deleted.

use super::{change::ChangeReason, waiting::reject};
use crate::{
    collections::Map,
    error::Result,
    sqlite::Connection,
    sync::{
        schema::table::{LocalTable, key_condition},
        state::progress,
        values::{
            encode::{decode_key, decode_row, key_parameters, quote, row_sql},
            json,
        },
    },
    value::Value,
};

/// The key of a change whose row has none that is known; such a change can only be discarded.
pub const UNKNOWN_KEY: &str = "[]";

/// Adapts the changes of a table, and the keys that it is known to have, to its present key and types.
pub fn adapt(connection: &Connection, registered: &str, table: &LocalTable, key: &[String]) -> Result<()> {
    let list = |names: &[String]| Value::from(json::string_array(names.iter().map(String::as_str)));
    let types: Vec<String> =
        table.columns.iter().map(|column| format!("{} {}", column.affinity.as_str(), column.name)).collect();
    let now = [Value::from(registered), list(key), list(&types)];
    let stored = connection.rows("SELECT keyed_by, types FROM tidelock_tables WHERE tbl = ?1", &now[..1])?;
    let Some(stored) = stored.into_iter().next().filter(|stored| stored[..] != now[1..]) else { return Ok(()) };
    connection.atomically(|connection| {
        if let (Some(before), Some(types_before)) = (stored[0].as_text(), stored[1].as_text()) {
            let before = json::parse_string_array(before).unwrap_or_default();
            let types_before = json::parse_string_array(types_before).unwrap_or_default();
            let same_types = key.iter().all(|name| {
                let of = |types: &[String]| {
                    types.iter().find(|text| text.split_once(' ').is_some_and(|(_, is)| is == name)).cloned()
                };
                of(&types) == of(&types_before)
            });
            let adapted = Adapted { connection, registered, table, key, before: &before };
            adapted.bases()?;
            if before != key || !same_types {
                adapted.changes()?;
                adapted.known()?;
            }
        }
        connection.run("UPDATE tidelock_tables SET keyed_by = ?2, types = ?3 WHERE tbl = ?1", &now).map(drop)
    })
}

/// A table with its present key, and the columns of the key before.
struct Adapted<'a> {
    connection: &'a Connection,
    registered: &'a str,
    table: &'a LocalTable,
    key: &'a [String],
    before: &'a [String],
}

impl Adapted<'_> {
    /// Converts the bases of changes to the present types.
    fn bases(&self) -> Result<()> {
        let entries = self.rows("SELECT id, base FROM tidelock_outbox WHERE tbl = ?1 AND base IS NOT NULL")?;
        for entry in entries {
            let mut row = decode_row(entry[1].as_text().unwrap_or_default());
            for (name, value) in &mut row {
                *value = self.typed(name, std::mem::take(value))?;
            }
            let members = row.iter().enumerate().map(|(at, (name, _))| (name.as_str(), format!("?{}", at + 2)));
            let sql = format!("UPDATE tidelock_outbox SET base = {} WHERE id = ?1", row_sql(members));
            let values = entry[..1].iter().cloned().chain(row.iter().map(|(_, value)| value.clone()));
            self.connection.run(&sql, &values.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// Gives each change the present key of its row. A change whose row has none that is known is rejected.
    fn changes(&self) -> Result<()> {
        let sql = "SELECT id, key, op, base FROM tidelock_outbox WHERE tbl = ?1 ORDER BY id";
        for entry in self.rows(sql)? {
            let id = entry[0].as_integer().unwrap_or_default();
            let old = decode_key(entry[1].as_text().unwrap_or_default());
            let base = entry[3].as_text().map(decode_row);
            match self.key_of(&old, base.map(|base| base.into_iter().collect()))? {
                Some(key) => {
                    let sql = format!(
                        "UPDATE OR IGNORE tidelock_outbox SET key = {} WHERE id = ?1",
                        key_parameters(key.len(), 2)
                    );
                    self.connection.run(&sql, &[&entry[..1], &key[..]].concat())?;
                }
                None => {
                    let text = |names: &[String]| names.join(", ");
                    let why = format!(
                        "The key of table {} was {} and is {} now, which isn't known of this row",
                        self.registered,
                        text(self.before),
                        text(self.key)
                    );
                    reject(self.connection, id, ChangeReason::Schema, &why)?;
                    let sql = "UPDATE tidelock_outbox SET key = ?2 WHERE id = ?1";
                    self.connection.run(sql, &[Value::Integer(id), Value::from(UNKNOWN_KEY)])?;
                }
            }
        }
        Ok(())
    }

    /// Returns the present key of a row whose key was `old`; `base` is the row before its change.
    fn key_of(&self, old: &[Value], base: Option<Map<String, Value>>) -> Result<Option<Vec<Value>>> {
        let is_renamed = self.before.len() == self.key.len()
            && (self.before == self.key || self.before.iter().any(|name| self.table.column(name).is_none()));
        if is_renamed {
            let typed = self.key.iter().zip(old).map(|(name, value)| self.typed(name, value.clone()));
            return typed.collect::<Result<_>>().map(Some);
        }
        let there = self.find(old)?;
        // The remote knows the row by what it was before the change.
        let known =
            base.and_then(|base| self.key.iter().map(|name| base.get(name).cloned()).collect::<Option<Vec<_>>>());
        Ok(match (there, known) {
            (Some(there), Some(known)) if there != known => None,
            (there, known) => known.or(there),
        })
    }

    /// Returns the present key of the local row with the old key, if both keys are still in the table.
    fn find(&self, old: &[Value]) -> Result<Option<Vec<Value>>> {
        if old.len() != self.before.len() || self.before.iter().any(|name| self.table.column(name).is_none()) {
            return Ok(None);
        }
        let columns: Vec<String> = self.key.iter().map(|name| quote(name)).collect();
        let (columns, table) = (columns.join(", "), quote(&self.table.name));
        let sql = format!("SELECT {columns} FROM main.{table} WHERE {}", key_condition(self.before, 1));
        Ok(self.connection.rows(&sql, old)?.into_iter().next())
    }

    /// Gives the keys that the remote was seen to have their present form, and forgets what else is about keys: the next pull
    /// reads the table from the beginning.
    fn known(&self) -> Result<()> {
        for known in self.rows("SELECT tbl, key, outside FROM tidelock_known WHERE tbl = ?1")? {
            let key = self.key_of(&decode_key(known[1].as_text().unwrap_or_default()), None)?;
            self.connection.run("DELETE FROM tidelock_known WHERE tbl = ?1 AND key = ?2", &known[..2])?;
            let Some(key) = key else { continue };
            let encoded = key_parameters(key.len(), 3);
            let sql = format!("INSERT OR IGNORE INTO tidelock_known(tbl, key, outside) VALUES (?1, {encoded}, ?2)");
            self.connection.run(&sql, &[&[known[0].clone(), known[2].clone()], &key[..]].concat())?;
        }
        for table in ["tidelock_staged", "tidelock_late"] {
            self.connection.run(&format!("DELETE FROM {table} WHERE tbl = ?1"), &[Value::from(self.registered)])?;
        }
        progress::read_whole_next(self.connection, &Value::from(self.registered))
    }

    fn rows(&self, sql: &str) -> Result<Vec<Vec<Value>>> {
        self.connection.rows(sql, &[Value::from(self.registered)])
    }

    /// Returns a value as a column stores it now.
    fn typed(&self, name: &str, value: Value) -> Result<Value> {
        let Some(cast) = self.table.column(name).and_then(|column| column.affinity.converts(&value)) else {
            return Ok(value);
        };
        let converted = self.connection.value(&format!("SELECT CAST(?1 AS {cast})"), &[value])?;
        Ok(converted.unwrap_or_default())
    }
}

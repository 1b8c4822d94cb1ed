//! Adapts what is stored about rows to a table whose key, or the types of its columns, are others now: after a migration,
//! or with another option `primaryKey`. Changes would be sent to other rows otherwise, and unchanged rows would look as
//! if they had been deleted.

use super::waiting::reject_without_key;
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
            adapted.stored_rows()?;
            if before != key || !same_types {
                adapted.changes()?;
                for stored in ["tidelock_known", "tidelock_staged"] {
                    adapted.keys_of(stored)?;
                }
                adapted.forget()?;
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
    /// Converts the stored rows to the present types.
    fn stored_rows(&self) -> Result<()> {
        for (table, column) in [
            ("tidelock_outbox", "base"),
            ("tidelock_outbox", "sent"),
            ("tidelock_late", "sent"),
            ("tidelock_staged", "row"),
        ] {
            let entries =
                self.rows(&format!("SELECT rowid, {column} FROM {table} WHERE tbl = ?1 AND {column} <> ''"))?;
            for entry in entries {
                let mut row = decode_row(entry[1].as_text().unwrap_or_default());
                for (name, value) in &mut row {
                    *value = self.typed(name, std::mem::take(value))?;
                }
                let members = row.iter().enumerate().map(|(at, (name, _))| (name.as_str(), format!("?{}", at + 2)));
                let sql = format!("UPDATE OR REPLACE {table} SET {column} = {} WHERE rowid = ?1", row_sql(members));
                let values = entry[..1].iter().cloned().chain(row.iter().map(|(_, value)| value.clone()));
                self.connection.run(&sql, &values.collect::<Vec<_>>())?;
            }
        }
        Ok(())
    }

    /// Gives each change the present key of its row. A change whose row has none that is known is rejected.
    fn changes(&self) -> Result<()> {
        let mut keys = Vec::new();
        // A row that was deleted here since isn't missing.
        let sql = "SELECT id, key, base, op <> 'delete' AND state <> 'restored' AND NOT EXISTS (\
                SELECT 1 FROM tidelock_outbox d WHERE d.tbl = o.tbl AND d.key = o.key AND d.op = 'delete') \
            FROM tidelock_outbox o WHERE tbl = ?1 ORDER BY id";
        for entry in self.rows(sql)? {
            let mut key = self.key_of(&entry[1], entry[2].as_text())?;
            // The migration may have given the rows other keys.
            if let Some(found) = key.as_ref().filter(|_| entry[3] == Value::Integer(1))
                && !self.is_here(found)?
            {
                key = None;
            }
            keys.push((entry[0].clone(), key));
        }
        // Rows may have exchanged their keys.
        let name = Value::from(self.registered);
        self.connection.run("UPDATE tidelock_outbox SET key = 'change ' || id WHERE tbl = ?1", &[name])?;
        for (id, key) in keys {
            let moved = key.map(|key| {
                let sql = format!(
                    "UPDATE OR IGNORE tidelock_outbox SET key = {} WHERE id = ?1",
                    key_parameters(key.len(), 2)
                );
                self.connection.run(&sql, &[std::slice::from_ref(&id), &key[..]].concat())
            });
            if moved.transpose()?.is_none_or(|moved| moved == 0) {
                let (table, was, is) = (self.registered, self.before.join(", "), self.key.join(", "));
                let why = match was == is {
                    true => {
                        format!("The rows of table {table} have other values of {is} now, and this row's isn't known")
                    }
                    false => {
                        format!("The key of table {table} was {was} and is {is} now, which isn't known of this row")
                    }
                };
                reject_without_key(self.connection, id.as_integer().unwrap_or_default(), &why)?;
            }
        }
        Ok(())
    }

    /// Whether the key has the columns that it had, perhaps under other names or with other types.
    fn has_same_columns(&self) -> bool {
        self.before.len() == self.key.len()
            && (self.before == self.key || self.before.iter().any(|name| self.table.column(name).is_none()))
    }

    /// Returns the present key of a row whose encoded key was `old`; `row` is the row as the remote has it.
    fn key_of(&self, old: &Value, row: Option<&str>) -> Result<Option<Vec<Value>>> {
        let old = decode_key(old.as_text().unwrap_or_default());
        if self.has_same_columns() {
            let typed = self.key.iter().zip(old).map(|(name, value)| self.typed(name, value));
            return typed.collect::<Result<_>>().map(Some);
        }
        let there = self.find(&old)?;
        let row: Option<Map<String, Value>> = row.map(|row| decode_row(row).into_iter().collect());
        // The remote knows the row by what it was before a change.
        let known = row.and_then(|row| self.key.iter().map(|name| row.get(name).cloned()).collect::<Option<Vec<_>>>());
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

    /// Returns whether a row has this key.
    fn is_here(&self, key: &[Value]) -> Result<bool> {
        let sql = format!("SELECT 1 FROM main.{} WHERE {}", quote(&self.table.name), key_condition(self.key, 1));
        Ok(self.connection.value(&sql, key)?.is_some())
    }

    /// Gives the keys in a table of the sync their present form. Its columns are `tbl`, `key`, and others.
    fn keys_of(&self, stored: &str) -> Result<()> {
        let rows = self.rows(&format!("SELECT * FROM {stored} WHERE tbl = ?1"))?;
        self.connection.run(&format!("DELETE FROM {stored} WHERE tbl = ?1"), &[Value::from(self.registered)])?;
        for mut row in rows {
            let old = row.remove(1);
            let Some(key) = self.key_of(&old, row[1].as_text())? else { continue };
            let others: String = (2..=row.len()).map(|at| format!(", ?{at}")).collect();
            let encoded = key_parameters(key.len(), row.len() + 1);
            row.extend(key);
            self.connection.run(&format!("INSERT OR IGNORE INTO {stored} VALUES (?1, {encoded}{others})"), &row)?;
        }
        Ok(())
    }

    /// Forgets what else is about keys: the next pull reads the table from the beginning.
    fn forget(&self) -> Result<()> {
        let name = Value::from(self.registered);
        // These are stored by a spelling that is the same for all types.
        if !self.has_same_columns() {
            self.connection.run("DELETE FROM tidelock_late WHERE tbl = ?1", std::slice::from_ref(&name))?;
        }
        progress::read_whole_next(self.connection, &name)
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

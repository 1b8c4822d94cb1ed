//! Adopts the server's spelling of a key.
//!
//! A type of the server may write a key in another form: the uuid `A0EE…` as `a0ee…`, the date `2026-2-1` as
//! `2026-02-01`. A pull would insert such a row a second time. The wire names no types, so two spellings certainly mean
//! the same key only where the server itself has found a row by the key that was sent. There the local row adopts the
//! server's spelling, and so does everything that refers to it.

use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
    sync::{
        schema::table::{LocalTable, key_condition},
        state::tables,
        values::{
            encode::{decode_key, decode_row, key_parameters, key_sql, quote, row_sql},
            same_key,
        },
    },
    value::Value,
};

/// How deep references are followed; the limit also ends cycles.
const MAX_DEPTH: usize = 8;

/// A column, its present value, and its new value.
type ColumnChange = (String, Value, Value);

/// A table of the database.
struct SyncedTable {
    table: LocalTable,
    /// Its name in the outbox.
    name: String,
    /// The key by which it is synced.
    key: Vec<String>,
}

/// The tables in which rows may have to follow a changed key.
pub struct KeyNormalizer(Vec<SyncedTable>);

impl KeyNormalizer {
    /// Reads the schema and the registered keys.
    pub fn new(connection: &Connection) -> Result<Self> {
        let synced = tables::synced(connection)?;
        let mut known = Vec::new();
        for table in LocalTable::all(connection)? {
            let name = &table.name;
            let synced = synced.iter().find(|synced| synced.table.eq_ignore_ascii_case(name));
            let key = synced.and_then(|synced| synced.primary_key.clone()).unwrap_or_else(|| table.primary_key.clone());
            // In the spelling of the table's declaration.
            let key = key.iter().filter_map(|name| Some(table.column(name)?.name.clone())).collect();
            let name = synced.map_or_else(|| name.clone(), |synced| synced.table.clone());
            known.push(SyncedTable { table, name, key });
        }
        Ok(Self(known))
    }

    /// Changes the key of a row from `old` to `new`, inside a transaction in which capture is silent. Merges the row
    /// with one that a pull has inserted under the new key. Returns the tables whose rows changed, or `None` when a
    /// constraint forbids the change; then nothing has changed.
    pub fn run(
        &self,
        connection: &Connection,
        table: &str,
        old: &[Value],
        new: &[Value],
    ) -> Result<Option<Vec<String>>> {
        let Some(table) = self.find(table) else { return Ok(None) };
        let owed = connection.owes_parents();
        let done = connection.atomically(|connection| {
            connection.exec("PRAGMA defer_foreign_keys = ON")?;
            let mut touched = Vec::new();
            self.unite(connection, table, old, new, &mut touched)?;
            if owed || !connection.owes_parents() { Ok(touched) } else { Err(key_in_use()) }
        });
        if connection.in_transaction() {
            // Later statements of this transaction must fail at once again.
            connection.exec("PRAGMA defer_foreign_keys = OFF")?;
        }
        match done {
            Ok(touched) => Ok(Some(touched)),
            Err(error) if connection.is_violation(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Changes the keys of parents to the spelling in which the server has answered that a row refers to them. `sent`
    /// and `answered` have one value per column. Returns the tables whose rows changed.
    pub fn run_parents(
        &self,
        connection: &Connection,
        (table, columns): (&str, &[String]),
        (sent, answered): (&[Value], &[Value]),
    ) -> Result<Vec<String>> {
        let mut touched = Vec::new();
        let Some(child) = self.find(table) else { return Ok(touched) };
        let at = |name: &String| columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        for key in &child.table.foreign_keys {
            let (Some(from), Some(parent)) =
                (key.from.iter().map(at).collect::<Option<Vec<_>>>(), self.find(&key.parent))
            else {
                continue;
            };
            let values = |row: &[Value]| from.iter().map(|at| row[*at].clone()).collect::<Vec<_>>();
            let (old, new) = (values(sent), values(answered));
            let spelled = old != new && old.iter().zip(&new).all(|(old, new)| same_key::same(old, new));
            // Only a parent's whole key, in its order, identifies a row.
            let whole = key.to.len() == parent.key.len()
                && key.to.iter().zip(&parent.key).all(|(to, key)| to.eq_ignore_ascii_case(key));
            if spelled && whole && read(connection, &parent.table, &parent.key, &old)?.is_some() {
                touched.extend(self.run(connection, &key.parent, &old, &new)?.unwrap_or_default());
            }
        }
        Ok(touched)
    }

    fn find(&self, table: &str) -> Option<&SyncedTable> {
        self.0.iter().find(|known| known.table.name.eq_ignore_ascii_case(table))
    }

    fn unite(
        &self,
        connection: &Connection,
        table: &SyncedTable,
        old: &[Value],
        new: &[Value],
        touched: &mut Vec<String>,
    ) -> Result<()> {
        let key = table.key.clone();
        let changes: Vec<ColumnChange> =
            key.iter().zip(old).zip(new).map(|((name, old), new)| (name.clone(), old.clone(), new.clone())).collect();
        let row = read(connection, &table.table, &key, old)?;
        let twin = read(connection, &table.table, &key, new)?;
        match (&row, twin) {
            (Some(row), Some(twin)) => self.absorb(connection, table, (row, old), (twin, new), touched)?,
            (Some(_), None) => {
                update(connection, &table.table.name, &changes)?;
                self.follow(connection, &table.table.name, &changes, touched, 0)?;
            }
            // The row was deleted here. If the pulled row was changed since, it counts as a different row.
            (None, Some(_)) if self.has_pending_change(connection, table, new)? => {
                return drop_change(connection, table, old);
            }
            (None, Some(twin)) => {
                if self.is_parent(connection, table, &twin)? {
                    return Err(key_in_use());
                }
                delete(connection, table, &key, new)?;
            }
            (None, None) => {}
        }
        touched.push(table.table.name.clone());
        // The pending change of the pulled row is now part of this row's change.
        drop_change(connection, table, new)?;
        let spelled = key_parameters(key.len(), 2);
        let parameters = [&[Value::from(table.name.as_str())], old].concat();
        connection.run(&format!("DELETE FROM tidelock_known WHERE tbl = ?1 AND key = {spelled}"), &parameters)?;
        rewrite(connection, table.name.as_str(), &key, &changes)
    }

    /// Merges two rows into the second: it gets the values of the first, except those that were changed in the second.
    fn absorb(
        &self,
        connection: &Connection,
        table: &SyncedTable,
        (row, old): (&[Value], &[Value]),
        (twin, new): (Vec<Value>, &[Value]),
        touched: &mut Vec<String>,
    ) -> Result<()> {
        let key = table.key.clone();
        let name = |at: usize| table.table.columns[at].name.clone();
        let base = self.base(connection, table, new)?;
        let between = |from: &[Value], to: &[Value]| -> Vec<ColumnChange> {
            (0..from.len()).map(|at| (name(at), from[at].clone(), to[at].clone())).collect()
        };
        self.follow(connection, &table.table.name, &between(row, &twin), touched, 0)?;
        // The first row may have referred to itself, so it is read again.
        let Some(row) = read(connection, &table.table, &key, old)? else { return Ok(()) };
        delete(connection, table, &key, old)?;
        let was = |at: usize| base.iter().find(|(known, _)| *known == name(at)).map(|(_, value)| value);
        let stays = |at: usize| key.contains(&name(at)) || was(at).is_some_and(|was| *was != twin[at]);
        let whole: Vec<Value> =
            (0..row.len()).map(|at| if stays(at) { &twin[at] } else { &row[at] }).cloned().collect();
        let set: Vec<String> = (0..whole.len()).map(|at| format!("{} = ?{}", quote(&name(at)), at + 1)).collect();
        let into = quote(&table.table.name);
        let sql = format!("UPDATE main.{into} SET {} WHERE {}", set.join(", "), key_condition(&key, whole.len() + 1));
        connection.run(&sql, &[&whole[..], new].concat())?;
        self.follow(connection, &table.table.name, &between(&twin, &whole), touched, 0)
    }

    /// Returns whether a row has a pending change.
    fn has_pending_change(&self, connection: &Connection, table: &SyncedTable, key: &[Value]) -> Result<bool> {
        let sql = format!("SELECT 1 FROM tidelock_outbox WHERE {}", pending_condition(key));
        let parameters = [&[Value::from(table.name.as_str())], key].concat();
        Ok(connection.value(&sql, &parameters)?.is_some())
    }

    /// Returns the base of the pending change of a pulled row; empty without a pending change.
    fn base(&self, connection: &Connection, table: &SyncedTable, key: &[Value]) -> Result<Vec<(String, Value)>> {
        let sql = format!("SELECT base FROM tidelock_outbox WHERE {}", pending_condition(key));
        let parameters = [&[Value::from(table.name.as_str())], key].concat();
        match connection.value(&sql, &parameters)? {
            None => Ok(Vec::new()),
            Some(Value::Text(base)) => Ok(decode_row(&base)),
            // Both are new rows of the app: only the app can decide about them.
            Some(_) => Err(key_in_use()),
        }
    }

    /// Updates the rows and changes that refer to changed columns of a table.
    fn follow(
        &self,
        connection: &Connection,
        table: &str,
        changes: &[ColumnChange],
        touched: &mut Vec<String>,
        depth: usize,
    ) -> Result<()> {
        for (child, changes) in self.references(table, changes) {
            if update(connection, &child.table.name, &changes)? {
                touched.push(child.table.name.clone());
            }
            rewrite(connection, &child.name, &child.key, &changes)?;
            if depth < MAX_DEPTH {
                self.follow(connection, &child.table.name, &changes, touched, depth + 1)?;
            }
        }
        Ok(())
    }

    /// Returns whether any row refers to a row.
    fn is_parent(&self, connection: &Connection, table: &SyncedTable, row: &[Value]) -> Result<bool> {
        let columns = table.table.columns.iter().zip(row);
        // Any other value, so that it counts as a change.
        let changes: Vec<ColumnChange> =
            columns.map(|(column, value)| (column.name.clone(), value.clone(), Value::Null)).collect();
        for (child, changes) in self.references(&table.table.name, &changes) {
            let names: Vec<String> = changes.iter().map(|(name, ..)| name.clone()).collect();
            let values: Vec<Value> = changes.into_iter().map(|(_, value, _)| value).collect();
            let table = quote(&child.table.name);
            let sql = format!("SELECT 1 FROM main.{table} WHERE {} LIMIT 1", key_condition(&names, 1));
            if connection.value(&sql, &values)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns the tables that refer to these columns, with the changes of their own columns.
    fn references<'a>(&'a self, table: &str, changes: &[ColumnChange]) -> Vec<(&'a SyncedTable, Vec<ColumnChange>)> {
        let mut found = Vec::new();
        for child in &self.0 {
            for key in child.table.foreign_keys.iter().filter(|key| key.parent.eq_ignore_ascii_case(table)) {
                let pairs = key.from.iter().zip(&key.to);
                let own: Vec<ColumnChange> = pairs
                    .filter_map(|(from, to)| {
                        let (_, old, new) = changes.iter().find(|(name, ..)| name.eq_ignore_ascii_case(to))?;
                        Some((from.clone(), old.clone(), new.clone()))
                    })
                    .collect();
                if own.iter().any(|(_, old, new)| old != new) && !own.iter().any(|(_, old, _)| old.is_null()) {
                    found.push((child, own));
                }
            }
        }
        found
    }
}

fn key_in_use() -> Error {
    Error::new(ErrorCode::SqliteConstraint, "Other rows depend on the spelling of a key")
}

/// Returns SQL that is true for the pending change of a key; `?1` is the table, `?2..` are the key's values.
fn pending_condition(key: &[Value]) -> String {
    let key = key_parameters(key.len(), 2);
    format!("tbl = ?1 AND key = {key} AND state = 'pending'")
}

fn drop_change(connection: &Connection, table: &SyncedTable, key: &[Value]) -> Result<()> {
    let parameters = [&[Value::from(table.name.as_str())], key].concat();
    connection.run(&format!("DELETE FROM tidelock_outbox WHERE {}", pending_condition(key)), &parameters).map(drop)
}

fn read(connection: &Connection, table: &LocalTable, key: &[String], values: &[Value]) -> Result<Option<Vec<Value>>> {
    let columns: Vec<String> = table.columns.iter().map(|column| quote(&column.name)).collect();
    let sql = format!("SELECT {} FROM main.{} WHERE {}", columns.join(", "), quote(&table.name), key_condition(key, 1));
    Ok(connection.rows(&sql, values)?.into_iter().next())
}

fn delete(connection: &Connection, table: &SyncedTable, key: &[String], values: &[Value]) -> Result<()> {
    let sql = format!("DELETE FROM main.{} WHERE {}", quote(&table.table.name), key_condition(key, 1));
    connection.run(&sql, values).map(drop)
}

/// Updates the rows that have the old values. Returns whether any row has changed.
fn update(connection: &Connection, table: &str, changes: &[ColumnChange]) -> Result<bool> {
    let names: Vec<String> = changes.iter().map(|(name, ..)| name.clone()).collect();
    let set: Vec<String> =
        names.iter().enumerate().map(|(at, name)| format!("{} = ?{}", quote(name), at + 1)).collect();
    let condition = key_condition(&names, names.len() + 1);
    let mut values: Vec<Value> = changes.iter().map(|(.., new)| new.clone()).collect();
    values.extend(changes.iter().map(|(_, old, _)| old.clone()));
    let sql = format!("UPDATE main.{} SET {} WHERE {condition}", quote(table), set.join(", "));
    Ok(connection.run(&sql, &values)? > 0)
}

/// Rewrites the outbox entries of rows with the old values: their keys, their bases, and what was sent.
fn rewrite(connection: &Connection, table: &str, key: &[String], changes: &[ColumnChange]) -> Result<()> {
    let Some((_, old, _)) = changes.iter().find(|(_, old, new)| old != new) else { return Ok(()) };
    let sql = format!(
        "SELECT id, key, base, sent FROM tidelock_outbox WHERE tbl = ?1 \
         AND (instr(key, {0}) OR instr(base, {0}) OR instr(sent, {0}))",
        format!("substr({0}, 2, length({0}) - 2)", key_sql(["?2"]))
    );
    for entry in connection.rows(&sql, &[Value::from(table), old.clone()])? {
        let values = decode_key(entry[1].as_text().unwrap_or_default());
        let row: Vec<_> = key.iter().cloned().zip(values).collect();
        let spelled: Vec<Value> = changed(&row, changes).into_iter().map(|(_, value)| value).collect();
        let sql = format!("UPDATE tidelock_outbox SET key = {} WHERE id = ?1", key_parameters(spelled.len(), 2));
        connection.run(&sql, &[&entry[..1], &spelled[..]].concat())?;
        for (column, at) in [("base", 2), ("sent", 3)] {
            let Some(row) = entry[at].as_text().map(decode_row) else { continue };
            let row = changed(&row, changes);
            let members = row.iter().enumerate().map(|(at, (name, _))| (name.as_str(), format!("?{}", at + 2)));
            let sql = format!("UPDATE tidelock_outbox SET {column} = {} WHERE id = ?1", row_sql(members));
            let values = row.iter().map(|(_, value)| value.clone());
            connection.run(&sql, &entry[..1].iter().cloned().chain(values).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// Returns a row with the new values, if it has the old ones.
fn changed(row: &[(String, Value)], changes: &[ColumnChange]) -> Vec<(String, Value)> {
    let of = |name: &String| changes.iter().find(|(known, ..)| known.eq_ignore_ascii_case(name));
    let applies = row.iter().all(|(name, value)| of(name).is_none_or(|(_, old, _)| old == value));
    let new = |(name, value): &(String, Value)| {
        let new = of(name).filter(|_| applies).map_or(value, |(.., new)| new);
        (name.clone(), new.clone())
    };
    row.iter().map(new).collect()
}

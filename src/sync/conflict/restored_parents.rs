//! A row of the remote that wins over a local deletion can't be here without its parents: those whose deletions wait to
//! be pushed come back, as the remote had them.

use super::unpushed::Unpushed;
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        outbox::{change::UNKNOWN, waiting::forget},
        schema::table::{LocalTable, key_condition},
        values::encode::{decode_row, key_parameters, quote},
    },
    value::Value,
};

/// How many generations of parents come back; the limit also ends cycles.
const MAX_DEPTH: usize = 8;

impl Unpushed {
    /// Restores the deleted parents of a row, inside a transaction in which capture is silent. A parent that doesn't fit
    /// stays deleted.
    pub(super) fn restore_parents(&self, connection: &Connection, row: &[Value]) -> Result<()> {
        let Some(table) = LocalTable::read(connection, &self.name)? else { return Ok(()) };
        let cells: Vec<(String, Value)> = self.columns.iter().cloned().zip(row.iter().cloned()).collect();
        restore(connection, &table, &cells, MAX_DEPTH, &mut self.restored.borrow_mut())
    }

    /// Returns the tables with restored rows since the last call.
    pub fn take_restored(&self) -> Vec<String> {
        self.restored.take()
    }
}

fn restore(
    connection: &Connection,
    table: &LocalTable,
    row: &[(String, Value)],
    depth: usize,
    restored: &mut Vec<String>,
) -> Result<()> {
    for key in table.foreign_keys.iter().filter(|_| depth > 0) {
        let cell = |name: &String| row.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let values: Option<Vec<Value>> = key.from.iter().map(|name| Some(cell(name)?.1.clone())).collect();
        let Some(values) = values.filter(|values| values.iter().all(|value| !value.is_null())) else { continue };
        let Some(parent) = LocalTable::read(connection, &key.parent)? else { continue };
        let exists = format!("SELECT 1 FROM main.{} WHERE {}", quote(&parent.name), key_condition(&key.to, 1));
        if connection.value(&exists, &values)?.is_some() {
            continue;
        }
        let deletion = format!(
            "SELECT id, base FROM tidelock_outbox WHERE tbl = ?1 COLLATE NOCASE AND key = {} \
             AND state = 'pending' AND op = 'delete' AND base IS NOT NULL",
            key_parameters(values.len(), 2)
        );
        let parameters = [&[Value::from(&*parent.name)], &values[..]].concat();
        let Some(entry) = connection.rows(&deletion, &parameters)?.into_iter().next() else { continue };
        let cells = decode_row(entry[1].as_text().unwrap_or_default());
        let cells: Vec<_> = cells.into_iter().filter(|(name, _)| parent.column(name).is_some()).collect();
        if cells.is_empty() || cells.iter().any(|(_, value)| *value == UNKNOWN) {
            continue;
        }
        restore(connection, &parent, &cells, depth - 1, restored)?;
        let (names, values): (Vec<String>, Vec<Value>) =
            cells.into_iter().map(|(name, value)| (quote(&name), value)).unzip();
        let insert = format!(
            "INSERT INTO main.{}({}) VALUES ({})",
            quote(&parent.name),
            names.join(", "),
            vec!["?"; names.len()].join(", ")
        );
        let done = connection.atomically(|connection| {
            connection.run(&insert, &values)?;
            // As a decision for the remote's row.
            connection.run(
                "INSERT INTO tidelock_conflicts(tbl, key, time, base, remote, result) \
                 SELECT tbl, key, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), base, base, base FROM tidelock_outbox WHERE id = ?1",
                &entry[..1],
            )?;
            // A list of keys that came while the row was deleted here forgot it; the next one decides whether it stays.
            connection.run(
                "INSERT OR IGNORE INTO tidelock_known(tbl, key, outside) SELECT tbl, key, 1 FROM tidelock_outbox WHERE id = ?1",
                &entry[..1],
            )?;
            forget(connection, entry[0].as_integer().unwrap_or_default())
        });
        match done {
            Ok(()) => restored.push(parent.name),
            Err(error) if connection.is_violation(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

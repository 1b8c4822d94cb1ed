//! The outbox as users see it: pending changes, and changes that were refused permanently.

use super::{
    change::{Change, ChangeOp, ChangeReason, local_row},
    unapplied,
};
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        report::{Cells, ConflictEntry},
        schema::table::LocalTable,
        state::{progress, tables},
        values::encode::{decode_key, decode_row, key_sql, quote, row_sql},
    },
    value::Value,
};

/// Why a change waits whose row has a refused change.
const BEHIND: &str = "A refused change of the same row comes first: see rejected()";

/// Why a change waits whose table isn't pushed.
const NOT_PUSHED: &str = "Its table isn't pushed: sync it with `direction: 'both'`, or discard the change";

/// Returns the pending changes, oldest first.
pub fn pending(connection: &Connection) -> Result<Vec<Change>> {
    list(connection, "state = 'pending'")
}

/// Returns the changes that were refused permanently, oldest first; then the remote rows that the local schema refuses.
pub fn rejected(connection: &Connection) -> Result<Vec<Change>> {
    let mut changes = list(connection, "state <> 'pending'")?;
    if tables::exists(connection)? {
        changes.extend(unapplied::list(connection)?);
    }
    Ok(changes)
}

/// Returns whether any change is pending.
pub fn waits(connection: &Connection) -> Result<bool> {
    let sql = "SELECT 1 FROM tidelock_outbox WHERE state = 'pending' LIMIT 1";
    Ok(tables::exists(connection)? && connection.value(sql, &[])?.is_some())
}

/// Returns how many changes wait for columns that the remote lacks, in one table or in all.
pub fn lacking_columns(connection: &Connection, table: Option<&str>) -> Result<u64> {
    if !tables::exists(connection)? {
        return Ok(0);
    }
    let sql = "SELECT count(*) FROM tidelock_outbox \
               WHERE state = 'pending' AND reason = 'remote_column_missing' AND (?1 IS NULL OR tbl = ?1)";
    Ok(connection
        .value(sql, &[table.map(str::to_owned).into()])?
        .and_then(|count| count.as_integer())
        .unwrap_or_default() as u64)
}

/// Returns how many local changes are pending and how many were refused, in one table.
pub fn unpushed(connection: &Connection, table: &str) -> Result<(u64, u64)> {
    count(connection, Some(table), "")
}

/// Returns how many changes [`pending`] and [`rejected`] return, of one table or of all.
pub fn counts(connection: &Connection, table: Option<&str>) -> Result<(u64, u64)> {
    if !tables::exists(connection)? {
        return Ok((0, 0));
    }
    count(connection, table, &format!(" + {}", unapplied::COUNT))
}

fn count(connection: &Connection, table: Option<&str>, more: &str) -> Result<(u64, u64)> {
    let rows = connection.rows(
        &format!(
            "SELECT count(*) FILTER (WHERE state = 'pending'), count(*) FILTER (WHERE state <> 'pending'){more} \
             FROM tidelock_outbox WHERE ?1 IS NULL OR tbl = ?1"
        ),
        &[table.map(str::to_owned).into()],
    )?;
    let count = |at: usize| rows[0][at].as_integer().unwrap_or_default() as u64;
    Ok((count(0), count(1)))
}

fn list(connection: &Connection, which: &str) -> Result<Vec<Change>> {
    if !tables::exists(connection)? {
        return Ok(Vec::new());
    }
    let rows = connection.rows(
        &format!(
            "SELECT id, tbl, key, op, base, time, coalesce(reason, iif(behind, 'held_back', NULL)), \
             iif(behind AND reason IS NULL, '{BEHIND}', error), local, state FROM (SELECT *, state = 'pending' AND EXISTS \
             (SELECT 1 FROM tidelock_outbox AS refused WHERE refused.tbl = change.tbl AND refused.key = change.key \
             AND refused.state = 'rejected') AS behind FROM tidelock_outbox AS change) \
             WHERE {which} ORDER BY id"
        ),
        &[],
    )?;
    let captured = tables::captured(connection)?;
    let mut tables: Vec<(String, Option<LocalTable>)> = Vec::new();
    let mut changes = Vec::with_capacity(rows.len());
    for row in rows {
        let text = |at: usize| row[at].as_text().unwrap_or_default();
        let name = text(1);
        if !tables.iter().any(|(known, _)| known == name) {
            tables.push((name.to_owned(), LocalTable::read(connection, name)?));
        }
        let table = tables.iter().find(|(known, _)| known == name).and_then(|(_, table)| table.as_ref());
        let named =
            captured.iter().find(|captured| captured.table == name).and_then(|captured| captured.primary_key.clone());
        let key_columns = named.or_else(|| table.map(|table| table.primary_key.clone())).unwrap_or_default();
        let key = decode_key(text(2));
        let op = ChangeOp::from_name(text(3));
        let (mut reason, mut error) = (row[6].as_text().and_then(ChangeReason::from_name), row[7].as_text());
        if reason.is_none() && text(9) == "pending" && !captured.iter().any(|captured| captured.table == name) {
            (reason, error) = (Some(ChangeReason::HeldBack), Some(NOT_PUSHED));
        }
        let columns = match (op, table) {
            (ChangeOp::Delete, _) | (_, None) => Vec::new(),
            (ChangeOp::Insert, Some(table)) => table.columns.iter().map(|column| column.name.clone()).collect(),
            (ChangeOp::Update, Some(table)) => {
                let local = match row[8].as_text() {
                    Some(local) => Some(decode_row(local)),
                    None if key.len() != key_columns.len() => None,
                    None => local_row(connection, table, &key_columns, &key)?,
                };
                changed(&decode_row(text(4)), &local.unwrap_or_default())
            }
        };
        changes.push(Change {
            id: row[0].as_integer().unwrap_or_default(),
            table: name.to_owned(),
            key: Cells(key_columns.into_iter().zip(key).collect()),
            op,
            columns,
            time: text(5).to_owned(),
            reason,
            error: error.map(str::to_owned),
        });
    }
    Ok(changes)
}

/// Returns the newest conflicts, newest first, at most `limit`.
pub fn conflicts(connection: &Connection, limit: u32) -> Result<Vec<ConflictEntry>> {
    let log = "SELECT 1 FROM main.sqlite_schema WHERE name = 'tidelock_conflicts'";
    if connection.value(log, &[])?.is_none() {
        return Ok(Vec::new());
    }
    let rows = connection.rows(
        "SELECT time, tbl, key, base, local, remote, result FROM tidelock_conflicts ORDER BY id DESC LIMIT ?1",
        &[Value::Integer(i64::from(limit))],
    )?;
    let captured = tables::captured(connection)?;
    let mut conflicts = Vec::with_capacity(rows.len());
    for row in rows {
        let text = |at: usize| row[at].as_text().unwrap_or_default().to_owned();
        let cells = |at: usize| row[at].as_text().map(|row| Cells(decode_row(row)));
        let table = text(1);
        let named = captured.iter().find(|known| known.table == table).and_then(|known| known.primary_key.clone());
        let columns = match named {
            Some(columns) => columns,
            None => LocalTable::read(connection, &table)?.map(|table| table.primary_key).unwrap_or_default(),
        };
        conflicts.push(ConflictEntry {
            time: text(0),
            key: Cells(columns.into_iter().zip(decode_key(&text(2))).collect()),
            base: cells(3),
            local: cells(4),
            remote: cells(5),
            result: cells(6),
            table,
        });
    }
    Ok(conflicts)
}

/// Returns the names of the columns whose values differ.
fn changed(base: &[(String, Value)], local: &[(String, Value)]) -> Vec<String> {
    let differs = |(name, value): &&(String, Value)| {
        local.iter().find(|(other, _)| other == name).is_some_and(|(_, other)| other != value)
    };
    base.iter().filter(differs).map(|(name, _)| name.clone()).collect()
}

/// Quarantines all pending changes after a restore: the remote may have them already, so they are sent only when the
/// user retries them. Keeps the present rows with them, since the next pull brings the rows to the remote's state.
/// Also forgets the writes that could arrive late: a deletion follows those of deleted rows. Returns how many changes
/// there are. An entry of the part `sync`, for databases that were ever synced.
#[inline(never)]
pub fn quarantine_restored(connection: &Connection) -> Result<u64> {
    let captured = tables::captured(connection)?;
    connection.atomically(|connection| {
        for registered in &captured {
            keep_rows(connection, registered, "state = 'pending'")?;
        }
        progress::read_whole_next_where(connection, "state = 'pending'")?;
        connection.run("DELETE FROM tidelock_late", &[])?;
        connection
            .run("UPDATE tidelock_outbox SET state = 'restored', reason = 'restored' WHERE state = 'pending'", &[])
    })
}

/// Keeps the present rows with those changes of a table for which `which` (SQL) is true. For a table that doesn't exist
/// (any more), the kept rows stay.
pub(super) fn keep_rows(connection: &Connection, registered: &tables::Registered, which: &str) -> Result<()> {
    let Some(table) = LocalTable::read(connection, &registered.table)? else { return Ok(()) };
    let key = registered.primary_key.as_ref().unwrap_or(&table.primary_key);
    if key.is_empty() {
        return Ok(());
    }
    let own_key = key_sql(key.iter().map(|column| format!("t.{}", quote(column))));
    let row = row_sql(table.columns.iter().map(|column| (column.name.as_str(), format!("t.{}", quote(&column.name)))));
    connection.run(
        &format!(
            "UPDATE tidelock_outbox SET local = (SELECT {row} FROM main.{} t WHERE {own_key} = tidelock_outbox.key) \
             WHERE tbl = ?1 AND {which}",
            quote(&table.name)
        ),
        &[Value::from(&*registered.table)],
    )?;
    Ok(())
}

/// Deletes the outbox, the writes that could arrive late and the owner of a seed or an imported file: they are another
/// database's. Rows that were changed there follow the remote at the next pull.
pub fn forget_origin(connection: &Connection) -> Result<()> {
    if !tables::exists(connection)? {
        return Ok(());
    }
    connection.atomically(|connection| {
        progress::read_whole_next_where(connection, "1")?;
        connection.run("DELETE FROM tidelock_outbox", &[])?;
        connection.run("DELETE FROM tidelock_late", &[])?;
        connection.run("DELETE FROM tidelock_sync WHERE name = 'user'", &[]).map(drop)
    })
}

//! Writes that the remote may still execute: a request that was cancelled, or that got no answer in time, can't be
//! recalled. The remote was read since and didn't have them. When one of them arrives, it is known as our own.

use crate::{
    error::Result,
    sqlite::Connection,
    sync::values::{json, same_key::canonical},
    value::Value,
};

/// SQL that is true for the writes of the last ten minutes. No server takes longer, and another client may write the same
/// later. A time in the future means that the clock was set back.
const RECENT: &str = "julianday('now') - julianday(time) BETWEEN 0 AND 10 / 1440.0";

/// Remembers what was sent of a change of this key. `deleted`: it was a new row, which was deleted here since.
pub fn remember(connection: &Connection, id: i64, key: &[Value], deleted: bool) -> Result<()> {
    let sql = "INSERT OR REPLACE INTO tidelock_late(tbl, key, op, sent, deleted, time, sent_at) \
               SELECT tbl, ?2, sent_op, coalesce(sent, ''), ?3, strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), sent_at \
               FROM tidelock_outbox WHERE id = ?1 AND sent_op <> 'deleted'";
    connection.run(sql, &[Value::Integer(id), spelled(key), Value::Integer(i64::from(deleted))]).map(drop)
}

/// Returns the operations, rows and times of sending of what may still arrive of a key, however the server spells it. `deleted`: only those of
/// new rows that were deleted here since.
pub fn find(connection: &Connection, table: &str, key: &[Value], deleted: bool) -> Result<Vec<Vec<Value>>> {
    if !any(connection, table)? {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT op, sent, sent_at FROM tidelock_late WHERE tbl = ?1 AND key = ?2 AND deleted >= ?3 AND {RECENT}"
    );
    connection.rows(&sql, &[Value::from(table), spelled(key), Value::Integer(i64::from(deleted))])
}

/// Forgets the writes of a key, as the remote has the row now.
pub fn forget(connection: &Connection, table: &str, key: &[Value]) -> Result<()> {
    if !any(connection, table)? {
        return Ok(());
    }
    let sql = "DELETE FROM tidelock_late WHERE tbl = ?1 AND key = ?2";
    connection.run(sql, &[Value::from(table), spelled(key)]).map(drop)
}

fn any(connection: &Connection, table: &str) -> Result<bool> {
    let sql = "SELECT 1 FROM tidelock_late WHERE tbl = ?1 LIMIT 1";
    Ok(connection.value(sql, &[Value::from(table)])?.is_some())
}

/// Forgets old writes.
pub fn forget_old(connection: &Connection) -> Result<()> {
    connection.run(&format!("DELETE FROM tidelock_late WHERE NOT ({RECENT})"), &[]).map(drop)
}

fn spelled(key: &[Value]) -> Value {
    let spelled: Vec<String> = key.iter().map(canonical).collect();
    Value::from(json::string_array(spelled.iter().map(String::as_str)))
}

//! Whether a change is sent, and why not: it was refused permanently, or it waits.

use super::change::ChangeReason;
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::postgrest::response::{SEE_CODE, remote_code},
    value::Value,
};

/// Rejects a change that the remote refused, with the error's message, code and hint.
pub fn refuse(connection: &Connection, id: i64, error: &Error) -> Result<()> {
    let hint = error.hint.as_deref().filter(|hint| *hint != SEE_CODE).unwrap_or_default();
    let more: Vec<&str> = [remote_code(error), hint].into_iter().filter(|text| !text.is_empty()).collect();
    let more = if more.is_empty() { String::new() } else { format!(" ({})", more.join(": ")) };
    reject(connection, id, ChangeReason::Refused, &format!("{}{more}", error.message))
}

/// Delays a change that the remote fails at, each time longer: 10 s to 1 h. `now` is in milliseconds since 1970.
pub fn retry_later(connection: &Connection, id: i64, error: &Error, now: i64) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET reason = 'retrying', error = ?2, tries = coalesce(tries, 0) + 1, \
               not_before = ?3 + min(10000 << min(coalesce(tries, 0), 9), 3600000) WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id), Value::from(&*error.message), Value::Integer(now)]).map(drop)
}

/// Delays a change to the next push: a push leaves out changes that are due after its start. `now` is in milliseconds
/// since 1970.
pub fn retry_next_time(connection: &Connection, id: i64, error: &Error, now: i64) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET reason = 'retrying', error = ?2, not_before = ?3 WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id), Value::from(&*error.message), Value::Integer(now)]).map(drop)
}

/// Rejects a change.
pub fn reject(connection: &Connection, id: i64, reason: ChangeReason, error: &str) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET state = 'rejected', reason = ?2, error = ?3 WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id), Value::from(reason.as_str()), Value::from(error)]).map(drop)
}

/// Rejects a change whose row has no key that is known: it can only be discarded.
pub fn reject_without_key(connection: &Connection, id: i64, why: &str) -> Result<()> {
    reject(connection, id, ChangeReason::Schema, why)?;
    connection.run("UPDATE tidelock_outbox SET key = '[]' WHERE id = ?1", &[Value::Integer(id)]).map(drop)
}

/// Makes a rejected change pending, in place of the one that waits behind it.
pub fn make_pending(connection: &Connection, id: i64) -> Result<()> {
    let sql = "UPDATE OR REPLACE tidelock_outbox SET state = 'pending', reason = NULL, error = NULL, local = NULL WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id)]).map(drop)
}

/// Deletes a change from the outbox.
pub fn forget(connection: &Connection, id: i64) -> Result<()> {
    connection.run("DELETE FROM tidelock_outbox WHERE id = ?1", &[Value::Integer(id)]).map(drop)
}

/// Notes that a change waits for another one, unless another reason is known.
pub fn hold_back(connection: &Connection, id: i64, why: &str) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET reason = 'held_back', error = ?2 \
               WHERE id = ?1 AND (reason IS NULL OR reason = 'held_back')";
    connection.run(sql, &[Value::Integer(id), Value::from(why)]).map(drop)
}

/// Clears the notes of [`hold_back`] after a decision: the next push writes those that are still true.
pub fn release(connection: &Connection) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET reason = NULL, error = NULL WHERE state = 'pending' AND reason = 'held_back'";
    connection.run(sql, &[]).map(drop)
}

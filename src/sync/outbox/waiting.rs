//! Whether a change is sent, or why it isn't: it was refused for good, or it waits.

use crate::{
    error::{Error, Result},
    sqlite::Connection,
    value::Value,
};

/// Moves a change to the rejected ones that the remote refused, with what can be done about it.
pub fn refuse(connection: &Connection, id: i64, error: &Error) -> Result<()> {
    let hint = error.hint.as_deref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    reject(connection, id, "refused", &format!("{}{hint}", error.message))
}

/// Lets a change wait that the remote fails at, longer each time. `now`: milliseconds since 1970.
pub fn retry_later(connection: &Connection, id: i64, error: &Error, now: i64) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET reason = 'retrying', error = ?2, tries = coalesce(tries, 0) + 1, \
               not_before = ?3 + min(10000 << min(coalesce(tries, 0), 9), 3600000) WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id), Value::from(&*error.message), Value::Integer(now)]).map(drop)
}

/// Lets a change wait for the next push: none takes up what is to wait longer than when it began. `now`: milliseconds since 1970.
pub fn retry_next_time(connection: &Connection, id: i64, error: &Error, now: i64) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET reason = 'retrying', error = ?2, not_before = ?3 WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id), Value::from(&*error.message), Value::Integer(now)]).map(drop)
}

/// Moves a change to the rejected ones.
pub fn reject(connection: &Connection, id: i64, reason: &str, error: &str) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET state = 'rejected', reason = ?2, error = ?3 WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id), Value::from(reason), Value::from(error)]).map(drop)
}

/// Lets a rejected change be sent, instead of what waits behind it.
pub fn make_pending(connection: &Connection, id: i64) -> Result<()> {
    let sql = "UPDATE OR REPLACE tidelock_outbox SET state = 'pending', reason = NULL, error = NULL, local = NULL WHERE id = ?1";
    connection.run(sql, &[Value::Integer(id)]).map(drop)
}

/// Takes a change out of the outbox.
pub fn forget(connection: &Connection, id: i64) -> Result<()> {
    connection.run("DELETE FROM tidelock_outbox WHERE id = ?1", &[Value::Integer(id)]).map(drop)
}

/// Says of a change that it waits for something else than itself, unless it is known why it waits already.
pub fn hold_back(connection: &Connection, id: i64, why: &str) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET reason = 'held_back', error = ?2 \
               WHERE id = ?1 AND (reason IS NULL OR reason = 'held_back')";
    connection.run(sql, &[Value::Integer(id), Value::from(why)]).map(drop)
}

/// Something was decided: the next push tells what still waits for it.
pub fn release(connection: &Connection) -> Result<()> {
    let sql = "UPDATE tidelock_outbox SET reason = NULL, error = NULL WHERE state = 'pending' AND reason = 'held_back'";
    connection.run(sql, &[]).map(drop)
}

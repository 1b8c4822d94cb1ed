//! Single values of the state of sync, by name: its owner, and what is known of the remote.

use crate::{error::Result, sqlite::Connection, value::Value};

/// Returns a single value by its name.
pub fn value(connection: &Connection, name: &str) -> Result<Option<String>> {
    let value = connection.value("SELECT value FROM tidelock_sync WHERE name = ?1", &[Value::from(name)])?;
    Ok(value.and_then(|value| value.as_text().map(str::to_owned)))
}

/// Stores a single value.
pub fn set_value(connection: &Connection, name: &str, value: &str) -> Result<()> {
    let sql = "INSERT INTO tidelock_sync(name, value) VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2";
    connection.run(sql, &[Value::from(name), Value::from(value)]).map(drop)
}

/// Returns the user that the database belongs to; `None` before the first sync.
pub fn owner(connection: &Connection) -> Result<Option<String>> {
    value(connection, "user")
}

/// Stores the user that the database belongs to.
pub fn save_owner(connection: &Connection, user: &str) -> Result<()> {
    set_value(connection, "user", user)
}

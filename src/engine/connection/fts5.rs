//! Loads SQLite's full-text search, which is a separate wasm part: for databases whose schema uses it, and for
//! statements that fail because it is missing.

use crate::{
    error::Result,
    ports::{Part, Platform},
    sqlite::{Connection, mentions},
};

/// Loads FTS5 if the schema of a connection uses it. Fails with `wasm_load_failed`.
pub(in crate::engine) async fn load_if_used(platform: &Platform, connection: &Connection) -> Result<()> {
    // Unreadable content counts as unused: other checks report the damage.
    if connection.uses_fts5().unwrap_or(false) { load(platform, connection).await } else { Ok(()) }
}

/// Loads FTS5 if SQL text names it. Call this before opening the connection that runs the text. Fails with
/// `wasm_load_failed`.
pub(in crate::engine) async fn load_if_named(platform: &Platform, sql: &str) -> Result<()> {
    if mentions(sql, "fts5") { platform.parts.load(Part::Fts5).await } else { Ok(()) }
}

/// Loads FTS5 for a connection. Fails with `wasm_load_failed`.
pub(in crate::engine) async fn load(platform: &Platform, connection: &Connection) -> Result<()> {
    platform.parts.load(Part::Fts5).await?;
    if !connection.has_fts5()? {
        platform.parts.add_fts5(connection.address());
    }
    Ok(())
}

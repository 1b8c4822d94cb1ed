//! SQLite's full-text search and its JSON functions are parts of their own: loaded for databases whose schema uses them, and for
//! statements that fail because they are missing.
//!
//! FTS5 is unknown to SQLite until it is loaded. The JSON functions are known, so that a schema means the same without them, but a
//! call of one fails.

use super::Database;
use crate::{
    error::Result,
    ports::{Part, Platform},
    sqlite::{Connection, mentions},
};

/// Whether SQL text may call JSON functions.
fn names_json(sql: &str) -> bool {
    mentions(sql, "json") || mentions(sql, "->")
}

/// Loads what the schema of a connection uses. Fails with `wasm_load_failed`.
pub(super) async fn load_if_used(platform: &Platform, connection: &Connection) -> Result<()> {
    // What can't be read is damaged, which is somebody else's to find.
    let (fts5, json) = (connection.uses_fts5().unwrap_or(false), connection.uses_json().unwrap_or(false));
    load(platform, connection, fts5, json).await
}

/// Loads what SQL text names, before a connection is opened that runs it. Fails with `wasm_load_failed`.
pub(super) async fn load_if_named(platform: &Platform, sql: &str) -> Result<()> {
    if mentions(sql, "fts5") {
        platform.parts.load(Part::Fts5).await?;
    }
    if names_json(sql) { platform.parts.load(Part::Json).await } else { Ok(()) }
}

/// Loads FTS5, the JSON functions, or both for a connection. Fails with `wasm_load_failed`.
pub(super) async fn load(platform: &Platform, connection: &Connection, fts5: bool, json: bool) -> Result<()> {
    if json {
        platform.parts.load(Part::Json).await?;
    }
    if fts5 {
        platform.parts.load(Part::Fts5).await?;
        if !connection.has_fts5()? {
            platform.parts.add_fts5(connection.address());
        }
    }
    Ok(())
}

impl Database {
    /// Loads FTS5, the JSON functions, or both, for a statement that failed because they are missing. Fails with `wasm_load_failed`.
    pub async fn load_extensions(&self, fts5: bool, json: bool) -> Result<()> {
        let connection = self.inner.connection()?;
        load(&self.inner.ports.platform, &connection, fts5, json).await
    }
}

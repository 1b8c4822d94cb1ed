//! The scripts between two schemas, in both directions.

use serde::Serialize;

use super::{Renames, Schema, change::change, script::SchemaScript};
use crate::error::Result;

/// The scripts from one schema to another and back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct GeneratedMigration {
    /// The script from the current schema to the wanted one; empty when they don't differ.
    pub up: String,
    /// The script back.
    pub down: String,
    /// Descriptions of the data that `up` deletes. Each is also a comment in the script.
    pub destructive: Vec<String>,
}

/// Generates the scripts between two schemas. Values of columns that both have are kept. Foreign keys must be off when
/// they run.
///
/// Fails with SQLite's error when it refuses a rename.
pub fn generate(today: &Schema, wanted: &Schema, renames: &Renames) -> Result<GeneratedMigration> {
    let up = one_way(today, wanted, renames)?;
    let down = one_way(wanted, today, &renames.inverse())?;
    Ok(GeneratedMigration { up: up.sql, down: down.sql, destructive: up.destructive })
}

fn one_way(from: &Schema, to: &Schema, renames: &Renames) -> Result<SchemaScript> {
    if renames.is_empty() {
        return Ok(change(from, to));
    }
    let mut script = SchemaScript::default();
    for statement in renames.statements() {
        script.statement(&statement);
    }
    let rest = change(&renames.applied(from)?, to);
    script.sql.push_str(&rest.sql);
    script.destructive = rest.destructive;
    Ok(script)
}

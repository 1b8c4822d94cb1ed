//! Tables that were dropped and created again: how far they were read is about rows that are no longer here.

use super::{progress, properties};
use crate::{
    error::Result,
    sqlite::{Connection, TableInfo, quote},
    sync::config::options::TableSync,
    value::Value,
};

/// After a change of the schema, lets the next pull read those tables from the beginning that have no rows of the
/// remote: they are missing, empty, or have only rows that wait to be inserted there.
pub fn read_dropped_next(connection: &Connection, tables: &[TableSync]) -> Result<()> {
    let version = connection.value("PRAGMA main.schema_version", &[])?.and_then(|version| version.as_integer());
    let version = version.unwrap_or_default().to_string();
    if properties::value(connection, "schemaVersion")?.as_ref() == Some(&version) {
        return Ok(());
    }
    connection.atomically(|connection| {
        for table in tables {
            if !has_remote_rows(connection, &table.table)? {
                progress::read_whole_next(connection, &Value::from(&*table.table))?;
            }
        }
        properties::set_value(connection, "schemaVersion", &version)
    })
}

fn has_remote_rows(connection: &Connection, table: &str) -> Result<bool> {
    if TableInfo::read(connection, table)?.is_none() {
        return Ok(false);
    }
    let sql = format!(
        "SELECT 1 FROM main.{} LIMIT 1 OFFSET (SELECT count(*) FROM tidelock_outbox WHERE tbl = ?1 AND op = 'insert')",
        quote(table)
    );
    Ok(connection.value(&sql, &[Value::from(table)])?.is_some())
}

//! The filter with which a table is synced, and the remote table; what a change of them means for the keys that are
//! known.

use crate::{
    error::Result,
    sqlite::Connection,
    sync::{config::options::TableSync, values::json},
    value::Value,
};

/// The filter of a table that is synced without one. Tables that weren't synced yet have NULL.
const NO_FILTER: &str = "[]";

/// Returns whether a table gets a filter whose rows were read or pushed without one, so that it is unknown which of them
/// the remote has.
pub fn is_new(connection: &Connection, table: &TableSync) -> Result<bool> {
    // Earlier builds stored NULL for tables that were read without a filter.
    let sql = "SELECT 1 FROM tidelock_tables WHERE tbl = ?1 AND coalesce(filter, ?2) = ?2 AND listed_at IS NULL \
               AND coalesce(filter, selected, pulled_at) IS NOT NULL";
    let parameters = [Value::from(&*table.table), Value::from(NO_FILTER)];
    Ok(!table.filter.is_empty() && connection.value(sql, &parameters)?.is_some())
}

/// Stores the filter and the remote table with which a table is synced from now on. After others, the next pull reads all
/// rows, and compares all keys: those known until now are outside until a pull shows them.
pub fn change(connection: &Connection, table: &TableSync, source: &str) -> Result<()> {
    let pairs = table.filter.iter().flat_map(|(column, filter)| [column.as_str(), filter.as_str()]);
    let filter = json::string_array(pairs);
    let name = Value::from(&*table.table);
    if !table.compares() {
        // Rows that come from now on are not known, so no list is complete.
        let sql = "UPDATE tidelock_tables SET listed_at = NULL WHERE tbl = ?1 AND listed_at IS NOT NULL";
        connection.run(sql, std::slice::from_ref(&name))?;
    }
    let sql = "SELECT filter, source FROM tidelock_tables WHERE tbl = ?1";
    let stored = connection.rows(sql, std::slice::from_ref(&name))?.into_iter().next();
    let text = |at: usize| stored.as_ref().and_then(|row| row[at].as_text());
    let (old_filter, old_source) = (text(0), text(1));
    if old_filter == Some(&filter) && old_source == Some(source) {
        return Ok(());
    }
    connection.atomically(|connection| {
        if old_filter.unwrap_or(NO_FILTER) != filter || old_source.is_some_and(|old| old != source) {
            connection.run("UPDATE tidelock_known SET outside = 1 WHERE tbl = ?1", std::slice::from_ref(&name))?;
            let sql = "UPDATE tidelock_tables SET selected = NULL, started = NULL, listed_at = NULL WHERE tbl = ?1";
            connection.run(sql, std::slice::from_ref(&name))?;
        }
        let sql = "UPDATE tidelock_tables SET filter = ?2, source = ?3 WHERE tbl = ?1";
        connection.run(sql, &[name, filter.into(), source.into()]).map(drop)
    })
}

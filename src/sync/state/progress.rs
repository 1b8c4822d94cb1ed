//! How far each table was read and pushed, and what the remote's tables were found to have.

use super::{
    failure,
    spans::{self, Span},
};
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::values::json,
    time::Timestamp,
    value::Value,
};

/// Lets the next pull read all rows of a table, whatever is known of it.
pub fn read_whole_next(connection: &Connection, table: &Value) -> Result<()> {
    let sql = "UPDATE tidelock_tables SET selected = NULL, started = NULL WHERE tbl = ?1";
    connection.run(sql, std::slice::from_ref(table)).map(drop)
}

/// How far a table was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableProgress {
    /// The columns that were selected.
    pub selected: Option<Vec<String>>,
    /// The position after the last row that was applied.
    pub position: Option<ReadPosition>,
    /// The server's time when the present pull began, or empty where the server doesn't show its time; `None` when no
    /// pull is in progress.
    pub started: Option<String>,
    /// The same for the last complete pull.
    pub watermark: Option<String>,
    /// The server's time when the cursor of the position was read first.
    pub seen: Option<String>,
    /// While a pull reads all rows: the spans that are left to read; empty when only rows that changed meanwhile are
    /// left.
    pub spans: Option<Vec<Span>>,
}

/// A position in the order of a table's rows, in the server's own text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadPosition {
    /// The cursor column's value; `None` in a table without a cursor, or among rows whose cursor is NULL.
    pub cursor: Option<String>,
    /// The key's values.
    pub key: Vec<String>,
}

/// Reads how far a table was read.
pub fn progress(connection: &Connection, table: &str) -> Result<TableProgress> {
    let rows = connection.rows(
        "SELECT selected, cursor, key, started, watermark, spans, seen FROM tidelock_tables WHERE tbl = ?1",
        &[Value::from(table)],
    )?;
    let Some(row) = rows.first() else { return Ok(TableProgress::default()) };
    let text = |at: usize| row[at].as_text().map(str::to_owned);
    Ok(TableProgress {
        selected: text(0).as_deref().and_then(json::parse_string_array),
        position: text(2)
            .as_deref()
            .and_then(json::parse_string_array)
            .map(|key| ReadPosition { cursor: text(1), key }),
        started: text(3),
        watermark: text(4),
        spans: text(5).as_deref().and_then(spans::decode),
        seen: text(6),
    })
}

/// Stores how far a table was read, in the transaction that applies the rows.
pub fn save_progress(connection: &Connection, table: &str, progress: &TableProgress) -> Result<()> {
    let list = |names: &[String]| json::string_array(names.iter().map(String::as_str));
    let position = progress.position.as_ref();
    connection.run(
        "UPDATE tidelock_tables SET selected = ?2, cursor = ?3, key = ?4, started = ?5, watermark = ?6, spans = ?7, \
         seen = ?8 WHERE tbl = ?1",
        &[
            Value::from(table),
            progress.selected.as_deref().map(list).into(),
            position.and_then(|position| position.cursor.clone()).into(),
            position.map(|position| list(&position.key)).into(),
            progress.started.clone().into(),
            progress.watermark.clone().into(),
            progress.spans.as_deref().map(spans::encode).into(),
            progress.seen.clone().into(),
        ],
    )?;
    Ok(())
}

/// Lets the next pull read those tables from the beginning that have changes for which `changes` (SQL) is true: their
/// rows aren't what the remote sent, and a cursor beyond them would leave them so. The watermark stays, from which
/// tombstones count.
pub(crate) fn read_whole_next_where(connection: &Connection, changes: &str) -> Result<()> {
    let sql = format!(
        "UPDATE tidelock_tables SET selected = NULL, started = NULL \
         WHERE tbl IN (SELECT tbl FROM tidelock_outbox WHERE {changes})"
    );
    connection.run(&sql, &[]).map(drop)
}

/// Returns when all keys of a table were last compared.
pub fn listed_at(connection: &Connection, table: &str) -> Result<Option<Timestamp>> {
    let value = connection.value("SELECT listed_at FROM tidelock_tables WHERE tbl = ?1", &[Value::from(table)])?;
    Ok(value.as_ref().and_then(Value::as_text).and_then(Timestamp::parse))
}

/// Stores when all keys of a table were compared.
pub fn save_listed(connection: &Connection, table: &str, at: Timestamp) -> Result<()> {
    let sql = "UPDATE tidelock_tables SET listed_at = ?2 WHERE tbl = ?1";
    connection.run(sql, &[Value::from(table), Value::from(at.to_string())]).map(drop)
}

/// Returns the columns that pulls have read of a table, none if there was no pull; `None` where that is forgotten.
pub fn read_columns(connection: &Connection, table: &str) -> Result<Option<Vec<String>>> {
    let sql = "SELECT iif(pulled_at IS NULL, coalesce(selected, '[]'), selected) FROM tidelock_tables WHERE tbl = ?1";
    let value = connection.value(sql, &[Value::from(table)])?;
    Ok(value.as_ref().and_then(Value::as_text).and_then(json::parse_string_array))
}

/// Returns the columns that the remote was found to lack.
pub fn missing(connection: &Connection, table: &str) -> Result<Vec<String>> {
    let value = connection.value("SELECT missing FROM tidelock_tables WHERE tbl = ?1", &[Value::from(table)])?;
    Ok(value.as_ref().and_then(Value::as_text).and_then(json::parse_string_array).unwrap_or_default())
}

/// Stores which columns the remote lacks. None of them counts as read: all rows are read again once the remote has it.
pub fn save_missing(connection: &Connection, table: &str, missing: &[String]) -> Result<()> {
    let list = |names: &[String]| json::string_array(names.iter().map(String::as_str));
    let mut selected = progress(connection, table)?.selected;
    if let Some(selected) = &mut selected {
        selected.retain(|column| !missing.contains(column));
    }
    let sql = "UPDATE tidelock_tables SET missing = ?2, selected = ?3 WHERE tbl = ?1";
    let missing = (!missing.is_empty()).then(|| list(missing));
    connection.run(sql, &[Value::from(table), missing.into(), selected.as_deref().map(list).into()]).map(drop)
}

/// Returns the text columns in which the remote was seen to store objects or arrays.
pub fn structured(connection: &Connection, table: &str) -> Result<Vec<String>> {
    let value = connection.value("SELECT structured FROM tidelock_tables WHERE tbl = ?1", &[Value::from(table)])?;
    Ok(value.as_ref().and_then(Value::as_text).and_then(json::parse_string_array).unwrap_or_default())
}

/// Stores the text columns in which the remote was seen to store objects or arrays.
pub fn save_structured(connection: &Connection, table: &str, columns: &[String]) -> Result<()> {
    let list = json::string_array(columns.iter().map(String::as_str));
    let sql = "UPDATE tidelock_tables SET structured = ?2 WHERE tbl = ?1";
    connection.run(sql, &[Value::from(table), Value::from(list)]).map(drop)
}

/// Stores how a table's push ended.
pub fn save_pushed(connection: &Connection, table: &str, now: Timestamp, error: Option<&Error>) -> Result<()> {
    save_end(connection, ["pushed_at", "push_error"], table, now, error)
}

/// Stores how a table's pull ended.
pub fn save_pulled(connection: &Connection, table: &str, now: Timestamp, error: Option<&Error>) -> Result<()> {
    save_end(connection, ["pulled_at", "pull_error"], table, now, error)
}

/// Stores the time of a success in the first column, else the error in the second one; after an error the earlier time stays.
fn save_end(
    connection: &Connection,
    [at, failed]: [&str; 2],
    table: &str,
    now: Timestamp,
    error: Option<&Error>,
) -> Result<()> {
    let time = error.is_none().then(|| now.to_string());
    let error = error.map(|error| failure::encode(error, now));
    connection.run(
        &format!("UPDATE tidelock_tables SET {at} = coalesce(?2, {at}), {failed} = ?3 WHERE tbl = ?1"),
        &[Value::from(table), time.into(), error.into()],
    )?;
    Ok(())
}

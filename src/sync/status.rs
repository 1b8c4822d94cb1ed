//! The status of a synced table.

use serde::Serialize;

use super::{
    config::{
        checked::Config,
        options::{SyncDirection, TableSync},
    },
    outbox::entries,
    schema::table::LocalTable,
    state::{failure, tables},
    values::encode::quote,
};
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    time::Timestamp,
    value::Value,
};

/// What sync is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum SyncPhase {
    /// Nothing.
    #[default]
    Idle,
    /// Reading the remote.
    Pulling,
    /// Writing to the remote.
    Pushing,
}

impl SyncPhase {
    /// The name, as users see it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Pulling => "pulling",
            Self::Pushing => "pushing",
        }
    }
}

/// The sync status of one table.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "SyncStatus"))]
pub struct TableStatus {
    /// The local table.
    pub table: String,
    /// What sync is doing with it.
    pub phase: SyncPhase,
    /// When its last complete pull ended, ISO 8601.
    pub last_pulled_at: Option<String>,
    /// When its last complete push ended, ISO 8601.
    pub last_pushed_at: Option<String>,
    /// Its local rows.
    pub rows: u64,
    /// Its changes that wait to be pushed.
    pub pending: u64,
    /// Its changes that were refused permanently.
    pub rejected: u64,
    /// Milliseconds since its last complete pull.
    pub lag_ms: Option<i64>,
    /// Why its last pull failed, else its last push, until one of the same kind succeeds; `details.time` is when.
    pub last_error: Option<Error>,
}

/// Returns how many milliseconds ago the last complete pull of the longest waiting table ended; `None` while any pulled
/// table was never completely pulled.
pub fn lag(connection: &Connection, config: &Config, now: Timestamp) -> Result<Option<i64>> {
    let mut longest = 0;
    for table in config.options.tables.iter().filter(|table| table.direction != SyncDirection::Push) {
        let sql = "SELECT pulled_at FROM tidelock_tables WHERE tbl = ?1";
        let at = if tables::exists(connection)? { connection.value(sql, &[Value::from(&*table.table)])? } else { None };
        let Some(at) = at.as_ref().and_then(Value::as_text).and_then(Timestamp::parse) else { return Ok(None) };
        longest = longest.max(now.since(at));
    }
    Ok(Some(longest))
}

/// Returns for how many milliseconds the oldest pending change has been waiting; 0 without pending changes.
pub fn unpushed_for(connection: &Connection, now: Timestamp) -> Result<i64> {
    if !tables::exists(connection)? {
        return Ok(0);
    }
    let oldest = connection.value("SELECT min(time) FROM tidelock_outbox WHERE state = 'pending'", &[])?;
    let oldest = oldest.as_ref().and_then(Value::as_text).and_then(Timestamp::parse);
    Ok(oldest.map_or(0, |time| now.since(time)))
}

/// Returns the status of one table.
pub fn of_table(connection: &Connection, options: &TableSync, phase: SyncPhase, now: Timestamp) -> Result<TableStatus> {
    let table = &*options.table;
    let (pending, rejected) = entries::counts(connection, Some(table))?;
    let rows = match LocalTable::read(connection, table)? {
        Some(local) => connection.value(&format!("SELECT count(*) FROM main.{}", quote(&local.name)), &[])?,
        None => None,
    };
    let stored = if tables::exists(connection)? {
        connection.rows(
            "SELECT pulled_at, pushed_at, pull_error, push_error FROM tidelock_tables WHERE tbl = ?1",
            &[Value::from(table)],
        )?
    } else {
        Vec::new()
    };
    let text = |at: usize| stored.first().and_then(|row| row[at].as_text()).map(str::to_owned);
    let last_pulled_at = text(0);
    // What failed in a direction in which the table isn't synced any more is of no concern.
    let pull_error = (options.direction != SyncDirection::Push).then(|| text(2)).flatten();
    let push_error = (options.direction != SyncDirection::Pull).then(|| text(3)).flatten();
    Ok(TableStatus {
        table: table.to_owned(),
        phase,
        lag_ms: last_pulled_at.as_deref().and_then(Timestamp::parse).map(|at| now.since(at)),
        last_pulled_at,
        last_pushed_at: text(1),
        rows: rows.and_then(|rows| rows.as_integer()).unwrap_or_default() as u64,
        pending,
        rejected,
        last_error: pull_error.or(push_error).as_deref().and_then(failure::decode),
    })
}

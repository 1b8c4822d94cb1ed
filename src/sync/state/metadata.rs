//! The state of sync, in tables inside the database file: as durable as the rows that it is about, and as old as they
//! are after a restore. The tables are created at the first need.

use super::{
    failure,
    spans::{self, Span},
};
use crate::{
    collections::Set,
    error::{Error, Result},
    sqlite::{Connection, TableFacts, quote},
    sync::{
        config::options::{Names, SyncDirection, TableSync},
        values::json,
    },
    time::Timestamp,
    value::Value,
};

/// The tables of sync.
///
/// - `tidelock_sync`: the owner and other single values.
/// - `tidelock_tables`: one row per synced table: how it is captured, and how far it was read. `cursor` and `key` are
///   values in the server's own text; `started` is set during a pull, and `spans` while the pull reads all rows;
///   `listed_at` is when all its keys were last compared; `structured` are the text columns in which the remote was
///   seen to store objects or arrays; `filter` is the filter with which it is synced, as columns and their filters;
///   NULL before its first sync.
/// - `tidelock_outbox`: one row per changed key; `base` is the row before its first change that the remote doesn't
///   know. `state` is `pending`, `rejected` (for good) or `restored` (from an image; only the user lets it be sent).
///   `reason` is why it was rejected, or why a pending change isn't sent at present: `retrying` (the remote failed at
///   it `tries` times, and it isn't sent before `not_before`, in milliseconds since 1970), `remote_column_missing`, or
///   `held_back` (by another change). `local` is the row as it was in a restored image, or before a change of the
///   schema. `sent_op` and `sent` are what a push sent, while it is unknown whether that arrived; `gone` instead of an
///   operation: the remote was seen to have no such row.
/// - `tidelock_staged`: remote rows that can't be applied yet, mostly because their parents are missing; without `row`,
///   a deletion; without an `error`, a deletion that is only noted, until all rows of its table were read.
/// - `tidelock_conflicts`: the log of conflicts.
/// - `tidelock_known`: the keys that the remote was seen to have, for tables whose deletions are found by comparing
///   keys. `outside` is 1 for a row that the present filter hasn't shown: another filter did, or a push wrote it.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS tidelock_sync(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tidelock_tables(
  tbl TEXT PRIMARY KEY COLLATE NOCASE, capture INTEGER NOT NULL, primary_key TEXT, columns TEXT,
  selected TEXT, missing TEXT, cursor TEXT, key TEXT, started TEXT, watermark TEXT,
  pulled_at TEXT, last_error TEXT, pushed_at TEXT, structured TEXT, spans TEXT, listed_at TEXT,
  filter TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tidelock_outbox(
  id INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT NOT NULL, key TEXT NOT NULL, op TEXT NOT NULL, base TEXT,
  time TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending', reason TEXT, error TEXT, local TEXT, sent_op TEXT, sent TEXT,
  tries INTEGER, not_before INTEGER);
CREATE UNIQUE INDEX IF NOT EXISTS tidelock_outbox_pending ON tidelock_outbox(tbl, key) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS tidelock_outbox_rejected ON tidelock_outbox(tbl, key) WHERE state = 'rejected';
CREATE TABLE IF NOT EXISTS tidelock_staged(
  tbl TEXT NOT NULL, key TEXT NOT NULL, row TEXT, error TEXT NOT NULL, PRIMARY KEY(tbl, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tidelock_known(
  tbl TEXT NOT NULL, key TEXT NOT NULL, outside INTEGER, PRIMARY KEY(tbl, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tidelock_conflicts(
  id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, tbl TEXT NOT NULL, key TEXT NOT NULL,
  base TEXT, local TEXT, remote TEXT, result TEXT);
";

/// The names of these tables, as a list for SQL.
const NAMES: &str = "('tidelock_sync', 'tidelock_tables', 'tidelock_outbox', 'tidelock_staged', 'tidelock_known', 'tidelock_conflicts')";

/// Creates the tables again as they are defined here, with their rows, when they have another form: they are from
/// another build, or were made to do harm. Creates none where there are none. An entry of the part `sync`: never
/// inlined, so that the part can be split off here.
#[inline(never)]
pub fn remake(connection: &Connection) -> Result<()> {
    let sql = format!(
        "SELECT name, sql, type = 'table' FROM main.sqlite_schema WHERE sql IS NOT NULL AND tbl_name IN {NAMES}"
    );
    let text = |value: &Value| value.as_text().unwrap_or_default().to_owned();
    let found = connection.rows(&sql, &[])?;
    // In the form in which SQLite stores them.
    let wanted: Set<String> =
        TABLES.split(';').map(|sql| sql.trim().replace("IF NOT EXISTS ", "")).filter(|sql| !sql.is_empty()).collect();
    let ours: Set<String> = found.iter().map(|row| text(&row[1])).collect();
    if found.is_empty() || ours == wanted {
        return Ok(());
    }
    connection.atomically(|connection| {
        let mut kept = Vec::new();
        for name in found.iter().filter(|row| row[2] == Value::Integer(1)).map(|row| text(&row[0])) {
            let columns = columns(connection, &name)?;
            let list: Vec<String> = columns.iter().map(|column| quote(column)).collect();
            let table = quote(&name);
            if !list.is_empty() {
                kept.push((
                    name,
                    columns,
                    connection.rows(&format!("SELECT {} FROM main.{table}", list.join(", ")), &[])?,
                ));
            }
            connection.exec(&format!("DROP TABLE main.{table}"))?;
        }
        connection.exec(TABLES)?;
        for (name, columns, rows) in kept {
            let present = crate::sync::state::metadata::columns(connection, &name)?;
            let at: Vec<usize> = (0..columns.len()).filter(|at| present.contains(&columns[*at])).collect();
            if at.is_empty() {
                continue;
            }
            let list: Vec<&str> = at.iter().map(|at| &*columns[*at]).collect();
            let places = vec!["?"; at.len()].join(", ");
            // A row that the definition refuses isn't one of sync's.
            let sql = format!("INSERT OR IGNORE INTO main.{name}({}) VALUES ({places})", list.join(", "));
            for row in rows {
                let values: Vec<Value> = at.iter().map(|at| row[*at].clone()).collect();
                connection.run(&sql, &values)?;
            }
        }
        Ok(())
    })
}

/// Returns a table's columns without the generated ones; none for a table that doesn't exist.
fn columns(connection: &Connection, table: &str) -> Result<Vec<String>> {
    let facts = TableFacts::read(connection, table)?;
    let stored = facts.into_iter().flat_map(|facts| facts.columns).filter(|column| !column.generated);
    Ok(stored.map(|column| column.name).collect())
}

/// Drops all other tables with tidelock's prefix from imported contents. Returns whether there are tables of sync, in
/// any form: call [`remake`] for these.
pub fn drop_others(connection: &Connection) -> Result<bool> {
    let sql = format!(
        r"SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name LIKE 'tidelock\_%' ESCAPE '\' AND name NOT IN {NAMES}"
    );
    for row in connection.rows(&sql, &[])? {
        // A table may have been dropped with another one: the tables behind a virtual one.
        let name = quote(row[0].as_text().unwrap_or_default());
        connection.exec(&format!("DROP TABLE IF EXISTS main.{name}"))?;
    }
    let sql = format!("SELECT 1 FROM main.sqlite_schema WHERE tbl_name IN {NAMES} LIMIT 1");
    Ok(connection.value(&sql, &[])?.is_some())
}

/// Returns whether this database was ever synced.
pub fn exists(connection: &Connection) -> Result<bool> {
    let found =
        connection.value("SELECT 1 FROM main.sqlite_schema WHERE name = 'tidelock_tables' AND type = 'table'", &[])?;
    Ok(found.is_some())
}

/// Lets the next pull read all rows of a table, whatever is known of it.
pub fn read_whole_next(connection: &Connection, table: &Value) -> Result<()> {
    let sql = "UPDATE tidelock_tables SET selected = NULL, started = NULL WHERE tbl = ?1";
    connection.run(sql, std::slice::from_ref(table)).map(drop)
}

/// Creates the tables where they are missing, and stores which tables are captured, so that a later opening without
/// `remote` captures them, too. Also an entry of the part `sync`.
#[inline(never)]
pub fn register(connection: &Connection, tables: &[TableSync]) -> Result<()> {
    if exists(connection)? {
        remake(connection)?;
        if registered(connection, tables)? {
            return Ok(());
        }
    }
    connection.atomically(|connection| {
        connection.exec(TABLES)?;
        connection.run("UPDATE tidelock_tables SET capture = 0", &[])?;
        for table in tables {
            let [name, capture, key, columns] = registration(table);
            connection.run(
                "INSERT INTO tidelock_tables(tbl, capture, primary_key, columns) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT(tbl) DO UPDATE SET capture = ?2, primary_key = ?3, columns = ?4",
                &[name, capture, key, columns],
            )?;
        }
        Ok(())
    })
}

fn registered(connection: &Connection, tables: &[TableSync]) -> Result<bool> {
    let stored = connection.rows(
        "SELECT lower(tbl), capture, primary_key, columns FROM tidelock_tables WHERE capture = 1 ORDER BY 1",
        &[],
    )?;
    let mut wanted: Vec<_> = tables
        .iter()
        .map(registration)
        .filter(|[_, capture, ..]| *capture == Value::Integer(1))
        .map(|[name, rest @ ..]| {
            let name = Value::Text(name.as_text().unwrap_or_default().to_ascii_lowercase());
            std::iter::once(name).chain(rest).collect::<Vec<_>>()
        })
        .collect();
    wanted.sort_unstable_by(|a, b| a[0].as_text().cmp(&b[0].as_text()));
    let known = |table: &TableSync| -> Result<bool> {
        let found = connection.value("SELECT 1 FROM tidelock_tables WHERE tbl = ?1", &[Value::from(&*table.table)])?;
        Ok(found.is_some())
    };
    Ok(stored == wanted && tables.iter().try_fold(true, |all, table| Ok::<_, crate::Error>(all && known(table)?))?)
}

fn registration(table: &TableSync) -> [Value; 4] {
    let list = |names: &[String]| json::string_array(names.iter().map(String::as_str));
    [
        Value::from(&*table.table),
        Value::Integer(i64::from(table.direction != SyncDirection::Pull)),
        table.primary_key.clone().map(Names::into_vec).map(|names| list(&names)).into(),
        table.columns.as_deref().map(list).into(),
    ]
}

/// A captured table, as it was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The local table.
    pub table: String,
    /// The key's columns, where the user named them.
    pub primary_key: Option<Vec<String>>,
    /// The synced columns, where the user named them.
    pub columns: Option<Vec<String>>,
}

/// Returns whether changes of any table are captured.
pub fn captures(connection: &Connection) -> Result<bool> {
    Ok(exists(connection)?
        && connection.value("SELECT 1 FROM tidelock_tables WHERE capture = 1 LIMIT 1", &[])?.is_some())
}

/// Returns the tables whose changes are captured.
pub fn captured(connection: &Connection) -> Result<Vec<Registered>> {
    if exists(connection)? { tables(connection, "capture = 1") } else { Ok(Vec::new()) }
}

/// Returns all tables that were ever synced.
pub fn synced(connection: &Connection) -> Result<Vec<Registered>> {
    tables(connection, "1")
}

fn tables(connection: &Connection, condition: &str) -> Result<Vec<Registered>> {
    let sql = format!("SELECT tbl, primary_key, columns FROM tidelock_tables WHERE {condition} ORDER BY tbl");
    let rows = connection.rows(&sql, &[])?;
    let list = |value: &Value| value.as_text().and_then(json::parse_string_array);
    let registered = |row: Vec<Value>| Registered {
        table: row[0].as_text().unwrap_or_default().to_owned(),
        primary_key: list(&row[1]),
        columns: list(&row[2]),
    };
    Ok(rows.into_iter().map(registered).collect())
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
        "SELECT selected, cursor, key, started, watermark, spans FROM tidelock_tables WHERE tbl = ?1",
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
    })
}

/// Stores how far a table was read, in the transaction that applies the rows.
pub fn save_progress(connection: &Connection, table: &str, progress: &TableProgress) -> Result<()> {
    let list = |names: &[String]| json::string_array(names.iter().map(String::as_str));
    let position = progress.position.as_ref();
    connection.run(
        "UPDATE tidelock_tables SET selected = ?2, cursor = ?3, key = ?4, started = ?5, watermark = ?6, spans = ?7 \
         WHERE tbl = ?1",
        &[
            Value::from(table),
            progress.selected.as_deref().map(list).into(),
            position.and_then(|position| position.cursor.clone()).into(),
            position.map(|position| list(&position.key)).into(),
            progress.started.clone().into(),
            progress.watermark.clone().into(),
            progress.spans.as_deref().map(spans::encode).into(),
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
    save_end(connection, "pushed_at", table, now, error)
}

/// Stores how a table's pull ended.
pub fn save_outcome(connection: &Connection, table: &str, now: Timestamp, error: Option<&Error>) -> Result<()> {
    save_end(connection, "pulled_at", table, now, error)
}

/// Stores the time of a successful pull or push in `column`; after an error the earlier time stays.
fn save_end(connection: &Connection, column: &str, table: &str, now: Timestamp, error: Option<&Error>) -> Result<()> {
    let (at, error) = match error {
        None => (Some(now.to_string()), None),
        Some(error) => (None, Some(failure::encode(error, now))),
    };
    connection.run(
        &format!("UPDATE tidelock_tables SET {column} = coalesce(?2, {column}), last_error = ?3 WHERE tbl = ?1"),
        &[Value::from(table), at.into(), error.into()],
    )?;
    Ok(())
}

/// Returns a single value by its name.
pub fn fact(connection: &Connection, name: &str) -> Result<Option<String>> {
    let value = connection.value("SELECT value FROM tidelock_sync WHERE name = ?1", &[Value::from(name)])?;
    Ok(value.and_then(|value| value.as_text().map(str::to_owned)))
}

/// Stores a single value.
pub fn save_fact(connection: &Connection, name: &str, value: &str) -> Result<()> {
    let sql = "INSERT INTO tidelock_sync(name, value) VALUES (?1, ?2) ON CONFLICT(name) DO UPDATE SET value = ?2";
    connection.run(sql, &[Value::from(name), Value::from(value)]).map(drop)
}

/// Returns the user that the database belongs to; `None` before the first sync.
pub fn owner(connection: &Connection) -> Result<Option<String>> {
    fact(connection, "user")
}

/// Stores the user that the database belongs to.
pub fn save_owner(connection: &Connection, user: &str) -> Result<()> {
    save_fact(connection, "user", user)
}

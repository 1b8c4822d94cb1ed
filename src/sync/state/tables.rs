//! The state of sync, in tables inside the database file: as durable as the rows that it is about, and as old as they
//! are after a restore. The tables are created at the first need.

use crate::{
    collections::Set,
    error::Result,
    sqlite::{Connection, TableInfo, quote},
    sync::{
        config::options::{Names, SyncDirection, TableSync},
        values::json,
    },
    value::Value,
};

/// The tables of sync.
///
/// - `tidelock_sync`: the owner and other single values.
/// - `tidelock_tables`: one row per synced table: how it is captured, and how far it was read. `cursor` and `key` are
///   values in the server's own text, `seen` is the server's time when this cursor was read first; `started` is set
///   during a pull, and `spans` while the pull reads all rows;
///   `listed_at` is when all its keys were last compared; `structured` are the text columns in which the remote was
///   seen to store objects or arrays; `filter` is the filter with which it is synced, as columns and their filters;
///   NULL before its first sync; `source` is the URL, the schema and the table of the remote; `keyed_by` and `types` are
///   the columns of its key and the types of all its columns, to which keys and rows in these tables are adapted.
/// - `tidelock_outbox`: one row per changed key; `base` is the row before its first change that the remote doesn't
///   know. `state` is `pending`, `rejected` (permanently) or `restored` (from an image, or of a column that isn't synced
///   any more: it holds nothing back, and only the user lets it be sent).
///   `reason` is why it was rejected, or why a pending change isn't sent now: `retrying` (the remote failed at
///   it `tries` times, and it isn't sent before `not_before`, in milliseconds since 1970), `remote_column_missing`, or
///   `held_back` (by another change). `local` is the row as it was in a restored image, or before a change of the
///   schema. `sent_op` and `sent` are what a push sent, first at `sent_at`, while it is unknown whether that arrived;
///   `deleted` instead of an operation: the remote was seen to have no such row.
/// - `tidelock_staged`: remote rows that can't be applied yet, mostly because their parents are missing; without `row`,
///   a deletion; without an `error`, a deletion that is only noted, until all rows of its table were read.
/// - `tidelock_late`: writes that the remote didn't have when it was asked, and that it may still execute.
/// - `tidelock_conflicts`: the log of conflicts.
/// - `tidelock_known`: the keys that the remote was seen to have, for tables whose deletions are found by comparing
///   keys. `outside` is 1 for a row that the present filter hasn't shown: another filter did, or a push wrote it; and for
///   one that was absent when the keys were listed, and stays for its unpushed change.
const TABLES: &str = "
CREATE TABLE IF NOT EXISTS tidelock_sync(name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tidelock_tables(
  tbl TEXT PRIMARY KEY COLLATE NOCASE, capture INTEGER NOT NULL, primary_key TEXT, columns TEXT,
  selected TEXT, missing TEXT, cursor TEXT, key TEXT, started TEXT, watermark TEXT,
  pulled_at TEXT, pull_error TEXT, pushed_at TEXT, push_error TEXT, structured TEXT, spans TEXT, listed_at TEXT,
  filter TEXT, source TEXT, keyed_by TEXT, types TEXT, seen TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tidelock_outbox(
  id INTEGER PRIMARY KEY AUTOINCREMENT, tbl TEXT NOT NULL, key TEXT NOT NULL, op TEXT NOT NULL, base TEXT,
  time TEXT NOT NULL, state TEXT NOT NULL DEFAULT 'pending', reason TEXT, error TEXT, local TEXT, sent_op TEXT, sent TEXT,
  sent_at TEXT, tries INTEGER, not_before INTEGER);
CREATE UNIQUE INDEX IF NOT EXISTS tidelock_outbox_pending ON tidelock_outbox(tbl, key) WHERE state = 'pending';
CREATE INDEX IF NOT EXISTS tidelock_outbox_rejected ON tidelock_outbox(tbl, key) WHERE state = 'rejected';
CREATE TABLE IF NOT EXISTS tidelock_late(
  tbl TEXT NOT NULL, key TEXT NOT NULL, op TEXT NOT NULL, sent TEXT NOT NULL, deleted INTEGER NOT NULL,
  time TEXT NOT NULL, sent_at TEXT, PRIMARY KEY(tbl, key, op, sent));
CREATE TABLE IF NOT EXISTS tidelock_staged(
  tbl TEXT NOT NULL, key TEXT NOT NULL, row TEXT, error TEXT NOT NULL, PRIMARY KEY(tbl, key));
CREATE TABLE IF NOT EXISTS tidelock_known(
  tbl TEXT NOT NULL, key TEXT NOT NULL, outside INTEGER, PRIMARY KEY(tbl, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tidelock_conflicts(
  id INTEGER PRIMARY KEY AUTOINCREMENT, time TEXT NOT NULL, tbl TEXT NOT NULL, key TEXT NOT NULL,
  base TEXT, local TEXT, remote TEXT, result TEXT);
";

/// The names of these tables, as a list for SQL.
const NAMES: &str = "('tidelock_sync', 'tidelock_tables', 'tidelock_outbox', 'tidelock_late', 'tidelock_staged', 'tidelock_known', 'tidelock_conflicts')";

/// Creates the tables again as they are defined here, with their rows, when they have another form: they are from
/// another build, or were made to do harm. Creates none where there are none. An entry of the part `sync`: never
/// inlined, so that the part can be split off here.
#[inline(never)]
pub fn remake(connection: &Connection) -> Result<()> {
    let sql = format!(
        "SELECT name, sql, type = 'table' FROM main.sqlite_schema \
         WHERE sql IS NOT NULL AND tbl_name COLLATE NOCASE IN {NAMES}"
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
            let present = self::columns(connection, &name)?;
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
    let info = TableInfo::read(connection, table)?;
    let stored = info.into_iter().flat_map(|info| info.columns).filter(|column| !column.generated);
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
    let sql = format!("SELECT 1 FROM main.sqlite_schema WHERE tbl_name COLLATE NOCASE IN {NAMES} LIMIT 1");
    Ok(connection.value(&sql, &[])?.is_some())
}

/// Returns whether this database was ever synced.
pub fn exists(connection: &Connection) -> Result<bool> {
    let found =
        connection.value("SELECT 1 FROM main.sqlite_schema WHERE name = 'tidelock_tables' AND type = 'table'", &[])?;
    Ok(found.is_some())
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

/// A synced table, as it was registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// The local table.
    pub table: String,
    /// The key's columns, where the user named them.
    pub primary_key: Option<Vec<String>>,
    /// The synced columns, where the user named them.
    pub columns: Option<Vec<String>>,
    /// Whether its changes are captured.
    pub captured: bool,
}

/// Returns whether changes of any table are captured, or wait: these follow changes of the schema, also those of a table
/// that isn't pushed now.
pub fn captures(connection: &Connection) -> Result<bool> {
    let any = "SELECT 1 FROM tidelock_tables WHERE capture = 1 UNION ALL SELECT 1 FROM tidelock_outbox LIMIT 1";
    Ok(exists(connection)? && connection.value(any, &[])?.is_some())
}

/// Returns the tables whose changes are captured.
pub fn captured(connection: &Connection) -> Result<Vec<Registered>> {
    Ok(synced(connection)?.into_iter().filter(|registered| registered.captured).collect())
}

/// Returns all tables that were ever synced.
pub fn synced(connection: &Connection) -> Result<Vec<Registered>> {
    if !exists(connection)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT tbl, primary_key, columns, capture FROM tidelock_tables ORDER BY tbl";
    let rows = connection.rows(sql, &[])?;
    let list = |value: &Value| value.as_text().and_then(json::parse_string_array);
    let registered = |row: Vec<Value>| Registered {
        table: row[0].as_text().unwrap_or_default().to_owned(),
        primary_key: list(&row[1]),
        columns: list(&row[2]),
        captured: row[3] == Value::Integer(1),
    };
    Ok(rows.into_iter().map(registered).collect())
}

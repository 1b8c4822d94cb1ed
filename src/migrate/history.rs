//! The tracking table: which migrations were applied to the database.

use std::fmt;

use super::{migration::Migration, version};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, is_reserved},
    time::Timestamp,
    value::Value,
};

/// The columns, sorted by name.
const COLUMNS: &str = "applied_at,checksum,execution_ms,name,version";

/// One row of the tracking table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedMigration {
    /// The version at that time.
    pub version: String,
    /// The name at that time.
    pub name: String,
    /// The checksum at that time.
    pub checksum: String,
    /// When it was applied, as ISO 8601 text.
    pub applied_at: String,
    /// Its duration in milliseconds.
    pub execution_ms: i64,
}

impl AppliedMigration {
    /// Creates the row of a migration that ended at `at` after `execution_ms` milliseconds.
    pub fn new(migration: &Migration, at: Timestamp, execution_ms: i64) -> Self {
        Self {
            version: migration.version.clone(),
            name: migration.name.clone(),
            checksum: migration.checksum.clone(),
            applied_at: at.to_string(),
            execution_ms,
        }
    }
}

/// Returns whether a version is among the applied ones. `applied` is in order, as [`History::read`] returns it.
pub fn is_applied(applied: &[AppliedMigration], version: &str) -> bool {
    applied.binary_search_by(|row| version::compare(&row.version, version)).is_ok()
}

impl fmt::Display for AppliedMigration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.version, self.name)
    }
}

/// The limit of rows in a tracking table: each opening reads them all, and a table from outside may have any number.
const MOST: usize = 10_000;

/// The tracking table by its name. The first migration creates it; until then the history is empty.
#[derive(Clone, Debug)]
pub struct History {
    name: String,
    /// `"main"."<name>"`, quoted: a temporary table of that name must not replace it.
    table: String,
}

impl History {
    /// Creates a handle to the tracking table of that name.
    ///
    /// Fails with `invalid_argument` when the name is empty, has control characters, or begins with `sqlite_` or
    /// `tidelock_`.
    pub fn new(name: &str) -> Result<Self> {
        if name.is_empty() || is_reserved(name) || name.chars().any(char::is_control) {
            return Err(Error::invalid(format!("`migrationsTable` can't be \"{name}\""))
                .hint("Choose a table name that doesn't begin with sqlite_ or tidelock_"));
        }
        Ok(Self { name: name.to_owned(), table: format!("\"main\".\"{}\"", name.replace('"', "\"\"")) })
    }

    /// Returns the table's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns whether the table exists. Fails with `migration_invalid` when something else has its name.
    pub fn exists(&self, connection: &Connection) -> Result<bool> {
        match connection.is_table_of(&self.name, COLUMNS)? {
            None => return Ok(false),
            Some(true) => return Ok(true),
            Some(false) => {}
        }
        let message = format!("\"{}\" exists in this database, but is not a migrations table", self.name);
        Err(Error::new(ErrorCode::MigrationInvalid, message)
            .hint("Open with another `migrationsTable`, or rename the existing one")
            .detail("table", self.name.as_str()))
    }

    /// Creates the table unless it exists.
    pub fn create(&self, connection: &Connection) -> Result<()> {
        if self.exists(connection)? {
            return Ok(());
        }
        connection.exec(&format!(
            "CREATE TABLE {} (version TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL, \
             applied_at TEXT NOT NULL, execution_ms INTEGER NOT NULL)",
            self.table
        ))
    }

    /// Returns the applied migrations in the order of their versions; empty when the table doesn't exist.
    pub fn read(&self, connection: &Connection) -> Result<Vec<AppliedMigration>> {
        if !self.exists(connection)? {
            return Ok(Vec::new());
        }
        // The casts: another tool's table of the same shape may have numbers for versions.
        let sql = format!(
            "SELECT CAST(version AS TEXT), CAST(name AS TEXT), CAST(checksum AS TEXT), CAST(applied_at AS TEXT), \
             CAST(execution_ms AS INTEGER) FROM {} LIMIT {}",
            self.table,
            MOST + 1
        );
        let text = |value: Option<Value>| match value {
            Some(Value::Text(text)) => text,
            _ => String::new(),
        };
        let row = |row: Vec<Value>| {
            let mut values = row.into_iter();
            AppliedMigration {
                version: text(values.next()),
                name: text(values.next()),
                checksum: text(values.next()),
                applied_at: text(values.next()),
                execution_ms: values.next().as_ref().and_then(Value::as_integer).unwrap_or(0),
            }
        };
        let mut applied: Vec<_> = connection.rows(&sql, &[])?.into_iter().map(row).collect();
        if applied.len() > MOST {
            let message = format!("\"{}\" has more than {MOST} rows", self.name);
            return Err(Error::new(ErrorCode::MigrationInvalid, message)
                .hint("Open with another `migrationsTable`, or check where the file comes from")
                .detail("table", self.name.as_str()));
        }
        applied.sort_unstable_by(|a, b| version::compare(&a.version, &b.version));
        Ok(applied)
    }

    /// Adds a row; the table must exist.
    pub fn insert(&self, connection: &Connection, row: &AppliedMigration) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (version, name, checksum, applied_at, execution_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            self.table
        );
        let AppliedMigration { version, name, checksum, applied_at, execution_ms } = row.clone();
        let values = [version.into(), name.into(), checksum.into(), applied_at.into(), Value::Integer(execution_ms)];
        connection.run(&sql, &values).map(drop)
    }

    /// Removes a version in any spelling. Returns `false` when it isn't in the table.
    pub fn delete(&self, connection: &Connection, version: &str) -> Result<bool> {
        let Some(row) = self.read(connection)?.into_iter().find(|row| version::same(&row.version, version)) else {
            return Ok(false);
        };
        let sql = format!("DELETE FROM {} WHERE CAST(version AS TEXT) = ?1", self.table);
        Ok(connection.run(&sql, &[row.version.into()])? > 0)
    }
}

//! The tracking table: which migrations the database has.

use std::fmt;

use super::{migration::Migration, version};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, is_reserved},
    time::Timestamp,
    value::Value,
};

/// The columns in the order of their names.
const COLUMNS: &str = "applied_at,checksum,execution_ms,name,version";

/// One row of the tracking table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The version as it was written then.
    pub version: String,
    /// The name as it was then.
    pub name: String,
    /// The checksum as it was then.
    pub checksum: String,
    /// When, as ISO 8601 text.
    pub applied_at: String,
    /// How long it took.
    pub execution_ms: i64,
}

impl Applied {
    /// The row of a migration that ended at `at` after so many milliseconds.
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

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.version, self.name)
    }
}

/// So many rows a tracking table may have. One from outside may have any number, and each is read at each opening.
const MOST: usize = 10_000;

/// The tracking table by its name. It is made with the first migration; until then the history is empty.
#[derive(Clone, Debug)]
pub struct History {
    name: String,
    /// `"main"."<name>"`, quoted: a temporary table of that name must not stand in for it.
    table: String,
}

impl History {
    /// The tracking table of that name.
    ///
    /// `invalid_argument` when it is empty, has control characters, or begins with `sqlite_` or `tidelock_`.
    pub fn new(name: &str) -> Result<Self> {
        if name.is_empty() || is_reserved(name) || name.chars().any(char::is_control) {
            return Err(Error::invalid(format!("`migrationsTable` can't be \"{name}\""))
                .hint("Take a table name that begins neither with sqlite_ nor with tidelock_"));
        }
        Ok(Self { name: name.to_owned(), table: format!("\"main\".\"{}\"", name.replace('"', "\"\"")) })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the table is there. `migration_invalid` when something else goes by its name.
    pub fn exists(&self, connection: &Connection) -> Result<bool> {
        match connection.is_table_of(&self.name, COLUMNS)? {
            None => return Ok(false),
            Some(true) => return Ok(true),
            Some(false) => {}
        }
        let message = format!("\"{}\" is in this database, but it is not a table of migrations", self.name);
        Err(Error::new(ErrorCode::MigrationInvalid, message)
            .hint("Open with another `migrationsTable`, or rename what is there")
            .detail("table", self.name.as_str()))
    }

    /// Makes the table unless it is there.
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

    /// What is applied, in the order of the versions. Empty when there is no table.
    pub fn read(&self, connection: &Connection) -> Result<Vec<Applied>> {
        if !self.exists(connection)? {
            return Ok(Vec::new());
        }
        // The casts: a table of the same shape may have come from another tool, with numbers for versions.
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
            Applied {
                version: text(values.next()),
                name: text(values.next()),
                checksum: text(values.next()),
                applied_at: text(values.next()),
                execution_ms: values.next().as_ref().and_then(Value::as_integer).unwrap_or(0),
            }
        };
        let mut applied: Vec<_> = connection.rows(&sql, &[])?.into_iter().map(row).collect();
        if applied.len() > MOST {
            let message = format!("\"{}\" has more rows than there can be migrations: {MOST}", self.name);
            return Err(Error::new(ErrorCode::MigrationInvalid, message)
                .hint("Open with another `migrationsTable`, or check where the file comes from")
                .detail("table", self.name.as_str()));
        }
        applied.sort_unstable_by(|a, b| version::compare(&a.version, &b.version));
        Ok(applied)
    }

    /// Adds a row; the table must be there.
    pub fn insert(&self, connection: &Connection, row: &Applied) -> Result<()> {
        let sql = format!(
            "INSERT INTO {} (version, name, checksum, applied_at, execution_ms) VALUES (?1, ?2, ?3, ?4, ?5)",
            self.table
        );
        let Applied { version, name, checksum, applied_at, execution_ms } = row.clone();
        let values = [version.into(), name.into(), checksum.into(), applied_at.into(), Value::Integer(execution_ms)];
        connection.run(&sql, &values).map(drop)
    }

    /// Removes a version, however it was written then; `false` when it isn't there.
    pub fn delete(&self, connection: &Connection, version: &str) -> Result<bool> {
        let Some(row) = self.read(connection)?.into_iter().find(|row| version::same(&row.version, version)) else {
            return Ok(false);
        };
        let sql = format!("DELETE FROM {} WHERE CAST(version AS TEXT) = ?1", self.table);
        Ok(connection.run(&sql, &[row.version.into()])? > 0)
    }
}

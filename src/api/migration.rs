//! The migrations that a program supplies.

use std::{fmt, future::Future, sync::Arc};

use super::{ThreadSafe, Transaction};
use crate::{
    error::Result,
    migrate::{MigrationSource, files::from_files},
    ports::LocalFuture,
};

/// A function of a program that changes the schema.
pub(super) trait SchemaFn: Fn(Transaction) -> LocalFuture<'static, Result<()>> + ThreadSafe {}
impl<F: Fn(Transaction) -> LocalFuture<'static, Result<()>> + ThreadSafe> SchemaFn for F {}

/// A migration that is a function; its future stays on the engine's thread.
pub(super) type MigrationFn = Arc<dyn SchemaFn>;

/// One step of the schema's history.
///
/// Versions are ordered by their runs of digits, as numbers: `2` comes before `10`. Each migration runs once, in one
/// transaction with its row in the table `schema_migrations`. An applied one must not be changed afterwards.
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{Migration, OpenOptions, Storage, params};
///
/// let history = vec![
///     Migration::new("1", "create notes", "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
///         .down("DROP TABLE notes"),
///     Migration::function("2", "first note", async |tx| {
///         tx.run("INSERT INTO notes(body) VALUES (?)", params!["hello"]).await?;
///         Ok(())
///     }),
/// ];
/// let db = tidelock::open(OpenOptions::new("notes").storage(Storage::Memory).migrations(history)).await?;
/// assert_eq!(db.query_as::<String>("SELECT body FROM notes", ()).await?, ["hello"]);
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Migration {
    pub(super) source: MigrationSource,
    pub(super) up: Option<MigrationFn>,
    pub(super) down: Option<MigrationFn>,
}

impl Migration {
    /// Creates a migration whose `up` is a script.
    pub fn new(version: impl Into<String>, name: impl Into<String>, up: impl Into<String>) -> Self {
        let source = MigrationSource {
            version: version.into(),
            name: name.into(),
            up: Some(up.into()),
            ..MigrationSource::default()
        };
        Self { source, up: None, down: None }
    }

    /// Creates a migration whose `up` is a function. It runs on the thread of the database, whose other calls wait
    /// meanwhile: it must use only its transaction.
    pub fn function<F, Fut>(version: impl Into<String>, name: impl Into<String>, up: F) -> Self
    where
        F: Fn(Transaction) -> Fut + ThreadSafe + 'static,
        Fut: Future<Output = Result<()>> + 'static,
    {
        let source = MigrationSource {
            version: version.into(),
            name: name.into(),
            up_is_function: true,
            ..MigrationSource::default()
        };
        Self { source, up: Some(boxed(up)), down: None }
    }

    /// Adds the script that undoes it.
    #[must_use]
    pub fn down(mut self, down: impl Into<String>) -> Self {
        self.source.down = Some(down.into());
        self
    }

    /// Adds a function that undoes it.
    #[must_use]
    pub fn down_function<F, Fut>(mut self, down: F) -> Self
    where
        F: Fn(Transaction) -> Fut + ThreadSafe + 'static,
        Fut: Future<Output = Result<()>> + 'static,
    {
        self.source.down_is_function = true;
        self.down = Some(boxed(down));
        self
    }

    /// Replaces the checksum, by default the SHA-256 of `up` with line ends made `\n`.
    #[must_use]
    pub fn checksum(mut self, checksum: impl Into<String>) -> Self {
        self.source.checksum = Some(checksum.into());
        self
    }

    /// Sets whether it runs in one transaction with its row in the tracking table. `false` is for scripts that have
    /// transactions of their own, or can't run in one (VACUUM). Default: `true`.
    #[must_use]
    pub fn transaction(mut self, transaction: bool) -> Self {
        self.source.transaction = Some(transaction);
        self
    }

    /// Returns its version.
    pub fn version(&self) -> &str {
        &self.source.version
    }

    /// Returns its name.
    pub fn name(&self) -> &str {
        &self.source.name
    }
}

fn boxed<F, Fut>(function: F) -> MigrationFn
where
    F: Fn(Transaction) -> Fut + ThreadSafe + 'static,
    Fut: Future<Output = Result<()>> + 'static,
{
    Arc::new(move |tx: Transaction| -> LocalFuture<'static, Result<()>> { Box::pin(function(tx)) })
}

impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration")
            .field("version", &self.version())
            .field("name", &self.name())
            .finish_non_exhaustive()
    }
}

/// Makes migrations from files, given as path and text; the macro [`migrations!`](crate::migrations!) has a whole folder.
///
/// Understands, by file name, `0001_name.sql`, `0001_name.up.sql` with `.down.sql`, `20250709035454_name/migration.sql`
/// (Prisma, with an optional `down.sql`; drizzle-kit), `V1__name.sql` with `U1__name.sql` (Flyway), and the markers
/// `-- migrate:up` and `-- migrate:down` (dbmate), `-- Up Migration` and `-- Down Migration` (node-pg-migrate). Files
/// that don't end in `.sql` are ignored.
///
/// Fails with `migration_invalid` (`details.file`, `details.line`) for a file with an unknown kind of name, an empty
/// file, two files of the same version, misplaced or unknown markers, a quote, a comment or a trigger that never ends,
/// and damaged text (NUL, U+FFFD).
///
/// ```
/// let history = tidelock::migrations_from([
///     ("0002_sold.sql", "ALTER TABLE products ADD COLUMN sold INTEGER"),
///     ("0001_products.up.sql", "CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT)"),
///     ("0001_products.down.sql", "DROP TABLE products"),
/// ])?;
/// assert_eq!(history.iter().map(|migration| migration.version()).collect::<Vec<_>>(), ["0001", "0002"]);
/// # Ok::<_, tidelock::Error>(())
/// ```
pub fn migrations_from<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Vec<Migration>> {
    let sources = from_files(files)?;
    Ok(sources.into_iter().map(|source| Migration { source, up: None, down: None }).collect())
}

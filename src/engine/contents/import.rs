//! Contents from a file: `import`, and the seed of an empty database.

use serde::Deserialize;

use crate::{
    engine::{Database, contents::replacement::Replacement, database::Inner, migrations::driver::has_data},
    error::{Error, ErrorCode, Result},
    sqlite::{Connection, Image, Sink, check_ms},
    sync::{
        outbox::{capture, entries},
        state::tables,
    },
};

/// The options of [`Database::import`].
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// The migration version of a file without a tracking table; by default the option `baseline` of `open`.
    pub baseline: Option<String>,
    /// Whether to discard local changes that were not pushed.
    pub force: bool,
    /// The milliseconds in which the file must be checked, if fewer than its size allows.
    pub timeout_ms: Option<f64>,
}

impl Database {
    /// Replaces the contents with those of a `.sqlite` file: [`prepare_import`](Self::prepare_import), then
    /// [`finish_replacement`](Self::finish_replacement).
    pub async fn import(&self, image: Image, options: ImportOptions) -> Result<()> {
        let prepared = self.prepare_import(image, options).await?;
        self.finish_replacement(prepared).await
    }

    /// Checks a `.sqlite` file in a scratch database, locks the connection, and takes a safety snapshot. The file's own
    /// unpushed changes and its user are not imported. The database is still unchanged, so the future may be dropped.
    ///
    /// Fails with `database_corrupt`, `invalid_argument` (an unsupported schema; an unknown baseline), `timeout` (checking it
    /// takes too long), `snapshot_incompatible` (newer than the supplied migrations), `database_too_large`, `out_of_memory`,
    /// `unpushed_changes` unless `force`, and as a snapshot does.
    pub async fn prepare_import(&self, image: Image, options: ImportOptions) -> Result<Replacement> {
        let inner = &*self.inner;
        inner.connection()?;
        let scratch = inner.open_file(image, options.baseline.as_deref(), options.timeout_ms).await?;
        let guard = inner.acquire().await?;
        let connection = inner.connection()?;
        inner.flusher.admit_write()?;
        inner.check_unpushed(&connection, options.force)?;
        inner.replacement(scratch, guard).await
    }

    /// Writes the contents as SQL text to `sink`, piece by piece, like `.dump` of SQLite's shell. Locks the connection.
    ///
    /// Fails with `closed`, and with SQLite's errors.
    pub async fn export_sql(&self, sink: &mut Sink<'_>) -> Result<()> {
        let _guard = self.inner.acquire().await?;
        self.inner.connection()?.dump(sink)
    }

    /// Returns whether the database is empty, so that a seed would be used.
    pub fn wants_seed(&self) -> Result<bool> {
        has_data(&*self.inner.connection()?).map(|data| !data)
    }

    /// Fills an empty database from a `.sqlite` file, with the checks of [`import`](Self::import). Returns `false` and
    /// changes nothing if the database has data. Call this before [`start`](Self::start), which runs the migrations
    /// that the file lacks.
    pub async fn seed(&self, image: Image) -> Result<bool> {
        let inner = &*self.inner;
        let _guard = inner.acquire().await?;
        let connection = inner.connection()?;
        if has_data(&connection)? {
            return Ok(false);
        }
        let scratch = inner.open_file(image, None, None).await?;
        inner.replace(&connection, scratch.pin(), Box::pin(async { Ok(()) })).await?;
        Ok(true)
    }
}

impl Inner {
    /// Opens a file in a scratch database, checks it, and prepares it to replace this database's contents.
    async fn open_file(&self, image: Image, baseline: Option<&str>, timeout_ms: Option<f64>) -> Result<Connection> {
        check_size(&image, self.file.max_bytes())?;
        let deadline = self.deadline(check_ms(image.len()).min(timeout_ms.unwrap_or(f64::MAX)));
        let (scratch, _) = self.check_file(Connection::open_external(image, Some(deadline))?).await?;
        self.migrations.adopt(self, &scratch, baseline.or(self.options.baseline.as_deref()), false).await?;
        self.migrations.check(&scratch).map_err(incompatible)?;
        // The same steps follow on the database itself, where none of them may fail any more.
        self.remake_sync(&scratch).await?;
        self.adopt(&scratch)?;
        Ok(scratch)
    }

    /// Replaces the sync state of a file with this database's, and checks that triggers can be created on its tables.
    fn adopt(&self, scratch: &Connection) -> Result<()> {
        entries::forget_origin(scratch)?;
        if let Some(sync) = self.sync.get() {
            tables::register(scratch, &sync.config().options.tables)?;
        }
        self.check_audit(scratch)?;
        if tables::captures(scratch)? { capture::resume(scratch) } else { Ok(()) }
    }
}

/// Fails with `database_too_large` when a file has more than `limit` bytes.
pub(in crate::engine) fn check_size(image: &Image, limit: u64) -> Result<()> {
    let bytes = image.len();
    if bytes <= limit {
        return Ok(());
    }
    Err(Error::new(ErrorCode::DatabaseTooLarge, format!("The file has {bytes} bytes"))
        .hint("Open the database with a larger maxBytes")
        .detail("bytes", bytes)
        .detail("maxBytes", limit))
}

fn incompatible(error: Error) -> Error {
    if !error.is(ErrorCode::SchemaTooNew) {
        return error;
    }
    Error::new(ErrorCode::SnapshotIncompatible, "The file is newer than this app's migrations")
        .hint("Get the newer version of the app: a page, by reloading it")
        .cause(error)
}

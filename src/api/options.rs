//! The options of `open`, with the contract's names and defaults.

use std::{fmt, path::PathBuf, sync::Arc};

#[cfg(not(target_arch = "wasm32"))]
use super::functions::SqlFunction;
#[cfg(feature = "sync")]
use super::remote::RemoteOptions;
use super::{
    Encryption, Migration, ThreadSafe,
    event::OnWarning,
    platform::{self, Place},
};
use crate::{
    audit::{self, Redacted},
    engine::{self, DurabilityMode as Durability, IntegerMode, Mode, StorageKind as Storage},
    error::{Error, Result, Warning},
    health::Thresholds as HealthThresholds,
    lock::OnBusy,
    maintain::Expiry,
    migrate::OutOfOrder,
    snapshot::{SnapshotOptions as EngineSnapshotOptions, VerifyMode},
    sync::config::options::RemoteOptions as CoreRemoteOptions,
};

const MIB: u64 = 1024 * 1024;

/// The smallest `max_bytes`.
const LEAST_BYTES: u64 = 64 * 1024;

/// What to do when another process, or another tab, has the database open.
///
/// ```
/// use tidelock::{LockOptions, OnBusy, OpenOptions};
///
/// let options = OpenOptions::new("shop").lock(LockOptions { on_busy: OnBusy::Wait, timeout_ms: 2000 });
/// # let _ = options;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LockOptions {
    /// [`OnBusy::Fail`] by default. Folders have no [`OnBusy::Takeover`] and no [`OnBusy::Steal`].
    pub on_busy: OnBusy,
    /// How long [`OnBusy::Wait`] waits, in milliseconds: 10,000 by default.
    pub timeout_ms: u64,
}

impl Default for LockOptions {
    fn default() -> Self {
        Self { on_busy: OnBusy::Fail, timeout_ms: 10_000 }
    }
}

/// Periodic snapshots: when they are taken, and how long they stay.
///
/// ```
/// use tidelock::{OpenOptions, SnapshotOptions};
///
/// let daily = SnapshotOptions { interval_ms: 86_400_000, keep: 7, ..SnapshotOptions::default() };
/// let options = OpenOptions::new("shop").snapshots(daily);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct SnapshotOptions {
    /// The time from one snapshot to the next, in milliseconds: an hour by default. A snapshot is skipped when nothing
    /// has changed.
    pub interval_ms: u64,
    /// How many snapshots without a label are kept: 3 by default.
    pub keep: usize,
    /// How many days a snapshot without a label stays at most; by default no limit. The newest verified one always
    /// stays.
    pub retention_days: Option<f64>,
    /// How often a failed snapshot is retried: 3 by default.
    pub retries: u32,
    /// The wait before the first retry, in milliseconds: 1000 by default. It doubles with each retry.
    pub backoff_ms: u64,
    /// Whether snapshots are compressed, which is the default.
    pub compress: bool,
    /// How a new snapshot is verified: [`VerifyMode::Quick`] by default.
    pub verify: VerifyMode,
    /// How long the page log stays, in milliseconds: 7 days by default. `restore_at` can go back to any time in it.
    pub log_retention_ms: u64,
    /// The largest size of the page log in bytes; by default the larger of 64 MiB and twice the database.
    pub log_max_bytes: Option<u64>,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        let usual = EngineSnapshotOptions::default();
        Self {
            interval_ms: usual.interval_ms,
            keep: usual.keep,
            retention_days: usual.retention_days,
            retries: usual.retries,
            backoff_ms: usual.backoff_ms,
            compress: usual.compress,
            verify: usual.verify,
            log_retention_ms: usual.log_retention_ms,
            log_max_bytes: usual.log_max_bytes,
        }
    }
}

/// Which tables are audited: each change of their rows is recorded in the table `audit_log`, in the same transaction.
///
/// ```
/// use tidelock::{AuditOptions, OpenOptions};
///
/// let audit = AuditOptions::new(["orders", "users"]).redact("users", "password_hash");
/// let options = OpenOptions::new("shop").audit(audit);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AuditOptions {
    tables: Vec<String>,
    redact: Vec<Redacted>,
    retention_days: Option<f64>,
}

impl AuditOptions {
    /// Audits these tables. One that doesn't exist yet is audited from its creation on.
    pub fn new<T: Into<String>>(tables: impl IntoIterator<Item = T>) -> Self {
        let tables = tables.into_iter().map(Into::into).collect();
        Self { tables, redact: Vec::new(), retention_days: None }
    }

    /// Never records the values of a column: `[redacted]` stands in their place.
    #[must_use]
    pub fn redact(mut self, table: impl Into<String>, column: impl Into<String>) -> Self {
        self.redact.push(Redacted { table: Some(table.into()), column: column.into() });
        self
    }

    /// Has [`Database::maintain`](crate::Database::maintain) delete records after so many days.
    #[must_use]
    pub fn retention_days(mut self, days: f64) -> Self {
        self.retention_days = Some(days);
        self
    }
}

/// The options of [`open`](crate::open()): a name, and what differs from the defaults.
///
/// ```
/// use tidelock::{Durability, Migration, OpenOptions, Storage};
///
/// let options = OpenOptions::new("shop")
///     .storage(Storage::File)
///     .path("data/shop.tidelock")
///     .durability(Durability::Strict)
///     .migrations([Migration::new("1", "products", "CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT)")]);
/// # let _ = options;
/// ```
#[derive(Clone)]
#[must_use]
pub struct OpenOptions {
    pub(super) name: String,
    pub(super) storage: Option<Storage>,
    pub(super) path: Option<PathBuf>,
    pub(super) migrations: Option<Vec<Migration>>,
    migrate: bool,
    out_of_order: OutOfOrder,
    baseline: Option<String>,
    migrations_table: String,
    durability: Durability,
    cache_bytes: u64,
    max_bytes: Option<u64>,
    lock: LockOptions,
    snapshots: Option<SnapshotOptions>,
    pub(super) seed: Option<Vec<u8>>,
    pub(super) encryption: Option<Encryption>,
    audit: Option<AuditOptions>,
    audit_table: String,
    pub(super) expires: Vec<Expiry>,
    pub(super) health: HealthThresholds,
    pub(super) on_warning: Option<OnWarning>,
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) functions: Vec<SqlFunction>,
    #[cfg(feature = "sync")]
    pub(super) remote: Option<RemoteOptions>,
    #[cfg(feature = "sync")]
    mode: Mode,
}

impl OpenOptions {
    /// Begins with the defaults. `name` names the database: 1 to 128 characters, no control characters.
    /// Natively `storage` has to be given, too.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            storage: None,
            path: None,
            migrations: None,
            migrate: true,
            out_of_order: OutOfOrder::Error,
            baseline: None,
            migrations_table: "schema_migrations".to_owned(),
            durability: Durability::Relaxed,
            cache_bytes: 32 * MIB,
            max_bytes: None,
            lock: LockOptions::default(),
            snapshots: Some(SnapshotOptions::default()),
            seed: None,
            encryption: None,
            audit: None,
            audit_table: audit::TABLE.to_owned(),
            expires: Vec::new(),
            health: HealthThresholds::default(),
            on_warning: None,
            #[cfg(not(target_arch = "wasm32"))]
            functions: Vec::new(),
            #[cfg(feature = "sync")]
            remote: None,
            #[cfg(feature = "sync")]
            mode: Mode::Local,
        }
    }

    /// Sets where the data lives. Natively: [`Storage::File`](crate::Storage::File) or
    /// [`Storage::Memory`](crate::Storage::Memory), without a default. In browsers:
    /// [`Storage::Indexeddb`](crate::Storage::Indexeddb), the default, [`Storage::Memory`](crate::Storage::Memory), and in a
    /// dedicated worker [`Storage::Opfs`](crate::Storage::Opfs) (feature `opfs`), which opens a database larger than memory.
    /// Others are `unsupported_environment`. A database stays in the storage in which it was made.
    pub fn storage(mut self, storage: Storage) -> Self {
        self.storage = Some(storage);
        self
    }

    /// Sets the folder of [`Storage::File`](crate::Storage::File). Default: `./<name>.tidelock/`.
    pub fn path(mut self, path: impl Into<PathBuf>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Sets the history of the schema. Without it nothing is run or checked. See [`migrations!`](crate::migrations!).
    pub fn migrations(mut self, migrations: impl IntoIterator<Item = Migration>) -> Self {
        self.migrations = Some(migrations.into_iter().collect());
        self
    }

    /// Sets whether pending migrations run before `open` resolves. Applied ones are checked in any case. Default:
    /// `true`.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Sets what to do with a pending migration that is older than the newest applied one. Default:
    /// [`OutOfOrder::Error`](crate::OutOfOrder::Error).
    pub fn out_of_order(mut self, out_of_order: OutOfOrder) -> Self {
        self.out_of_order = out_of_order;
        self
    }

    /// Sets the version of data that comes without a tracking table: of a seed, an import.
    pub fn baseline(mut self, version: impl Into<String>) -> Self {
        self.baseline = Some(version.into());
        self
    }

    /// Sets the table in which applied migrations are tracked. Default: `schema_migrations`.
    pub fn migrations_table(mut self, table: impl Into<String>) -> Self {
        self.migrations_table = table.into();
        self
    }

    /// Sets when a write resolves, and what may be lost. Default: [`Durability::Relaxed`](crate::Durability::Relaxed).
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the size of the page cache in bytes, at least 1 MiB: a database in a folder or in OPFS may be larger than
    /// memory. Default: 32 MiB.
    pub fn cache_bytes(mut self, bytes: u64) -> Self {
        self.cache_bytes = bytes;
        self
    }

    /// Sets the largest size of the database in bytes, at least 64 KiB; beyond it writes fail with
    /// `database_too_large`. Default: 1 GiB in memory and in IndexedDB, elsewhere no limit.
    pub fn max_bytes(mut self, bytes: u64) -> Self {
        self.max_bytes = Some(bytes);
        self
    }

    /// Sets what to do when another process, or another tab, has the database. Default: fail with `database_in_use`.
    pub fn lock(mut self, lock: LockOptions) -> Self {
        self.lock = lock;
        self
    }

    /// Sets the periodic snapshots; `None` for none. Safety snapshots, for example before an import, are taken in any
    /// case.
    pub fn snapshots(mut self, snapshots: impl Into<Option<SnapshotOptions>>) -> Self {
        self.snapshots = snapshots.into();
        self
    }

    /// Sets the bytes of a `.sqlite` file that fills a new database. It is checked as by
    /// [`Database::import`](crate::Database::import).
    pub fn seed(mut self, file: impl Into<Vec<u8>>) -> Self {
        self.seed = Some(file.into());
        self
    }

    /// Encrypts everything at rest. An existing database must have been encrypted with the same secret; otherwise, and
    /// without this option, it is `decryption_failed`.
    pub fn encryption(mut self, encryption: Encryption) -> Self {
        self.encryption = Some(encryption);
        self
    }

    /// Sets which tables are audited. Default: none.
    pub fn audit(mut self, audit: AuditOptions) -> Self {
        self.audit = Some(audit);
        self
    }

    /// Sets the table of the option `audit`. Default: `audit_log`.
    pub fn audit_table(mut self, table: impl Into<String>) -> Self {
        self.audit_table = table.into();
        self
    }

    /// Has [`Database::maintain`](crate::Database::maintain) delete the rows of a table whose time in `column` has
    /// passed.
    pub fn expires(mut self, table: impl Into<String>, column: impl Into<String>) -> Self {
        self.expires.push(Expiry { table: table.into(), column: column.into() });
        self
    }

    /// Sets the thresholds above which [`Database::health`](crate::Database::health) raises an alert.
    pub fn health(mut self, thresholds: HealthThresholds) -> Self {
        self.health = thresholds;
        self
    }

    /// Sets what is called with each warning, on the engine's thread. Default: they are written to the standard
    /// error, or to the browser's console.
    pub fn on_warning(mut self, on_warning: impl Fn(&Warning) + ThreadSafe + 'static) -> Self {
        self.on_warning = Some(Arc::new(on_warning));
        self
    }

    /// Adds a function or a collation that SQL calls, from the first statement on: in migrations, too. Of several of one
    /// name the last one counts.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn function(mut self, function: SqlFunction) -> Self {
        self.functions.push(function);
        self
    }

    /// Sets the Supabase project or PostgREST to sync with: see [`Database::sync`](crate::Database::sync). Opening sends
    /// nothing.
    #[cfg(feature = "sync")]
    pub fn remote(mut self, remote: RemoteOptions) -> Self {
        self.remote = Some(remote);
        self
    }

    /// Sets whether the database syncs by itself from its opening on, for which it needs a remote. Neither `open` nor
    /// writes wait for the network. Default: [`Mode::Local`](crate::Mode::Local).
    ///
    /// ```no_run
    /// # futures_executor::block_on(async {
    /// use tidelock::{Migration, Mode, OpenOptions, RemoteOptions, Storage};
    ///
    /// let remote = RemoteOptions::new("https://example.supabase.co", "sb_publishable_example").tables(["notes"]);
    /// let options = OpenOptions::new("notes")
    ///     .storage(Storage::File)
    ///     .migrations([Migration::new("1", "notes", "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)")])
    ///     .remote(remote)
    ///     .mode(Mode::Cloud);
    /// let db = tidelock::open(options).await?;
    /// db.sync().ready().await?; // The rows of the remote are here, now or since an earlier run.
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    #[cfg(feature = "sync")]
    pub fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// Checks the options about the place of the database. Returns that place; `None` in memory.
    ///
    /// Fails with `invalid_argument` and `unsupported_environment`.
    pub(super) fn place(&self) -> Result<(Storage, Option<Place>)> {
        platform::place(&self.name, self.storage, self.path.as_deref())
    }

    /// Returns the options as the engine takes them. Fails with `invalid_argument`.
    pub(super) fn core(&self, storage: Storage) -> Result<engine::OpenOptions> {
        let too_small = |option: &str, least: u64| {
            Err(Error::invalid(format!("{option} must be a whole number from {least} on")).detail("option", option))
        };
        if self.max_bytes.is_some_and(|bytes| bytes < LEAST_BYTES) {
            return too_small("max_bytes", LEAST_BYTES);
        }
        if self.cache_bytes < MIB {
            return too_small("cache_bytes", MIB);
        }
        let HealthThresholds { no_snapshot_ms, sync_lag_ms, storage_ratio, growth_factor } = self.health;
        // NaN is no threshold either.
        if ![no_snapshot_ms, sync_lag_ms, storage_ratio, growth_factor].into_iter().all(|threshold| threshold > 0.0) {
            return Err(Error::invalid("health must have thresholds of more than 0").detail("option", "health"));
        }
        if self.encryption.as_ref().is_some_and(Encryption::is_empty) {
            return Err(Error::invalid("encryption.passphrase must not be empty").detail("option", "encryption"));
        }
        let (mode, remote) = self.core_remote()?;
        Ok(engine::OpenOptions {
            name: self.name.clone(),
            storage,
            durability: self.durability,
            integers: IntegerMode::Bigint,
            max_bytes: self.max_bytes,
            cache_bytes: Some(self.cache_bytes),
            on_busy: self.lock.on_busy,
            lock_timeout_ms: self.lock.timeout_ms,
            holder: platform::holder(),
            migrate: self.migrate,
            out_of_order: self.out_of_order,
            baseline: self.baseline.clone(),
            migrations_table: self.migrations_table.clone(),
            migrations: self.migrations.as_ref().map(|all| all.iter().map(|each| each.source.clone()).collect()),
            snapshots: self.core_snapshots(),
            mode,
            remote,
        })
    }

    #[cfg(feature = "sync")]
    fn core_remote(&self) -> Result<(Mode, Option<CoreRemoteOptions>)> {
        let remote = self.remote.as_ref().map(RemoteOptions::core).transpose()?;
        if self.mode == Mode::Cloud && remote.is_none() {
            return Err(Error::invalid("Mode::Cloud needs a remote").hint("Pass remote(RemoteOptions::new(url, key))"));
        }
        Ok((self.mode, remote))
    }

    #[cfg(not(feature = "sync"))]
    fn core_remote(&self) -> Result<(Mode, Option<CoreRemoteOptions>)> {
        Ok((Mode::Local, None))
    }

    fn core_snapshots(&self) -> EngineSnapshotOptions {
        let Some(given) = &self.snapshots else {
            return EngineSnapshotOptions { enabled: false, ..EngineSnapshotOptions::default() };
        };
        EngineSnapshotOptions {
            enabled: true,
            interval_ms: given.interval_ms,
            timed_by_user: false,
            keep: given.keep,
            retention_days: given.retention_days,
            retries: given.retries,
            backoff_ms: given.backoff_ms,
            compress: given.compress,
            verify: given.verify,
            on_hidden: true,
            log_retention_ms: given.log_retention_ms,
            log_max_bytes: given.log_max_bytes,
        }
    }

    /// Returns the audit as the engine takes it.
    ///
    /// Fails with `invalid_argument`.
    pub(super) fn core_audit(&self) -> Result<Option<audit::AuditOptions>> {
        let Some(AuditOptions { tables, redact, retention_days }) = self.audit.clone() else { return Ok(None) };
        // NaN is no time either.
        if retention_days.is_some_and(|days| days.is_nan() || days <= 0.0) {
            return Err(Error::invalid("audit.retention_days must be more than 0")
                .hint("Leave it out to keep the records")
                .detail("option", "audit.retention_days"));
        }
        if self.audit_table.eq_ignore_ascii_case(&self.migrations_table) {
            return Err(Error::invalid("audit_table and migrations_table must differ").detail("option", "audit_table"));
        }
        Ok(Some(audit::AuditOptions { tables, redact, retention_days, table: self.audit_table.clone() }))
    }
}

impl fmt::Debug for OpenOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenOptions")
            .field("name", &self.name)
            .field("storage", &self.storage)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

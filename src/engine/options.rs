//! The options of `open` as plain data. TypeScript has already checked names and types.

use serde::Deserialize;

use super::storage::flush::FlushPolicy;
use crate::{
    error::{Error, Result},
    lock::OnBusy,
    migrate::{MigrationSource, OutOfOrder},
    ports::Durability,
    snapshot::SnapshotOptions,
    sync::config::options::RemoteOptions,
};

/// Where the data lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum StorageKind {
    /// IndexedDB.
    Indexeddb,
    /// The browser's private file system.
    Opfs,
    /// A folder.
    File,
    /// In memory only: lost when it is closed.
    Memory,
}

/// When the promise of a write resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Durability"))]
pub enum DurabilityMode {
    /// When the commit survives a power cut.
    Strict,
    /// When the commit survives a crash of the browser.
    Relaxed,
    /// When the commit is in memory; it is stored within 50 ms.
    Deferred,
    /// When the commit is in memory; it is stored with the next snapshot, flush or close.
    Snapshot,
}

impl DurabilityMode {
    /// Returns the mode's name in the options.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Relaxed => "relaxed",
            Self::Deferred => "deferred",
            Self::Snapshot => "snapshot",
        }
    }

    /// Returns when commits are written to the log.
    pub(crate) const fn flush_policy(self) -> FlushPolicy {
        match self {
            Self::Strict => FlushPolicy::Immediate(Durability::Strict),
            Self::Relaxed => FlushPolicy::Immediate(Durability::Relaxed),
            Self::Deferred => FlushPolicy::Delayed,
            Self::Snapshot => FlushPolicy::OnRequest,
        }
    }
}

/// The description of the opener for tabs that find the database in use.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HolderOptions {
    /// The page's title.
    pub title: String,
    /// The page's address.
    pub url: String,
}

/// The JavaScript type of integers in results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntegerMode {
    /// Numbers up to 2^53-1, bigints beyond.
    Auto,
    /// Always bigints.
    Bigint,
    /// Always numbers; fails with `integer_out_of_range` instead of rounding.
    Number,
}

/// Whether the database syncs automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Mode {
    /// Sync runs only by calls.
    Local,
    /// Sync runs automatically.
    Cloud,
}

/// All options of `open`, as TypeScript passes them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenOptions {
    /// The name of the database, its lock and its storage.
    pub name: String,
    /// Where the data lives.
    pub storage: StorageKind,
    /// When the promise of a write resolves.
    pub durability: DurabilityMode,
    /// The JavaScript type of integers in results.
    pub integers: IntegerMode,
    /// The maximum size of the database in bytes; `None`: what memory allows, or the storage where it is read page by page.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// The limit of the page cache in bytes, where a database is read page by page; `None`: all of it is in memory.
    #[serde(default)]
    pub cache_bytes: Option<u64>,
    /// What to do when another tab holds the lock.
    pub on_busy: OnBusy,
    /// The timeout of [`OnBusy::Wait`] and [`OnBusy::Takeover`] in milliseconds.
    pub lock_timeout_ms: u64,
    /// The description of the opener.
    pub holder: HolderOptions,
    /// Whether pending migrations run before `open` resolves.
    pub migrate: bool,
    /// Whether a pending migration may be older than the newest applied one.
    pub out_of_order: OutOfOrder,
    /// The migration version of data without a tracking table.
    #[serde(default)]
    pub baseline: Option<String>,
    /// The name of the tracking table.
    pub migrations_table: String,
    /// The migrations; `None`: none are run or checked.
    #[serde(default)]
    pub migrations: Option<Vec<MigrationSource>>,
    /// The options of snapshots.
    pub snapshots: SnapshotOptions,
    /// Whether the database syncs automatically.
    pub mode: Mode,
    /// The remote, if any. TypeScript passes it separately: see [`Database::connect`](super::Database::connect).
    #[serde(skip)]
    pub remote: Option<RemoteOptions>,
}

impl OpenOptions {
    /// Fails with `invalid_argument` for invalid combinations.
    pub fn check(&self) -> Result<()> {
        self.snapshots.check()?;
        if self.durability == DurabilityMode::Snapshot && !self.snapshots.enabled {
            return Err(
                Error::invalid("durability 'snapshot' needs snapshots").hint("Nothing else would store anything")
            );
        }
        Ok(())
    }
}

//! The options of an opening, as plain data. TypeScript has already checked names and types.

use serde::Deserialize;

use super::storage::flush::Pace;
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
    /// A folder.
    File,
    /// Nowhere: lost with the page.
    Memory,
}

/// When a write's promise resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "Durability"))]
pub enum DurabilityMode {
    /// Its pages survive a power cut.
    Strict,
    /// Its pages survive the death of the browser.
    Relaxed,
    /// It is done in memory; its pages follow within 50 ms.
    Deferred,
    /// It is done in memory; its pages are stored with the next snapshot, flush or close.
    Snapshot,
}

impl DurabilityMode {
    /// The mode's name, as users write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Relaxed => "relaxed",
            Self::Deferred => "deferred",
            Self::Snapshot => "snapshot",
        }
    }

    /// When commits go to the log.
    pub const fn pace(self) -> Pace {
        match self {
            Self::Strict => Pace::AtOnce(Durability::Strict),
            Self::Relaxed => Pace::AtOnce(Durability::Relaxed),
            Self::Deferred => Pace::Soon,
            Self::Snapshot => Pace::WhenAsked,
        }
    }
}

/// The opener, as other tabs see it when the database is in use.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HolderOptions {
    /// The page's title.
    pub title: String,
    /// The page's address.
    pub url: String,
}

/// What integers come out as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IntegerMode {
    /// Numbers while exact, bigints beyond 2^53-1.
    Auto,
    /// Always bigints.
    Bigint,
    /// Always numbers; `integer_out_of_range` rather than round.
    Number,
}

/// `cloud` keeps in step with the remote by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum Mode {
    /// Sync only when called.
    Local,
    /// Sync by itself.
    Cloud,
}

/// Everything that `open` takes, as TypeScript passes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OpenOptions {
    /// Names the database, its lock and its storage.
    pub name: String,
    /// Where the data lives.
    pub storage: StorageKind,
    /// When a write's promise resolves.
    pub durability: DurabilityMode,
    /// What integers come out as.
    pub integers: IntegerMode,
    /// The most bytes that the database may have.
    pub max_bytes: u64,
    /// What to do when another tab has the database.
    pub on_busy: OnBusy,
    /// How long [`OnBusy::Wait`] waits, in milliseconds.
    pub lock_timeout_ms: u64,
    /// Who opens it.
    pub holder: HolderOptions,
    /// Whether pending migrations run before `open` resolves.
    pub migrate: bool,
    /// Whether a pending migration may be older than the newest applied one.
    pub out_of_order: OutOfOrder,
    /// The version that data without a tracking table stands at.
    #[serde(default)]
    pub baseline: Option<String>,
    /// The name of the tracking table.
    pub migrations_table: String,
    /// The schema's history; `None`: nothing is run or checked.
    #[serde(default)]
    pub migrations: Option<Vec<MigrationSource>>,
    /// Periodic snapshots.
    pub snapshots: SnapshotOptions,
    /// Local or cloud.
    pub mode: Mode,
    /// The remote, if any. TypeScript hands it in by itself: see [`Database::connect`](super::Database::connect).
    #[serde(skip)]
    pub remote: Option<RemoteOptions>,
}

impl OpenOptions {
    /// Refuses what can't be meant: `invalid_argument`.
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

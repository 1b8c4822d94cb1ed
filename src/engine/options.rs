//! The options of an opening, as plain data. TypeScript has already checked names and types.

use serde::Deserialize;

use crate::ports::Durability;

/// Where the data lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StorageKind {
    /// IndexedDB.
    Indexeddb,
    /// Nowhere: gone with the page.
    Memory,
}

/// When a write's promise resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DurabilityMode {
    /// Its pages survive a power cut.
    Strict,
    /// Its pages survive the death of the browser.
    Relaxed,
}

impl From<DurabilityMode> for Durability {
    fn from(mode: DurabilityMode) -> Self {
        match mode {
            DurabilityMode::Strict => Durability::Strict,
            DurabilityMode::Relaxed => Durability::Relaxed,
        }
    }
}

/// Who the opener is, for whoever finds the database in use.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct HolderOptions {
    /// The page's title.
    pub title: String,
    /// The page's address.
    pub url: String,
}

/// What to do when another tab has the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BusyMode {
    /// Reject with `database_in_use`.
    Fail,
    /// Wait until `lockTimeoutMs`, then reject with `lock_timeout`.
    Wait,
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

/// One supplied migration; a function's body stays in JavaScript.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationOptions {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// The SQL that applies it.
    #[serde(default)]
    pub up: Option<String>,
    /// The SQL that undoes it.
    #[serde(default)]
    pub down: Option<String>,
    /// A checksum to compare instead of the text's own.
    #[serde(default)]
    pub checksum: Option<String>,
    /// Whether it runs in a transaction.
    pub transaction: bool,
    /// `up` is a function.
    pub up_is_function: bool,
    /// `down` is a function.
    pub down_is_function: bool,
}

/// What to do with a pending migration older than the newest applied one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutOfOrder {
    /// Refuse with `migration_out_of_order`.
    Error,
    /// Run it.
    Apply,
}

/// `cloud` keeps in step with the remote by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
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
    pub on_busy: BusyMode,
    /// How long [`BusyMode::Wait`] waits, in milliseconds.
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
    pub migrations: Option<Vec<MigrationOptions>>,
    /// Periodic snapshots.
    pub snapshots: crate::snapshot::Options,
    /// Local or cloud.
    pub mode: Mode,
    /// The remote, if any.
    #[serde(default)]
    pub remote: Option<crate::sync::RemoteOptions>,
}

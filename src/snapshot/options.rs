//! The options of a database's snapshots, with the contract's defaults.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// How a snapshot's chunks are verified before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum VerifyMode {
    /// Read back the chunks that it wrote.
    Quick,
    /// Read back and hash all chunks, and run `quick_check` over them.
    Full,
    /// No verification: such a snapshot never lets anything older be deleted.
    None,
}

/// Why a snapshot was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "SnapshotReason"))]
pub enum Reason {
    /// Requested by a call.
    Manual,
    /// By schedule.
    Scheduled,
    /// Because the page was hidden.
    Hidden,
    /// Before a dangerous operation.
    Safety,
}

impl Reason {
    /// Returns the reason of that name; `Manual` for an unknown name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "scheduled" => Self::Scheduled,
            "hidden" => Self::Hidden,
            "safety" => Self::Safety,
            _ => Self::Manual,
        }
    }

    /// Returns the reason as it is stored and shown.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Manual => "manual",
            Reason::Scheduled => "scheduled",
            Reason::Hidden => "hidden",
            Reason::Safety => "safety",
        }
    }
}

/// `SnapshotOptions` of the contract, as far as the core needs them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SnapshotOptions {
    /// Whether periodic snapshots are taken. Safety snapshots always are.
    pub enabled: bool,
    /// Milliseconds between two scheduled snapshots.
    pub interval_ms: u64,
    /// Whether the user's function schedules snapshots, instead of the interval.
    pub timed_by_user: bool,
    /// How many scheduled and manual snapshots without a label are kept.
    pub keep: usize,
    /// For how many days those are kept at most; the last good one is kept longer. `None`: no limit.
    pub retention_days: Option<f64>,
    /// How often a failed scheduled snapshot is retried before the next interval.
    pub retries: u32,
    /// Milliseconds before the first retry; doubles, with jitter.
    pub backoff_ms: u64,
    /// Whether chunks are stored lz4-compressed.
    pub compress: bool,
    /// How they are verified.
    pub verify: VerifyMode,
    /// Whether one is taken when the page is hidden.
    pub on_hidden: bool,
    /// How long the page log is kept, in milliseconds, where snapshots make it usable.
    pub log_retention_ms: u64,
    /// How many bytes of the log are kept; by default the larger of 64 MiB and twice the database.
    pub log_max_bytes: Option<u64>,
}

impl Default for SnapshotOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            interval_ms: 3_600_000,
            timed_by_user: false,
            keep: 3,
            retention_days: None,
            retries: 3,
            backoff_ms: 1000,
            compress: true,
            verify: VerifyMode::Quick,
            on_hidden: true,
            log_retention_ms: 7 * 86_400_000,
            log_max_bytes: None,
        }
    }
}

impl SnapshotOptions {
    /// Fails with `invalid_argument` for options that can't be valid.
    pub fn check(&self) -> Result<()> {
        if self.interval_ms == 0 {
            return Err(
                Error::invalid("snapshots.intervalMs must be at least 1").hint("snapshots: false turns them off")
            );
        }
        if self.keep == 0 {
            return Err(Error::invalid("snapshots.keep must be at least 1").hint("snapshots: false turns them off"));
        }
        if self.retention_days.is_some_and(|days| days.is_nan() || days <= 0.0) {
            return Err(Error::invalid("snapshots.retentionDays must be more than 0").hint("Leave it out to keep them"));
        }
        Ok(())
    }

    /// Returns the limit of the log in bytes for a database of that size.
    pub fn log_limit(&self, db_bytes: u64) -> u64 {
        self.log_max_bytes.unwrap_or_else(|| (64 * 1024 * 1024).max(2 * db_bytes))
    }
}

//! Snapshot policy: which to keep, when the next one is due, and how they are shown. Pure: time and randomness are
//! arguments.

mod info;
mod options;
mod retention;
mod schedule;

pub use info::{SnapshotInfo, Verification};
pub use options::{Reason, SnapshotOptions, VerifyMode};
pub use retention::{RetentionPlan, StoredState};
pub use schedule::{backoff_ms, first_due, hidden_due};

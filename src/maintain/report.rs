//! The result of `maintain()`.

use serde::Serialize;

use crate::{error::Error, sqlite::FkViolation};

/// The findings and actions of a maintenance.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MaintenanceReport {
    /// Whether there are no findings and no failed steps.
    pub ok: bool,
    /// The findings of SQLite's `integrity_check`, at most 100. If there are any, nothing was written.
    pub integrity: Vec<String>,
    /// Foreign key violations, at most 100.
    pub foreign_keys: Vec<FkViolation>,
    /// The deleted rows of each table of the option `expires`.
    pub expired: Vec<ExpiredRows>,
    /// The number of deleted rows of the audit log.
    pub audit_deleted: u64,
    /// The number of released free pages.
    pub freed_pages: u64,
    /// The bytes of the released pages.
    pub freed_bytes: u64,
    /// Whether the statistics of the query planner were updated.
    pub analyzed: bool,
    /// The failed steps. The other steps ran.
    pub errors: Vec<MaintenanceFailure>,
    /// The duration in milliseconds.
    pub ms: f64,
}

/// The expired rows of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct ExpiredRows {
    /// The table.
    pub table: String,
    /// The number of deleted rows.
    pub deleted: u64,
}

/// A step of maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum MaintenanceStep {
    /// Checks the file.
    Integrity,
    /// Checks the foreign keys.
    ForeignKeys,
    /// Deletes expired rows.
    Expires,
    /// Deletes old rows of the audit log.
    Audit,
    /// Releases free pages.
    Vacuum,
    /// Updates the statistics of the query planner.
    Analyze,
}

/// A failed step.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MaintenanceFailure {
    /// The step.
    pub step: MaintenanceStep,
    /// The table that the step processed, if it has one.
    pub table: Option<String>,
    /// Why it failed.
    pub error: Error,
}

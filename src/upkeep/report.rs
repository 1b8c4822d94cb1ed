//! The result of `maintain()`.

use serde::Serialize;

use crate::{error::Error, sqlite::FkViolation};

/// What was found and done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MaintenanceReport {
    /// Nothing was found, and nothing failed.
    pub ok: bool,
    /// What SQLite's `integrity_check` found, at most 100 sentences. Where there are any, nothing was written.
    pub integrity: Vec<String>,
    /// Rows whose parent is missing, at most 100.
    pub foreign_keys: Vec<FkViolation>,
    /// How many rows of the tables of the option `expires` went.
    pub expired: Vec<Expired>,
    /// How many rows of the audit log went.
    pub audit_deleted: u64,
    /// Pages that were given back.
    pub freed_pages: u64,
    /// The bytes of them.
    pub freed_bytes: u64,
    /// Whether the statistics for the query planner were gathered again.
    pub analyzed: bool,
    /// Steps that failed; the others ran.
    pub errors: Vec<Failed>,
    /// How long all of it took.
    pub ms: f64,
}

/// What went of one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "ExpiredRows"))]
pub struct Expired {
    /// The table.
    pub table: String,
    /// How many rows.
    pub deleted: u64,
}

/// A step of a maintenance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum MaintenanceStep {
    /// Checks the file.
    Integrity,
    /// Checks the foreign keys.
    ForeignKeys,
    /// Deletes rows that have expired.
    Expires,
    /// Deletes old rows of the audit log.
    Audit,
    /// Gives back free pages.
    Vacuum,
    /// Gathers statistics for the query planner.
    Analyze,
}

/// A step that failed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "MaintenanceFailure"))]
pub struct Failed {
    /// Which.
    pub step: MaintenanceStep,
    /// The table that it was about, if it was about one.
    pub table: Option<String>,
    /// Why.
    pub error: Error,
}

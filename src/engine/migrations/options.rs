//! The options of a run of migrations.

use serde::Deserialize;

use crate::migrate::MigrationDirection;

/// What is undone when one of several migrations fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Atomic {
    /// Only the failed migration. Earlier ones stay applied.
    #[default]
    Each,
    /// The whole run, which is one transaction.
    All,
}

/// The options of `run` and `revert`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunOptions {
    /// The target version: `run` applies up to it, `revert` reverts newer migrations.
    pub to: Option<String>,
    /// The maximum number of migrations; for `revert` without `to`: 1.
    pub steps: Option<u32>,
    /// Whether to return only the plan.
    pub dry_run: bool,
    /// What is undone after a failure.
    pub atomic: Atomic,
    /// The timeout of the run in milliseconds. The statement that runs then is interrupted, its migration is undone, and
    /// the run fails with `timeout`.
    pub timeout_ms: Option<u32>,
}

/// The settings for running a plan.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunMode {
    pub direction: MigrationDirection,
    pub dry_run: bool,
    pub atomic: Atomic,
}

//! How migrations are to be run.

use serde::Deserialize;

use crate::migrate::Direction;

/// What is undone when one of several fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Atomic {
    /// Only that one: those before it stay.
    #[default]
    Each,
    /// All of the run, which is one transaction.
    All,
}

/// The options of `run` and `revert`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RunOptions {
    /// The version at which the database shall stand afterwards: `run` applies up to it, `revert` what is newer.
    pub to: Option<String>,
    /// How many at most. For `revert` without `to`: 1.
    pub steps: Option<u32>,
    /// Tell only what would be done.
    pub dry_run: bool,
    /// What a failure undoes.
    pub atomic: Atomic,
    /// After so many milliseconds the statement that runs then fails with `timeout`, and its migration with it.
    pub timeout_ms: Option<u32>,
}

/// How a plan is to be run.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    pub direction: Direction,
    pub dry_run: bool,
    pub atomic: Atomic,
}

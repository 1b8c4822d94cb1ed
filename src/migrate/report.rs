//! What a run tells.

use serde::Serialize;

use super::migration::{Direction, Migration};

/// One migration of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Planned {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// Which way it runs.
    pub direction: Direction,
}

impl Planned {
    /// The migrations of a plan, in order.
    pub fn all(plan: &[&Migration], direction: Direction) -> Vec<Self> {
        let step = |migration: &&Migration| Self {
            version: migration.version.clone(),
            name: migration.name.clone(),
            direction,
        };
        plan.iter().map(step).collect()
    }
}

/// One migration that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Ran {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// How long it took.
    pub execution_ms: i64,
}

/// What a call planned and did. Of a dry run the lists of what was done are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was to be done, in order.
    pub planned: Vec<Planned>,
    /// What was applied, in order.
    pub applied: Vec<Ran>,
    /// What was reverted, in order.
    pub reverted: Vec<Ran>,
}

//! The result of a run.

use serde::Serialize;

use super::migration::{Body, Direction, Migration};

/// One migration of a plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "PlannedMigration"))]
pub struct Planned {
    /// Its version.
    pub version: String,
    /// Its name.
    pub name: String,
    /// Which way it runs.
    pub direction: Direction,
    /// Of a dry run: the script that would run, `null` for a function. Else left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub sql: Option<Option<String>>,
}

impl Planned {
    /// Lists the migrations of a plan, in order; with their scripts in a dry run.
    pub fn all(plan: &[&Migration], direction: Direction, dry_run: bool) -> Vec<Self> {
        let script = |migration: &Migration| match migration.body(direction) {
            Some(Body::Sql(sql)) => Some(sql.clone()),
            _ => None,
        };
        let step = |migration: &&Migration| Self {
            version: migration.version.clone(),
            name: migration.name.clone(),
            direction,
            sql: dry_run.then(|| script(migration)),
        };
        plan.iter().map(step).collect()
    }
}

/// One migration that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "MigrationResult"))]
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
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MigrationReport {
    /// What was to be done, in order.
    pub planned: Vec<Planned>,
    /// What was applied, in order.
    pub applied: Vec<Ran>,
    /// What was reverted, in order.
    pub reverted: Vec<Ran>,
}

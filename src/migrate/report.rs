//! The result of a run.

use serde::Serialize;

use super::migration::{Body, Migration, MigrationDirection};

/// A planned migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct PlannedMigration {
    /// The version.
    pub version: String,
    /// The name.
    pub name: String,
    /// Whether it is applied or reverted.
    pub direction: MigrationDirection,
    /// In a dry run, the script that would run; `null` for a function. Otherwise missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub sql: Option<Option<String>>,
}

impl PlannedMigration {
    /// Lists the migrations of a plan, in order; with their scripts in a dry run.
    pub(crate) fn all(plan: &[&Migration], direction: MigrationDirection, dry_run: bool) -> Vec<Self> {
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

/// A migration that ran.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MigrationResult {
    /// The version.
    pub version: String,
    /// The name.
    pub name: String,
    /// The duration in milliseconds.
    pub execution_ms: i64,
}

/// The result of a run of migrations. In a dry run, `applied` and `reverted` are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MigrationReport {
    /// The planned migrations, in order.
    pub planned: Vec<PlannedMigration>,
    /// The applied migrations, in order.
    pub applied: Vec<MigrationResult>,
    /// The reverted migrations, in order.
    pub reverted: Vec<MigrationResult>,
}

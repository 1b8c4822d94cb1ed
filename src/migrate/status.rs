//! One row per version: the result of `migrations.status()`.

use serde::Serialize;

use super::{
    history::{AppliedMigration, is_applied},
    migration::{Migration, SuppliedMigrations},
    plan, version,
};

/// The state of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum MigrationState {
    /// Applied, and supplied with the same text.
    Applied,
    /// Not applied.
    Pending,
    /// Applied, but its text was changed since.
    Modified,
    /// Applied, but not supplied.
    Missing,
    /// Not applied, though a newer version is.
    OutOfOrder,
}

/// The status of one version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct MigrationStatus {
    /// The version, as supplied, else as applied.
    pub version: String,
    /// The name, as supplied, else as applied.
    pub name: String,
    /// Its state.
    pub state: MigrationState,
    /// The checksum with which it was applied, else the supplied one.
    pub checksum: String,
    /// When it was applied, as ISO 8601 text.
    pub applied_at: Option<String>,
    /// The duration in milliseconds; 0 if it was only marked as applied.
    pub execution_ms: Option<i64>,
    /// Whether it is supplied with a `down`.
    pub reversible: bool,
}

/// Returns all versions, supplied or applied, in order. `supplied` is `None` for an app without migrations: applied
/// ones are then compared with nothing.
pub fn status(supplied: Option<&SuppliedMigrations>, applied: &[AppliedMigration]) -> Vec<MigrationStatus> {
    let row = |migration: Option<&Migration>, row: &AppliedMigration| MigrationStatus {
        version: migration.map_or(&row.version, |migration| &migration.version).clone(),
        name: migration.map_or(&row.name, |migration| &migration.name).clone(),
        state: match migration {
            Some(migration) if migration.checksum != row.checksum => MigrationState::Modified,
            None if supplied.is_some() => MigrationState::Missing,
            _ => MigrationState::Applied,
        },
        checksum: row.checksum.clone(),
        applied_at: Some(row.applied_at.clone()),
        execution_ms: Some(row.execution_ms),
        reversible: migration.is_some_and(|migration| migration.down.is_some()),
    };
    let mut rows: Vec<_> =
        applied.iter().map(|found| row(supplied.and_then(|all| all.find(&found.version)), found)).collect();
    for migration in
        supplied.into_iter().flat_map(SuppliedMigrations::iter).filter(|known| !is_applied(applied, &known.version))
    {
        let is_older = |newest: &AppliedMigration| version::compare(&migration.version, &newest.version).is_lt();
        rows.push(MigrationStatus {
            version: migration.version.clone(),
            name: migration.name.clone(),
            state: if plan::newest(applied).is_some_and(is_older) {
                MigrationState::OutOfOrder
            } else {
                MigrationState::Pending
            },
            checksum: migration.checksum.clone(),
            applied_at: None,
            execution_ms: None,
            reversible: migration.down.is_some(),
        });
    }
    rows.sort_unstable_by(|a, b| version::compare(&a.version, &b.version));
    rows
}

/// Returns how many of [`status`]'s rows are pending, and how many are modified.
pub fn counts(supplied: Option<&SuppliedMigrations>, applied: &[AppliedMigration]) -> (usize, usize) {
    let Some(supplied) = supplied else { return (0, 0) };
    let modified =
        |row: &&AppliedMigration| supplied.find(&row.version).is_some_and(|known| known.checksum != row.checksum);
    (
        supplied.iter().filter(|known| !is_applied(applied, &known.version)).count(),
        applied.iter().filter(modified).count(),
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::migration::MigrationSource, AppliedMigration, MigrationState, SuppliedMigrations, counts, status,
    };
    use crate::time::Timestamp;

    fn supplied(versions: &[&str]) -> SuppliedMigrations {
        let source = |version: &&str| MigrationSource {
            version: (*version).into(),
            name: "name".into(),
            up: Some("SELECT 1".into()),
            down: (*version != "1").then(|| "SELECT 0".into()),
            ..MigrationSource::default()
        };
        SuppliedMigrations::new(versions.iter().map(source).collect()).unwrap()
    }

    fn applied(versions: &[&str]) -> Vec<AppliedMigration> {
        supplied(versions).iter().map(|migration| AppliedMigration::new(migration, Timestamp(0), 7)).collect()
    }

    #[test]
    fn shows_where_each_version_stands() {
        let mut rows = applied(&["1", "3", "4"]);
        rows[1].checksum = "another".into();
        let shown = status(Some(&supplied(&["1", "2", "3", "10"])), &rows);
        assert_eq!(counts(Some(&supplied(&["1", "2", "3", "10"])), &rows), (2, 1));
        let states: Vec<_> = shown.iter().map(|row| (row.version.as_str(), row.state, row.reversible)).collect();
        assert_eq!(
            states,
            [
                ("1", MigrationState::Applied, false),
                ("2", MigrationState::OutOfOrder, true),
                ("3", MigrationState::Modified, true),
                ("4", MigrationState::Missing, false),
                ("10", MigrationState::Pending, true),
            ]
        );
    }

    #[test]
    fn is_written_as_the_contract_says() {
        let rows = status(Some(&supplied(&["1", "2"])), &applied(&["1"]));
        let checksum = &rows[0].checksum;
        assert_eq!(
            serde_json::to_string(&rows).unwrap(),
            format!(
                r#"[{{"version":"1","name":"name","state":"applied","checksum":"{checksum}","appliedAt":"1970-01-01T00:00:00.000Z","executionMs":7,"reversible":false}},{{"version":"2","name":"name","state":"pending","checksum":"{checksum}","appliedAt":null,"executionMs":null,"reversible":true}}]"#
            )
        );
        assert_eq!(serde_json::to_string(&MigrationState::OutOfOrder).unwrap(), r#""out_of_order""#);
    }

    #[test]
    fn without_a_supplied_history_nothing_is_missing() {
        assert_eq!(status(None, &applied(&["1"]))[0].state, MigrationState::Applied);
    }
}

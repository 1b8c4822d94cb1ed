//! Which migrations to run, or why they can't be: pure functions of the supplied and the applied ones.

use serde::Deserialize;

use super::{
    history::{AppliedMigration, is_applied},
    migration::{Migration, MigrationDirection, SuppliedMigrations},
    version,
};
use crate::error::{Detail, Error, ErrorCode, Result};

/// What to do with a pending migration that is older than the newest applied one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutOfOrder {
    /// Refuse: `migration_out_of_order`.
    #[default]
    Error,
    /// Apply it.
    Apply,
}

/// The limits of a run. When both are given, both apply.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MigrationTarget {
    /// The target version.
    pub to: Option<String>,
    /// The maximum number of migrations.
    pub steps: Option<u32>,
}

/// Checks the applied migrations against the supplied ones, whatever is pending.
///
/// Fails with `schema_too_new` when an applied version is newer than all supplied ones (an old tab on new data),
/// `migration_missing` for any other applied one that isn't supplied, `migration_checksum_mismatch` for one whose text
/// changed.
pub fn check(supplied: &SuppliedMigrations, applied: &[AppliedMigration]) -> Result<()> {
    let beyond = |row: &&AppliedMigration| {
        supplied.newest().is_none_or(|newest| version::compare(&row.version, &newest.version).is_gt())
    };
    if let Some(row) = applied.iter().rev().find(beyond) {
        let known = supplied.newest().map_or_else(|| "none".to_owned(), Migration::to_string);
        let message = format!("The data stands at migration {row}, which this app doesn't know (its newest: {known})");
        return Err(about(ErrorCode::SchemaTooNew, message, &row.version)
            .hint("The data was written by a newer version of the app: get that version; a page, by reloading it"));
    }
    for row in applied {
        let Some(migration) = supplied.find(&row.version) else {
            let message = format!("Migration {row} was applied to this database but is not supplied");
            return Err(about(ErrorCode::MigrationMissing, message, &row.version)
                .hint("Supply it again, or remove it from the history with migrations.forget()"));
        };
        if migration.checksum != row.checksum {
            let message = format!("Migration {migration} was changed after it had been applied");
            return Err(about(ErrorCode::MigrationChecksumMismatch, message, &row.version)
                .hint("Restore its text, and put the change into a new migration")
                .detail("applied", row.checksum.as_str())
                .detail("supplied", migration.checksum.as_str()));
        }
    }
    Ok(())
}

/// Returns the migrations to apply, in order. Without a target: all pending ones.
///
/// Fails as [`check`] does; with `migration_out_of_order`, if `out_of_order` says so, for those that would run;
/// with `invalid_argument` when the target isn't supplied.
pub fn to_apply<'m>(
    supplied: &'m SuppliedMigrations,
    applied: &[AppliedMigration],
    target: &MigrationTarget,
    out_of_order: OutOfOrder,
) -> Result<Vec<&'m Migration>> {
    check(supplied, applied)?;
    let last = target.to.as_deref().map(|to| known(supplied, to)).transpose()?;
    let wanted = |migration: &&Migration| {
        last.is_none_or(|last| version::compare(&migration.version, &last.version).is_le())
            && !is_applied(applied, &migration.version)
    };
    let plan: Vec<_> = supplied.iter().filter(wanted).take(limit(target.steps)).collect();
    match (out_of_order, plan.first(), newest(applied)) {
        (OutOfOrder::Error, Some(first), Some(newest)) if version::compare(&first.version, &newest.version).is_lt() => {
            let message = format!("Migration {first} is pending, but the newer {newest} was applied before it");
            Err(about(ErrorCode::MigrationOutOfOrder, message, &first.version)
                .hint("Give it a version newer than the newest applied one, or open with outOfOrder: 'apply'")
                .detail("newest", newest.version.as_str()))
        }
        _ => Ok(plan),
    }
}

/// Returns the migrations to revert, newest first. Without a target: the newest one.
///
/// Fails as [`check`] does; with `migration_irreversible`, before anything runs, when one of them has no `down`; with
/// `invalid_argument` when the target isn't supplied.
pub fn to_revert<'m>(
    supplied: &'m SuppliedMigrations,
    applied: &[AppliedMigration],
    target: &MigrationTarget,
) -> Result<Vec<&'m Migration>> {
    check(supplied, applied)?;
    let last = target.to.as_deref().map(|to| known(supplied, to)).transpose()?;
    let steps = limit(target.steps.or(if last.is_some() { None } else { Some(1) }));
    let plan: Vec<_> = applied
        .iter()
        .rev()
        .filter_map(|row| supplied.find(&row.version))
        .filter(|migration| last.is_none_or(|last| version::compare(&migration.version, &last.version).is_gt()))
        .take(steps)
        .collect();
    match plan.iter().find(|migration| migration.body(MigrationDirection::Down).is_none()) {
        Some(migration) => {
            let message = format!("Migration {migration} can't be reverted: it has no `down`");
            Err(about(ErrorCode::MigrationIrreversible, message, &migration.version)
                .hint("Add a `down` to it, or write a new migration that undoes it. Nothing was reverted"))
        }
        None => Ok(plan),
    }
}

/// Returns the migrations that a baseline at `version` marks as applied, in order: up to `version`, without those
/// already applied.
///
/// Fails as [`check`] does; with `invalid_argument` when the version isn't supplied.
pub fn to_mark<'m>(
    supplied: &'m SuppliedMigrations,
    applied: &[AppliedMigration],
    version: &str,
) -> Result<Vec<&'m Migration>> {
    let target = MigrationTarget { to: Some(version.to_owned()), steps: None };
    to_apply(supplied, applied, &target, OutOfOrder::Apply)
}

/// Returns the newest applied migration. `applied` is in order, as [`super::History::read`] returns it.
pub fn newest(applied: &[AppliedMigration]) -> Option<&AppliedMigration> {
    applied.last()
}

fn known<'m>(supplied: &'m SuppliedMigrations, version: &str) -> Result<&'m Migration> {
    supplied.find(version).ok_or_else(|| {
        let all = supplied.iter().map(|migration| Detail::Text(migration.version.clone())).collect::<Vec<_>>();
        Error::invalid(format!("There is no migration \"{version}\""))
            .hint("Use the version of one of the supplied migrations")
            .detail("version", version)
            .detail("supplied", all)
    })
}

fn about(code: ErrorCode, message: String, version: &str) -> Error {
    Error::new(code, message).detail("version", version)
}

fn limit(steps: Option<u32>) -> usize {
    steps.map_or(usize::MAX, |steps| steps as usize)
}

#[cfg(test)]
mod tests {
    use super::{
        super::migration::MigrationSource, AppliedMigration, Error, ErrorCode, Migration, MigrationTarget, OutOfOrder,
        Result, SuppliedMigrations, check, to_apply, to_mark, to_revert,
    };
    use crate::{error::Detail, time::Timestamp};

    fn supplied(versions: &[&str]) -> SuppliedMigrations {
        let source = |version: &&str| MigrationSource {
            version: (*version).into(),
            name: "name".into(),
            up: Some(format!("SELECT {version}")),
            down: Some("SELECT 0".into()),
            ..MigrationSource::default()
        };
        SuppliedMigrations::new(versions.iter().map(source).collect()).unwrap()
    }

    /// Returns the tracking rows after exactly these were applied.
    fn applied(versions: &[&str]) -> Vec<AppliedMigration> {
        supplied(versions).iter().map(|migration| AppliedMigration::new(migration, Timestamp(0), 0)).collect()
    }

    fn to(version: &str) -> MigrationTarget {
        MigrationTarget { to: Some(version.into()), steps: None }
    }

    fn steps(steps: u32) -> MigrationTarget {
        MigrationTarget { to: None, steps: Some(steps) }
    }

    fn versions(plan: Result<Vec<&Migration>>) -> Vec<&str> {
        plan.unwrap().into_iter().map(|migration| migration.version.as_str()).collect()
    }

    fn refused<T: std::fmt::Debug>(result: Result<T>, code: ErrorCode, version: &str) -> Error {
        let error = result.unwrap_err();
        assert_eq!((error.code, &error.details["version"]), (code, &Detail::Text(version.into())), "{error}");
        assert!(error.hint.is_some(), "{error}");
        error
    }

    #[test]
    fn pending_ones_run_in_order_up_to_the_target() {
        let all = supplied(&["1", "2", "10", "11"]);
        let up = |applied: &[AppliedMigration], target: MigrationTarget| {
            versions(to_apply(&all, applied, &target, OutOfOrder::Error))
        };
        assert_eq!(up(&[], MigrationTarget::default()), ["1", "2", "10", "11"]);
        assert_eq!(up(&applied(&["1"]), MigrationTarget::default()), ["2", "10", "11"]);
        assert_eq!(up(&applied(&["1"]), to("10")), ["2", "10"]);
        assert_eq!(up(&applied(&["1"]), to("0010")), ["2", "10"]);
        assert_eq!(up(&applied(&["1"]), steps(1)), ["2"]);
        assert_eq!(up(&[], MigrationTarget { to: Some("10".into()), steps: Some(2) }), ["1", "2"]);
        assert_eq!(up(&applied(&["1", "2"]), to("1")), [""; 0]);
        assert_eq!(up(&applied(&["1", "2", "10", "11"]), MigrationTarget::default()), [""; 0]);
    }

    #[test]
    fn newer_data_is_distinguished_from_a_missing_migration() {
        let all = supplied(&["1", "3"]);
        let error = refused(check(&all, &applied(&["1", "3", "4"])), ErrorCode::SchemaTooNew, "4");
        assert!(error.message.contains("3 (name)"), "{error}");
        refused(check(&all, &applied(&["1", "2", "3"])), ErrorCode::MigrationMissing, "2");
        refused(check(&all, &applied(&["2", "4"])), ErrorCode::SchemaTooNew, "4");
        refused(check(&supplied(&[]), &applied(&["1"])), ErrorCode::SchemaTooNew, "1");
        assert_eq!(check(&supplied(&[]), &[]), Ok(()));
    }

    #[test]
    fn a_changed_text_is_refused_before_anything_runs() {
        let mut rows = applied(&["1", "2"]);
        rows[0].checksum = "another".into();
        let all = supplied(&["1", "2", "3"]);
        let code = ErrorCode::MigrationChecksumMismatch;
        refused(check(&all, &rows), code, "1");
        refused(to_apply(&all, &rows, &MigrationTarget::default(), OutOfOrder::Apply), code, "1");
        refused(to_revert(&all, &rows, &MigrationTarget::default()), code, "1");
    }

    #[test]
    fn an_older_pending_one_is_refused_or_applied_as_asked() {
        let all = supplied(&["1", "2", "3", "4"]);
        let rows = applied(&["1", "3"]);
        let run = |target: &MigrationTarget, out_of_order| to_apply(&all, &rows, target, out_of_order);
        refused(run(&MigrationTarget::default(), OutOfOrder::Error), ErrorCode::MigrationOutOfOrder, "2");
        assert_eq!(versions(run(&MigrationTarget::default(), OutOfOrder::Apply)), ["2", "4"]);
        assert_eq!(versions(run(&to("1"), OutOfOrder::Error)), [""; 0]);
    }

    #[test]
    fn reverts_the_newest_first_and_stops_at_the_target() {
        let all = supplied(&["1", "2", "3", "4"]);
        let rows = applied(&["1", "2", "3"]);
        let down = |target| versions(to_revert(&all, &rows, &target));
        assert_eq!(down(MigrationTarget::default()), ["3"]);
        assert_eq!(down(steps(2)), ["3", "2"]);
        assert_eq!(down(steps(9)), ["3", "2", "1"]);
        assert_eq!(down(to("1")), ["3", "2"]);
        assert_eq!(down(to("4")), [""; 0]);
        assert_eq!(down(MigrationTarget { to: Some("1".into()), steps: Some(1) }), ["3"]);
        assert_eq!(versions(to_revert(&all, &[], &MigrationTarget::default())), [""; 0]);
    }

    #[test]
    fn one_irreversible_migration_stops_the_whole_revert() {
        let source = |version: &str, down: Option<&str>| MigrationSource {
            version: version.into(),
            name: "name".into(),
            up: Some("SELECT 1".into()),
            down: down.map(Into::into),
            ..MigrationSource::default()
        };
        let all = SuppliedMigrations::new(vec![source("1", None), source("2", Some("SELECT 0"))]).unwrap();
        let rows: Vec<_> = all.iter().map(|migration| AppliedMigration::new(migration, Timestamp(0), 0)).collect();
        assert_eq!(versions(to_revert(&all, &rows, &steps(1))), ["2"]);
        refused(to_revert(&all, &rows, &steps(2)), ErrorCode::MigrationIrreversible, "1");
    }

    #[test]
    fn an_unknown_target_is_refused() {
        let (all, rows) = (supplied(&["1", "2"]), applied(&["1"]));
        refused(to_apply(&all, &rows, &to("3"), OutOfOrder::Error), ErrorCode::InvalidArgument, "3");
        refused(to_revert(&all, &rows, &to("0")), ErrorCode::InvalidArgument, "0");
        refused(to_mark(&all, &rows, "9"), ErrorCode::InvalidArgument, "9");
    }

    #[test]
    fn a_baseline_marks_up_to_its_version() {
        let all = supplied(&["1", "2", "3"]);
        assert_eq!(versions(to_mark(&all, &[], "2")), ["1", "2"]);
        assert_eq!(versions(to_mark(&all, &applied(&["2"]), "2")), ["1"]);
    }
}

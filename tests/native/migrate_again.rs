//! Migrations in one transaction, run again, and reset, through an open database.

use tidelock::{
    ErrorCode,
    engine::{
        Database,
        migrations::options::{Atomic, RunOptions},
    },
    error::Detail,
    health::AlertCode,
    migrate::MigrationState,
    schema::DriftEntry,
    sqlite::{Connection, PageFile},
};

use crate::world::{Tab, World, run, text};

/// Opens with these migrations (JSON), without running them.
async fn open(tab: &Tab, migrations: &str) -> Database {
    tab.open(&format!(r#"{{ "migrate": false, "migrations": {migrations} }}"#)).await.unwrap()
}

async fn tables(database: &Database) -> String {
    let sql = "SELECT coalesce(group_concat(name, ' '), '') FROM \
               (SELECT name FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY name)";
    text(database, sql).await
}

fn all() -> RunOptions {
    RunOptions { atomic: Atomic::All, ..RunOptions::default() }
}

const TWO: &str = r#"[
    { "version": "1", "name": "one", "up": "CREATE TABLE a(x); INSERT INTO a VALUES ('1')", "down": "DROP TABLE a" },
    { "version": "2", "name": "two", "up": "CREATE TABLE b(x)", "down": "DROP TABLE b" }]"#;

#[test]
fn several_migrations_in_one_transaction_apply_all_or_none() {
    let mut world = World::new();
    world.run(|tab| async move {
        let broken = r#"[{ "version": "1", "name": "one", "up": "CREATE TABLE a(x)" },
            { "version": "2", "name": "two", "up": "CREATE TABLE b(x);\nINSERT INTO nowhere VALUES (1)" }]"#;
        let database = open(&tab, broken).await;
        run(&database, "CREATE TABLE old(x)").await;
        let error = database.migrations_run(all()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::MigrationFailed);
        assert_eq!((&error.details["version"], &error.details["line"]), (&Detail::Text("2".into()), &Detail::Int(2)));
        assert_eq!(tables(&database).await, "old", "nothing of the first one either");
        // Foreign keys are enforced again after the run.
        assert_eq!(text(&database, "SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await, "1");
        database.close().await.unwrap();

        let database = open(&tab, TWO).await;
        let report = database.migrations_run(all()).await.unwrap();
        assert_eq!(report.applied.iter().map(|ran| ran.version.as_str()).collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(tables(&database).await, "a b old schema_migrations");
        database.close().await.unwrap();
        let database = open(&tab, TWO).await;
        assert_eq!(tables(&database).await, "a b old schema_migrations", "stored");
        assert_eq!(text(&database, "SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await, "1");
        database.close().await.unwrap();
    });
}

#[test]
fn a_violation_among_several_names_its_migration_and_rolls_back_all() {
    let mut world = World::new();
    world.run(|tab| async move {
        let broken = r#"[{ "version": "1", "name": "one", "up": "CREATE TABLE p(id INTEGER PRIMARY KEY)" },
            { "version": "2", "name": "two", "up": "CREATE TABLE c(p REFERENCES p); INSERT INTO c VALUES (7)" },
            { "version": "3", "name": "three", "up": "INSERT INTO p VALUES (7)" }]"#;
        let database = open(&tab, broken).await;
        let error = database.migrations_run(all()).await.unwrap_err();
        assert_eq!((error.code, &error.details["version"]), (ErrorCode::MigrationFailed, &Detail::Text("2".into())));
        assert_eq!(tables(&database).await, "");
        database.close().await.unwrap();
    });
}

#[test]
fn a_migration_outside_of_transactions_cannot_be_among_several() {
    let mut world = World::new();
    world.run(|tab| async move {
        let alone = r#"[{ "version": "1", "name": "one", "up": "CREATE TABLE a(x)" },
            { "version": "2", "name": "two", "up": "VACUUM", "transaction": false }]"#;
        let database = open(&tab, alone).await;
        let error = database.migrations_run(all()).await.unwrap_err();
        assert_eq!((error.code, &error.details["version"]), (ErrorCode::InvalidArgument, &Detail::Text("2".into())));
        assert_eq!(tables(&database).await, "");
        database.migrations_run(RunOptions { to: Some("1".into()), ..all() }).await.unwrap();
        assert_eq!(tables(&database).await, "a schema_migrations");
        database.close().await.unwrap();
    });
}

#[test]
fn a_run_that_times_out_leaves_nothing_of_its_migration() {
    let mut world = World::new();
    world.run(|tab| async move {
        let endless = r#"[{ "version": "1", "name": "one", "up": "CREATE TABLE a(x)" }, { "version": "2", "name": "two",
            "up": "CREATE TABLE b AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n" }]"#;
        let database = open(&tab, endless).await;
        database.migrations_run(RunOptions { to: Some("1".into()), ..RunOptions::default() }).await.unwrap();
        let error =
            database.migrations_run(RunOptions { timeout_ms: Some(0), ..RunOptions::default() }).await.unwrap_err();
        assert_eq!(
            (error.code, &error.details["version"], database.migrations_status().await.unwrap()[1].state),
            (ErrorCode::Timeout, &Detail::Text("2".into()), MigrationState::Pending)
        );
        let health = database.health().await;
        assert!(health.alerts.iter().all(|alert| alert.code != AlertCode::MigrationFailed), "it may succeed later");
        assert_eq!(tables(&database).await, "a schema_migrations");
        // The timeout doesn't apply to other statements.
        let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) SELECT max(i) || '' FROM n";
        assert_eq!(text(&database, long).await, "100000");
        database.close().await.unwrap();
    });
}

#[test]
fn a_dry_run_returns_the_scripts_and_changes_nothing() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = open(&tab, TWO).await;
        let dry = RunOptions { dry_run: true, ..RunOptions::default() };
        let report = database.migrations_run(dry.clone()).await.unwrap();
        assert_eq!(report.planned[1].sql, Some(Some("CREATE TABLE b(x)".into())));
        assert_eq!((tables(&database).await.as_str(), report.applied.len()), ("", 0));
        let report = database.migrations_run(RunOptions::default()).await.unwrap();
        assert_eq!(report.planned[1].sql, None, "only of a dry run");
        let report = database.migrations_revert(dry).await.unwrap();
        assert_eq!(
            report.planned.iter().map(|one| one.sql.clone().flatten()).collect::<Vec<_>>(),
            [Some("DROP TABLE b".to_owned())]
        );
        assert_eq!(tables(&database).await, "a b schema_migrations");
        database.close().await.unwrap();
    });
}

#[test]
fn redo_runs_only_the_newest_again() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = open(&tab, TWO).await;
        database.migrations_run(RunOptions::default()).await.unwrap();
        run(&database, "INSERT INTO b VALUES ('gone')").await;
        // An older migration is pending, which redo doesn't run.
        database.migrations_forget("1").await.unwrap();
        let report = database.migrations_redo().await.unwrap();
        assert_eq!(report.reverted[0].version, "2");
        assert_eq!(report.applied.iter().map(|ran| ran.version.as_str()).collect::<Vec<_>>(), ["2"]);
        assert_eq!(text(&database, "SELECT CAST(count(*) AS TEXT) FROM b").await, "0");
        assert_eq!(text(&database, "SELECT group_concat(version) FROM schema_migrations").await, "2");
        database.close().await.unwrap();
    });
}

#[test]
fn reset_drops_everything_and_runs_all_again() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = open(&tab, TWO).await;
        database.migrations_run(RunOptions::default()).await.unwrap();
        run(
            &database,
            "INSERT INTO a VALUES ('2'); CREATE TABLE mine(x); CREATE VIEW v AS SELECT * FROM mine; PRAGMA user_version = 7",
        )
        .await;
        let report = database.migrations_reset().await.unwrap();
        assert_eq!(report.applied.len(), 2);
        assert_eq!(tables(&database).await, "a b schema_migrations");
        assert_eq!(text(&database, "SELECT group_concat(x) FROM a").await, "1");
        assert_eq!(text(&database, "SELECT CAST(user_version AS TEXT) FROM pragma_user_version").await, "0");
        let before = database.snapshots().list().into_iter().find(|one| one.reason.as_str() == "safety").unwrap();
        database.close().await.unwrap();
        let database = open(&tab, TWO).await;
        assert_eq!(tables(&database).await, "a b schema_migrations", "stored");
        database.restore(&before.id, false).await.unwrap();
        assert_eq!(tables(&database).await, "a b mine schema_migrations v");
        database.close().await.unwrap();
    });
}

#[test]
fn a_reset_whose_migrations_fail_changes_nothing() {
    let mut world = World::new();
    world.run(|tab| async move {
        let one = r#"[{ "version": "1", "name": "one", "up": "CREATE TABLE a(x)" },
            { "version": "2", "name": "two", "up": "INSERT INTO seen VALUES (1)" }]"#;
        let database = open(&tab, one).await;
        run(&database, "CREATE TABLE seen(x); INSERT INTO seen VALUES ('kept')").await;
        database.migrations_run(RunOptions::default()).await.unwrap();
        let error = database.migrations_reset().await.unwrap_err();
        assert_eq!((error.code, &error.details["version"]), (ErrorCode::MigrationFailed, &Detail::Text("2".into())));
        assert_eq!(text(&database, "SELECT group_concat(x) FROM seen").await, "kept,1");
        let states = database.migrations_status().await.unwrap();
        assert!(states.iter().all(|row| row.applied_at.is_some()), "the history is back, too");
        database.close().await.unwrap();
    });
}

#[test]
fn drop_leaves_an_empty_database_and_a_snapshot() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = open(&tab, TWO).await;
        database.migrations_run(RunOptions::default()).await.unwrap();
        database.migrations_drop().await.unwrap();
        assert_eq!(tables(&database).await, "");
        assert_eq!(database.health().await.migrations.pending, 2);
        assert!(database.snapshots().list().iter().any(|one| one.reason.as_str() == "safety"));
        database.close().await.unwrap();
        let database = tab.open("{}").await.unwrap();
        assert_eq!(tables(&database).await, "", "stored");
        let error = database.migrations_reset().await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "without migrations there is nothing to run");
        database.close().await.unwrap();
    });
}

#[test]
fn drift_compares_the_schema_with_the_migrations() {
    let mut world = World::new();
    world.run(|tab| async move {
        let code = r#"[{ "version": "1", "name": "one", "up": "CREATE TABLE a(x); CREATE INDEX i ON a(x)" },
            { "version": "2", "name": "two", "upIsFunction": true },
            { "version": "3", "name": "three", "up": "INSERT INTO b VALUES (1)", "transaction": false }]"#;
        *tab.code.borrow_mut() = Some(Box::new(|_, _, _| Box::pin(std::future::ready(Ok(())))));
        let database = open(&tab, code).await;
        database.migrations_run(RunOptions { steps: Some(2), ..RunOptions::default() }).await.unwrap();
        let drift = database.migrations_drift(None).await.unwrap();
        assert!(drift.is_empty() && drift.skipped == ["2"], "{drift:?}");
        run(
            &database,
            "DROP INDEX i; CREATE TABLE b(y); CREATE TABLE tidelock_own(x); CREATE TABLE audit_log(id, action, table_name,
             record_id, old_values, new_values, actor, timestamp)",
        )
        .await;
        let drift = database.migrations_drift(None).await.unwrap();
        assert_eq!((drift.added[0].name.as_str(), drift.removed[0].name.as_str()), ("b", "i"));
        assert_eq!((drift.added.len(), drift.removed.len(), drift.changed.len()), (1, 1, 0), "{drift:?}");
        // In the scratch database, a migration that depends on a function or on a manual change fails.
        database.migrations_run(RunOptions::default()).await.unwrap();
        let error = database.migrations_drift(None).await.unwrap_err();
        assert_eq!((error.code, &error.details["version"]), (ErrorCode::MigrationFailed, &Detail::Text("3".into())));
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("migration 2")), "{error:?}");
        assert!(error.message.starts_with("In a scratch database: Migration 3"), "{error}");
        assert_eq!(tables(&database).await, "a audit_log b schema_migrations tidelock_own");
        // The app may have run them all, including functions.
        let file = PageFile::default();
        let made = Connection::open(&file).unwrap();
        made.exec("CREATE TABLE a(x); CREATE INDEX i ON a(x); CREATE TABLE b(y); CREATE TABLE c(z)").unwrap();
        let drift = database.migrations_drift(Some(file.image().unwrap())).await.unwrap();
        let names = |list: &[DriftEntry]| list.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>();
        assert_eq!((names(&drift.added), names(&drift.removed)), (vec![], vec!["c".to_owned(), "i".to_owned()]));
        assert!(drift.changed.is_empty() && drift.skipped.is_empty(), "{drift:?}");
        database.close().await.unwrap();
    });
}

#[test]
fn sync_runs_the_generated_script_completely_or_not_at_all() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE a(x); INSERT INTO a VALUES ('1'), ('1'), ('2')").await;
        let wanted = "CREATE TABLE a(x INTEGER, y NOT NULL DEFAULT 'why');\nCREATE VIEW v AS SELECT x FROM a;";
        let generated = database.migrations_generate(wanted, &[]).await.unwrap();
        let error = database.migrations_sync("CREATE TABLE a(x UNIQUE)").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::MigrationFailed, "{error}");
        assert_eq!(tables(&database).await, "a");
        assert_eq!(database.migrations_sync(wanted).await.unwrap().sql, generated.up);
        assert_eq!(
            text(&database, "SELECT group_concat(typeof(x) || y) FROM a").await,
            "integerwhy,integerwhy,integerwhy"
        );
        assert_eq!(text(&database, "SELECT CAST(foreign_keys AS TEXT) FROM pragma_foreign_keys").await, "1");
        assert!(database.migrations_sync(wanted).await.unwrap().sql.is_empty());
        let error = database.migrations_generate("CREATE TABLE a(x);\n\nCREATE TABEL b(y)", &[]).await.unwrap_err();
        assert_eq!((error.code, &error.details["line"]), (ErrorCode::SqliteError, &Detail::Int(3)));
        assert!(error.message.contains("line 3"), "{error}");
        assert_eq!(tables(&database).await, "a v", "no history");
        database.close().await.unwrap();
        let database = tab.open("{}").await.unwrap();
        assert_eq!(tables(&database).await, "a v", "stored");
        database.close().await.unwrap();
    });
}

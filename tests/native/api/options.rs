//! The options of `open`: their defaults, and wrong ones.

use std::sync::{Arc, Mutex};

use tidelock::{
    Durability, Error, ErrorCode, HealthThresholds, Migration, MigrationState, OpenOptions, RunOptions,
    SnapshotOptions, Storage, WarningCode, params,
};

use super::{block_on, code, memory};

#[test]
fn wrong_options_are_refused_as_in_typescript() {
    block_on(async {
        use ErrorCode::{InvalidArgument, MigrationInvalid, UnsupportedEnvironment};
        let named = OpenOptions::new;
        let migration = |version: &str| Migration::new(version, "name", "SELECT 1");
        let wrong = [
            (named("a"), UnsupportedEnvironment),
            (named("a").storage(Storage::Indexeddb), UnsupportedEnvironment),
            (named("a").storage(Storage::Opfs), UnsupportedEnvironment),
            (named("").storage(Storage::Memory), InvalidArgument),
            (named("a\nb").storage(Storage::Memory), InvalidArgument),
            (named(&"a".repeat(129)).storage(Storage::Memory), InvalidArgument),
            (memory().path("x"), InvalidArgument),
            (named("a").storage(Storage::File).path(""), InvalidArgument),
            (memory().max_bytes(65_535), InvalidArgument),
            (memory().cache_bytes(1024), InvalidArgument),
            (memory().durability(Durability::Snapshot), InvalidArgument),
            (memory().snapshots(SnapshotOptions { keep: 0, ..SnapshotOptions::default() }), InvalidArgument),
            (memory().encryption(tidelock::Encryption::passphrase("")), InvalidArgument),
            (memory().health(HealthThresholds { growth_factor: 0.0, ..Default::default() }), InvalidArgument),
            (memory().audit_table("sqlite_log").audit(tidelock::AuditOptions::new(["t"])), InvalidArgument),
            (memory().audit(tidelock::AuditOptions::new(["t"]).retention_days(f64::NAN)), InvalidArgument),
            (memory().audit(tidelock::AuditOptions::new(["t"])).audit_table("Schema_Migrations"), InvalidArgument),
            (memory().migrations([migration("1"), migration("01")]), MigrationInvalid),
            (memory().migrations([migration("first")]), MigrationInvalid),
            (memory().migrations([Migration::new("1", "empty", " ")]), MigrationInvalid),
        ];
        for (options, expected) in wrong {
            let shown = format!("{options:?}");
            let error = tidelock::open(options).await.unwrap_err();
            assert_eq!(error.code, expected, "{shown}: {error}");
        }
        Ok(())
    });
}

#[test]
fn migrations_run_check_and_go_back() {
    block_on(async {
        let history = || {
            vec![
                Migration::new("1", "notes", "CREATE TABLE notes(body)").down("DROP TABLE notes"),
                Migration::function("2", "first", async |tx| {
                    tx.transaction(async |inner| inner.run("INSERT INTO notes VALUES (?)", params!["hello"]).await)
                        .await?;
                    Ok(())
                })
                .down_function(async |tx| tx.run("DELETE FROM notes", ()).await.map(drop)),
            ]
        };
        let db = tidelock::open(memory().migrations(history())).await?;
        assert_eq!(db.query_as::<String>("SELECT body FROM notes", ()).await?, ["hello"]);
        let states = db.migrations().status().await?.into_iter().map(|row| row.state).collect::<Vec<_>>();
        assert_eq!(states, [MigrationState::Applied, MigrationState::Applied]);
        let report = db.migrations().revert(RunOptions { to: Some("1".into()), ..RunOptions::default() }).await?;
        assert_eq!((report.reverted.len(), db.get_as::<i64>("SELECT count(*) FROM notes", ()).await?), (1, Some(0)));
        assert_eq!(db.migrations().run(RunOptions::default()).await?.applied.len(), 1);
        assert_eq!(code(db.migrations().reset(false).await), Some(ErrorCode::InvalidArgument));
        assert_eq!(db.migrations().reset(true).await?.applied.len(), 2);
        assert!(db.migrations().lint().await?.is_empty());

        let failing = Migration::function("3", "fails", async |tx| {
            tx.run("DELETE FROM notes", ()).await?;
            Err(Error::invalid("no"))
        });
        let file = db.export().await?;
        let options = memory().seed(file.clone()).migrations(history().into_iter().chain([failing]));
        let error = tidelock::open(options).await.unwrap_err();
        assert_eq!((error.code, &error.details["version"]), (ErrorCode::MigrationFailed, &"3".into()));
        let changed = vec![Migration::new("1", "notes", "CREATE TABLE notes(body TEXT)")];
        let refused = tidelock::open(memory().seed(file).migrations(changed)).await;
        assert!(matches!(code(refused), Some(ErrorCode::SnapshotIncompatible | ErrorCode::MigrationChecksumMismatch)));
        Ok(())
    });
}

#[test]
fn a_panic_on_the_thread_of_the_database_ends_that_database_only() {
    block_on(async {
        let scratch = super::Scratch::new();
        let panicking = Migration::function("1", "panics", async |_| panic!("on purpose"));
        let error = tidelock::open(scratch.options().migrations([panicking])).await.unwrap_err();
        assert_eq!((error.code, &error.details["panic"]), (ErrorCode::Internal, &"on purpose".into()));
        // The lock is free.
        let db = tidelock::open(scratch.options()).await?;
        db.run("CREATE TABLE t(a)", ()).await?;
        Ok(())
    });
}

#[test]
fn the_folder_of_migrations_is_in_the_program() {
    let history = tidelock::migrations!("tests/fixtures/migrations/flyway").unwrap();
    let versions: Vec<_> = history.iter().map(|each| (each.version(), each.name())).collect();
    assert_eq!(versions, [("1", "Create_users"), ("1.1", "Add_posts"), ("2", "Add_body")]);
    block_on(async {
        let db = tidelock::open(memory().migrations(history)).await?;
        assert_eq!(db.migrations().status().await?.len(), 3);
        Ok(())
    });
}

#[test]
fn warnings_and_audit_are_given_to_the_program() {
    block_on(async {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let warnings = seen.clone();
        let options = memory()
            .audit(tidelock::AuditOptions::new(["notes"]).redact("notes", "secret"))
            .on_warning(move |warning| warnings.lock().unwrap().push(warning.code))
            .expires("notes", "until");
        let db = tidelock::open(options).await?;
        db.exec("CREATE TABLE notes(id INTEGER PRIMARY KEY, secret, until)").await?;
        db.set_actor(Some("user-17")).await?;
        db.exec("INSERT INTO notes VALUES (1, 'x', '2000-01-01T00:00:00Z')").await?;
        let logged = db.get("SELECT actor, new_values FROM audit_log", ()).await?.unwrap();
        assert_eq!(logged["actor"], "user-17".into());
        assert!(logged.get::<String>("new_values")?.contains("[redacted]"));
        assert_eq!(db.maintain().await?.expired[0].deleted, 1);
        db.run("PRAGMA foreign_keys = OFF", ()).await?;
        db.exec("CREATE TABLE c(x REFERENCES notes); INSERT INTO c VALUES (5)").await?;
        assert!(!db.maintain().await?.ok);
        assert_eq!(*seen.lock().unwrap(), [WarningCode::AuditTableMissing, WarningCode::ForeignKeysViolated]);
        Ok(())
    });
}

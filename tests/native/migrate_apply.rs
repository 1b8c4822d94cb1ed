//! One migration on real SQLite: completely, with its tracking row, or not at all.

use tidelock::{
    Error, ErrorCode, Result, Timestamp, Value,
    error::Detail,
    migrate::{Attempt, History, Migration, MigrationDirection, MigrationSource, SuppliedMigrations},
    sqlite::{Connection, PageFile},
};

fn database(script: &str) -> Connection {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec(script).unwrap();
    connection
}

fn migration(up: &str) -> MigrationSource {
    MigrationSource { version: "0002".into(), name: "change".into(), up: Some(up.into()), ..MigrationSource::default() }
}

fn checked(source: MigrationSource) -> Migration {
    SuppliedMigrations::new(vec![source]).unwrap().iter().next().unwrap().clone()
}

fn history() -> History {
    History::new("schema_migrations").unwrap()
}

fn apply(connection: &Connection, source: MigrationSource, direction: MigrationDirection) -> Result<()> {
    let (history, migration) = (history(), checked(source));
    let attempt = Attempt::begin(connection, &history, &migration, direction)?;
    match attempt.script(&mut |statement| statement.finish().map(drop)) {
        Ok(()) => attempt.commit(Timestamp(1000), 7),
        Err(error) => Err(attempt.abort(error)),
    }
}

fn up(connection: &Connection, sql: &str) -> Result<()> {
    apply(connection, migration(sql), MigrationDirection::Up)
}

/// Returns everything that a migration could leave behind: schema, rows, settings.
fn state(connection: &Connection) -> Vec<Vec<Vec<Value>>> {
    let rows = |sql: &str| connection.rows(sql, &[]).unwrap();
    let tables = rows("SELECT name, sql FROM sqlite_schema ORDER BY name");
    let contents = tables.iter().filter(|table| table[1].as_text().is_some_and(|sql| sql.starts_with("CREATE TABLE")));
    let mut state: Vec<_> =
        contents.map(|table| rows(&format!("SELECT * FROM \"{}\"", table[0].as_text().unwrap()))).collect();
    state.push(tables);
    state.push(rows("PRAGMA foreign_keys"));
    state.push(rows("PRAGMA user_version"));
    assert!(!connection.in_transaction());
    state
}

/// Runs a migration that must fail and leave everything unchanged.
fn fails(connection: &Connection, source: MigrationSource) -> Error {
    let before = state(connection);
    let error = apply(connection, source, MigrationDirection::Up).unwrap_err();
    assert_eq!(state(connection), before, "{error}");
    assert_eq!(error.code, ErrorCode::MigrationFailed, "{error}");
    assert_eq!(error.details["version"], Detail::Text("0002".into()));
    assert!(error.hint.is_some());
    error
}

fn text(value: &str) -> Detail {
    Detail::Text(value.into())
}

#[test]
fn a_migration_and_its_row_are_one_commit() {
    let connection = database("CREATE TABLE t(a)");
    up(&connection, "ALTER TABLE t ADD COLUMN b;\n--> statement-breakpoint\nINSERT INTO t VALUES (1, 2);").unwrap();
    let row = &history().read(&connection).unwrap()[0];
    assert_eq!((row.version.as_str(), row.name.as_str(), row.execution_ms), ("0002", "change", 7));
    assert_eq!(row.applied_at, "1970-01-01T00:00:01.000Z");
    assert_eq!(row.checksum.len(), 64);
    assert_eq!(connection.value("SELECT b FROM t", &[]), Ok(Some(Value::Integer(2))));
    assert_eq!(connection.value("PRAGMA foreign_keys", &[]), Ok(Some(Value::Integer(1))));
}

#[test]
fn a_failure_names_version_statement_and_line_and_leaves_nothing() {
    let connection = database("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1)");
    let error =
        fails(&connection, migration("CREATE TABLE u(a);\n\nINSERT INTO u VALUES (1);\nINSERT INTO t\n  VALUES (1);"));
    assert_eq!(error.details["line"], Detail::Int(4));
    assert_eq!(error.details["statement"], text("INSERT INTO t\n  VALUES (1);"));
    assert_eq!(error.details["sqliteCode"], text("SQLITE_CONSTRAINT_UNIQUE"));
    assert!(error.cause.as_deref().is_some_and(|cause| cause.contains("UNIQUE constraint failed: t.a")), "{error:?}");
    assert!(error.message.contains("0002 (change)") && error.message.contains("line 4"), "{error}");
    assert_eq!(history().exists(&connection), Ok(false));
}

#[test]
fn a_statement_that_does_not_compile_is_named_too() {
    let connection = database("");
    let long = format!("SELECT '{}'", "x".repeat(500));
    for (sql, line, statement) in [
        ("CREATE TABLE u(a);\nCREATE TABEL v(a); SELECT 1;", 2, "CREATE TABEL v(a);"),
        ("CREATE TABLE u(a);\n\nSELECT nowhere FROM u", 3, "SELECT nowhere FROM u"),
        ("SELECT 1;\nCREATE TABLE u(a", 2, "CREATE TABLE u(a"),
        (&format!("{long} FROM nowhere"), 1, &long[..200]),
    ] {
        let error = fails(&connection, migration(sql));
        assert_eq!(
            (&error.details["line"], &error.details["statement"]),
            (&Detail::Int(line), &text(statement)),
            "{sql}"
        );
        assert_eq!(error.details["sqliteCode"], text("SQLITE_ERROR"));
    }
}

#[test]
fn transaction_control_is_refused_inside_and_may_be_used_outside() {
    let connection = database("");
    for sql in
        ["BEGIN; CREATE TABLE u(a); COMMIT;", "CREATE TABLE u(a); COMMIT", "ROLLBACK", "SAVEPOINT s", "END", "VACUUM"]
    {
        let error = fails(&connection, migration(sql));
        assert!(error.details.contains_key("line"), "{error:?}");
        assert_eq!(error.hint.as_deref().unwrap().contains("transaction: false"), !sql.starts_with("SAVE"), "{sql}");
    }
    let outside = |sql: &str| MigrationSource { transaction: Some(false), ..migration(sql) };
    apply(&connection, outside("BEGIN; CREATE TABLE u(a); INSERT INTO u VALUES (1); COMMIT;"), MigrationDirection::Up)
        .unwrap();
    assert_eq!(connection.value("SELECT a FROM u", &[]), Ok(Some(Value::Integer(1))));
    fails(&connection, outside("BEGIN; CREATE TABLE v(a);"));
}

#[test]
fn a_failed_migration_outside_a_transaction_leaves_nothing() {
    let connection = database("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1), (2); PRAGMA user_version = 3");
    let source = MigrationSource {
        transaction: Some(false),
        ..migration("CREATE TABLE u(a); DELETE FROM t WHERE a = 1; PRAGMA user_version = 4; INSERT INTO t VALUES (2);")
    };
    let error = fails(&connection, source);
    assert_eq!(error.details["statement"], text("INSERT INTO t VALUES (2);"));
    assert_eq!(connection.quick_check(), Ok(vec![]));
}

#[test]
fn vacuum_and_pragmas_run_outside_a_transaction() {
    let connection = database("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(100000)); DELETE FROM t");
    let pages = || connection.value("PRAGMA page_count", &[]).unwrap().unwrap().as_integer().unwrap();
    let before = pages();
    apply(&connection, MigrationSource { transaction: Some(false), ..migration("VACUUM") }, MigrationDirection::Up)
        .unwrap();
    assert!(pages() < before, "{} {before}", pages());
    assert_eq!(history().read(&connection).unwrap().len(), 1);
}

#[test]
fn foreign_keys_are_off_while_a_table_is_rebuilt_and_on_afterwards() {
    let connection = database(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY, a);
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent(id) ON DELETE CASCADE);
         INSERT INTO parent VALUES (1, 'x'); INSERT INTO child VALUES (10, 1);",
    );
    // A rebuild in the style of Prisma and drizzle-kit, with pragmas.
    up(
        &connection,
        "PRAGMA foreign_keys=OFF;
         CREATE TABLE new_parent(id INTEGER PRIMARY KEY, a TEXT NOT NULL);
         INSERT INTO new_parent SELECT * FROM parent;
         DROP TABLE parent;
         ALTER TABLE new_parent RENAME TO parent;
         PRAGMA foreign_keys=ON;",
    )
    .unwrap();
    assert_eq!(connection.value("SELECT count(*) FROM child", &[]), Ok(Some(Value::Integer(1))));
    assert!(connection.exec("INSERT INTO child VALUES (11, 99)").is_err(), "foreign keys are enforced again");
}

#[test]
fn new_violations_fail_it_and_old_ones_do_not() {
    let connection = database(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(name TEXT PRIMARY KEY, parent REFERENCES parent(id));
         CREATE TABLE bare(name TEXT PRIMARY KEY, parent REFERENCES parent(id)) WITHOUT ROWID;
         INSERT INTO parent VALUES (1);
         INSERT INTO child VALUES ('gone', 1);
         PRAGMA foreign_keys = OFF;
         INSERT INTO child VALUES ('orphan', 7);
         INSERT INTO bare VALUES ('orphan', 7);
         DELETE FROM child WHERE name = 'gone';
         PRAGMA foreign_keys = ON;",
    );
    // A rebuild changes the old violation's rowid: it still counts as old.
    let rebuild = "CREATE TABLE c2(name TEXT PRIMARY KEY, parent REFERENCES parent(id), b);
                   INSERT INTO c2(name, parent) SELECT name, parent FROM child;
                   DROP TABLE child; ALTER TABLE c2 RENAME TO child;";
    let rowid = || connection.value("SELECT rowid FROM child", &[]).unwrap();
    let before = rowid();
    up(&connection, rebuild).unwrap();
    assert_ne!(rowid(), before);
    history().delete(&connection, "2").unwrap();

    for (sql, table, has_rowid) in [
        ("INSERT INTO child(name, parent) VALUES ('new', 8)", "child", true),
        ("INSERT INTO child(name, parent) VALUES ('another', 7)", "child", true),
        ("INSERT INTO bare VALUES ('new', 8)", "bare", false),
        ("DELETE FROM child; INSERT INTO child(name, parent) VALUES ('instead', 8)", "child", true),
    ] {
        for transaction in [true, false] {
            let error = fails(&connection, MigrationSource { transaction: Some(transaction), ..migration(sql) });
            let Detail::List(violations) = &error.details["violations"] else { panic!("{error:?}") };
            let [Detail::Object(violation)] = &violations[..] else { panic!("{error:?}") };
            assert_eq!((&violation["table"], &violation["parent"]), (&text(table), &text("parent")));
            assert_eq!(violation.contains_key("rowid"), has_rowid);
        }
    }
}

#[test]
fn a_revert_removes_the_tracking_row() {
    let connection = database("");
    let source = MigrationSource { down: Some("DROP TABLE t".into()), ..migration("CREATE TABLE t(a)") };
    apply(&connection, source.clone(), MigrationDirection::Up).unwrap();
    // The row may hold another spelling of the same version.
    apply(&connection, MigrationSource { version: "2".into(), ..source.clone() }, MigrationDirection::Down).unwrap();
    assert_eq!(history().read(&connection), Ok(vec![]));
    assert!(connection.exec("SELECT * FROM t").is_err());

    apply(&connection, source.clone(), MigrationDirection::Up).unwrap();
    let before = state(&connection);
    let broken = MigrationSource { down: Some("DROP TABLE t; DROP TABLE t".into()), ..source };
    let error = apply(&connection, broken, MigrationDirection::Down).unwrap_err();
    assert_eq!((error.code, &error.details["direction"]), (ErrorCode::MigrationFailed, &text("down")));
    assert_eq!(state(&connection), before);
}

#[test]
fn an_attempt_that_is_dropped_leaves_nothing() {
    let connection = database("CREATE TABLE t(a)");
    let before = state(&connection);
    for transaction in [true, false] {
        let source =
            MigrationSource { up: None, up_is_function: true, transaction: Some(transaction), ..migration("") };
        let (history, migration) = (history(), checked(source));
        let attempt = Attempt::begin(&connection, &history, &migration, MigrationDirection::Up).unwrap();
        connection.exec("CREATE TABLE u(a); INSERT INTO t VALUES (1)").unwrap();
        drop(attempt);
        assert_eq!(state(&connection), before);
    }
}

#[test]
fn a_migration_may_contain_its_own_rollback() {
    let connection = database("CREATE TABLE t(a); INSERT INTO t VALUES (1)");
    let raise = "CREATE TRIGGER no BEFORE INSERT ON t BEGIN SELECT RAISE(ROLLBACK, 'never'); END;
                 INSERT INTO t VALUES (2);";
    let error = fails(&connection, migration(raise));
    assert!(error.cause.as_ref().is_some_and(|cause| cause.contains("never")));
}

#[test]
fn other_objects_with_the_tables_name_are_refused() {
    for script in [
        "CREATE TABLE schema_migrations(id INTEGER PRIMARY KEY, hash TEXT)",
        "CREATE TABLE Schema_Migrations(version, name, checksum, applied_at, execution_ms, extra)",
        "CREATE VIEW schema_migrations AS SELECT 1 version, 2 name, 3 checksum, 4 applied_at, 5 execution_ms",
        "CREATE TABLE t(a); CREATE INDEX schema_migrations ON t(a)",
    ] {
        let error = history().read(&database(script)).unwrap_err();
        assert_eq!(error.code, ErrorCode::MigrationInvalid, "{script}");
        assert!(error.hint.is_some());
    }
    let own = "CREATE TABLE schema_migrations(version, name, checksum, applied_at, execution_ms);
               INSERT INTO schema_migrations VALUES (10, 'b', 'c', 'd', 1), (9, 'a', NULL, 'd', '2')";
    let rows = history().read(&database(own)).unwrap();
    assert_eq!(rows.iter().map(|row| row.version.as_str()).collect::<Vec<_>>(), ["9", "10"]);
    let quoted = History::new("my \"migrations\"").unwrap();
    let connection = database("");
    quoted.create(&connection).unwrap();
    quoted.create(&connection).unwrap();
    assert_eq!((quoted.exists(&connection), history().exists(&connection)), (Ok(true), Ok(false)));
    for bad in ["", "sqlite_x", "Tidelock_x", "a\0b"] {
        assert_eq!(History::new(bad).unwrap_err().code, ErrorCode::InvalidArgument);
    }
}

#[test]
fn a_temporary_table_does_not_replace_the_history() {
    let connection = database("CREATE TEMP TABLE schema_migrations(version)");
    up(&connection, "CREATE TABLE t(a)").unwrap();
    assert_eq!(history().read(&connection).unwrap().len(), 1);
}

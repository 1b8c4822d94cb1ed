//! The audit log, on a bare connection and in an open database.

use tidelock::{
    ErrorCode, Result, Timestamp, Value,
    audit::{self, AuditOptions, Log, Redacted},
    sqlite::{Connection, PageFile},
};

use crate::world::{World, run, text};

fn options(tables: &[&str]) -> AuditOptions {
    AuditOptions {
        tables: tables.iter().map(|table| (*table).to_owned()).collect(),
        redact: Vec::new(),
        retention_days: None,
        table: audit::TABLE.to_owned(),
    }
}

fn audited(schema: &str, options: &AuditOptions) -> Connection {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec(schema).unwrap();
    audit::resume(&connection, options).unwrap();
    connection
}

/// Returns the log's new rows since the last call, one line per row, without ids and times.
fn new_rows(connection: &Connection) -> Vec<String> {
    let sql = "SELECT concat_ws(' | ', action, table_name, record_id, ifnull(old_values, '-'), ifnull(new_values, '-'), \
               actor) FROM audit_log ORDER BY id";
    let rows = connection.rows(sql, &[]).unwrap();
    connection.exec("DELETE FROM audit_log").unwrap();
    rows.into_iter().map(|row| row[0].as_text().unwrap().to_owned()).collect()
}

#[test]
fn every_value_is_written_exactly() {
    let connection = audited("CREATE TABLE t(id TEXT PRIMARY KEY, v)", &options(&["T"]));
    for (value, written) in [
        (Value::Null, "null"),
        (Value::Integer(i64::MAX), "9223372036854775807"),
        (Value::Integer(i64::MIN), "-9223372036854775808"),
        (Value::Real(0.1), "0.1"),
        (Value::Real(1.0), "1.0"),
        (Value::from("a\"b\\c\né😀 'q'"), r#""a\"b\\c\né😀 'q'""#),
        (Value::from(r#"{"json":1}"#), r#""{\"json\":1}""#),
        (Value::Blob(vec![0, 254]), r#"{"b":"00FE"}"#),
        (Value::Blob(vec![]), r#"{"b":""}"#),
    ] {
        connection.run("INSERT INTO t VALUES ('k', ?1)", &[value]).unwrap();
        connection.run("DELETE FROM t", &[]).unwrap();
        let row = format!(r#"{{"id":"k","v":{written}}}"#);
        assert_eq!(
            new_rows(&connection),
            [format!("insert | t | k | - | {row}"), format!("delete | t | k | {row} | -")]
        );
    }
}

#[test]
fn every_way_to_change_a_row_is_logged() {
    let schema = "CREATE TABLE one(id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE UNIQUE, twice AS (name || name));
                  CREATE TABLE pair(a, b BLOB, c, PRIMARY KEY(b, a)) WITHOUT ROWID;
                  CREATE TABLE child(x REFERENCES one(id) ON DELETE CASCADE ON UPDATE CASCADE, rowid);";
    let connection = audited(schema, &options(&["one", "pair", "child"]));
    let did = |sql: &str| {
        connection.exec(sql).unwrap();
        new_rows(&connection)
    };
    assert_eq!(did("INSERT INTO one VALUES (1, 'a')"), [r#"insert | one | 1 | - | {"id":1,"name":"a"}"#]);
    // A text that only the collation treats as equal is logged as a change. An update without effect isn't logged.
    assert_eq!(
        did("UPDATE one SET name = 'A'; UPDATE one SET name = 'A', id = 1"),
        [r#"update | one | 1 | {"id":1,"name":"a"} | {"id":1,"name":"A"}"#]
    );
    assert_eq!(did("INSERT INTO child VALUES (1, 'r')"), [r#"insert | child | 1 | - | {"x":1,"rowid":"r"}"#]);
    // Cascades, through a changed key and through a deletion.
    assert_eq!(
        did("UPDATE one SET id = 2"),
        [
            r#"update | child | 1 | {"x":1,"rowid":"r"} | {"x":2,"rowid":"r"}"#,
            r#"update | one | 1 | {"id":1,"name":"A"} | {"id":2,"name":"A"}"#,
        ]
    );
    // REPLACE deletes the row with the same name, and that deletion cascades.
    assert_eq!(
        did("REPLACE INTO one VALUES (3, 'a')"),
        [
            r#"delete | child | 1 | {"x":2,"rowid":"r"} | -"#,
            r#"delete | one | 2 | {"id":2,"name":"A"} | -"#,
            r#"insert | one | 3 | - | {"id":3,"name":"a"}"#,
        ]
    );
    assert_eq!(
        did("INSERT INTO one VALUES (3, 'b') ON CONFLICT(id) DO UPDATE SET name = excluded.name"),
        [r#"update | one | 3 | {"id":3,"name":"a"} | {"id":3,"name":"b"}"#]
    );
    assert_eq!(did("DELETE FROM one"), [r#"delete | one | 3 | {"id":3,"name":"b"} | -"#]);
    assert_eq!(
        did("INSERT INTO pair VALUES (1, x'ff', NULL)"),
        [r#"insert | pair | [{"b":"FF"},1] | - | {"a":1,"b":{"b":"FF"},"c":null}"#]
    );
    // Rolled-back changes aren't logged.
    assert!(did("BEGIN; DELETE FROM pair; ROLLBACK").is_empty());
}

#[test]
fn the_actor_is_logged_and_the_remote_is_one() {
    let connection = audited("CREATE TABLE t(id INTEGER PRIMARY KEY)", &options(&["t"]));
    audit::set_actor(&connection, Some("user-17")).unwrap();
    connection.exec("INSERT INTO t VALUES (1)").unwrap();
    connection
        .atomically(|connection| {
            tidelock::sync::outbox::capture::without_capture(connection, |connection| {
                connection.exec("INSERT INTO t VALUES (2)")
            })
        })
        .unwrap();
    connection.exec("INSERT INTO t VALUES (3)").unwrap();
    audit::set_actor(&connection, None).unwrap();
    connection.exec("INSERT INTO t VALUES (4)").unwrap();
    let actors = connection.rows("SELECT actor FROM audit_log ORDER BY id", &[]).unwrap();
    let expected = [Value::from("user-17"), Value::from("sync"), Value::from("user-17"), Value::Null];
    assert_eq!(actors, expected.map(|actor| vec![actor]));
}

#[test]
fn redacted_values_are_never_written() {
    let redact = vec![
        Redacted { table: None, column: "Password".into() },
        Redacted { table: Some("t".into()), column: "id".into() },
    ];
    let options = AuditOptions { redact, ..options(&["t", "u"]) };
    let schema = "CREATE TABLE t(id TEXT PRIMARY KEY, password); CREATE TABLE u(id INTEGER PRIMARY KEY, password)";
    let connection = audited(schema, &options);
    connection
        .exec("INSERT INTO t VALUES ('secret', 'secret'); UPDATE t SET password = 'hidden'; DELETE FROM t")
        .unwrap();
    connection.exec("INSERT INTO u VALUES (5, 'secret')").unwrap();
    let text = new_rows(&connection).join("\n");
    let row = r#"{"id":"[redacted]","password":"[redacted]"}"#;
    assert_eq!(
        text,
        format!(
            "insert | t | [redacted] | - | {row}\nupdate | t | [redacted] | {row} | {row}\ndelete | t | [redacted] | {row} | -\n\
             insert | u | 5 | - | {{\"id\":5,\"password\":\"[redacted]\"}}"
        )
    );
}

#[test]
fn the_log_is_created_with_its_first_table_and_keeps_its_shape() {
    let connection = Connection::open(&PageFile::default()).unwrap();
    let mine = options(&["t"]);
    assert_eq!(audit::resume(&connection, &mine).unwrap().tables, ["t"]);
    assert!(!Log("audit_log").exists(&connection).unwrap());
    connection.exec("CREATE TABLE t(a); CREATE VIEW v AS SELECT 1; CREATE TABLE other(id, b)").unwrap();
    audit::resume(&connection, &mine).unwrap();
    assert!(Log("audit_log").exists(&connection).unwrap());
    connection.exec("INSERT INTO t VALUES (1)").unwrap();
    assert_eq!(new_rows(&connection), [r#"insert | t | 1 | - | {"a":1}"#]);

    let taken = AuditOptions { table: "other".into(), ..mine.clone() };
    assert!(audit::resume(&connection, &taken).unwrap_err().is(ErrorCode::MigrationInvalid));
    assert!(audit::resume(&connection, &options(&["v"])).unwrap_err().is(ErrorCode::InvalidArgument));
    for wrong in [options(&["audit_log"]), options(&["sqlite_sequence"]), options(&["tidelock_outbox"])] {
        assert!(wrong.check().unwrap_err().is(ErrorCode::InvalidArgument));
    }
    for table in ["", "sqlite_log", "tidelock_log", "a\nb"] {
        assert!(AuditOptions { table: table.into(), ..mine.clone() }.check().is_err());
    }
}

#[test]
fn old_rows_are_deleted_slice_by_slice() {
    let connection = audited("CREATE TABLE t(a)", &options(&["t"]));
    connection
        .exec(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
             INSERT INTO audit_log(action, table_name, timestamp)
             SELECT 'insert', 't', strftime('%Y-%m-%dT%H:%M:%fZ', 1000000000 + i, 'unixepoch') FROM n",
        )
        .unwrap();
    let log = Log("audit_log");
    let (mut after, mut slices) = (0, Vec::new());
    loop {
        let (sql, params, last) = log.old_rows(&connection, Timestamp(1_000_000_018_000), after, 10).unwrap();
        let deleted = connection.run(&sql, &params).unwrap();
        slices.push(deleted);
        match last {
            Some(last) => after = last,
            None => break,
        }
    }
    assert_eq!(slices, [10, 7, 0]);
    assert_eq!(connection.value("SELECT min(id) FROM audit_log", &[]).unwrap(), Some(Value::Integer(18)));
}

#[test]
fn schema_changes_and_migrations_keep_the_audit() -> Result<()> {
    let mut world = World::new();
    world.run(|tab| async move {
        let changes = r#"{ "migrations": [
            { "version": "1", "name": "a", "up": "CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1)" },
            { "version": "2", "name": "b", "up": "ALTER TABLE t ADD COLUMN more; INSERT INTO t VALUES (2, 'x')" }] }"#;
        let db = tab.acquire(changes).await?;
        db.audit(options(&["t", "later"])).await?;
        db.start().await?;
        let drift = db.migrations_drift(None).await?;
        assert!(drift.is_empty(), "{drift:?}");
        for sql in [
            "ALTER TABLE t ADD COLUMN third",
            "UPDATE t SET third = 3 WHERE id = 2",
            "ALTER TABLE t DROP COLUMN more",
            "DELETE FROM t WHERE id = 2",
            "CREATE TABLE later(a)",
            "INSERT INTO later VALUES (1)",
        ] {
            run(&db, sql).await;
        }
        let heard = tab.heard.borrow().clone();
        let warned: Vec<_> = heard.iter().filter(|event| event.contains("audit_table_missing")).collect();
        assert!(matches!(&*warned, [only] if only.contains("audit_table_missing") && only.contains("later")), "{warned:?}");
        let permit = db.mutex().try_acquire().unwrap();
        db.script(
            permit,
            "ALTER TABLE later RENAME TO t2; DROP TABLE t; CREATE TABLE t(z); INSERT INTO t VALUES (9)",
            0.0,
        )?;
        let failed =
            db.script(permit, "INSERT INTO t VALUES (8); CREATE TABLE q(a); INSERT INTO nowhere VALUES (1)", 0.0);
        assert!(failed.is_err());
        db.mutex().release(permit);
        run(&db, "INSERT INTO t VALUES (7)").await;
        db.close().await?;

        let again = tab.acquire(changes).await?;
        again.audit(options(&["t"])).await?;
        again.start().await?;
        run(&again, "UPDATE t SET z = 10 WHERE z = 7").await;
        let sql = "SELECT group_concat(action || ' ' || table_name || ' ' || coalesce(new_values, old_values), char(10) \
                   ORDER BY id) FROM audit_log";
        let log = text(&again, sql).await;
        let log: Vec<&str> = log.lines().collect();
        assert_eq!(
            log,
            [
                r#"insert t {"id":1}"#,
                r#"insert t {"id":2,"more":"x"}"#,
                r#"update t {"id":2,"more":"x","third":3}"#,
                r#"delete t {"id":2,"third":3}"#,
                r#"insert later {"a":1}"#,
                r#"insert t {"z":9}"#,
                r#"insert t {"z":7}"#,
                r#"update t {"z":10}"#,
            ]
        );
        again.close().await
    })
}

#[test]
fn a_log_of_another_shape_refuses_the_open_and_releases_the_lock() {
    let mut world = World::new();
    world.run(|tab| async move {
        let db = tab.open("{}").await.unwrap();
        run(&db, "CREATE TABLE audit_log(id, b)").await;
        db.close().await.unwrap();
        let db = tab.acquire("{}").await.unwrap();
        db.audit(options(&["t"])).await.unwrap();
        assert!(db.start().await.unwrap_err().is(ErrorCode::MigrationInvalid));
        let db = tab.acquire("{}").await.unwrap();
        assert!(db.audit(options(&["sqlite_x"])).await.unwrap_err().is(ErrorCode::InvalidArgument));
        tab.open("{}").await.unwrap().close().await.unwrap();
    });
}

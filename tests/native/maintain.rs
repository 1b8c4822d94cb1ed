//! Maintenance of an open database.

use tidelock::{
    Result, Timestamp, Value,
    engine::MaintainOptions,
    maintain::{Expiry, MaintenanceStep, Sweep},
    sqlite::{Connection, PageFile},
};

use crate::world::{World, run, text};

fn expiry(table: &str, column: &str) -> Expiry {
    Expiry { table: table.into(), column: column.into() }
}

fn expires(list: &[(&str, &str)]) -> MaintainOptions {
    MaintainOptions { expires: list.iter().map(|(table, column)| expiry(table, column)).collect() }
}

/// Sweeps with slices of `slice` rows; returns the deleted rows and the number of slices.
fn sweep(connection: &Connection, expiry: &Expiry, now: i64, slice: u32) -> (u64, usize) {
    let mut sweep = Sweep::begin(connection, expiry, Timestamp(now)).unwrap();
    let (mut deleted, mut slices) = (0, 0);
    while !sweep.is_done() {
        let (sql, params) = sweep.next(connection, slice).unwrap();
        deleted += connection.run(&sql, &params).unwrap();
        slices += 1;
    }
    (deleted, slices)
}

#[test]
fn the_type_of_a_value_decides_how_a_time_is_read() {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, at)").unwrap();
    // 2026-01-01T00:00:00Z.
    let now = 1_767_225_600_000;
    let moments: [(Value, bool); 19] = [
        (Value::Null, false),
        (Value::from("2025-12-31T23:59:59.999Z"), true),
        (Value::from("2026-01-01T00:00:00Z"), true),
        (Value::from("2026-01-01T00:00:01Z"), false),
        (Value::from("2026-01-01T00:30:00+01:00"), true),
        (Value::from("2025-12-31T23:30:00-01:00"), false),
        (Value::from("2025-12-31"), true),
        (Value::from("2025-12-31 10:00:00"), true),
        (Value::from("soon"), false),
        (Value::from(""), false),
        (Value::Integer(1_767_225_599), true),
        (Value::Integer(1_767_225_601), false),
        (Value::Integer(1_767_225_599_999), true),
        (Value::Integer(1_767_225_600_001), false),
        (Value::Integer(0), true),
        (Value::Integer(i64::MAX), false),
        (Value::Integer(i64::MIN), true),
        (Value::Real(1_767_225_599.5), true),
        (Value::Blob(vec![0]), false),
    ];
    for (value, goes) in moments {
        connection.run("INSERT INTO t(at) VALUES (?1)", std::slice::from_ref(&value)).unwrap();
        let (deleted, _) = sweep(&connection, &expiry("T", "AT"), now, 100);
        assert_eq!(deleted, u64::from(goes), "{value:?}");
        connection.exec("DELETE FROM t").unwrap();
    }
}

#[test]
fn every_kind_of_table_is_swept_once_in_slices() {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection
        .exec(
            "CREATE TABLE plain(rowid, at);
             CREATE TABLE keyed(k TEXT PRIMARY KEY, at);
             CREATE TABLE bare(a, b, at, PRIMARY KEY(b, a)) WITHOUT ROWID;
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 25)
             INSERT INTO keyed SELECT 'k' || i, iif(i % 3, 0, 9e12) FROM n;
             INSERT INTO plain SELECT k, at FROM keyed;
             INSERT INTO bare SELECT length(k), k, at FROM keyed;",
        )
        .unwrap();
    for table in ["plain", "keyed", "bare"] {
        assert_eq!(sweep(&connection, &expiry(table, "at"), 1_000, 10), (17, 3), "{table}");
        let left = connection.value(&format!("SELECT count(*) FROM {table}"), &[]).unwrap();
        assert_eq!(left, Some(Value::Integer(8)));
        // The last slice with rows is full, so one more slice finds no rows.
        assert_eq!(sweep(&connection, &expiry(table, "at"), 1_000, 8), (0, 2));
        assert_eq!(sweep(&connection, &expiry(table, "at"), 10_000_000_000_000, 3), (8, 3));
        assert_eq!(sweep(&connection, &expiry(table, "at"), 1_000, 10), (0, 1));
    }
    for wrong in [expiry("nowhere", "at"), expiry("plain", "when")] {
        assert!(Sweep::begin(&connection, &wrong, Timestamp(0)).is_err());
    }
}

#[test]
fn maintenance_checks_and_cleans_everything() -> Result<()> {
    let mut world = World::new();
    world.run(|tab| async move {
        let db = tab.acquire("{}").await?;
        let audit = tidelock::audit::AuditOptions {
            tables: vec!["session".into()],
            redact: Vec::new(),
            retention_days: Some(30.0),
            table: "history".into(),
        };
        db.audit(audit).await?;
        db.start().await?;
        run(
            &db,
            "CREATE TABLE session(id INTEGER PRIMARY KEY, until TEXT, filler);
             CREATE TABLE kept(session REFERENCES session(id));
             CREATE INDEX by_until ON session(until);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)
             INSERT INTO session SELECT i, iif(i = 2000, '2999-01-01', '2001-01-01'), zeroblob(500) FROM n;
             UPDATE history SET timestamp = '2001-01-01T00:00:00.000Z' WHERE id <= 1500;",
        )
        .await;
        let before: u64 = text(&db, "SELECT CAST(page_count AS TEXT) FROM pragma_page_count").await.parse().unwrap();
        let report = db.maintain(expires(&[("session", "until")])).await?;
        assert!(report.ok, "{report:?}");
        assert_eq!((report.expired[0].deleted, report.audit_deleted, report.analyzed), (2499, 1500, true));
        assert!(report.freed_pages > 300 && report.freed_bytes == report.freed_pages * 4096);
        let after: u64 = text(&db, "SELECT CAST(page_count AS TEXT) FROM pragma_page_count").await.parse().unwrap();
        assert!(after < before);
        assert_eq!(text(&db, "SELECT group_concat(id) FROM session").await, "2000");
        // The audit log records these deletions like any others.
        assert_eq!(text(&db, "SELECT CAST(count(*) AS TEXT) FROM history WHERE action = 'DELETE'").await, "2499");
        assert!(text(&db, "SELECT stat FROM sqlite_stat1 WHERE idx = 'by_until'").await.starts_with('1'));

        // A failing step is reported, and the others run.
        run(&db, "UPDATE session SET until = '2001-01-01'; INSERT INTO kept VALUES (2000)").await;
        for sql in ["PRAGMA foreign_keys = OFF", "INSERT INTO kept VALUES (77)", "PRAGMA foreign_keys = ON"] {
            text(&db, sql).await;
        }
        let report = db.maintain(expires(&[("session", "until"), ("nowhere", "x")])).await?;
        let failed: Vec<_> = report.errors.iter().map(|failed| (failed.step, failed.table.as_deref())).collect();
        assert!(!report.ok && report.integrity.is_empty() && report.analyzed);
        assert_eq!(failed, [(MaintenanceStep::Expires, Some("session")), (MaintenanceStep::Expires, Some("nowhere"))]);
        assert_eq!((report.foreign_keys[0].table.as_str(), report.foreign_keys.len()), ("kept", 1));
        let alerts = |health: &tidelock::health::Health| serde_json::to_string(&health.alerts).unwrap();
        assert!(alerts(&db.health().await).contains("foreign_keys_violated"));
        assert!(alerts(&db.health().await).contains("1 foreign key violation, the first one in the table kept"));
        run(&db, "DELETE FROM kept").await;
        assert!(db.maintain(MaintainOptions::default()).await?.ok);
        assert!(!alerts(&db.health().await).contains("foreign_keys_violated"));
        assert!(tab.heard.borrow().iter().any(|event| event.contains("foreign_keys_violated")));
        db.close().await?;
        assert!(db.maintain(MaintainOptions::default()).await.is_err());
        Ok(())
    })
}

//! The public behaviour of the engine, in a simulated browser.

use tidelock::{
    ErrorCode, Result,
    engine::{Call, Database, connection::mutex::MutexPermit},
    sqlite::{FlatRows, Op, Outcome, tag},
};

use crate::world::World;

/// Runs a statement without parameters; returns its outcome and the first column, integers only.
pub fn execute(database: &Database, permit: MutexPermit, op: Op, sql: &str) -> Result<(Outcome, Vec<i64>)> {
    let mut rows = FlatRows::default();
    let call = Call { op, sql, params: None, names: "", timeout_ms: 0.0 };
    let outcome = database.execute(permit, &call, &mut rows)?;
    let numbers = (0..rows.rows).map(|row| {
        let at = row * rows.columns;
        assert_eq!(rows.tags[at], tag::INTEGER);
        f64::from_bits(rows.slots[at]) as i64
    });
    Ok((outcome, numbers.collect()))
}

pub async fn run(database: &Database, sql: &str) -> Result<()> {
    let guard = database.mutex().acquire().await?;
    execute(database, guard.permit(), Op::Run, sql)?;
    drop(guard);
    match database.stored() {
        Some(stored) => stored.await,
        None => Ok(()),
    }
}

pub async fn numbers(database: &Database, sql: &str) -> Vec<i64> {
    let guard = database.mutex().acquire().await.unwrap();
    execute(database, guard.permit(), Op::Query, sql).unwrap().1
}

#[test]
fn acknowledged_writes_are_there_after_the_tab_died() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(a INTEGER PRIMARY KEY)").await.unwrap();
        run(&database, "INSERT INTO t VALUES (1), (2)").await.unwrap();
        std::mem::forget(database);
    });
    world.kill();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [1, 2]);
        assert_eq!(database.health().await.lock.epoch, Some(2));
        database.close().await.unwrap();
    });
}

#[test]
fn a_second_opening_is_refused_until_the_first_is_closed() {
    let mut world = World::new();
    world.run(|tab| async move {
        let first = tab.open("{}").await.unwrap();
        let error = tab.open("{}").await.err().unwrap();
        assert_eq!((error.code, error.message.as_str()), (ErrorCode::DatabaseInUse, "Database already in use"));
        assert!(serde_json::to_string(&error).unwrap().contains(r#""title":"Shop""#), "{error:?}");
        let error = tab.open(r#"{ "onBusy": "wait", "lockTimeoutMs": 50 }"#).await.err().unwrap();
        assert_eq!(error.code, ErrorCode::LockTimeout);
        let other = tab.open(r#"{ "name": "other" }"#).await.unwrap();
        first.close().await.unwrap();
        let again = tab.open("{}").await.unwrap();
        assert_eq!(first.mutex().acquire().await.err().unwrap().code, ErrorCode::Closed);
        again.close().await.unwrap();
        again.close().await.unwrap();
        other.close().await.unwrap();
    });
}

#[test]
fn every_kind_of_failed_opening_releases_the_lock() {
    let mut world = World::new();
    world.run(|tab| async move {
        let migration = |version: &str, up: &str| {
            format!(r#"{{ "version": "{version}", "name": "n", "up": "{up}", "transaction": true }}"#)
        };
        let open = async |list: &[String]| {
            let opened = tab.open(&format!(r#"{{ "migrations": [{}] }}"#, list.join(","))).await;
            match opened {
                Ok(database) => database.close().await.map(|()| None),
                Err(error) => Ok(Some(error.code)),
            }
        };
        let (one, two) = (migration("1", "CREATE TABLE t(a)"), migration("2", "CREATE TABLE u(a)"));
        let broken = migration("3", "CREATE TABLE");
        assert_eq!(open(&[one.clone(), two.clone()]).await, Ok(None));
        assert_eq!(open(std::slice::from_ref(&one)).await, Ok(Some(ErrorCode::SchemaTooNew)));
        assert_eq!(
            open(&[migration("1", "CREATE TABLE t(b)"), two.clone()]).await,
            Ok(Some(ErrorCode::MigrationChecksumMismatch))
        );
        assert_eq!(open(std::slice::from_ref(&two)).await, Ok(Some(ErrorCode::MigrationMissing)));
        assert_eq!(open(&[one.clone(), two.clone(), broken]).await, Ok(Some(ErrorCode::MigrationFailed)));
        assert_eq!(open(&[one, two]).await, Ok(None));
    });
}

#[test]
fn transactions_nest_as_savepoints() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open(r#"{ "storage": "memory" }"#).await.unwrap();
        run(&database, "CREATE TABLE t(a)").await.unwrap();
        let guard = database.mutex().acquire().await.unwrap();
        let permit = guard.permit();
        let insert = |n| execute(&database, permit, Op::Run, &format!("INSERT INTO t VALUES ({n})")).map(drop);
        let outer = database.begin(permit, false).unwrap();
        insert(1).unwrap();
        let inner = database.begin(permit, false).unwrap();
        insert(2).unwrap();
        assert_eq!(database.commit(permit, outer).unwrap_err().code, ErrorCode::TransactionClosed);
        database.rollback(permit, inner).unwrap();
        let inner = database.begin(permit, false).unwrap();
        insert(3).unwrap();
        assert!(!database.commit(permit, inner).unwrap());
        assert!(database.commit(permit, outer).unwrap());
        drop(guard);
        assert_eq!(numbers(&database, "SELECT a FROM t ORDER BY a").await, [1, 3]);
        assert!(execute(&database, permit, Op::Run, "SELECT 1").is_err(), "the permit is released");
    });
}

#[test]
fn a_script_is_one_transaction_unless_it_has_its_own() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open(r#"{ "storage": "memory" }"#).await.unwrap();
        let script = async |sql: &str| {
            let guard = database.mutex().acquire().await.unwrap();
            database.script(guard.permit(), sql, 0.0)
        };
        assert_eq!(script("CREATE TABLE t(a); INSERT INTO t VALUES (1);").await, Ok(true));
        let error = script("INSERT INTO t VALUES (2);\nINSERT INTO nowhere VALUES (3);").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SqliteError);
        assert_eq!(serde_json::to_value(&error.details).unwrap()["line"], 2);
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [1]);
        assert_eq!(script("BEGIN; INSERT INTO t VALUES (4); COMMIT; INSERT INTO t VALUES (5)").await, Ok(true));
        let open = script("BEGIN; INSERT INTO t VALUES (6); COMMIT; BEGIN; INSERT INTO t VALUES (7)").await;
        assert_eq!(open.unwrap_err().code, ErrorCode::InvalidArgument);
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [1, 4, 5, 6]);
        script("VACUUM").await.unwrap();
        assert_eq!(numbers(&database, "SELECT count(*) FROM t").await, [4]);
    });
}

#[test]
fn live_queries_are_notified_once_of_commits_on_their_tables() {
    let mut world = World::new();
    let tab = world.tab();
    let heard = tab.heard.clone();
    world.sim.run(async move {
        let database = tab.open(r#"{ "storage": "memory" }"#).await.unwrap();
        run(&database, "CREATE TABLE t(a)").await.unwrap();
        run(&database, "CREATE TABLE u(a)").await.unwrap();
        let id = database.watch("SELECT a FROM t", None, "").unwrap();
        tab.ports.platform.clock.sleep(1).await;
        tab.heard.borrow_mut().clear();
        let guard = database.mutex().acquire().await.unwrap();
        let depth = database.begin(guard.permit(), false).unwrap();
        for sql in ["INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "INSERT INTO u VALUES (1)"] {
            execute(&database, guard.permit(), Op::Run, sql).unwrap();
        }
        database.commit(guard.permit(), depth).unwrap();
        drop(guard);
        run(&database, "INSERT INTO u VALUES (2)").await.unwrap();
        let guard = database.mutex().acquire().await.unwrap();
        let depth = database.begin(guard.permit(), false).unwrap();
        execute(&database, guard.permit(), Op::Run, "INSERT INTO t VALUES (3)").unwrap();
        database.rollback(guard.permit(), depth).unwrap();
        drop(guard);
        tab.ports.platform.clock.sleep(1).await;
        assert_eq!(id, 1);
    });
    assert_eq!(
        *heard.borrow(),
        [
            r#"{"type":"live","detail":{"ids":[1]}}"#,
            r#"{"type":"change","detail":{"tables":["t","u"],"all":false}}"#,
            r#"{"type":"change","detail":{"tables":["u"],"all":false}}"#,
        ]
    );
}

#[test]
fn a_restore_brings_the_contents_back_and_keeps_the_replaced_ones() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(a)").await.unwrap();
        run(&database, "INSERT INTO t VALUES (1)").await.unwrap();
        let taken = database.snapshots().create(None, tidelock::snapshot::Reason::Manual).await.unwrap();
        run(&database, "DELETE FROM t").await.unwrap();
        assert_eq!(database.restore("99", false).await.unwrap_err().code, ErrorCode::SnapshotNotFound);
        database.restore(&taken.id, false).await.unwrap();
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [1]);
        assert_eq!(database.snapshots().list()[0].reason.as_str(), "safety");
        database.close().await.unwrap();
        let database = tab.open("{}").await.unwrap();
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [1]);
        database.close().await.unwrap();
    });
}

#[test]
fn without_migrations_a_table_of_their_name_stops_no_restore() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        for sql in ["CREATE TABLE schema_migrations(version TEXT)", "CREATE TABLE t(a)", "INSERT INTO t VALUES (1)"] {
            run(&database, sql).await.unwrap();
        }
        let taken = database.snapshots().create(None, tidelock::snapshot::Reason::Manual).await.unwrap();
        run(&database, "DELETE FROM t").await.unwrap();
        database.restore(&taken.id, false).await.unwrap();
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [1]);
    });
}

#[test]
fn moments_before_and_after_a_restore_stay_reachable() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(a)").await.unwrap();
        let clock = tab.ports.platform.clock.clone();
        let mut times = Vec::new();
        let commit = async |n: i64, times: &mut Vec<_>| {
            run(&database, &format!("INSERT INTO t VALUES ({n})")).await.unwrap();
            times.push(clock.now());
            clock.sleep(1000).await;
        };
        commit(1, &mut times).await;
        commit(2, &mut times).await;
        database.restore_at(times[0].into(), false).await.unwrap();
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [1]);
        clock.sleep(1000).await;
        commit(3, &mut times).await;
        let all = "SELECT a FROM t ORDER BY a";
        // Restores to earlier and later times in turn: each is a commit, and takes a safety snapshot.
        for (at, state) in [(1, vec![1, 2]), (2, vec![1, 3]), (0, vec![1]), (1, vec![1, 2]), (2, vec![1, 3])] {
            database.restore_at(times[at].into(), false).await.unwrap();
            assert_eq!(numbers(&database, all).await, state);
            clock.sleep(1000).await;
        }
        let error = database.restore_at(times[0].plus_ms(-100_000).into(), false).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SnapshotNotFound);
        assert!(error.details.contains_key("oldest"));
        assert_eq!(numbers(&database, all).await, [1, 3], "nothing has changed");
        database.close().await.unwrap();
        let database = tab.open("{}").await.unwrap();
        assert_eq!(numbers(&database, all).await, [1, 3]);
        database.close().await.unwrap();
    });
}

#[test]
fn a_restored_moment_runs_missing_migrations_and_is_refused_when_it_is_newer_than_them() {
    let mut world = World::new();
    world.run(|tab| async move {
        let one = r#"{ "version": "1", "name": "n", "up": "CREATE TABLE t(a)", "transaction": true }"#;
        let two =
            r#"{ "version": "2", "name": "n", "up": "ALTER TABLE t ADD COLUMN b DEFAULT 7", "transaction": true }"#;
        let clock = tab.ports.platform.clock.clone();
        let database = tab.open(&format!(r#"{{ "migrations": [{one}] }}"#)).await.unwrap();
        run(&database, "INSERT INTO t VALUES (1)").await.unwrap();
        let old = clock.now();
        clock.sleep(1000).await;
        database.close().await.unwrap();
        let database = tab.open(&format!(r#"{{ "migrations": [{one}, {two}] }}"#)).await.unwrap();
        run(&database, "INSERT INTO t VALUES (2, 2)").await.unwrap();
        let new = clock.now();
        clock.sleep(1000).await;
        database.restore_at(old.into(), false).await.unwrap();
        assert_eq!(numbers(&database, "SELECT b FROM t").await, [7], "the second migration ran again");
        run(&database, "DROP TABLE t").await.unwrap();
        run(&database, "DELETE FROM schema_migrations").await.unwrap();
        database.close().await.unwrap();
        let zero = r#"{ "version": "0", "name": "n", "up": "CREATE TABLE u(a)", "transaction": true }"#;
        let database = tab.open(&format!(r#"{{ "migrations": [{zero}] }}"#)).await.unwrap();
        assert_eq!(database.restore_at(new.into(), true).await.unwrap_err().code, ErrorCode::SnapshotIncompatible);
        database.close().await.unwrap();
    });
}

#[test]
fn local_changes_are_captured_across_schema_changes() {
    let mut world = World::new();
    world.run(|tab| async move {
        let remote = r#"{ "remote": { "url": "http://127.0.0.1:1", "key": "anon", "tables": [{ "table": "t" }] } }"#;
        let database = tab.open(remote).await.unwrap();
        let pending = "SELECT count(*) FROM tidelock_outbox";
        let guard = database.mutex().acquire().await.unwrap();
        database
            .script(guard.permit(), "CREATE TABLE t(id INTEGER PRIMARY KEY, a); INSERT INTO t VALUES (1, 1);", 0.0)
            .unwrap();
        drop(guard);
        assert_eq!(numbers(&database, pending).await, [1]);
        run(&database, "ALTER TABLE t RENAME COLUMN a TO b").await.unwrap();
        run(&database, "INSERT INTO t(id, b) VALUES (2, 2)").await.unwrap();
        run(&database, "ALTER TABLE t DROP COLUMN b").await.unwrap();
        let guard = database.mutex().acquire().await.unwrap();
        assert!(
            database.script(guard.permit(), "ALTER TABLE t ADD COLUMN c; INSERT INTO nowhere VALUES (1)", 0.0).is_err()
        );
        drop(guard);
        run(&database, "INSERT INTO t(id) VALUES (3)").await.unwrap();
        assert_eq!(numbers(&database, pending).await, [3]);
        database.close().await.unwrap();
        // A database that is opened without `remote` captures changes, too.
        let database = tab.open("{}").await.unwrap();
        run(&database, "DELETE FROM t WHERE id = 3").await.unwrap();
        run(&database, "INSERT INTO t(id) VALUES (4), (5)").await.unwrap();
        assert_eq!(numbers(&database, pending).await, [4]);
        database.close().await.unwrap();
    });
}

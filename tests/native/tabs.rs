//! The recorded writes of other tabs: the next leader finds their replies after a leader died.

use tidelock::{
    engine::{Database, connection::mutex::MutexPermit},
    tabs::TabWrite,
};

use crate::world::{World, run, text};

fn write(id: u64) -> TabWrite<'static> {
    TabWrite { client: "tab", id, acknowledged: 0, keep: None }
}

/// Runs a transaction with the statements of a tab, and records the reply of its write.
fn noted(database: &Database, permit: MutexPermit, id: u64, script: &str) {
    let depth = database.begin(permit, false).unwrap();
    database.script(permit, script, 0.0).unwrap();
    database.note_applied(permit, &write(id), &[id as u8]).unwrap();
    database.commit(permit, depth).unwrap();
}

#[test]
fn the_next_tab_finds_the_replies_of_committed_writes_only() {
    let mut world = World::new();
    world.run(async |tab| {
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(v)").await;
        let permit = database.mutex().try_acquire().unwrap();
        noted(&database, permit, 1, "INSERT INTO t VALUES (1)");
        database.flush().await.unwrap();
        // The tab dies before its commit.
        database.begin(permit, false).unwrap();
        database.script(permit, "INSERT INTO t VALUES (2)", 0.0).unwrap();
        database.note_applied(permit, &write(2), &[2]).unwrap();
        std::mem::forget(database);
    });
    world.kill();
    world.run(async |tab| {
        let database = tab.open("{}").await.unwrap();
        let permit = database.mutex().try_acquire().unwrap();
        assert_eq!(database.applied(permit, "tab", 1).unwrap(), Some(vec![1]));
        assert_eq!(database.applied(permit, "tab", 2).unwrap(), None);
        assert_eq!(database.applied(permit, "another", 1).unwrap(), None);
        database.mutex().release(permit);
        assert_eq!(text(&database, "SELECT group_concat(v) FROM t").await, "1");
    });
}

#[test]
fn a_write_without_effect_is_not_recorded_and_a_reply_needs_a_transaction() {
    let mut world = World::new();
    world.run(async |tab| {
        let database = tab.open("{}").await.unwrap();
        let permit = database.mutex().try_acquire().unwrap();
        noted(&database, permit, 1, "SELECT 1");
        assert_eq!(database.applied(permit, "tab", 1).unwrap(), None);
        assert!(database.note_applied(permit, &write(2), b"").is_err());
        database.mutex().release(permit);
        assert!(database.applied(permit, "tab", 1).is_err(), "without the mutex");
        assert_eq!(text(&database, "SELECT count(*) || '' FROM sqlite_schema").await, "0");
    });
}

#[test]
fn a_script_with_its_own_transactions_cannot_record_a_reply() {
    assert!(Database::is_whole("INSERT INTO t VALUES (1); CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END"));
    assert!(!Database::is_whole("BEGIN; INSERT INTO t VALUES (1); COMMIT"));
    assert!(!Database::is_whole("VACUUM"));
}

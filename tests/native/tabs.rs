//! Writes of other tabs, noted in a whole database: what a tab that dies leaves to the next one.

use tidelock::{
    engine::{Database, connection::mutex::MutexPermit},
    tabs::TabWrite,
};

use crate::world::{World, run, text};

fn write(id: u64) -> TabWrite<'static> {
    TabWrite { client: "tab", id, acknowledged: 0, keep: &[] }
}

/// A transaction of a tab: its statements, and the note of its write.
fn noted(database: &Database, permit: MutexPermit, id: u64, script: &str) {
    let depth = database.begin(permit, false).unwrap();
    database.script(permit, script, 0.0).unwrap();
    database.note_applied(permit, &write(id), &[id as u8]).unwrap();
    database.commit(permit, depth).unwrap();
}

#[test]
fn the_next_tab_finds_the_notes_of_what_was_stored_and_of_nothing_else() {
    let mut world = World::new();
    world.run(async |tab| {
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(v)").await;
        let permit = database.turn().enter().unwrap();
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
        let permit = database.turn().enter().unwrap();
        assert_eq!(database.applied(permit, "tab", 1).unwrap(), Some(vec![1]));
        assert_eq!(database.applied(permit, "tab", 2).unwrap(), None);
        assert_eq!(database.applied(permit, "another", 1).unwrap(), None);
        database.turn().leave(permit);
        assert_eq!(text(&database, "SELECT group_concat(v) FROM t").await, "1");
    });
}

#[test]
fn what_wrote_nothing_is_not_noted_and_a_note_needs_its_transaction() {
    let mut world = World::new();
    world.run(async |tab| {
        let database = tab.open("{}").await.unwrap();
        let permit = database.turn().enter().unwrap();
        noted(&database, permit, 1, "SELECT 1");
        assert_eq!(database.applied(permit, "tab", 1).unwrap(), None);
        assert!(database.note_applied(permit, &write(2), b"").is_err());
        database.turn().leave(permit);
        assert!(database.applied(permit, "tab", 1).is_err(), "without the turn");
        assert_eq!(text(&database, "SELECT count(*) || '' FROM sqlite_schema").await, "0");
    });
}

#[test]
fn a_script_with_transactions_of_its_own_cannot_take_a_note_along() {
    assert!(Database::is_whole("INSERT INTO t VALUES (1); CREATE TRIGGER a AFTER INSERT ON t BEGIN SELECT 1; END"));
    assert!(!Database::is_whole("BEGIN; INSERT INTO t VALUES (1); COMMIT"));
    assert!(!Database::is_whole("VACUUM"));
}

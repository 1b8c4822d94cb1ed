//! An open database whose page is hidden, leaves, or returns.

use tidelock::{
    ErrorCode,
    engine::{Call, Database},
    ports::LifecycleEvent,
    snapshot::Reason,
    sqlite::{FlatRows, Op},
};

use crate::world::{Tab, World};

/// Runs a statement without waiting for the storage.
fn run(database: &Database, sql: &str) {
    let permit = database.mutex().try_acquire().expect("the mutex is free");
    let call = Call { op: Op::Run, sql, params: None, names: "", timeout_ms: 0.0 };
    database.execute(permit, &call, &mut FlatRows::default()).expect("runs");
    database.mutex().release(permit);
}

fn rows(database: &Database) -> f64 {
    let permit = database.mutex().try_acquire().expect("the mutex is free");
    let mut rows = FlatRows::default();
    let call = Call { op: Op::Get, sql: "SELECT count(*) FROM t", params: None, names: "", timeout_ms: 0.0 };
    database.execute(permit, &call, &mut rows).expect("runs");
    database.mutex().release(permit);
    f64::from_bits(rows.slots[0])
}

async fn opened(tab: &Tab, options: &str) -> Database {
    let database = tab.open(options).await.expect("opens");
    run(&database, "CREATE TABLE IF NOT EXISTS t(a)");
    database.flush().await.expect("stores");
    database
}

fn found(world: &mut World) -> f64 {
    world.kill();
    world.run(|tab| async move { rows(&tab.open("{}").await.expect("opens")) })
}

#[test]
fn deferred_writes_of_a_leaving_page_are_issued_before_its_event_ends() {
    let mut world = World::new();
    let page = world.page.clone();
    world.run(|tab| async move {
        let database = opened(&tab, r#"{ "durability": "deferred" }"#).await;
        run(&database, "INSERT INTO t VALUES (1)");
        assert!(database.stored().is_none());
        page.happens(LifecycleEvent::Leaving);
        std::mem::forget(database);
    });
    assert_eq!(found(&mut world), 1.0);
}

#[test]
fn deferred_writes_of_a_hidden_page_do_not_wait_for_a_timer() {
    let mut world = World::new();
    let page = world.page.clone();
    world.run(|tab| async move {
        let database = opened(&tab, r#"{ "durability": "deferred" }"#).await;
        page.happens(LifecycleEvent::Hidden);
        run(&database, "INSERT INTO t VALUES (1)");
        tab.ports.platform.clock.sleep(0).await;
        std::mem::forget(database);
    });
    assert_eq!(found(&mut world), 1.0);

    let mut world = World::new();
    world.run(|tab| async move {
        let database = opened(&tab, r#"{ "durability": "deferred" }"#).await;
        run(&database, "INSERT INTO t VALUES (1)");
        tab.ports.platform.clock.sleep(0).await;
        std::mem::forget(database);
    });
    assert_eq!(found(&mut world), 0.0, "a visible one gathers them");
}

#[test]
fn closing_stores_everything_in_each_mode() {
    for durability in ["strict", "relaxed", "deferred", "snapshot"] {
        let mut world = World::new();
        let options = format!(r#"{{ "durability": "{durability}", "snapshots": {{ "enabled": true }} }}"#);
        world.run(|tab| async move {
            let database = opened(&tab, &options).await;
            run(&database, "INSERT INTO t VALUES (1)");
            assert_eq!(database.health().await.storage.durability, durability);
            database.close().await.expect("stores");
        });
        assert_eq!(found(&mut world), 1.0, "{durability}");
    }
}

#[test]
fn snapshot_durability_needs_snapshots() {
    let mut world = World::new();
    world.run(|tab| async move {
        let error = tab.open(r#"{ "durability": "snapshot" }"#).await.err().expect("refuses");
        assert_eq!(error.code, ErrorCode::InvalidArgument);
    });
}

#[test]
fn a_hidden_page_is_snapshotted_at_most_once_in_five_minutes() {
    let mut world = World::new();
    let page = world.page.clone();
    world.run(|tab| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = opened(&tab, r#"{ "durability": "snapshot", "snapshots": { "enabled": true } }"#).await;
        let ids =
            || database.snapshots().list().into_iter().map(|info| (info.id, info.reason.as_str())).collect::<Vec<_>>();
        let hide = async || {
            page.happens(LifecycleEvent::Hidden);
            clock.sleep(100).await;
            page.happens(LifecycleEvent::Shown);
        };
        run(&database, "INSERT INTO t VALUES (1)");
        hide().await;
        assert_eq!(ids(), [("1".to_owned(), "hidden")]);
        run(&database, "INSERT INTO t VALUES (2)");
        hide().await;
        assert_eq!(ids().len(), 1, "too soon");
        clock.sleep(5 * 60_000).await;
        page.happens(LifecycleEvent::Leaving);
        hide().await;
        assert_eq!(ids()[0].0, "1", "a page that goes away has no time for one");
        hide().await;
        assert_eq!(ids()[0], ("2".to_owned(), "hidden"));
        clock.sleep(5 * 60_000).await;
        hide().await;
        assert_eq!(ids()[0].0, "2", "nothing changed");
        std::mem::forget(database);
    });
    assert_eq!(found(&mut world), 2.0, "what a snapshot holds is stored");
}

#[test]
fn a_hidden_page_is_not_snapshotted_when_the_options_say_so() {
    for options in
        [r#"{ "snapshots": { "enabled": true, "onHidden": false } }"#, r#"{ "snapshots": { "enabled": false } }"#]
    {
        let mut world = World::new();
        let page = world.page.clone();
        world.run(|tab| async move {
            let database = opened(&tab, options).await;
            run(&database, "INSERT INTO t VALUES (1)");
            page.happens(LifecycleEvent::Hidden);
            tab.ports.platform.clock.sleep(1000).await;
            assert!(database.snapshots().list().is_empty());
            database.close().await.expect("closes");
        });
    }
}

#[test]
fn a_timetable_decides_when_snapshots_are_taken() {
    let timed = r#"{ "snapshots": { "timedByUser": true } }"#;
    let hour = |time: i64| time.div_euclid(3_600_000);
    let mut world = World::new();
    world.run(|tab| async move {
        let database = opened(&tab, timed).await;
        let clock = tab.ports.platform.clock.clone();
        clock.sleep(0).await;
        let opened_at = clock.now();
        let next = database.snapshots().status().next_at.expect("known");
        assert_eq!(next.0, (hour(opened_at.0) + 1) * 3_600_000, "not an interval after the opening");
        clock.sleep(next.since(opened_at) as u64 + 1000).await;
        let taken = database.snapshots().list();
        assert_eq!(taken.len(), 1);
        assert_eq!(hour(taken[0].created_at.0), hour(next.0));
        let status = database.snapshots().status();
        assert_eq!(status.next_at.expect("known").0, next.0 + 3_600_000);
        run(&database, "INSERT INTO t VALUES (1)");
        database.flush().await.expect("stores");
        database.close().await.expect("closes");
        // Closed for two full hours: a snapshot is taken at once after the next open.
        clock.sleep(2 * 3_600_000).await;
        let database = opened(&tab, timed).await;
        clock.sleep(1000).await;
        assert_eq!(database.snapshots().list().len(), 2);
        assert_eq!(hour(database.snapshots().status().next_at.expect("known").0), hour(clock.now().0) + 1);
    });
}

#[test]
fn a_timetable_goes_on_after_the_clock_was_a_year_ahead() {
    const YEAR_MS: i64 = 365 * 86_400_000;
    let timed = r#"{ "snapshots": { "timedByUser": true } }"#;
    let mut world = World::new();
    world.sim.skip(YEAR_MS);
    world.run(|tab| async move {
        let database = opened(&tab, timed).await;
        run(&database, "INSERT INTO t VALUES (1)");
        database.snapshots().create(None, Reason::Scheduled).await.expect("takes it");
        database.close().await.expect("closes");
    });
    world.sim.skip(-YEAR_MS);
    world.run(|tab| async move {
        let database = opened(&tab, timed).await;
        let clock = tab.ports.platform.clock.clone();
        run(&database, "INSERT INTO t VALUES (2)");
        clock.sleep(3_600_000 + 1000).await;
        assert_eq!(database.snapshots().list().len(), 2);
        assert!(database.snapshots().status().next_at.expect("known").since(clock.now()) <= 3_600_000);
    });
}

#[test]
fn a_young_database_does_not_stand_in_the_log_alone() {
    let mut world = World::new();
    world.run(|tab| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = opened(&tab, "{}").await;
        run(&database, "INSERT INTO t VALUES (1)");
        clock.sleep(3000).await;
        run(&database, "INSERT INTO t VALUES (2)");
        database.close().await.expect("stores");
    });
    for lsn in 1..=4 {
        let store = world.stores.by_name.borrow()["shop"].clone();
        store.contents().borrow_mut().log.get_mut(&(lsn, 0)).expect("stored")[20] ^= 1;
        assert_eq!(found(&mut world), 2.0, "record {lsn}");
    }
    world.run(|tab| async move {
        let listed = tab.open("{}").await.expect("opens").snapshots().list();
        assert_eq!(listed, [], "no user sees it");
    });
}

//! The lock between tabs: takeover and stealing. A fenced-out tab never stores anything.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    engine::Database,
    health::{HealthStatus, LockState},
    sqlite::Op,
};

use crate::{
    engine::{execute, numbers, run},
    world::{Tab, World},
};

const TAKEOVER: &str = r#"{ "onBusy": "takeover", "lockTimeoutMs": 1000 }"#;
const STEAL: &str = r#"{ "onBusy": "steal" }"#;

async fn made(tab: &Tab) -> Database {
    let database = tab.open("{}").await.unwrap();
    run(&database, "CREATE TABLE t(a INTEGER PRIMARY KEY)").await.unwrap();
    database
}

fn heard(tab: &Tab, what: &str) -> usize {
    tab.heard.borrow().iter().filter(|event| event.as_str() == what).count()
}

#[test]
fn a_holder_that_is_asked_finishes_its_transaction_and_releases() {
    let mut world = World::new();
    let (first, second) = (world.tab(), world.tab());
    let (one, two) = (first.clone(), second.clone());
    world.sim.run(async move {
        let clock = one.ports.platform.clock.clone();
        let holder = made(&one).await;
        let guard = holder.mutex().acquire().await.unwrap();
        let depth = holder.begin(guard.permit(), false).unwrap();
        execute(&holder, guard.permit(), Op::Run, "INSERT INTO t VALUES (1)").unwrap();
        let taking = two.open(TAKEOVER);
        let finishing = async {
            clock.sleep(500).await;
            execute(&holder, guard.permit(), Op::Run, "INSERT INTO t VALUES (2)").unwrap();
            holder.commit(guard.permit(), depth).unwrap();
            drop(guard);
        };
        let (taken, ()) = futures_util::future::join(taking, finishing).await;
        let taken = taken.unwrap();
        assert_eq!(clock.now().since(tidelock::ports::sim::START), 500, "as soon as the transaction was over");
        assert_eq!(numbers(&taken, "SELECT a FROM t").await, [1, 2]);
        let health = holder.health().await;
        assert_eq!((health.status, health.lock.state), (HealthStatus::Failed, LockState::Released));
        assert_eq!(run(&holder, "INSERT INTO t VALUES (3)").await.unwrap_err().code, ErrorCode::Closed);
        assert_eq!(holder.close().await, Ok(()));
        taken.close().await.unwrap();
    });
    assert_eq!(heard(&first, r#"{"type":"lock","detail":{"state":"released"}}"#), 1);
    assert_eq!(heard(&first, r#"{"type":"close","detail":{"reason":"released"}}"#), 1);
    assert_eq!(heard(&second, r#"{"type":"lock","detail":{"state":"released"}}"#), 0);
}

#[test]
fn a_takeover_that_timed_out_leaves_the_database_with_its_holder() {
    let mut world = World::new();
    world.run(|tab| async move {
        let clock = tab.ports.platform.clock.clone();
        let holder = made(&tab).await;
        let guard = holder.mutex().acquire().await.unwrap();
        assert_eq!(tab.open(TAKEOVER).await.err().unwrap().code, ErrorCode::LockTimeout);
        drop(guard);
        clock.sleep(1000).await;
        run(&holder, "INSERT INTO t VALUES (1)").await.unwrap();
        assert_eq!(holder.health().await.lock.state, LockState::Held);
        // The timed-out request doesn't affect later ones.
        let taken = tab.open(TAKEOVER).await.unwrap();
        assert_eq!(numbers(&taken, "SELECT a FROM t").await, [1]);
        taken.close().await.unwrap();
    });
}

#[test]
fn a_fenced_out_tab_is_notified_and_stores_nothing_more() {
    let mut world = World::new();
    let (first, second) = (world.tab(), world.tab());
    let (one, two) = (first.clone(), second.clone());
    world.sim.run(async move {
        let fenced_out = made(&one).await;
        let guard = fenced_out.mutex().acquire().await.unwrap();
        let depth = fenced_out.begin(guard.permit(), false).unwrap();
        execute(&fenced_out, guard.permit(), Op::Run, "INSERT INTO t VALUES (1)").unwrap();
        let next_holder = two.open(STEAL).await.unwrap();
        two.ports.platform.clock.sleep(1).await;
        let lost = ErrorCode::LockLost;
        assert_eq!(execute(&fenced_out, guard.permit(), Op::Run, "INSERT INTO t VALUES (2)").err().unwrap().code, lost);
        assert_eq!(fenced_out.commit(guard.permit(), depth).unwrap_err().code, lost);
        drop(guard);
        assert_eq!(run(&fenced_out, "INSERT INTO t VALUES (3)").await.unwrap_err().code, lost);
        assert_eq!(fenced_out.mutex().acquire().await.err().unwrap().code, lost);
        assert_eq!(fenced_out.flush().await.unwrap_err().code, lost);
        assert_eq!(fenced_out.persist().await.unwrap_err().code, lost);
        let snapshot = fenced_out.snapshots().create(None, tidelock::snapshot::Reason::Manual).await;
        assert_eq!(snapshot.unwrap_err().code, lost);
        let health = fenced_out.health().await;
        assert_eq!((health.status, health.lock.state), (HealthStatus::Failed, LockState::Lost));
        run(&next_holder, "INSERT INTO t VALUES (4)").await.unwrap();
        assert_eq!(fenced_out.close().await, Ok(()));
        assert_eq!(next_holder.health().await.lock.state, LockState::Held, "closing the fenced-out one frees nothing");
        assert_eq!(two.open("{}").await.err().unwrap().code, ErrorCode::DatabaseInUse);
        next_holder.close().await.unwrap();
        let after = one.open("{}").await.unwrap();
        assert_eq!(numbers(&after, "SELECT a FROM t").await, [4]);
        after.close().await.unwrap();
    });
    assert_eq!(heard(&first, r#"{"type":"lock","detail":{"state":"lost"}}"#), 1);
    assert_eq!(heard(&second, r#"{"type":"lock","detail":{"state":"lost"}}"#), 0);
}

#[test]
fn a_tab_that_does_not_know_yet_that_it_is_fenced_out_stores_nothing_either() {
    let mut world = World::new();
    let (first, second) = (world.tab(), world.tab());
    let (one, two) = (first.clone(), second.clone());
    world.sim.run(async move {
        let fenced_out = made(&one).await;
        let next_holder = two.open(STEAL).await.unwrap();
        // In a tab that was frozen, its own write can come before the event of the lost lock.
        let permit = fenced_out.mutex().try_acquire().unwrap();
        execute(&fenced_out, permit, Op::Run, "INSERT INTO t VALUES (1)").unwrap();
        fenced_out.mutex().release(permit);
        let error = fenced_out.stored().unwrap().await.unwrap_err();
        assert_eq!((error.code, error.details.get("applied")), (ErrorCode::LockLost, Some(&false.into())));
        assert_eq!(run(&fenced_out, "SELECT 1").await.unwrap_err().code, ErrorCode::LockLost);
        assert_eq!(numbers(&next_holder, "SELECT count(*) FROM t").await, [0]);
        next_holder.close().await.unwrap();
    });
    assert_eq!(heard(&first, r#"{"type":"lock","detail":{"state":"lost"}}"#), 1);
}

#[test]
fn a_tab_whose_lock_is_stolen_while_it_opens_does_not_open() {
    let mut world = World::new();
    world.run(|tab| async move {
        made(&tab).await.close().await.unwrap();
        let stealing = async {
            // The first tab waits in a migration when the second one steals the lock.
            tab.ports.platform.clock.sleep(10).await;
            let next_holder = tab.open(STEAL).await.unwrap();
            run(&next_holder, "INSERT INTO t VALUES (1)").await.unwrap();
            next_holder
        };
        let clock = tab.ports.platform.clock.clone();
        *tab.code.borrow_mut() = Some(Box::new(move |_, _, _| {
            let sleep = clock.sleep(1000);
            Box::pin(async move {
                sleep.await;
                Ok(())
            })
        }));
        let slow = r#"{ "migrations": [{ "version": "1", "name": "slow", "transaction": true, "upIsFunction": true, "downIsFunction": false }] }"#;
        let (opened, next_holder) = futures_util::future::join(tab.open(slow), stealing).await;
        assert_eq!(opened.err().unwrap().code, ErrorCode::LockLost);
        assert_eq!(numbers(&next_holder, "SELECT a FROM t").await, [1]);
        assert_eq!(numbers(&next_holder, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_migrations'").await, [0]);
        next_holder.close().await.unwrap();
    });
}

#[test]
fn two_closings_end_together() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = Rc::new(made(&tab).await);
        let guard = database.mutex().acquire().await.unwrap();
        let free = async {
            tab.ports.platform.clock.sleep(50).await;
            drop(guard);
        };
        let closed_then_open = async {
            database.close().await.unwrap();
            tab.open("{}").await.map(|_| ()).unwrap();
        };
        let second = async {
            database.close().await.unwrap();
            assert_eq!(tab.ports.platform.clock.now().since(tidelock::ports::sim::START), 50);
        };
        futures_util::future::join3(free, closed_then_open, second).await;
    });
}

#[test]
fn persist_asks_the_platform_and_health_shows_the_result() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        let alerts = |health: &tidelock::health::Health| health.alerts.len();
        let before = database.health().await;
        assert_eq!((before.storage.persisted, alerts(&before)), (Some(false), 1));
        assert_eq!(database.persist().await, Ok(true));
        let after = database.health().await;
        assert_eq!((after.storage.persisted, alerts(&after)), (Some(true), 0));
        database.close().await.unwrap();
        assert_eq!(database.persist().await.unwrap_err().code, ErrorCode::Closed);
        let memory = tab.open(r#"{ "storage": "memory" }"#).await.unwrap();
        assert_eq!(memory.persist().await, Ok(false));
    });
}

#[test]
fn a_closed_database_leaves_no_timer_behind() {
    let mut world = World::new();
    let tab = world.tab();
    world.sim.run(async move {
        let database = tab.open(r#"{ "snapshots": { "enabled": true } }"#).await.unwrap();
        run(&database, "CREATE TABLE t(a)").await.unwrap();
        database.close().await.unwrap();
    });
    assert_eq!(world.sim.timers(), 0, "it would keep a program in Node from ending");
}

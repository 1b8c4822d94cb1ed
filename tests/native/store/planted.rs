//! Faults that were once planted into the storage, and that no other test noticed. tests/mutants/store.mjs plants them again.

use std::{cell::Cell, rc::Rc};

use futures_util::future::{Either, select};
use tidelock::{
    ErrorCode,
    sqlite::Connection,
    store::faulty::{Crash, Faults},
};

use super::{
    bench::{Machine, ROWS, insert, snapshot, sum, with_table},
    last_good::recover,
};
use crate::sample::usual_or_all;

#[test]
fn a_batch_that_is_issued_at_the_end_of_a_page_never_overtakes_one_in_flight() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.faults(Faults { delay_ms: 1000, refuse: 1000, ..Faults::default() });
    let (first, second, clock, store) = (page.clone(), page.clone(), machine.platform().clock, machine.store.clone());
    machine.sim.run(async move {
        let one = Box::pin(first.commit("INSERT INTO t(v) VALUES (1)"));
        let Either::Right((_, one)) = select(one, clock.sleep(0)).await else { panic!("it is in flight") };
        second.connection.exec("CREATE TABLE other(x); INSERT INTO other VALUES (2)").expect("commits");
        second.flusher.flush_now();
        while second.flusher.failures() == 0 {
            clock.sleep(1).await;
        }
        // The page dies after what it writes next.
        store.set(Faults { stall_after: Some(1), ..Faults::default() });
        drop(select(one, clock.sleep(20_000)).await);
    });
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    page.assert_whole();
    let of_other = page.number("SELECT count(*) FROM sqlite_schema WHERE name = 'other'");
    assert!(sum(&page) == 1 || of_other == 0, "the second commit is stored, and the first isn't");
}

#[test]
fn a_commit_made_during_a_flush_is_not_acknowledged_with_it() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.faults(Faults { delay_ms: 1000, stall_after: Some(1), ..Faults::default() });
    let (first, second, clock) = (page.clone(), page.clone(), machine.platform().clock);
    let acknowledged = Rc::new(Cell::new(false));
    let told = acknowledged.clone();
    machine.sim.run(async move {
        let one = Box::pin(first.commit("INSERT INTO t(v) VALUES (1)"));
        let Either::Right((_, one)) = select(one, clock.sleep(0)).await else { panic!("it is in flight") };
        let two = async {
            second.commit("INSERT INTO t(v) VALUES (10)").await.expect("stored");
            told.set(true);
        };
        let both = Box::pin(futures_util::future::join(one, two));
        drop(select(both, clock.sleep(10_000)).await);
    });
    machine.kill(Crash::Process);
    let found = sum(&machine.open().unwrap());
    assert!(found == 11 || !acknowledged.get(), "acknowledged, but not stored");
}

#[test]
fn changes_of_a_snapshot_that_is_not_published_belong_to_the_next_one() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    snapshot(&mut machine, &page).unwrap();
    machine.commit(&page, "UPDATE t SET v = 7 WHERE id = 1000").unwrap();
    let (storage, flusher) = (page.storage.clone(), page.flusher.clone());
    machine
        .sim
        .run(async move {
            let frozen = flusher.freeze().await?;
            storage.stage(&frozen.pin, &frozen.touched, frozen.at, true, true).await.map(drop)
        })
        .unwrap();
    let info = snapshot(&mut machine, &page).unwrap();
    let snapshots = page.snapshots.clone();
    let file = machine.sim.run(async move { snapshots.load(&info.id).await }).unwrap();
    let scratch = Connection::open(&file).unwrap();
    assert_eq!(scratch.value("SELECT v FROM t WHERE id = 1000", &[]).unwrap(), Some(tidelock::Value::Integer(7)));
}

#[test]
fn chunks_that_an_imported_snapshot_shares_stay() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    let own = snapshot(&mut machine, &page).unwrap();
    let (snapshots, pin) = (page.snapshots.clone(), page.connection.pin());
    let imported =
        machine.sim.run(async move { snapshots.import(&pin, "from a file".to_owned(), None).await }).unwrap();
    for _ in 0..4 {
        machine.commit(&page, "UPDATE t SET v = randomblob(1000)").unwrap();
        snapshot(&mut machine, &page).unwrap();
    }
    assert!(page.snapshots.list().iter().all(|info| info.id != own.id), "deleted");
    let snapshots = page.snapshots.clone();
    let found = machine.sim.run(async move { snapshots.verify(&imported.id).await }).unwrap();
    assert_eq!(found.errors, Vec::<String>::new());
}

#[test]
fn nothing_is_swept_while_a_manifest_cannot_be_read() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for _ in 0..2 {
        machine.commit(&page, "DELETE FROM t").unwrap();
        machine.commit(&page, ROWS).unwrap();
        snapshot(&mut machine, &page).unwrap();
    }
    machine.kill(Crash::Process);
    let before = machine.contents();
    machine.damage(|contents| contents.snapshots.insert(1, vec![]));
    drop(machine.open().unwrap());
    machine.sim.advance(1000);
    machine.kill(Crash::Process);
    assert!(machine.contents().chunks == before.chunks);
}

#[test]
fn a_state_that_was_left_and_the_log_after_a_recovery_are_never_one_history() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 10);
    machine.kill(Crash::Process);
    recover(&mut machine, Some("1")).unwrap();
    let page = machine.open().unwrap();
    insert(&mut machine, &page, 100);
    machine.kill(Crash::Process);
    let checkpoint = page.storage.manifests().last().unwrap().generation;
    machine.damage(|contents| contents.snapshots.insert(checkpoint, vec![]));
    assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt, "no state has 1, 10 and 100");
}

#[test]
fn openings_without_a_change_do_not_slow_down_later_ones() {
    // A program may live on, or close at once.
    for closes in [false, true] {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        insert(&mut machine, &page, 1);
        // More than the records that an opening reads at most.
        for _ in 0..usual_or_all(1_100, 2_000) {
            machine.kill(Crash::Process);
            let page = machine.open().unwrap();
            if closes {
                let snapshots = page.snapshots.clone();
                machine.sim.run(async move { snapshots.stop().await });
            } else {
                machine.sim.advance(1);
            }
            let base = page.storage.manifests().last().map_or(0, |manifest| manifest.lsn);
            assert!(page.storage.position().lsn - base < 1_010, "so many records an opening reads at most");
        }
        assert_eq!(sum(&machine.open().unwrap()), 1);
    }
}

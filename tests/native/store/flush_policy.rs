//! When commits are logged: delayed, on request, and at the end of a page.

use futures_util::FutureExt;
use tidelock::{
    ErrorCode,
    engine::storage::flush::FlushPolicy,
    error::WarningCode,
    snapshot::{Reason, SnapshotOptions},
    store::faulty::{Crash, Faults},
};

use super::{
    bench::{Machine, snapshot, sum},
    page::{Page, by_call_only},
};

fn open(machine: &mut Machine, policy: FlushPolicy, options: SnapshotOptions) -> Page {
    let (store, platform) = (machine.store(), machine.platform());
    let page = machine.sim.run(async move { Page::open_at(store, &platform, policy, options).await }).expect("opens");
    if page.created {
        machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
        let flusher = page.flusher.clone();
        machine.sim.run(async move { flusher.flush().await }).unwrap();
    }
    page
}

fn write(page: &Page, value: i64) {
    page.connection.exec(&format!("INSERT INTO t(v) VALUES ({value})")).unwrap();
    page.flusher.committed();
    assert!(page.flusher.stored().is_none(), "it is done in memory");
}

fn stored(machine: &Machine) -> usize {
    machine.contents().log.keys().count()
}

#[test]
fn soon_gathers_commits_and_stores_them_within_50_ms() {
    let mut machine = Machine::new();
    let page = open(&mut machine, FlushPolicy::Delayed, by_call_only());
    let (before, transactions) = (stored(&machine), machine.store.transactions());
    for value in 1..=10 {
        write(&page, value);
        machine.sim.advance(1);
    }
    assert_eq!(stored(&machine), before, "they come together");
    machine.sim.advance(40);
    assert_eq!((stored(&machine), machine.store.transactions()), (before + 1, transactions + 1));
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 55);
}

#[test]
fn soon_keeps_its_promise_while_writes_never_pause() {
    let mut machine = Machine::new();
    machine.faults(Faults { delay_ms: 5, ..Faults::default() });
    let page = open(&mut machine, FlushPolicy::Delayed, by_call_only());
    for value in 1..=300 {
        write(&page, value);
        machine.sim.advance(1);
    }
    // The newest commits are in flight; everything older than the deadline is stored.
    machine.kill(Crash::Process);
    let rows = machine.open().unwrap().number("SELECT count(*) FROM t");
    assert!(rows >= 250, "{rows} of 300 commits");
}

#[test]
fn soon_lets_the_storage_catch_up_when_a_loop_of_writes_never_yields() {
    let mut machine = Machine::new();
    machine.faults(Faults { delay_ms: 5, ..Faults::default() });
    let page = open(&mut machine, FlushPolicy::Delayed, by_call_only());
    write(&page, 1);
    // Time passes, but nothing else can run.
    machine.sim.skip(45);
    page.connection.exec("INSERT INTO t(v) VALUES (10)").unwrap();
    page.flusher.committed();
    let stored = page.flusher.stored().expect("the storage is behind");
    machine.sim.run(stored).unwrap();
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 11);
}

#[test]
fn soon_is_immediate_without_lifecycle_events() {
    let mut machine = Machine::new();
    let page = open(&mut machine, FlushPolicy::Delayed, by_call_only());
    let before = stored(&machine);
    write(&page, 1);
    page.flusher.set_prompt(true);
    machine.sim.advance(0);
    assert_eq!(stored(&machine), before + 1, "also what was waiting");
    write(&page, 2);
    machine.sim.advance(0);
    assert_eq!(stored(&machine), before + 2);
}

#[test]
fn soon_still_refuses_writes_after_three_failed_attempts() {
    let mut machine = Machine::new();
    let page = open(&mut machine, FlushPolicy::Delayed, by_call_only());
    machine.faults(Faults { refuse: 1000, ..Faults::default() });
    write(&page, 1);
    machine.sim.advance(10_000);
    let error = page.flusher.admit_write().unwrap_err();
    assert_eq!((error.code, error.details.get("applied")), (ErrorCode::StorageUnavailable, Some(&false.into())));
    machine.faults(Faults::default());
    machine.sim.advance(5_000);
    page.flusher.admit_write().expect("it heals");
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 1);
}

#[test]
fn a_leaving_page_issues_committed_writes_before_the_call_returns() {
    for policy in [FlushPolicy::Delayed, FlushPolicy::Immediate(tidelock::ports::Durability::Relaxed)] {
        let mut found = [false; 2];
        for attempt in 0..20 {
            let mut machine = Machine::new();
            let page = open(&mut machine, policy, by_call_only());
            let next = page.storage.position().lsn + 1;
            page.connection.exec("BEGIN; INSERT INTO t(v) VALUES (randomblob(1000000)); COMMIT").unwrap();
            page.connection.exec("BEGIN; INSERT INTO t(v) VALUES (10)").unwrap();
            page.flusher.committed();
            page.flusher.flush_now();
            page.flusher.flush_now();
            (0..attempt).for_each(|_| machine.platform().entropy.fill(&mut [0]));
            // No more code runs. The seed decides whether the transaction in flight is stored or lost, as a whole.
            machine.kill(Crash::Process);
            let parts = machine.contents().log.keys().filter(|(lsn, _)| *lsn == next).count();
            assert!(parts == 0 || parts > 15, "{parts} parts of 64 KiB");
            let page = machine.open().unwrap();
            assert_eq!(page.number("SELECT count(*) FROM t"), i64::from(parts > 0), "an open transaction stays out");
            found[usize::from(parts > 0)] = true;
        }
        assert_eq!(found, [true; 2], "both must have happened");
    }
}

#[test]
fn a_page_that_stays_after_all_continues() {
    let mut machine = Machine::new();
    machine.faults(Faults { delay_ms: 5, ..Faults::default() });
    let page = open(&mut machine, FlushPolicy::Delayed, by_call_only());
    for value in 1..=50 {
        write(&page, value);
        if value % 3 == 0 {
            page.flusher.flush_now();
        }
        machine.sim.advance(value as u64 % 7);
    }
    let flusher = page.flusher.clone();
    machine.sim.run(async move { flusher.flush().await }).unwrap();
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 1275);
}

#[test]
fn on_request_only_flushes_and_snapshots_store_anything() {
    let mut machine = Machine::new();
    let page = open(&mut machine, FlushPolicy::OnRequest, by_call_only());
    let before = machine.contents();
    write(&page, 1);
    page.flusher.flush_now();
    machine.sim.advance(100_000);
    assert_eq!(format!("{:?}", machine.contents()), format!("{before:?}"), "nothing without a request");
    assert_eq!(page.flusher.last_error(), None);

    snapshot(&mut machine, &page).unwrap();
    write(&page, 10);
    machine.kill(Crash::Process);
    let page = open(&mut machine, FlushPolicy::OnRequest, by_call_only());
    assert_eq!(sum(&page), 1, "the snapshot's contents, and not what followed");

    write(&page, 100);
    let flusher = page.flusher.clone();
    machine.sim.run(async move { flusher.flush().await }).unwrap();
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 101);
}

#[test]
fn on_request_a_damaged_snapshot_loses_nothing_else() {
    let mut machine = Machine::new();
    let page = open(&mut machine, FlushPolicy::OnRequest, by_call_only());
    for value in [1, 10] {
        write(&page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    machine.damage_generation(2);
    let page = machine.open().unwrap();
    assert_eq!(page.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [WarningCode::SnapshotCorrupt]);
    assert_eq!(sum(&page), 11);
}

#[test]
fn on_request_a_failed_flush_is_reported_and_retried() {
    let mut machine = Machine::new();
    let page = open(&mut machine, FlushPolicy::OnRequest, by_call_only());
    write(&page, 1);
    machine.faults(Faults { refuse: 1000, ..Faults::default() });
    let flusher = page.flusher.clone();
    let error = machine.sim.run(async move { flusher.flush().await }).unwrap_err();
    assert_eq!((error.code, error.details.get("applied")), (ErrorCode::StorageUnavailable, Some(&true.into())));
    let flusher = page.flusher.clone();
    let error = machine.sim.run(async move { flusher.flush_first().await }).unwrap_err();
    assert_eq!(error.details.get("applied"), Some(&false.into()), "that is about the call which would have begun");
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move { snapshots.create(None, Reason::Manual).await }).unwrap_err();
    machine.faults(Faults::default());
    machine.sim.advance(5_000);
    assert!(!page.flusher.failing());
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 1);
}

#[test]
fn a_page_that_lost_the_lock_stores_nothing_more_and_reports_why() {
    for policy in
        [FlushPolicy::Delayed, FlushPolicy::OnRequest, FlushPolicy::Immediate(tidelock::ports::Durability::Relaxed)]
    {
        let mut machine = Machine::new();
        let page = open(&mut machine, policy, by_call_only());
        page.connection.exec("INSERT INTO t(v) VALUES (1)").unwrap();
        page.flusher.committed();
        page.flusher.lose(tidelock::store::failure::lock_lost());
        let flusher = page.flusher.clone();
        let error = machine.sim.run(async move { flusher.flush().await }).unwrap_err();
        assert_eq!(error.code, ErrorCode::LockLost);
        assert_eq!(page.flusher.admit_write().unwrap_err().code, ErrorCode::LockLost);
        let snapshots = page.snapshots.clone();
        let error = machine.sim.run(async move { snapshots.create(None, Reason::Manual).await }).unwrap_err();
        assert_eq!(error.code, ErrorCode::LockLost);
        machine.sim.advance(10_000);
        machine.kill(Crash::Process);
        assert_eq!(sum(&machine.open().unwrap()), 0, "{policy:?}");
    }
}

#[test]
fn a_write_on_its_way_when_the_lock_is_lost_does_not_say_that_it_was_not_applied() {
    let mut machine = Machine::new();
    let page = open(&mut machine, FlushPolicy::Immediate(tidelock::ports::Durability::Relaxed), by_call_only());
    machine.faults(Faults { delay_ms: 1000, doubt: 1000, ..Faults::default() });
    let write = |value: i64| {
        page.connection.exec(&format!("INSERT INTO t(v) VALUES ({value})")).unwrap();
        page.flusher.committed();
        page.flusher.stored().unwrap()
    };
    let on_its_way = write(1);
    machine.sim.advance(0);
    let waiting = write(2);
    page.flusher.lose(tidelock::store::failure::lock_lost());
    let flusher = page.flusher.clone();
    let results = machine.sim.run(async move {
        flusher.stop().await;
        // Both are there when the flusher has stopped: the engine's calls end then.
        [on_its_way.now_or_never(), waiting.now_or_never()]
    });
    let applied = results.map(|result| {
        let error = result.expect("an answer").unwrap_err();
        assert_eq!(error.code, ErrorCode::LockLost);
        error.details.get("applied").cloned()
    });
    assert_eq!(applied, [None, Some(false.into())]);
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 1, "it was");
}

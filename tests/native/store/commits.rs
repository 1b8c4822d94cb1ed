//! Rules 1 and 3 of the storage format: whole commits, and the meaning of an acknowledgement.

use tidelock::{
    ErrorCode,
    ports::Durability,
    store::faulty::{Crash, Faults, FaultyStore},
};

use super::{
    bench::{Machine, insert, sum, with_table},
    page::Page,
};

// 1. Whole commits.

#[test]
fn whole_commits_an_open_transaction_neither_enters_nor_delays_a_batch() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    page.connection.exec("INSERT INTO t(v) VALUES (1)").unwrap();
    page.connection.exec("BEGIN; INSERT INTO t(v) VALUES (10)").unwrap();
    let flusher = page.flusher.clone();
    machine.sim.run(async move { flusher.flush().await }).expect("flushes while a transaction is open");
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!(sum(&page), 1);
}

#[test]
fn whole_commits_all_parts_of_a_batch_or_none() {
    let mut found = [false; 2];
    for attempt in 0..20 {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        machine.faults(Faults { delay_ms: 100, ..Faults::default() });
        let before = machine.store.transactions();
        page.connection.exec("INSERT INTO t(v) VALUES (randomblob(1250000))").unwrap();
        page.flusher.committed();
        machine.sim.advance(0);
        assert_eq!(machine.store.transactions() - before, 1, "one transaction");
        // The page dies with its transaction in flight. The seed decides whether it is stored.
        for _ in 0..attempt {
            machine.platform().entropy.fill(&mut [0]);
        }
        machine.kill(Crash::Process);
        let parts = machine.contents().log.keys().filter(|(lsn, _)| *lsn == 4).count();
        assert!(parts == 0 || parts == 3, "{parts} parts of 1.25 MB");
        let page = machine.open().unwrap();
        let rows = page.number("SELECT count(*) FROM t");
        assert_eq!(rows, i64::from(parts == 3));
        page.assert_whole();
        found[rows as usize] = true;
    }
    assert_eq!(found, [true; 2], "both must have happened");
}

// 3. Acknowledged means stored.

#[test]
fn acknowledged_means_that_the_transaction_is_complete() {
    for (durability, crash) in [(Durability::Relaxed, Crash::Process), (Durability::Strict, Crash::Power)] {
        let mut machine = Machine::new();
        machine.store = FaultyStore::new_powerless(&machine.platform());
        drop(with_table(&mut machine));
        let (store, platform) = (machine.store(), machine.platform());
        let options = super::page::by_call_only();
        let page =
            machine.sim.run(async move { Page::open_with(store, &platform, durability, options).await }).unwrap();
        for value in 1..=20 {
            machine.faults(Faults { delay_ms: 50, ..Faults::default() });
            insert(&mut machine, &page, value);
        }
        machine.kill(crash);
        assert_eq!(sum(&machine.open().unwrap()), 210, "{durability:?}");
    }
}

#[test]
fn acknowledged_never_before_the_transaction_is_complete() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.faults(Faults { stall_after: Some(0), ..Faults::default() });
    page.connection.exec("INSERT INTO t(v) VALUES (1)").unwrap();
    page.flusher.committed();
    let mut stored = page.flusher.stored().expect("not stored yet");
    machine.sim.advance(60_000);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(stored.as_mut().poll(&mut context).is_pending());
}

#[test]
fn acknowledged_a_batch_that_was_stored_though_its_transaction_failed_does_not_lose_the_lock() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.faults(Faults { doubt: 1000, ..Faults::default() });
    let error = machine.commit(&page, "INSERT INTO t(v) VALUES (1)").unwrap_err();
    assert_eq!((error.code, error.details.get("applied")), (ErrorCode::StorageUnavailable, Some(&true.into())));
    machine.faults(Faults::default());
    insert(&mut machine, &page, 2);
    assert!(!page.flusher.failing());
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 3);
}

#[test]
fn acknowledged_a_flush_during_a_try_that_fails_waits_for_the_next_one() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.faults(Faults { refuse: 1000, delay_ms: 1000, ..Faults::default() });
    page.connection.exec("INSERT INTO t(v) VALUES (1)").unwrap();
    page.flusher.committed();
    let stored = page.flusher.stored().expect("not stored yet");
    machine.sim.advance(0);
    let flusher = page.flusher.clone();
    let mut flushed = Box::pin(async move { flusher.flush().await });
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(flushed.as_mut().poll(&mut context).is_pending());
    while page.flusher.failures() == 0 {
        machine.sim.advance(1);
    }
    machine.faults(Faults::default());
    assert_eq!(machine.sim.run(stored).unwrap_err().code, ErrorCode::StorageUnavailable);
    machine.sim.run(flushed).expect("the storage works again");
}

#[test]
fn acknowledged_a_failed_flush_is_reported_retried_and_finally_refuses_new_writes() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.faults(Faults { refuse: 1000, ..Faults::default() });
    let error = machine.commit(&page, "INSERT INTO t(v) VALUES (1)").unwrap_err();
    assert_eq!((error.code, error.details.get("applied")), (ErrorCode::StorageUnavailable, Some(&true.into())));
    assert_eq!(sum(&page), 1, "it is visible");
    page.flusher.admit_write().expect("one failure is tolerated");
    machine.sim.advance(10_000);
    assert!(page.flusher.failures() >= 3);
    let error = page.flusher.admit_write().unwrap_err();
    assert_eq!((error.code, error.details.get("applied")), (ErrorCode::StorageUnavailable, Some(&false.into())));
    machine.faults(Faults::default());
    machine.sim.advance(10_000);
    page.flusher.admit_write().expect("it recovers without help");
    assert_eq!(page.flusher.last_error(), None);
    assert!(page.flusher.stored().is_none(), "everything is stored");
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 1);
}

#[test]
fn acknowledged_commits_in_one_task_go_together() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.faults(Faults { delay_ms: 5, ..Faults::default() });
    let before = machine.store.transactions();
    let mut waiting = Vec::new();
    for value in 0..100 {
        page.connection.exec(&format!("INSERT INTO t(v) VALUES ({value})")).unwrap();
        page.flusher.committed();
        waiting.extend(page.flusher.stored());
    }
    assert_eq!(waiting.len(), 100);
    machine.sim.run(async move { futures_util::future::join_all(waiting).await }).into_iter().for_each(Result::unwrap);
    assert!(machine.store.transactions() - before <= 2);
}

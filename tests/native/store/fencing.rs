//! Rule 2 of the storage format: a fenced-out holder never writes again.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    collections::Bits,
    ports::ChunkId,
    store::faulty::{Crash, Faults},
};

use super::{
    bench::{Contested, Machine, Read, insert, snapshot, sum, with_table},
    page::Page,
    stored,
};

#[test]
fn fencing_a_fenced_out_holder_never_writes_again() {
    let mut machine = Machine::new();
    let fenced_out = with_table(&mut machine);
    let holder = machine.open().unwrap();
    assert_eq!(machine.commit(&fenced_out, "INSERT INTO t(v) VALUES (1)").unwrap_err().code, ErrorCode::LockLost);
    assert_eq!(fenced_out.flusher.admit_write().unwrap_err().code, ErrorCode::LockLost);
    assert_eq!(snapshot(&mut machine, &fenced_out).unwrap_err().code, ErrorCode::LockLost);
    insert(&mut machine, &holder, 2);
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 2);
}

#[test]
fn fencing_snapshots_prunes_and_sweeps_of_a_fenced_out_holder_fail() {
    let mut machine = Machine::new();
    let fenced_out = with_table(&mut machine);
    snapshot(&mut machine, &fenced_out).unwrap();
    let holder = machine.open().unwrap();
    let before = format!("{:?}", machine.contents());
    // Writes directly to the storage, since the flusher would refuse.
    fenced_out.connection.exec("INSERT INTO t(v) VALUES (1)").unwrap();
    let (storage, image) = (fenced_out.storage.clone(), fenced_out.flusher.file().image().unwrap());
    let lost = machine.sim.run(async move {
        let all = Bits::below(100);
        [
            storage.stage(&image, &all, storage.position(), false, true).await.err().map(|error| error.code),
            storage.remove(&[1], &[], None).await.err().map(|error| error.code),
            storage.remove(&[], &[1], None).await.err().map(|error| error.code),
        ]
    });
    assert_eq!(lost, [Some(ErrorCode::LockLost); 3]);
    machine.damage(|contents| contents.chunks.insert(ChunkId::new(&[0xff; 32]), vec![1]));
    let storage = fenced_out.storage.clone();
    assert_eq!(machine.sim.run(async move { storage.sweep().await }).unwrap_err().code, ErrorCode::LockLost);
    machine.damage(|contents| contents.chunks.remove(&ChunkId::new(&[0xff; 32])));
    assert!(format!("{:?}", machine.contents()) == before, "nothing of it was written");
    insert(&mut machine, &holder, 2);
}

#[test]
fn fencing_holds_when_the_log_has_moved_past_the_fenced_out_holder() {
    let mut machine = Machine::new();
    let fenced_out = with_table(&mut machine);
    let holder = machine.open().unwrap();
    for value in 0..3 {
        insert(&mut machine, &holder, value);
        snapshot(&mut machine, &holder).unwrap();
    }
    // Truncates the log's front, like retention.
    let (storage, to) = (holder.storage.clone(), holder.storage.manifests()[1].clone());
    let to = tidelock::format::Truncation { lsn: to.lsn, logged: to.logged };
    assert!(to.lsn > fenced_out.storage.position().lsn + 1);
    machine.sim.run(async move { storage.remove(&[], &[], Some(to)).await }).unwrap();
    let error = machine.commit(&fenced_out, "INSERT INTO t(v) VALUES (9)").unwrap_err();
    assert_eq!(error.code, ErrorCode::LockLost);
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 3);
}

#[test]
fn fencing_a_database_that_was_deleted_and_created_again_is_another_one() {
    let mut machine = Machine::new();
    let fenced_out = with_table(&mut machine);
    snapshot(&mut machine, &fenced_out).unwrap();
    machine.damage(|contents| *contents = Default::default());
    with_table(&mut machine);
    assert_eq!(stored::head(&machine.contents()).epoch, fenced_out.storage.epoch(), "the epoch alone wouldn't tell");
    let storage = fenced_out.storage.clone();
    let found = machine.sim.run(async move { (storage.revive().await, storage.remove(&[1], &[], None).await) });
    for error in [found.0.unwrap_err(), found.1.unwrap_err()] {
        assert_eq!(error.code, ErrorCode::LockLost);
    }
}

#[test]
fn fencing_the_next_holders_record_is_not_taken_for_the_own_lost_batch() {
    let mut machine = Machine::new();
    drop(with_table(&mut machine));
    let (store, platform) = (Rc::new(Contested::new(&machine, Read::Log)), machine.platform());
    let opened = store.clone();
    let page = machine.sim.run(async move { Page::open(opened, &platform).await }).unwrap();
    let before = machine.contents();
    drop(machine.open().unwrap());
    let then = machine.contents();
    machine.damage(|contents| *contents = before);
    // Its batch is lost; that it has lost the lock shows only when it reads the log, since the head is its own until then.
    store.then.replace(Some(then));
    machine.faults(Faults { refuse: 1000, ..Faults::default() });
    let code = |machine: &mut Machine, sql| machine.commit(&page, sql).unwrap_err().code;
    assert_eq!(code(&mut machine, "INSERT INTO t(v) VALUES (1)"), ErrorCode::StorageUnavailable);
    assert_eq!(code(&mut machine, "INSERT INTO t(v) VALUES (2)"), ErrorCode::LockLost);
    assert!(store.then.take().is_none(), "the log was read");
    assert_eq!(sum(&machine.open().unwrap()), 0);
}

#[test]
fn fencing_only_a_claim_creates_a_missing_head() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.damage(|contents| (contents.head, contents.head_copy) = (None, None));
    assert_eq!(snapshot(&mut machine, &page).unwrap_err().code, ErrorCode::LockLost);
    assert!(machine.contents().head.is_none());
    assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt);
}

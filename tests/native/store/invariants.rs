//! The rules of the storage format, by number and name.

use tidelock::{
    ErrorCode, Timestamp,
    collections::Bits,
    engine::flush::Flusher,
    ports::{Durability, LogKind, LogRecord, ManifestKind},
    snapshot::{Reason, SnapshotOptions},
    sqlite::{Batch, Connection, PageFile},
    store::{
        Contents, PART_BYTES, Position, Tag, batch_records, checksum,
        faulty::{Crash, Faults},
    },
};

use super::{bench::Machine, page::Page};

const ROWS: &str = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO t(v) SELECT randomblob(1000) FROM n;";

fn with_table(machine: &mut Machine) -> Page {
    let page = machine.open().expect("opens");
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").expect("stored");
    page
}

fn insert(machine: &mut Machine, page: &Page, value: i64) {
    machine.commit(page, &format!("INSERT INTO t(v) VALUES ({value})")).expect("stored");
}

fn snapshot(machine: &mut Machine, page: &Page) -> tidelock::Result<tidelock::snapshot::SnapshotInfo> {
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move { snapshots.create(None, Reason::Manual).await })
}

fn sum(page: &Page) -> i64 {
    page.number("SELECT coalesce(sum(v), 0) FROM t")
}

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
        page.connection.exec("INSERT INTO t(v) VALUES (randomblob(20000000))").unwrap();
        page.flusher.committed();
        machine.sim.advance(0);
        assert_eq!(machine.store.transactions() - before, 1, "one transaction");
        // The page dies with its transaction in flight: chance decides what becomes of it.
        for _ in 0..attempt {
            machine.platform().entropy.fill(&mut [0]);
        }
        machine.kill(Crash::Process);
        let parts = machine.contents().log.keys().filter(|(lsn, _)| *lsn == 4).count();
        assert!(parts == 0 || parts == 3, "{parts} parts of 20 MB");
        let page = machine.open().unwrap();
        let rows = page.number("SELECT count(*) FROM t");
        assert_eq!(rows, i64::from(parts == 3));
        page.assert_whole();
        found[rows as usize] = true;
    }
    assert_eq!(found, [true; 2], "both must have happened");
}

// 2. Fencing.

#[test]
fn fencing_a_robbed_holder_never_writes_again() {
    let mut machine = Machine::new();
    let robbed = with_table(&mut machine);
    let holder = machine.open().unwrap();
    assert_eq!(machine.commit(&robbed, "INSERT INTO t(v) VALUES (1)").unwrap_err().code, ErrorCode::LockLost);
    assert_eq!(robbed.flusher.admit_write().unwrap_err().code, ErrorCode::LockLost);
    assert_eq!(snapshot(&mut machine, &robbed).unwrap_err().code, ErrorCode::LockLost);
    insert(&mut machine, &holder, 2);
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 2);
}

#[test]
fn fencing_snapshots_prunes_and_sweeps_of_a_robbed_holder_fail() {
    let mut machine = Machine::new();
    let robbed = with_table(&mut machine);
    snapshot(&mut machine, &robbed).unwrap();
    let holder = machine.open().unwrap();
    let before = format!("{:?}", machine.contents());
    // Straight to the storage: the flusher would already refuse.
    robbed.connection.exec("INSERT INTO t(v) VALUES (1)").unwrap();
    let (storage, image) = (robbed.storage.clone(), robbed.flusher.file().image());
    let lost = machine.sim.run(async move {
        let all = Bits::below(100);
        [
            storage.stage(&image, &all, storage.position(), false, true).await.err().map(|error| error.code),
            storage.remove(&[1], &[], None).await.err().map(|error| error.code),
            storage.remove(&[], &[1], None).await.err().map(|error| error.code),
        ]
    });
    assert_eq!(lost, [Some(ErrorCode::LockLost); 3]);
    machine.damage(|contents| contents.chunks.insert("f".repeat(64), vec![1]));
    let storage = robbed.storage.clone();
    assert_eq!(machine.sim.run(async move { storage.sweep().await }).unwrap_err().code, ErrorCode::LockLost);
    machine.damage(|contents| contents.chunks.remove(&"f".repeat(64)));
    assert!(format!("{:?}", machine.contents()) == before, "nothing of it was written");
    insert(&mut machine, &holder, 2);
}

#[test]
fn fencing_holds_when_the_log_has_moved_past_the_robbed_holder() {
    let mut machine = Machine::new();
    let robbed = with_table(&mut machine);
    let holder = machine.open().unwrap();
    for value in 0..3 {
        insert(&mut machine, &holder, value);
        snapshot(&mut machine, &holder).unwrap();
    }
    // As retention does when nothing needs the log's front any more.
    let (storage, to) = (holder.storage.clone(), holder.storage.manifests()[1].clone());
    let to = tidelock::ports::Truncation { lsn: to.lsn, logged: to.logged };
    assert!(to.lsn > robbed.storage.position().lsn + 1);
    machine.sim.run(async move { storage.remove(&[], &[], Some(to)).await }).unwrap();
    let error = machine.commit(&robbed, "INSERT INTO t(v) VALUES (9)").unwrap_err();
    assert_eq!(error.code, ErrorCode::LockLost);
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 3);
}

#[test]
fn fencing_a_database_that_was_made_anew_is_another_one() {
    let mut machine = Machine::new();
    let robbed = with_table(&mut machine);
    snapshot(&mut machine, &robbed).unwrap();
    machine.damage(|contents| *contents = Default::default());
    with_table(&mut machine);
    assert_eq!(machine.contents().head.unwrap().epoch, robbed.storage.epoch(), "the epoch alone wouldn't tell");
    let storage = robbed.storage.clone();
    let error = machine.sim.run(async move { storage.remove(&[1], &[], None).await }).unwrap_err();
    assert_eq!(error.code, ErrorCode::LockLost);
}

#[test]
fn fencing_a_missing_head_is_never_made_anew_in_passing() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.damage(|contents| contents.head = None);
    assert_eq!(snapshot(&mut machine, &page).unwrap_err().code, ErrorCode::LockLost);
    assert!(machine.contents().head.is_none());
    assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt);
}

// 3. Acknowledged means stored.

#[test]
fn acknowledged_means_that_the_transaction_is_complete() {
    for (durability, crash) in [(Durability::Relaxed, Crash::Process), (Durability::Strict, Crash::Power)] {
        let mut machine = Machine::new();
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
fn acknowledged_a_batch_that_was_stored_though_its_transaction_failed_is_no_loss_of_the_lock() {
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
fn acknowledged_a_failed_flush_is_told_tried_again_and_at_last_refuses_new_writes() {
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
    page.flusher.admit_write().expect("it heals by itself");
    assert_eq!(page.flusher.last_error(), None);
    assert!(page.flusher.stored().is_none(), "everything is stored");
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 1);
}

#[test]
fn acknowledged_commits_in_one_turn_go_together() {
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

// 4. A chain.

#[test]
fn a_chain_any_damage_after_the_newest_snapshot_is_found_and_nothing_is_written() {
    // The snapshot stands at lsn 4; batches 5 to 8 follow. What: how many are lost, after which one, how.
    type Damage = (&'static str, i64, u64, fn(&mut Contents));
    fn forge(contents: &mut Contents, lsn: u64, from: u64, change: fn(&mut LogRecord)) {
        let mut record = contents.log[&(from, 0)].clone().unwrap();
        record.lsn = lsn;
        change(&mut record);
        record.checksum = checksum::of_record(&record);
        contents.log.insert((lsn, 0), Some(record));
    }
    let damages: [Damage; 10] = [
        ("a flipped byte", 2, 6, |c| c.log.get_mut(&(7, 0)).unwrap().as_mut().unwrap().bytes[100] ^= 1),
        ("another page number", 2, 6, |c| c.log.get_mut(&(7, 0)).unwrap().as_mut().unwrap().pages[0] ^= 1),
        ("a missing batch", 2, 6, |c| drop(c.log.remove(&(7, 0)))),
        ("the batch after the snapshot is missing", 4, 4, |c| drop(c.log.remove(&(5, 0)))),
        ("an unreadable record", 1, 7, |c| drop(c.log.insert((8, 0), None))),
        ("a batch twice", 2, 6, |c| forge(c, 7, 6, |_| ())),
        ("a batch of another history after the snapshot", 4, 4, |c| forge(c, 5, 5, |record| record.prev ^= 1)),
        ("a part too few", 2, 6, |c| forge(c, 7, 7, |record| record.parts = 2)),
        ("a part too few at the end", 1, 7, |c| forge(c, 8, 8, |record| record.parts = 2)),
        ("a log that ends before its holder's epoch record", 3, 8, |c| c.head.as_mut().unwrap().lsn = 11),
    ];
    for (name, lost, good, damage) in damages {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        insert(&mut machine, &page, 1);
        let info = snapshot(&mut machine, &page).unwrap();
        for value in 2..=5 {
            insert(&mut machine, &page, value);
        }
        assert_eq!(page.storage.position().lsn, 8);
        machine.sim.kill();
        let good = machine.contents().log[&(good, 0)].clone().unwrap().time.to_string();
        machine.damage(damage);
        let error = machine.refused();
        assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{name}");
        let fact = |fact| error.details.get(fact).cloned();
        assert_eq!(fact("snapshotId"), Some(info.id.into()), "{name}");
        assert_eq!(fact("lostBatches"), Some(lost.into()), "{name}");
        assert_eq!(fact("lastGoodAt"), Some(good.into()), "{name}");
    }
}

#[test]
fn a_chain_damage_before_the_newest_snapshot_harms_nothing() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 2);
    machine.kill(Crash::Process);
    machine.damage(|contents| contents.log.insert((2, 0), None));
    assert_eq!(sum(&machine.open().unwrap()), 3);
}

#[test]
fn a_chain_time_grows_though_the_clock_jumps_back() {
    let batch = Batch { page_size: 512, db_pages: 1, pages: vec![0], bytes: vec![0; 512] };
    let from = Position { lsn: 4, chain: 5, time: Timestamp(1000), logged: 7 };
    let (_, later) = batch_records(from, 1, &batch, Timestamp(2000), PART_BYTES);
    let (records, back) = batch_records(later, 1, &batch, Timestamp(500), PART_BYTES);
    assert_eq!((later.time, back.time), (Timestamp(2000), Timestamp(2001)));
    assert_eq!(records[0].prev, later.chain);
}

// 5. Everything that changes pages is in the chain.

#[test]
fn everything_in_the_chain_a_restore_and_a_vacuum_are_batches() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    let info = snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 2);
    let snapshots = page.snapshots.clone();
    let image = machine.sim.run(async move { snapshots.load(&info.id).await }).unwrap();
    let scratch = Connection::open(&PageFile::new(image)).unwrap();
    page.connection.restore_from(&scratch).unwrap();
    page.flusher.committed();
    page.connection.exec("VACUUM").unwrap();
    page.flusher.committed();
    let flusher = page.flusher.clone();
    machine.sim.run(async move { flusher.flush().await }).unwrap();
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!(sum(&page), 1);
    page.assert_whole();
}

#[test]
fn everything_in_the_chain_replay_never_crosses_a_barrier() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    // Changes that no log has, as `durability: 'snapshot'` makes them, and the barrier after them.
    page.connection.exec("INSERT INTO t(v) VALUES (10)").unwrap();
    let storage = page.storage.clone();
    let frozen = Flusher::unlogged(page.flusher.file().clone(), storage.clone(), &machine.platform());
    let barrier = machine.sim.run(async move {
        let frozen = frozen.freeze().await?;
        let staged = storage.stage(&frozen.pin, &frozen.touched, frozen.at, true, true).await?;
        storage
            .publish(staged, Tag { kind: ManifestKind::Snapshot, reason: "manual", barrier: true, ..Tag::checkpoint() })
            .await
    });
    let barrier = barrier.unwrap().generation;
    page.flusher.file().take_ready();
    insert(&mut machine, &page, 100);
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 111, "with the barrier, all is there");

    machine.kill(Crash::Process);
    machine.damage_generation(barrier);
    let page = machine.open().unwrap();
    assert_eq!(sum(&page), 1, "without it, nothing that was built upon it");
    page.assert_whole();
    assert_eq!(page.warnings.len(), 1);
    assert!(page.warnings[0].message.contains("lost"));
    insert(&mut machine, &page, 1000);
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!(sum(&page), 1001, "and what comes after it is built on what was found");
    page.assert_whole();
}

// 6. Manifest last.

#[test]
fn manifest_last_a_page_may_die_anywhere_in_a_snapshot() {
    let mut finished = false;
    for transactions in 0..20 {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        insert(&mut machine, &page, 1);
        let first = snapshot(&mut machine, &page).unwrap();
        machine.commit(&page, ROWS).unwrap();
        machine.faults(Faults { stall_after: Some(transactions), ..Faults::default() });
        let (snapshots, clock) = (page.snapshots.clone(), machine.platform().clock);
        let taken = machine.sim.run(async move {
            let create = Box::pin(snapshots.create(Some("second".to_owned()), Reason::Manual));
            matches!(
                futures_util::future::select(create, clock.sleep(1000)).await,
                futures_util::future::Either::Left((Ok(_), _))
            )
        });
        finished |= taken;
        machine.kill(Crash::Process);
        let page = machine.open().unwrap();
        machine.sim.advance(10);
        assert_eq!(page.warnings, []);
        assert_eq!(page.number("SELECT count(*) FROM t"), 2001);
        let mut ids: Vec<_> = page.snapshots.list().into_iter().map(|info| info.id).collect();
        assert!(!taken || ids.len() == 2);
        assert_eq!(ids.pop(), Some(first.id));
        for info in page.snapshots.list() {
            let (snapshots, id) = (page.snapshots.clone(), info.id);
            let found = machine.sim.run(async move { snapshots.verify(&id).await }).unwrap();
            assert!(found.ok, "{:?}", found.errors);
        }
        let contents = machine.contents();
        let named: std::collections::BTreeSet<_> =
            contents.snapshots.values().flatten().flat_map(|m| m.chunks.iter().map(|c| c.id.clone())).collect();
        assert_eq!(
            contents.chunks.keys().cloned().collect::<std::collections::BTreeSet<_>>(),
            named,
            "orphans are swept"
        );
    }
    assert!(finished, "some attempt must have come to its end");
}

#[test]
fn manifest_last_a_missing_chunk_refuses_it_and_is_stored_again() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 1);
    let gone = machine.contents().snapshots[&1].clone().unwrap().chunks[10].id.clone();
    machine.damage(|contents| contents.chunks.remove(&gone));
    // The storage refuses a manifest that reuses it...
    let (storage, flusher) = (page.storage.clone(), page.flusher.clone());
    let refused = machine.sim.run(async move {
        let frozen = flusher.freeze().await?;
        let staged = storage.stage(&frozen.pin, &frozen.touched, frozen.at, true, true).await?;
        storage.publish(staged, Tag::checkpoint()).await
    });
    assert_eq!(refused.unwrap_err().code, ErrorCode::SnapshotCorrupt);
    assert_eq!(machine.contents().snapshots.len(), 1);
    // ...and the next snapshot stores it again.
    let info = snapshot(&mut machine, &page).unwrap();
    let snapshots = page.snapshots.clone();
    assert!(machine.sim.run(async move { snapshots.verify(&info.id).await }).unwrap().ok);
}

// 7. Nothing good is deleted before its successor is verified.

#[test]
fn nothing_good_is_deleted_a_damaged_newest_snapshot_costs_nothing() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for value in 1..=6 {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    insert(&mut machine, &page, 7);
    assert_eq!(page.snapshots.list().len(), 3, "the default keeps three");
    machine.kill(Crash::Process);
    machine.damage_generation(6);
    let page = machine.open().unwrap();
    assert_eq!(sum(&page), 28);
    assert_eq!(page.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["snapshot_corrupt"]);
    let snapshots = page.snapshots.clone();
    let found = machine.sim.run(async move { snapshots.verify("6").await }).unwrap();
    assert!(!found.ok && !found.errors.is_empty());
    let snapshots = page.snapshots.clone();
    assert_eq!(machine.sim.run(async move { snapshots.load("6").await }).unwrap_err().code, ErrorCode::SnapshotCorrupt);
    // The next good ones make the damaged one go.
    for value in 8..=9 {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    let ids: Vec<_> = page.snapshots.list().into_iter().map(|info| info.id).collect();
    assert_eq!(ids, ["8", "7", "5"]);
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), page.warnings), (45, vec![]));
}

#[test]
fn nothing_good_is_deleted_an_unreadable_manifest_is_a_damaged_one() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for value in 1..=2 {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    machine.kill(Crash::Process);
    machine.damage(|contents| contents.snapshots.insert(2, None));
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), page.warnings.len()), (3, 1));
    let info = snapshot(&mut machine, &page).unwrap();
    assert_eq!(info.id, "3", "a number is never used twice");
    assert_eq!(machine.contents().snapshots.keys().copied().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn nothing_good_is_deleted_while_what_is_written_reads_back_wrong() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for value in 1..=3 {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    let before = machine.contents();
    insert(&mut machine, &page, 4);
    machine.faults(Faults { rot: 1000, ..Faults::default() });
    assert_eq!(snapshot(&mut machine, &page).unwrap_err().code, ErrorCode::SnapshotCorrupt);
    let after = machine.contents();
    assert_eq!(after.snapshots, before.snapshots);
    assert!(before.log.iter().all(|(key, record)| after.log.get(key) == Some(record)));
    assert_eq!(page.snapshots.status().consecutive_failures, 1);
    machine.faults(Faults::default());
    assert!(snapshot(&mut machine, &page).unwrap().verified);
    machine.kill(Crash::Process);
    assert_eq!(sum(&machine.open().unwrap()), 10);
}

#[test]
fn nothing_good_is_deleted_when_the_disk_is_full_but_the_last_good_one() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for _ in 0..3 {
        machine.commit(&page, "DELETE FROM t").unwrap();
        machine.commit(&page, ROWS).unwrap();
        snapshot(&mut machine, &page).unwrap();
    }
    let size = machine.contents().log.values().flatten().map(|record| record.bytes.len()).sum::<usize>()
        + machine.contents().chunks.values().map(Vec::len).sum::<usize>();
    machine.faults(Faults { capacity: Some(size), ..Faults::default() });
    let error = machine.commit(&page, ROWS).unwrap_err();
    assert_eq!(error.code, ErrorCode::StorageQuotaExceeded);
    assert_eq!(error.details.get("applied"), Some(&true.into()));
    machine.sim.advance(2_000);
    assert!(!page.flusher.failing(), "room was made: {:?}", page.flusher.last_error());
    assert!(machine.contents().snapshots.contains_key(&3));
    assert!(!machine.contents().snapshots.contains_key(&1));
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!(page.number("SELECT count(*) FROM t"), 4000);
    page.assert_whole();
}

#[test]
fn nothing_good_is_deleted_and_nobody_waits_for_ever_when_the_disk_fills_up_during_a_snapshot() {
    for start in [0, 5, 15, 30, 45, 60, 100] {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        machine.commit(&page, ROWS).unwrap();
        snapshot(&mut machine, &page).unwrap();
        machine.commit(&page, "UPDATE t SET v = randomblob(1000)").unwrap();
        let contents = machine.contents();
        let size = contents.log.values().flatten().map(|record| record.bytes.len()).sum::<usize>()
            + contents.chunks.values().map(Vec::len).sum::<usize>();
        // The snapshot's chunks don't fit, or read back wrong; nor do the next commit's pages fit.
        let rot = if start % 2 == 0 { 1000 } else { 0 };
        let capacity = Some(size + if rot > 0 { 3_000_000 } else { 100_000 });
        machine.faults(Faults { capacity, rot, delay_ms: 20, ..Faults::default() });
        let (writer, snapshots, clock) = (page.clone(), page.snapshots.clone(), machine.platform().clock);
        let both = async move {
            let write = async { writer.commit(&format!("{ROWS}{ROWS}")).await };
            let take = async {
                clock.sleep(start).await;
                snapshots.create(None, Reason::Manual).await
            };
            let both = Box::pin(futures_util::future::join(write, take));
            matches!(
                futures_util::future::select(both, clock.sleep(60_000)).await,
                futures_util::future::Either::Left(_)
            )
        };
        assert!(machine.sim.run(both), "both were answered, one way or the other ({start})");
        machine.faults(Faults::default());
        machine.sim.advance(20_000);
        assert!(!page.flusher.failing());
        machine.kill(Crash::Process);
        assert_eq!(machine.open().unwrap().number("SELECT count(*) FROM t"), 6000);
    }
}

// 8. Snapshots cost what changed.

#[test]
fn snapshots_cost_what_changed() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    let first = snapshot(&mut machine, &page).unwrap();
    let chunks = machine.contents().chunks.len();
    machine.commit(&page, "UPDATE t SET v = randomblob(1000) WHERE id = 1000").unwrap();
    let second = snapshot(&mut machine, &page).unwrap();
    assert!(first.stored_bytes > 2_000_000, "{}", first.stored_bytes);
    assert!(second.stored_bytes < 200_000, "{}", second.stored_bytes);
    assert!(machine.contents().chunks.len() - chunks <= 2);
    let third = snapshot(&mut machine, &page).unwrap();
    assert_eq!((third.stored_bytes, third.sha256), (0, second.sha256));
}

#[test]
fn snapshots_cost_what_changed_also_across_an_opening() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    snapshot(&mut machine, &page).unwrap();
    machine.commit(&page, "UPDATE t SET v = randomblob(1000) WHERE id = 1000").unwrap();
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    let second = snapshot(&mut machine, &page).unwrap();
    assert!(second.stored_bytes > 0 && second.stored_bytes < 200_000, "{}", second.stored_bytes);
    let snapshots = page.snapshots.clone();
    let image = machine.sim.run(async move { snapshots.load("2").await }).unwrap();
    assert!(image == page.flusher.file().image(), "what the log changed is in it");
}

#[test]
fn snapshots_a_later_commit_never_leaks_into_one_that_is_being_taken() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    machine.faults(Faults { delay_ms: 20, ..Faults::default() });
    let (snapshots, writer) = (page.snapshots.clone(), page.clone());
    let states = std::rc::Rc::new(std::cell::RefCell::new(vec![page.flusher.file().image()]));
    let seen = states.clone();
    let info = machine.sim.run(async move {
        let write = async {
            for value in 0..30 {
                writer.commit(&format!("UPDATE t SET v = {value} WHERE id % 30 = {value}")).await.unwrap();
                seen.borrow_mut().push(writer.flusher.file().image());
            }
        };
        futures_util::future::join(snapshots.create(None, Reason::Manual), write).await.0
    });
    let (snapshots, id) = (page.snapshots.clone(), info.unwrap().id);
    let image = machine.sim.run(async move { snapshots.load(&id).await }).unwrap();
    let found = states.borrow().iter().position(|state| *state == image);
    assert!(found.is_some_and(|commits| commits <= 2), "the state of one moment, near its beginning: {found:?}");
    machine.kill(Crash::Process);
    assert_eq!(machine.open().unwrap().number("SELECT count(*) FROM t WHERE typeof(v) = 'integer'"), 2000);
}

// What follows from them.

#[test]
fn compaction_keeps_opening_quick_and_is_no_snapshot() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    for _ in 0..40 {
        machine.commit(&page, "UPDATE t SET v = randomblob(1000) WHERE id % 5 = 0").unwrap();
        machine.sim.advance(1);
    }
    assert_eq!(page.snapshots.list(), []);
    let contents = machine.contents();
    let checkpoints: Vec<_> = contents.snapshots.values().flatten().collect();
    assert!(checkpoints.iter().all(|manifest| manifest.kind == ManifestKind::Checkpoint));
    assert_eq!(checkpoints.len(), 2, "the newest and the one before");
    assert!(page.storage.truncated().lsn > 0);
    let usage = page.storage.usage();
    assert!(usage.log_bytes < 20_000_000, "{usage:?}");
    let stored: usize = contents.log.values().flatten().map(|record| record.bytes.len()).sum();
    assert_eq!(usage.log_bytes, stored as u64, "told without asking");
    assert_eq!(usage.chunk_bytes, contents.chunks.values().map(|chunk| chunk.len() as u64).sum::<u64>());
    // What is before the newest checkpoint isn't read.
    let newest = checkpoints[1].lsn;
    machine.damage(|contents| {
        contents.log.retain(|key, record| {
            if *key < (newest, u32::MAX) {
                *record = None;
            }
            true
        });
    });
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!((page.number("SELECT count(*) FROM t"), page.warnings.len()), (2000, 0));
    page.assert_whole();
}

#[test]
fn a_newer_format_is_left_alone() {
    let changes: [fn(&mut tidelock::ports::Head); 2] =
        [|head| head.format = 2, |head| head.features.push("encryption".to_owned())];
    for change in changes {
        let mut machine = Machine::new();
        drop(with_table(&mut machine));
        machine.damage(|contents| change(contents.head.as_mut().unwrap()));
        assert_eq!(machine.refused().code, ErrorCode::SnapshotIncompatible);
    }
}

#[test]
fn without_any_usable_snapshot_the_whole_log_gives_the_data() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 2);
    machine.kill(Crash::Process);
    machine.damage(|contents| contents.chunks.retain(|_, _| false));
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), page.warnings.len()), (3, 1));
    assert!(machine.contents().log.values().flatten().any(|record| record.kind == LogKind::Epoch));
}

#[test]
fn options_of_snapshots_are_checked() {
    SnapshotOptions::default().check().unwrap();
    let bad =
        [SnapshotOptions { keep: 0, ..Default::default() }, SnapshotOptions { interval_ms: 0, ..Default::default() }];
    for options in bad {
        assert_eq!(options.check().unwrap_err().code, ErrorCode::InvalidArgument);
    }
}

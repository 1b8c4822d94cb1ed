//! Rules 4 and 5 of the storage format: the log is a chain, and everything that changes pages is in it.

use std::rc::Rc;

use tidelock::{
    ErrorCode, Timestamp,
    engine::storage::flush::{FlushPolicy, Flusher},
    format::{LogHeader, LogKind, LogRecord, ManifestKind},
    sqlite::{Batch, BatchPages, Connection},
    store::{Contents, Position, Tag, batch_records, faulty::Crash},
};

use super::{
    bench::{Machine, insert, snapshot, sum, with_table},
    stored::{change_head, flip, forge, record},
};
use crate::memory::allow;

// 4. A chain.

#[test]
fn a_chain_any_damage_after_the_newest_snapshot_is_found_and_nothing_is_written() {
    // The snapshot is at lsn 4; batches 5 to 8 follow. The fields: how many are lost, after which one, and the damage.
    type Damage = (&'static str, i64, u64, fn(&mut Contents));
    let damages: [Damage; 11] = [
        ("a flipped byte", 2, 6, |c| flip(c, 7)),
        // After the checksum, the header and the count.
        ("another page number", 2, 6, |c| c.log.get_mut(&(7, 0)).unwrap()[76] ^= 1),
        ("another checksum", 2, 6, |c| c.log.get_mut(&(7, 0)).unwrap()[0] ^= 1),
        ("a missing batch", 2, 6, |c| drop(c.log.remove(&(7, 0)))),
        ("the batch after the snapshot is missing", 4, 4, |c| drop(c.log.remove(&(5, 0)))),
        ("an unreadable record", 1, 7, |c| drop(c.log.insert((8, 0), vec![]))),
        ("a batch twice", 2, 6, |c| forge(c, 7, 6, |_| ())),
        ("a batch of another history after the snapshot", 4, 4, |c| forge(c, 5, 5, |header| header.prev ^= 1)),
        ("a part too few", 2, 6, |c| forge(c, 7, 7, |header| header.parts = 2)),
        ("a part too few at the end", 1, 7, |c| forge(c, 8, 8, |header| header.parts = 2)),
        ("a log that ends before its holder's epoch record", 3, 8, |c| change_head(c, |head| head.lsn = 11)),
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
        let good = record(&machine.contents(), good).header.time.to_string();
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
    machine.damage(|contents| contents.log.insert((2, 0), vec![]));
    assert_eq!(sum(&machine.open().unwrap()), 3);
}

#[test]
fn a_chain_goes_on_with_the_time_of_a_clock_that_was_set_back() {
    let batch = || Batch {
        pages: Rc::new(BatchPages { page_size: 512, db_pages: 1, numbers: vec![0] }),
        parts: vec![vec![0; 512]],
    };
    let from = Position { lsn: 4, chain: 5, time: Timestamp(1000), logged: 7 };
    let (_, later) = batch_records(from, 1, batch(), Timestamp(2000));
    let (records, back) = batch_records(later, 1, batch(), Timestamp(500));
    assert_eq!((later.time, back.time), (Timestamp(2000), Timestamp(500)));
    let record = LogRecord::decode((6, 0), records[0].1.clone()).unwrap();
    assert_eq!((record.header.prev, record.header.kind), (later.chain, LogKind::Commit));
}

#[test]
fn a_chain_record_that_claims_pages_it_does_not_have_is_damage_and_takes_no_memory() {
    // Changes the header, and replaces the page numbers: those of the last batch are 0 and 2, of 3.
    type Claim = fn(&mut LogHeader, &mut Vec<u32>);
    let claims: [(&str, Claim); 9] = [
        ("almost 3 GB", |header, _| header.db_pages = 700_000),
        ("one page", |header, _| header.db_pages += 1),
        ("the most pages of the largest size", |header, _| (header.page_size, header.db_pages) = (65_536, u32::MAX)),
        ("an impossible page size", |header, _| (header.page_size, header.db_pages) = (u32::MAX, u32::MAX)),
        ("no page size", |header, _| header.page_size = 0),
        ("a part of a large batch", |header, _| (header.parts, header.db_pages) = (2, 700_000)),
        ("a new page twice", |header, pages| (header.db_pages, *pages) = (header.db_pages + 2, vec![3, 3])),
        ("new pages in another order", |header, pages| (header.db_pages, *pages) = (header.db_pages + 2, vec![4, 3])),
        ("a page beyond the end", |_, pages| *pages = vec![0, 3]),
    ];
    for (name, claim) in claims {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        machine.commit(&page, "PRAGMA user_version = 1; INSERT INTO t(v) VALUES (1)").unwrap();
        machine.sim.kill();
        let last = page.storage.position().lsn;
        machine.damage(|contents| {
            let LogRecord { mut header, mut pages, bytes, .. } = record(contents, last);
            assert_eq!((&*pages, header.db_pages), (&[0, 2][..], 3));
            claim(&mut header, &mut pages);
            contents.log.insert((last, 0), header.encode(&pages, &bytes));
        });
        allow(1 << 20);
        let error = machine.refused();
        allow(usize::MAX);
        assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{name}: {error:?}");
    }
}

#[test]
fn a_chain_counter_at_the_end_of_its_range_is_damage() {
    const LAST: u64 = u64::MAX;
    type Change = fn(&mut Contents);
    let changes: [(&str, Change); 9] = [
        ("the head's epoch", |c| change_head(c, |head| head.epoch = LAST)),
        ("its generation", |c| change_head(c, |head| head.generation = LAST)),
        ("its lsn", |c| change_head(c, |head| head.lsn = LAST)),
        ("where the log begins", |c| change_head(c, |head| head.truncated.lsn = LAST)),
        ("an earlier epoch", |c| change_head(c, |head| head.epochs.push(LAST))),
        ("a record's lsn", |c| forge(c, 5, 5, |header| header.lsn = LAST)),
        ("its epoch", |c| forge(c, 5, 5, |header| header.epoch = LAST)),
        ("its bytes", |c| forge(c, 5, 5, |header| header.logged = LAST)),
        ("a part's number", |c| forge(c, 5, 5, |header| (header.part, header.parts) = (u32::MAX, u32::MAX))),
    ];
    for (name, change) in changes {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        insert(&mut machine, &page, 1);
        insert(&mut machine, &page, 2);
        assert_eq!(page.storage.position().lsn, 5);
        machine.sim.kill();
        machine.damage(change);
        assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt, "{name}");
    }
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
    let scratch = Connection::open(&image).unwrap();
    page.connection.replace_with(&scratch.pin()).unwrap();
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
    // Changes that aren't logged, as with `durability: 'snapshot'`, and the barrier after them.
    page.connection.exec("INSERT INTO t(v) VALUES (10)").unwrap();
    let storage = page.storage.clone();
    let frozen = Flusher::new(page.flusher.file().clone(), storage.clone(), &machine.platform(), FlushPolicy::Never);
    let barrier = machine.sim.run(async move {
        let frozen = frozen.freeze().await?;
        let staged = storage.stage(&frozen.pin, &frozen.touched, frozen.at, true, true).await?;
        storage
            .publish(staged, Tag { kind: ManifestKind::Snapshot, reason: "manual", barrier: true, ..Tag::checkpoint() })
            .await
    });
    let barrier = barrier.unwrap().generation;
    page.flusher.file().take_ready(usize::MAX).unwrap();
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

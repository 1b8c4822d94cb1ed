//! Rules 6 to 8 of the storage format: manifest last, no deletion before verification, snapshots cost what changed.

use std::collections::HashSet;

use tidelock::{
    ErrorCode,
    error::WarningCode,
    ports::ChunkId,
    snapshot::Reason,
    sqlite::Connection,
    store::{
        Tag,
        faulty::{Crash, Faults},
    },
};

use super::{
    bench::{Machine, ROWS, insert, snapshot, sum, with_table},
    page::Page,
    stored,
};
use crate::memory::allow;

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
            stored::manifests(&contents).iter().flat_map(|m| m.stored_chunks()).map(|c| c.id).collect();
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
    let gone = stored::manifest(&machine.contents(), 1).chunks[10].id;
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

#[test]
fn manifest_last_one_that_claims_chunks_it_does_not_have_takes_no_memory() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    let info = snapshot(&mut machine, &page).unwrap();
    machine.kill(Crash::Process);
    let generation: u64 = info.id.parse().unwrap();
    for missing in [0, 70] {
        machine.damage(|contents| {
            let mut manifest = stored::manifest(contents, generation);
            // Almost 3 GB of chunks, of which none, or only the first ones, are stored.
            let mut chunks: Vec<_> = manifest.chunks.iter().cycle().take(45_000).cloned().collect();
            chunks[missing..].iter_mut().for_each(|chunk| chunk.id = ChunkId::new(&[0xab; 32]));
            (manifest.db_bytes, manifest.chunks) = (45_000 * 65_536, chunks.into());
            contents.snapshots.insert(generation, manifest.encode());
        });
        allow(32 << 20);
        let page = machine.open();
        allow(usize::MAX);
        let page = page.unwrap();
        assert_eq!((sum(&page), page.warnings.len()), (1, 1));
        machine.kill(Crash::Process);
    }
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
    assert_eq!(page.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [WarningCode::SnapshotCorrupt]);
    let snapshots = page.snapshots.clone();
    let found = machine.sim.run(async move { snapshots.verify("6").await }).unwrap();
    assert!(!found.ok && !found.errors.is_empty());
    let snapshots = page.snapshots.clone();
    assert_eq!(machine.sim.run(async move { snapshots.load("6").await }).unwrap_err().code, ErrorCode::SnapshotCorrupt);
    // The next good snapshots let the damaged one be deleted.
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
    machine.damage(|contents| contents.snapshots.insert(2, vec![]));
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), page.warnings.len()), (3, 1));
    let info = snapshot(&mut machine, &page).unwrap();
    assert_eq!(info.id, "3", "a number is never used twice");
    assert_eq!(machine.contents().snapshots.keys().copied().collect::<Vec<_>>(), [1, 3]);
}

#[test]
fn nothing_good_is_deleted_that_an_unreadable_manifest_may_have() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    machine.commit(&page, ROWS).unwrap();
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 2);
    snapshot(&mut machine, &page).unwrap();
    // The first two share chunks that the third one has no more.
    machine.commit(&page, "UPDATE t SET v = randomblob(1000) WHERE typeof(v) = 'blob'").unwrap();
    snapshot(&mut machine, &page).unwrap();
    machine.kill(Crash::Process);
    let manifest = machine.contents().snapshots[&1].clone();
    machine.damage(|contents| contents.snapshots.insert(1, vec![]));
    let page = machine.open().unwrap();
    let storage = page.storage.clone();
    machine.sim.run(async move { storage.remove(&[2], &[], None).await }).unwrap();
    machine.kill(Crash::Process);
    machine.damage(|contents| contents.snapshots.insert(1, manifest));
    let page = machine.open().unwrap();
    let snapshots = page.snapshots.clone();
    let found = machine.sim.run(async move { snapshots.verify("1").await }).unwrap();
    assert!(found.ok, "{:?}", found.errors);
}

#[test]
fn an_older_snapshot_that_leaves_the_list_is_told_by_the_opening() {
    for mut machine in [Machine::new(), Machine::encrypted()] {
        let page = with_table(&mut machine);
        for value in 1..=3 {
            insert(&mut machine, &page, value);
            snapshot(&mut machine, &page).unwrap();
        }
        machine.kill(Crash::Process);
        machine.damage(|contents| *contents.snapshots.get_mut(&1).unwrap().last_mut().unwrap() ^= 1);
        let page = machine.open().unwrap();
        assert_eq!(sum(&page), 6);
        let [warning] = &page.warnings[..] else { panic!("{:?}", page.warnings) };
        assert_eq!(warning.code, WarningCode::SnapshotCorrupt);
        assert!(warning.message.contains("snapshot 1") && warning.message.contains("listed"), "{}", warning.message);
        let ids = |page: &Page| page.snapshots.list().into_iter().map(|info| info.id).collect::<Vec<_>>();
        assert_eq!(ids(&page), ["3", "2"]);
        let snapshots = page.snapshots.clone();
        let refused = machine.sim.run(async move { snapshots.load("1").await }).unwrap_err();
        assert_eq!(refused.code, ErrorCode::SnapshotCorrupt, "not: there is none");
        let snapshots = page.snapshots.clone();
        assert!(!machine.sim.run(async move { snapshots.verify("1").await }).unwrap().ok);
        // Another snapshot lets it be deleted, as the warning says.
        insert(&mut machine, &page, 4);
        snapshot(&mut machine, &page).unwrap();
        machine.kill(Crash::Process);
        let page = machine.open().unwrap();
        assert_eq!((ids(&page), page.warnings), (vec!["4".to_owned(), "3".into(), "2".into()], vec![]));
    }
}

#[test]
fn nothing_good_is_deleted_while_written_data_reads_back_wrong() {
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
    let size = stored::size(&machine.contents());
    machine.faults(Faults { capacity: Some(size), ..Faults::default() });
    machine.commit(&page, ROWS).expect("room is made before anybody hears of it");
    assert!(!machine.contents().snapshots.contains_key(&1));
    // A commit for which no space can be freed fails, and deletes nothing good.
    let error = machine.commit(&page, "INSERT INTO t(v) VALUES (randomblob(50000000))").unwrap_err();
    assert_eq!(error.code, ErrorCode::StorageQuotaExceeded);
    assert_eq!(error.details.get("applied"), Some(&true.into()));
    machine.sim.advance(20_000);
    assert!(page.flusher.failures() >= 3);
    assert!(machine.contents().snapshots.contains_key(&3));
    machine.commit(&page, "DELETE FROM t WHERE length(v) > 1000000").expect_err("new writes wait until one was stored");
    machine.faults(Faults::default());
    machine.sim.advance(20_000);
    assert!(!page.flusher.failing());
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!(page.number("SELECT count(*) FROM t"), 4001);
    page.assert_whole();
}

#[test]
fn nothing_good_is_deleted_and_damage_to_the_base_of_a_truncated_log_is_reported() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for value in 1..=2 {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    // On a full disk, the log before the newest verified snapshot is deleted.
    let newest = page.storage.manifests()[1].clone();
    let to = tidelock::format::Truncation { lsn: newest.lsn, logged: newest.logged };
    let storage = page.storage.clone();
    machine.sim.run(async move { storage.remove(&[], &[], Some(to)).await }).unwrap();
    machine.kill(Crash::Process);
    machine.damage_generation(2);
    let error = machine.refused();
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "never an older state in silence");
    assert_eq!(error.details.get("snapshotId"), Some(&"1".into()));
}

#[test]
fn nothing_good_is_deleted_and_no_call_hangs_when_the_disk_fills_up_during_a_snapshot() {
    for start in [0, 5, 15, 30, 45, 60, 100] {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        machine.commit(&page, ROWS).unwrap();
        snapshot(&mut machine, &page).unwrap();
        machine.commit(&page, "UPDATE t SET v = randomblob(1000)").unwrap();
        let size = stored::size(&machine.contents());
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

#[test]
fn nothing_good_is_overwritten_by_a_chunk_of_the_same_contents() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    let first = snapshot(&mut machine, &page).unwrap();
    machine.commit(&page, "UPDATE t SET v = randomblob(1000) WHERE id = 1000").unwrap();
    snapshot(&mut machine, &page).unwrap();
    // The next snapshot has the first one's content, while all written data is damaged.
    let (snapshots, id) = (page.snapshots.clone(), first.id.clone());
    let image = machine.sim.run(async move { snapshots.load(&id).await }).unwrap();
    let scratch = Connection::open(&image).unwrap();
    page.connection.replace_with(&scratch.pin()).unwrap();
    page.flusher.committed();
    machine.faults(Faults { rot: 1000, ..Faults::default() });
    let _ = snapshot(&mut machine, &page);
    machine.faults(Faults::default());
    let snapshots = page.snapshots.clone();
    let found = machine.sim.run(async move { snapshots.verify(&first.id).await }).unwrap();
    assert_eq!(found.errors, Vec::<String>::new());
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
    assert!(machine.contents().chunks.len() - chunks <= 3, "with the copy of the first");
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
    assert!(image.image().unwrap() == page.flusher.file().image().unwrap(), "what the log changed is in it");
}

/// Returns the stored chunks that no manifest references.
fn orphans(machine: &Machine) -> usize {
    let contents = machine.contents();
    let manifests = stored::manifests(&contents);
    let named: HashSet<_> = manifests.iter().flat_map(|m| m.stored_chunks()).map(|c| &c.id).collect();
    contents.chunks.keys().filter(|id| !named.contains(id)).count()
}

#[test]
fn snapshots_leave_no_orphaned_chunks_even_beside_a_damaged_one() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for value in 1..=3 {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    machine.kill(Crash::Process);
    machine.damage_generation(3);
    let page = machine.open().unwrap();
    let storage = page.storage.clone();
    machine.sim.run(async move { storage.remove(&[1], &[], None).await }).unwrap();
    assert!(!machine.contents().snapshots.contains_key(&1));
    assert_eq!(orphans(&machine), 0);
}

#[test]
fn a_full_disk_frees_the_chunks_of_a_failed_snapshot() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for value in 1..=3 {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    machine.damage(|contents| contents.chunks.insert(ChunkId::new(&[0xff; 32]), vec![0; 65_536]));
    assert_eq!(orphans(&machine), 1);
    let size = stored::size(&machine.contents());
    machine.faults(Faults { capacity: Some(size), ..Faults::default() });
    machine.commit(&page, "UPDATE t SET v = -1 WHERE id = 1").unwrap();
    assert_eq!(orphans(&machine), 0);
}

#[test]
fn snapshots_never_contain_a_later_commit() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    machine.faults(Faults { delay_ms: 20, ..Faults::default() });
    let (snapshots, writer) = (page.snapshots.clone(), page.clone());
    let states = std::rc::Rc::new(std::cell::RefCell::new(vec![page.flusher.file().image().unwrap()]));
    let seen = states.clone();
    let info = machine.sim.run(async move {
        let write = async {
            for value in 0..30 {
                writer.commit(&format!("UPDATE t SET v = {value} WHERE id % 30 = {value}")).await.unwrap();
                seen.borrow_mut().push(writer.flusher.file().image().unwrap());
            }
        };
        futures_util::future::join(snapshots.create(None, Reason::Manual), write).await.0
    });
    let (snapshots, id) = (page.snapshots.clone(), info.unwrap().id);
    let image = machine.sim.run(async move { snapshots.load(&id).await }).unwrap();
    let found = states.borrow().iter().position(|state| *state == image.image().unwrap());
    assert!(found.is_some_and(|commits| commits <= 2), "the state of one moment, near its beginning: {found:?}");
    machine.kill(Crash::Process);
    assert_eq!(machine.open().unwrap().number("SELECT count(*) FROM t WHERE typeof(v) = 'integer'"), 2000);
}

#[test]
fn snapshots_cost_what_changed_kilobytes_of_a_hundred_megabytes() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    let fill = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 25000)
        INSERT INTO t(v) SELECT randomblob(1000) FROM n;";
    for _ in 0..4 {
        machine.commit(&page, fill).unwrap();
    }
    snapshot(&mut machine, &page).unwrap();
    assert!(page.flusher.file().bytes() > 100_000_000);
    let before = machine.contents();
    machine.commit(&page, "UPDATE t SET v = randomblob(1000) WHERE id = 50000").unwrap();
    let info = snapshot(&mut machine, &page).unwrap();
    let after = machine.contents();
    let chunks = || after.chunks.iter().filter(|(id, _)| !before.chunks.contains_key(*id));
    let chunk_bytes: usize = chunks().map(|(_, bytes)| bytes.len()).sum();
    let generation = info.id.parse().unwrap();
    let copy = stored::manifest(&after, generation).first_copy.expect("a copy").stored;
    assert_eq!(info.stored_bytes + u64::from(copy), chunk_bytes as u64);
    let manifest = after.snapshots[&generation].len();
    println!("{} chunks of {chunk_bytes} bytes, a manifest of {manifest} bytes", chunks().count());
    assert!(chunks().count() <= 3 && chunk_bytes + manifest < 320_000);
}

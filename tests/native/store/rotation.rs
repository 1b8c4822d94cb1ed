//! Rotations of the data key: copies that are made while the database is used, and the state after a page died meanwhile.

use futures_util::future::{Either, select};
use tidelock::{
    ErrorCode, Result,
    engine::storage::flush::FlushPolicy,
    ports::Durability,
    store::{
        Contents, Rekeyed, Rotation, Storage,
        faulty::{Crash, Faults},
        sealed::Secret,
    },
};

use super::{
    bench::{Machine, ROWS, insert, key, snapshot, vault, with_table},
    page::{Page, by_call_only},
    sealed::{MARKER, marked},
    stored::{head, sealed_head},
};
use crate::sample::Sample;

const ROTATING: [&str; 2] = ["encryption", "rotation"];

/// An encrypted database with two snapshots, and a log after them.
fn machine() -> (Machine, Page) {
    let mut machine = Machine::encrypted();
    let page = marked(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 7);
    (machine, page)
}

fn begin(machine: &mut Machine, page: &Page) -> Rekeyed {
    let storage = page.storage.clone();
    machine.sim.run(async move { storage.begin_rotation().await })
}

async fn copied(storage: &Storage) -> Result<Rotation> {
    let mut rotation = storage.rotation().expect("a rotation is under way");
    while storage.copy_ahead(&mut rotation).await? {}
    Ok(rotation)
}

/// Rotates the key, as the engine does.
async fn rotate(storage: &Storage) -> Rekeyed {
    match storage.begin_rotation().await {
        Rekeyed::Done => {}
        other => return other,
    }
    let rotation = match copied(storage).await {
        Ok(rotation) => rotation,
        Err(error) => return Rekeyed::Unchanged(error),
    };
    let ended = storage.end_rotation(&rotation).await;
    if ended == Rekeyed::Done {
        storage.sweep().await.unwrap();
    }
    ended
}

fn rotated(machine: &mut Machine, page: &Page) -> Rekeyed {
    let storage = page.storage.clone();
    machine.sim.run(async move { rotate(&storage).await })
}

fn whole(machine: &mut Machine, page: &Page, rows: i64) {
    page.assert_whole();
    assert_eq!(page.warnings, []);
    assert_eq!(page.number("SELECT count(*) FROM t"), rows);
    let snapshots = page.snapshots.clone();
    assert_eq!(snapshots.list().len(), 2);
    assert_eq!(snapshots.list()[1].label.as_deref(), Some(MARKER));
    let checked = machine.sim.run(async move {
        let mut checked = Vec::new();
        for info in snapshots.list() {
            checked.push(snapshots.verify(&info.id).await.unwrap());
        }
        checked
    });
    assert!(checked.iter().all(|verification| verification.ok), "{checked:?}");
}

/// Returns whether nothing that was stored before is stored any more, but the ids of snapshots and log.
fn is_stored_anew(before: &Contents, after: &Contents) -> bool {
    before.chunks.keys().all(|id| !after.chunks.contains_key(id))
        && before.log.iter().all(|(key, bytes)| after.log.get(key) != Some(bytes))
        && before.snapshots.iter().all(|(generation, bytes)| after.snapshots.get(generation) != Some(bytes))
}

#[test]
fn everything_is_encrypted_with_the_new_key_and_the_secret_stays() {
    for secret in [key(1), Secret::Passphrase("words".into())] {
        let (mut machine, page) = machine();
        let to = secret.clone();
        let (storage, platform) = (page.storage.clone(), machine.platform());
        machine.sim.run(async move { storage.rekey(Some(&vault(&platform, to))).await });
        machine.secret = Some(secret);
        let before = machine.contents();
        assert_eq!(rotated(&mut machine, &page), Rekeyed::Done);
        let after = machine.contents();
        assert!(is_stored_anew(&before, &after));
        assert_eq!((after.log.len(), after.chunks.len()), (before.log.len(), before.chunks.len()));
        assert_eq!(head(&after).features, ["encryption"]);
        whole(&mut machine, &page, 2003);
        // The page continues to work, and a later page finds its writes.
        insert(&mut machine, &page, 8);
        machine.kill(Crash::Process);
        let page = machine.open().unwrap();
        whole(&mut machine, &page, 2004);
        // The key of the old head decrypts nothing any more.
        machine.kill(Crash::Process);
        machine.damage(|contents| (contents.head, contents.head_copy) = (before.head, before.head_copy));
        assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt);
    }
}

#[test]
fn a_page_may_die_anywhere_and_the_next_one_continues_with_the_copies() {
    let mut kept_copies = 0;
    // A transaction in flight may be stored or not, as chance has it.
    let sample = Sample::every(2);
    for case in (0..).step_by(sample.step()) {
        let (transactions, chance) = (case / 4, case % 4);
        let (mut machine, page) = machine();
        let before = machine.contents();
        machine.platform().entropy.fill(&mut vec![0; 8 * chance]);
        machine.faults(Faults { stall_after: Some(transactions as u64), delay_ms: 2, ..Faults::default() });
        let (storage, clock) = (page.storage.clone(), machine.platform().clock);
        let done = machine.sim.run(async move {
            let rotate = Box::pin(async move { rotate(&storage).await });
            matches!(select(rotate, clock.sleep(10_000)).await, Either::Left((Rekeyed::Done, _)))
        });
        machine.kill(Crash::Process);
        let died = machine.contents();
        let page = machine.open().unwrap();
        // Lets the sweep run, which keeps the copies.
        machine.sim.advance(10);
        assert_eq!(page.storage.is_rotating(), head(&died).features == ROTATING, "after {transactions}");
        if page.storage.is_rotating() {
            assert_eq!(machine.contents().chunks.len(), died.chunks.len());
            let copies = died.chunks.len() - before.chunks.len();
            kept_copies += copies;
            let written = machine.store.transactions();
            assert_eq!(rotated(&mut machine, &page), Rekeyed::Done);
            // The copies aren't written again: only the end, its head once more, and the sweep.
            assert!(copies == 0 || machine.store.transactions() <= written + 3);
        }
        whole(&mut machine, &page, 2003);
        assert!(!done || is_stored_anew(&before, &machine.contents()));
        assert_eq!(machine.contents().chunks.len(), before.chunks.len(), "after {transactions}");
        if done {
            break;
        }
    }
    assert!(kept_copies > sample.part_of(20), "{kept_copies}");
}

#[test]
fn the_database_is_used_between_the_copies() {
    let (mut machine, page) = machine();
    let before = machine.contents();
    assert_eq!(begin(&mut machine, &page), Rekeyed::Done);
    assert_eq!(head(&machine.contents()).features, ROTATING);
    let mut rotation = page.storage.rotation().unwrap();
    let mut steps = 0;
    loop {
        let storage = page.storage.clone();
        let (more, returned) = machine.sim.run(async move {
            let more = storage.copy_ahead(&mut rotation).await.unwrap();
            (more, rotation)
        });
        rotation = returned;
        if !more {
            break;
        }
        steps += 1;
        insert(&mut machine, &page, steps);
    }
    // A snapshot with new chunks, and one whose chunks were copied and are deleted.
    machine.commit(&page, "UPDATE t SET v = randomblob(900) WHERE id BETWEEN 1000 AND 1500").unwrap();
    snapshot(&mut machine, &page).unwrap();
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move {
        let oldest = snapshots.list().remove(1);
        snapshots.delete(&oldest.id).await.unwrap();
    });
    let (storage, rows) = (page.storage.clone(), page.number("SELECT count(*) FROM t"));
    // A sweep deletes copies of chunks that no manifest names.
    let ended = machine.sim.run(async move {
        storage.sweep().await.unwrap();
        let ended = storage.end_rotation(&rotation).await;
        storage.sweep().await.unwrap();
        ended
    });
    assert_eq!(ended, Rekeyed::Done);
    assert!(is_stored_anew(&before, &machine.contents()));
    whole(&mut machine, &page, rows);
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    whole(&mut machine, &page, rows);
}

#[test]
fn copies_of_chunks_that_return_are_made_again() {
    let (mut machine, page) = machine();
    assert_eq!(begin(&mut machine, &page), Rekeyed::Done);
    let storage = page.storage.clone();
    let rotation = machine.sim.run(async move { copied(&storage).await }).unwrap();
    // As after a sweep of chunks that no manifest named for a while.
    let copies: Vec<_> = {
        let manifests = page.storage.manifests();
        let ids = manifests.iter().flat_map(|manifest| manifest.chunks.iter()).map(|chunk| &chunk.id);
        let sealed = page.storage.clone();
        ids.filter_map(|id| sealed.next_stored_id(id)).collect()
    };
    machine.damage(|contents| contents.chunks.remove(&copies[0]).map(drop).expect("a copy"));
    let storage = page.storage.clone();
    assert_eq!(machine.sim.run(async move { storage.end_rotation(&rotation).await }), Rekeyed::Done);
    whole(&mut machine, &page, 2003);
}

#[test]
fn a_copy_that_rotted_before_a_later_page_continues_is_made_again() {
    let (mut machine, page) = machine();
    let chunks = machine.contents().chunks;
    assert_eq!(begin(&mut machine, &page), Rekeyed::Done);
    let storage = page.storage.clone();
    machine.sim.run(async move { copied(&storage).await }).map(drop).unwrap();
    machine.kill(Crash::Process);
    machine.damage(|contents| {
        let copies: Vec<_> = contents.chunks.keys().filter(|id| !chunks.contains_key(*id)).cloned().collect();
        assert!(copies.len() > 3, "{}", copies.len());
        for id in copies {
            *contents.chunks.get_mut(&id).unwrap().last_mut().unwrap() ^= 1;
        }
    });
    let page = machine.open().unwrap();
    assert_eq!(rotated(&mut machine, &page), Rekeyed::Done);
    whole(&mut machine, &page, 2003);
}

#[test]
fn the_secret_can_change_during_a_rotation() {
    for to in [Some(key(2)), Some(Secret::Passphrase("words".into())), None] {
        let (mut machine, page) = machine();
        assert_eq!(begin(&mut machine, &page), Rekeyed::Done);
        let (storage, platform, secret) = (page.storage.clone(), machine.platform(), to.clone());
        let rekeyed = machine.sim.run(async move {
            let mut rotation = storage.rotation().unwrap();
            assert!(storage.copy_ahead(&mut rotation).await.unwrap());
            let vault = secret.map(|secret| vault(&platform, secret));
            let rekeyed = storage.rekey(vault.as_ref()).await;
            assert_eq!(storage.is_rotating(), vault.is_some());
            while storage.copy_ahead(&mut rotation).await.unwrap() {}
            assert_eq!(storage.end_rotation(&rotation).await, Rekeyed::Done);
            rekeyed
        });
        assert_eq!(rekeyed, Rekeyed::Done);
        let encrypted = to.is_some();
        machine.kill(Crash::Process);
        machine.secret = to;
        let page = machine.open().unwrap();
        whole(&mut machine, &page, 2003);
        assert_eq!(head(&machine.contents()).features.is_empty(), !encrypted);
    }
}

#[test]
fn a_rotation_can_be_given_up() {
    let (mut machine, page) = machine();
    let before = machine.contents();
    assert_eq!(begin(&mut machine, &page), Rekeyed::Done);
    let storage = page.storage.clone();
    machine.sim.run(async move {
        copied(&storage).await.unwrap();
        assert_eq!(storage.abandon_rotation().await, Rekeyed::Done);
        assert!(!storage.is_rotating() && storage.sweep().await.unwrap() > 10);
    });
    let mut after = machine.contents();
    assert_eq!(sealed_head(&after).wrapped, sealed_head(&before).wrapped);
    // The head also counts.
    (after.head, after.head_copy) = (before.head.clone(), before.head_copy.clone());
    assert!(after == before, "the copies are deleted");
    insert(&mut machine, &page, 1);
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    whole(&mut machine, &page, 2004);
}

#[test]
fn lost_results_are_checked_and_refused_writes_change_nothing() {
    let small = || {
        let mut machine = Machine::encrypted();
        let page = with_table(&mut machine);
        (machine, page)
    };
    let (mut machine, page) = small();
    machine.doubt_once();
    assert_eq!(rotated(&mut machine, &page), Rekeyed::Done);
    insert(&mut machine, &page, 1);

    for refused in 0..2 {
        let (mut machine, page) = small();
        if refused == 1 {
            assert_eq!(begin(&mut machine, &page), Rekeyed::Done);
        }
        let rotating = page.storage.is_rotating();
        machine.faults(Faults { refuse: 1000, ..Faults::default() });
        assert!(matches!(rotated(&mut machine, &page), Rekeyed::Unchanged(_)));
        machine.faults(Faults::default());
        assert_eq!(page.storage.is_rotating(), rotating);
        insert(&mut machine, &page, 1);
        machine.kill(Crash::Process);
        let page = machine.open().unwrap();
        assert_eq!(page.storage.is_rotating(), rotating);
    }
}

#[test]
fn a_fenced_out_holder_rotates_nothing() {
    for begun in [false, true] {
        let (mut machine, page) = machine();
        if begun {
            assert_eq!(begin(&mut machine, &page), Rekeyed::Done);
        }
        let holder = machine.open().unwrap();
        let Rekeyed::Unchanged(error) = rotated(&mut machine, &page) else { panic!("it may not") };
        assert_eq!(error.code, ErrorCode::LockLost);
        insert(&mut machine, &holder, 1);
        assert_eq!(holder.storage.is_rotating(), begun);
        assert_eq!(rotated(&mut machine, &holder), Rekeyed::Done);
        whole(&mut machine, &holder, 2004);
    }
}

#[test]
fn a_plain_database_has_no_key_to_rotate_and_other_readers_refuse_one_under_way() {
    let mut plain = Machine::new();
    let page = with_table(&mut plain);
    let Rekeyed::Unchanged(error) = begin(&mut plain, &page) else { panic!("it may not") };
    assert_eq!(error.code, ErrorCode::InvalidArgument);

    let (mut machine, page) = machine();
    assert_eq!(begin(&mut machine, &page), Rekeyed::Done);
    machine.kill(Crash::Process);
    for secret in [None, Some(key(2))] {
        machine.secret = secret;
        assert_eq!(machine.refused().code, ErrorCode::DecryptionFailed);
    }
}

/// Opens with a page cache of one chunk.
fn open_paged(machine: &mut Machine) -> Page {
    let (store, platform, secret) = (machine.store(), machine.platform(), machine.secret.clone());
    let policy = FlushPolicy::Immediate(Durability::Relaxed);
    machine.sim.run(async move {
        let store = Machine::connect(store, platform.clone(), secret).await.unwrap();
        Page::open_paged(store, &platform, policy, by_call_only(), Some(1)).await.unwrap()
    })
}

#[test]
fn chunks_that_only_the_open_database_reads_are_copied_too() {
    for rotates in [false, true] {
        let mut machine = Machine { secret: rotates.then(|| key(1)), ..Machine::new() };
        let page = open_paged(&mut machine);
        machine.commit(&page, &format!("CREATE TABLE t(id INTEGER PRIMARY KEY, v); {ROWS}")).unwrap();
        snapshot(&mut machine, &page).unwrap();
        let before = page.flusher.file().pin();
        machine.commit(&page, "UPDATE t SET v = randomblob(1000)").unwrap();
        snapshot(&mut machine, &page).unwrap();
        let (storage, snapshots, platform) = (page.storage.clone(), page.snapshots.clone(), machine.platform());
        let rekeyed = machine.sim.run(async move {
            let oldest = snapshots.list().pop().unwrap();
            snapshots.delete(&oldest.id).await.unwrap();
            let vault = vault(&platform, key(2));
            if rotates { rotate(&storage).await } else { storage.rekey(Some(&vault)).await }
        });
        assert_eq!(rekeyed, Rekeyed::Done);
        for index in 0..before.chunk_count() {
            before.chunk(index).unwrap();
        }
        page.assert_whole();
    }
}

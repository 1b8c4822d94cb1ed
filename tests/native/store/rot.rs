//! Chunks that rot although no snapshot writes them again: found while other sources still have their bytes, and stored again.

use tidelock::{
    ports::ChunkId,
    snapshot::{Reason, SnapshotOptions, VerifyMode},
    store::{Contents, faulty::Crash},
};

use super::{
    bench::{Machine, ROWS, insert, snapshot, sum, with_table},
    page::{Page, by_call_only},
    stored,
};

/// Flips a byte of a chunk, by its place in a generation. Returns its id.
fn flip(machine: &Machine, generation: u64, index: usize) -> ChunkId {
    machine.damage(|contents| {
        let id = stored::manifest(contents, generation).chunks[index].id;
        flip_chunk(contents, &id);
        id
    })
}

fn flip_chunk(contents: &mut Contents, id: &ChunkId) {
    *contents.chunks.get_mut(id).expect("stored").last_mut().expect("not empty") ^= 1;
}

fn verify(machine: &mut Machine, page: &Page, id: &str) -> Vec<String> {
    let (snapshots, id) = (page.snapshots.clone(), id.to_owned());
    machine.sim.run(async move { snapshots.verify(&id).await }).expect("stored").errors
}

#[test]
fn each_reused_chunk_is_read_within_sixteen_snapshots_and_stored_again() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    let again = |machine: &mut Machine| {
        machine.commit(&page, "UPDATE t SET v = v WHERE id = 1").unwrap();
        snapshot(machine, &page).unwrap();
    };
    // The log is truncated behind them, so that only the rotation reads them again.
    (0..6).for_each(|_| again(&mut machine));
    let before = machine.contents();
    let cold: Vec<ChunkId> = [3, 4, 10, 20, 29].map(|index| flip(&machine, 6, index)).into();
    (0..16).for_each(|_| again(&mut machine));
    let after = machine.contents();
    for id in &cold {
        assert!(after.chunks[id] == before.chunks[id], "as it was");
    }
    let bytes = |contents: &Contents| contents.chunks.len();
    assert!(bytes(&after) <= bytes(&before) + 3, "nothing else was stored");
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!((page.number("SELECT count(*) FROM t"), page.warnings.len()), (2000, 0));
}

#[test]
fn a_damaged_chunk_is_repaired_when_a_snapshot_is_verified_or_read() {
    for verifies in [true, false] {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        machine.commit(&page, ROWS).unwrap();
        for _ in 0..2 {
            insert(&mut machine, &page, 1);
            snapshot(&mut machine, &page).unwrap();
        }
        flip(&machine, 2, 7);
        if verifies {
            assert_eq!(verify(&mut machine, &page, "2"), Vec::<String>::new());
        } else {
            let snapshots = page.snapshots.clone();
            machine.sim.run(async move { snapshots.load("2").await.map(drop) }).expect("repaired");
        }
        machine.kill(Crash::Process);
        assert_eq!(machine.open().unwrap().warnings, [], "the chunk that all share is sound again");
    }
}

#[test]
fn a_repair_writes_nothing_that_the_database_does_not_have_any_more() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    snapshot(&mut machine, &page).unwrap();
    machine.commit(&page, "UPDATE t SET v = randomblob(1000)").unwrap();
    let id = flip(&machine, 1, 7);
    let damaged = machine.contents().chunks[&id].clone();
    assert_eq!(verify(&mut machine, &page, "1"), ["Chunk 7 of snapshot 1 is damaged"]);
    assert!(machine.contents().chunks[&id] == damaged);
}

/// Flips a byte of the copy of the first chunk.
fn flip_copy(machine: &Machine, generation: u64) {
    machine.damage(|contents| {
        let id = stored::manifest(contents, generation).first_copy.expect("a copy").id;
        flip_chunk(contents, &id);
    });
}

/// A database of two snapshots with the same schema.
fn of_two_snapshots(machine: &mut Machine) -> Page {
    let page = with_table(machine);
    machine.commit(&page, ROWS).unwrap();
    for _ in 0..2 {
        machine.commit(&page, "UPDATE t SET v = randomblob(1000) WHERE id = 1000").unwrap();
        snapshot(machine, &page).unwrap();
    }
    page
}

#[test]
fn the_first_chunk_is_read_from_its_copy_and_both_are_repaired_at_once() {
    for lost in [false, true] {
        let mut machine = Machine::new();
        of_two_snapshots(&mut machine);
        machine.kill(Crash::Process);
        let before = machine.contents();
        let id = flip(&machine, 2, 0);
        if lost {
            machine.damage(|contents| contents.chunks.remove(&id));
        }
        let page = machine.open().unwrap();
        assert_eq!(page.number("SELECT count(*) FROM t"), 2000);
        assert_eq!(page.warnings.len(), 1);
        assert!(
            page.warnings[0].message.starts_with("the first chunk of snapshot 2 is damaged"),
            "{:?}",
            page.warnings
        );
        machine.sim.advance(10);
        machine.kill(Crash::Process);
        assert!(machine.contents().chunks[&id] == before.chunks[&id], "stored again");
        assert_eq!(machine.open().unwrap().warnings, []);
    }
}

#[test]
fn a_damaged_copy_of_the_first_chunk_is_repaired_when_its_snapshot_is_verified() {
    let mut machine = Machine::new();
    let page = of_two_snapshots(&mut machine);
    // The open database has another first chunk.
    machine.commit(&page, "CREATE TABLE other(a)").unwrap();
    let before = machine.contents();
    flip_copy(&machine, 2);
    assert_eq!(verify(&mut machine, &page, "2"), Vec::<String>::new());
    assert!(machine.contents().chunks == before.chunks);
    flip(&machine, 2, 0);
    assert_eq!(verify(&mut machine, &page, "2"), Vec::<String>::new());
    assert!(machine.contents().chunks == before.chunks);
    flip(&machine, 2, 0);
    flip_copy(&machine, 2);
    assert_eq!(verify(&mut machine, &page, "2"), ["Chunk 0 of snapshot 2 is damaged"]);
}

#[test]
fn what_an_opening_finds_damaged_is_repaired_at_once() {
    let mut machine = Machine::new();
    of_two_snapshots(&mut machine);
    machine.kill(Crash::Process);
    machine.damage_generation(2);
    let page = machine.open().unwrap();
    assert_eq!(page.warnings.len(), 1);
    machine.sim.advance(10);
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!(page.warnings, []);
    assert_eq!(page.snapshots.list().len(), 2);
}

#[test]
fn the_log_is_not_cut_at_a_snapshot_that_rotted_meanwhile() {
    for verify in [VerifyMode::Quick, VerifyMode::None] {
        let mut machine = Machine::new();
        let options = SnapshotOptions { keep: 1, log_max_bytes: Some(0), verify, ..by_call_only() };
        let (store, platform) = (machine.store(), machine.platform());
        let durability = tidelock::ports::Durability::Relaxed;
        let page =
            machine.sim.run(async move { Page::open_with(store, &platform, durability, options).await }).unwrap();
        machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
        let take = |machine: &mut Machine| {
            let snapshots = page.snapshots.clone();
            machine.sim.run(async move { snapshots.create(None, Reason::Manual).await }).unwrap();
        };
        insert(&mut machine, &page, 1);
        take(&mut machine);
        machine.damage_chunks();
        insert(&mut machine, &page, 2);
        take(&mut machine);
        // Only the log has the state of the first snapshot, and with it the second one could be replaced.
        assert_eq!(page.storage.truncated().lsn, 0);
        machine.kill(Crash::Process);
        machine.damage_generation(2);
        let page = machine.open().unwrap();
        assert_eq!(sum(&page), 3);
    }
}

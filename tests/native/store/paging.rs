//! Databases that are larger than their page cache: what is read when, what stays stored for that, and damage.

use tidelock::{
    Error, ErrorCode,
    engine::storage::flush::FlushPolicy,
    format::ChunkRef,
    ports::{Durability, Holder},
    snapshot::SnapshotOptions,
    sqlite::{Image, Pin},
    store::{Rekeyed, Storage, faulty::Crash},
};

use super::{
    bench::{Machine, key, snapshot, vault},
    page::{Page, by_call_only},
};

/// Opens with a cache of one chunk.
fn open(machine: &mut Machine) -> Result<Page, Error> {
    try_open(machine, 1)
}

fn open_with(machine: &mut Machine, cache_bytes: u64) -> Page {
    try_open(machine, cache_bytes).unwrap()
}

fn try_open(machine: &mut Machine, cache_bytes: u64) -> Result<Page, Error> {
    let (store, platform) = (machine.store(), machine.platform());
    let policy = FlushPolicy::Immediate(Durability::Relaxed);
    let options = SnapshotOptions { keep: 2, ..by_call_only() };
    machine.sim.run(async move { Page::open_paged(store, &platform, policy, options, Some(cache_bytes)).await })
}

fn commit(machine: &mut Machine, page: &Page, script: &str) {
    let (page, script) = (page.clone(), script.to_owned());
    machine.sim.run(async move { page.commit(&script).await }).expect("stored");
}

/// Makes a database of 2 MB with a snapshot.
fn large(machine: &mut Machine) -> Page {
    let page = open(machine).unwrap();
    let script = "CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER, b);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
        INSERT INTO t SELECT i, 1, randomblob(4000) FROM n";
    commit(machine, &page, script);
    snapshot(machine, &page).unwrap();
    page
}

#[test]
fn opening_reads_no_chunk_but_those_that_sqlite_needs() {
    let mut machine = Machine::new();
    large(&mut machine);
    machine.kill(Crash::Process);
    let page = open(&mut machine).unwrap();
    let usage = page.flusher.file().cache_usage().unwrap();
    assert!(usage.misses <= 3 && usage.bytes <= 65536, "{usage:?}");
    assert_eq!(page.number("SELECT v FROM t WHERE id = 300"), 1);
    assert!(page.flusher.file().cache_usage().unwrap().misses < 8);
    page.assert_whole();
    assert!(page.flusher.file().cache_usage().unwrap().misses > 30);
}

/// Begins to export a large database, then changes all of it four times, with a snapshot after each. Returns the page, what the
/// export reads, and the contents that it must have.
fn rewritten(machine: &mut Machine) -> (Page, Pin, Image) {
    let page = large(machine);
    let (export, before) = (page.flusher.file().pin(), page.flusher.file().image().unwrap());
    for round in 0..4 {
        commit(machine, &page, &format!("UPDATE t SET v = {round}, b = randomblob(4000)"));
        snapshot(machine, &page).unwrap();
    }
    (page, export, before)
}

fn assert_same(export: &Pin, expected: &Image) {
    for (index, expected) in expected.chunks.iter().enumerate() {
        assert!(export.chunk(index as u32).unwrap() == expected[..], "chunk {index}");
    }
}

#[test]
fn chunks_stay_stored_as_long_as_something_reads_from_them() {
    let mut machine = Machine::new();
    let (page, export, before) = rewritten(&mut machine);
    let storage = page.storage.clone();
    assert_eq!(machine.sim.run(async move { storage.sweep().await }), Ok(0));
    assert_same(&export, &before);
    drop(export);
    let storage = page.storage.clone();
    assert!(machine.sim.run(async move { storage.sweep().await }).unwrap() > 20);
    page.assert_whole();
    machine.kill(Crash::Process);
    assert_eq!(open(&mut machine).unwrap().number("SELECT sum(v) FROM t"), 1500);
}

#[test]
fn what_an_export_still_reads_gets_the_new_key() {
    let mut machine = Machine::new();
    let (page, export, before) = rewritten(&mut machine);
    let (storage, vault) = (page.storage.clone(), vault(&machine.platform(), key(1)));
    assert_eq!(machine.sim.run(async move { storage.rekey(Some(&vault)).await }), Rekeyed::Done);
    assert_same(&export, &before);
    page.assert_whole();
}

/// Takes a second snapshot after a change. Returns the chunks that the first one doesn't have.
fn with_own_chunks(machine: &mut Machine) -> (Page, Vec<ChunkRef>) {
    let page = large(machine);
    commit(machine, &page, "UPDATE t SET v = 2, b = randomblob(4000) WHERE id BETWEEN 300 AND 320");
    snapshot(machine, &page).unwrap();
    let newest = page.storage.manifests().pop().unwrap();
    let older = page.storage.manifests().remove(0);
    let is_own = |chunk: &&ChunkRef| !older.chunks.iter().any(|old| old.id == chunk.id);
    let own = newest.chunks.iter().filter(is_own).cloned().collect();
    (page, own)
}

#[test]
fn damage_fails_the_statement_that_reads_it_and_recover_goes_back() {
    let mut machine = Machine::new();
    let (_page, own) = with_own_chunks(&mut machine);
    let id = own.iter().find(|chunk| chunk.stored > 60_000).expect("a chunk of its own").id;
    machine.kill(Crash::Process);
    machine.damage(|contents| contents.chunks.get_mut(&id).unwrap()[30_000] ^= 1);

    let page = open(&mut machine).unwrap();
    let error = page.connection.value("SELECT sum(length(b)) FROM t", &[]).unwrap_err();
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{error}");
    assert!(
        error.message.contains("of snapshot 2 is damaged") && error.hint.as_deref().unwrap().contains("recover(name)")
    );
    assert_eq!(page.number("SELECT v FROM t WHERE id = 1"), 1, "the rest can be read");
    commit(&mut machine, &page, "UPDATE t SET v = 7 WHERE id = 1");
    machine.kill(Crash::Process);

    let (store, platform) = (machine.store(), machine.platform());
    let report = machine.sim.run(async move { Storage::recover(store, &platform, Holder::default(), None).await });
    let report = report.unwrap();
    assert!(report.changed && report.problems[0].contains("snapshot 2 is damaged"), "{report:?}");
    let page = open(&mut machine).unwrap();
    page.assert_whole();
    // The log since the older snapshot has everything.
    assert_eq!(page.number("SELECT sum(v) FROM t"), 500 + 21 + 6);
}

#[test]
fn a_chunk_that_is_missing_when_it_is_opened_makes_the_older_snapshot_count_or_its_copy() {
    for (is_first, warning) in [(false, "the data was read from the previous one"), (true, "its copy was read")] {
        let mut machine = Machine::new();
        let (page, own) = with_own_chunks(&mut machine);
        let first = &page.storage.manifests().pop().unwrap().chunks[0].id;
        let id = if is_first { first } else { &own.last().unwrap().id };
        machine.kill(Crash::Process);
        machine.damage(|contents| drop(contents.chunks.remove(id)));
        let page = open(&mut machine).unwrap();
        assert!(page.warnings.len() == 1 && page.warnings[0].message.contains(warning), "{:?}", page.warnings);
        assert_eq!(page.number("SELECT sum(v) FROM t"), 521);
        page.assert_whole();
    }
}

#[test]
fn a_checkpoint_is_taken_when_changes_fill_the_memory() {
    let mut machine = Machine::new();
    let page = large(&mut machine);
    let checkpoints = |page: &Page| page.storage.manifests().len();
    let before = checkpoints(&page);
    for round in 0..4 {
        commit(&mut machine, &page, &format!("UPDATE t SET v = {round}, b = randomblob(4000)"));
    }
    machine.sim.advance(1000);
    assert!(checkpoints(&page) > before);
    assert!(page.flusher.file().changed_bytes().unwrap() < 5 << 20, "{:?}", page.flusher.file().changed_bytes());
}

/// Makes a database of 12 MB with a snapshot, whose log then isn't long before 6 MB.
fn larger(machine: &mut Machine) -> Page {
    let page = open_with(machine, 64 << 20);
    let script = "CREATE TABLE t(id INTEGER PRIMARY KEY, v INTEGER, b);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
        INSERT INTO t SELECT i, 1, randomblob(4000) FROM n";
    commit(machine, &page, script);
    snapshot(machine, &page).unwrap();
    page
}

/// Closes a database; returns how many checkpoints that took.
fn close(machine: &mut Machine, page: &Page) -> u64 {
    let newest = || page.storage.manifests().last().map_or(0, |manifest| manifest.generation);
    let before = newest();
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move {
        snapshots.take_last_checkpoint().await;
        snapshots.stop().await;
    });
    newest() - before
}

#[test]
fn closing_takes_a_checkpoint_of_a_long_log_so_that_the_next_opening_has_nothing_to_keep_in_memory() {
    let mut machine = Machine::new();
    let page = larger(&mut machine);
    let script = "WITH RECURSIVE n(i) AS (SELECT 3001 UNION ALL SELECT i + 1 FROM n WHERE i < 4200)
        INSERT INTO t SELECT i, 1, randomblob(4000) FROM n";
    commit(&mut machine, &page, script);
    assert_eq!(close(&mut machine, &page), 1);
    machine.kill(Crash::Process);
    let page = open_with(&mut machine, 1 << 20);
    assert_eq!(page.flusher.file().changed_bytes(), Some(0));
    assert_eq!(page.number("SELECT sum(v) FROM t"), 4200);
    assert_eq!(close(&mut machine, &page), 0, "nothing has changed");
}

#[test]
fn closing_takes_no_checkpoint_that_writes_much_more_than_the_log_has() {
    let mut machine = Machine::new();
    let page = larger(&mut machine);
    commit(&mut machine, &page, "UPDATE t SET v = 2 WHERE id < 500");
    assert_eq!(close(&mut machine, &page), 0, "a short log");
    machine.kill(Crash::Process);
    let page = open_with(&mut machine, 64 << 20);
    // One page of each chunk, several times.
    for round in 0..5 {
        commit(&mut machine, &page, &format!("UPDATE t SET v = {round} WHERE id % 16 = 0"));
    }
    assert_eq!(close(&mut machine, &page), 0, "scattered changes");
}

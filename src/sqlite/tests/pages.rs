//! The guarantees for the store: whole commits, touched chunks, frozen views.

use proptest::prelude::*;

use std::{cell::Cell, rc::Rc};

use super::fresh;
use crate::{
    Result, Value,
    error::ErrorCode,
    sqlite::{Batch, CHUNK_SIZE, Connection, FileContents, Image, PageFile, Pin, StoredPages, paged},
};

/// Stored pages that are in memory.
struct Stored(Vec<Vec<u8>>);

impl Stored {
    fn of(pin: &Pin) -> Rc<Self> {
        Rc::new(Self((0..pin.chunk_count()).map(|index| pin.chunk(index).unwrap()).collect()))
    }
}

impl StoredPages for Stored {
    fn chunk_count(&self) -> u32 {
        self.0.len() as u32
    }

    fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        Ok(self.0[index as usize].clone())
    }
}

/// A stored state of which only the first chunk can be read while `0` is set.
pub(super) struct Broken(pub(super) Cell<bool>, Vec<Vec<u8>>);

impl Broken {
    pub(super) fn of(pin: &Pin) -> Rc<Self> {
        Rc::new(Self(Cell::new(false), Stored::of(pin).0.clone()))
    }
}

impl StoredPages for Broken {
    fn chunk_count(&self) -> u32 {
        self.1.len() as u32
    }

    fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        if self.0.get() && index > 0 {
            return Err(crate::Error::new(ErrorCode::DatabaseCorrupt, "Chunk 3 is damaged"));
        }
        Ok(self.1[index as usize].clone())
    }
}

#[test]
fn a_scan_takes_an_eighth_of_the_cache_and_evicts_nothing_that_is_used_again() {
    const CHUNK: u64 = CHUNK_SIZE as u64;
    let mut file = paged(Rc::new(Stored(vec![vec![7; CHUNK_SIZE]; 64])), 64 * CHUNK, 4096, 16 * CHUNK);
    let mut read = |chunks: std::ops::Range<u64>| {
        for offset in (chunks.start * CHUNK..chunks.end * CHUNK).step_by(4096) {
            file.read(&mut [0; 4096], offset).unwrap();
        }
        let usage = file.usage();
        (usage.bytes / CHUNK, usage.misses)
    };
    // Two at a time pass; these two are used again.
    read(0..2);
    assert_eq!(read(0..2), (2, 2));
    assert_eq!(read(2..64), (4, 64));
    assert_eq!(read(0..2), (4, 64));
    // What comes again has all of the cache.
    assert_eq!(read(2..16).0, 16);
    assert_eq!(read(2..64).0, 16);
}

/// Returns an empty file with a cache of two chunks.
pub(super) fn fresh_paged() -> (PageFile, Connection) {
    let paged = paged(Rc::new(Stored(Vec::new())), 0, 0, 2 * CHUNK_SIZE as u64);
    let file = PageFile::new(FileContents::Paged(paged));
    let connection = Connection::open(&file).unwrap();
    (file, connection)
}

/// The state that the log would give back: batches applied to a plain file, and chunks copied as a snapshot copies them.
#[derive(Default)]
pub(super) struct Shadow {
    log: Vec<u8>,
    chunks: Vec<Vec<u8>>,
}

impl Shadow {
    fn apply(&mut self, batch: &Batch) {
        let pages = &batch.pages;
        let size = pages.page_size as usize;
        self.log.resize(pages.db_pages as usize * size, 0);
        let bytes = batch.parts.concat();
        assert!(pages.numbers.is_sorted() && bytes.len() == pages.numbers.len() * size);
        for (page, bytes) in pages.numbers.iter().zip(bytes.chunks(size)) {
            self.log[*page as usize * size..][..size].copy_from_slice(bytes);
        }
    }

    pub(super) fn follow(&mut self, file: &PageFile) {
        if let Some(batch) = file.take_ready(usize::MAX).unwrap() {
            self.apply(&batch);
        }
        let (pin, touched) = (file.pin(), file.take_touched());
        self.chunks.resize(pin.chunk_count() as usize, Vec::new());
        for index in touched.to_vec() {
            self.chunks[index as usize] = pin.chunk(index).unwrap();
        }
    }

    pub(super) fn check(&self, file: &PageFile) {
        let bytes = file.image().unwrap().to_bytes();
        assert!(self.log == bytes, "the log restores another file");
        assert!(self.chunks.concat() == bytes, "the snapshot restores another file");
        if !bytes.is_empty() {
            let copy = PageFile::new(Image::from_bytes(&bytes));
            let db = Connection::open(&copy).unwrap();
            assert_eq!(db.value("PRAGMA integrity_check", &[]).unwrap(), Some("ok".into()));
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Insert { rows: u8, bytes: u16 },
    Update { from: u8, bytes: u16 },
    Delete { from: u8, rows: u8 },
    Index(bool),
    Table(bool),
    IncrementalVacuum,
}

#[derive(Clone, Debug)]
enum Action {
    /// Its steps, some of them in a savepoint that is rolled back, then whether it is committed.
    Transaction {
        steps: Vec<(Step, bool)>,
        commit: bool,
    },
    Vacuum,
    PageSize(u32),
    /// Replaces the content with another one.
    Restore,
    /// Replaces it with the one that was pinned last.
    Return,
    /// Takes a batch that can't be stored, and continues.
    FailToStore,
    Pin,
    /// Stores the content, if none is being stored.
    Store,
    /// Finishes the storing: a file that is paged reads from there from now on.
    Stored,
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u8..20, 0u16..9000).prop_map(|(rows, bytes)| Step::Insert { rows, bytes }),
        2 => (any::<u8>(), 0u16..9000).prop_map(|(from, bytes)| Step::Update { from, bytes }),
        3 => (any::<u8>(), 1u8..60).prop_map(|(from, rows)| Step::Delete { from, rows }),
        1 => any::<bool>().prop_map(Step::Index),
        1 => any::<bool>().prop_map(Step::Table),
        1 => Just(Step::IncrementalVacuum),
    ]
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        10 => (prop::collection::vec((any_step(), prop::bool::weighted(0.2)), 1..6), prop::bool::weighted(0.8))
            .prop_map(|(steps, commit)| Action::Transaction { steps, commit }),
        1 => Just(Action::Vacuum),
        1 => prop::sample::select(vec![512u32, 1024, 4096, 65536]).prop_map(Action::PageSize),
        1 => Just(Action::Restore),
        2 => Just(Action::Return),
        2 => Just(Action::FailToStore),
        2 => Just(Action::Pin),
        2 => Just(Action::Store),
        2 => Just(Action::Stored),
    ]
}

fn perform(db: &Connection, step: &Step) -> Result<()> {
    let number = |value: &u8| Value::Integer(i64::from(*value));
    match step {
        Step::Insert { rows, bytes } => db.run(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) INSERT INTO t(b) SELECT randomblob(?2) FROM n",
            &[number(rows), i64::from(*bytes).into()],
        )?,
        Step::Update { from, bytes } => {
            db.run("UPDATE t SET b = randomblob(?2) WHERE id % 7 = ?1 % 7", &[number(from), i64::from(*bytes).into()])?
        }
        Step::Delete { from, rows } => db.run(
            "DELETE FROM t WHERE id IN (SELECT id FROM t WHERE id > ?1 ORDER BY id LIMIT ?2)",
            &[number(from), number(rows)],
        )?,
        Step::Index(true) => db.run("CREATE INDEX IF NOT EXISTS i ON t(b)", &[])?,
        Step::Index(false) => db.run("DROP INDEX IF EXISTS i", &[])?,
        Step::Table(true) => db.run("CREATE TABLE IF NOT EXISTS u AS SELECT * FROM t", &[])?,
        Step::Table(false) => db.run("DROP TABLE IF EXISTS u", &[])?,
        Step::IncrementalVacuum => db.run("PRAGMA incremental_vacuum(3)", &[])?,
    };
    Ok(())
}

/// Returns what a connection sees of its database.
fn seen(db: &Connection) -> Vec<Vec<Value>> {
    let mut seen = db.rows("SELECT group_concat(sql) FROM sqlite_schema", &[]).unwrap();
    seen.extend(db.rows("SELECT id, b FROM t", &[]).unwrap_or_default());
    seen.extend(db.quick_check().unwrap().into_iter().map(|finding| vec![Value::Text(finding)]));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn batches_are_whole_commits_only(actions in prop::collection::vec(any_action(), 1..14), paged in any::<bool>()) {
        let (file, db) = if paged { fresh_paged() } else { fresh() };
        let mut storing: Option<Pin> = None;
        let (_other_file, other) = fresh();
        other.exec("PRAGMA page_size = 8192; VACUUM; CREATE TABLE t(id INTEGER PRIMARY KEY, b); INSERT INTO t(b) VALUES (randomblob(70000))").unwrap();
        db.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, b)").unwrap();
        let mut shadow = Shadow::default();
        shadow.follow(&file);
        shadow.check(&file);
        let mut pins = vec![];
        for action in &actions {
            match action {
                Action::Transaction { steps, commit } => {
                    let before = file.image().unwrap();
                    db.exec("BEGIN").unwrap();
                    for (step, undone) in steps {
                        if *undone {
                            db.exec("SAVEPOINT s").unwrap();
                        }
                        perform(&db, step).unwrap();
                        if *undone {
                            db.exec("ROLLBACK TO s; RELEASE s").unwrap();
                        }
                        // Nothing of an open transaction is visible.
                        prop_assert!(!file.has_ready() && file.image().unwrap() == before);
                    }
                    db.exec(if *commit { "COMMIT" } else { "ROLLBACK" }).unwrap();
                    prop_assert!(*commit || file.image().unwrap() == before);
                }
                Action::Vacuum => db.exec("VACUUM").unwrap(),
                Action::PageSize(bytes) => db.exec(&format!("PRAGMA page_size = {bytes}; VACUUM")).unwrap(),
                Action::Restore => db.replace_with(&other.pin()).unwrap(),
                Action::Return => if let Some((pin, _)) = pins.last() {
                    db.replace_with(pin).unwrap();
                },
                Action::FailToStore => {
                    perform(&db, &Step::Insert { rows: 3, bytes: 5000 }).unwrap();
                    let (batch, touched) = (file.take_ready(usize::MAX).unwrap().unwrap(), file.take_touched());
                    perform(&db, &Step::Delete { from: 0, rows: 50 }).unwrap();
                    db.exec("VACUUM").unwrap();
                    file.give_back(&batch.pages);
                    file.touch(&touched);
                }
                Action::Pin => pins.push((file.pin(), file.image().unwrap())),
                Action::Store => storing = storing.or_else(|| Some(file.pin())),
                Action::Stored => if let Some(pin) = storing.take() {
                    file.rebase(&pin, || Stored::of(&pin));
                    prop_assert_eq!(file.changed_bytes().is_some(), paged);
                },
            }
            shadow.follow(&file);
            shadow.check(&file);
            // What the connection remembers is what the file has.
            let again = Connection::open(&PageFile::new(file.image().unwrap())).unwrap();
            prop_assert_eq!(seen(&db), seen(&again));
        }
        for (pin, image) in pins {
            let chunks: Vec<_> = (0..pin.chunk_count()).map(|index| pin.chunk(index).unwrap().into_boxed_slice()).collect();
            prop_assert!(chunks == image.chunks);
            prop_assert_eq!((pin.bytes(), pin.page_size()), (image.len(), image.page_size));
        }
    }
}

#[test]
fn what_is_stored_leaves_the_memory() {
    let (file, db) = fresh_paged();
    db.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, b); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO t SELECT i, randomblob(1000) FROM n")
        .unwrap();
    assert_eq!(file.changed_bytes(), Some(file.bytes()));
    let sum = |db: &Connection| db.value("SELECT sum(length(b)) FROM t", &[]).unwrap();
    let (pin, before) = (file.pin(), sum(&db));
    db.exec("UPDATE t SET b = randomblob(1000) WHERE id = 250").unwrap();
    file.rebase(&pin, || Stored::of(&pin));
    let changed = file.changed_bytes().unwrap();
    assert!((4096..=3 * 4096).contains(&changed), "only what the update wrote: {changed}");
    // SQLite's own cache would hide the file's.
    db.exec("PRAGMA shrink_memory").unwrap();
    assert_eq!(sum(&db), before);
    let usage = file.cache_usage().unwrap();
    assert!(usage.bytes <= 2 * CHUNK_SIZE as u64 + changed && usage.limit == 2 * CHUNK_SIZE as u64, "{usage:?}");
    assert!(usage.misses > 2 && usage.evictions >= usage.misses - 2, "{usage:?}");
}

#[test]
fn a_page_that_cannot_be_read_fails_the_statement_only() {
    let (source, db) = fresh();
    db.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, b); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO t SELECT i, randomblob(1000) FROM n")
        .unwrap();
    let stored = Broken::of(&source.pin());
    let file = PageFile::new(FileContents::Paged(paged(stored.clone(), source.bytes(), 4096, 0)));
    let db = Connection::open(&file).unwrap();
    stored.0.set(true);
    db.exec("BEGIN; UPDATE t SET b = 'kept' WHERE id = 1").unwrap();
    for sql in ["SELECT sum(length(b)) FROM t", "UPDATE t SET b = NULL WHERE id = 400", "DELETE FROM t"] {
        let error = db.run(sql, &[]).unwrap_err();
        assert_eq!((error.code, &*error.message), (ErrorCode::DatabaseCorrupt, "Chunk 3 is damaged"), "{sql}");
    }
    stored.0.set(false);
    if db.in_transaction() {
        db.exec("ROLLBACK").unwrap();
    }
    assert_eq!(db.value("SELECT count(*) FROM t WHERE length(b) = 1000", &[]).unwrap(), Some(500.into()));
    assert!(db.quick_check().unwrap().is_empty());
}

#[test]
fn batches_hold_only_what_changed() {
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(id INTEGER PRIMARY KEY, b); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500) INSERT INTO t SELECT i, randomblob(1000) FROM n")
        .unwrap();
    let commits = file.commits();
    file.take_ready(usize::MAX).unwrap();
    file.take_touched();
    assert!(file.take_ready(usize::MAX).unwrap().is_none());
    db.exec("SELECT count(*) FROM t; BEGIN; COMMIT; BEGIN; DELETE FROM t; ROLLBACK").unwrap();
    assert_eq!((file.commits(), file.take_ready(usize::MAX).unwrap()), (commits, None));
    db.exec("UPDATE t SET b = randomblob(1000) WHERE id = 400").unwrap();
    assert_eq!((file.commits(), file.take_ready(usize::MAX).unwrap().unwrap().pages.numbers.len()), (commits + 1, 2));
    let touched = file.take_touched();
    assert!(touched.len() == 2 && touched.contains(0), "{touched:?}");
}

#[test]
fn a_transaction_larger_than_the_cache_stays_out_of_the_file() {
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(b)").unwrap();
    let before = file.image().unwrap();
    file.take_ready(usize::MAX).unwrap();
    db.exec("BEGIN; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 400) INSERT INTO t SELECT zeroblob(100000) FROM n")
        .unwrap();
    assert!(file.image().unwrap() == before && !file.has_ready());
    db.exec("ROLLBACK").unwrap();
    assert!(file.image().unwrap() == before && !file.has_ready());
}

#[test]
fn several_pins_live_at_once() {
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(a); INSERT INTO t VALUES (1)").unwrap();
    let first = file.pin();
    db.exec("UPDATE t SET a = 2").unwrap();
    let second = file.pin();
    db.exec("DROP TABLE t; VACUUM").unwrap();
    let value = |pin: &crate::sqlite::Pin| {
        let bytes: Vec<u8> = (0..pin.chunk_count()).flat_map(|index| pin.chunk(index).unwrap()).collect();
        let copy = PageFile::new(Image::from_bytes(&bytes));
        Connection::open(&copy).unwrap().value("SELECT a FROM t", &[]).unwrap()
    };
    assert_eq!([value(&first), value(&second)], [Some(Value::Integer(1)), Some(Value::Integer(2))]);
    assert_eq!(db.value("SELECT count(*) FROM sqlite_schema", &[]).unwrap(), Some(Value::Integer(0)));
}

#[test]
fn a_commit_that_the_file_refuses_is_undone() {
    // The limit shrinks without SQLite knowing: only the file refuses, when the commit writes to it.
    let (file, db) = fresh();
    db.exec("CREATE TABLE t(b); INSERT INTO t VALUES (zeroblob(300000))").unwrap();
    let mut shadow = Shadow::default();
    shadow.follow(&file);
    let before = file.image().unwrap();
    file.set_max_bytes(file.bytes() + 100_000);
    let failed: Result<()> = db.atomically(|db| {
        db.run("UPDATE t SET b = randomblob(300000)", &[])?;
        db.run("INSERT INTO t VALUES (zeroblob(300000))", &[])?;
        Ok(())
    });
    assert_eq!(failed.unwrap_err().code, ErrorCode::DatabaseTooLarge);
    assert!(!db.in_transaction() && file.image().unwrap() == before);
    shadow.follow(&file);
    shadow.check(&file);
    db.exec("INSERT INTO t VALUES (zeroblob(50000))").unwrap();
    shadow.follow(&file);
    shadow.check(&file);
    // A file beyond the limit may still be changed.
    file.set_max_bytes(1000);
    db.exec("DELETE FROM t; INSERT INTO t VALUES (zeroblob(100000))").unwrap();
    assert!(db.run("INSERT INTO t VALUES (zeroblob(1000000))", &[]).is_err());
    assert!(db.quick_check().unwrap().is_empty());
}

//! Hostile contents in what a recovery copies: they take no more than the time limit, and cost no other table.

use std::{
    cell::Cell,
    rc::Rc,
    time::{Duration, Instant},
};

use tidelock::{
    ErrorCode,
    error::{Error, Result},
    ports::{Clock, Holder, LocalFuture, Platform},
    sqlite::{CHUNK_SIZE, Connection, Image, PageFile, Salvaged, StoredPages, TimeLeft, paged, salvage},
    store::Storage,
    time::Timestamp,
};

use super::remains::{cold, flip};
use crate::files::{image, made_by};

const PAGE: usize = 4096;
/// The time limit.
const LIMIT_MS: f64 = 5_000.0;
/// The real time that a test may take, on a busy machine.
const LONGEST: Duration = Duration::from_secs(30);

/// The time by a clock on which each look takes 1 ms, so that a limit doesn't depend on the machine.
fn time_left(ms: f64) -> TimeLeft {
    let left = Cell::new(ms);
    Rc::new(move || {
        left.set(left.get() - 1.0);
        left.get()
    })
}

/// Salvages a file in the time limit.
fn in_time(file: &PageFile) -> (Salvaged, Connection) {
    within(file, LIMIT_MS)
}

fn within(file: &PageFile, limit_ms: f64) -> (Salvaged, Connection) {
    let began = Instant::now();
    let salvaged = salvage(file, &time_left(limit_ms)).expect("salvages");
    assert!(began.elapsed() < LONGEST, "{:?}", began.elapsed());
    let scratch = Connection::open(&salvaged.file).unwrap();
    assert_eq!(scratch.quick_check().unwrap(), Vec::<String>::new());
    (salvaged, scratch)
}

fn number(connection: &Connection, sql: &str) -> i64 {
    connection.value(sql, &[]).unwrap().unwrap().as_integer().unwrap()
}

/// A file with a table in some hundred pages, between two others.
fn file() -> (PageFile, Connection) {
    let file = PageFile::default();
    let connection = Connection::open(&file).unwrap();
    connection
        .exec(
            "CREATE TABLE before(x); INSERT INTO before VALUES (1);
             CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE after(x); INSERT INTO after VALUES (2), (3);
             WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 600)
             INSERT INTO t SELECT i - 600, randomblob(1500) FROM n;",
        )
        .unwrap();
    (file, connection)
}

/// Changes the pages of a file.
struct Pages(Vec<u8>);

impl Pages {
    fn of(file: &PageFile) -> Self {
        Self(file.image().unwrap().chunks.concat())
    }

    fn page(&mut self, page: u32) -> &mut [u8] {
        &mut self.0[(page as usize - 1) * PAGE..][..PAGE]
    }

    fn is_leaf(&mut self, page: u32) -> bool {
        self.page(page)[0] == 13
    }

    /// Makes a page refer 300 times to another one.
    fn refer(&mut self, page: u32, child: u32) {
        let bytes = self.page(page);
        bytes.fill(0);
        bytes[0] = 5;
        bytes[3..5].copy_from_slice(&300_u16.to_be_bytes());
        bytes[8..12].copy_from_slice(&child.to_be_bytes());
        for index in 0..300_usize {
            let at = PAGE - 6 * (index + 1);
            bytes[12 + 2 * index..][..2].copy_from_slice(&(at as u16).to_be_bytes());
            bytes[at..][..4].copy_from_slice(&child.to_be_bytes());
            bytes[at + 4..][..2].copy_from_slice(&[0x80 | (index >> 7) as u8, (index & 0x7f) as u8]);
        }
        bytes[5..7].copy_from_slice(&((PAGE - 1800) as u16).to_be_bytes());
    }

    /// Makes 17 leaves refer to each other, each 300 times to the next one: a walk over them ends after 300 to the power of 17 steps.
    /// Returns the first.
    fn layers(&mut self) -> u32 {
        let count = (self.0.len() / PAGE) as u32;
        let leaves: Vec<u32> = (40..count).filter(|page| self.is_leaf(*page)).take(18).collect();
        leaves.windows(2).for_each(|pair| self.refer(pair[0], pair[1]));
        leaves[0]
    }

    fn image(self) -> Image {
        Image { page_size: PAGE as u32, chunks: self.0.chunks(CHUNK_SIZE).map(Into::into).collect() }
    }
}

fn root(connection: &Connection) -> u32 {
    number(connection, "SELECT rootpage FROM sqlite_schema WHERE name = 't'") as u32
}

#[test]
fn a_tree_that_leads_to_the_same_page_again_and_again_is_left_in_time() {
    let (file, connection) = file();
    let root = root(&connection);
    drop(connection);
    let mut pages = Pages::of(&file);
    let first = pages.layers();
    pages.refer(root, first);
    let (salvaged, scratch) = in_time(&PageFile::new(pages.image()));
    let missing = salvaged.missing.join("\n");
    assert!(missing.contains("on: they took too long"), "{missing}");
    assert_eq!(number(&scratch, "SELECT sum(x) FROM (SELECT x FROM before UNION ALL SELECT x FROM after)"), 6);
}

/// Stored chunks of which one can't be read.
struct Holed {
    image: Image,
    hole: usize,
}

impl StoredPages for Holed {
    fn chunk_count(&self) -> u32 {
        self.image.chunks.len() as u32
    }

    fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        if index as usize == self.hole {
            return Err(Error::new(ErrorCode::DatabaseCorrupt, "a hole"));
        }
        Ok(self.image.chunks[index as usize].to_vec())
    }
}

#[test]
fn an_unreadable_page_above_such_a_tree_is_written_again_in_time() {
    let (file, connection) = file();
    let root = root(&connection);
    drop(connection);
    let mut pages = Pages::of(&file);
    let first = pages.layers();
    // The root refers to a page in a chunk that can't be read; the pointer map says that this is the parent of the first layer.
    let unreadable = 17 + 3;
    pages.refer(root, unreadable);
    let entry = 5 * (first as usize - 3);
    pages.page(2)[entry] = 5;
    pages.page(2)[entry + 1..][..4].copy_from_slice(&unreadable.to_be_bytes());
    let bytes = pages.0.len() as u64;
    let stored = Rc::new(Holed { image: pages.image(), hole: 1 });
    let (salvaged, scratch) =
        in_time(&PageFile::new(tidelock::sqlite::FileContents::Paged(paged(stored, bytes, PAGE as u32, 1024 * 1024))));
    assert!(salvaged.missing.iter().any(|missing| missing.starts_with("Table t lacks its rows")));
    assert_eq!(number(&scratch, "SELECT sum(x) FROM (SELECT x FROM before UNION ALL SELECT x FROM after)"), 6);
}

#[test]
fn small_tables_in_small_pages_are_copied() {
    let file = PageFile::default();
    let connection = Connection::open(&file).unwrap();
    let table = |n: u32| format!("CREATE TABLE t{n}(x); INSERT INTO t{n} VALUES ({n});");
    let tables: String = (0..40).map(table).collect();
    connection.exec(&format!("PRAGMA page_size = 512; VACUUM; {tables}")).unwrap();
    drop(connection);
    let (salvaged, scratch) = in_time(&file);
    assert_eq!(salvaged.missing, Vec::<String>::new());
    assert_eq!(number(&scratch, "SELECT x FROM t39"), 39);
    assert_eq!(number(&scratch, "PRAGMA page_size"), 512);
}

#[test]
fn views_without_an_end_are_copied_and_not_run() {
    let (file, connection) = file();
    let endless = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    connection
        .exec(&format!(
            "CREATE VIEW endless AS {endless};
             CREATE TRIGGER endlessly AFTER INSERT ON after BEGIN INSERT INTO before {endless}; END;"
        ))
        .unwrap();
    drop(connection);
    let (salvaged, scratch) = in_time(&file);
    assert_eq!(salvaged.missing, Vec::<String>::new());
    assert_eq!(number(&scratch, "SELECT count(*) FROM t"), 600);
    assert_eq!(number(&scratch, "SELECT count(*) FROM sqlite_schema WHERE type IN ('view', 'trigger')"), 2);
}

#[test]
fn a_virtual_table_that_its_module_refuses_is_left_out() {
    let bytes = made_by(
        "CREATE TABLE t(x); INSERT INTO t VALUES (1), (2); CREATE VIRTUAL TABLE found USING fts5(x);
         INSERT INTO found VALUES ('a'), ('b'); UPDATE found_config SET v = 99 WHERE k = 'version'",
    );
    let file = PageFile::new(image(&bytes));
    let (salvaged, scratch) = in_time(&file);
    let missing = salvaged.missing.join("\n");
    assert!(missing.starts_with("Table found is left out; what is left of its rows is in the tables"), "{missing}");
    assert_eq!(number(&scratch, "SELECT count(*) FROM found_content"), 2);
    assert_eq!(number(&scratch, "SELECT count(*) FROM t"), 2);
}

#[test]
fn of_three_thousand_tables_that_lack_their_rows_some_are_listed() {
    let bytes = made_by(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 'a'), (2, 'b'); PRAGMA writable_schema = ON;
         WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 3000)
         INSERT INTO sqlite_schema(type, name, tbl_name, rootpage, sql)
         SELECT 'table', 'c' || i, 'c' || i, 2, 'CREATE TABLE c' || i || '(x, y)' FROM n;",
    );
    let file = PageFile::new(image(&bytes));
    let (salvaged, scratch) = within(&file, 1_000_000.0);
    let missing = salvaged.missing.join("\n");
    assert!(missing.contains("more lines about tables are left out"), "{missing}");
    assert!(salvaged.missing.len() <= 60, "{} lines", salvaged.missing.len());
    assert_eq!(number(&scratch, "SELECT count(*) FROM t"), 2);
}

/// A clock on which each look takes 20 ms.
struct Slow {
    clock: Rc<dyn Clock>,
    slept_ms: Cell<f64>,
}

impl Clock for Slow {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic_ms(&self) -> f64 {
        self.slept_ms.set(self.slept_ms.get() + 20.0);
        self.clock.monotonic_ms() + self.slept_ms.get()
    }

    fn sleep(&self, ms: u64) -> LocalFuture<'static, ()> {
        self.clock.sleep(ms)
    }
}

#[test]
fn a_recovery_says_what_it_had_no_time_for() {
    let (mut machine, _) = cold();
    flip(&machine, 12);
    let (store, platform) = (machine.store(), machine.platform());
    let clock = Rc::new(Slow { clock: platform.clock.clone(), slept_ms: Cell::default() });
    let platform = Platform { clock, ..platform };
    let recovered = machine.sim.run(async move { Storage::recover(store, &platform, Holder::default(), None).await });
    let problems = recovered.expect("recovers").problems.join("\n");
    assert!(problems.contains("took too long"), "{problems}");
}

//! A disk that is too small for all of a database's history: unneeded history goes, and nothing is stuck.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    engine::storage::flush::FlushPolicy,
    ports::{Durability, Platform, Store, sim::Sim},
    snapshot::Reason,
    store::folder::FolderStore,
};

use super::{
    folder::{Chance, SimDisk},
    page::{Page, by_call_only},
};
use crate::sample::usual_or_all;

/// How many configurations the usual and the long run draw, and the seed of the first one, unless `TIDELOCK_DRAWS` and `TIDELOCK_FIRST` say
/// others. With seed 5 only a checkpoint makes room.
const DRAWS: (u64, u64) = (1, 3);
const FIRST: (u64, u64) = (5, 3);
/// How many commits there are on the full disk.
const COMMITS: u64 = 600;
/// What a database needs beside five times its own size: log up to the next checkpoint, and segments that are not full.
const FLOOR: u64 = 18 << 20;

/// A database and its disk.
#[derive(Clone, Copy, Debug)]
struct Drawn {
    seed: u64,
    rows: u64,
    row_bytes: u64,
    /// How many rows a commit changes, before and after the disk is full.
    changed: [u64; 2],
    /// How many commits there are before.
    full_after: u64,
    snapshot_each: u64,
    cache_bytes: Option<u64>,
}

impl Drawn {
    fn new(seed: u64) -> Self {
        let mut chance = Chance(seed);
        let mut between = |least: u64, most: u64| least + chance.below(most - least + 1);
        let (rows, row_bytes) = (between(200, 1000), between(1000, 6000));
        let (changed, full_after) = ([between(20, 50), between(1, 30)], between(50, 400));
        let snapshot_each = if between(0, 3) == 0 { u64::MAX } else { between(5, 150) };
        let cache_bytes = (between(0, 1) == 0).then_some(1 << 20);
        Self { seed, rows, row_bytes, changed, full_after, snapshot_each, cache_bytes }
    }

    /// Returns a statement that gives `count` rows the number of the commit and other bytes.
    fn change(&self, number: u64, count: u64) -> String {
        let first = Chance(self.seed ^ number << 32).below(self.rows);
        let (last, rows, row_bytes) = (first + count - 1, self.rows, self.row_bytes);
        format!(
            "WITH n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last})
             INSERT OR REPLACE INTO t SELECT i % {rows}, {number}, randomblob({row_bytes}) FROM n"
        )
    }

    /// Fills the disk to some bytes with commits and snapshots, and goes on: nothing is refused, and deleting and opening work.
    fn run(self) {
        let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
        let (on, platform) = (disk.clone(), sim.platform());
        let connect = move || Rc::new(FolderStore::new(Rc::new(on.clone()))) as Rc<dyn Store>;
        sim.run(async move {
            let policy = FlushPolicy::Immediate(Durability::Relaxed);
            let open = async || Page::open_paged(connect(), &platform, policy, by_call_only(), self.cache_bytes).await;
            let mut page = open().await.unwrap();
            page.commit("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, b BLOB)").await.unwrap();
            page.commit(&self.change(0, self.rows)).await.unwrap();
            for number in 1..=self.full_after + COMMITS {
                let is_full = number > self.full_after;
                if number == self.full_after {
                    // From here on, nothing but what goes makes room.
                    let least = FLOOR + 5 * self.rows * self.row_bytes;
                    disk.set_capacity(least.max(disk.used() as u64) + Chance(self.seed).below(4000));
                }
                if number % self.snapshot_each == 0 {
                    // It may not fit, which costs nothing else.
                    let _ = page.snapshots.create(None, Reason::Manual).await;
                }
                let change = self.change(number, self.changed[usize::from(is_full)]);
                page.commit(&change).await.unwrap_or_else(|error| panic!("{self:?}: commit {number}: {error}"));
                if number == self.full_after + COMMITS / 2 {
                    page.storage.close().await.unwrap();
                    page = open().await.unwrap();
                }
            }
            for snapshot in page.snapshots.list() {
                // A checkpoint may have deleted it meanwhile.
                let deleted = page.snapshots.delete(&snapshot.id).await;
                let expected = deleted.as_ref().map_or_else(|error| error.is(ErrorCode::SnapshotNotFound), |()| true);
                assert!(expected, "{self:?}: {deleted:?}");
            }
            page.flusher.flush().await.unwrap();
            page.storage.close().await.unwrap();
            let again = open().await.unwrap();
            assert_eq!(again.number("SELECT max(n) FROM t"), (self.full_after + COMMITS) as i64);
            assert!(again.warnings.is_empty(), "{self:?}: {:?}", again.warnings);
            again.assert_whole();
        });
    }
}

#[test]
fn history_goes_before_a_commit_is_refused() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let draws = number("TIDELOCK_DRAWS").unwrap_or(usual_or_all(DRAWS.0, DRAWS.1));
    let first = number("TIDELOCK_FIRST").unwrap_or(usual_or_all(FIRST.0, FIRST.1));
    (first..first + draws).for_each(|seed| Drawn::new(seed).run());
}

#[test]
fn on_a_disk_that_others_fill_it_opens_and_deletes() {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (on, platform) = (disk.clone(), sim.platform());
    sim.run(async move {
        let policy = FlushPolicy::Immediate(Durability::Strict);
        let store = || Rc::new(FolderStore::new(Rc::new(on.clone())));
        let open = async || Page::open_paged(store(), &platform, policy, by_call_only(), None).await;
        let mut page = open().await.unwrap();
        page.commit("CREATE TABLE t(n)").await.unwrap();
        page.snapshots.create(Some("a label keeps it".into()), Reason::Manual).await.unwrap();
        let mut refused = 0;
        for opening in 0..10 {
            disk.set_capacity(disk.used() as u64);
            page.storage.close().await.unwrap();
            page = open().await.unwrap_or_else(|error| panic!("opening {opening}: {error}"));
            // Of what an opening frees, some commits are stored.
            if let Err(error) = page.commit("INSERT INTO t VALUES (randomblob(20000))").await {
                assert_eq!(error.code, ErrorCode::StorageQuotaExceeded);
                refused += 1;
            }
            for snapshot in page.snapshots.list() {
                page.snapshots.delete(&snapshot.id).await.unwrap_or_else(|error| panic!("deleting: {error}"));
            }
        }
        assert!(refused > 5, "{refused} commits were refused");
    });
}

/// Gives the table of [`with_blobs`] 300 rows, or all of them other bytes: about a megabyte.
const FILL: &str = "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300) \
    INSERT OR REPLACE INTO t SELECT i, randomblob(3000) FROM n";

/// Opens a new database with an empty table of blobs.
async fn with_blobs(disk: SimDisk, platform: &Platform) -> Page {
    let page = Page::open(Rc::new(FolderStore::new(Rc::new(disk))), platform).await.unwrap();
    page.commit("CREATE TABLE t(id INTEGER PRIMARY KEY, b BLOB)").await.unwrap();
    page
}

#[test]
fn what_is_deleted_on_a_disk_that_others_fill_makes_room() {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (on, platform) = (disk.clone(), sim.platform());
    sim.run(async move {
        let page = with_blobs(on, &platform).await;
        for label in ["a", "b", "c", "d"] {
            page.commit(FILL).await.unwrap();
            page.snapshots.create(Some(label.into()), Reason::Manual).await.unwrap();
        }
        let before = disk.used() as u64;
        disk.set_capacity(before);
        let error = page.commit("UPDATE t SET b = randomblob(3000)").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::StorageQuotaExceeded);
        for snapshot in page.snapshots.list() {
            page.snapshots.delete(&snapshot.id).await.unwrap();
        }
        // Three of four snapshots were the bytes of nothing else.
        page.flusher.flush().await.unwrap();
        page.commit("UPDATE t SET b = randomblob(3000) WHERE id < 100").await.unwrap();
        assert!((disk.used() as u64) < before, "{} of {before} bytes are in use", disk.used());
        page.assert_whole();
    });
}

#[test]
fn a_snapshot_that_does_not_fit_leaves_nothing_on_the_disk() {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (on, platform) = (disk.clone(), sim.platform());
    sim.run(async move {
        let page = with_blobs(on, &platform).await;
        page.commit(FILL).await.unwrap();
        page.snapshots.create(Some("a label keeps it".into()), Reason::Manual).await.unwrap();
        page.commit(FILL).await.unwrap();
        page.flusher.flush().await.unwrap();
        let before = disk.used() as u64;
        disk.set_capacity(before + 500_000);
        let error = page.snapshots.create(Some("too large".into()), Reason::Manual).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::StorageQuotaExceeded);
        let after = disk.used() as u64;
        assert!(after < before + 100_000, "{after} bytes are in use, {before} before");
        page.commit("UPDATE t SET b = randomblob(3000) WHERE id < 100").await.unwrap();
        page.assert_whole();
    });
}

#[test]
fn a_database_that_fills_its_disk_is_refused_and_stays_usable() {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (on, platform) = (disk.clone(), sim.platform());
    sim.run(async move {
        let store = Rc::new(FolderStore::new(Rc::new(on)));
        let page = Page::open(store, &platform).await.unwrap();
        page.commit("CREATE TABLE t(b BLOB)").await.unwrap();
        disk.set_capacity(1 << 20);
        let error = page.commit("INSERT INTO t VALUES (randomblob(2000000))").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::StorageQuotaExceeded);
        disk.set_capacity(8 << 20);
        page.flusher.flush().await.unwrap();
        page.commit("DELETE FROM t").await.unwrap();
    });
}

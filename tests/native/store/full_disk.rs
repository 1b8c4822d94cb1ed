//! A disk that is too small for all of a database's history: unneeded history goes, and nothing is stuck.

use std::rc::Rc;

use tidelock::{
    ErrorCode, Value,
    ports::{Store, sim::Sim},
    snapshot::Reason,
    store::folder::FolderStore,
};

use super::{folder::SimDisk, page::Page};

/// The rows of the database, about 6 MB.
const ROWS: u64 = 1000;
const ROW: usize = 6000;
/// A fifth of it is the database.
const CAPACITY: u64 = 30 << 20;
const COMMITS: u64 = 400;
/// The rows that a commit changes.
const CHANGED: u64 = 10;

/// Makes commits, with a snapshot after some: none is refused, and deleting and opening work.
fn run(snapshots_each: u64) {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (on, platform) = (disk.clone(), sim.platform());
    let what = format!("a snapshot after {snapshots_each} commits");
    let connect = move || Rc::new(FolderStore::new(Rc::new(on.clone()))) as Rc<dyn Store>;
    sim.run(async move {
        let open = async || Page::open(connect(), &platform).await;
        let page = open().await.unwrap();
        page.commit("CREATE TABLE t(id INTEGER PRIMARY KEY, n INTEGER, b BLOB)").await.unwrap();
        let fill = format!(
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS} - 1)
             INSERT INTO t SELECT i, 0, randomblob({ROW}) FROM n"
        );
        page.commit(&fill).await.unwrap();
        disk.set_capacity(CAPACITY);
        for number in 1..=COMMITS {
            if number % snapshots_each == 0 {
                // It may not fit, which costs nothing else.
                let _ = page.snapshots.create(None, Reason::Manual).await;
            }
            let first = number * 7 * CHANGED % ROWS;
            let change = format!(
                "UPDATE t SET n = {number}, b = randomblob({ROW}) WHERE id BETWEEN {first} AND {first} + {CHANGED} - 1"
            );
            page.commit(&change).await.unwrap_or_else(|error| panic!("{what}: commit {number}: {error}"));
        }
        for snapshot in page.snapshots.list() {
            page.snapshots.delete(&snapshot.id).await.unwrap_or_else(|error| panic!("{what}: {error}"));
        }
        page.flusher.flush().await.unwrap();
        let newest = page.connection.value("SELECT max(n) FROM t", &[]).unwrap();
        page.storage.close().await.unwrap();
        let again = open().await.unwrap();
        assert_eq!(newest, Some(Value::Integer(COMMITS as i64)));
        assert_eq!(again.connection.value("SELECT max(n) FROM t", &[]).unwrap(), newest, "{what}");
        assert!(again.warnings.is_empty(), "{what}: {:?}", again.warnings);
    });
}

#[test]
fn history_goes_before_a_commit_is_refused() {
    for snapshots_each in [u64::MAX, 20] {
        run(snapshots_each);
    }
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

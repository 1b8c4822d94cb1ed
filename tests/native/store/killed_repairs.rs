//! Restores and recoveries of a folder: the process is killed before any operation of the disk, or the power is cut. The
//! database is as before, or as after.

use std::rc::Rc;

use tidelock::{
    ErrorCode, Result,
    ports::{Durability, Files, Holder, Platform, Store, sim::Sim},
    snapshot::{Reason, SnapshotOptions},
    sqlite::{CHUNK_SIZE, Connection},
    store::{Storage, sealed::Secret},
};

use super::{
    bench::key,
    damaged_segment::{LOG, bytes, connect, connect_older, flipped, frames, segments},
    folder::{Chance, SimDisk},
    hostile_folder::HEADER,
    page::{Page, by_call_only},
};

/// The rows of the first snapshot, of the last commit before the damage, and of the last commit.
const FIRST: i64 = 2;
const BEFORE: i64 = 5;
const ALL: i64 = 6;
/// The rows before those, of a database whose snapshots share chunks, and the most of them that one chunk has.
const COLD: i64 = 60;
const ROWS_OF_A_CHUNK: i64 = CHUNK_SIZE as i64 / 4096;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Repair {
    /// To the first snapshot.
    Restore,
    /// Of a damaged database.
    Recover,
    /// Of an intact database, to the first snapshot.
    RecoverFrom,
    /// Of a database whose snapshots share a damaged chunk, which the log doesn't replace.
    RecoverRows,
    /// Of a database whose newest segment can't be read, with the one before.
    RecoverOlder,
}

const REPAIRS: [Repair; 5] =
    [Repair::Restore, Repair::Recover, Repair::RecoverFrom, Repair::RecoverRows, Repair::RecoverOlder];

impl Repair {
    /// The rows before and after it. Before the recovery of a damaged database, it doesn't open.
    fn rows(self, base: &SimDisk, secret: Option<Secret>) -> (Option<i64>, i64) {
        match self {
            Self::Recover => (None, BEFORE),
            Self::Restore | Self::RecoverFrom => (Some(ALL), FIRST),
            Self::RecoverOlder => {
                let disk = base.copied();
                assert!(run(&disk, self, secret.clone()));
                let rows = opened(&disk, self, secret, false).unwrap();
                assert!((1..=ALL).contains(&rows), "{rows} rows");
                (None, rows)
            }
            Self::RecoverRows => {
                let disk = base.copied();
                assert!(run(&disk, self, secret.clone()));
                let rows = opened(&disk, self, secret, false).unwrap();
                assert!((ALL + COLD - ROWS_OF_A_CHUNK..ALL + COLD).contains(&rows), "{rows} rows");
                (None, rows)
            }
        }
    }

    /// Returns the options of the pages that write the database.
    fn options(self) -> SnapshotOptions {
        match self {
            Self::RecoverRows => SnapshotOptions { compress: false, log_max_bytes: Some(0), ..by_call_only() },
            _ => by_call_only(),
        }
    }
}

async fn open(store: Rc<dyn Store>, platform: &Platform, repair: Repair) -> Result<Page> {
    Page::open_with(store, platform, Durability::Strict, repair.options()).await
}

fn made(repair: Repair, secret: Option<Secret>) -> SimDisk {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (on, platform) = (disk.clone(), sim.platform());
    sim.run(async move {
        let store = connect(&on, &platform, secret).await.unwrap();
        let page = open(store.clone(), &platform, repair).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        if repair == Repair::RecoverRows {
            let cold = format!(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {COLD})
                 INSERT INTO t SELECT hex(randomblob(1500)) FROM n"
            );
            page.commit(&cold).await.unwrap();
        }
        for number in 1..=ALL {
            page.commit("INSERT INTO t VALUES (hex(randomblob(200)))").await.unwrap();
            if number == FIRST || number == FIRST + 1 {
                page.snapshots.create(None, Reason::Manual).await.unwrap();
            }
        }
        store.close().await.unwrap();
    });
    match repair {
        Repair::Restore | Repair::RecoverFrom => return disk,
        Repair::RecoverRows => return flipped(&disk, "pack.1", 3 * CHUNK_SIZE / 2),
        Repair::RecoverOlder => {
            let newest = format!("journal.{}", segments(&disk).last().unwrap());
            disk.change(&newest, |bytes| bytes.truncate(HEADER + 100));
            // A power cut would take away that the one before was sealed, and so the damage.
            disk.list().unwrap().iter().for_each(|name| disk.sync(name).unwrap());
            return disk;
        }
        Repair::Recover => {}
    }
    let last = segments(&disk).into_iter().rev().find_map(|segment| {
        let name = format!("journal.{segment}");
        let (at, _, length) = frames(&bytes(&disk, &name)).into_iter().rfind(|(_, kind, _)| *kind == LOG)?;
        Some((name, at + length - 1))
    });
    let (name, at) = last.unwrap();
    flipped(&disk, &name, at)
}

async fn recovered(disk: &SimDisk, platform: &Platform, repair: Repair, secret: Option<Secret>) -> Result<()> {
    if repair == Repair::RecoverOlder {
        let store = connect_older(disk, platform, secret).await?;
        Storage::recover_older(store.clone(), platform, Holder::default(), None).await?;
        return store.close().await;
    }
    let store = connect(disk, platform, secret).await?;
    let from = (repair == Repair::RecoverFrom).then_some("1");
    Storage::recover(store.clone(), platform, Holder::default(), from).await?;
    store.close().await
}

async fn restored(disk: &SimDisk, platform: &Platform, secret: Option<Secret>) -> Result<()> {
    let store = connect(disk, platform, secret).await?;
    let page = open(store.clone(), platform, Repair::Restore).await?;
    let file = page.snapshots.load("1").await?;
    let scratch = Connection::open(&file)?;
    page.snapshots.safety().await?;
    page.connection.replace_with(&scratch.pin())?;
    page.commit("UPDATE t SET v = v").await?;
    store.close().await
}

/// Runs the repair; returns whether it was reported as done.
fn run(disk: &SimDisk, repair: Repair, secret: Option<Secret>) -> bool {
    let (mut sim, on) = (Sim::new(2), disk.clone());
    let platform = sim.platform();
    sim.run(async move {
        match repair {
            Repair::Restore => restored(&on, &platform, secret).await.is_ok(),
            _ => recovered(&on, &platform, repair, secret).await.is_ok(),
        }
    })
}

/// Opens the database, checks it and adds a row; returns the rows that it found.
fn opened(disk: &SimDisk, repair: Repair, secret: Option<Secret>, after_power_cut: bool) -> Result<i64> {
    let (mut sim, on) = (Sim::new(3), disk.clone());
    let platform = sim.platform();
    sim.run(async move {
        let store = connect(&on, &platform, secret).await?;
        let page = open(store.clone(), &platform, repair).await?;
        page.assert_undamaged(after_power_cut);
        page.assert_whole();
        for info in page.snapshots.list() {
            let verification = page.snapshots.verify(&info.id).await?;
            assert_eq!(verification.ok, repair != Repair::RecoverRows, "{verification:?}");
        }
        let rows = page.number("SELECT count(*) FROM t");
        page.commit("INSERT INTO t VALUES ('more')").await?;
        store.close().await?;
        Ok(rows)
    })
}

fn at_every_operation(power: bool) {
    for (repair, secret) in REPAIRS.into_iter().flat_map(|repair| [(repair, None), (repair, Some(key(1)))]) {
        let base = made(repair, secret.clone());
        let expected = repair.rows(&base, secret.clone());
        let (mut old, mut new, mut chance) = (0, 0, Chance(7));
        for stop_at in 1.. {
            let disk = base.copied();
            disk.stop_at(stop_at, chance.below(1000));
            let done = run(&disk, repair, secret.clone());
            let operations = disk.operations();
            disk.restart();
            if power {
                disk.cut_power(&mut |limit| chance.below(limit));
            }
            let case = format!("{repair:?}, encrypted {}, stopped before {stop_at}", secret.is_some());
            match opened(&disk, repair, secret.clone(), power) {
                Ok(rows) if rows == expected.1 => new += 1,
                Ok(rows) => {
                    assert_eq!((Some(rows), done), (expected.0, false), "{case}");
                    old += 1;
                }
                Err(error) => {
                    assert_eq!(
                        (error.code, expected.0, done),
                        (ErrorCode::DatabaseCorrupt, None, false),
                        "{case}: {error}"
                    );
                    old += 1;
                    assert!(run(&disk, repair, secret.clone()), "{case}: the next recovery");
                    assert_eq!(opened(&disk, repair, secret.clone(), power), Ok(expected.1), "{case}");
                }
            }
            if done && operations <= stop_at {
                break;
            }
        }
        assert!(old > 0 && new > 0, "{repair:?}: {old} before, {new} after");
    }
}

#[test]
fn a_process_may_be_killed_before_any_operation_of_a_repair() {
    at_every_operation(false);
}

#[test]
fn the_power_may_be_cut_at_any_operation_of_a_repair() {
    at_every_operation(true);
}

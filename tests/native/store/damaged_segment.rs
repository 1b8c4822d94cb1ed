//! Damaged frames of a folder's journal: each costs at most what only that frame has, and is reported.

use std::rc::Rc;

use tidelock::{
    Error, ErrorCode, Result,
    error::WarningCode,
    ports::{Durability, Files, Holder, Platform, Store, sim::Sim},
    snapshot::Reason,
    store::{
        RecoveryReport, Rekeyed, Storage,
        sealed::{SealedStore, Secret},
    },
};

use super::{
    bench::{key, vault},
    cut_journal::recovered_older,
    folder::SimDisk,
    hostile_folder::{HEADER, START_FRAME},
    page::{Page, by_call_only},
};
use crate::sample::Sample;

const ROWS: i64 = 12;
const SNAPSHOTS: usize = 2;
pub const LOG: u8 = 1;
const HEAD: u8 = 2;

/// How the database came to its key, before it was closed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Made {
    Plain,
    /// Without anything after the change of the key, which writes a segment with the whole log.
    Encrypted,
    OtherSecret,
    Rotated,
    /// With another opening after the change.
    RotatedAndUsed,
}

const ALL: [Made; 5] = [Made::Plain, Made::Encrypted, Made::OtherSecret, Made::Rotated, Made::RotatedAndUsed];

impl Made {
    /// The secret that opens it, and the one before.
    fn secrets(self) -> (Option<Secret>, Option<Secret>) {
        match self {
            Self::Plain => (None, None),
            Self::Encrypted => (Some(key(1)), None),
            Self::OtherSecret => (Some(key(2)), Some(key(1))),
            Self::Rotated | Self::RotatedAndUsed => (Some(key(1)), Some(key(1))),
        }
    }
}

pub async fn connect(disk: &SimDisk, platform: &Platform, secret: Option<Secret>) -> Result<Rc<dyn Store>> {
    sealed(disk.store(), platform, secret).await
}

/// Connects for a recovery, with an older state where the newest one can't be read.
pub async fn connect_older(disk: &SimDisk, platform: &Platform, secret: Option<Secret>) -> Result<Rc<dyn Store>> {
    sealed(disk.older(), platform, secret).await
}

pub async fn sealed(store: Rc<dyn Store>, platform: &Platform, secret: Option<Secret>) -> Result<Rc<dyn Store>> {
    match secret {
        None => Ok(store),
        Some(secret) => Ok(Rc::new(SealedStore::open(store, &vault(platform, secret)).await?)),
    }
}

async fn change_key(page: &Page, platform: &Platform, made: Made) {
    let storage = &page.storage;
    let changed = match made {
        Made::Plain => return,
        Made::Encrypted | Made::OtherSecret => {
            let (to, _) = made.secrets();
            storage.rekey(to.map(|to| vault(platform, to)).as_ref()).await
        }
        Made::Rotated | Made::RotatedAndUsed => {
            assert_eq!(storage.begin_rotation().await, Rekeyed::Done);
            let mut rotation = storage.rotation().unwrap();
            while storage.copy_ahead(&mut rotation).await.unwrap() {}
            let ended = storage.end_rotation(&rotation).await;
            storage.sweep().await.unwrap();
            ended
        }
    };
    assert_eq!(changed, Rekeyed::Done);
}

/// A closed database with rows and snapshots.
fn made(how: Made) -> SimDisk {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (platform, on) = (sim.platform(), disk.clone());
    sim.run(async move {
        let (_, before) = how.secrets();
        let store = connect(&on, &platform, before).await.unwrap();
        let page = Page::open(store.clone(), &platform).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        for number in 0..ROWS {
            page.commit(&format!("INSERT INTO t VALUES ('{number}')")).await.unwrap();
            if number % 5 == 4 {
                page.snapshots.create(None, Reason::Manual).await.unwrap();
            }
        }
        change_key(&page, &platform, how).await;
        store.close().await.unwrap();
        if how == Made::RotatedAndUsed {
            let store = connect(&on, &platform, how.secrets().0).await.unwrap();
            Page::open(store.clone(), &platform).await.unwrap();
            store.close().await.unwrap();
        }
    });
    disk
}

/// What an opening finds: rows, snapshots, warnings.
pub type Found = (i64, usize, Vec<WarningCode>);

/// Opens the database, adds a row and closes it.
pub fn opened(disk: &SimDisk, secret: Option<Secret>) -> Result<Found> {
    let (mut sim, on) = (Sim::new(2), disk.clone());
    let platform = sim.platform();
    sim.run(async move {
        let store = connect(&on, &platform, secret).await?;
        let page = Page::open(store.clone(), &platform).await?;
        let codes = page.warnings.iter().map(|warning| warning.code).collect();
        let found = (page.number("SELECT count(*) FROM t"), page.snapshots.list().len(), codes);
        page.commit("INSERT INTO t VALUES ('more')").await.unwrap();
        store.close().await.unwrap();
        Ok(found)
    })
}

pub fn recovered(disk: &SimDisk, secret: Option<Secret>) -> Result<RecoveryReport> {
    let (mut sim, on) = (Sim::new(2), disk.clone());
    let platform = sim.platform();
    sim.run(async move {
        let store = connect(&on, &platform, secret).await?;
        let report = Storage::recover(store.clone(), &platform, Holder::default(), None).await;
        store.close().await.unwrap();
        report
    })
}

pub fn segments(disk: &SimDisk) -> Vec<u64> {
    let number = |name: &String| name.strip_prefix("journal.")?.parse().ok();
    let mut numbers: Vec<u64> = disk.list().unwrap().iter().filter_map(number).collect();
    numbers.sort_unstable();
    numbers
}

pub fn bytes(disk: &SimDisk, name: &str) -> Vec<u8> {
    disk.read(name, 0, usize::MAX).unwrap().unwrap()
}

/// Returns where each frame of a segment begins, its kind, and its length.
pub fn frames(bytes: &[u8]) -> Vec<(usize, u8, usize)> {
    let (mut frames, mut at) = (Vec::new(), 0);
    while at < bytes.len() {
        let length = HEADER + u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        frames.push((at, bytes[at + 4], length));
        at += length;
    }
    frames
}

/// Returns some places of a frame: in each field of its header, and in its body.
fn places(length: usize) -> impl Iterator<Item = usize> {
    let body = [HEADER, (HEADER + length) / 2, length - 1];
    [0, 4, 5, 8, 11, 12, 20, 28].into_iter().chain(body.into_iter().filter(move |at| *at < length))
}

pub fn flipped(disk: &SimDisk, name: &str, at: usize) -> SimDisk {
    let disk = disk.copied();
    disk.change(name, |bytes| {
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= 0x41;
        }
    });
    disk
}

pub fn code(error: Error) -> ErrorCode {
    error.code
}

#[test]
fn only_a_damaged_commit_costs_data_and_all_is_told() {
    for how in ALL {
        let (disk, (secret, before)) = (made(how), how.secrets());
        let (mut whole, mut told, mut sample) = (0, 0, Sample::every(5));
        for segment in segments(&disk) {
            let name = format!("journal.{segment}");
            for (at, kind, length) in frames(&bytes(&disk, &name)) {
                for place in places(length).filter(|_| sample.takes()) {
                    let case = format!("{how:?}, {name}, kind {kind}, {at} + {place}");
                    let damaged = flipped(&disk, &name, at + place);
                    if how == Made::OtherSecret {
                        let refused = opened(&damaged.copied(), before.clone()).map(drop).map_err(code);
                        assert_eq!(refused, Err(ErrorCode::DecryptionFailed), "{case}");
                    }
                    match opened(&damaged, secret.clone()) {
                        Ok((rows, snapshots, warnings)) => {
                            assert_eq!(rows, ROWS, "{case}");
                            assert!(snapshots == SNAPSHOTS || !warnings.is_empty(), "{case}: not told");
                            told += usize::from(!warnings.is_empty());
                            whole += 1;
                            let (rows, _, warnings) = opened(&damaged, secret.clone()).unwrap();
                            assert_eq!(rows, ROWS + 1, "{case}");
                            assert!(!warnings.contains(&WarningCode::StorageDamaged), "{case}: told again");
                        }
                        Err(error) => {
                            assert_eq!((error.code, kind), (ErrorCode::DatabaseCorrupt, LOG), "{case}: {error}");
                            let report = recovered(&damaged, secret.clone()).unwrap();
                            assert!(report.lost_batches > 0, "{case}");
                            // The last record may be that of an opening, without rows.
                            assert!(opened(&damaged, secret.clone()).unwrap().0 <= ROWS, "{case}");
                        }
                    }
                }
            }
        }
        assert!(whole > sample.part_of(100) && told > sample.part_of(20), "{how:?}: {whole}, {told}");
    }
}

/// The head is there twice in the transaction that stores it, not only when the folder is closed; a change of the key
/// stores it twice more.
#[test]
fn a_damaged_head_brings_no_older_one_back_after_a_kill() {
    for rows in [0, 1] {
        let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
        let (platform, on) = (sim.platform(), disk.clone());
        sim.run(async move {
            let store = connect(&on, &platform, Some(key(1))).await.unwrap();
            let page = Page::open(store, &platform).await.unwrap();
            page.commit("CREATE TABLE t(v)").await.unwrap();
            assert_eq!(page.storage.rekey(Some(&vault(&platform, key(2)))).await, Rekeyed::Done);
            if rows > 0 {
                page.commit("INSERT INTO t VALUES (1)").await.unwrap();
                // It syncs what is before it.
                page.snapshots.create(None, Reason::Manual).await.unwrap();
            }
        });
        let mut heads = 0;
        for segment in segments(&disk) {
            let name = format!("journal.{segment}");
            for (at, kind, length) in frames(&bytes(&disk, &name)) {
                heads += usize::from(kind == HEAD);
                for place in places(length) {
                    let case = format!("{rows} rows, {name}, kind {kind}, {at} + {place}");
                    let damaged = flipped(&disk, &name, at + place);
                    assert!(opened(&damaged.copied(), Some(key(1))).is_err(), "{case}");
                    if kind == HEAD {
                        assert_eq!(opened(&damaged, Some(key(2))).unwrap().0, rows, "{case}");
                    }
                }
            }
        }
        assert!(heads >= 6, "{heads}");
    }
}

#[test]
fn the_beginning_of_a_segment_is_there_twice() {
    for how in ALL {
        let disk = made(how);
        let newest = *segments(&disk).last().unwrap();
        let name = format!("journal.{newest}");
        let found = frames(&bytes(&disk, &name));
        assert_eq!((found[0].1, found[1].1), (START_FRAME, START_FRAME));
        for (at, _, length) in [found[0], found[1]] {
            for place in places(length) {
                let damaged = flipped(&disk, &name, at + place);
                let (rows, snapshots, warnings) = opened(&damaged, how.secrets().0).unwrap();
                assert_eq!((rows, snapshots), (ROWS, SNAPSHOTS), "{how:?}, {at} + {place}");
                assert_eq!(warnings, [WarningCode::StorageDamaged], "{how:?}, {at} + {place}");
                // Soon the state is whole again, in a new segment.
                assert!(*segments(&damaged).last().unwrap() > newest, "{how:?}, {at} + {place}");
            }
        }
    }
}

#[test]
fn a_damaged_segment_is_replaced_before_it_is_long() {
    let used = |disk: &SimDisk| {
        let (mut sim, on) = (Sim::new(1), disk.clone());
        let platform = sim.platform();
        sim.run(async move {
            let store = on.store_of(1 << 20);
            let page = Page::open(store.clone(), &platform).await.unwrap();
            page.commit("CREATE TABLE IF NOT EXISTS t(v); INSERT INTO t VALUES (1)").await.unwrap();
            store.close().await.unwrap();
            page.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>()
        })
    };
    let disk = SimDisk::default();
    assert_eq!((used(&disk), segments(&disk)), (vec![], vec![1]));
    let (second, _, _) = frames(&bytes(&disk, "journal.1"))[1];
    let damaged = flipped(&disk, "journal.1", second + HEADER);
    assert_eq!(used(&damaged), [WarningCode::StorageDamaged]);
    assert_eq!((used(&damaged), segments(&damaged).last()), (vec![], Some(&2)));
}

#[test]
fn a_segment_that_begins_while_the_one_before_is_read_is_no_damage() {
    let disk = made(Made::Plain);
    let (names, first) = (disk.list().unwrap(), *segments(&disk).last().unwrap());
    let mut rows = ROWS;
    while *segments(&disk).last().unwrap() == first {
        opened(&disk, None).unwrap();
        rows += 1;
    }
    disk.list_once(names);
    let (found, _, warnings) = opened(&disk, None).unwrap();
    assert_eq!((found, warnings), (rows, vec![]));
}

#[test]
fn without_both_it_is_damage_and_nothing_is_written() {
    for how in ALL {
        let disk = made(how);
        let name = format!("journal.{}", segments(&disk).last().unwrap());
        let found = frames(&bytes(&disk, &name));
        let damaged = flipped(&flipped(&disk, &name, HEADER), &name, found[1].0 + HEADER);
        let before = bytes(&damaged, &name);
        assert_eq!(opened(&damaged, how.secrets().0).map_err(code), Err(ErrorCode::DatabaseCorrupt));
        assert_eq!(bytes(&damaged, &name), before);
    }
}

#[test]
fn a_foreign_file_with_the_name_of_a_segment_costs_nothing() {
    let disk = made(Made::Plain);
    disk.add("journal.900", b"not a segment, but long enough to be read as one".repeat(4));
    assert_eq!(opened(&disk, None).map_err(code), Err(ErrorCode::DatabaseCorrupt));
    let report = recovered_older(&disk, None).unwrap();
    assert!(report.problems.iter().any(|problem| problem.contains("journal.900")), "{report:?}");
    assert_eq!(opened(&disk, None).unwrap(), (ROWS, SNAPSHOTS, vec![]));
    let last = format!("journal.{}", u64::MAX);
    disk.add(&last, b"it can't have a successor".repeat(4));
    assert_eq!(recovered_older(&disk, None).map_err(code), Err(ErrorCode::DatabaseCorrupt));
}

#[test]
fn a_sector_that_is_lost_costs_nothing_at_the_beginning_of_a_segment() {
    for how in ALL {
        let disk = made(how);
        let name = format!("journal.{}", segments(&disk).last().unwrap());
        for length in [128, 512, 4096] {
            let damaged = disk.copied();
            damaged.change(&name, |bytes| bytes[..length].fill(0));
            let (rows, snapshots, warnings) = opened(&damaged, how.secrets().0).unwrap();
            assert_eq!((rows, snapshots), (ROWS, SNAPSHOTS), "{how:?}, {length}");
            assert_eq!(warnings, [WarningCode::StorageDamaged], "{how:?}, {length}");
        }
    }
}

#[test]
fn a_database_without_snapshots_whose_journal_is_gone_is_no_new_one() {
    let disk = SimDisk::default();
    let (mut sim, on) = (Sim::new(1), disk.clone());
    let platform = sim.platform();
    sim.run(async move {
        let page = Page::open(on.store_of(1 << 20), &platform).await.unwrap();
        page.commit("CREATE TABLE t(v); INSERT INTO t VALUES (1)").await.unwrap();
        page.storage.close().await.unwrap();
    });
    assert_eq!(segments(&disk), [1]);
    let (missing, empty, zeros) = (disk.copied(), disk.copied(), disk.copied());
    missing.remove("journal.1").unwrap();
    empty.change("journal.1", Vec::clear);
    zeros.change("journal.1", |bytes| bytes.fill(0));
    for damaged in [missing, empty, zeros] {
        assert_eq!(opened(&damaged, None).map_err(code), Err(ErrorCode::DatabaseCorrupt));
    }
}

#[test]
fn packs_without_a_journal_are_damage() {
    let disk = made(Made::Plain);
    for segment in segments(&disk) {
        disk.remove(&format!("journal.{segment}")).unwrap();
    }
    let error = opened(&disk, None).unwrap_err();
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
    assert!(error.message.contains("missing"), "{error}");
}

/// Opens the database, adds rows with that text, one commit each, and dies without closing it.
fn killed_after(disk: &SimDisk, text: &str, commits: usize) {
    let (mut sim, on) = (Sim::new(3), disk.clone());
    let (platform, insert) = (sim.platform(), format!("INSERT INTO t VALUES ('{text}')"));
    sim.run(async move {
        let page = Page::open(on.store_of(1 << 20), &platform).await.unwrap();
        for _ in 0..commits {
            page.commit(&insert).await.unwrap();
        }
    });
}

#[test]
fn frames_of_an_earlier_attempt_count_for_nothing_and_are_told() {
    let (one, other) = (made(Made::Plain), made(Made::Plain));
    killed_after(&one, "one", 2);
    killed_after(&other, "two", 1);
    let name = format!("journal.{}", segments(&one).last().unwrap());
    let (longer, shorter) = (bytes(&one, &name), bytes(&other, &name));
    let end = shorter.len();
    assert!(frames(&longer).iter().any(|(at, _, _)| *at == end), "both have frames of the same lengths");
    other.change(&name, |bytes| bytes.extend_from_slice(&longer[end..]));
    assert_eq!(opened(&other, None).unwrap(), (ROWS + 1, SNAPSHOTS, vec![WarningCode::StorageDamaged]));
}

#[test]
fn what_a_killed_process_left_of_a_write_is_cut_off_before_the_next_one() {
    let disk = made(Made::Plain);
    let name = format!("journal.{}", segments(&disk).last().unwrap());
    let end = bytes(&disk, &name).len();
    disk.change(&name, |bytes| bytes.extend(std::iter::repeat_n(0x55, 100_000)));
    killed_after(&disk, "more", 1);
    assert!((end + 1..end + 100_000).contains(&bytes(&disk, &name).len()));
    assert_eq!(opened(&disk, None).unwrap(), (ROWS + 1, SNAPSHOTS, vec![]));
}

#[test]
fn what_follows_a_hole_that_a_power_cut_left_counts_for_nothing_and_is_told() {
    let disk = made(Made::Plain);
    let name = format!("journal.{}", segments(&disk).last().unwrap());
    killed_after(&disk, "more", 3);
    let found = frames(&bytes(&disk, &name));
    let commits: Vec<_> = found.into_iter().rev().filter(|(_, kind, _)| *kind == LOG).take(2).collect();
    let (at, _, length) = commits[1];
    disk.change(&name, |bytes| {
        if let Some(frame) = bytes.get_mut(at..at + length) {
            frame.fill(0);
        }
    });
    assert_eq!(opened(&disk, None).unwrap(), (ROWS + 1, SNAPSHOTS, vec![WarningCode::StorageDamaged]));
}

#[test]
fn a_damaged_commit_is_told_also_if_it_was_synced_and_the_last_one_before_the_end() {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (platform, on) = (sim.platform(), disk.clone());
    sim.run(async move {
        let store = on.store_of(1 << 20);
        let page = Page::open_with(store.clone(), &platform, Durability::Strict, by_call_only()).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        store.close().await.unwrap();
    });
    let name = format!("journal.{}", segments(&disk).last().unwrap());
    let last = frames(&bytes(&disk, &name)).into_iter().rfind(|(_, kind, _)| *kind == LOG).unwrap();
    let damaged = flipped(&disk, &name, last.0 + last.2 - 1);
    assert_eq!(opened(&damaged, None).map_err(code), Err(ErrorCode::DatabaseCorrupt));
}

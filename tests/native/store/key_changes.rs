//! Changes of the key of a folder: the process is killed before any operation of the disk, the power is cut, or the disk
//! is full for a while. All acknowledged commits stay, and exactly one secret opens the database.

use std::rc::Rc;

use tidelock::{
    ErrorCode, Result,
    error::WarningCode,
    ports::{Durability, Platform, Store, sim::Sim},
    snapshot::Reason,
    store::{
        Rekeyed, Storage,
        sealed::{SealedStore, Secret},
    },
};

use super::{
    bench::{key, vault},
    damaged_segment::{bytes, flipped, frames, segments},
    folder::{Chance, SimDisk},
    hostile_folder::{HEADER, START_FRAME},
    page::{Page, by_call_only},
};

/// The rows and snapshots before the change.
const ROWS: i64 = 6;
const SNAPSHOTS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    Encrypt,
    OtherSecret,
    Decrypt,
    Rotate,
}

pub const CHANGES: [Change; 4] = [Change::Encrypt, Change::OtherSecret, Change::Decrypt, Change::Rotate];

impl Change {
    /// The secret before, and the one after.
    pub fn secrets(self) -> (Option<Secret>, Option<Secret>) {
        match self {
            Self::Encrypt => (None, Some(key(1))),
            Self::OtherSecret => (Some(key(1)), Some(key(2))),
            Self::Decrypt => (Some(key(1)), None),
            Self::Rotate => (Some(key(1)), Some(key(1))),
        }
    }

    pub async fn make(self, storage: &Storage, platform: &Platform) -> Rekeyed {
        if self == Self::Rotate {
            return rotate(storage).await;
        }
        storage.rekey(self.secrets().1.map(|secret| vault(platform, secret)).as_ref()).await
    }
}

/// Rotates the data key as the engine does: a full disk gives the rotation up.
async fn rotate(storage: &Storage) -> Rekeyed {
    match storage.begin_rotation().await {
        Rekeyed::Done => {}
        other => return other,
    }
    let Some(mut rotation) = storage.rotation() else { return Rekeyed::Done };
    let copied = loop {
        match storage.copy_ahead(&mut rotation).await {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let ended = match copied {
        Ok(()) => storage.end_rotation(&rotation).await,
        Err(error) => Rekeyed::Unchanged(error),
    };
    if let Rekeyed::Unchanged(error) = &ended
        && error.is(ErrorCode::StorageQuotaExceeded)
    {
        let _ = storage.abandon_rotation().await;
    }
    let _ = storage.sweep().await;
    ended
}

async fn open(disk: &SimDisk, platform: &Platform, secret: Option<Secret>) -> Result<(Page, Rc<dyn Store>)> {
    let store: Rc<dyn Store> = match secret {
        None => disk.store(),
        Some(secret) => Rc::new(SealedStore::open(disk.store(), &vault(platform, secret)).await?),
    };
    let page = Page::open_with(store.clone(), platform, Durability::Strict, by_call_only()).await?;
    Ok((page, store))
}

fn made(change: Change) -> SimDisk {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (on, platform) = (disk.clone(), sim.platform());
    sim.run(async move {
        let (page, store) = open(&on, &platform, change.secrets().0).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        for number in 0..ROWS {
            page.commit("INSERT INTO t VALUES (hex(randomblob(200)))").await.unwrap();
            if number % 3 == 1 {
                page.snapshots.create(None, Reason::Manual).await.unwrap();
            }
        }
        store.close().await.unwrap();
    });
    disk
}

/// What one process saw.
#[derive(Default)]
struct Seen {
    /// The rows of acknowledged commits.
    acknowledged: i64,
    done: bool,
    /// Whether the disk never stopped.
    ended: bool,
}

/// Changes the key between two commits. A `full` disk has room again after the change.
fn run(disk: &SimDisk, change: Change, full: bool) -> Seen {
    let (mut sim, on) = (Sim::new(2), disk.clone());
    let platform = sim.platform();
    sim.run(async move {
        let mut seen = Seen { acknowledged: ROWS, ..Seen::default() };
        let Ok((page, store)) = open(&on, &platform, change.secrets().0).await else { return seen };
        let insert = "INSERT INTO t VALUES ('more')";
        seen.acknowledged += i64::from(page.commit(insert).await.is_ok());
        let changed = change.make(&page.storage, &platform).await;
        seen.done = changed == Rekeyed::Done;
        if full {
            on.restart();
        }
        if !matches!(changed, Rekeyed::Unknown(_)) {
            let stored = page.commit(insert).await.is_ok() && page.flusher.flush().await.is_ok();
            assert!(stored || !full, "there is room again");
            if full {
                seen.acknowledged = page.number("SELECT count(*) FROM t");
            } else {
                seen.acknowledged += i64::from(stored);
            }
        }
        seen.ended = store.close().await.is_ok() && seen.done;
        seen
    })
}

/// What an opening finds: its rows, and whether a rotation is under way, which is ended then.
fn opened(disk: &SimDisk, secret: Option<Secret>, after_power_cut: bool) -> Result<i64> {
    opened_page(disk, secret, move |page| page.assert_undamaged(after_power_cut))
}

fn opened_page(disk: &SimDisk, secret: Option<Secret>, check: impl Fn(&Page) + 'static) -> Result<i64> {
    let (mut sim, on) = (Sim::new(3), disk.clone());
    let platform = sim.platform();
    sim.run(async move {
        let (page, store) = open(&on, &platform, secret).await?;
        check(&page);
        page.assert_whole();
        for _ in 0..2 {
            let listed = page.snapshots.list();
            assert_eq!(listed.len(), SNAPSHOTS);
            for info in listed {
                let verification = page.snapshots.verify(&info.id).await?;
                assert!(verification.ok, "{verification:?}");
            }
            if !page.storage.is_rotating() {
                break;
            }
            assert_eq!(rotate(&page.storage).await, Rekeyed::Done);
            assert!(!page.storage.is_rotating());
        }
        let rows = page.number("SELECT count(*) FROM t");
        store.close().await?;
        Ok(rows)
    })
}

fn at_every_operation(full: bool, power: bool, step: usize) {
    for change in CHANGES {
        let base = made(change);
        let (mut old, mut new, mut chance) = (0, 0, Chance(7));
        for stop_at in (1..).step_by(step) {
            let disk = base.copied();
            disk.stop_at(stop_at, chance.below(1000));
            let seen = run(&disk, change, full);
            let operations = disk.operations();
            disk.restart();
            if power {
                disk.cut_power(&mut |limit| chance.below(limit));
            }
            let (from, to) = change.secrets();
            let case = format!("{change:?}, stopped before {stop_at}");
            let after = opened(&disk.copied(), to.clone(), power);
            let found = if change == Change::Rotate {
                new += usize::from(seen.done);
                old += usize::from(!seen.done);
                after
            } else {
                let before = opened(&disk.copied(), from, power);
                assert!(before.is_ok() != after.is_ok(), "{case}: {before:?}, {after:?}");
                assert!(after.is_ok() || !seen.done, "{case}: {after:?}");
                new += usize::from(after.is_ok());
                old += usize::from(before.is_ok());
                before.or(after)
            };
            let rows = found.unwrap_or_else(|error| panic!("{case}: {error}"));
            // A commit without an answer may be stored.
            let most = if full { seen.acknowledged } else { seen.acknowledged + 1 };
            assert!((seen.acknowledged..=most).contains(&rows), "{case}: {rows} of {}", seen.acknowledged);
            if seen.ended && operations <= stop_at {
                break;
            }
        }
        assert!(old > 3 && new > 0, "{change:?}: {old} before, {new} after");
    }
}

#[test]
fn a_process_may_be_killed_before_any_operation_of_a_change_of_the_key() {
    at_every_operation(false, false, 1);
}

#[test]
fn the_power_may_be_cut_at_any_operation_of_a_change_of_the_key() {
    at_every_operation(false, true, 1);
}

#[test]
fn the_disk_may_be_full_from_any_operation_of_a_change_of_the_key_on() {
    at_every_operation(true, false, 1);
}

/// A segment begins with the same frame twice, and a change of the key also ends with one that is there twice.
#[test]
fn after_a_kill_at_any_operation_the_beginning_of_a_segment_may_be_damaged() {
    for change in [Change::OtherSecret, Change::Rotate] {
        let (before, mut checked) = (made(change), 0);
        let ended = before.copied();
        assert!(run(&ended, change, false).ended);
        for stop in 1..ended.operations() {
            let disk = before.copied();
            disk.stop_at(stop, 0);
            let seen = run(&disk, change, false);
            disk.restart();
            let name = format!("journal.{}", segments(&disk).last().unwrap());
            let found = frames(&bytes(&disk, &name));
            for (at, _, _) in found.iter().take(2).filter(|(_, kind, _)| *kind == START_FRAME) {
                let damaged = flipped(&disk, &name, at + HEADER);
                let (old, new) = change.secrets();
                let told = |page: &Page| {
                    assert!(page.warnings.iter().all(|warning| warning.code == WarningCode::StorageDamaged));
                };
                let rows = opened_page(&damaged.copied(), new, told);
                let rows = rows.or_else(|_| opened_page(&damaged, old, told));
                let rows = rows.unwrap_or_else(|error| panic!("{change:?} until {stop}, {name} at {at}: {error}"));
                assert!(rows >= seen.acknowledged, "{change:?} until {stop}, {name} at {at}: {rows}");
                checked += 1;
            }
        }
        assert!(checked > 20, "{checked}");
    }
}

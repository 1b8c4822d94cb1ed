//! Scheduled snapshots: when they are taken, retried, kept and deleted.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    engine::storage::{
        flush::{FlushPolicy, Flusher},
        snapshots::{SnapshotEvent, Snapshots},
    },
    ports::{Durability, Holder, sim::Sim},
    snapshot::{Reason, SnapshotInfo, SnapshotOptions, VerifyMode},
    sqlite::Connection,
    store::{
        MemoryStore, Storage,
        faulty::{Crash, Faults},
    },
};

use super::{bench::Machine, page::Page};

fn open(machine: &mut Machine, options: SnapshotOptions) -> Page {
    let (store, platform) = (machine.store(), machine.platform());
    let opening = async move { Page::open_with(store, &platform, Durability::Relaxed, options).await };
    let page = machine.sim.run(opening).expect("opens");
    if page.created {
        machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").expect("stored");
    }
    page
}

fn every(interval_ms: u64) -> SnapshotOptions {
    SnapshotOptions { interval_ms, ..SnapshotOptions::default() }
}

fn take(machine: &mut Machine, page: &Page, label: Option<&str>, reason: Reason) -> SnapshotInfo {
    machine.commit(page, "INSERT INTO t(v) VALUES (1)").unwrap();
    let (snapshots, label) = (page.snapshots.clone(), label.map(str::to_owned));
    machine.sim.run(async move { snapshots.create(label, reason).await }).unwrap()
}

fn ids(page: &Page) -> Vec<String> {
    page.snapshots.list().into_iter().map(|info| info.id).collect()
}

#[test]
fn scheduled_snapshots_are_taken_on_time_and_skipped_when_nothing_changed() {
    let mut machine = Machine::new();
    let page = open(&mut machine, every(1000));
    machine.sim.advance(1500);
    assert_eq!(ids(&page), ["1"]);
    let info = &page.snapshots.list()[0];
    assert_eq!(
        (info.reason.as_str(), info.verified, info.schema_version.as_deref()),
        ("scheduled", true, Some("0001"))
    );
    machine.sim.advance(5000);
    assert_eq!(ids(&page), ["1"], "nothing changed");
    let status = page.snapshots.status();
    assert!(status.last_success > Some(info.created_at.plus_ms(4000)), "a skipped one is a success");
    assert_eq!((status.count, status.consecutive_failures, status.last_error), (1, 0, None));
    assert!(status.bytes > 0 && status.next_at > status.last_success);
    machine.commit(&page, "INSERT INTO t(v) VALUES (2)").unwrap();
    machine.sim.advance(1500);
    assert_eq!(ids(&page), ["2", "1"]);
    assert!(matches!(page.events.borrow()[..], [SnapshotEvent::Created { .. }, SnapshotEvent::Created { .. }]));
}

#[test]
fn an_overdue_snapshot_is_taken_soon_after_opening() {
    let mut machine = Machine::new();
    let page = open(&mut machine, every(3_600_000));
    take(&mut machine, &page, None, Reason::Manual);
    machine.commit(&page, "INSERT INTO t(v) VALUES (2)").unwrap();
    machine.sim.advance(1000);
    machine.kill(Crash::Process);
    machine.sim.advance(7_200_000);
    let page = open(&mut machine, every(3_600_000));
    machine.sim.advance(10);
    assert_eq!(ids(&page), ["2", "1"]);
    machine.kill(Crash::Process);
    machine.sim.advance(7_200_000);
    let page = open(&mut machine, every(3_600_000));
    machine.sim.advance(10);
    assert_eq!(ids(&page), ["2", "1"], "opening alone is no change");
}

#[test]
fn a_failed_snapshot_is_retried_with_backoff_then_at_the_next_interval() {
    let mut machine = Machine::new();
    let options = SnapshotOptions { retries: 2, backoff_ms: 100, ..every(10_000) };
    let page = open(&mut machine, options);
    machine.faults(Faults { rot: 1000, ..Faults::default() });
    machine.sim.advance(10_050);
    let status = page.snapshots.status();
    assert_eq!(status.consecutive_failures, 1);
    assert_eq!(status.last_error.map(|error| error.code), Some(ErrorCode::SnapshotCorrupt));
    assert!(status.next_at.unwrap().since(machine.platform().clock.now()) < 200, "the next try is near");
    machine.sim.advance(1000);
    assert_eq!(page.snapshots.status().consecutive_failures, 3, "the first try and two more");
    machine.sim.advance(5000);
    assert_eq!(page.snapshots.status().consecutive_failures, 3, "then it waits");
    assert_eq!((ids(&page).len(), page.events.borrow().len()), (0, 3));
    machine.faults(Faults::default());
    machine.sim.advance(10_000);
    assert_eq!((ids(&page).len(), page.snapshots.status().consecutive_failures), (1, 0));
}

#[test]
fn without_a_schedule_calls_and_safety_snapshots_work() {
    let mut machine = Machine::new();
    let page = open(&mut machine, super::page::by_call_only());
    machine.sim.advance(100_000_000);
    assert_eq!((ids(&page).len(), page.snapshots.status().next_at), (0, None));
    take(&mut machine, &page, None, Reason::Manual);
    let snapshots = page.snapshots.clone();
    let safety = machine.sim.run(async move { snapshots.safety().await }).unwrap();
    assert_eq!(safety.reason.as_str(), "safety");
    assert_eq!(ids(&page).len(), 2);
}

#[test]
fn which_snapshots_are_kept() {
    let mut machine = Machine::new();
    let page = open(&mut machine, SnapshotOptions { keep: 2, enabled: false, ..SnapshotOptions::default() });
    for (label, reason) in [
        (None, Reason::Manual),
        (Some("v1"), Reason::Manual),
        (None, Reason::Hidden),
        (None, Reason::Scheduled),
        (None, Reason::Safety),
        (None, Reason::Hidden),
        (None, Reason::Manual),
        (None, Reason::Manual),
    ] {
        take(&mut machine, &page, label, reason);
        machine.sim.advance(1000);
    }
    // 1 and 4 exceed `keep`, 3 is the older hidden one.
    assert_eq!(ids(&page), ["8", "7", "6", "5", "2"]);
    machine.sim.advance(8 * 86_400_000);
    take(&mut machine, &page, None, Reason::Safety);
    assert_eq!(ids(&page), ["9", "8", "7", "6", "2"], "the older safety one is over seven days old");
    machine.sim.advance(8 * 86_400_000);
    take(&mut machine, &page, None, Reason::Manual);
    assert_eq!(ids(&page), ["10", "9", "8", "6", "2"], "the newest safety one stays");
}

#[test]
fn the_log_is_kept_as_far_back_as_the_options_say() {
    let mut machine = Machine::new();
    let days = |days: u64| days * 86_400_000;
    let options = SnapshotOptions { keep: 5, enabled: false, log_retention_ms: days(3), ..SnapshotOptions::default() };
    let page = open(&mut machine, options.clone());
    let mut taken = Vec::new();
    for _ in 0..5 {
        taken.push(take(&mut machine, &page, None, Reason::Manual));
        machine.sim.advance(days(1));
    }
    let lsn = |page: &Page, id: &str| {
        page.storage.manifests().iter().find(|manifest| manifest.generation.to_string() == id).unwrap().lsn
    };
    // Taken at days 0 to 4: at day 4, the last three days begin before snapshot 2, of day 1.
    assert_eq!(page.storage.truncated().lsn, lsn(&page, "2"));
    machine.kill(Crash::Process);
    let page = open(&mut machine, SnapshotOptions { log_max_bytes: Some(0), ..options });
    take(&mut machine, &page, None, Reason::Manual);
    let truncated = page.storage.truncated().lsn;
    assert_eq!(truncated, lsn(&page, "5"), "no bytes for going back: only what stands in for the newest one");
    assert_eq!(page.storage.usage().log_bytes, page.storage.position().logged - page.storage.truncated().logged);
}

#[test]
fn a_snapshot_that_recovery_needs_is_only_hidden_when_it_is_deleted() {
    let mut machine = Machine::new();
    let page = open(&mut machine, super::page::by_call_only());
    for _ in 0..3 {
        take(&mut machine, &page, None, Reason::Manual);
    }
    for id in ["3", "1"] {
        let snapshots = page.snapshots.clone();
        machine.sim.run(async move { snapshots.delete(id).await }).unwrap();
    }
    assert_eq!(ids(&page), ["2"]);
    let snapshots = page.snapshots.clone();
    let error = machine.sim.run(async move { snapshots.load("3").await }).unwrap_err();
    assert_eq!((error.code, error.details.get("snapshotId")), (ErrorCode::SnapshotNotFound, Some(&"3".into())));
    assert_eq!(machine.contents().snapshots.keys().copied().collect::<Vec<_>>(), [2, 3]);
    take(&mut machine, &page, None, Reason::Manual);
    take(&mut machine, &page, None, Reason::Manual);
    assert_eq!(machine.contents().snapshots.keys().copied().collect::<Vec<_>>(), [2, 4, 5]);
}

#[test]
fn a_full_verification_reads_everything_back() {
    let mut machine = Machine::new();
    let options = SnapshotOptions { verify: VerifyMode::Full, ..super::page::by_call_only() };
    let page = open(&mut machine, options);
    machine.commit(&page, "INSERT INTO t(v) VALUES (randomblob(300000))").unwrap();
    take(&mut machine, &page, None, Reason::Manual);
    // The next snapshot detects a damaged chunk that it would reuse, and stores it again.
    machine.damage(|contents| {
        let id = super::stored::manifest(contents, 1).chunks[3].id;
        *contents.chunks.get_mut(&id).unwrap().last_mut().unwrap() ^= 1;
    });
    let info = take(&mut machine, &page, None, Reason::Manual);
    assert!(info.stored_bytes > 60_000, "{}", info.stored_bytes);
    let snapshots = page.snapshots.clone();
    assert!(machine.sim.run(async move { snapshots.verify(&info.id).await }).unwrap().ok);
}

#[test]
fn unverified_snapshots_replace_each_other_but_not_the_newest_verified_one() {
    let mut machine = Machine::new();
    let options = SnapshotOptions { keep: 1, ..super::page::by_call_only() };
    let page = open(&mut machine, options.clone());
    assert!(take(&mut machine, &page, None, Reason::Manual).verified);
    machine.kill(Crash::Process);
    let page = open(&mut machine, SnapshotOptions { verify: VerifyMode::None, ..options });
    for _ in 0..4 {
        assert!(!take(&mut machine, &page, None, Reason::Manual).verified);
    }
    assert_eq!(ids(&page), ["5"]);
    assert!(page.storage.truncated().lsn > 0);
    assert_eq!(machine.contents().snapshots.keys().copied().collect::<Vec<_>>(), [1, 4, 5]);
}

#[test]
fn a_database_in_memory_has_snapshots_too_and_no_log() {
    let mut sim = Sim::new(3);
    let platform = sim.platform();
    let store = MemoryStore::new();
    let (opened, ports) = (Rc::new(store.clone()), platform.clone());
    let opened = sim.run(async move { Storage::open(opened, &ports, Holder::default()).await }).unwrap();
    let file = opened.file;
    let connection = Connection::open(&file).unwrap();
    let flusher = Flusher::new(file, opened.storage.clone(), &platform, FlushPolicy::Never);
    let (version, emit) = (Rc::new(|| None), Rc::new(|_| ()));
    let snapshots = Snapshots::new(&flusher, &opened.storage, &platform, every(1000), version, emit);
    snapshots.start();
    connection.exec("CREATE TABLE t(x); INSERT INTO t VALUES (1)").unwrap();
    flusher.committed();
    assert!(flusher.stored().is_none(), "there is nothing to wait for");
    sim.advance(1500);
    assert_eq!(snapshots.list().len(), 1);
    connection.exec("INSERT INTO t VALUES (2)").unwrap();
    flusher.committed();
    let taken = snapshots.clone();
    let info = sim.run(async move { taken.create(None, Reason::Manual).await }).unwrap();
    let (loaded, id) = (snapshots.clone(), info.id.clone());
    let image = sim.run(async move { loaded.load(&id).await }).unwrap();
    assert!(image.image().unwrap() == flusher.file().image().unwrap());
    let verified = snapshots.clone();
    assert!(sim.run(async move { verified.verify(&info.id).await }).unwrap().ok);
    assert_eq!(store.contents().borrow().log.len(), 1, "the epoch record");
}

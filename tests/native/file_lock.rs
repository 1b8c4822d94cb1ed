//! The lock of a folder, and databases in folders through the engine.

use std::{
    cell::{Cell, RefCell},
    path::PathBuf,
    rc::Rc,
};

use futures_util::{
    FutureExt,
    future::{Either, select},
};
use tidelock::{
    Error, ErrorCode, Result,
    engine::Database,
    health::LockState,
    lock::FileLocks,
    ports::{Acquire, Files, LocalFuture, LockFiles, Locks, Process, Processes, RESERVE, refill_reserve},
    store::folder::{Disk, Folder, OwnProcess},
};

use crate::{
    engine::{numbers, run},
    world::{Tab, World},
};

/// Simulated processes, which the test starts and ends.
#[derive(Clone, Default)]
struct Others(Rc<RefCell<Vec<(u32, String)>>>, u32);

impl Others {
    fn with(&self, pid: u32, began: &str) -> Self {
        self.0.borrow_mut().push((pid, began.to_owned()));
        Self(self.0.clone(), pid)
    }

    fn end(&self) {
        self.0.borrow_mut().retain(|(pid, _)| *pid != self.1);
    }
}

impl Processes for Others {
    fn me(&self) -> Process {
        Process { pid: self.1, thread: self.1, host: "here".into(), began: self.began(self.1).unwrap() }
    }

    fn began(&self, pid: u32) -> Option<String> {
        self.0.borrow().iter().find(|(known, _)| *known == pid).map(|(_, began)| began.clone())
    }
}

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tidelock-{}-lock-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn files(&self) -> Rc<Disk> {
        Rc::new(Disk::new(&self.0))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.0)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Returns the lock of this folder for a process.
    fn lock(&self, world: &World, who: impl Processes + 'static) -> FileLocks {
        FileLocks::new(self.files(), Rc::new(who), world.sim.platform())
    }

    /// Creates a tab whose ports use this folder, as one of `processes`.
    fn tab(&self, world: &World, processes: impl Processes + 'static) -> Tab {
        let mut tab = world.tab();
        tab.ports.locks = Rc::new(self.lock(world, processes));
        tab.ports.stores = Rc::new(Folder { files: self.files() });
        tab
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

const FILE: &str = r#"{ "storage": "file" }"#;
const WAIT: &str = r#"{ "storage": "file", "onBusy": "wait", "lockTimeoutMs": 1000 }"#;

async fn opened(tab: &Tab) -> Database {
    tab.open(FILE).await.unwrap()
}

#[test]
fn a_database_in_a_folder_is_there_after_closing_and_after_dying() {
    let (mut world, scratch) = (World::new(), Scratch::new("folder"));
    let processes = Others::default();
    let first = processes.with(1, "a");
    let tab = scratch.tab(&world, first.clone());
    world.sim.run(async move {
        let database = opened(&tab).await;
        run(&database, "CREATE TABLE t(a INTEGER PRIMARY KEY)").await.unwrap();
        database.snapshots().create(None, tidelock::snapshot::Reason::Manual).await.unwrap();
        database.close().await.unwrap();
        let database = opened(&tab).await;
        run(&database, "INSERT INTO t VALUES (1)").await.unwrap();
        let health = database.health().await;
        assert_eq!((health.storage.kind, health.storage.persisted), ("file", Some(true)));
        assert_eq!((health.lock.state, health.lock.epoch), (LockState::Held, Some(2)));
        assert_eq!(database.persist().await, Ok(true));
        std::mem::forget(database);
    });
    world.kill();
    first.end();
    let tab = scratch.tab(&world, processes.with(2, "b"));
    world.sim.run(async move {
        let database = opened(&tab).await;
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [1]);
        assert_eq!(database.snapshots().list().len(), 1);
        database.close().await.unwrap();
    });
}

#[test]
fn the_folders_holder_is_reported_and_waited_for() {
    let (mut world, scratch) = (World::new(), Scratch::new("busy"));
    let processes = Others::default();
    let (one, two) = (scratch.tab(&world, processes.with(1, "a")), scratch.tab(&world, processes.with(2, "b")));
    world.sim.run(async move {
        let clock = one.ports.platform.clock.clone();
        let first = opened(&one).await;
        let refused = two.open(FILE).await.err().unwrap();
        assert_eq!(refused.code, ErrorCode::DatabaseInUse);
        assert!(serde_json::to_string(&refused).unwrap().contains(r#""holder":{"id":"1-"#));
        assert_eq!(one.open(FILE).await.err().unwrap().code, ErrorCode::DatabaseInUse, "the same process");
        assert_eq!(two.open(WAIT).await.err().unwrap().code, ErrorCode::LockTimeout);
        for how in ["takeover", "steal"] {
            let options = format!(r#"{{ "storage": "file", "onBusy": "{how}" }}"#);
            assert_eq!(two.open(&options).await.err().unwrap().code, ErrorCode::UnsupportedEnvironment);
        }
        run(&first, "CREATE TABLE t(a)").await.unwrap();
        let closing = async {
            clock.sleep(500).await;
            first.close().await.unwrap();
        };
        let (second, ()) = futures_util::future::join(two.open(WAIT), closing).await;
        let second = second.unwrap();
        assert_eq!(numbers(&second, "SELECT count(*) FROM t").await, [0]);
        second.close().await.unwrap();
    });
}

#[test]
fn a_dead_owners_lock_is_replaced_and_a_living_ones_never() {
    let (mut world, scratch) = (World::new(), Scratch::new("dead"));
    let processes = Others::default();
    let (one, two) = (processes.with(1, "a"), processes.with(2, "b"));
    let (first, second) = (scratch.lock(&world, one.clone()), scratch.lock(&world, two));
    let folder = scratch.0.clone();
    world.sim.run(async move {
        let held = first.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        assert!(second.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none());
        // The process is killed, and another process gets its id.
        std::mem::forget(held);
        one.end();
        let _ = processes.with(1, "later");
        let held = second.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        assert!(second.holder("shop").await.unwrap().starts_with("2-"));
        assert!(first.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none());
        held.release().await;
        assert_eq!(second.holder("shop").await, None);
        // A lock file damaged by a power cut has no owner.
        std::fs::write(folder.join("lock.7"), [0; 100]).unwrap();
        let held = second.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        drop(held);
    });
    assert_eq!(scratch.names(), ["lock.8"]);
}

#[test]
fn of_many_that_want_a_dead_owners_lock_one_gets_it() {
    let (mut world, scratch) = (World::new(), Scratch::new("race"));
    let processes = Others::default();
    let dead = processes.with(999, "x");
    let platform = world.sim.platform();
    let lock = |who: Others| FileLocks::new(scratch.files(), Rc::new(who), platform.clone());
    let (first, all) = (lock(dead.clone()), (1..=8).map(|pid| lock(processes.with(pid, "y"))).collect::<Vec<_>>());
    world.sim.run(async move {
        for _ in 0..5 {
            std::mem::forget(first.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap());
            dead.end();
            let takes = all.iter().map(|lock| lock.acquire("shop", Acquire::IfAvailable));
            let taken: Vec<_> =
                futures_util::future::join_all(takes).await.into_iter().filter_map(|taken| taken.unwrap()).collect();
            assert_eq!(taken.len(), 1);
            drop(taken);
            let _ = dead.with(999, "x");
        }
    });
}

/// The processes of another machine.
struct Elsewhere(Others);

impl Processes for Elsewhere {
    fn me(&self) -> Process {
        Process { host: "there".into(), ..self.0.me() }
    }

    fn began(&self, pid: u32) -> Option<String> {
        self.0.began(pid)
    }
}

#[test]
fn an_owner_elsewhere_has_the_lock_as_long_as_its_beats_are_seen() {
    let (mut world, scratch) = (World::new(), Scratch::new("elsewhere"));
    let processes = Others::default();
    let first = scratch.lock(&world, Elsewhere(processes.with(1, "a")));
    let second = scratch.lock(&world, processes.with(2, "b"));
    let (clock, folder) = (world.sim.platform().clock, scratch.0.clone());
    world.sim.run(async move {
        let held = first.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        for _ in 0..20 {
            let began = clock.monotonic_ms();
            assert!(second.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none());
            assert!(clock.monotonic_ms() - began < 2_500.0);
            assert!(second.holder("shop").await.unwrap().starts_with("1-"));
        }
        held.release().await;
        drop(second.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap());
        // One that was killed, at no time.
        std::fs::write(
            folder.join("lock.3"),
            "tidelock\nid 1-x\npid 1\nthread 1\nbegan a\nhost there\nsince then\nbeat 3",
        )
        .unwrap();
        let began = clock.monotonic_ms();
        let taken = second.acquire("shop", Acquire::IfAvailable);
        let Either::Left((taken, _)) = select(taken, clock.sleep(20_000)).await else { panic!("it waits for ever") };
        let held = taken.unwrap().unwrap();
        assert!(clock.monotonic_ms() - began >= 10_000.0);
        assert!(first.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none());
        held.release().await;
    });
    assert_eq!(scratch.names(), ["lock.4"]);
}

#[test]
fn who_released_a_lock_while_its_folder_was_elsewhere_releases_it_there_when_it_is_back() {
    let (mut world, scratch) = (World::new(), Scratch::new("moved"));
    let processes = Others::default();
    let (one, two) = (processes.with(1, "a"), processes.with(2, "b"));
    let (first, second) = (scratch.lock(&world, one.clone()), scratch.lock(&world, two));
    let (clock, folder) = (world.sim.platform().clock, scratch.0.clone());
    world.sim.run(async move {
        let held = first.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        let elsewhere = folder.with_extension("elsewhere");
        std::fs::rename(&folder, &elsewhere).unwrap();
        held.release().await;
        clock.sleep(60_000).await;
        std::fs::rename(&elsewhere, &folder).unwrap();
        assert!(second.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none());
        clock.sleep(2_000).await;
        let held = second.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        clock.sleep(10_000).await;
        assert!(first.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none());
        held.release().await;
    });
}

#[test]
fn an_owner_that_was_taken_for_dead_learns_that_it_lost_the_lock() {
    let (mut world, scratch) = (World::new(), Scratch::new("replaced"));
    let processes = Others::default();
    let (one, two) = (processes.with(1, "a"), processes.with(2, "b"));
    let (first, second) = (scratch.tab(&world, one.clone()), scratch.tab(&world, two));
    world.sim.run(async move {
        let clock = first.ports.platform.clock.clone();
        let database = opened(&first).await;
        run(&database, "CREATE TABLE t(a)").await.unwrap();
        // As from another container that sees no beat.
        one.end();
        opened(&second).await.close().await.unwrap();
        clock.sleep(3_000).await;
        assert_eq!(
            run(&database, "SELECT 1").await.unwrap_err().code,
            ErrorCode::LockLost,
            "a read, which asks no file"
        );
        database.close().await.unwrap();
    });
}

#[test]
fn a_lock_that_another_process_took_ends() {
    let (mut world, scratch) = (World::new(), Scratch::new("taken"));
    let processes = Others::default();
    let (one, two) = (processes.with(1, "a"), processes.with(2, "b"));
    let (first, second) = (scratch.lock(&world, one.clone()), scratch.lock(&world, two));
    world.sim.run(async move {
        let held = first.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        let ended = held.ended();
        one.end();
        let taken = second.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        assert!(ended.await, "it was replaced");
        taken.release().await;
        held.release().await;
    });
}

/// A disk that lets a process be slow: a file that it reads is still empty the first time, or others work before it creates
/// its own. A full one has room for a file only while the reserve is empty.
struct Slow {
    disk: Rc<Disk>,
    is_empty: Cell<bool>,
    is_full: Cell<bool>,
    before_creation: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl Slow {
    fn new(disk: Rc<Disk>) -> Self {
        Self { disk, is_empty: Cell::new(false), is_full: Cell::new(false), before_creation: RefCell::new(None) }
    }
}

impl Files for Slow {
    fn prepare(&self, names: Vec<String>) -> LocalFuture<'static, Result<()>> {
        self.disk.prepare(names)
    }

    fn list(&self) -> Result<Vec<String>> {
        self.disk.list()
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        self.disk.size(name)
    }

    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        if self.is_empty.replace(false) { Ok(Some(Vec::new())) } else { self.disk.read(name, at, length) }
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        self.disk.write(name, at, bytes)
    }

    fn truncate(&self, name: &str, bytes: u64) -> Result<()> {
        self.disk.truncate(name, bytes)
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.disk.sync(name)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.disk.remove(name)
    }

    fn close(&self) {
        self.disk.close();
    }
}

impl LockFiles for Slow {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        if let Some(work) = self.before_creation.take() {
            work();
        }
        if self.is_full.get() && self.size(RESERVE)? != Some(0) {
            return Err(Error::new(ErrorCode::StorageQuotaExceeded, "The disk is full"));
        }
        self.disk.create(name, bytes)
    }
}

#[test]
fn a_lock_that_was_being_created_is_not_taken_for_a_released_one() {
    let (mut world, scratch) = (World::new(), Scratch::new("slow"));
    let processes = Others::default();
    let platform = world.sim.platform();
    let first = FileLocks::new(scratch.files(), Rc::new(processes.with(1, "a")), platform.clone());
    let slow = Rc::new(Slow { is_empty: Cell::new(true), ..Slow::new(scratch.files()) });
    let second = FileLocks::new(slow, Rc::new(processes.with(2, "b")), platform);
    world.sim.run(async move {
        let held = first.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        assert!(second.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none());
        held.release().await;
    });
    assert_eq!(scratch.names(), ["lock.1"]);
}

#[test]
fn a_process_that_was_slow_does_not_get_the_lock_under_a_number_that_was_in_use_before() {
    let (mut world, scratch) = (World::new(), Scratch::new("late"));
    let processes = Others::default();
    let platform = world.sim.platform();
    let lock = |pid| FileLocks::new(scratch.files(), Rc::new(processes.with(pid, "a")), platform.clone());
    let (first, second, slow) = (lock(1), lock(2), Rc::new(Slow::new(scratch.files())));
    let late = FileLocks::new(slow.clone(), Rc::new(processes.with(3, "a")), platform.clone());
    let has = Rc::new(RefCell::new(None));
    let holder = has.clone();
    slow.before_creation.replace(Some(Box::new(move || {
        // The number that the slow one found free is taken and released, and the next one taken: then it is free again.
        let take = |locks: &FileLocks| locks.acquire("shop", Acquire::IfAvailable).now_or_never().unwrap().unwrap();
        drop(take(&first).unwrap());
        holder.replace(take(&second));
    })));
    world.sim.run(async move { assert!(late.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none()) });
    assert_eq!(scratch.names(), ["lock.2"]);
    assert!(has.take().is_some());
}

#[test]
fn a_holder_whose_folder_was_deleted_leaves_the_lock_of_the_next_one_alone() {
    let (mut world, scratch) = (World::new(), Scratch::new("deleted"));
    let processes = Others::default();
    let lock = |pid| FileLocks::new(scratch.files(), Rc::new(processes.with(pid, "a")), world.sim.platform());
    let (first, second, third) = (lock(1), lock(2), lock(3));
    let folder = scratch.0.clone();
    world.sim.run(async move {
        let old = first.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        let held = second.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap();
        let file = folder.join("lock.1");
        let text = std::fs::read_to_string(&file).unwrap();
        old.release().await;
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
        assert!(third.acquire("shop", Acquire::IfAvailable).await.unwrap().is_none());
        held.release().await;
        drop(third.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap());
    });
    assert_eq!(scratch.names(), ["lock.2"]);
}

#[test]
fn this_process_knows_itself() {
    let me = OwnProcess.me();
    assert_eq!(me.pid, std::process::id());
    assert_eq!(OwnProcess.began(me.pid).as_deref(), Some(me.began.as_str()));
    assert!(!me.host.is_empty() && !me.began.is_empty());
    let mut child = std::process::Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    assert_eq!(OwnProcess.began(child.id()), None);
}

#[test]
fn a_lock_file_with_the_highest_possible_number_is_refused() {
    let scratch = Scratch::new("number");
    std::fs::create_dir_all(&scratch.0).unwrap();
    std::fs::write(scratch.0.join(format!("lock.{}", u64::MAX)), "").unwrap();
    let mut world = World::new();
    let platform = world.sim.platform();
    let locks = FileLocks::new(scratch.files(), Rc::new(Others::default().with(7, "a")), platform);
    let taken = world.sim.run(async move { locks.acquire("x", Acquire::IfAvailable).await.map(|lock| lock.is_some()) });
    assert_eq!(taken.unwrap_err().code, ErrorCode::DatabaseCorrupt);
}

#[test]
fn on_a_full_disk_the_lock_file_takes_its_space_from_the_reserve() {
    let (mut world, scratch) = (World::new(), Scratch::new("full"));
    let disk = Rc::new(Slow { is_full: Cell::new(true), ..Slow::new(scratch.files()) });
    let locks = FileLocks::new(disk.clone(), Rc::new(Others::default().with(1, "a")), world.sim.platform());
    world.sim.run(async move {
        let refused = locks.acquire("shop", Acquire::IfAvailable).await.map(drop).unwrap_err();
        assert_eq!(refused.code, ErrorCode::StorageQuotaExceeded);
        disk.prepare(vec![RESERVE.to_owned()]).await.unwrap();
        disk.is_full.set(false);
        refill_reserve(&*disk);
        disk.is_full.set(true);
        drop(locks.acquire("shop", Acquire::IfAvailable).await.unwrap().unwrap());
        assert!(disk.size(RESERVE).unwrap().unwrap() > 0, "what is left is taken again");
    });
    assert_eq!(scratch.names(), ["lock.1", "reserve"]);
}

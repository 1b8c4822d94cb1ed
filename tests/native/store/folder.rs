//! The store over files: on a real folder, and on a simulated disk that stops at any operation.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    future::poll_fn,
    mem::replace,
    path::PathBuf,
    rc::Rc,
    task::Poll,
};

use futures_util::future::join;
use tidelock::{
    Error, ErrorCode, Result, Value,
    engine::storage::flush::FlushPolicy,
    error::WarningCode,
    ports::{
        ChunkId, Durability, Files, Guard, HeadInfo, Holder, Key, LocalFuture, Store, Transaction, Write, sim::Sim,
    },
    snapshot::Reason,
    store::{
        Contents, Rekeyed, Storage, chunk,
        conformance::{CASES, Handles},
        folder::{Disk, FolderStore},
        sealed::SealedStore,
    },
};

use super::{
    bench::{key, vault},
    damaged_segment::frames,
    hostile_folder::{HEADER, PUT_CHUNK},
    later_files::LaterFiles,
    page::{Page, by_call_only},
};
use crate::sample::Sample;

/// A temporary folder, removed at the end of the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("tidelock-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn store(&self) -> Rc<dyn Store> {
        Rc::new(FolderStore::new(Rc::new(Disk::new(&self.0))))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_folder_conforms() {
    for (number, (name, case)) in CASES.iter().enumerate() {
        println!("{name}");
        let scratch = Scratch::new(&format!("conformance-{number}"));
        Sim::new(1).run(case(Handles { a: scratch.store(), b: scratch.store() }));
    }
}

#[test]
fn an_encrypted_folder_conforms() {
    for (number, (name, case)) in CASES.iter().enumerate() {
        println!("{name}");
        let scratch = Scratch::new(&format!("sealed-{number}"));
        let (mut sim, store) = (Sim::new(1), scratch.store());
        let vault = vault(&sim.platform(), key(1));
        sim.run(async move {
            let store = SealedStore::open(store, &vault).await.unwrap();
            case(Handles { a: Rc::new(store.clone()), b: Rc::new(store) }).await;
        });
    }
}

#[test]
fn a_folder_whose_key_changes_keeps_nothing_of_the_old_form() {
    const MARKER: &str = "marker-in-a-folder";
    let scratch = Scratch::new("rekey");
    let (mut sim, store) = (Sim::new(1), scratch.store());
    let platform = sim.platform();
    let (open, first) = (platform.clone(), store.clone());
    let page = sim.run(async move { Page::open(first, &open).await.unwrap() });
    let vault = vault(&platform, key(1));
    let (on, secret) = (page.clone(), vault.clone());
    sim.run(async move {
        on.commit(&format!("CREATE TABLE t(v); INSERT INTO t VALUES ('{MARKER}')")).await.unwrap();
        on.snapshots.create(Some(MARKER.into()), Reason::Manual).await.unwrap();
        on.commit(&format!("INSERT INTO t VALUES ('{MARKER}')")).await.unwrap();
        assert_eq!(on.storage.rekey(Some(&secret)).await, Rekeyed::Done);
        on.commit(&format!("INSERT INTO t VALUES ('{MARKER}')")).await.unwrap();
    });
    sim.run(async move { store.close().await }).unwrap();
    let mut folders = vec![scratch.0.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()), "{path:?}");
        }
    }
    let (sealed, lower) = (vault, scratch.store());
    let again = sim.run(async move {
        let store = SealedStore::open(lower, &sealed).await.unwrap();
        Page::open(Rc::new(store), &platform).await.unwrap()
    });
    assert_eq!((again.number("SELECT count(*) FROM t"), again.snapshots.list().len()), (3, 1));
}

#[test]
fn damage_among_closed_commits_is_reported() {
    // The last one, too, which no later record follows.
    for damaged in [b"commit 2", b"commit 5"] {
        let scratch = Scratch::new("damage");
        let (mut sim, store) = (Sim::new(1), scratch.store());
        let platform = sim.platform();
        let (open, first) = (platform.clone(), store.clone());
        sim.run(async move {
            let page = Page::open(first, &open).await.unwrap();
            page.commit("CREATE TABLE t(v)").await.unwrap();
            for number in 0..6 {
                page.commit(&format!("INSERT INTO t VALUES ('commit {number}')")).await.unwrap();
            }
        });
        sim.run(async move { store.close().await }).unwrap();
        let journal = scratch.0.join("journal.1");
        let mut bytes = std::fs::read(&journal).unwrap();
        let at = bytes.windows(8).position(|window| window == damaged).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&journal, &bytes).unwrap();
        let (again, opening) = (scratch.store(), platform.clone());
        let error = sim.run(async move { Page::open(again, &opening).await.map(drop).unwrap_err() });
        assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{error}");
        assert_eq!(std::fs::read(&journal).unwrap(), bytes, "nothing was cut off");
        let number = i64::from(damaged[7] - b'0');
        let store = scratch.store();
        let page = sim.run(async move {
            let report = Storage::recover(store.clone(), &platform, Holder::default(), None).await.unwrap();
            assert_eq!(report.lost_batches, 6 - number as u64);
            Page::open(store, &platform).await.unwrap()
        });
        assert_eq!(page.number("SELECT count(*) FROM t"), number);
    }
}

#[test]
fn what_was_written_before_a_failure_is_synced_when_the_database_is_closed() {
    let disk = SimDisk::default();
    let (mut sim, store) = (Sim::new(1), disk.store_of(1 << 20));
    let platform = sim.platform();
    let (opening, again) = (platform.clone(), store.clone());
    let page = sim.run(async move {
        let page = Page::open(store, &opening).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        page.commit("INSERT INTO t VALUES (1)").await.unwrap();
        again.reopen().await.unwrap();
        page.storage.close().await.unwrap();
        page
    });
    drop(page);
    disk.cut_power(&mut |_| 0);
    let store = disk.store_of(1 << 20);
    let page = sim.run(async move { Page::open(store, &platform).await.unwrap() });
    assert_eq!(page.number("SELECT count(*) FROM t"), 1);
}

#[test]
fn damage_among_commits_that_were_not_synced_is_told_though_it_may_be_of_a_power_cut() {
    for damaged in 0..6 {
        let scratch = Scratch::new("unsynced");
        let (mut sim, store) = (Sim::new(1), scratch.store());
        let platform = sim.platform();
        let open = platform.clone();
        sim.run(async move {
            let page = Page::open(store, &open).await.unwrap();
            page.commit("CREATE TABLE t(v)").await.unwrap();
            for number in 0..6 {
                page.commit(&format!("INSERT INTO t VALUES ('commit {number}')")).await.unwrap();
            }
        });
        sim.kill();
        let journal = scratch.0.join("journal.1");
        let mut bytes = std::fs::read(&journal).unwrap();
        let commit = format!("commit {damaged}");
        let at = bytes.windows(8).position(|window| window == commit.as_bytes()).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&journal, &bytes).unwrap();
        for is_told in [true, false] {
            let (again, opening) = (scratch.store(), platform.clone());
            let page = sim.run(async move { Page::open(again, &opening).await.unwrap() });
            assert_eq!(page.number("SELECT count(*) FROM t"), damaged);
            let warnings: Vec<_> = page.warnings.iter().map(|warning| warning.code).collect();
            assert_eq!(warnings, if is_told { vec![WarningCode::StorageDamaged] } else { vec![] }, "commit {damaged}");
            sim.kill();
        }
    }
}

/// Three snapshots without a change between them share their chunk, and the log before them is deleted.
#[test]
fn a_damaged_frame_of_a_chunk_that_all_snapshots_share_costs_nothing() {
    let scratch = Scratch::new("shared-chunk");
    let (mut sim, store) = (Sim::new(1), scratch.store());
    let platform = sim.platform();
    let open = platform.clone();
    sim.run(async move {
        let page = Page::open(store.clone(), &open).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        // Of more than one chunk, for the first one has a copy.
        page.commit("INSERT INTO t VALUES (hex(randomblob(50000)))").await.unwrap();
        for _ in 0..3 {
            page.snapshots.create(None, Reason::Manual).await.unwrap();
        }
        store.close().await.unwrap();
    });
    let names = ["journal.1", "pack.1"];
    let files = names.map(|name| std::fs::read(scratch.0.join(name)).unwrap());
    let chunks: Vec<_> = frames(&files[0]).into_iter().filter(|(_, kind, _)| *kind == PUT_CHUNK).collect();
    assert!(chunks.len() >= 6, "each stands twice");
    for (at, _, length) in chunks {
        for offset in [at, at + HEADER, at + length - 1] {
            let damaged = Scratch::new("shared-chunk-damaged");
            std::fs::create_dir_all(&damaged.0).unwrap();
            for (name, bytes) in names.iter().zip(&files) {
                std::fs::write(damaged.0.join(name), bytes).unwrap();
            }
            let mut journal = files[0].clone();
            journal[offset] ^= 1;
            std::fs::write(damaged.0.join(names[0]), journal).unwrap();
            let (store, open) = (damaged.store(), platform.clone());
            let page = sim.run(async move { Page::open(store, &open).await.unwrap() });
            assert_eq!((page.number("SELECT count(*) FROM t"), page.snapshots.list().len()), (1, 3), "{offset}");
            sim.kill();
        }
    }
}

#[test]
fn an_opening_syncs_what_a_killed_process_left_so_that_later_damage_is_refused() {
    let scratch = Scratch::new("reopened");
    let mut sim = Sim::new(1);
    let platform = sim.platform();
    for session in 0..2 {
        let (store, open) = (scratch.store(), platform.clone());
        sim.run(async move {
            let page = Page::open(store, &open).await.unwrap();
            if session == 0 {
                page.commit("CREATE TABLE t(v)").await.unwrap();
                page.commit("INSERT INTO t VALUES ('commit 1')").await.unwrap();
                page.commit("INSERT INTO t VALUES ('commit 2')").await.unwrap();
            }
        });
        sim.kill();
    }
    let journal = scratch.0.join("journal.1");
    let mut bytes = std::fs::read(&journal).unwrap();
    for commit in [b"commit 1", b"commit 2"] {
        let at = bytes.windows(8).position(|window| window == commit).unwrap();
        bytes[at] ^= 1;
        std::fs::write(&journal, &bytes).unwrap();
        let (store, open) = (scratch.store(), platform.clone());
        let error = sim.run(async move { Page::open(store, &open).await.map(drop).unwrap_err() });
        assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
        bytes[at] ^= 1;
    }
}

#[test]
fn the_simulated_disk_conforms() {
    for (name, case) in CASES {
        println!("{name}");
        let disk = SimDisk::default();
        Sim::new(1).run(case(Handles { a: disk.store(), b: disk.store() }));
    }
}

#[test]
fn a_fenced_out_holder_opens_no_file_again() {
    let disk = SimDisk::default();
    Sim::new(1).run(async move {
        let (store, mut chance, mut model) = (disk.store(), Chance(1), Model::default());
        let (claim, lsn) = model.step(&mut chance);
        store.write(claim.clone()).await.unwrap();
        model.apply(&claim, lsn);
        let chunk = |chance: &mut Chance| Transaction {
            guard: Guard::Head(model.contents.head.clone()),
            require: vec![],
            writes: vec![a_chunk(chance)],
            durability: Durability::Strict,
        };
        assert!(disk.0.open.get());
        // The lock is lost while a file is opened.
        let (written, ()) = join(store.write(chunk(&mut chance)), async { store.yield_to_holder() }).await;
        let later = [store.reopen().await, store.write(chunk(&mut chance)).await, store.head().await.map(drop)];
        for result in later.into_iter().chain([written]) {
            assert_eq!(result.unwrap_err().code, ErrorCode::LockLost);
        }
        assert!(!disk.0.open.get());
        // The new holder is not disturbed.
        let other = disk.store();
        other.write(chunk(&mut chance)).await.unwrap();
        assert_eq!(other.chunk_ids().await.unwrap().len(), 1);
    });
}

/// A store on this disk that has claimed its database.
async fn claimed(disk: &SimDisk) -> Rc<dyn Store> {
    let store = disk.store();
    let (claim, _) = Model::default().step(&mut Chance(1));
    store.write(claim).await.unwrap();
    store
}

/// A transaction that needs no head, as batches of the log don't.
fn unguarded(writes: Vec<Write>) -> Transaction {
    Transaction { guard: Guard::Nothing, require: vec![], writes, durability: Durability::Relaxed }
}

#[test]
fn a_holder_whose_folder_was_deleted_has_lost_its_lock_and_makes_no_other() {
    let disk = SimDisk::default();
    Sim::new(1).run(async move {
        let store = claimed(&disk).await;
        disk.clear();
        let batch = unguarded(vec![Write::Add((2, 0), vec![1; 100])]);
        let error = store.write(batch).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::LockLost);
        assert!(error.message.contains("removed or moved"), "{error}");
        assert_eq!(disk.list().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_holder_that_connects_again_after_its_folder_was_deleted_makes_no_other() {
    let disk = SimDisk::default();
    Sim::new(1).run(async move {
        let store = claimed(&disk).await;
        disk.clear();
        assert_eq!(store.reopen().await.unwrap_err().code, ErrorCode::LockLost);
        let batch = unguarded(vec![Write::Add((2, 0), vec![1; 100])]);
        assert_eq!(store.write(batch).await.unwrap_err().code, ErrorCode::LockLost);
        assert_eq!(disk.list().unwrap(), Vec::<String>::new());
    });
}

#[test]
fn chunks_that_a_full_disk_refuses_give_their_space_back() {
    let disk = SimDisk::default();
    Sim::new(1).run(async move {
        let (store, mut chance) = (claimed(&disk).await, Chance(1));
        let used = disk.used();
        disk.set_capacity(used as u64 + 1000);
        let chunks = unguarded((0..10).map(|_| a_chunk(&mut chance)).collect());
        assert_eq!(store.write(chunks).await.unwrap_err().code, ErrorCode::StorageQuotaExceeded);
        assert_eq!(disk.used(), used);
    });
}

#[test]
fn a_folder_that_was_moved_is_no_damage_and_goes_on_when_it_is_back() {
    let (disk, elsewhere) = (SimDisk::default(), SimDisk::default());
    let mut sim = Sim::new(1);
    let (on, platform) = (disk.clone(), sim.platform());
    sim.run(async move {
        let policy = FlushPolicy::Immediate(Durability::Relaxed);
        let page = Page::open_paged(on.store(), &platform, policy, by_call_only(), Some(1)).await.unwrap();
        page.commit("CREATE TABLE t(b)").await.unwrap();
        let fill = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
            INSERT INTO t SELECT randomblob(3000) FROM n";
        page.commit(fill).await.unwrap();
        page.snapshots.create(None, Reason::Manual).await.unwrap();
        page.connection.exec("PRAGMA shrink_memory").unwrap();
        on.exchange_names(&elsewhere);
        let error = page.connection.value("SELECT sum(length(b)) FROM t", &[]).unwrap_err();
        assert_eq!(error.code, ErrorCode::LockLost, "{error}");
        assert!(error.message.contains("removed or moved"), "{error}");
        on.exchange_names(&elsewhere);
        let sum = page.connection.value("SELECT sum(length(b)) FROM t", &[]).unwrap();
        assert_eq!(sum, Some(Value::Integer(900_000)));
    });
}

#[test]
fn a_segment_of_less_than_a_frame_never_hides_the_one_before() {
    let disk = SimDisk::default();
    Sim::new(1).run(async move {
        let store = claimed(&disk).await;
        store.close().await.unwrap();
        for length in [1, 3, 35] {
            disk.make(&["journal.2".to_owned()]).unwrap();
            disk.change("journal.2", |bytes| *bytes = vec![b'x'; length]);
            assert!(disk.store().head().await.unwrap().is_some(), "{length} bytes");
        }
        // Damaged frames may have been the database's newest state.
        disk.change("journal.2", |bytes| *bytes = vec![b'x'; 36]);
        assert_eq!(disk.store().head().await.unwrap_err().code, ErrorCode::DatabaseCorrupt);
    });
}

/// Returns at most `length` bytes from `at` on; none behind the end.
pub fn part(bytes: &[u8], at: u64, length: usize) -> &[u8] {
    let from = bytes.len().min(at as usize);
    &bytes[from..bytes.len().min(from.saturating_add(length))]
}

/// A simulated disk that records which data is synced, and can stop before any operation.
#[derive(Clone, Default)]
pub struct SimDisk(Rc<DiskState>);

#[derive(Default)]
struct DiskState {
    files: RefCell<Vec<File>>,
    /// The current names, and the names that survive a power cut, with the indexes of their files.
    names: RefCell<BTreeMap<String, usize>>,
    synced_names: RefCell<BTreeMap<String, usize>>,
    /// The number of operations so far, and the operation before which the disk stops.
    operations: Cell<u64>,
    stop_at: Cell<u64>,
    /// The stored share of an interrupted write, in thousandths.
    torn: Cell<u64>,
    /// Fails only that operation instead of stopping.
    fail_once: Cell<bool>,
    /// How many bytes all files together may have; 0: any number.
    capacity: Cell<u64>,
    /// Whether files are open, which keeps others from opening them in a browser.
    open: Cell<bool>,
    /// What is listed next, once: another process writes meanwhile.
    listed_before: RefCell<Option<Vec<String>>>,
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    /// The bytes that survive a power cut.
    synced: Vec<u8>,
}

impl SimDisk {
    pub fn store(&self) -> Rc<dyn Store> {
        // Small segments and packs, so that a short workload fills some.
        self.store_of(8000)
    }

    /// Returns a store whose segments become that long.
    pub fn store_of(&self, segment_bytes: u64) -> Rc<dyn Store> {
        Rc::new(FolderStore::with_sizes(Rc::new(LaterFiles::new(self)), segment_bytes, 3000))
    }

    /// Returns a store for a recovery.
    pub fn older(&self) -> Rc<dyn Store> {
        Rc::new(FolderStore::older(Rc::new(self.clone())))
    }

    /// Counts an operation that changes the disk. Fails if the disk has stopped.
    fn step(&self) -> Result<()> {
        let operation = self.0.operations.get();
        self.0.operations.set(operation + 1);
        let stopped = self.0.stop_at.get();
        if stopped == 0 || operation < stopped || self.0.fail_once.get() && operation > stopped {
            return Ok(());
        }
        Err(Error::new(ErrorCode::StorageQuotaExceeded, "the simulated disk has stopped"))
    }

    /// Stops before that operation, and tears it if it is a write: that many thousandths of it are stored.
    pub fn stop_at(&self, operation: u64, torn: u64) {
        self.0.stop_at.set(operation);
        self.0.torn.set(torn);
    }

    /// Limits the bytes of all files together: a write beyond that stores a part.
    pub fn set_capacity(&self, bytes: u64) {
        self.0.capacity.set(bytes);
    }

    /// Returns the bytes of all files together.
    pub fn used(&self) -> usize {
        let files = self.0.files.borrow();
        self.0.names.borrow().values().map(|file| files[*file].bytes.len()).sum()
    }

    /// Returns how many bytes can still be written.
    fn free(&self) -> usize {
        match self.0.capacity.get() {
            0 => usize::MAX,
            capacity => (capacity as usize).saturating_sub(self.used()),
        }
    }

    /// Gives the folder another name, or its name back.
    pub fn exchange_names(&self, other: &Self) {
        self.0.names.swap(&other.0.names);
        self.0.synced_names.swap(&other.0.synced_names);
        self.0.files.swap(&other.0.files);
    }

    /// Returns the names of all files.
    pub fn names(&self) -> Vec<String> {
        self.0.names.borrow().keys().cloned().collect()
    }

    /// Lists these names the next time.
    pub fn list_once(&self, names: Vec<String>) {
        self.0.listed_before.replace(Some(names));
    }

    /// Returns how many operations there were.
    pub fn operations(&self) -> u64 {
        self.0.operations.get()
    }

    /// Returns a copy of the disk.
    pub fn copied(&self) -> Self {
        let copy = Self::default();
        copy.0.files.borrow_mut().clone_from(&self.0.files.borrow());
        copy.0.names.borrow_mut().clone_from(&self.0.names.borrow());
        copy.0.synced_names.borrow_mut().clone_from(&self.0.synced_names.borrow());
        copy
    }

    /// Adds a file.
    pub fn add(&self, name: &str, bytes: Vec<u8>) {
        self.make(&[name.to_owned()]).unwrap();
        self.change(name, |file| file.clone_from(&bytes));
    }

    /// Changes the bytes of a file, also those that a power cut leaves.
    pub fn change(&self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        self.with(name, |file| {
            change(&mut file.bytes);
            change(&mut file.synced);
        });
    }

    /// Removes all files.
    pub fn clear(&self) {
        self.0.names.borrow_mut().clear();
        self.0.synced_names.borrow_mut().clear();
    }

    /// Cuts the power: synced data stays. `chance` selects which other data stays: none, all, or parts. Returns whether parts
    /// stayed.
    pub fn cut_power(&self, chance: &mut dyn FnMut(u64) -> u64) -> bool {
        let mut has_parts = false;
        for file in self.0.files.borrow_mut().iter_mut() {
            let synced = file.synced.len();
            match chance(3) {
                0 => file.bytes = file.synced.clone(),
                1 => {
                    let length = synced + chance((file.bytes.len().saturating_sub(synced) + 1) as u64) as usize;
                    file.bytes.truncate(length);
                    has_parts |= length > synced;
                    for (at, byte) in file.bytes.iter_mut().enumerate().skip(synced) {
                        *byte *= (at / 64 % 2) as u8;
                    }
                }
                _ => {}
            }
            file.synced = file.bytes.clone();
        }
        // Each name is kept or lost independently.
        let (mut now, mut then) = (self.0.names.borrow_mut(), self.0.synced_names.borrow_mut());
        let all: Vec<String> = now.keys().chain(then.keys()).cloned().collect();
        for name in all {
            let file = [now.get(&name).copied(), then.get(&name).copied()][chance(2) as usize];
            for names in [&mut now, &mut then] {
                match file {
                    Some(file) => _ = names.insert(name.clone(), file),
                    None => _ = names.remove(&name),
                }
            }
        }
        has_parts
    }

    /// Restarts the machine.
    pub fn restart(&self) {
        self.0.stop_at.set(0);
    }
}

impl SimDisk {
    fn make(&self, names: &[String]) -> Result<()> {
        let missing: Vec<&String> = names.iter().filter(|name| !self.0.names.borrow().contains_key(*name)).collect();
        if missing.is_empty() {
            return Ok(());
        }
        for name in missing {
            self.step()?;
            self.0.names.borrow_mut().insert(name.clone(), self.0.files.borrow().len());
            self.0.files.borrow_mut().push(File::default());
        }
        self.step()?;
        self.0.synced_names.borrow_mut().clone_from(&self.0.names.borrow());
        Ok(())
    }

    fn with<T>(&self, name: &str, work: impl FnOnce(&mut File) -> T) -> Option<T> {
        let index = *self.0.names.borrow().get(name)?;
        Some(work(&mut self.0.files.borrow_mut()[index]))
    }
}

impl Files for SimDisk {
    fn prepare(&self, names: Vec<String>) -> LocalFuture<'static, Result<()>> {
        let (disk, made) = (self.clone(), self.make(&names));
        Box::pin(async move {
            // As in a browser, files are opened asynchronously.
            let mut waited = false;
            poll_fn(|context| {
                context.waker().wake_by_ref();
                if replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
            disk.0.open.set(true);
            made
        })
    }

    fn list(&self) -> Result<Vec<String>> {
        let before = self.0.listed_before.take();
        Ok(before.unwrap_or_else(|| self.names()))
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.with(name, |file| file.bytes.len() as u64))
    }

    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        Ok(self.with(name, |file| part(&file.bytes, at, length).to_vec()))
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        let mut result = self.step();
        let mut through = match result {
            Ok(()) => bytes.len(),
            Err(_) => bytes.len() * self.0.torn.get() as usize / 1000,
        };
        let room = self.free().saturating_add(self.size(name)?.unwrap_or(0).saturating_sub(at) as usize);
        if room < through {
            through = room;
            result = Err(Error::new(ErrorCode::StorageQuotaExceeded, "the simulated disk is full"));
        }
        let end = at as usize + through;
        let write = |file: &mut File| {
            file.bytes.resize(file.bytes.len().max(end), 0);
            file.bytes[at as usize..end].copy_from_slice(&bytes[..through]);
        };
        self.with(name, write).expect("is prepared");
        result
    }

    fn truncate(&self, name: &str, bytes: u64) -> Result<()> {
        self.step()?;
        self.with(name, |file| file.bytes.resize(bytes as usize, 0)).expect("is there");
        Ok(())
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.step()?;
        self.with(name, |file| file.synced.clone_from(&file.bytes)).expect("is there");
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.step()?;
        self.0.names.borrow_mut().remove(name);
        Ok(())
    }

    fn close(&self) {
        self.0.open.set(false);
    }
}

/// A small generator (splitmix64).
pub struct Chance(pub u64);

impl Chance {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }
}

/// The model of a store, which uses the memory store's rules.
#[derive(Clone, Default)]
struct Model {
    contents: Contents,
    /// The newest lsn ever used.
    lsn: u64,
}

impl Model {
    /// Returns the next step, and the newest lsn after it.
    fn step(&self, chance: &mut Chance) -> (Transaction, u64) {
        let next = self.lsn + 1;
        let durability = if chance.below(3) == 0 { Durability::Strict } else { Durability::Relaxed };
        let guarded = |writes| Transaction {
            guard: Guard::Head(self.contents.head.clone()),
            require: vec![],
            writes,
            durability,
        };
        let put_head = |chance: &mut Chance| Write::PutHead(noise(chance, 100), HeadInfo::default());
        match if self.contents.head.is_none() { 0 } else { chance.below(11) } {
            // Like a claim.
            0 => (guarded(vec![put_head(chance), Write::Add((next, 0), noise(chance, 80))]), next),
            10 => {
                // Like a change of the key: every record in another form, with another head.
                let again = |(key, bytes): (&(u64, u32), &Vec<u8>)| {
                    Write::Put(Key::Log(*key), bytes.iter().rev().copied().collect())
                };
                let mut writes: Vec<Write> = self.contents.log.iter().map(again).collect();
                writes.push(put_head(chance));
                (guarded(writes), self.lsn)
            }
            1 => {
                let cut = self.contents.log.keys().next().map_or(0, |(lsn, _)| lsn - 1);
                let through = cut + chance.below(self.lsn - cut + 1);
                let spare = (1..=self.lsn).filter(|_| chance.below(4) == 0).collect();
                (guarded(vec![Write::CutLog { through, spare }, put_head(chance)]), self.lsn)
            }
            2 | 3 => {
                let mut writes: Vec<Write> = (0..1 + chance.below(3)).map(|_| a_chunk(chance)).collect();
                let newest = self.contents.snapshots.keys().next_back().copied().unwrap_or(0);
                writes.push(Write::Put(Key::Manifest(newest + chance.below(2)), noise(chance, 300)));
                (guarded(writes), self.lsn)
            }
            4 => {
                let generations: Vec<u64> = self.contents.snapshots.keys().copied().collect();
                let mut keys: Vec<Key> = self.contents.chunks.keys().cloned().map(Key::Chunk).collect();
                keys.retain(|_| chance.below(3) == 0);
                if !generations.is_empty() {
                    keys.push(Key::Manifest(generations[chance.below(generations.len() as u64) as usize]));
                }
                (guarded(keys.into_iter().map(Write::Delete).collect()), self.lsn)
            }
            _ => {
                let parts = 0..1 + chance.below(3) as u32;
                let writes = parts.map(|part| Write::Add((next, part), noise(chance, 1100))).collect();
                (Transaction { guard: Guard::Nothing, require: vec![], writes, durability }, next)
            }
        }
    }

    fn apply(&mut self, step: &Transaction, lsn: u64) {
        self.contents.write(step).expect("a sound step");
        self.lsn = lsn;
    }
}

fn noise(chance: &mut Chance, length: usize) -> Vec<u8> {
    let byte = chance.below(256) as u8;
    (0..length).map(|at| byte.wrapping_add(at as u8)).collect()
}

fn a_chunk(chance: &mut Chance) -> Write {
    let plain = vec![chance.below(40) as u8; 700];
    Write::Put(Key::Chunk(chunk::id(&plain)), chunk::encode(&plain, chance.below(2) == 0))
}

/// Returns everything that a store holds, in the memory store's form.
pub async fn everything(store: &dyn Store) -> Contents {
    let mut contents = Contents { head: store.head().await.unwrap(), ..Contents::default() };
    let mut key = (0, u32::MAX);
    loop {
        let records = store.log(key, 3000).await.unwrap();
        let Some((last, _)) = records.last() else { break };
        key = *last;
        for (key, record) in records {
            contents.log.insert(key, record);
        }
    }
    let generations = store.generations().await.unwrap();
    let stored = store.get(generations.iter().copied().map(Key::Manifest).collect()).await.unwrap();
    contents.snapshots = generations.into_iter().zip(stored.into_iter().flatten()).collect();
    let ids = store.chunk_ids().await.unwrap();
    let bytes = store.get(ids.iter().cloned().map(Key::Chunk).collect()).await.unwrap();
    contents.chunks = ids.into_iter().zip(bytes).map(|(id, bytes)| (id, bytes.expect("is there"))).collect();
    contents
}

/// Returns whether two stores hold the same; chunks may differ in their stored form.
fn same(a: &Contents, b: &Contents) -> bool {
    let plain = |contents: &Contents| -> Vec<(ChunkId, Option<Vec<u8>>)> {
        contents.chunks.iter().map(|(id, stored)| (*id, chunk::decode(stored, 700))).collect()
    };
    a.head == b.head && a.log == b.log && a.snapshots == b.snapshots && plain(a) == plain(b)
}

fn is_strict(step: &Transaction) -> bool {
    step.durability == Durability::Strict || step.writes.iter().any(|write| !matches!(write, Write::Add(..)))
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    /// `kill -9`: written data stays.
    Killed,
    /// Data that wasn't synced may be lost, in any order.
    PowerCut,
    /// One operation fails, and the program continues.
    Failure,
}

/// Runs a workload that stops before operation `stop_at`. Returns `false` when it has fewer operations. `most` are the
/// highest numbers of segments and packs so far.
fn run(seed: u64, stop_at: u64, end: End, most: &Rc<[Cell<u64>; 2]>) -> bool {
    let disk = SimDisk::default();
    let mut chance = Chance(seed);
    let mut sim = Sim::new(seed);
    disk.0.torn.set(chance.below(1001));
    disk.0.stop_at.set(stop_at);
    disk.0.fail_once.set(end == End::Failure);
    let (stopping, most) = (disk.clone(), most.clone());
    let place = format!("seed {seed}, operation {stop_at}");
    sim.run(async move {
        let disk = stopping;
        let store = disk.store();
        let mut model = Model::default();
        // The acceptable states: the last acknowledged one, and later ones.
        let mut possible = vec![model.clone()];
        for number in 0..25 {
            if number == 12 && seed.is_multiple_of(2) {
                // From here on, little room but what goes makes.
                disk.set_capacity((disk.used() as u64 + chance.below(1000)).max(1));
            }
            let (step, log_end) = model.step(&mut chance);
            let mut next = model.clone();
            next.apply(&step, log_end);
            match store.write(step.clone()).await {
                Ok(()) => {
                    if end != End::PowerCut || is_strict(&step) {
                        possible.clear();
                    }
                    possible.push(next.clone());
                    model = next;
                }
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::StorageQuotaExceeded, "{place}");
                    if end == End::Failure || disk.0.operations.get() <= stop_at {
                        // Each transaction is stored completely or not at all, and this store and a reopened one have
                        // the same content.
                        let (here, reopened) = (everything(&*store).await, everything(&*disk.store()).await);
                        let done = same(&here, &next.contents);
                        assert!(done || same(&here, &model.contents), "{place}: half of a transaction");
                        assert!(same(&here, &reopened), "{place}: the store and a reopened one differ");
                        if done {
                            model = next;
                        }
                        continue;
                    }
                    possible.push(next);
                    break;
                }
            }
        }
        let was_stopped = disk.0.operations.get() > stop_at;
        disk.restart();
        disk.set_capacity(0);
        if end == End::PowerCut {
            disk.cut_power(&mut |limit| chance.below(limit));
        }
        if end == End::Failure {
            possible = vec![model];
        }
        let store = disk.store();
        let found = everything(&*store).await;
        let known = possible.iter().rposition(|model| same(&found, &model.contents));
        let known = known.unwrap_or_else(|| panic!("{place}: no state that ever was, of {}", possible.len()));
        // The workload continues from the stored state.
        let mut model = possible.swap_remove(known);
        for _ in 0..8 {
            let (step, log_end) = model.step(&mut chance);
            store.write(step.clone()).await.unwrap_or_else(|error| panic!("{place}: {error}"));
            model.apply(&step, log_end);
        }
        assert!(same(&everything(&*disk.store()).await, &model.contents), "{place}: what came after");
        for (prefix, most) in ["journal.", "pack."].iter().zip(&*most) {
            let names = disk.list().unwrap();
            let numbers = names.iter().filter_map(|name| name.strip_prefix(prefix)?.parse().ok());
            most.set(numbers.fold(most.get(), u64::max));
        }
        was_stopped
    })
}

fn at_every_operation(end: End) {
    let (mut runs, most) = (0, Rc::new([Cell::new(0), Cell::new(0)]));
    let mut sample = Sample::every(3);
    for seed in (1..=12).filter(|_| sample.takes()) {
        let mut stop_at = 1;
        while run(seed, stop_at, end, &most) {
            stop_at += 1;
            runs += 1;
        }
    }
    let [segments, packs] = &*most;
    assert!(
        runs > sample.part_of(500) && segments.get() > 2 && packs.get() > 4,
        "{runs} runs, {} segments, {} packs",
        segments.get(),
        packs.get()
    );
}

#[test]
fn a_killed_process_leaves_whole_transactions_and_all_that_were_acknowledged() {
    at_every_operation(End::Killed);
}

#[test]
fn a_power_cut_leaves_whole_transactions_and_all_strict_ones() {
    at_every_operation(End::PowerCut);
}

#[test]
fn a_failed_operation_fails_its_transaction_and_nothing_else() {
    at_every_operation(End::Failure);
}

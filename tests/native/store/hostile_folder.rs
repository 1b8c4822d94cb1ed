//! Malicious folders: no file outside of them is read, written or removed.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use tidelock::{
    Error, ErrorCode,
    ports::{LockFiles, Store, sim::Sim},
    snapshot::Reason,
    store::folder::{Disk, FolderStore},
};
use xxhash_rust::xxh3::xxh3_64;

use super::page::Page;
use crate::memory::allow;

pub const HEADER: usize = 36;
pub const START_FRAME: u8 = 0;
pub const PUT_CHUNK: u8 = 5;

/// A folder with a database, and a file beside it that must stay unchanged.
struct Scene {
    around: PathBuf,
    sim: Sim,
}

impl Scene {
    fn new(name: &str) -> Self {
        let around = std::env::temp_dir().join(format!("tidelock-{}-hostile-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&around);
        fs::create_dir_all(around.join("elsewhere")).unwrap();
        fs::write(around.join("elsewhere/victim"), "precious").unwrap();
        let mut scene = Self { around, sim: Sim::new(1) };
        let (store, platform) = (scene.store(), scene.sim.platform());
        scene.sim.run(async move {
            let page = Page::open(store.clone(), &platform).await.unwrap();
            page.commit("CREATE TABLE t(v); INSERT INTO t VALUES (1)").await.unwrap();
            page.snapshots.create(None, Reason::Manual).await.unwrap();
            store.close().await.unwrap();
        });
        scene
    }

    fn folder(&self) -> PathBuf {
        self.around.join("db.tidelock")
    }

    fn store(&self) -> Rc<dyn Store> {
        Rc::new(FolderStore::new(Rc::new(Disk::new(self.folder()))))
    }

    fn journal(&self) -> PathBuf {
        self.folder().join("journal.1")
    }

    /// Returns the error of an opening that must fail, and checks that the other file is unchanged.
    fn refused(&mut self) -> Error {
        let (store, platform) = (self.store(), self.sim.platform());
        let error = self.sim.run(async move {
            let opened = Page::open(store, &platform).await;
            opened.map(drop).expect_err("it was opened")
        });
        assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
        assert_eq!(fs::read_to_string(self.around.join("elsewhere/victim")).unwrap(), "precious");
        error
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.around);
    }
}

/// Adds a frame with valid checksums to a segment.
pub fn add_frame(segment: &Path, number: u64, kind: u8, body: &[u8]) {
    let mut bytes = fs::read(segment).unwrap();
    let (mut at, mut chain) = (0, 0);
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        chain = u64::from_le_bytes(bytes[at + 28..at + HEADER].try_into().unwrap());
        at += HEADER + length;
    }
    let mut header = [0; HEADER];
    header[..4].copy_from_slice(b"tdlk");
    (header[4], header[5]) = (kind, 1);
    header[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
    header[20..28].copy_from_slice(&chain.to_le_bytes());
    let layout =
        [&number.to_le_bytes()[..], &(at as u64).to_le_bytes(), &header[..28], &xxh3_64(body).to_le_bytes()].concat();
    header[28..].copy_from_slice(&xxh3_64(&layout).to_le_bytes());
    bytes.extend_from_slice(&header);
    bytes.extend_from_slice(body);
    fs::write(segment, bytes).unwrap();
}

/// Returns the body of the first frame of an empty store: the layout's version, then two numbers and six empty lists.
pub fn empty_state() -> Vec<u8> {
    [&[4, 0, 0, 0][..], &[0; 40]].concat()
}

#[test]
fn a_journal_with_a_part_of_a_chunk_is_corrupt() {
    for length in [0, 31, 32, 51] {
        let mut scene = Scene::new(&format!("journal-{length}"));
        add_frame(&scene.journal(), 1, PUT_CHUNK, &vec![0; length]);
        let before = fs::read(scene.journal()).unwrap();
        scene.refused();
        assert_eq!(fs::read(scene.journal()).unwrap(), before, "nothing was written");
    }
}

#[test]
fn a_chunk_longer_than_any_chunk_is_damage_and_takes_no_memory() {
    let mut scene = Scene::new("long-chunk");
    let journal = fs::read(scene.journal()).unwrap();
    // The chunk's frame: its id, then its pack, position and length.
    let at = journal.windows(8).position(|bytes| bytes[..4] == *b"tdlk" && bytes[4] == PUT_CHUNK).unwrap();
    let mut body = journal[at + HEADER..at + HEADER + 32 + 20].to_vec();
    body[32 + 16..].copy_from_slice(&(3_u32 << 30).to_le_bytes());
    add_frame(&scene.journal(), 1, PUT_CHUNK, &body);
    let pack = fs::OpenOptions::new().write(true).open(scene.folder().join("pack.1")).unwrap();
    pack.set_len(4 << 30).unwrap();
    let (store, platform) = (scene.store(), scene.sim.platform());
    scene.sim.run(async move {
        allow(32 << 20);
        let page = Page::open(store.clone(), &platform).await;
        allow(usize::MAX);
        let page = page.unwrap();
        assert_eq!(page.number("SELECT v FROM t"), 1, "the log has it all");
        assert_eq!(page.warnings.len(), 1);
        store.close().await.unwrap();
    });
}

#[test]
fn the_highest_segment_number_is_refused() {
    let mut scene = Scene::new("number");
    let last = scene.folder().join(format!("journal.{}", u64::MAX));
    fs::write(&last, "").unwrap();
    add_frame(&last, u64::MAX, START_FRAME, &empty_state());
    scene.refused();
}

#[test]
fn a_journal_of_an_older_layout_is_refused() {
    let mut scene = Scene::new("older");
    fs::write(scene.journal(), "").unwrap();
    add_frame(&scene.journal(), 1, START_FRAME, &[&[2, 0, 0, 0][..], &[0; 32]].concat());
    let before = fs::read(scene.journal()).unwrap();
    scene.refused();
    assert_eq!(fs::read(scene.journal()).unwrap(), before, "nothing was written");
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_in_a_folder_is_refused() {
    use std::os::unix::fs::symlink;
    for name in ["journal.1", "pack.1"] {
        let mut scene = Scene::new(name);
        let of = scene.folder().join(name);
        let moved = scene.around.join("elsewhere/moved");
        fs::rename(&of, &moved).unwrap();
        symlink(&moved, &of).unwrap();
        let before = fs::read(&moved).unwrap();
        let error = scene.refused();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(fs::read(&moved).unwrap(), before);
    }
}

#[cfg(unix)]
#[test]
fn a_file_with_another_name_elsewhere_is_not_written() {
    for name in ["journal.1", "pack.1"] {
        let mut scene = Scene::new(&format!("hard-{name}"));
        let outside = scene.around.join("elsewhere/outside");
        fs::hard_link(scene.folder().join(name), &outside).unwrap();
        let before = fs::read(&outside).unwrap();
        let (store, platform) = (scene.store(), scene.sim.platform());
        let error = scene.sim.run(async move {
            let page = Page::open(store.clone(), &platform).await?;
            page.commit("INSERT INTO t VALUES (2)").await?;
            page.snapshots.create(None, Reason::Manual).await.map(drop)
        });
        assert_eq!(error.unwrap_err().code, ErrorCode::DatabaseCorrupt, "{name}");
        assert_eq!(fs::read(&outside).unwrap(), before, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_was_replaced_while_it_was_open_is_not_written() {
    let (mut scene, mut other) = (Scene::new("replaced"), Scene::new("replacing"));
    // Both have the same history, so that only the files differ.
    let (store, platform) = (other.store(), other.sim.platform());
    other.sim.run(async move { Page::open(store, &platform).await.map(drop) }).unwrap();
    let (store, platform) = (scene.store(), scene.sim.platform());
    let (folder, moved, theirs) = (scene.folder(), scene.around.join("moved.tidelock"), other.folder());
    scene.sim.run(async move {
        let page = Page::open(store, &platform).await.unwrap();
        fs::rename(&folder, &moved).unwrap();
        fs::rename(theirs, &folder).unwrap();
        let journals = || [&folder, &moved].map(|at| fs::read(at.join("journal.1")).unwrap());
        let before = journals();
        let error = page.commit("INSERT INTO t VALUES (2)").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::LockLost, "{error}");
        assert!(journals() == before);
    });
}

#[cfg(unix)]
#[test]
fn a_file_that_the_lock_needs_is_not_written_under_another_name() {
    let scene = Scene::new("lock");
    let unfinished = scene.folder().join(format!("lock.7.{}.tmp", std::process::id()));
    fs::hard_link(scene.around.join("elsewhere/victim"), &unfinished).unwrap();
    assert!(Disk::new(scene.folder()).create("lock.7", b"lock").unwrap());
    assert_eq!(fs::read(scene.folder().join("lock.7")).unwrap(), b"lock");
    assert_eq!(fs::read_to_string(scene.around.join("elsewhere/victim")).unwrap(), "precious");
}

#[test]
fn of_threads_that_create_a_lock_at_once_one_succeeds() {
    let scene = Scene::new("threads");
    let folder = scene.folder();
    for round in 0..50 {
        let create = || Disk::new(&folder).create(&format!("lock.{round}"), b"lock").expect("created or taken");
        let created = std::thread::scope(|scope| {
            let threads = [(); 4].map(|()| scope.spawn(create));
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(created.iter().filter(|created| **created).count(), 1);
    }
}

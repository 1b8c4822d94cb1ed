//! A damaged first frame of a journal's segment: it repeats what the segment before has, and costs nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use tidelock::{
    ErrorCode,
    ports::{Store, sim::Sim},
    snapshot::Reason,
    store::folder::{Disk, FolderStore},
};

use super::{hostile_folder::HEADER, page::Page};

/// The rows of each database here.
const ROWS: i64 = 12;

/// A folder with a closed database of two snapshots.
struct Scene {
    folder: PathBuf,
    sim: Sim,
    segment_bytes: u64,
}

impl Scene {
    fn new(name: &str, segment_bytes: u64) -> Self {
        let folder = std::env::temp_dir().join(format!("tidelock-{}-segment-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        let mut scene = Self { folder, sim: Sim::new(1), segment_bytes };
        let (store, platform) = (scene.store(), scene.sim.platform());
        scene.sim.run(async move {
            let page = Page::open(store.clone(), &platform).await.unwrap();
            page.commit("CREATE TABLE t(v)").await.unwrap();
            for number in 0..ROWS {
                page.commit(&format!("INSERT INTO t VALUES ('{number}')")).await.unwrap();
                if number % 5 == 4 {
                    page.snapshots.create(None, Reason::Manual).await.unwrap();
                }
            }
            store.close().await.unwrap();
        });
        scene
    }

    fn store(&self) -> Rc<dyn Store> {
        Rc::new(FolderStore::with_sizes(Rc::new(Disk::new(&self.folder)), self.segment_bytes, 1 << 20))
    }

    fn segments(&self) -> Vec<u64> {
        let names = fs::read_dir(&self.folder).unwrap().map(|entry| entry.unwrap().file_name());
        let number = |name: std::ffi::OsString| name.to_str()?.strip_prefix("journal.")?.parse().ok();
        let mut numbers: Vec<u64> = names.filter_map(number).collect();
        numbers.sort_unstable();
        numbers
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.folder.join(format!("journal.{number}"))
    }

    /// Opens the database, adds a row and closes it. Returns the rows and snapshots that were found.
    fn opened(&mut self) -> Result<(i64, usize), ErrorCode> {
        let (store, platform) = (self.store(), self.sim.platform());
        self.sim.run(async move {
            let page = Page::open(store.clone(), &platform).await.map_err(|error| error.code)?;
            let found = (page.number("SELECT count(*) FROM t"), page.snapshots.list().len());
            page.commit("INSERT INTO t VALUES ('more')").await.unwrap();
            store.close().await.unwrap();
            Ok(found)
        })
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Flips the bits of one byte.
fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x41;
    fs::write(path, bytes).unwrap();
}

/// Some bytes of the first frame: in each field of its header, and in its body.
fn places(path: &Path) -> Vec<usize> {
    let bytes = fs::read(path).unwrap();
    let length = u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
    vec![0, 4, 5, 8, 11, 12, 20, 28, HEADER, HEADER + length / 2, HEADER + length - 1]
}

#[test]
fn the_first_frame_of_a_segment_may_be_damaged() {
    for (name, segment_bytes) in [("only", 8 << 20), ("later", 20_000)] {
        for index in 0..11 {
            let mut scene = Scene::new(&format!("{name}-{index}"), segment_bytes);
            let newest = *scene.segments().last().unwrap();
            assert_eq!(newest > 1, name == "later", "{newest} segments");
            let path = scene.segment(newest);
            flip(&path, places(&path)[index]);
            assert_eq!(scene.opened(), Ok((ROWS, 2)), "{name}, place {index}");
            // Soon the state is whole again, in a new segment.
            let repaired = *scene.segments().last().unwrap();
            assert_eq!(repaired, newest + 1, "{name}, place {index}");
            assert_eq!(scene.opened(), Ok((ROWS + 1, 2)), "{name}, place {index}");
        }
    }
}

#[test]
fn without_the_segment_before_it_is_damage_and_nothing_is_written() {
    let mut scene = Scene::new("alone", 20_000);
    let newest = *scene.segments().last().unwrap();
    flip(&scene.segment(newest), HEADER);
    fs::remove_file(scene.segment(newest - 1)).unwrap();
    let before = fs::read(scene.segment(newest)).unwrap();
    assert_eq!(scene.opened(), Err(ErrorCode::DatabaseCorrupt));
    assert_eq!(fs::read(scene.segment(newest)).unwrap(), before);
}

#[test]
fn a_newest_segment_that_is_missing_is_damage() {
    let mut scene = Scene::new("missing", 20_000);
    let newest = *scene.segments().last().unwrap();
    fs::remove_file(scene.segment(newest)).unwrap();
    assert_eq!(scene.opened(), Err(ErrorCode::DatabaseCorrupt), "the one before says that it had a successor");
}

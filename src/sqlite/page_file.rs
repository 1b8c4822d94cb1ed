//! STUB, replaced by the sqlite layer.
use std::collections::BTreeSet;

use super::Image;

/// The pages of one or more whole commits, as they go into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The database's size in pages after the last of the commits.
    pub db_pages: u32,
    /// Page numbers from 0, ascending.
    pub pages: Vec<u32>,
    /// Their bytes, in that order.
    pub bytes: Vec<u8>,
}

/// A database file in memory that knows which pages were committed since they were last taken. Cheap to clone: a handle.
#[derive(Clone, Debug, Default)]
pub struct PageFile {}

impl PageFile {
    /// A file with these contents; nothing is ready, nothing touched.
    pub fn new(image: Image) -> Self {
        let _ = image;
        todo!()
    }
    /// How many commits changed pages so far.
    pub fn commits(&self) -> u64 {
        todo!()
    }
    /// The file's length in bytes.
    pub fn bytes(&self) -> u64 {
        todo!()
    }
    /// The page size in bytes, 0 while the file is empty.
    pub fn page_size(&self) -> u32 {
        todo!()
    }
    /// Takes the committed pages that were not taken yet. `None` when there are none.
    pub fn take_ready(&self) -> Option<Batch> {
        todo!()
    }
    /// Gives back what could not be stored: its pages are ready again, with the bytes that they have by now.
    pub fn give_back(&self, batch: &Batch) {
        let _ = batch;
        todo!()
    }
    /// The chunks touched by commits since the last call, by index.
    pub fn take_touched(&self) -> BTreeSet<u32> {
        todo!()
    }
    /// Marks chunks as touched again: the snapshot that took them failed.
    pub fn touch(&self, chunks: &BTreeSet<u32>) {
        let _ = chunks;
        todo!()
    }
    /// Freezes the present committed contents: later commits copy a chunk before they first change it.
    pub fn pin(&self) -> Pin {
        todo!()
    }
    /// A copy of the committed contents.
    pub fn image(&self) -> Image {
        todo!()
    }
}

/// A frozen view of a [`PageFile`]; dropping it lets go of the copies.
#[derive(Debug)]
pub struct Pin {}

impl Pin {
    /// The file's length in bytes when it was pinned.
    pub fn bytes(&self) -> u64 {
        todo!()
    }
    /// The page size when it was pinned.
    pub fn page_size(&self) -> u32 {
        todo!()
    }
    /// How many chunks it has.
    pub fn chunk_count(&self) -> u32 {
        todo!()
    }
    /// A copy of one chunk as it was when pinned.
    pub fn chunk(&self, index: u32) -> Vec<u8> {
        let _ = index;
        todo!()
    }
}

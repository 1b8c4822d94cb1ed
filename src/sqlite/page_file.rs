//! A database file in memory, as the store sees it: batches of committed pages, touched chunks, frozen views.

use std::{
    cell::{RefCell, RefMut},
    rc::Rc,
};

use super::{
    image::{CHUNK_SIZE, Image},
    pages::{Chunk, Pages},
};
use crate::collections::Bits;

/// The pages of one or more whole commits, as they are logged.
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

/// A database file in memory that records which pages were committed since they were last taken. A handle, cheap to clone.
///
/// Its content is always that of the last commit, even while a transaction is open: SQLite buffers an open
/// transaction's pages and writes them when it commits.
#[derive(Clone, Debug, Default)]
pub struct PageFile(Rc<RefCell<Pages>>);

impl PageFile {
    /// Creates a file with this content; no pages are ready, no chunks touched.
    pub fn new(image: Image) -> Self {
        Self(Rc::new(RefCell::new(Pages::new(image))))
    }

    /// Returns how many commits have changed pages.
    pub fn commits(&self) -> u64 {
        self.0.borrow().commits
    }

    /// Returns the file's length in bytes.
    pub fn bytes(&self) -> u64 {
        self.0.borrow().size
    }

    /// Returns the page size in bytes, 0 while the file is empty.
    pub fn page_size(&self) -> u32 {
        self.0.borrow().page_size
    }

    /// Limits the file's size in bytes; there is no limit by default. A commit beyond it fails with
    /// `database_too_large` and is rolled back. A file that is already larger may be changed, but not grow. To be set before
    /// the connection is opened, so that SQLite refuses the statement and not only the commit.
    pub fn set_max_bytes(&self, bytes: u64) {
        self.0.borrow_mut().max_bytes = bytes;
    }

    /// Returns the limit of [`set_max_bytes`](Self::set_max_bytes); `u64::MAX` when there is none.
    pub fn max_bytes(&self) -> u64 {
        self.0.borrow().max_bytes
    }

    /// Takes the committed pages that were not taken yet; `None` when there are none.
    pub fn take_ready(&self) -> Option<Batch> {
        let mut file = self.0.borrow_mut();
        if file.ready.is_empty() {
            return None;
        }
        let pages: Vec<u32> = std::mem::take(&mut file.ready).to_vec();
        let page_size = file.page_size as usize;
        let mut bytes = vec![0; pages.len() * page_size];
        for (page, bytes) in pages.iter().zip(bytes.chunks_exact_mut(page_size)) {
            file.read(bytes, u64::from(*page) * page_size as u64);
        }
        Some(Batch { page_size: file.page_size, db_pages: file.page_count(), pages, bytes })
    }

    /// Returns how many bytes [`take_ready`](Self::take_ready) would return.
    pub fn ready_bytes(&self) -> u64 {
        let file = self.0.borrow();
        file.ready.len() as u64 * u64::from(file.page_size)
    }

    /// Returns whether there are committed pages to take.
    pub fn has_ready(&self) -> bool {
        !self.0.borrow().ready.is_empty()
    }

    /// Returns a batch that could not be stored: its pages are ready again, with their current bytes.
    pub fn give_back(&self, batch: &Batch) {
        let mut file = self.0.borrow_mut();
        if batch.page_size == file.page_size {
            let count = file.page_count();
            batch.pages.iter().filter(|page| **page < count).for_each(|page| file.ready.insert(*page));
        } else {
            file.make_all_ready();
        }
    }

    /// Returns the indexes of the chunks that commits touched since the last call.
    pub fn take_touched(&self) -> Bits {
        std::mem::take(&mut self.0.borrow_mut().touched)
    }

    /// Marks chunks as touched again, because the snapshot that took them failed.
    pub fn touch(&self, chunks: &Bits) {
        let mut file = self.0.borrow_mut();
        let count = file.chunks.len() as u32;
        file.touched.add(chunks);
        file.touched.truncate(count);
    }

    /// Freezes the committed content: a later commit copies a chunk before it first changes it.
    pub fn pin(&self) -> Pin {
        let file = self.0.borrow();
        Pin { chunks: file.chunks.clone(), size: file.size, page_size: file.page_size }
    }

    /// Returns a copy of the committed content.
    pub fn image(&self) -> Image {
        let pin = self.pin();
        let chunks = (0..pin.chunk_count()).map(|index| pin.chunk(index).into_boxed_slice()).collect();
        Image { page_size: pin.page_size, chunks }
    }

    /// Returns the bytes themselves, for the VFS. Borrowed only within one of its calls.
    pub(super) fn pages(&self) -> RefMut<'_, Pages> {
        self.0.borrow_mut()
    }
}

/// A frozen view of a [`PageFile`]; dropping it frees the copies.
#[derive(Debug)]
pub struct Pin {
    chunks: Vec<Chunk>,
    size: u64,
    page_size: u32,
}

impl Pin {
    /// Returns the file's length in bytes when it was pinned.
    pub fn bytes(&self) -> u64 {
        self.size
    }

    /// Returns the page size when it was pinned.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// Returns the number of chunks.
    pub fn chunk_count(&self) -> u32 {
        self.chunks.len() as u32
    }

    /// Returns a copy of a chunk as it was when pinned: [`CHUNK_SIZE`] bytes, except for the last. Panics beyond the last.
    pub fn chunk(&self, index: u32) -> Vec<u8> {
        self.chunk_bytes(index).to_vec()
    }

    /// Returns a chunk as it was when pinned, without a copy. Panics beyond the last.
    pub fn chunk_bytes(&self, index: u32) -> &[u8] {
        let start = u64::from(index) * CHUNK_SIZE as u64;
        let length = (self.size - start).min(CHUNK_SIZE as u64) as usize;
        &self.chunks[index as usize][..length]
    }
}

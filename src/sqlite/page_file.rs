//! A database file as the store sees it: batches of committed pages, touched chunks, frozen views.

use std::{
    cell::{RefCell, RefMut},
    fmt,
    rc::Rc,
};

use super::{
    contents::FileContents,
    image::Image,
    paged::{CacheUsage, StoredPages},
    pages::Pages,
    pin::{Pin, PinnedChunks},
};
use crate::{collections::Bits, error::Result};

/// The pages of one or more whole commits, as they are logged.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// Which pages they are.
    pub pages: Rc<BatchPages>,
    /// Their bytes, in that order: whole pages in each part. Each part can be freed as soon as it is encoded.
    pub parts: Vec<Vec<u8>>,
}

/// Which pages a batch has.
#[derive(Debug, PartialEq, Eq)]
pub struct BatchPages {
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The database's size in pages after the last of the commits.
    pub db_pages: u32,
    /// Page numbers from 0, ascending.
    pub numbers: Vec<u32>,
}

/// A database file, all or a part of it in memory, that records which pages were committed since they were last taken. A handle, cheap to clone.
///
/// Its content is always that of the last commit, even while a transaction is open: SQLite buffers an open
/// transaction's pages and writes them when it commits.
#[derive(Clone, Default)]
pub struct PageFile(Rc<RefCell<Pages>>);

impl fmt::Debug for PageFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PageFile").field("bytes", &self.bytes()).finish_non_exhaustive()
    }
}

impl PageFile {
    /// Creates a file with this content; no pages are ready, no chunks touched.
    pub fn new(contents: impl Into<FileContents>) -> Self {
        Self(Rc::new(RefCell::new(Pages::new(contents.into()))))
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

    /// Takes the committed pages that were not taken yet, in parts of at most `part_bytes` bytes and at least one page; `None`
    /// when there are none. Fails, and takes none, if one can't be read.
    pub fn take_ready(&self, part_bytes: usize) -> Result<Option<Batch>> {
        let mut file = self.0.borrow_mut();
        if file.ready.is_empty() {
            return Ok(None);
        }
        let numbers: Vec<u32> = file.ready.to_vec();
        let page_size = file.page_size as usize;
        let mut parts = Vec::new();
        for pages in numbers.chunks((part_bytes / page_size).max(1)) {
            let mut part = vec![0; pages.len() * page_size];
            for (page, bytes) in pages.iter().zip(part.chunks_exact_mut(page_size)) {
                file.read(bytes, u64::from(*page) * page_size as u64)?;
            }
            parts.push(part);
        }
        file.ready.clear();
        let pages = BatchPages { page_size: file.page_size, db_pages: file.page_count(), numbers };
        Ok(Some(Batch { pages: Rc::new(pages), parts }))
    }

    /// Returns how many bytes [`take_ready`](Self::take_ready) would return in parts of any size.
    pub fn ready_bytes(&self) -> u64 {
        let file = self.0.borrow();
        file.ready.len() as u64 * u64::from(file.page_size)
    }

    /// Returns whether there are committed pages to take.
    pub fn has_ready(&self) -> bool {
        !self.0.borrow().ready.is_empty()
    }

    /// Returns a batch that could not be stored: its pages are ready again, with their current bytes.
    pub fn give_back(&self, pages: &BatchPages) {
        let mut file = self.0.borrow_mut();
        if pages.page_size == file.page_size {
            let count = file.page_count();
            pages.numbers.iter().filter(|page| **page < count).for_each(|page| file.ready.insert(*page));
        } else {
            file.make_all_ready();
        }
    }

    /// Returns the indexes of the chunks that commits touched since the last call.
    pub fn take_touched(&self) -> Bits {
        std::mem::take(&mut self.0.borrow_mut().touched)
    }

    /// Returns how many chunks commits touched since [`take_touched`](Self::take_touched).
    pub fn touched_count(&self) -> usize {
        self.0.borrow().touched.len()
    }

    /// Marks chunks as touched again, because the snapshot that took them failed.
    pub fn touch(&self, chunks: &Bits) {
        let mut file = self.0.borrow_mut();
        let count = file.chunk_count();
        file.touched.add(chunks);
        file.touched.truncate(count);
    }

    /// Freezes the committed content: a later commit copies a chunk before it first changes it.
    pub fn pin(&self) -> Pin {
        let file = self.0.borrow();
        let chunks = match &file.paged {
            Some(paged) => PinnedChunks::Paged(paged.pin()),
            None => PinnedChunks::Whole(file.chunks.clone()),
        };
        Pin { chunks, size: file.size, page_size: file.page_size }
    }

    /// Returns a copy of the committed content. Fails only if it can't be read.
    pub fn image(&self) -> Result<Image> {
        let pin = self.pin();
        let chunks = (0..pin.chunk_count()).map(|index| Ok(pin.chunk(index)?.into_boxed_slice()));
        Ok(Image { page_size: pin.page_size, chunks: chunks.collect::<Result<_>>()? })
    }

    /// Continues over a stored state, that of the pin, if only a part of the file is in memory.
    pub fn rebase(&self, pin: &Pin, stored: impl FnOnce() -> Rc<dyn StoredPages>) {
        if let (Some(paged), PinnedChunks::Paged(pin)) = (&mut self.0.borrow_mut().paged, &pin.chunks) {
            paged.rebase(stored(), &**pin);
        }
    }

    /// Returns whether only a part of the file is in memory.
    pub fn is_paged(&self) -> bool {
        self.0.borrow().paged.is_some()
    }

    /// Returns how many bytes stay in memory because the stored state doesn't have them; `None` if all of the file does.
    pub fn changed_bytes(&self) -> Option<u64> {
        self.0.borrow().paged.as_ref().map(|paged| paged.changed_bytes())
    }

    /// Returns how the page cache was used; `None` if all of the file is in memory.
    pub fn cache_usage(&self) -> Option<CacheUsage> {
        self.0.borrow().paged.as_ref().map(|paged| paged.usage())
    }

    /// Returns the bytes themselves, for the VFS. Borrowed only within one of its calls.
    pub(super) fn pages(&self) -> RefMut<'_, Pages> {
        self.0.borrow_mut()
    }
}

//! Databases that are larger than memory: which part of one is read when, and what must stay stored for that.

use std::{
    cell::{Cell, RefCell},
    hint::black_box,
    rc::{Rc, Weak},
};

use super::{chunk, log::chunk_length};
use crate::{
    collections::Set,
    error::{Error, ErrorCode, Result},
    format::{ChunkRef, Manifest, stored_ids},
    ports::{ChunkId, Store},
    sqlite::{FileContents, Image, PagedBytes, StoredPages, paged},
};

/// The store of a database, replaced when its key changes.
pub(super) type CurrentStore = Rc<RefCell<Rc<dyn Store>>>;

/// How a database's contents are read. A handle, cheap to clone.
#[derive(Clone)]
pub(super) struct Paging(Rc<PagingInner>);

struct PagingInner {
    store: CurrentStore,
    /// The limit of the page cache; `None`: everything is read into memory.
    cache_bytes: Option<u64>,
    /// The stored states in use. Their chunks stay stored, though no manifest may name them any more.
    in_use: RefCell<Vec<Weak<StoredManifest>>>,
    /// Whether contents are verified whole before they are used, even those that are read when they are needed.
    verifies: bool,
}

/// The limit of the page cache unless an option sets it, in bytes.
pub(super) const CACHE_BYTES: u64 = 32 * 1024 * 1024;

impl Paging {
    /// Reads contents through a cache, if the store can be read at once.
    pub fn new(store: Rc<dyn Store>, cache_bytes: Option<u64>) -> Self {
        Self::with(store, cache_bytes, false)
    }

    /// Verifies contents whole before they are used, also those that are larger than memory.
    pub fn verifying(store: Rc<dyn Store>) -> Self {
        Self::with(store, Some(CACHE_BYTES), true)
    }

    fn with(store: Rc<dyn Store>, cache_bytes: Option<u64>, verifies: bool) -> Self {
        let cache_bytes = cache_bytes.filter(|_| store.reads_now());
        let store = Rc::new(RefCell::new(store));
        Self(Rc::new(PagingInner { store, cache_bytes, in_use: RefCell::default(), verifies }))
    }

    /// Returns whether contents are verified whole before they are used.
    pub fn verifies(&self) -> bool {
        self.0.verifies
    }

    /// Returns the store.
    pub fn store(&self) -> Rc<dyn Store> {
        self.0.store.borrow().clone()
    }

    /// Replaces the store, because the key has changed.
    pub fn set_store(&self, store: Rc<dyn Store>) {
        *self.0.store.borrow_mut() = store;
    }

    /// Returns the limit of the page cache; `None`: everything is read into memory.
    pub fn cache_bytes(&self) -> Option<u64> {
        self.0.cache_bytes
    }

    /// Returns the state of a manifest, to be read when it is needed.
    pub fn stored_pages(&self, manifest: &Manifest) -> Rc<dyn StoredPages> {
        stored_pages(&self.0, manifest)
    }

    /// Returns empty contents.
    pub fn empty(&self) -> FileContents {
        match self.0.cache_bytes {
            Some(cache_bytes) => FileContents::Paged(self.contents(&Manifest::default(), cache_bytes)),
            None => FileContents::default(),
        }
    }

    /// Returns contents that are read when they are needed.
    pub fn contents(&self, manifest: &Manifest, cache_bytes: u64) -> Box<dyn PagedBytes> {
        paged(self.stored_pages(manifest), manifest.db_bytes, manifest.page_size, cache_bytes)
    }

    /// Puts contents that were read whole into a cache, where others are read through one.
    pub fn preloaded(&self, manifest: &Manifest, image: Image) -> FileContents {
        let Some(cache_bytes) = self.0.cache_bytes else { return image.into() };
        let mut paged = self.contents(manifest, cache_bytes);
        for (index, chunk) in image.chunks.into_iter().enumerate() {
            paged.preload(index as u32, chunk.into_vec());
        }
        FileContents::Paged(paged)
    }

    /// Returns the chunks of the states in use.
    pub fn chunks_in_use(&self) -> Set<ChunkId> {
        if self.0.in_use.borrow().is_empty() { Set::default() } else { chunks_in_use(&self.0) }
    }
}

// The entries of the part `stores`: never inlined, so that the part can be split off here.

#[inline(never)]
fn stored_pages(paging: &PagingInner, manifest: &Manifest) -> Rc<dyn StoredPages> {
    let stored =
        Rc::new(StoredManifest { store: paging.store.clone(), manifest: manifest.clone(), buffer: Cell::default() });
    let mut in_use = paging.in_use.borrow_mut();
    in_use.retain(|stored| stored.strong_count() > 0);
    in_use.push(Rc::downgrade(&stored));
    black_box(stored)
}

#[inline(never)]
fn chunks_in_use(paging: &PagingInner) -> Set<ChunkId> {
    let in_use: Vec<Rc<StoredManifest>> = paging.in_use.borrow().iter().filter_map(Weak::upgrade).collect();
    black_box(stored_ids(&mut in_use.iter().map(|stored| &stored.manifest)))
}

/// Describes the first chunk of a manifest that isn't among the `stored` ones, and returns whether of the very first one only the
/// copy is, which counts for it.
#[inline(never)]
pub(super) fn first_missing(store: &dyn Store, manifest: &Manifest, stored: Vec<ChunkId>) -> (Option<String>, bool) {
    let stored = Set::from_mostly_sorted(stored);
    let is_stored = |chunk: &ChunkRef| stored.contains(&store.stored_id(&chunk.id));
    let has_copy = manifest.first_copy.as_ref().is_some_and(is_stored);
    let needs_copy = has_copy && !is_stored(&manifest.chunks[0]);
    let from = usize::from(needs_copy);
    let missing = manifest.chunks[from..].iter().position(|chunk| !is_stored(chunk));
    black_box((missing.map(|index| chunk_damage(manifest, from + index, true)), needs_copy))
}

/// Describes a chunk that is missing or damaged.
pub(super) fn chunk_damage(manifest: &Manifest, index: usize, is_missing: bool) -> String {
    let what = if is_missing { "missing" } else { "damaged" };
    format!("Chunk {index} of snapshot {} is {what}", manifest.generation)
}

/// The state of a manifest.
struct StoredManifest {
    store: CurrentStore,
    manifest: Manifest,
    /// The memory for the stored form of the next chunk.
    buffer: Cell<Vec<u8>>,
}

impl StoredPages for StoredManifest {
    fn chunk_count(&self) -> u32 {
        self.manifest.chunks.len() as u32
    }

    fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        self.chunk_into(index, Vec::new())
    }

    fn chunk_into(&self, index: u32, buffer: Vec<u8>) -> Result<Vec<u8>> {
        let expected = &self.manifest.chunks[index as usize];
        let length = chunk_length(self.manifest.db_bytes, index as usize);
        let store = self.store.borrow().clone();
        let read = |id| store.chunk_now(&store.stored_id(id), self.buffer.take());
        let stored = read(&expected.id)?;
        let is_missing = stored.is_none();
        let mut plain = stored.as_deref().and_then(|stored| chunk::intact_into(stored, length, expected.check, buffer));
        self.buffer.set(stored.unwrap_or_default());
        if let Some(copy) = self.manifest.first_copy.as_ref().filter(|_| index == 0 && plain.is_none()) {
            plain = read(&copy.id)?.and_then(|stored| chunk::from_other(&stored, length, copy, expected));
        }
        plain.ok_or_else(|| {
            let what = chunk_damage(&self.manifest, index as usize, is_missing);
            Error::new(ErrorCode::DatabaseCorrupt, what).hint(
                "Close the database and open it again: an older snapshot and the log may have the same. If not, recover(name) opens the last good state",
            )
        })
    }
}

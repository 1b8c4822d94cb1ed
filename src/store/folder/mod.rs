//! The [`Store`] over files: `storage: 'file'` in Node, `storage: 'opfs'` in a browser's worker, and native programs.
//!
//! ```text
//! shop.tidelock/
//!   journal.7 journal.8   segments of the journal: log, manifests, the head, and where each chunk is
//!   pack.1 pack.2         the bytes of the chunks
//!   reserve               space that a full disk needs to open the database, and to delete something
//!   lock.12               the lock (`lock::FileLocks`)
//! ```
//!
//! A transaction is atomic, because it takes effect only when its last frame is complete in the journal:
//!
//! 1. Chunks first, added to a pack and synced. No reader uses them before the journal lists them, so a crash here only
//!    leaves unused bytes.
//! 2. Then the frames, appended in one go; the last one is marked. Each carries the checksum of the previous one, so
//!    that a crash or a power cut can only shorten the journal: frames after a break are ignored, and truncated before
//!    the next frame is written.
//! 3. Then, if it must survive a power cut, the segment is synced. All transactions but batches of the log must.
//! 4. Only then are the files removed that it made obsolete. The next claim removes those that a crash leaves.
//!
//! What nothing else could replace is there twice, so that no single damaged frame costs it: the head in each transaction
//! that stores it, and the state with which a segment begins. The last intact frame counts.
//!
//! A long segment is sealed: the next one begins with the whole state except the log, and is the valid one from when
//! that is complete and synced. Opening reads the newest complete segment only; the older ones hold the rest of the log,
//! and are removed with it. Changing the key writes the log into one new segment, too, as one transaction.
//!
//! The folder's lock keeps other processes out. Should it fail, the fence works as in other stores: each call first
//! checks whether another process has written, and a fenced-out holder's keys are taken.

#[cfg(not(target_arch = "wasm32"))]
mod disk;
mod frames;
mod journal;
mod packs;
mod state;
mod tidy;
mod transaction;

use std::{
    cell::{Cell, RefCell},
    future::ready,
    rc::Rc,
};

#[cfg(not(target_arch = "wasm32"))]
pub use disk::{Disk, OwnProcess};

use super::failure::{folder_lost, journal_cut, lock_lost};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{
        ChunkId, Estimate, Files, Key, LocalFuture, LogKey, RESERVE, Store, StoredRecord, Stores, Transaction, Write,
    },
};
use frames::{segment_name, segment_number};
use journal::Journal;
use packs::{Packs, pack_number};
use state::State;

/// The size in bytes at which a segment is sealed.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// The size in bytes at which a pack is full, unless there are many.
const PACK_BYTES: u64 = 16 * 1024 * 1024;

/// How many of the newest segments of a journal are opened with the folder: the one that counts, one that was begun after it,
/// and those before that show whether it is whole.
const FIRST_SEGMENTS: usize = 4;

/// One database in a folder. A handle, cheap to clone.
#[derive(Clone)]
pub struct FolderStore(Rc<FolderInner>);

struct FolderInner {
    files: Rc<dyn Files>,
    segment_bytes: u64,
    /// Whether an older state is read when the newest one can't be.
    may_be_older: bool,
    packs: Packs,
    journal: RefCell<Option<Journal>>,
    /// The newest key of the log that this store has read or written.
    newest: Cell<Option<LogKey>>,
    /// Whether a journal that was closed after a failure was appended to, and not finished.
    is_unfinished: Cell<bool>,
    /// Whether the segments that are opened later were prepared.
    has_all_segments: Cell<bool>,
    ended: Cell<Option<StoreEnd>>,
}

/// Why a store accepts no more calls.
#[derive(Clone, Copy)]
enum StoreEnd {
    /// The lock was lost, and the files are the new holder's.
    Yielded,
    Closed,
}

impl FolderStore {
    /// Creates a store for the database in this folder, if there is one. Nothing is written before a claim.
    pub fn new(files: Rc<dyn Files>) -> Self {
        Self::with_sizes(files, SEGMENT_BYTES, PACK_BYTES)
    }

    /// Does the same, for a recovery: when the newest segment of the journal is missing or can't be read, the one before it counts.
    pub fn older(files: Rc<dyn Files>) -> Self {
        Self::made(files, SEGMENT_BYTES, PACK_BYTES, true)
    }

    /// Creates a store with segments and packs of other sizes.
    pub fn with_sizes(files: Rc<dyn Files>, segment_bytes: u64, pack_bytes: u64) -> Self {
        Self::made(files, segment_bytes, pack_bytes, false)
    }

    fn made(files: Rc<dyn Files>, segment_bytes: u64, pack_bytes: u64, may_be_older: bool) -> Self {
        let (journal, packs) = (RefCell::default(), Packs { files: files.clone(), pack_bytes });
        let (newest, is_unfinished, has_all_segments, ended) = Default::default();
        Self(Rc::new(FolderInner {
            files,
            segment_bytes,
            may_be_older,
            packs,
            journal,
            newest,
            is_unfinished,
            has_all_segments,
            ended,
        }))
    }
}

/// Returns the files, of all in a folder, that are opened only when they are prepared: all segments of the journal but the
/// newest, which are read only with the log. Opening a hundred files takes a browser longer than anything else of an opening.
pub fn opens_later(names: &[String]) -> Vec<String> {
    let mut segments: Vec<(u64, &String)> =
        names.iter().filter_map(|name| Some((segment_number(name)?, name))).collect();
    segments.sort_unstable();
    segments.truncate(segments.len().saturating_sub(FIRST_SEGMENTS));
    segments.into_iter().map(|(_, name)| name.clone()).collect()
}

/// Removes the journal and the packs of a folder: only files written by this module.
///
/// Fails as [`Files`] does.
pub fn remove(files: &dyn Files) -> Result<()> {
    let names = files.list()?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    segments.sort_unstable();
    // The reserve is removed first, because it says that there was a journal; emptied, since it may be back after a power cut.
    if names.iter().any(|name| name == RESERVE) {
        files.truncate(RESERVE, 0)?;
        files.sync(RESERVE)?;
        files.remove(RESERVE)?;
    }
    // The newest segment is removed last: without it an older state would open.
    segments.iter().try_for_each(|number| files.remove(&segment_name(*number)))?;
    names.iter().filter(|name| pack_number(name).is_some()).try_for_each(|name| files.remove(name))?;
    files.close();
    Ok(())
}

impl FolderInner {
    fn check_open(&self) -> Result<()> {
        match self.ended.get() {
            None => Ok(()),
            Some(StoreEnd::Yielded) => Err(lock_lost()),
            Some(StoreEnd::Closed) => Err(Error::new(ErrorCode::StorageUnavailable, "The database's folder is closed")
                .hint("Open the database again")),
        }
    }

    /// Ends the store and closes its files.
    fn end(&self, ended: StoreEnd) {
        self.ended.set(Some(ended));
        self.journal.take();
        self.files.close();
    }

    /// Prepares files. A store that has ended opens none: in a browser only one holder can have them open.
    async fn prepare_files(&self, names: Vec<String>) -> Result<()> {
        self.check_open()?;
        let prepared = self.files.prepare(names).await;
        // The store may have ended meanwhile.
        self.check_open().inspect_err(|_| self.files.close())?;
        prepared
    }

    /// Prepares the segments that are opened later, before the log is read.
    async fn prepare_segments(&self) -> Result<()> {
        let later = self.later_segments()?;
        if !later.is_empty() {
            self.prepare_files(later).await?;
        }
        self.has_all_segments.set(true);
        Ok(())
    }

    /// Returns the segments that must be prepared before the log is read.
    fn later_segments(&self) -> Result<Vec<String>> {
        if self.has_all_segments.get() { Ok(Vec::new()) } else { Ok(opens_later(&self.files.list()?)) }
    }

    async fn turn(&self) {
        if let Some(turn) = self.files.turn() {
            turn.await;
        }
    }

    /// Reloads the journal if another process wrote to it, and runs `work` on it.
    fn with<T>(&self, work: impl FnOnce(&mut Option<Journal>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        let mut journal = self.journal.borrow_mut();
        let is_known = match &*journal {
            Some(journal) => !journal.has_changed()?,
            None => false,
        };
        if !is_known {
            let loaded = Journal::load(self.files.clone(), self.segment_bytes, self.may_be_older)?;
            self.note_newest(&journal);
            // The old one stays, for the folder may come back.
            match &loaded {
                None if journal.is_some() => return Err(folder_lost()),
                Some(loaded) if loaded.state.newest < self.newest.get() => return Err(journal_cut()),
                _ => *journal = loaded,
            }
        }
        work(&mut journal)
    }

    fn note_newest(&self, journal: &Option<Journal>) {
        self.newest.set(self.newest.get().max(journal.as_ref().and_then(|journal| journal.state.newest)));
    }

    fn read<T: Default>(&self, work: impl FnOnce(&State) -> T) -> Result<T> {
        self.with(|journal| Ok(journal.as_ref().map(|journal| work(&journal.state)).unwrap_or_default()))
    }

    fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        let get = |key: &Key| match key {
            Key::Manifest(generation) => self.read(|state| state.manifests.get(generation).cloned()),
            Key::Chunk(id) => self.chunk(id, Vec::new()),
            Key::Log(_) => Ok(None),
        };
        keys.iter().map(get).collect()
    }

    fn chunk(&self, id: &ChunkId, buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        match self.read(|state| state.chunks.get(id).copied())? {
            Some(extent) => self.packs.read(extent, buffer),
            None => Ok(None),
        }
    }
}

impl Store for FolderStore {
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let inner = self.0.clone();
        let frees = |write: &Write| matches!(write, Write::Delete(_) | Write::Put(Key::Log(_), _));
        let deletes = transaction.writes.iter().any(frees);
        // Batches of the log never need a file, and are written at once.
        let written = match inner.to_prepare(&transaction) {
            Ok(names) if names.is_empty() => Ok(inner.write(transaction)),
            Ok(names) => Err((names, transaction)),
            Err(error) => Ok(Err(error)),
        };
        Box::pin(async move {
            match written {
                Ok(result) => result?,
                Err((names, transaction)) => {
                    inner.prepare_files(names).await?;
                    inner.write(transaction)?;
                }
            }
            inner.tidy(deletes).await;
            Ok(())
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(ready(self.0.read(|state| state.head.clone())))
    }

    fn damage(&self) -> LocalFuture<'_, Result<Option<String>>> {
        Box::pin(ready(self.0.with(|journal| Ok(journal.as_ref().and_then(Journal::damage)))))
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            self.0.turn().await;
            self.0.get(&keys)
        })
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        Box::pin(async move {
            self.0.turn().await;
            if self.0.read(|state| state.sealed.last().is_some_and(|(_, end)| *end > after))? {
                self.0.prepare_segments().await?;
            }
            self.0.with(|journal| match journal {
                Some(journal) => journal.log(after, max_bytes),
                None => Ok(Vec::new()),
            })
        })
    }

    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
        Box::pin(ready(self.0.read(|state| state.manifests.keys().copied().collect())))
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        Box::pin(ready(self.0.read(|state| state.chunks.keys().cloned().collect())))
    }

    fn reads_now(&self) -> bool {
        true
    }

    fn chunk_now(&self, id: &ChunkId, buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        self.0.chunk(id, buffer)
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        let journal = self.0.journal.take();
        self.0.note_newest(&journal);
        if journal.is_some_and(|journal| journal.is_unfinished()) {
            self.0.is_unfinished.set(true);
        }
        Box::pin(async {
            self.0.prepare_files(Vec::new()).await?;
            let found = self.0.read(|state| state.head.is_some())?;
            if found { Ok(()) } else { Err(lock_lost()) }
        })
    }

    fn yield_to_holder(&self) {
        self.0.end(StoreEnd::Yielded);
    }

    fn close(&self) -> LocalFuture<'_, Result<()>> {
        // All promised data is written; the journal's end only helps to recognise later damage.
        let is_unfinished = |journal: &&mut Journal| journal.is_unfinished() || self.0.is_unfinished.get();
        let finished = self.0.journal.borrow_mut().as_mut().filter(is_unfinished).map_or(Ok(()), Journal::finish);
        self.0.end(StoreEnd::Closed);
        Box::pin(ready(finished))
    }
}

/// The single database of a folder, under any name.
pub struct Folder {
    /// The folder's files.
    pub files: Rc<dyn Files>,
}

impl Stores for Folder {
    fn open(&self, _name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        Box::pin(ready(Ok(Rc::new(FolderStore::new(self.files.clone())) as Rc<dyn Store>)))
    }

    fn open_older(&self, _name: &str) -> LocalFuture<'static, Result<Option<Rc<dyn Store>>>> {
        Box::pin(ready(Ok(Some(Rc::new(FolderStore::older(self.files.clone())) as Rc<dyn Store>))))
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        // Files are never evicted, and the free disk space isn't a quota of this database.
        Box::pin(ready(Estimate { persisted: true, ..Estimate::default() }))
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(ready(true))
    }
}

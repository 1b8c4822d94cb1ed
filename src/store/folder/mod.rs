//! The [`Store`] over files: `storage: 'file'` in Node, `storage: 'opfs'` in a browser's worker, and native programs.
//!
//! ```text
//! shop.tidelock/
//!   journal.7 journal.8   segments of the journal: log, manifests, the head, and where each chunk is
//!   pack.1 pack.2         the bytes of the chunks
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

use std::{
    cell::{Cell, RefCell},
    future::ready,
    rc::Rc,
};

#[cfg(not(target_arch = "wasm32"))]
pub use disk::{Disk, OwnProcess};

use super::failure::{lock_lost, missing_chunk};
use crate::{
    collections::Map,
    error::{Error, ErrorCode, Result},
    format::LayoutWriter,
    ports::{
        ChunkId, Durability, Estimate, Files, Guard, Key, LocalFuture, LogKey, Store, StoredRecord, Stores,
        Transaction, Write,
    },
};
use frames::{FrameKind, segment_name, segment_number};
use journal::{Journal, JournalEntry};
use packs::{Packs, pack_name, pack_number};
use state::{Extent, State, put_chunk, put_key, put_records};

/// The size in bytes at which a segment is sealed.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// The size in bytes at which a pack is full.
const PACK_BYTES: u64 = 8 * 1024 * 1024;

/// How many chunks move from one pack to another at a time: together they are held in memory.
const MOVED_AT_ONCE: usize = 64;

/// One database in a folder. A handle, cheap to clone.
#[derive(Clone)]
pub struct FolderStore(Rc<FolderInner>);

struct FolderInner {
    files: Rc<dyn Files>,
    segment_bytes: u64,
    packs: Packs,
    journal: RefCell<Option<Journal>>,
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

    /// Creates a store with segments and packs of other sizes.
    pub fn with_sizes(files: Rc<dyn Files>, segment_bytes: u64, pack_bytes: u64) -> Self {
        let (journal, packs) = (RefCell::default(), Packs { files: files.clone(), pack_bytes });
        Self(Rc::new(FolderInner { files, segment_bytes, packs, journal, ended: Cell::default() }))
    }
}

/// Removes the journal and the packs of a folder: only files written by this module.
///
/// Fails as [`Files`] does.
pub fn remove(files: &dyn Files) -> Result<()> {
    let names = files.list()?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    segments.sort_unstable();
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

    /// Reloads the journal if another process wrote to it, and runs `work` on it.
    fn with<T>(&self, work: impl FnOnce(&mut Option<Journal>) -> Result<T>) -> Result<T> {
        self.check_open()?;
        let mut journal = self.journal.borrow_mut();
        let is_known = match &*journal {
            Some(journal) => !journal.has_changed()?,
            None => false,
        };
        if !is_known {
            *journal = Journal::load(self.files.clone(), self.segment_bytes)?;
        }
        work(&mut journal)
    }

    fn read<T: Default>(&self, work: impl FnOnce(&State) -> T) -> Result<T> {
        self.with(|journal| Ok(journal.as_ref().map(|journal| work(&journal.state)).unwrap_or_default()))
    }

    /// Removes files left by crashes. A file that can't be removed now is removed another time.
    fn sweep(&self, journal: &Journal) {
        for name in self.files.list().unwrap_or_default() {
            if journal.is_obsolete(&name) {
                let _ = self.files.remove(&name);
            }
        }
        self.packs.remove_unused(&journal.state);
    }

    /// Returns the files to which a transaction writes first, if they must be prepared.
    fn to_prepare(&self, transaction: &Transaction) -> Result<Vec<String>> {
        // Each commit is such a batch, which needs none.
        if transaction.writes.iter().all(|write| matches!(write, Write::Add(..))) {
            return Ok(Vec::new());
        }
        let mut names = self.with(|slot| {
            let (mut names, nothing) = (Vec::new(), State::default());
            match slot {
                Some(journal) if has(transaction, |write| matches!(write, Write::Put(Key::Log(_), _))) => {
                    names.push(journal.next_segment());
                }
                None if claims(transaction) => names.push(segment_name(1)),
                _ => {}
            }
            if has(transaction, is_chunk) {
                let state = slot.as_ref().map_or(&nothing, |journal| &journal.state);
                names.push(pack_name(self.packs.current(state)?));
            }
            Ok(names)
        })?;
        let mut missing = Ok(());
        names.retain(|name| match self.files.size(name) {
            Ok(size) => size.is_none(),
            Err(error) => {
                missing = Err(error);
                false
            }
        });
        missing.map(|()| names)
    }

    fn write(&self, transaction: &Transaction) -> Result<()> {
        self.with(|slot| {
            let nothing = State::default();
            check(slot.as_ref().map_or(&nothing, |journal| &journal.state), transaction)?;
            let journal = match slot {
                Some(journal) => journal,
                // Only a claim may create the folder again after it was deleted.
                None if !claims(transaction) => return Err(lock_lost()),
                None => slot.insert(Journal::create(self.files.clone(), self.segment_bytes)?),
            };
            let PreparedWrites { entries, replaced, sync } = self.prepare(journal, transaction)?;
            // A transaction without changes may still promise that all before it survives a power cut.
            if entries.is_empty() && replaced.is_empty() && !sync {
                return Ok(());
            }
            let segments = journal.segments();
            if replaced.is_empty() {
                journal.append(entries, sync)?
            } else {
                journal.rewrite(entries, &replaced)?
            }
            if claims(transaction) {
                self.sweep(journal);
            }
            for write in &transaction.writes {
                if let Write::PutHead(_, info) = write {
                    self.files.describe(info);
                }
            }
            let left = journal.segments();
            for segment in segments.into_iter().filter(|segment| !left.contains(segment)) {
                let _ = self.files.remove(&segment_name(segment));
            }
            Ok(())
        })
    }

    /// Seals a long segment, and moves chunks out of packs with too many unused bytes. What fails here is done another
    /// time: the transaction before it is complete.
    async fn tidy(&self, deletes: bool) -> Result<()> {
        let next = self.journal.borrow().as_ref().filter(|journal| journal.is_long()).map(Journal::next_segment);
        if let Some(next) = next {
            self.prepare_files(vec![next]).await?;
            self.with(|slot| slot.as_mut().filter(|journal| journal.is_long()).map_or(Ok(()), Journal::roll))?;
        }
        while deletes && self.move_chunks().await? {}
        Ok(())
    }

    /// Moves the chunks of one pack to another one, if it has too many unused bytes. Returns whether it did.
    async fn move_chunks(&self) -> Result<bool> {
        let target = self.with(|slot| {
            let Some(journal) = slot else { return Ok(None) };
            self.packs.remove_unused(&journal.state);
            let current = self.packs.current(&journal.state)?;
            let sparse = self.packs.sparse(&journal.state)?;
            Ok(sparse.map(|pack| current + u64::from(current == pack.number)))
        })?;
        let Some(target) = target else { return Ok(false) };
        self.prepare_files(vec![pack_name(target)]).await?;
        self.with(|slot| {
            let Some(journal) = slot else { return Ok(false) };
            // Another transaction may have come before.
            let sparse = self.packs.sparse(&journal.state)?.filter(|pack| pack.number != target);
            let Some(sparse) = sparse else { return Ok(false) };
            for chunks in sparse.chunks.chunks(MOVED_AT_ONCE) {
                let read = |(_, extent): &(ChunkId, Extent)| Ok(self.packs.read(*extent)?.unwrap_or_default());
                let bytes: Vec<Vec<u8>> = chunks.iter().map(read).collect::<Result<_>>()?;
                let extents = self.packs.add(target, bytes.iter().map(Vec::as_slice))?;
                let entry = |((id, _), extent): (&(ChunkId, Extent), Extent)| {
                    let mut body = LayoutWriter::default();
                    put_chunk(&mut body, id, extent);
                    (FrameKind::PutChunk, body.0)
                };
                journal.append(chunks.iter().zip(extents).map(entry).collect(), true)?;
            }
            self.packs.remove_unused(&journal.state);
            Ok(true)
        })
    }

    /// Writes the transaction's chunks; returns the remaining work for the journal.
    fn prepare(&self, journal: &Journal, transaction: &Transaction) -> Result<PreparedWrites> {
        let mut sync = transaction.durability == Durability::Strict;
        let mut entries = Vec::with_capacity(transaction.writes.len());
        let mut replaced = Map::default();
        let chunks = transaction.writes.iter().filter_map(|write| match write {
            Write::Put(Key::Chunk(_), bytes) => Some(&bytes[..]),
            _ => None,
        });
        // Finding the pack looks at all chunks, so only where it is needed.
        let mut extents = match has(transaction, is_chunk) {
            true => self.packs.add(self.packs.current(&journal.state)?, chunks)?,
            false => Vec::new(),
        }
        .into_iter();
        for write in &transaction.writes {
            sync |= !matches!(write, Write::Add(..));
            let mut body = LayoutWriter::default();
            let kind = match write {
                Write::Add(key, bytes) => {
                    put_key(&mut body, *key);
                    body.bytes(bytes);
                    FrameKind::Log
                }
                Write::PutHead(bytes, _) => {
                    body.bytes(bytes);
                    FrameKind::Head
                }
                Write::Put(Key::Log(key), bytes) => {
                    replaced.insert(*key, bytes.clone());
                    continue;
                }
                Write::Put(Key::Manifest(generation), bytes) => {
                    body.u64(*generation);
                    body.bytes(bytes);
                    FrameKind::PutManifest
                }
                Write::Put(Key::Chunk(id), _) => {
                    let Some(extent) = extents.next() else { continue };
                    put_chunk(&mut body, id, extent);
                    FrameKind::PutChunk
                }
                Write::Delete(Key::Manifest(generation)) => {
                    body.u64(*generation);
                    FrameKind::DeleteManifest
                }
                Write::Delete(Key::Chunk(id)) => {
                    body.text(id);
                    FrameKind::DeleteChunk
                }
                Write::Delete(Key::Log(_)) => {
                    return Err(Error::internal("A single record of the log can't be deleted"));
                }
                Write::CutLog { through, spare } => {
                    body.u64(*through);
                    put_records(&mut body, &journal.spared_records(*through, spare)?);
                    FrameKind::CutLog
                }
            };
            entries.push((kind, body.0));
        }
        Ok(PreparedWrites { entries, replaced, sync })
    }

    fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        let get = |key: &Key| match key {
            Key::Manifest(generation) => self.read(|state| state.manifests.get(generation).cloned()),
            Key::Chunk(id) => self.chunk(id),
            Key::Log(_) => Ok(None),
        };
        keys.iter().map(get).collect()
    }

    fn chunk(&self, id: &ChunkId) -> Result<Option<Vec<u8>>> {
        match self.read(|state| state.chunks.get(id).copied())? {
            Some(extent) => self.packs.read(extent),
            None => Ok(None),
        }
    }
}

/// The effect of a transaction on the journal.
struct PreparedWrites {
    entries: Vec<JournalEntry>,
    /// Log records that replace those of the same keys.
    replaced: Map<LogKey, Vec<u8>>,
    /// Whether it must survive a power cut.
    sync: bool,
}

/// Checks the transaction's conditions. Fails with `lock_lost` or `snapshot_corrupt`.
fn check(state: &State, transaction: &Transaction) -> Result<()> {
    if matches!(&transaction.guard, Guard::Head(head) if *head != state.head) {
        return Err(lock_lost());
    }
    if let Some(id) = transaction.require.iter().find(|id| !state.chunks.contains_key(*id)) {
        return Err(missing_chunk(id));
    }
    let mut newest = state.newest;
    for write in &transaction.writes {
        if let Write::Add(key, _) = write {
            if newest.is_some_and(|newest| newest >= *key) {
                return Err(lock_lost());
            }
            newest = Some(*key);
        }
    }
    Ok(())
}

/// Returns whether a transaction takes the database for a holder.
fn claims(transaction: &Transaction) -> bool {
    has(transaction, |write| matches!(write, Write::PutHead(..)))
        && has(transaction, |write| matches!(write, Write::Add(..)))
}

fn has(transaction: &Transaction, wanted: fn(&Write) -> bool) -> bool {
    transaction.writes.iter().any(wanted)
}

fn is_chunk(write: &Write) -> bool {
    matches!(write, Write::Put(Key::Chunk(_), _))
}

impl Store for FolderStore {
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let inner = self.0.clone();
        let deletes = has(&transaction, |write| matches!(write, Write::Delete(_) | Write::Put(Key::Log(_), _)));
        // Batches of the log never need a file, and are written at once.
        let written = match inner.to_prepare(&transaction) {
            Ok(names) if names.is_empty() => Ok(inner.write(&transaction)),
            Ok(names) => Err(names),
            Err(error) => Ok(Err(error)),
        };
        Box::pin(async move {
            match written {
                Ok(result) => result?,
                Err(names) => {
                    inner.prepare_files(names).await?;
                    inner.write(&transaction)?;
                }
            }
            let _ = inner.tidy(deletes).await;
            Ok(())
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(ready(self.0.read(|state| state.head.clone())))
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(ready(self.0.get(&keys)))
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        Box::pin(ready(self.0.with(|journal| match journal {
            Some(journal) => journal.log(after, max_bytes),
            None => Ok(Vec::new()),
        })))
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

    fn chunk_now(&self, id: &ChunkId) -> Result<Option<Vec<u8>>> {
        self.0.chunk(id)
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        self.0.journal.take();
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
        let finished = self.0.journal.borrow_mut().as_mut().map_or(Ok(()), Journal::finish);
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

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        // Files are never evicted, and the free disk space isn't a quota of this database.
        Box::pin(ready(Estimate { persisted: true, ..Estimate::default() }))
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(ready(true))
    }
}

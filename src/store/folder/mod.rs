//! The [`Store`] over files: `storage: 'file'` in Node, and native programs.
//!
//! ```text
//! shop.tidelock/
//!   journal.7 journal.8   segments of the journal: log, manifests and the head, transaction by transaction
//!   chunks/<id>           one file per chunk
//!   lock.12               the lock (`lock::FileLocks`)
//! ```
//!
//! A transaction is atomic, because it takes effect only when its last frame is complete in the journal:
//!
//! 1. Chunks first, each in its own file: written under another name, synced, renamed; then their folder is synced. No
//!    reader uses them before the journal lists them, so a crash here only leaves unreferenced files.
//! 2. Then the frames, appended in one go; the last one is marked. Each carries the checksum of the previous one, so
//!    that a crash or a power cut can only shorten the journal: frames after a break are ignored, and truncated before
//!    the next frame is written.
//! 3. Then, if it must survive a power cut, the segment is synced. All transactions but batches of the log must.
//! 4. Only then are the files removed that it made obsolete. The next claim removes those that a crash leaves.
//!
//! Changing the key writes the log into one new segment; it takes effect when it gets its name, and the old ones are
//! removed.
//!
//! A long segment is sealed: the next one begins with the whole state except the log, gets its name when it is synced,
//! and is from then on the valid one. Opening reads the newest segment only; the older ones hold the rest of the log,
//! and are deleted with it.
//!
//! The folder's lock keeps other processes out. Should it fail, the fence works as in other stores: each call first
//! checks whether another process has written, and a fenced-out holder's keys are taken.

#[cfg(not(target_arch = "wasm32"))]
mod disk;
mod frames;
mod journal;
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
    format::{LayoutWriter, is_chunk_id},
    ports::{
        ChunkId, Durability, Estimate, Files, Guard, Key, LocalFuture, LogKey, Store, StoredRecord, Stores,
        Transaction, Write,
    },
    sqlite::CHUNK_SIZE,
};
use frames::{FrameKind, segment_name, segment_number};
use journal::{Journal, JournalEntry, UNFINISHED, write_whole};
use state::{State, put_key, put_records};

const CHUNKS: &str = "chunks";

/// The size in bytes at which a segment is sealed.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// How much is read of a chunk's file: more than any chunk has, so that a longer file turns out to be damaged.
const MOST_CHUNK_BYTES: usize = 2 * CHUNK_SIZE;

/// One database in a folder. A handle, cheap to clone.
#[derive(Clone)]
pub struct FolderStore(Rc<FolderInner>);

struct FolderInner {
    files: Rc<dyn Files>,
    segment_bytes: u64,
    journal: RefCell<Option<Journal>>,
    closed: Cell<bool>,
}

impl FolderStore {
    /// Creates a store for the database in this folder, if there is one. Nothing is written before a claim.
    pub fn new(files: Rc<dyn Files>) -> Self {
        Self::with_segments(files, SEGMENT_BYTES)
    }

    /// Creates a store with segments of another size. Opening reads one segment, and removal deletes whole ones.
    pub fn with_segments(files: Rc<dyn Files>, segment_bytes: u64) -> Self {
        let journal = RefCell::default();
        Self(Rc::new(FolderInner { files, segment_bytes, journal, closed: Cell::new(false) }))
    }
}

/// Removes the journal and the chunks of a folder: only files written by this module.
///
/// Fails as [`Files`] does.
pub fn remove(files: &dyn Files) -> Result<()> {
    let names = files.list("")?;
    let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
    segments.sort_unstable();
    // The newest segment is removed last: without it an older state would open.
    segments.iter().try_for_each(|number| files.remove(&segment_name(*number)))?;
    for name in names.iter().filter(|name| name.starts_with("journal.") && name.ends_with(UNFINISHED)) {
        files.remove(name)?;
    }
    for name in files.list(CHUNKS)? {
        let id = name.strip_suffix(UNFINISHED).unwrap_or(&name);
        if is_chunk_id(id) {
            files.remove(&chunk_name(&name))?;
        }
    }
    files.close();
    Ok(())
}

impl FolderInner {
    /// Reloads the journal if another process wrote to it, and runs `work` on it.
    fn with<T>(&self, work: impl FnOnce(&mut Option<Journal>) -> Result<T>) -> Result<T> {
        if self.closed.get() {
            return Err(Error::new(ErrorCode::StorageUnavailable, "The database's folder is closed")
                .hint("Open the database again"));
        }
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
        let remove = |name: &str| {
            let _ = self.files.remove(name);
        };
        for name in self.files.list("").unwrap_or_default() {
            if journal.is_obsolete(&name) || name.starts_with("journal.") && name.ends_with(UNFINISHED) {
                remove(&name);
            }
        }
        for name in self.files.list(CHUNKS).unwrap_or_default() {
            if !journal.state.chunks.contains(&name) {
                remove(&chunk_name(&name));
            }
        }
    }

    fn write(&self, transaction: &Transaction) -> Result<()> {
        self.with(|slot| {
            let nothing = State::default();
            check(slot.as_ref().map_or(&nothing, |journal| &journal.state), transaction)?;
            let claims = transaction.writes.iter().any(|write| matches!(write, Write::PutHead(..)))
                && transaction.writes.iter().any(|write| matches!(write, Write::Add(..)));
            let journal = match slot {
                Some(journal) => journal,
                // Only a claim may create the folder again after it was deleted.
                None if !claims => return Err(lock_lost()),
                None => {
                    self.files.make_folder(CHUNKS)?;
                    self.files.sync_folder("")?;
                    self.files.sync_folder("..")?;
                    slot.insert(Journal::create(self.files.clone(), self.segment_bytes)?)
                }
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
            for write in &transaction.writes {
                if let Write::Delete(Key::Chunk(id)) = write
                    && !journal.state.chunks.contains(id)
                {
                    let _ = self.files.remove(&chunk_name(id));
                }
            }
            if claims {
                self.sweep(journal);
            }
            let left = journal.segments();
            for segment in segments.into_iter().filter(|segment| !left.contains(segment)) {
                let _ = self.files.remove(&frames::segment_name(segment));
            }
            // The transaction is complete; a segment that can't be sealed now only grows longer.
            let _ = journal.roll();
            Ok(())
        })
    }

    /// Writes the transaction's chunks; returns the remaining work for the journal.
    fn prepare(&self, journal: &Journal, transaction: &Transaction) -> Result<PreparedWrites> {
        let mut sync = transaction.durability == Durability::Strict;
        let mut entries = Vec::with_capacity(transaction.writes.len());
        let (mut replaced, mut wrote_chunks) = (Map::default(), false);
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
                Write::Put(Key::Chunk(id), bytes) => {
                    write_whole(&*self.files, &chunk_name(id), bytes)?;
                    wrote_chunks = true;
                    body.text(id);
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
        if wrote_chunks {
            self.files.sync_folder(CHUNKS)?;
        }
        Ok(PreparedWrites { entries, replaced, sync })
    }

    fn get(&self, keys: &[Key]) -> Result<Vec<Option<Vec<u8>>>> {
        let get = |key: &Key| match key {
            Key::Manifest(generation) => self.read(|state| state.manifests.get(generation).cloned()),
            Key::Chunk(id) if self.read(|state| state.chunks.contains(id))? => {
                self.files.read(&chunk_name(id), 0, MOST_CHUNK_BYTES)
            }
            Key::Chunk(_) | Key::Log(_) => Ok(None),
        };
        keys.iter().map(get).collect()
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
    if let Some(id) = transaction.require.iter().find(|id| !state.chunks.contains(*id)) {
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

fn chunk_name(id: &str) -> String {
    format!("{CHUNKS}/{id}")
}

impl Store for FolderStore {
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        Box::pin(ready(self.0.write(&transaction)))
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
        Box::pin(ready(self.0.read(|state| state.chunks.to_vec())))
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        self.0.files.close();
        self.0.journal.take();
        let found = self.0.read(|state| state.head.is_some());
        Box::pin(ready(found.and_then(|found| if found { Ok(()) } else { Err(lock_lost()) })))
    }

    fn finish(&self) -> Result<()> {
        self.0.journal.borrow_mut().as_mut().map_or(Ok(()), Journal::finish)
    }

    fn close(&self) {
        self.0.closed.set(true);
        // All promised data is written; this only helps to recognise later damage.
        let _ = self.finish();
        self.0.journal.take();
        self.0.files.close();
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

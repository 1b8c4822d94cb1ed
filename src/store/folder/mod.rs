//! The [`Store`] over files: `storage: 'file'` in Node, and native programs.
//!
//! ```text
//! shop.tidelock/
//!   journal.7 journal.8   segments of the journal: records, manifests and the head, transaction by transaction
//!   chunks/<id>           one file a chunk
//!   lock.12               who has the database (`lock::FileLocks`)
//! ```
//!
//! Why a transaction is atomic. It counts when its last frame is whole in the journal, and not before:
//!
//! 1. Chunks first, each as a file of its own: written under another name, synced, renamed; then their folder is synced. None of
//!    them exists for any reader before the journal says so, so a crash here leaves files that nobody names.
//! 2. Then the frames, appended in one go; the last one is marked. Each carries the checksum of the one before, so that a crash or
//!    a power cut can only shorten the journal: what follows a break doesn't count, and is cut off before the next frame is written.
//! 3. Then, where it must survive a power cut, the segment is synced. Everything but batches of the log always must.
//! 4. Only then are files removed that it made useless. Those that a crash leaves are removed by the next claim.
//!
//! Changing the key writes the log anew, as one new segment; it counts once it has its name, and the old ones are removed.
//!
//! A long segment is sealed: the next one begins with all that is not in the log, gets its name when it is on the disk, and from then
//! on is the one that counts. Opening reads the newest segment only; the older ones hold what is left of the log, and go with it.
//!
//! The folder's lock keeps others out. Should it fail, the fence holds here as elsewhere: each call first looks whether somebody else
//! has written, and a robbed holder's keys are taken.

mod codec;
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

use super::failure::{check_fence, lock_lost, missing_chunk};
use crate::{
    collections::Map,
    error::{Error, ErrorCode, Result},
    ports::{
        ChunkId, Claim, Durability, Estimate, Files, Head, LocalFuture, LogEntry, LogRecord, Manifest, Store, Stores,
        Transaction, Write,
    },
};
use codec::Out;
use frames::Kind;
use journal::{Entry, Journal, UNFINISHED, write_whole};
use state::{Key, State, key_of};

const CHUNKS: &str = "chunks";

/// A segment is sealed at this size.
const SEGMENT_BYTES: u64 = 8 * 1024 * 1024;

/// One database in a folder. Cheap to clone: a handle.
#[derive(Clone)]
pub struct FolderStore(Rc<Inner>);

struct Inner {
    files: Rc<dyn Files>,
    segment_bytes: u64,
    journal: RefCell<Option<Journal>>,
    closed: Cell<bool>,
}

impl FolderStore {
    /// The database in this folder, if there is one. Nothing is made before it is claimed.
    pub fn new(files: Rc<dyn Files>) -> Self {
        Self::with_segments(files, SEGMENT_BYTES)
    }

    /// The same with segments of another size: opening reads one of them, and removing is done by whole ones.
    pub fn with_segments(files: Rc<dyn Files>, segment_bytes: u64) -> Self {
        let journal = RefCell::default();
        Self(Rc::new(Inner { files, segment_bytes, journal, closed: Cell::new(false) }))
    }
}

impl Inner {
    /// Looks whether somebody else has written to the folder, and runs `work` over what is there.
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

    fn claim(&self, claim: Claim) -> Result<bool> {
        self.with(|slot| {
            let state = slot.as_ref().map(|journal| &journal.state);
            if state.and_then(|state| state.head.clone()) != claim.found
                || state.and_then(|state| state.newest) != claim.newest
            {
                return Ok(false);
            }
            self.files.make_folder(CHUNKS)?;
            let journal = match slot {
                Some(journal) => journal,
                None => {
                    self.files.sync_folder("")?;
                    self.files.sync_folder("..")?;
                    slot.insert(Journal::create(self.files.clone(), self.segment_bytes)?)
                }
            };
            journal.append(vec![log_entry(&claim.record), head_entry(&claim.head)], true)?;
            self.sweep(journal);
            Ok(true)
        })
    }

    /// Removes what crashes left behind. What can't be removed now will be another time.
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
            // A folder that is gone is never made anew in passing.
            let Some(journal) = slot else { return Err(lock_lost()) };
            check(&journal.state, transaction)?;
            let Prepared { entries, replaced, sync } = self.prepare(&journal.state, transaction)?;
            // One that changes nothing may still promise that all before it survives a power cut.
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
                if let Write::DeleteChunk(id) = write
                    && !journal.state.chunks.contains(id)
                {
                    let _ = self.files.remove(&chunk_name(id));
                }
            }
            let left = journal.segments();
            for segment in segments.into_iter().filter(|segment| !left.contains(segment)) {
                let _ = self.files.remove(&frames::segment_name(segment));
            }
            // It is done; a segment that can't be sealed now grows a little longer.
            let _ = journal.roll();
            Ok(())
        })
    }

    /// Writes the transaction's chunks; what is left to do in the journal.
    fn prepare(&self, state: &State, transaction: &Transaction) -> Result<Prepared> {
        let mut sync = transaction.durability == Durability::Strict;
        let (mut entries, mut head) = (Vec::with_capacity(transaction.writes.len() + 1), state.head.clone());
        let (mut replaced, mut wrote_chunks) = (Map::default(), false);
        for write in &transaction.writes {
            sync |= !matches!(write, Write::AddLog(_));
            match write {
                Write::AddLog(record) => entries.push(log_entry(record)),
                Write::TruncateLog(to) => {
                    if let Some(head) = &mut head {
                        head.truncated = *to;
                    }
                }
                Write::PutChunk(id, bytes) => {
                    write_whole(&*self.files, &chunk_name(id), bytes)?;
                    wrote_chunks = true;
                    entries.push(text_entry(Kind::PutChunk, id));
                }
                Write::DeleteChunk(id) => entries.push(text_entry(Kind::DeleteChunk, id)),
                Write::PutManifest(manifest) => {
                    if let Some(head) = &mut head {
                        head.generation = head.generation.max(manifest.generation);
                    }
                    let mut out = Out::default();
                    out.manifest(manifest);
                    entries.push((Kind::PutManifest, out.0));
                }
                Write::DeleteManifest(generation) => {
                    entries.push((Kind::DeleteManifest, generation.to_le_bytes().to_vec()));
                }
                Write::PutLog(record) => _ = replaced.insert(key_of(record), record.clone()),
                Write::PutHead(new) => head = Some((**new).clone()),
            }
        }
        if wrote_chunks {
            self.files.sync_folder(CHUNKS)?;
        }
        entries.extend(head.filter(|head| Some(head) != state.head.as_ref()).map(|head| head_entry(&head)));
        Ok(Prepared { entries, replaced, sync })
    }

    fn chunks(&self, ids: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>> {
        let known = self.read(|state| ids.iter().map(|id| state.chunks.contains(id)).collect::<Vec<_>>())?;
        let read = |(id, known): (&ChunkId, bool)| {
            let name = chunk_name(id);
            match if known { self.files.size(&name)? } else { None } {
                Some(bytes) => self.files.read(&name, 0, bytes as usize),
                None => Ok(None),
            }
        };
        // Without a journal nothing is known.
        let known = known.into_iter().chain(std::iter::repeat(false));
        ids.iter().zip(known).map(read).collect()
    }
}

/// What a transaction does to the journal.
struct Prepared {
    entries: Vec<Entry>,
    /// Records of the log that take the place of those of the same keys.
    replaced: Map<Key, LogRecord>,
    /// It must survive a power cut.
    sync: bool,
}

/// The transaction's own conditions: `lock_lost`, `snapshot_corrupt`.
fn check(state: &State, transaction: &Transaction) -> Result<()> {
    if let Some(fence) = &transaction.fence {
        check_fence(state.head.as_ref(), fence)?;
    }
    if let Some(id) = transaction.require.iter().find(|id| !state.chunks.contains(*id)) {
        return Err(missing_chunk(id));
    }
    let mut newest = state.newest;
    for write in &transaction.writes {
        if let Write::AddLog(record) = write {
            if newest.is_none_or(|newest| newest >= key_of(record)) {
                return Err(lock_lost());
            }
            newest = Some(key_of(record));
        }
    }
    Ok(())
}

fn log_entry(record: &LogRecord) -> Entry {
    let mut out = Out::default();
    out.log_record(record);
    (Kind::Log, out.0)
}

fn head_entry(head: &Head) -> Entry {
    let mut out = Out::default();
    out.head(head);
    (Kind::Head, out.0)
}

fn text_entry(kind: Kind, text: &str) -> Entry {
    let mut out = Out::default();
    out.text(text);
    (kind, out.0)
}

fn chunk_name(id: &str) -> String {
    format!("{CHUNKS}/{id}")
}

impl Store for FolderStore {
    fn claim(&self, claim: Claim) -> LocalFuture<'_, Result<bool>> {
        Box::pin(ready(self.0.claim(claim)))
    }

    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        Box::pin(ready(self.0.write(&transaction)))
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Head>>> {
        Box::pin(ready(self.0.read(|state| state.head.clone())))
    }

    fn manifests(&self) -> LocalFuture<'_, Result<(Vec<Manifest>, Vec<u64>)>> {
        Box::pin(ready(self.0.read(|state| {
            let unreadable = state.manifests.iter().filter(|(_, manifest)| manifest.is_none());
            let unreadable = unreadable.map(|(generation, _)| *generation).collect();
            (state.manifests.values().flatten().cloned().collect(), unreadable)
        })))
    }

    fn manifest(&self, generation: u64) -> LocalFuture<'_, Result<Option<Manifest>>> {
        Box::pin(ready(self.0.read(|state| state.manifests.get(&generation).cloned().flatten())))
    }

    fn log(&self, after: (u64, u32), max_bytes: usize) -> LocalFuture<'_, Result<Vec<LogEntry>>> {
        Box::pin(ready(self.0.with(|journal| match journal {
            Some(journal) => journal.log(after, max_bytes),
            None => Ok(Vec::new()),
        })))
    }

    fn newest_log(&self) -> LocalFuture<'_, Result<Option<(u64, u32)>>> {
        Box::pin(ready(self.0.read(|state| state.newest)))
    }

    fn chunks<'a>(&'a self, ids: &'a [ChunkId]) -> LocalFuture<'a, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(ready(self.0.chunks(ids)))
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

    fn close(&self) {
        self.0.closed.set(true);
        self.0.journal.take();
        self.0.files.close();
    }
}

/// The one database of a folder, whatever its name.
pub struct Folder {
    /// The folder's files.
    pub files: Rc<dyn Files>,
}

impl Stores for Folder {
    fn open(&self, _name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        Box::pin(ready(Ok(Rc::new(FolderStore::new(self.files.clone())) as Rc<dyn Store>)))
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        // Nobody evicts files, and how full the disk is doesn't say how much this database may have of it.
        Box::pin(ready(Estimate { persisted: true, ..Estimate::default() }))
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(ready(true))
    }
}

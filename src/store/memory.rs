//! The object stores in memory: behind `storage: 'memory'`, where they keep snapshots, and under every native test.

use std::{cell::RefCell, future::ready, rc::Rc};

use super::failure::{check_fence, lock_lost, missing_chunk};
use crate::{
    collections::Map,
    error::Result,
    ports::{
        ChunkId, Claim, Head, LocalFuture, LogEntry, LogKind, LogRecord, Manifest, Store, Transaction, Truncation,
        Write,
    },
};

/// A store in memory. An entry of the part `stores`: never inlined, and the optimizer must not know whose methods it has, so that the
/// part can be cut off here.
#[inline(never)]
pub fn in_memory() -> Rc<dyn Store> {
    std::hint::black_box(Rc::new(MemoryStore::default()))
}

/// The contents of all object stores. `None` stands for a value that can't be read as a record.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// `meta['head']`.
    pub head: Option<Head>,
    /// `log`, by lsn and part.
    pub log: Map<(u64, u32), Option<LogRecord>>,
    /// `snapshots`, by generation.
    pub snapshots: Map<u64, Option<Manifest>>,
    /// `chunks`, by content id.
    pub chunks: Map<ChunkId, Vec<u8>>,
}

impl Contents {
    /// Stores a claim; `false` when head or log have changed since it was worked out.
    pub fn claim(&mut self, claim: Claim) -> bool {
        if self.head != claim.found || self.log.keys().next_back().copied() != claim.newest {
            return false;
        }
        self.head = Some(claim.head);
        self.log.insert((claim.record.lsn, claim.record.part), Some(claim.record));
        true
    }

    /// Runs a transaction: all of it, or nothing and the error.
    pub fn write(&mut self, transaction: &Transaction) -> Result<()> {
        if let Some(fence) = &transaction.fence {
            check_fence(self.head.as_ref(), fence)?;
        }
        if let Some(id) = transaction.require.iter().find(|id| !self.chunks.contains_key(*id)) {
            return Err(missing_chunk(id));
        }
        let taken = |write: &&Write| matches!(write, Write::AddLog(r) if self.log.contains_key(&(r.lsn, r.part)));
        if transaction.writes.iter().any(|write| taken(&write)) {
            return Err(lock_lost());
        }
        for write in &transaction.writes {
            self.apply(write.clone());
        }
        Ok(())
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::AddLog(record) => {
                self.log.insert((record.lsn, record.part), Some(record));
            }
            Write::TruncateLog(to) => self.truncate(to),
            Write::PutChunk(id, bytes) => {
                self.chunks.insert(id, bytes);
            }
            Write::DeleteChunk(id) => {
                self.chunks.remove(&id);
            }
            Write::PutManifest(manifest) => {
                if let Some(head) = &mut self.head {
                    head.generation = head.generation.max(manifest.generation);
                }
                self.snapshots.insert(manifest.generation, Some(*manifest));
            }
            Write::DeleteManifest(generation) => {
                self.snapshots.remove(&generation);
            }
            Write::PutLog(record) => {
                self.log.insert((record.lsn, record.part), Some(record));
            }
            Write::PutHead(head) => self.head = Some(*head),
        }
    }

    fn truncate(&mut self, to: Truncation) {
        let Some(head) = &mut self.head else { return };
        head.truncated = to;
        let epochs = &head.epochs;
        self.log.retain(|(lsn, _), record| {
            let epoch = record.as_ref().is_none_or(|record| record.kind == LogKind::Epoch) && epochs.contains(lsn);
            *lsn > to.lsn || epoch
        });
    }
}

/// A [`Store`] in memory. Cheap to clone: a handle to the same contents.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Rc<RefCell<Contents>>);

impl MemoryStore {
    /// Empty object stores.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is stored, to look at or to damage.
    pub fn contents(&self) -> &RefCell<Contents> {
        &self.0
    }
}

impl Store for MemoryStore {
    fn claim(&self, claim: Claim) -> LocalFuture<'_, Result<bool>> {
        Box::pin(ready(Ok(self.0.borrow_mut().claim(claim))))
    }

    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        Box::pin(ready(self.0.borrow_mut().write(&transaction)))
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Head>>> {
        Box::pin(ready(Ok(self.0.borrow().head.clone())))
    }

    fn manifests(&self) -> LocalFuture<'_, Result<(Vec<Manifest>, Vec<u64>)>> {
        let contents = self.0.borrow();
        let readable = contents.snapshots.values().flatten().cloned().collect();
        let unreadable = contents.snapshots.iter().filter(|(_, manifest)| manifest.is_none());
        Box::pin(ready(Ok((readable, unreadable.map(|(generation, _)| *generation).collect()))))
    }

    fn manifest(&self, generation: u64) -> LocalFuture<'_, Result<Option<Manifest>>> {
        Box::pin(ready(Ok(self.0.borrow().snapshots.get(&generation).cloned().flatten())))
    }

    fn log(&self, after: (u64, u32), max_bytes: usize) -> LocalFuture<'_, Result<Vec<LogEntry>>> {
        let contents = self.0.borrow();
        let mut room = max_bytes;
        let mut entries = Vec::new();
        for ((lsn, part), record) in contents.log.from(&after) {
            if (*lsn, *part) == after {
                continue;
            }
            if room == 0 {
                break;
            }
            room = room.saturating_sub(record.as_ref().map_or(1, |record| record.bytes.len().max(1)));
            entries.push(LogEntry { lsn: *lsn, part: *part, record: record.clone() });
        }
        Box::pin(ready(Ok(entries)))
    }

    fn newest_log(&self) -> LocalFuture<'_, Result<Option<(u64, u32)>>> {
        Box::pin(ready(Ok(self.0.borrow().log.keys().next_back().copied())))
    }

    fn chunks<'a>(&'a self, ids: &'a [ChunkId]) -> LocalFuture<'a, Result<Vec<Option<Vec<u8>>>>> {
        let contents = self.0.borrow();
        Box::pin(ready(Ok(ids.iter().map(|id| contents.chunks.get(id).cloned()).collect())))
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        Box::pin(ready(Ok(self.0.borrow().chunks.keys().cloned().collect())))
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn close(&self) {}
}

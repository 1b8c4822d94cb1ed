//! An in-memory store: for the snapshots of `storage: 'memory'`, and for every native test.

use std::{cell::RefCell, future::ready, rc::Rc};

use super::failure::{lock_lost, missing_chunk};
use crate::{
    collections::Map,
    error::Result,
    ports::{ChunkId, Guard, Key, LocalFuture, LogKey, Store, StoredRecord, Transaction, Write},
};

/// Creates an in-memory store. An entry of the part `stores`: never inlined, and the optimizer must not know the type,
/// so that the part can be split off here.
#[inline(never)]
pub fn in_memory() -> Rc<dyn Store> {
    std::hint::black_box(Rc::new(MemoryStore::default()))
}

/// The stored content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    /// The head.
    pub head: Option<Vec<u8>>,
    /// The copy of the head.
    pub head_copy: Option<Vec<u8>>,
    /// The log.
    pub log: Map<LogKey, Vec<u8>>,
    /// The manifests, by generation.
    pub snapshots: Map<u64, Vec<u8>>,
    /// The chunks.
    pub chunks: Map<ChunkId, Vec<u8>>,
}

impl Contents {
    /// Runs a transaction completely, or fails without effect.
    pub fn write(&mut self, transaction: &Transaction) -> Result<()> {
        if matches!(&transaction.guard, Guard::Head(head) if *head != self.head) {
            return Err(lock_lost());
        }
        if let Some(id) = transaction.require.iter().find(|id| !self.chunks.contains_key(*id)) {
            return Err(missing_chunk(id));
        }
        let taken = |write: &Write| matches!(write, Write::Add(key, _) if self.log.contains_key(key));
        if transaction.writes.iter().any(taken) {
            return Err(lock_lost());
        }
        transaction.writes.iter().cloned().for_each(|write| self.apply(write));
        Ok(())
    }

    fn apply(&mut self, write: Write) {
        match write {
            Write::PutHead(bytes, _) => {
                self.head_copy = Some(bytes.clone());
                self.head = Some(bytes);
            }
            Write::Add(key, bytes) | Write::Put(Key::Log(key), bytes) => _ = self.log.insert(key, bytes),
            Write::Put(Key::Manifest(generation), bytes) => _ = self.snapshots.insert(generation, bytes),
            Write::Put(Key::Chunk(id), bytes) => _ = self.chunks.insert(id, bytes),
            Write::Delete(Key::Log(key)) => _ = self.log.remove(&key),
            Write::Delete(Key::Manifest(generation)) => _ = self.snapshots.remove(&generation),
            Write::Delete(Key::Chunk(id)) => _ = self.chunks.remove(&id),
            Write::CutLog { through, spare } => {
                self.log.retain(|(lsn, _), _| *lsn > through || spare.contains(lsn));
            }
        }
    }

    fn get(&self, key: &Key) -> Option<Vec<u8>> {
        match key {
            Key::Log(key) => self.log.get(key),
            Key::Manifest(generation) => self.snapshots.get(generation),
            Key::Chunk(id) => self.chunks.get(id),
        }
        .cloned()
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> Vec<StoredRecord> {
        let mut room = max_bytes;
        let behind = self.log.from(&after).skip_while(|(key, _)| **key == after);
        let fits = behind.take_while(|(_, bytes)| {
            let fits = room > 0;
            room = room.saturating_sub(bytes.len().max(1));
            fits
        });
        fits.map(|(key, bytes)| (*key, bytes.clone())).collect()
    }
}

/// A [`Store`] in memory. A handle to the same content, cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore(Rc<RefCell<Contents>>);

impl MemoryStore {
    /// Creates an empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the stored content, to inspect or to damage it.
    pub fn contents(&self) -> &RefCell<Contents> {
        &self.0
    }
}

impl Store for MemoryStore {
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        Box::pin(ready(self.0.borrow_mut().write(&transaction)))
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(ready(Ok(self.0.borrow().head.clone())))
    }

    fn head_copy(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(ready(Ok(self.0.borrow().head_copy.clone())))
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        let contents = self.0.borrow();
        Box::pin(ready(Ok(keys.iter().map(|key| contents.get(key)).collect())))
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        Box::pin(ready(Ok(self.0.borrow().log(after, max_bytes))))
    }

    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
        Box::pin(ready(Ok(self.0.borrow().snapshots.keys().copied().collect())))
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        Box::pin(ready(Ok(self.0.borrow().chunks.keys().cloned().collect())))
    }

    fn reads_now(&self) -> bool {
        true
    }

    fn chunk_now(&self, id: &ChunkId, _buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().chunks.get(id).cloned())
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(ready(Ok(())))
    }
}

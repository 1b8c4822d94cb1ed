//! A store that breaks one rule of the storage format on purpose.
//!
//! Each rule can be broken between the code and its store, so the shipped code needs no switch.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tidelock::{
    Result,
    format::{LogHeader, LogKind, LogRecord, checksum_of},
    ports::{ChunkId, Durability, Guard, Key, LocalFuture, LogKey, Platform, Store, StoredRecord, Transaction, Write},
    store::faulty::FaultyStore,
};

use crate::store::stored;

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// 1. Pages of open transactions reach the file (`cache_spill`).
    SpillPages,
    /// 2. Writes other than to the log don't check the head.
    SkipFence,
    /// 2. Batches are put, not added.
    PutInsteadOfAdd,
    /// 2. A claim leaves no epoch record.
    NoEpochRecord,
    /// 2. A claim doesn't check whether anything changed since it was computed.
    ClaimBlindly,
    /// 3. A batch is acknowledged before its transaction is complete.
    AcknowledgeEarly,
    /// 3. Strict transactions are only relaxed.
    RelaxStrict,
    /// 4. The chain isn't checked: any record may follow any other.
    NoChain,
    /// 6. The manifest is written before its chunks.
    ManifestFirst,
    /// 7. Reading back returns the written bytes instead of the stored ones: a snapshot counts without verification.
    VerifyBlindly,
    /// 7. The log is truncated to its end, not only up to a verified snapshot.
    TruncateTooMuch,
    /// 7. Every new snapshot deletes the oldest verified one, even if no other is usable.
    DeleteTooMuch,
    /// 8. Changed chunks are treated as unchanged.
    ForgetTouched,
}

impl Mutation {
    pub const ALL: [Mutation; 13] = [
        Mutation::SpillPages,
        Mutation::SkipFence,
        Mutation::PutInsteadOfAdd,
        Mutation::NoEpochRecord,
        Mutation::ClaimBlindly,
        Mutation::AcknowledgeEarly,
        Mutation::RelaxStrict,
        Mutation::NoChain,
        Mutation::ManifestFirst,
        Mutation::VerifyBlindly,
        Mutation::TruncateTooMuch,
        Mutation::DeleteTooMuch,
        Mutation::ForgetTouched,
    ];
}

/// A store behind a mutation.
pub struct Mutant {
    store: FaultyStore,
    platform: Platform,
    mutation: Mutation,
    /// Chunks as they were written.
    written: Rc<RefCell<HashMap<ChunkId, Vec<u8>>>>,
    /// Chunks that wait for their manifest.
    pending: Rc<RefCell<Vec<Write>>>,
}

impl Mutant {
    pub fn new(store: FaultyStore, platform: Platform, mutation: Mutation) -> Self {
        Self { store, platform, mutation, written: Rc::default(), pending: Rc::default() }
    }

    fn is(&self, mutation: Mutation) -> bool {
        self.mutation == mutation
    }

    /// Delays chunks in `pending` until the manifest that references them is written.
    fn manifest_first(&self, mut transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let held = |write: &Write| matches!(write, Write::Put(Key::Chunk(_), _));
        let (chunks, rest): (Vec<_>, Vec<_>) = transaction.writes.into_iter().partition(held);
        self.pending.borrow_mut().extend(chunks);
        transaction.writes = rest;
        if transaction.writes.is_empty() {
            return Box::pin(async { Ok(()) });
        }
        transaction.require.clear();
        // The head that the manifest's transaction stores.
        let head = transaction.writes.iter().find_map(|write| match write {
            Write::PutHead(head, _) => Some(Guard::Head(Some(head.clone()))),
            _ => None,
        });
        let late = publishes(&transaction).then(|| Transaction {
            guard: head.unwrap_or(transaction.guard.clone()),
            require: Vec::new(),
            writes: std::mem::take(&mut *self.pending.borrow_mut()),
            durability: Durability::Strict,
        });
        let store = self.store.clone();
        Box::pin(async move {
            store.write(transaction).await?;
            match late {
                Some(late) => store.write(late).await,
                None => Ok(()),
            }
        })
    }
}

fn publishes(transaction: &Transaction) -> bool {
    transaction.writes.iter().any(|write| matches!(write, Write::Put(Key::Manifest(_), _)))
}

impl Store for Mutant {
    fn write(&self, mut transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let of_log = transaction.writes.iter().any(|write| matches!(write, Write::Add(..)));
        let claims = of_log && transaction.guard != Guard::Nothing;
        for write in &mut transaction.writes {
            match write {
                Write::Put(Key::Chunk(id), bytes) if self.is(Mutation::VerifyBlindly) => {
                    self.written.borrow_mut().insert(*id, bytes.clone());
                }
                Write::Add(key, bytes)
                    if self.is(Mutation::PutInsteadOfAdd) && !claims || self.is(Mutation::ClaimBlindly) && claims =>
                {
                    *write = Write::Put(Key::Log(*key), std::mem::take(bytes));
                }
                Write::CutLog { through, .. } if self.is(Mutation::TruncateTooMuch) => {
                    let contents = self.store.disk().contents().borrow();
                    *through = contents.log.keys().next_back().map_or(*through, |(lsn, _)| *lsn);
                }
                _ => {}
            }
        }
        match self.mutation {
            Mutation::SkipFence if !claims => transaction.guard = Guard::Nothing,
            Mutation::ClaimBlindly if claims => transaction.guard = Guard::Nothing,
            Mutation::NoEpochRecord if claims => transaction.writes.retain(|write| !matches!(write, Write::Add(..))),
            Mutation::RelaxStrict => transaction.durability = Durability::Relaxed,
            Mutation::ManifestFirst if !of_log => return self.manifest_first(transaction),
            Mutation::DeleteTooMuch if publishes(&transaction) => {
                let contents = self.store.disk().contents().borrow();
                let others = contents.snapshots.keys().copied();
                transaction.writes.splice(0..0, others.map(|generation| Write::Delete(Key::Manifest(generation))));
            }
            Mutation::AcknowledgeEarly if of_log && !claims => {
                let written = self.store.write(transaction);
                self.platform.spawner.spawn(Box::pin(async move { drop(written.await) }));
                return Box::pin(async { Ok(()) });
            }
            _ => {}
        }
        self.store.write(transaction)
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        Box::pin(async move {
            let records = self.store.log(after, max_bytes).await?;
            Ok(if self.is(Mutation::NoChain) { launder(records, after.0, &self.store) } else { records })
        })
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            let mut values = self.store.get(keys.clone()).await?;
            for (key, value) in keys.iter().zip(&mut values) {
                let Key::Chunk(id) = key else { continue };
                if let Some(written) = self.written.borrow().get(id) {
                    *value = Some(written.clone());
                }
                let waits = |write: &Write| match write {
                    Write::Put(other, bytes) if other == key => Some(bytes.clone()),
                    _ => None,
                };
                let waiting = self.pending.borrow().iter().find_map(waits);
                *value = waiting.or(value.take());
            }
            Ok(values)
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        self.store.head()
    }

    fn head_copy(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        self.store.head_copy()
    }

    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
        self.store.generations()
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        self.store.chunk_ids()
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        self.store.reopen()
    }
}

/// Repairs the chain so that each record follows the previous one. Leaves unreadable records out.
fn launder(records: Vec<StoredRecord>, after: u64, store: &FaultyStore) -> Vec<StoredRecord> {
    let manifests = stored::manifests(&store.disk().contents().borrow());
    let mut prev = manifests.iter().rfind(|manifest| manifest.lsn == after).map_or(0, |manifest| manifest.chain);
    let readable = records.into_iter().filter_map(|(key, stored)| LogRecord::decode(key, stored));
    let laundered = readable.zip(after + 1..).map(|(LogRecord { header, pages, mut bytes, .. }, lsn)| {
        if header.kind == LogKind::Epoch {
            bytes.clear();
        }
        let stored = LogHeader { lsn, part: 0, parts: 1, prev, ..header }.encode(&pages, &bytes);
        prev = checksum_of(&stored);
        ((lsn, 0), stored)
    });
    laundered.collect()
}

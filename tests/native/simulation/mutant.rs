//! A storage that breaks one rule of the design on purpose.
//!
//! Every rule can be broken from outside, between the code and its store, so that no switch is needed in what is shipped.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use tidelock::{
    Result,
    ports::{
        ChunkId, Claim, Durability, Head, LocalFuture, LogEntry, LogKind, Manifest, Platform, Store, Transaction, Write,
    },
    store::{checksum, faulty::FaultyStore},
};

/// One rule, broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// 1. Pages of open transactions reach the file (`cache_spill`).
    SpillPages,
    /// 2. Writes other than of the log don't look at the head.
    SkipFence,
    /// 2. Batches are put, not added.
    PutInsteadOfAdd,
    /// 2. A claim leaves no epoch record.
    NoEpochRecord,
    /// 2. A claim doesn't look whether anything changed since it was worked out.
    ClaimBlindly,
    /// 3. A batch is acknowledged before its transaction is complete.
    AcknowledgeEarly,
    /// 3. Strict is only relaxed.
    RelaxStrict,
    /// 4. The chain isn't checked: whatever is there follows what was before.
    NoChain,
    /// 6. The manifest is written before its chunks.
    ManifestFirst,
    /// 7. What is read back is what was written, not what is stored: a snapshot counts before it is verified.
    VerifyBlindly,
    /// 7. The log goes up to its end, not only up to what a verified snapshot stands for.
    TruncateTooMuch,
    /// 7. The oldest verified snapshot is deleted with every new one, also when it is the last good one.
    DeleteTooMuch,
    /// 8. Chunks that changed are taken for unchanged.
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

    /// Chunks wait in `pending` until the manifest that names them is written.
    fn manifest_first(&self, mut transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let held = |write: &Write| matches!(write, Write::PutChunk(..));
        let (chunks, rest): (Vec<_>, Vec<_>) = transaction.writes.into_iter().partition(held);
        self.pending.borrow_mut().extend(chunks);
        transaction.writes = rest;
        if transaction.writes.is_empty() {
            return Box::pin(async { Ok(()) });
        }
        transaction.require.clear();
        let publishes = transaction.writes.iter().any(|write| matches!(write, Write::PutManifest(_)));
        let late = publishes.then(|| Transaction {
            fence: transaction.fence.clone(),
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

impl Store for Mutant {
    fn claim(&self, claim: Claim) -> LocalFuture<'_, Result<bool>> {
        Box::pin(async move {
            let key = (claim.record.lsn, claim.record.part);
            let mut claimed = self.store.claim(claim.clone()).await?;
            while self.is(Mutation::ClaimBlindly) && !claimed {
                let (found, newest) = (self.store.disk().head().await?, self.store.disk().newest_log().await?);
                claimed = self.store.claim(Claim { found, newest, ..claim.clone() }).await?;
            }
            if self.is(Mutation::NoEpochRecord) && claimed {
                self.store.disk().contents().borrow_mut().log.remove(&key);
            }
            Ok(claimed)
        })
    }

    fn write(&self, mut transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let of_log = transaction.writes.iter().any(|write| matches!(write, Write::AddLog(_)));
        for write in &mut transaction.writes {
            match write {
                Write::PutChunk(id, bytes) if self.is(Mutation::VerifyBlindly) => {
                    self.written.borrow_mut().insert(id.clone(), bytes.clone());
                }
                Write::AddLog(record) if self.is(Mutation::PutInsteadOfAdd) => {
                    self.store.disk().contents().borrow_mut().log.remove(&(record.lsn, record.part));
                }
                Write::TruncateLog(to) if self.is(Mutation::TruncateTooMuch) => {
                    let contents = self.store.disk().contents().borrow();
                    to.lsn = contents.log.keys().next_back().map_or(to.lsn, |(lsn, _)| *lsn);
                }
                _ => {}
            }
        }
        match self.mutation {
            Mutation::SkipFence => transaction.fence = None,
            Mutation::RelaxStrict => transaction.durability = Durability::Relaxed,
            Mutation::ManifestFirst if !of_log => return self.manifest_first(transaction),
            Mutation::DeleteTooMuch => {
                let publishes = transaction.writes.iter().any(|write| matches!(write, Write::PutManifest(_)));
                let contents = self.store.disk().contents().borrow();
                let others = contents.snapshots.keys().copied().filter(|_| publishes);
                transaction.writes.splice(0..0, others.map(Write::DeleteManifest));
            }
            Mutation::AcknowledgeEarly if of_log => {
                let written = self.store.write(transaction);
                self.platform.spawner.spawn(Box::pin(async move { drop(written.await) }));
                return Box::pin(async { Ok(()) });
            }
            _ => {}
        }
        self.store.write(transaction)
    }

    fn log(&self, after: (u64, u32), max_bytes: usize) -> LocalFuture<'_, Result<Vec<LogEntry>>> {
        Box::pin(async move {
            let mut entries = self.store.log(after, max_bytes).await?;
            if self.is(Mutation::NoChain) {
                launder(&mut entries, after.0, &self.store);
            }
            Ok(entries)
        })
    }

    fn chunks<'a>(&'a self, ids: &'a [ChunkId]) -> LocalFuture<'a, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            let mut chunks = self.store.chunks(ids).await?;
            for (id, chunk) in ids.iter().zip(&mut chunks) {
                if let Some(written) = self.written.borrow().get(id) {
                    *chunk = Some(written.clone());
                }
                let waits = |write: &Write| match write {
                    Write::PutChunk(other, bytes) if other == id => Some(bytes.clone()),
                    _ => None,
                };
                let waiting = self.pending.borrow().iter().find_map(waits);
                *chunk = waiting.or(chunk.take());
            }
            Ok(chunks)
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Head>>> {
        self.store.head()
    }

    fn manifests(&self) -> LocalFuture<'_, Result<(Vec<Manifest>, Vec<u64>)>> {
        self.store.manifests()
    }

    fn manifest(&self, generation: u64) -> LocalFuture<'_, Result<Option<Manifest>>> {
        self.store.manifest(generation)
    }

    fn newest_log(&self) -> LocalFuture<'_, Result<Option<(u64, u32)>>> {
        self.store.newest_log()
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        self.store.chunk_ids()
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        self.store.reopen()
    }

    fn close(&self) {}
}

/// Makes each record follow the one before, whatever it is; what can't be read is left out.
fn launder(entries: &mut Vec<LogEntry>, after: u64, store: &FaultyStore) {
    entries.retain(|entry| entry.record.is_some());
    let contents = store.disk().contents().borrow();
    let chains = contents.snapshots.values().flatten().filter(|manifest| manifest.lsn == after);
    let mut prev = chains.map(|manifest| manifest.chain).next_back().unwrap_or(0);
    let mut lsn = after;
    for record in entries.iter_mut().filter_map(|entry| entry.record.as_mut()) {
        lsn += 1;
        (record.lsn, record.part, record.parts, record.prev) = (lsn, 0, 1, prev);
        if record.kind == LogKind::Epoch {
            record.bytes.clear();
        }
        record.checksum = checksum::of_record(record);
        prev = record.checksum;
    }
    for entry in entries {
        let record = entry.record.as_ref().expect("retained");
        (entry.lsn, entry.part) = (record.lsn, record.part);
    }
}

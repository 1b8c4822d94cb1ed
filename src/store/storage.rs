//! One opened database's storage: the fence, and the end of the log.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::{
    PART_BYTES, Position, Warning, batch_records, epoch_record,
    failure::lock_lost,
    records,
    recovery::{self, Recovered},
    sealed::ENCRYPTION,
};
use crate::{
    collections::{Bits, Set},
    error::{ErrorCode, Result},
    format::{FORMAT, Head, LogRecord, Manifest, Truncation, checksum_of},
    ports::{ChunkId, Durability, Guard, Holder, LocalFuture, Platform, Store, StoredRecord, Transaction, Write},
    sqlite::{Batch, Image},
    value::hex,
};

/// How often opening starts again because a robbed holder's last batch came in between.
pub(super) const CLAIM_ATTEMPTS: u32 = 5;
/// How many epoch records stay in the log as fences.
const KEPT_EPOCHS: usize = 256;
/// Below this, the log is never compacted.
const MIN_COMPACTION_BYTES: u64 = 4 * 1024 * 1024;
/// Below this, not even when it is longer than it may be.
const MIN_SURPLUS_BYTES: u64 = 1024 * 1024;

/// What [`Storage::open`] found.
pub struct Opened {
    /// The storage, fenced for this holder.
    pub storage: Storage,
    /// The database's contents.
    pub image: Image,
    /// What went well in the end, but should be told.
    pub warnings: Vec<Warning>,
    /// The database was made just now.
    pub created: bool,
}

/// How much is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// All of it.
    pub bytes: u64,
    /// The page log.
    pub log_bytes: u64,
    /// The chunks.
    pub chunk_bytes: u64,
}

/// One database's storage. Cheap to clone: a handle.
///
/// [`Storage::append`] may run beside everything else; snapshots, prunes and sweeps one at a time.
#[derive(Clone)]
pub struct Storage(pub(super) Rc<StorageInner>);

pub(super) struct StorageInner {
    /// Another one from the moment on when the key changes.
    pub store: RefCell<Rc<dyn Store>>,
    pub platform: Platform,
    pub database_id: String,
    pub epoch: u64,
    /// The head as this holder stored it last.
    pub head: RefCell<Head>,
    /// The stored head may be another one: after a write that failed without saying whether it was stored.
    head_in_doubt: Cell<bool>,
    pub end: Cell<Position>,
    /// A batch whose transaction failed without saying whether it was stored: the checksum of its first part, and the
    /// place after it.
    doubt: Cell<Option<(u64, Position)>>,
    pub generation: Cell<u64>,
    /// Those that are places of the log.
    pub manifests: RefCell<Vec<Manifest>>,
    /// Those that were imported.
    pub imported: RefCell<Vec<Manifest>>,
    /// The store may have other manifests than `manifests`: after a write that failed without saying what of it was stored.
    pub manifests_in_doubt: Cell<bool>,
    pub damaged: RefCell<Set<u64>>,
    /// The manifest whose unchanged chunks the next one reuses.
    pub base: RefCell<Option<Manifest>>,
    /// Chunks that differ from the base, besides those that the page file has touched.
    pub stale: RefCell<Bits>,
}

impl StorageInner {
    pub fn store(&self) -> Rc<dyn Store> {
        self.store.borrow().clone()
    }
}

impl Storage {
    /// Reads the database, or makes it, and takes the fence. The caller holds the lock.
    ///
    /// Nothing is written before everything was read and checked. Fails with `database_corrupt` (details `snapshotId`,
    /// `lastGoodAt`, `lostBatches`) when the log is damaged after the newest usable manifest, `snapshot_incompatible`
    /// when a newer version wrote it, `lock_lost` when somebody else keeps writing, and what the store fails with.
    pub async fn open(store: Rc<dyn Store>, platform: &Platform, holder: Holder) -> Result<Opened> {
        for _ in 0..CLAIM_ATTEMPTS {
            let found = recovery::recover(&*store).await?;
            let now = platform.clock.now();
            let epoch = found.head.as_ref().map_or(0, |head| head.epoch) + 1;
            let (record, end) = epoch_record(found.state.end, epoch, now);
            let head = next_head(&found, epoch, end.lsn, holder.clone(), platform);
            if claim(&*store, found.stored.clone(), &head, record).await? {
                return Self::opened(store, platform, found, head, end).await;
            }
        }
        Err(lock_lost())
    }

    /// Who took the database last, for whoever finds it in use. Fails as the store does.
    pub async fn holder(store: &dyn Store) -> Result<Option<Holder>> {
        Ok(records::head(store).await?.map(|head| head.holder))
    }

    /// Whether what is stored is encrypted, and who took it last; `None` when nothing is. Fails as the store does, and with
    /// `database_corrupt`.
    pub async fn label(store: &dyn Store) -> Result<Option<(bool, Holder)>> {
        let head = records::head(store).await?;
        Ok(head.map(|head| (head.features.iter().any(|feature| feature == ENCRYPTION), head.holder)))
    }

    pub(super) async fn opened(
        store: Rc<dyn Store>,
        platform: &Platform,
        found: Recovered,
        head: Head,
        end: Position,
    ) -> Result<Opened> {
        let storage = Self(Rc::new(StorageInner {
            store: RefCell::new(store),
            platform: platform.clone(),
            database_id: head.database_id.clone(),
            epoch: head.epoch,
            end: Cell::new(end),
            doubt: Cell::new(None),
            generation: Cell::new(head.generation),
            head: RefCell::new(head),
            head_in_doubt: Cell::new(false),
            manifests: RefCell::new(found.manifests),
            imported: RefCell::new(found.imported),
            // A robbed holder may have deleted some between the reading and the claim.
            manifests_in_doubt: Cell::new(true),
            damaged: RefCell::new(found.damaged),
            base: RefCell::new(found.state.base),
            stale: RefCell::new(found.state.stale),
        }));
        if found.needs_barrier {
            storage.put_barrier(&found.state.image, end).await?;
        }
        let created = found.head.is_none();
        let mut warnings = found.warnings;
        warnings.extend(storage.0.store().lost().filter(|_| created).map(|why| Warning {
            code: "storage_lost",
            message: format!("the browser found its storage damaged and deleted it with this database: {why}"),
        }));
        Ok(Opened { storage, image: found.state.image, warnings, created })
    }

    /// The epoch of this holder.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// The database's id.
    pub fn database_id(&self) -> &str {
        &self.0.database_id
    }

    /// The end of the log.
    pub fn position(&self) -> Position {
        self.0.end.get()
    }

    /// Appends a batch to the log, in one transaction whose requests are issued when this is called. One at a time.
    /// Fails as [`append_in_parts`](Self::append_in_parts) does.
    pub fn append(&self, batch: &Batch, durability: Durability) -> LocalFuture<'static, Result<()>> {
        self.append_in_parts(batch, durability, PART_BYTES)
    }

    /// [`append`](Self::append) with records of at most that many bytes of pages.
    ///
    /// After a failure the batch may or may not be stored: the next call finds out, on a new connection, before it
    /// appends. Fails with `lock_lost` (for good) and what the store fails with.
    pub fn append_in_parts(
        &self,
        batch: &Batch,
        durability: Durability,
        part_bytes: usize,
    ) -> LocalFuture<'static, Result<()>> {
        if self.0.doubt.get().is_some() {
            let (storage, batch) = (self.clone(), batch.clone());
            return Box::pin(async move {
                storage.revive().await?;
                storage.append_in_parts(&batch, durability, part_bytes).await
            });
        }
        let now = self.0.platform.clock.now();
        let (records, end) = batch_records(self.0.end.get(), self.epoch(), batch, now, part_bytes);
        let first = checksum_of(&records[0].1);
        let writes = records.into_iter().map(|(key, record)| Write::Add(key, record)).collect();
        let transaction = Transaction { guard: Guard::Nothing, require: Vec::new(), writes, durability };
        let written = self.0.store().write(transaction);
        // In doubt until it is answered, also if nobody waits for the answer.
        self.0.doubt.set(Some((first, end)));
        let inner = self.0.clone();
        Box::pin(async move {
            written.await?;
            inner.doubt.set(None);
            inner.end.set(end);
            Ok(())
        })
    }

    /// Does it, and once more on a new connection when it fails with `storage_unavailable`: one that breaks is noticed only when
    /// it is used.
    pub async fn reconnecting<T>(&self, work: impl AsyncFn() -> Result<T>) -> Result<T> {
        let mut again = true;
        loop {
            match work().await {
                Err(error) if again && error.is(ErrorCode::StorageUnavailable) => self.0.store().reopen().await?,
                done => return done,
            }
            again = false;
        }
    }

    /// Connects again and finds out whether a batch in doubt was stored.
    ///
    /// Fails with `lock_lost` when the database is somebody else's by now, or gone.
    pub async fn revive(&self) -> Result<()> {
        let inner = &*self.0;
        inner.store().reopen().await?;
        self.own_head().await?;
        if let Some((first, end)) = inner.doubt.get() {
            let next = inner.store().log((inner.end.get().lsn, u32::MAX), 1).await?.into_iter().next();
            if let Some((key, bytes)) = next {
                LogRecord::decode(key, bytes).filter(|record| record.checksum == first).ok_or_else(lock_lost)?;
                inner.end.set(end);
            }
            inner.doubt.set(None);
        }
        Ok(())
    }

    /// The stored head; `lock_lost` unless it is this holder's.
    pub(super) async fn own_head(&self) -> Result<Head> {
        let head = records::head(&*self.0.store()).await?;
        let own = |head: &Head| head.database_id == self.0.database_id && head.epoch == self.0.epoch;
        head.filter(own).ok_or_else(lock_lost)
    }

    /// Takes the stored head for what it is. Not beside a snapshot, a prune or a sweep.
    pub(super) async fn reload_head(&self) -> Result<()> {
        *self.0.head.borrow_mut() = self.own_head().await?;
        self.0.head_in_doubt.set(false);
        Ok(())
    }

    /// One strict transaction, which fails with `lock_lost` unless the head is as this holder stored it. It stores what `change`
    /// makes of the head.
    pub(super) async fn guarded(
        &self,
        mut writes: Vec<Write>,
        require: Vec<ChunkId>,
        change: impl FnOnce(&mut Head),
    ) -> Result<()> {
        let inner = &*self.0;
        if inner.head_in_doubt.get() {
            self.reload_head().await?;
        }
        let found = inner.head.borrow().clone();
        let mut head = found.clone();
        change(&mut head);
        if head != found {
            writes.push(records::put_head(&head));
            inner.head_in_doubt.set(true);
        }
        let guard = Guard::Head(Some(found.encode()));
        inner.store().write(Transaction { guard, require, writes, durability: Durability::Strict }).await?;
        *inner.head.borrow_mut() = head;
        inner.head_in_doubt.set(false);
        Ok(())
    }

    /// Where the log begins.
    pub fn truncated(&self) -> Truncation {
        self.0.head.borrow().truncated
    }

    /// How much is stored, without asking the store.
    pub fn usage(&self) -> Usage {
        let (manifests, imported) = (self.0.manifests.borrow(), self.0.imported.borrow());
        let chunk_bytes = stored_bytes(&manifests.iter().chain(imported.iter()).collect::<Vec<_>>());
        let log_bytes = self.0.end.get().logged - self.truncated().logged;
        Usage { bytes: log_bytes + chunk_bytes, log_bytes, chunk_bytes }
    }

    /// Whether it is time for a checkpoint: the log since the newest usable manifest is long, all of which opening reads;
    /// or the whole log is longer than `log_limit`, and only something newer lets its front go.
    pub fn wants_checkpoint(&self, db_bytes: u64, log_limit: u64) -> bool {
        let end = self.0.end.get().logged;
        let since = end - self.0.base.borrow().as_ref().map_or(0, |base| base.logged);
        let surplus = end - self.truncated().logged > log_limit;
        since > MIN_COMPACTION_BYTES.max(db_bytes / 2) || surplus && since > MIN_SURPLUS_BYTES.max(log_limit / 4)
    }

    /// Resolves once nothing is under way in the store.
    pub async fn settled(&self) {
        self.0.store().settled().await;
    }

    /// Lets go of the store.
    pub fn close(&self) {
        self.0.store().close();
    }
}

/// Takes the fence: stores head and epoch record, if the head is still the one that was found and the record's place is free;
/// `false`, and nothing is written, otherwise.
pub(super) async fn claim(
    store: &dyn Store,
    found: Option<Vec<u8>>,
    head: &Head,
    (key, record): StoredRecord,
) -> Result<bool> {
    let writes = vec![records::put_head(head), Write::Add(key, record)];
    let transaction =
        Transaction { guard: Guard::Head(found), require: Vec::new(), writes, durability: Durability::Strict };
    match store.write(transaction).await {
        Err(error) if error.is(ErrorCode::LockLost) => Ok(false),
        written => written.map(|()| true),
    }
}

/// How many bytes the chunks of these manifests take up, shared ones once.
pub fn stored_bytes(manifests: &[&Manifest]) -> u64 {
    let chunks: Set<(&str, u32)> = manifests
        .iter()
        .flat_map(|manifest| manifest.chunks.iter())
        .map(|chunk| (chunk.id.as_str(), chunk.stored))
        .collect();
    chunks.iter().map(|(_, stored)| u64::from(*stored)).sum()
}

pub(super) fn next_head(found: &Recovered, epoch: u64, lsn: u64, holder: Holder, platform: &Platform) -> Head {
    let newest = found.manifests.iter().chain(&found.imported).map(|manifest| manifest.generation).max().unwrap_or(0);
    let newest = newest.max(found.damaged.last().copied().unwrap_or(0));
    let mut head = found.head.clone().unwrap_or_else(|| new_head(platform));
    head.epoch = epoch;
    head.holder = holder;
    head.generation = head.generation.max(newest);
    head.lsn = lsn;
    head.epochs.push(lsn);
    let surplus = head.epochs.len().saturating_sub(KEPT_EPOCHS);
    head.epochs.drain(..surplus);
    head
}

/// The head of a database without any history.
pub(super) fn new_head(platform: &Platform) -> Head {
    let mut id = [0; 16];
    platform.entropy.fill(&mut id);
    Head { format: FORMAT, database_id: hex(&id), ..Head::default() }
}

//! The storage of one open database: the fence, and the end of the log.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use super::{
    Position, batch_records, epoch_record,
    failure::lock_lost,
    paging::Paging,
    records,
    recovery::{self, Recovered},
    sealed::ENCRYPTION,
};
use crate::{
    collections::{Bits, Set},
    error::{ErrorCode, Result, Warning, WarningCode},
    format::{FORMAT, Head, LogRecord, Manifest, RECOVERY, Truncation, checksum_of},
    ports::{ChunkId, Durability, Guard, Holder, LocalFuture, Platform, Store, StoredRecord, Transaction, Write},
    sqlite::{Batch, CHUNK_SIZE, PageFile, Pin},
    value::hex,
};

/// How often opening is retried because the previous holder's last batch came in between.
pub(super) const CLAIM_ATTEMPTS: u32 = 5;
/// How many epoch records are kept in the log as fences.
const KEPT_EPOCHS: usize = 256;
/// Below this many bytes the log is never compacted.
const MIN_COMPACTION_BYTES: u64 = 4 * 1024 * 1024;
/// Below this many bytes it isn't compacted even when it exceeds its limit.
const MIN_SURPLUS_BYTES: u64 = 1024 * 1024;
/// How many records of the log an opening reads at most after the newest manifest, about: also those without pages.
const MOST_RECORDS: u64 = 1000;
/// Which share of the page cache's size changes may take in memory beside it, as a divisor.
const CHANGED_SHARE: u64 = 2;

/// The result of [`Storage::open`].
pub struct Opened {
    /// The storage, fenced for this holder.
    pub storage: Storage,
    /// The database's content.
    pub file: PageFile,
    /// Problems that were handled, but that the user should know.
    pub warnings: Vec<Warning>,
    /// Whether the database was just created.
    pub created: bool,
}

/// The size of the stored data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The total in bytes.
    pub bytes: u64,
    /// The page log in bytes.
    pub log_bytes: u64,
    /// The chunks in bytes.
    pub chunk_bytes: u64,
}

/// One database's storage. A handle, cheap to clone.
///
/// [`Storage::append`] may run concurrently with everything else; snapshots, prunes and sweeps run one at a time.
#[derive(Clone)]
pub struct Storage(pub(super) Rc<StorageInner>);

pub(super) struct StorageInner {
    /// The store, and how contents are read from it.
    pub paging: Paging,
    pub platform: Platform,
    pub database_id: String,
    pub epoch: u64,
    /// The head that this holder stored last.
    pub head: RefCell<Head>,
    /// Whether the stored head may differ, because the result of a write is unknown.
    head_in_doubt: Cell<bool>,
    pub end: Cell<Position>,
    /// A batch whose transaction has an unknown result: the checksum of its first part, and the position
    /// after it.
    doubt: Cell<Option<(u64, Position)>>,
    pub generation: Cell<u64>,
    /// The manifests that are states of the log.
    pub manifests: RefCell<Vec<Manifest>>,
    /// The imported manifests.
    pub imported: RefCell<Vec<Manifest>>,
    /// Whether the stored manifests may differ from `manifests`, because the result of a write is unknown.
    pub manifests_in_doubt: Cell<bool>,
    pub damaged: RefCell<Set<u64>>,
    /// The manifest whose unchanged chunks the next one reuses.
    pub base: RefCell<Option<Manifest>>,
    /// Chunks that differ from the base, besides those that the page file reports as touched.
    pub stale: RefCell<Bits>,
}

impl StorageInner {
    pub fn store(&self) -> Rc<dyn Store> {
        self.paging.store()
    }
}

impl Storage {
    /// Reads the database, or creates it, and claims the fence. The caller holds the lock.
    ///
    /// Nothing is written before everything was read and verified. Fails with `database_corrupt` (details `snapshotId`,
    /// `lastGoodAt`, `lostBatches`) when the log is damaged after the newest usable manifest, `snapshot_incompatible`
    /// when a newer version wrote it, `lock_lost` when another holder keeps writing, and the store's errors.
    pub async fn open(store: Rc<dyn Store>, platform: &Platform, holder: Holder) -> Result<Opened> {
        Self::open_paged(store, platform, holder, None).await
    }

    /// Does the same as [`open`](Self::open). A database of more than `cache_bytes` is not read into memory, but page by page
    /// when it is needed, if the store allows that: damage of a chunk is then found only when it is read.
    pub async fn open_paged(
        store: Rc<dyn Store>,
        platform: &Platform,
        holder: Holder,
        cache_bytes: Option<u64>,
    ) -> Result<Opened> {
        let paging = Paging::new(store.clone(), cache_bytes);
        for _ in 0..CLAIM_ATTEMPTS {
            let found = recovery::recover(&paging).await?;
            let now = platform.clock.now();
            let epoch = found.head.as_ref().map_or(0, |head| head.epoch) + 1;
            let (record, end) = epoch_record(found.state.end, epoch, now);
            let head = next_head(&found, epoch, end.lsn, holder.clone(), platform);
            if claim(&*store, found.stored.clone(), &head, record).await? {
                return Self::opened(paging, platform, found, head, end).await;
            }
        }
        Err(lock_lost())
    }

    /// Reads the last tab that took the lock, to show it to a tab that finds the database in use. Fails as the store
    /// does.
    pub async fn holder(store: &dyn Store) -> Result<Option<Holder>> {
        Ok(records::head(store).await?.map(|head| head.holder))
    }

    /// Reads whether the stored data is encrypted, and the last tab that took the lock; `None` when there is no data.
    /// Fails as the store does, and with `database_corrupt`.
    pub async fn label(store: &dyn Store) -> Result<Option<(bool, Holder)>> {
        let head = records::head(store).await?;
        Ok(head.map(|head| (head.features.iter().any(|feature| feature == ENCRYPTION), head.holder)))
    }

    pub(super) async fn opened(
        paging: Paging,
        platform: &Platform,
        found: Recovered,
        head: Head,
        end: Position,
    ) -> Result<Opened> {
        let storage = Self(Rc::new(StorageInner {
            paging,
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
            // The previous holder may have deleted some between the read and the claim.
            manifests_in_doubt: Cell::new(true),
            damaged: RefCell::new(found.damaged),
            base: RefCell::new(found.state.base),
            stale: RefCell::new(found.state.stale),
        }));
        if found.needs_barrier {
            storage.put_barrier(&found.state.file.pin(), end).await?;
        }
        let created = found.head.is_none();
        let mut warnings = found.warnings;
        warnings.extend(storage.0.store().lost().filter(|_| created).map(|why| Warning {
            code: WarningCode::StorageLost,
            message: format!("the browser found its storage damaged and deleted it, with this database: {why}"),
        }));
        Ok(Opened { storage, file: found.state.file, warnings, created })
    }

    /// Returns the epoch of this holder.
    pub fn epoch(&self) -> u64 {
        self.0.epoch
    }

    /// Returns the database's id.
    pub fn database_id(&self) -> &str {
        &self.0.database_id
    }

    /// Returns the newest migration of a database that was recovered without some of its rows, until its first commit: its
    /// history of migrations may lack rows, too.
    pub fn recovered_version(&self) -> Option<String> {
        let manifests = self.0.manifests.borrow();
        let newest = manifests.last().filter(|newest| newest.reason == RECOVERY)?;
        newest.schema_version.clone().filter(|_| newest.logged == self.position().logged)
    }

    /// Returns the end of the log.
    pub fn position(&self) -> Position {
        self.0.end.get()
    }

    /// Appends a batch to the log, in one transaction whose requests are issued when this is called. Must not run
    /// concurrently.
    ///
    /// After a failure the batch may or may not be stored: the next call finds out, on a new connection, before it
    /// appends. Fails with `lock_lost` (permanently) and the store's errors.
    pub fn append(&self, batch: Batch, durability: Durability) -> LocalFuture<'static, Result<()>> {
        if self.0.doubt.get().is_some() {
            let storage = self.clone();
            return Box::pin(async move {
                storage.revive().await?;
                storage.append(batch, durability).await
            });
        }
        let now = self.0.platform.clock.now();
        let (records, end) = batch_records(self.0.end.get(), self.epoch(), batch, now);
        let first = checksum_of(&records[0].1);
        let writes = records.into_iter().map(|(key, record)| Write::Add(key, record)).collect();
        let transaction = Transaction { guard: Guard::Nothing, require: Vec::new(), writes, durability };
        let written = self.0.store().write(transaction);
        // In doubt until the result arrives, even if the future is dropped.
        self.0.doubt.set(Some((first, end)));
        let inner = self.0.clone();
        Box::pin(async move {
            written.await?;
            inner.doubt.set(None);
            inner.end.set(end);
            Ok(())
        })
    }

    /// Runs `work`, and once more on a new connection if it fails with `storage_unavailable`: a broken connection is
    /// noticed only when it is used.
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

    /// Reconnects and finds out whether a batch in doubt was stored.
    ///
    /// Fails with `lock_lost` when another holder owns the database by now, or it was deleted.
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

    /// Reads the stored head. Fails with `lock_lost` unless it is this holder's.
    pub(super) async fn own_head(&self) -> Result<Head> {
        let head = records::head(&*self.0.store()).await?;
        let own = |head: &Head| head.database_id == self.0.database_id && head.epoch == self.0.epoch;
        head.filter(own).ok_or_else(lock_lost)
    }

    /// Reloads the head from the store. Must not run concurrently with a snapshot, a prune or a sweep.
    pub(super) async fn reload_head(&self) -> Result<()> {
        *self.0.head.borrow_mut() = self.own_head().await?;
        self.0.head_in_doubt.set(false);
        Ok(())
    }

    /// Runs one strict transaction, and stores the head that `change` returns. Fails with `lock_lost` unless the stored
    /// head is as this holder left it. Not generic: the code of the future is large.
    pub(super) fn guarded<'a>(
        &'a self,
        mut writes: Vec<Write>,
        require: Vec<ChunkId>,
        change: &'a dyn Fn(&mut Head),
    ) -> LocalFuture<'a, Result<()>> {
        let inner = &*self.0;
        Box::pin(async move {
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
        })
    }

    /// Returns where the log begins.
    pub fn truncated(&self) -> Truncation {
        self.0.head.borrow().truncated
    }

    /// Returns the size of the stored data, without reading the store.
    pub fn usage(&self) -> Usage {
        let (manifests, imported) = (self.0.manifests.borrow(), self.0.imported.borrow());
        let chunk_bytes = stored_bytes(&manifests.iter().chain(imported.iter()).collect::<Vec<_>>());
        let log_bytes = self.0.end.get().logged - self.truncated().logged;
        Usage { bytes: log_bytes + chunk_bytes, log_bytes, chunk_bytes }
    }

    /// Returns whether a checkpoint is due: when the log since the newest usable manifest is long, because opening
    /// reads it all; or when the whole log exceeds `log_limit`, because only a newer manifest allows to truncate it.
    pub fn wants_checkpoint(&self, file: &PageFile, log_limit: u64) -> bool {
        let db_bytes = file.bytes();
        let end = self.0.end.get().logged;
        let (base_lsn, base_logged) = self.0.base.borrow().as_ref().map_or((0, 0), |base| (base.lsn, base.logged));
        let since = end - base_logged;
        let surplus = end - self.truncated().logged > log_limit;
        // A checkpoint lets changes leave the memory.
        self.changes_exceed(file, 1)
            || db_bytes > 0 && self.0.end.get().lsn - base_lsn > MOST_RECORDS
            || since > MIN_COMPACTION_BYTES.max(db_bytes / 2)
            || surplus && since > MIN_SURPLUS_BYTES.max(log_limit / 4)
    }

    /// Returns whether so many changes are in memory that further writes must wait for the checkpoint that lets them leave it.
    pub fn is_crowded(&self, file: &PageFile) -> bool {
        self.changes_exceed(file, 2)
    }

    /// Returns whether changes take more than their share of the memory, so many times over: only where pages are read one by one.
    fn changes_exceed(&self, file: &PageFile, times: u64) -> bool {
        let limits = self.0.paging.cache_bytes().zip(file.changed_bytes());
        limits.is_some_and(|(cache_bytes, changed)| {
            changed > times * MIN_COMPACTION_BYTES.max(cache_bytes / CHANGED_SHARE)
        })
    }

    /// Returns whether everything stands in the log alone: one damaged record could cost all of it.
    pub fn lacks_copy(&self, file: &PageFile) -> bool {
        self.0.base.borrow().is_none() && file.bytes() > 0
    }

    /// Returns whether a checkpoint is due before the database is closed: when the next opening would read much log, and keep it in
    /// memory. Only where the changed pages lie side by side, so that their chunks aren't much more to write than the log was.
    pub fn wants_last_checkpoint(&self, file: &PageFile) -> bool {
        let since = self.0.end.get().logged - self.0.base.borrow().as_ref().map_or(0, |base| base.logged);
        let changed = file.touched_count() + self.0.stale.borrow().len();
        file.is_paged() && since > MIN_COMPACTION_BYTES && (changed * CHUNK_SIZE) as u64 <= 2 * since
    }

    /// Lets a file continue over a manifest, that of the pinned contents, so that the stored part needn't stay in memory.
    pub fn rebase(&self, file: &PageFile, pin: &Pin, manifest: &Manifest) {
        file.rebase(pin, || self.0.paging.stored_pages(manifest));
    }

    /// Resolves once no request of the store is under way.
    pub async fn settled(&self) {
        self.0.store().settled().await;
    }

    /// Lets the new holder open what only one can have open, after the lock was lost.
    pub fn yield_to_holder(&self) {
        self.0.store().yield_to_holder();
    }

    /// Makes everything stored survive a power cut, and closes the store. Fails as [`Store::close`] does.
    pub async fn close(&self) -> Result<()> {
        self.0.store().close().await
    }
}

/// Claims the fence: stores head and epoch record, if the head is unchanged and the record's key is free. Otherwise
/// returns `false` and writes nothing.
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

/// Returns the stored bytes of these manifests' chunks; shared ones count once.
pub fn stored_bytes(manifests: &[&Manifest]) -> u64 {
    let chunks: Set<(ChunkId, u32)> =
        manifests.iter().flat_map(|manifest| manifest.stored_chunks()).map(|chunk| (chunk.id, chunk.stored)).collect();
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

/// Returns the head of a new database.
pub(super) fn new_head(platform: &Platform) -> Head {
    let mut id = [0; 16];
    platform.entropy.fill(&mut id);
    Head { format: FORMAT, database_id: hex(&id), ..Head::default() }
}

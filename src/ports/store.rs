//! The object stores of one database: what IndexedDB, a folder and memory can all do.
//!
//! The records are plain data; what they mean, and every rule about them, lives in [`crate::store`].

use super::LocalFuture;
use crate::{error::Result, time::Timestamp};

/// Who holds the database: shown to a tab that finds it in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// A random id of the opening, 32 hex digits.
    pub id: String,
    /// The page's title.
    pub title: String,
    /// The page's address.
    pub url: String,
    /// When the lock was taken.
    pub since: Timestamp,
}

/// The record `meta['head']`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The version of the storage format.
    pub format: u32,
    /// Random, made once, 32 hex digits: tells a database from one that was deleted and made anew.
    pub database_id: String,
    /// Grows by one each time the lock is taken: the fence.
    pub epoch: u64,
    /// Who took it.
    pub holder: Holder,
    /// The highest generation ever given to a manifest.
    pub generation: u64,
}

/// What a record of the log says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// A holder took the lock: takes an lsn, changes no page.
    Epoch,
    /// Pages of one or more whole commits.
    Commit,
}

/// One record `log[[lsn, part]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// The log sequence number: consecutive, from 1.
    pub lsn: u64,
    /// The index of this part of the batch, from 0.
    pub part: u32,
    /// How many parts the batch has.
    pub parts: u32,
    /// What it says.
    pub kind: LogKind,
    /// The epoch of its writer.
    pub epoch: u64,
    /// `max(previous + 1, now)` of its writer.
    pub time: Timestamp,
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The database's size in pages after the batch.
    pub db_pages: u32,
    /// The numbers of the pages in this part, from 0, ascending.
    pub pages: Vec<u32>,
    /// Their bytes, in that order.
    pub bytes: Vec<u8>,
    /// Over everything above and `prev`.
    pub checksum: u64,
    /// The checksum of the record before: the chain.
    pub prev: u64,
}

/// SHA-256 of a chunk's plain bytes, as 64 hex digits.
pub type ChunkId = String;

/// Whether a user sees the manifest as a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestKind {
    /// The log's own compaction: never listed, never counted.
    Checkpoint,
    /// A snapshot.
    Snapshot,
}

/// One record of `snapshots`: what the database was at one lsn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Its key; only grows.
    pub generation: u64,
    /// The version of the storage format.
    pub format: u32,
    /// The state after this record of the log.
    pub lsn: u64,
    /// The checksum of that record, so that the one after it can be checked.
    pub chain: u64,
    /// Pages were changed without being logged before this one: replay from an older manifest never crosses it.
    pub barrier: bool,
    /// When it was taken.
    pub created_at: Timestamp,
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The database's size in bytes.
    pub db_bytes: u64,
    /// Bytes of a chunk; the last one may be shorter.
    pub chunk_size: u32,
    /// The chunks in order.
    pub chunks: Vec<ChunkId>,
    /// xxh3 of each chunk's stored bytes: the quick check at open.
    pub checks: Vec<u64>,
    /// SHA-256 over the chunks' SHA-256 in order, 64 hex digits.
    pub sha256: String,
    /// Bytes of chunks that this manifest was the first to store.
    pub stored_bytes: u64,
    /// Checkpoint or snapshot.
    pub kind: ManifestKind,
    /// `manual`, `scheduled`, `hidden` or `safety`; empty for a checkpoint.
    pub reason: String,
    /// The user's label.
    pub label: Option<String>,
    /// The newest applied migration, if any.
    pub schema_version: Option<String>,
    /// `lz4` or `none`.
    pub compression: String,
    /// Its chunks were read back and compared.
    pub verified: bool,
}

/// How hard a transaction is pushed to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives the death of the browser.
    Relaxed,
    /// Survives a power cut.
    Strict,
}

/// The identity that a transaction must find in `meta['head']`, else `lock_lost`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The database's id.
    pub database_id: String,
    /// The writer's epoch.
    pub epoch: u64,
}

/// One write. All of a transaction's happen, or none.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// `add`: fails the transaction with `lock_lost` when the key is taken.
    AddLog(LogRecord),
    /// Deletes the log records up to this lsn.
    DeleteLogThrough(u64),
    /// Stores a chunk under its id; the same id has the same bytes.
    PutChunk(ChunkId, Vec<u8>),
    /// Deletes a chunk.
    DeleteChunk(ChunkId),
    /// Stores a manifest, also as `generation` into the head.
    PutManifest(Manifest),
    /// Deletes a manifest.
    DeleteManifest(u64),
}

/// One atomic readwrite transaction.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// Checked inside the transaction, before any write. `None` only for log batches, whose `add` is their fence.
    pub fence: Option<Fence>,
    /// Chunks that must exist inside the transaction, else `snapshot_corrupt` and nothing is written.
    pub require: Vec<ChunkId>,
    /// The writes, in order.
    pub writes: Vec<Write>,
    /// How hard it is pushed.
    pub durability: Durability,
}

/// Computes the new head and the epoch record from what a claim finds: the head, and the newest log record.
pub type Claim<'a> = Box<dyn FnOnce(Option<Head>, Option<LogRecord>) -> Result<(Head, LogRecord)> + 'a>;

/// The storage of one database.
///
/// Failures: `storage_unavailable`, `storage_quota_exceeded`, `storage_blocked`, `lock_lost`. A future that resolves with
/// `Ok` means that the transaction is complete, not that its requests were.
pub trait Store {
    /// Takes the fence: reads the head and the newest log record, and stores what `claim` makes of them (strictly), in
    /// one transaction. An error of `claim` aborts it.
    fn claim<'a>(&'a self, claim: Claim<'a>) -> LocalFuture<'a, Result<(Head, LogRecord)>>;

    /// Runs one transaction. The requests are issued when this is called, before the future is first polled, so that it
    /// also works while a page is being hidden.
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>>;

    /// The head, if the database exists.
    fn head(&self) -> LocalFuture<'_, Result<Option<Head>>>;

    /// All manifests, oldest first. An unreadable record is left out and counted.
    fn manifests(&self) -> LocalFuture<'_, Result<(Vec<Manifest>, usize)>>;

    /// Log records with `lsn > after`, in order, at most about `max_bytes` of them (at least one batch); unreadable ones
    /// end the list.
    fn log(&self, after: u64, max_bytes: usize) -> LocalFuture<'_, Result<Vec<LogRecord>>>;

    /// The stored bytes of chunks, `None` where there are none.
    fn chunks<'a>(&'a self, ids: &'a [ChunkId]) -> LocalFuture<'a, Result<Vec<Option<Vec<u8>>>>>;

    /// The ids of all stored chunks.
    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>>;

    /// Bytes of the log's pages.
    fn log_bytes(&self) -> LocalFuture<'_, Result<u64>>;

    /// Lets go of the connection. Later calls fail with `closed`.
    fn close(&self);
}

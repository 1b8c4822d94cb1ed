//! The object stores of one database: what IndexedDB, a folder and memory can all do.
//!
//! The records are plain data; what they mean, and every rule about them, lives in [`crate::store`].

use std::{future::ready, rc::Rc};

use super::{DataKey, LocalFuture};
use crate::{error::Result, time::Timestamp};

/// Who holds the database: shown to a tab that finds it in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The tab's own id, as Web Locks name it: who holds the lock now can be told from who held it before.
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
    /// What a reader of this format must know beyond version 1, by name (`encryption`...): refuse what you don't know.
    pub features: Vec<String>,
    /// Random, made once, 32 hex digits: tells a database from one that was deleted and made anew.
    pub database_id: String,
    /// Grows by one each time the lock is taken: the fence.
    pub epoch: u64,
    /// Who took it.
    pub holder: Holder,
    /// The highest generation ever given to a manifest.
    pub generation: u64,
    /// The lsn of this epoch's record: the log, or a manifest, reaches at least here.
    pub lsn: u64,
    /// The lsns of the newest epoch records. Truncation spares them: a robbed holder's next `add` meets one of these.
    pub epochs: Vec<u64>,
    /// Where the log begins.
    pub truncated: Truncation,
    /// How the data key is kept, where everything else is encrypted.
    pub encryption: Option<Box<Encryption>>,
}

/// The part of the head of an encrypted database (feature [`ENCRYPTION`]). Bytes are lowercase hex digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encryption {
    /// What wraps the data key: `pbkdf2-sha256` (a passphrase) or `key` (a key of the user's own).
    pub method: String,
    /// The rounds of PBKDF2; 0 for a key.
    pub iterations: u32,
    /// The salt of PBKDF2; empty for a key.
    pub salt: String,
    /// A nonce, and the data key under it.
    pub wrapped: String,
    /// HMAC-SHA256 over the head, so that only whoever has the key can change it.
    pub mac: String,
}

/// The name of encryption in [`Head::features`].
pub const ENCRYPTION: &str = "encryption";

/// Where the log begins: what was cut off its front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncation {
    /// Batches up to this lsn are gone.
    pub lsn: u64,
    /// [`LogRecord::logged`] at that lsn.
    pub logged: u64,
}

/// What a record of the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogKind {
    /// A holder took the lock: takes an lsn, changes no page.
    #[default]
    Epoch,
    /// Pages of one or more whole commits.
    Commit,
}

/// One record `log[[lsn, part]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// `max(previous, now)` of its writer; the same in all parts.
    pub time: Timestamp,
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The database's size in pages after the batch.
    pub db_pages: u32,
    /// Bytes of pages logged since the database was made, up to and including this batch.
    pub logged: u64,
    /// The numbers of the pages in this part, from 0, ascending.
    pub pages: Vec<u32>,
    /// Their bytes, in that order.
    pub bytes: Vec<u8>,
    /// xxh3 over everything above and `prev`.
    pub checksum: u64,
    /// The checksum of the record (or part) before: the chain.
    pub prev: u64,
}

/// What lies under one key of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The key's lsn.
    pub lsn: u64,
    /// The key's part.
    pub part: u32,
    /// The record; `None` when it can't be read as one.
    pub record: Option<LogRecord>,
}

/// SHA-256 of a chunk's plain bytes, as 64 hex digits.
pub type ChunkId = String;

/// Whether a user sees the manifest as a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestKind {
    /// The log's own compaction: never listed, never counted.
    #[default]
    Checkpoint,
    /// A snapshot.
    Snapshot,
    /// Contents that were brought along: shown as a snapshot, but no place of this log. Its lsn means nothing.
    Imported,
}

/// One chunk as a manifest names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its key.
    pub id: ChunkId,
    /// xxh3 of its plain bytes: the quick check at open. (Of the plain ones, because the same chunk may be stored again
    /// in another form, by another compressor.)
    pub check: u64,
    /// How many bytes were stored.
    pub stored: u32,
}

/// One record of `snapshots`: what the database was at one lsn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Its key; only grows.
    pub generation: u64,
    /// The version of the storage format.
    pub format: u32,
    /// The state after this record of the log.
    pub lsn: u64,
    /// The checksum of that record, so that the one after it can be checked.
    pub chain: u64,
    /// The time of that record: moments from here on can be reached.
    pub time: Timestamp,
    /// [`LogRecord::logged`] at that record.
    pub logged: u64,
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
    /// The chunks in order. Shared, since manifests are handed around and may have thousands.
    pub chunks: Rc<[ChunkRef]>,
    /// SHA-256 over the chunks' SHA-256 (32 bytes each) in order, 64 hex digits.
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
    /// `lz4` or `none`: how its new chunks were stored; each chunk says so itself, too.
    pub compression: String,
    /// Its chunks were read back and compared.
    pub verified: bool,
    /// xxh3 over everything above.
    pub checksum: u64,
    /// In an encrypted database: all of it. Then nothing but the generation is in the fields above.
    pub sealed: Option<Rc<[u8]>>,
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
    /// Deletes the log up to that lsn, except the head's epoch records, and notes it in the head.
    TruncateLog(Truncation),
    /// Stores a chunk under its id; the same id has the same plain bytes.
    PutChunk(ChunkId, Vec<u8>),
    /// Deletes a chunk.
    DeleteChunk(ChunkId),
    /// Stores a manifest, and its generation into the head if that is higher.
    PutManifest(Box<Manifest>),
    /// Deletes a manifest.
    DeleteManifest(u64),
    /// Replaces a record of the log: the same one in another form, when the key changes. A transaction that has one of these has
    /// all records that the log has, in order.
    PutLog(LogRecord),
    /// Replaces the head: when the key changes.
    PutHead(Box<Head>),
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

/// Takes the fence, if nothing changed since it was worked out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The head that was read, `None` for a database that is to be made, or whose head can't be read.
    pub found: Option<Head>,
    /// The newest key of the log that was read: lsn and part.
    pub newest: Option<(u64, u32)>,
    /// The head to store.
    pub head: Head,
    /// The epoch record to add.
    pub record: LogRecord,
}

/// The storage of one database.
///
/// Failures: `storage_unavailable`, `storage_quota_exceeded`, `storage_blocked`, `lock_lost`. A future that resolves with
/// `Ok` means that the transaction is complete, not that its requests were.
pub trait Store {
    /// Stores head and epoch record in one strict transaction, if head and newest log key are still the ones that were
    /// found; `false`, and nothing is written, when they aren't.
    fn claim(&self, claim: Claim) -> LocalFuture<'_, Result<bool>>;

    /// Runs one transaction. The requests are issued when this is called, before the future is first polled, so that it
    /// also works while a page is being hidden. (A fence or `require` needs an answer first and lasts longer.)
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>>;

    /// The head, if the database exists. Fails with `database_corrupt` when it can't be read as one.
    fn head(&self) -> LocalFuture<'_, Result<Option<Head>>>;

    /// All manifests, oldest first, and the generations of those that can't be read as one.
    fn manifests(&self) -> LocalFuture<'_, Result<(Vec<Manifest>, Vec<u64>)>>;

    /// One manifest; `None` when there is none or it can't be read as one.
    fn manifest(&self, generation: u64) -> LocalFuture<'_, Result<Option<Manifest>>>;

    /// What the log holds after `after` (exclusive, lsn and part), in order, about `max_bytes` of it and at least one
    /// entry; nothing only at its end.
    fn log(&self, after: (u64, u32), max_bytes: usize) -> LocalFuture<'_, Result<Vec<LogEntry>>>;

    /// The newest key of the log: lsn and part.
    fn newest_log(&self) -> LocalFuture<'_, Result<Option<(u64, u32)>>>;

    /// The stored bytes of chunks, `None` where there are none.
    fn chunks<'a>(&'a self, ids: &'a [ChunkId]) -> LocalFuture<'a, Result<Vec<Option<Vec<u8>>>>>;

    /// The ids of all stored chunks.
    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>>;

    /// Connects again, where a connection can break; never makes the database anew (`lock_lost` when it is gone).
    fn reopen(&self) -> LocalFuture<'_, Result<()>>;

    /// What the platform says of a database that was here and that it has lost, as a whole, before this one was made.
    fn lost(&self) -> Option<String> {
        None
    }

    /// Resolves once nothing that was begun is under way any more. To be awaited before [`Store::close`] where a worker ends
    /// thereafter: WebKit keeps the connection of one that was ended in the midst of a transaction, and whoever deletes the
    /// database then waits for it in vain.
    fn settled(&self) -> LocalFuture<'_, ()> {
        Box::pin(ready(()))
    }

    /// Lets go of the connection. Later calls fail with `closed`.
    fn close(&self);

    /// What a store that encrypts stands on; `None` for all others.
    fn beneath(&self) -> Option<Beneath> {
        None
    }
}

/// What a store that encrypts stands on: what changing its key needs.
pub struct Beneath {
    /// The store of what is encrypted.
    pub store: Rc<dyn Store>,
    /// The key that it is encrypted with.
    pub data_key: DataKey,
}

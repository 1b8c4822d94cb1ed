//! The storage of one database: bytes under keys, as IndexedDB, a folder and memory can all keep them.
//!
//! What the bytes say stands in `format`, and every rule about them in `store`: those who keep them know neither.

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

/// What is shown of a database without opening it: stored beside its head, for whoever lists databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Label {
    /// Who took it last.
    pub holder: Holder,
    /// What a reader must know, by name.
    pub features: Vec<String>,
}

/// The place of a record in the log: lsn and part, in this order.
pub type LogKey = (u64, u32);

/// A record of the log as it is stored, and its place.
pub type StoredRecord = (LogKey, Vec<u8>);

/// What a chunk is stored under: 64 hex digits.
pub type ChunkId = String;

/// What bytes are stored under, besides the head.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A record of the log.
    Log(LogKey),
    /// A manifest, by its generation.
    Manifest(u64),
    /// A chunk.
    Chunk(ChunkId),
}

/// How hard a transaction is pushed to the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives the death of the browser.
    Relaxed,
    /// Survives a power cut.
    Strict,
}

/// What a transaction must find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// Anything: for batches of the log, whose [`Write::Add`] is their fence.
    Nothing,
    /// Exactly this head; `None`: a database without one.
    Head(Option<Vec<u8>>),
}

/// One write. All of a transaction's happen, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Adds a record to the log: fails the transaction with `lock_lost` when the key is taken.
    Add(LogKey, Vec<u8>),
    /// Stores the head.
    PutHead(Vec<u8>, Label),
    /// Stores a value in place of the one that may be there. A transaction that puts a record of the log puts all that the log
    /// has, in order.
    Put(Key, Vec<u8>),
    /// Deletes a manifest or a chunk.
    Delete(Key),
    /// Deletes the log up to that lsn, except the records of these.
    CutLog {
        /// The last lsn that goes.
        through: u64,
        /// The lsns that stay.
        spare: Vec<u64>,
    },
}

/// One atomic readwrite transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Checked inside the transaction, before any write, else `lock_lost`.
    pub guard: Guard,
    /// Chunks that must exist inside the transaction, else `snapshot_corrupt` and nothing is written.
    pub require: Vec<ChunkId>,
    /// The writes, in order.
    pub writes: Vec<Write>,
    /// How hard it is pushed.
    pub durability: Durability,
}

/// The storage of one database.
///
/// A value that is there and can't be read is empty bytes, which are no record: it is damaged, not missing.
///
/// Failures: `storage_unavailable`, `storage_quota_exceeded`, `storage_blocked`, `lock_lost`. A future that resolves with
/// `Ok` means that the transaction is complete, not that its requests were.
pub trait Store {
    /// Runs one transaction. The requests are issued when this is called, before the future is first polled, so that it
    /// also works while a page is being hidden. (A guard or `require` needs an answer first and lasts longer.)
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>>;

    /// The head, if the database exists.
    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>>;

    /// What is stored under these keys, all manifests or all chunks; `None` where there is nothing.
    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>>;

    /// What the log holds after `after` (exclusive), in order, about `max_bytes` of it and at least one record; nothing only
    /// at its end.
    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>>;

    /// The generations of all manifests, oldest first.
    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>>;

    /// What all chunks are stored under.
    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>>;

    /// What a chunk of that SHA-256 is stored under.
    fn stored_id(&self, id: &ChunkId) -> ChunkId {
        id.clone()
    }

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

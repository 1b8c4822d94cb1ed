//! The storage of one database: bytes under keys, as IndexedDB, a folder and memory can all keep them.
//!
//! `format` defines what the bytes mean, and `store` every rule about them: implementations of these traits know
//! neither.

use std::{any::Any, future::ready, rc::Rc};

use super::{ChunkId, LocalFuture};
use crate::{
    error::{Error, Result},
    time::Timestamp,
};

/// The tab that holds the database: shown to a tab that finds it in use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holder {
    /// The tab's own id, as Web Locks report it: distinguishes the current holder from an earlier one.
    pub id: String,
    /// The page's title.
    pub title: String,
    /// The page's address.
    pub url: String,
    /// When the lock was taken.
    pub since: Timestamp,
}

/// What can be shown of a database without opening it: stored beside its head, for listing databases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadInfo {
    /// The last tab that took the lock.
    pub holder: Holder,
    /// The features that a reader must support, by name.
    pub features: Vec<String>,
}

/// The position of a record in the log: lsn and part, in this order.
pub type LogKey = (u64, u32);

/// A record of the log as it is stored, and its position.
pub type StoredRecord = (LogKey, Vec<u8>);

/// What a value is stored under; the head has no key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A record of the log.
    Log(LogKey),
    /// A manifest, by its generation.
    Manifest(u64),
    /// A chunk.
    Chunk(ChunkId),
}

/// How durable a transaction must be when it resolves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Survives the death of the browser.
    Relaxed,
    /// Survives a power cut.
    Strict,
}

/// What a transaction must find stored, checked before it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Guard {
    /// No requirement: for batches of the log, which [`Write::Add`] fences.
    Nothing,
    /// Exactly this head; `None`: a database without a head.
    Head(Option<Vec<u8>>),
}

/// One write. A transaction applies all of its writes, or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Write {
    /// Adds a record to the log: fails the transaction with `lock_lost` when the key is taken.
    Add(LogKey, Vec<u8>),
    /// Stores the head, and its copy in a record of its own.
    PutHead(Vec<u8>, HeadInfo),
    /// Stores a value and replaces an existing one. A transaction that puts one record of the log puts all its records,
    /// in order.
    Put(Key, Vec<u8>),
    /// Deletes a manifest or a chunk.
    Delete(Key),
    /// Deletes the log up to `through`, except the records of the `spare` lsns.
    CutLog {
        /// The last lsn to delete.
        through: u64,
        /// The lsns to keep.
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
    /// How durable it must be.
    pub durability: Durability,
}

/// The storage of one database.
///
/// A value that exists and can't be read is returned as empty bytes, which are no record: it is damaged, not missing.
///
/// Fails with `storage_unavailable`, `storage_quota_exceeded`, `storage_blocked`, `lock_lost`. A future that resolves
/// with `Ok` means that the transaction completed, not only its requests.
pub trait Store {
    /// Runs one transaction. The requests are issued when this is called, before the future is first polled, so that it
    /// also works while a page is being hidden. (A guard or `require` needs a result first and takes longer.)
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>>;

    /// Returns the head, if the database exists.
    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>>;

    /// Returns the copy of the head; `None` where [`Store::head`] already makes use of it.
    fn head_copy(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(ready(Ok(None)))
    }

    /// Describes damage that the store has met since it was opened, and passed over or repaired.
    fn damage(&self) -> LocalFuture<'_, Result<Option<String>>> {
        Box::pin(ready(Ok(None)))
    }

    /// Returns the values of these keys, all manifests or all chunks; `None` for each missing one.
    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>>;

    /// Returns the records after `after` (exclusive), in order: about `max_bytes` of them and at least one; an empty
    /// list only at the end of the log.
    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>>;

    /// Returns the generations of all manifests, oldest first.
    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>>;

    /// Returns the ids that all chunks are stored under.
    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>>;

    /// Returns the id under which a chunk with that SHA-256 is stored.
    fn stored_id(&self, id: &ChunkId) -> ChunkId {
        *id
    }

    /// Returns the id under which the copy of a chunk with that SHA-256 is stored, while everything is being encrypted with
    /// the next key; `None` at all other times.
    fn next_stored_id(&self, _id: &ChunkId) -> Option<ChunkId> {
        None
    }

    /// Returns whether the data key encrypted as often as is safe, so that it should be replaced.
    fn is_worn(&self) -> bool {
        false
    }

    /// Returns whether this handle made the store and hasn't written to it, so that there is nothing to read. A claim finds out
    /// whether another handle has written.
    fn is_new(&self) -> bool {
        false
    }

    /// Returns whether [`Store::chunk_now`] works: where reading needs no event loop, as with files.
    fn reads_now(&self) -> bool {
        false
    }

    /// Returns what is stored under the id of a chunk, at once, so that SQLite can wait for it; `None` for a missing one. The
    /// memory of `buffer`, whose bytes don't matter, may serve for the result.
    fn chunk_now(&self, id: &ChunkId, _buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        Err(Error::internal("This storage can't be read at once").detail("chunk", id.to_string()))
    }

    /// Reconnects, where a connection can break; never creates the database again (`lock_lost` when it was deleted).
    /// Calls that run meanwhile use the old connection.
    fn reopen(&self) -> LocalFuture<'_, Result<()>>;

    /// Describes, where the platform knows, an earlier database of this name that it lost as a whole.
    fn lost(&self) -> Option<String> {
        None
    }

    /// Resolves once no request is under way. To be awaited before [`Store::close`] where a worker ends afterwards:
    /// WebKit keeps the connection of a worker that ended in the middle of a transaction, and a later deletion of the
    /// database waits for it forever.
    fn settled(&self) -> LocalFuture<'_, ()> {
        Box::pin(ready(()))
    }

    /// Lets the new holder have what only one can have open, after the lock was lost. Later calls may fail.
    fn yield_to_holder(&self) {}

    /// Makes what was stored survive a power cut, and closes the connection. Later calls fail with
    /// `storage_unavailable`. Fails if the storage may have lost some of what was stored; it is closed all the same.
    fn close(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(ready(Ok(())))
    }

    /// Returns the state of a store that encrypts, which only `store::sealed` knows; `None` for all others.
    fn encryption(&self) -> Option<Rc<dyn Any>> {
        None
    }
}

//! Moving a database to another store: everything is copied as stored, so that no key is needed, compared, and only then
//! put to use. Rarely used, so that opening doesn't depend on this code.
//!
//! A head with the feature [`ELSEWHERE`] is no database. The copy has one until it is complete, and the original from
//! then on:
//!
//! | step | original | copy |
//! |---|---|---|
//! | copying, comparing | a database | elsewhere |
//! | the copy gets the original's head | a database | a database |
//! | the original is put out of use | elsewhere | a database |
//!
//! No transaction reaches two stores. So one of them decides, the same one in both directions: it has the database
//! unless its head is missing or says elsewhere ([`decides`]). Each step changes at most one head, so that at any time
//! exactly one of the two stores has the database.

use std::rc::Rc;

use super::{
    failure::{ELSEWHERE, corrupt, lock_lost},
    paging::Paging,
    records, recovery,
    sealed::{ENCRYPTION, is_of_encryption},
};
use crate::{
    error::{Error, ErrorCode, Result},
    format::{FORMAT, Head},
    ports::{ChunkId, Durability, Guard, HeadInfo, Key, Store, Transaction, Write},
};

/// How many chunks are in memory at a time, twice.
const CHUNK_SLICE: usize = 64;
/// How many bytes of the log are in memory at a time, twice.
const LOG_SLICE: usize = 8 * 1024 * 1024;

/// Returns whether the deciding one of two stores, which has that head, has the database.
pub fn decides(head: Option<&[u8]>) -> bool {
    head.is_some_and(|head| {
        records::start_of(head).is_none_or(|head| !head.features.iter().any(|name| name == ELSEWHERE))
    })
}

/// Checks that a database can be opened where it is, and with `limit` bytes at most where it is moved to: otherwise it
/// stays. Writes nothing.
///
/// Fails as an opening does, and with `database_too_large`.
pub async fn check(store: Rc<dyn Store>, limit: Option<u64>) -> Result<()> {
    let bytes = recovery::recover(&Paging::verifying(store)).await?.state.file.bytes();
    match limit {
        Some(limit) if bytes > limit => {
            let message =
                format!("The database has {bytes} bytes, and storage 'indexeddb' opens at most {limit} bytes");
            Err(Error::new(ErrorCode::DatabaseTooLarge, message)
                .hint("Leave it in 'opfs', where a worker reads it page by page; or delete rows, run VACUUM, and move it then")
                .detail("bytes", bytes)
                .detail("maxBytes", limit))
        }
        _ => Ok(()),
    }
}

/// Returns whether the database of a store is encrypted. Fails with `invalid_argument` when there is none, with
/// `snapshot_incompatible` for a newer format, and with `database_corrupt`.
pub async fn is_encrypted(store: &dyn Store) -> Result<bool> {
    Ok(movable(&head_of(store).await?)?.features.iter().any(|name| name == ENCRYPTION))
}

/// Moves the database of a store to another one, without a database. The caller holds the lock of the database, and
/// removes afterwards what the store has that doesn't [decide](decides).
///
/// Fails with `invalid_argument` when there is no database, with `database_corrupt` when a stored value can't be read,
/// `snapshot_incompatible` for a newer format, `lock_lost` when another holder wrote meanwhile, and with the stores'
/// errors. Which store has the database then, the deciding one says.
pub async fn move_database(from: &dyn Store, to: &dyn Store) -> Result<()> {
    let stored = head_of(from).await?;
    let shown = movable(&stored)?;
    let info = HeadInfo { holder: shown.holder.clone(), features: shown.features };
    let elsewhere =
        Head { format: FORMAT, features: vec![ELSEWHERE.to_owned()], holder: shown.holder, ..Head::default() };
    let copy = Copy { from, to, head: elsewhere.encode(), elsewhere };
    let made = copy.make().await;
    // Another holder's writes would also look like damage.
    if from.head().await?.as_ref() != Some(&stored) {
        return Err(lock_lost());
    }
    made?;
    write(to, Some(copy.head), vec![Write::PutHead(stored.clone(), info)]).await?;
    write(from, Some(stored), vec![records::put_head(&copy.elsewhere)]).await
}

/// One database on its way.
struct Copy<'a> {
    from: &'a dyn Store,
    to: &'a dyn Store,
    /// The head of a store without a database, and its bytes.
    elsewhere: Head,
    head: Vec<u8>,
}

impl Copy<'_> {
    async fn make(&self) -> Result<()> {
        self.log().await?;
        self.chunks().await?;
        self.manifests().await?;
        self.compare().await
    }

    /// Copies the log. Its first record and the head make the copy.
    async fn log(&self) -> Result<()> {
        let (mut after, mut begun) = ((0, u32::MAX), false);
        loop {
            let records = self.from.log(after, LOG_SLICE).await?;
            let Some((last, _)) = records.last() else { break };
            after = *last;
            let mut writes = Vec::with_capacity(records.len() + 1);
            if !begun {
                writes.push(records::put_head(&self.elsewhere));
            }
            for (key, bytes) in records {
                writes.push(Write::Add(key, readable(bytes)?));
            }
            write(self.to, begun.then(|| self.head.clone()), writes).await?;
            begun = true;
        }
        if begun { Ok(()) } else { Err(corrupt("The page log of the database is missing")) }
    }

    async fn chunks(&self) -> Result<()> {
        for ids in self.from.chunk_ids().await?.chunks(CHUNK_SLICE) {
            self.put(&|| chunk_keys(ids)).await?;
        }
        Ok(())
    }

    /// Copies the manifests one by one: that of a large database has megabytes.
    async fn manifests(&self) -> Result<()> {
        for generation in self.from.generations().await? {
            self.put(&|| vec![Key::Manifest(generation)]).await?;
        }
        Ok(())
    }

    async fn put(&self, keys: &dyn Fn() -> Vec<Key>) -> Result<()> {
        let values = self.from.get(keys()).await?;
        let mut writes = Vec::with_capacity(values.len());
        let mut keys = keys().into_iter();
        for bytes in values {
            let Some(key) = keys.next() else { break };
            writes.push(Write::Put(key, readable(bytes.unwrap_or_default())?));
        }
        write(self.to, Some(self.head.clone()), writes).await
    }

    /// Reads both stores, and compares them byte by byte.
    async fn compare(&self) -> Result<()> {
        let (generations, ids) = (self.from.generations().await?, self.from.chunk_ids().await?);
        let mut same = generations == self.to.generations().await? && ids.len() == self.to.chunk_ids().await?.len();
        for ids in ids.chunks(CHUNK_SLICE) {
            same = same && self.same(&|| chunk_keys(ids)).await?;
        }
        for generation in generations {
            same = same && self.same(&|| vec![Key::Manifest(generation)]).await?;
        }
        if same && self.same_log().await? {
            return Ok(());
        }
        Err(Error::new(ErrorCode::StorageUnavailable, "The storage returned other bytes than were written to it")
            .hint("The database is where it was; check the disk"))
    }

    async fn same(&self, keys: &dyn Fn() -> Vec<Key>) -> Result<bool> {
        Ok(self.from.get(keys()).await? == self.to.get(keys()).await?)
    }

    async fn same_log(&self) -> Result<bool> {
        let mut after = (0, u32::MAX);
        loop {
            let (from, to) = (self.from.log(after, LOG_SLICE).await?, self.to.log(after, LOG_SLICE).await?);
            // The stores may return different numbers of records.
            let count = from.len().min(to.len());
            let Some((last, _)) = count.checked_sub(1).map(|last| &from[last]) else {
                return Ok(from.is_empty() && to.is_empty());
            };
            after = *last;
            if from[..count] != to[..count] {
                return Ok(false);
            }
        }
    }
}

/// By a loop, as `put` has one: with the usual adapters, code that opening has, too, would be split off for both.
fn chunk_keys(ids: &[ChunkId]) -> Vec<Key> {
    let mut keys = Vec::with_capacity(ids.len());
    for id in ids {
        keys.push(Key::Chunk(*id));
    }
    keys
}

/// Writes to a store with this head.
async fn write(store: &dyn Store, head: Option<Vec<u8>>, writes: Vec<Write>) -> Result<()> {
    let (guard, require) = (Guard::Head(head), Vec::new());
    store.write(Transaction { guard, require, writes, durability: Durability::Strict }).await
}

/// Fails with `database_corrupt` for a value that exists and can't be read: the original may still be readable another
/// time, and must stay.
fn readable(bytes: Vec<u8>) -> Result<Vec<u8>> {
    match bytes.is_empty() {
        true => Err(corrupt("A stored value of the database can't be read")),
        false => Ok(bytes),
    }
}

async fn head_of(store: &dyn Store) -> Result<Vec<u8>> {
    let missing = || {
        Error::invalid("There is no database of that name in this storage")
            .hint("databases() lists the stored databases")
    };
    records::restored_head(store).await?.0.ok_or_else(missing)
}

/// Returns the start of a head that this build knows how to move.
fn movable(stored: &[u8]) -> Result<Head> {
    let mut head = records::start_of(stored).ok_or_else(|| corrupt("The head record of the database is damaged"))?;
    let features = head.features.clone();
    head.features.retain(|name| !is_of_encryption(name));
    recovery::check_format(&head)?;
    Ok(Head { features, ..head })
}

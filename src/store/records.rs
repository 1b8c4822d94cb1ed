//! Records in a store: reading and decoding them, and encoding them as writes.

use std::ops::ControlFlow;

use futures_util::future::join;

use super::{failure::corrupt, sealed};
use crate::{
    error::{ErrorCode, Result},
    format::{Head, Manifest, body},
    ports::{ChunkId, Durability, Guard, HeadInfo, Key, LogKey, Store, Transaction, Write},
};

/// How many bytes of the log are in memory at a time, where each request takes a while.
const LOG_SLICE: usize = 4 * 1024 * 1024;
/// And where it doesn't.
const LOG_SLICE_NOW: usize = 1024 * 1024;

/// Decodes a stored head. Fails with `database_corrupt` when it can't be read.
pub fn head_of(stored: Option<&[u8]>) -> Result<Option<Head>> {
    let damaged = || corrupt("The head record of the database is damaged");
    stored.map(|stored| Head::decode(stored).ok_or_else(damaged)).transpose()
}

/// Reads what every head begins with, that of an encrypted database, too; `None` when it is damaged.
pub fn start_of(stored: &[u8]) -> Option<Head> {
    Head::read_start(&mut body(stored)?)
}

/// Reads the head for a holder of the lock. One that is damaged, missing or older than its copy is stored again from the copy
/// first, and the result is `true`: these are the bytes that it had, so the fence is what it was.
pub async fn restored_head(store: &dyn Store) -> Result<(Option<Vec<u8>>, bool)> {
    let (stored, copy) = join(store.head(), store.head_copy()).await;
    let (stored, copy) = (stored?, copy?);
    let Some(copy) = copy else { return Ok((stored, false)) };
    let is_good = |stored: &[u8]| body(stored).is_some() && !is_newer(&copy, stored);
    if stored.as_deref().is_some_and(is_good) || start_of(&copy).is_none() {
        return Ok((stored, false));
    }
    match put_copy(store, stored, copy.clone()).await {
        // Another holder has stored a head meanwhile.
        Err(error) if error.is(ErrorCode::LockLost) => Ok((store.head().await?, false)),
        written => written.map(|()| (Some(copy), true)),
    }
}

/// Replaces a head by its copy. Fails with `lock_lost` when another head is stored, and as the store does.
pub async fn put_copy(store: &dyn Store, stored: Option<Vec<u8>>, copy: Vec<u8>) -> Result<()> {
    let Head { holder, features, .. } = start_of(&copy).unwrap_or_default();
    let writes = vec![Write::PutHead(copy, HeadInfo { holder, features })];
    let (guard, durability) = (Guard::Head(stored), Durability::Strict);
    store.write(Transaction { guard, require: Vec::new(), writes, durability }).await
}

/// Returns whether a head was stored later than another one of the same database, as far as their counters show.
fn is_newer(one: &[u8], other: &[u8]) -> bool {
    let plain = |stored: &[u8]| match sealed::head_within(stored) {
        Some(within) => Head::decode(&within),
        None => Head::decode(stored),
    };
    let (Some(one), Some(other)) = (plain(one), plain(other)) else { return false };
    let counters = |head: &Head| (head.epoch, head.generation, head.truncated.lsn);
    one.database_id == other.database_id && counters(&one) > counters(&other)
}

/// Reads the head. Fails as [`head_of`] and the store do.
pub async fn head(store: &dyn Store) -> Result<Option<Head>> {
    head_of(store.head().await?.as_deref())
}

/// Passes the log's records after a key to `take`, in order, until it breaks. Returns whether it did.
pub async fn each_of_log(
    store: &dyn Store,
    mut after: LogKey,
    take: &mut dyn FnMut(LogKey, Vec<u8>) -> Result<ControlFlow<()>>,
) -> Result<bool> {
    let slice = if store.reads_now() { LOG_SLICE_NOW } else { LOG_SLICE };
    loop {
        let records = store.log(after, slice).await?;
        let Some((last, _)) = records.last() else { return Ok(false) };
        after = *last;
        for (key, bytes) in records {
            if take(key, bytes)?.is_break() {
                return Ok(true);
            }
        }
    }
}

/// Reads all manifests, oldest first, and the generations of the unreadable ones.
pub async fn manifests(store: &dyn Store) -> Result<(Vec<Manifest>, Vec<u64>)> {
    let generations = store.generations().await?;
    let stored = store.get(generations.iter().copied().map(Key::Manifest).collect()).await?;
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for (generation, stored) in generations.into_iter().zip(stored) {
        // A missing one was deleted meanwhile.
        let Some(stored) = stored else { continue };
        match Manifest::decode(generation, &stored) {
            Some(manifest) => readable.push(manifest),
            None => unreadable.push(generation),
        }
    }
    Ok((readable, unreadable))
}

/// Reads one manifest; `None` when it is missing or unreadable.
pub async fn manifest(store: &dyn Store, generation: u64) -> Result<Option<Manifest>> {
    let stored = store.get(vec![Key::Manifest(generation)]).await?.pop().flatten();
    Ok(stored.and_then(|stored| Manifest::decode(generation, &stored)))
}

/// Reads the stored bytes of chunks; `None` for missing ones.
pub async fn chunks(store: &dyn Store, ids: &[ChunkId]) -> Result<Vec<Option<Vec<u8>>>> {
    store.get(ids.iter().map(|id| chunk_key(store, id)).collect()).await
}

/// Returns the key of a chunk.
pub fn chunk_key(store: &dyn Store, id: &ChunkId) -> Key {
    Key::Chunk(store.stored_id(id))
}

/// Returns the write of a head.
pub fn put_head(head: &Head) -> Write {
    Write::PutHead(head.encode(), HeadInfo { holder: head.holder.clone(), features: head.features.clone() })
}

/// Returns the write of a manifest.
pub fn put_manifest(manifest: &Manifest) -> Write {
    Write::Put(Key::Manifest(manifest.generation), manifest.encode())
}

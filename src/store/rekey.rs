//! Changing the key: of an encrypted database, from plain to encrypted, and back. Rarely used, so nothing that opening
//! reaches calls this.
//!
//! A new secret for the same data key is one write of the head. Otherwise everything is stored a second time: first the
//! chunks, whose ids differ with the key, then, in one transaction, head, manifests and log. Up to that transaction the
//! database opens as before, from then on with the new key; the chunks of the old one are swept.

use std::rc::Rc;

use super::{
    Storage,
    failure::{check_fence, lock_lost},
    sealed::{SealedStore, Vault},
};
use crate::{
    collections::Set,
    error::{Error, ErrorCode, Result},
    ports::{ChunkId, DataKey, Durability, Encryption, Head, LogEntry, LogKind, LogRecord, Store, Transaction, Write},
};

/// How many chunks are in memory at a time.
const CHUNK_SLICE: usize = 64;
/// How many bytes of the log are read at a time. All of it is in memory when it is written.
const LOG_SLICE: usize = 8 * 1024 * 1024;
/// How often it is asked whether the deciding transaction was stored, when its answer was lost.
const ATTEMPTS: u64 = 5;
const PAUSE_MS: u64 = 200;

/// What became of changing the key.
#[derive(Clone, Debug, PartialEq)]
pub enum Rekeyed {
    /// It has changed.
    Done,
    /// It has not; the storage goes on with the old one.
    Unchanged(Error),
    /// Nobody knows: nothing more may be written from here.
    Unknown(Error),
}

impl Storage {
    /// Changes what the stored data is encrypted with: `None` makes it plain. All that is committed must be stored, and
    /// nothing else may use the storage meanwhile.
    ///
    /// Fails with `lock_lost`, `snapshot_corrupt` when what was written can't be read back, and what the store fails with.
    pub async fn rekey(&self, vault: Option<&Vault>) -> Rekeyed {
        let old = self.0.store();
        let new = match self.prepare(&old, vault).await {
            Ok(Some(new)) => new,
            Ok(None) => return Rekeyed::Done,
            Err(error) => {
                let _ = self.sweep().await;
                return Rekeyed::Unchanged(error);
            }
        };
        let (store, key) = (new.store.clone(), new.key.clone());
        let written = store.write(new.decisive).await;
        if let Err(error) = written {
            let lowest = store.beneath().map_or(store.clone(), |beneath| beneath.store);
            match self.took_effect(&*lowest, key).await {
                Ok(true) => {}
                Ok(false) => return Rekeyed::Unchanged(error),
                Err(_) => return Rekeyed::Unknown(error),
            }
        }
        *self.0.store.borrow_mut() = store;
        self.0.damaged.borrow_mut().retain(|generation| !new.unreadable.contains(generation));
        // What is left of the old chunks goes when the database is opened next.
        let _ = self.sweep().await;
        Rekeyed::Done
    }

    /// Everything but the transaction that decides; `None` when there is nothing to do.
    async fn prepare(&self, old: &Rc<dyn Store>, vault: Option<&Vault>) -> Result<Option<Prepared>> {
        let head = old.head().await?;
        check_fence(head.as_ref(), &self.0.fence)?;
        let head = head.ok_or_else(lock_lost)?;
        Ok(match (old.beneath(), vault) {
            (None, None) => None,
            (Some(beneath), Some(vault)) => {
                let (new, key) = sealed(beneath.store, vault, beneath.data_key, &head).await?;
                let put = vec![Write::PutHead(Box::new(head))];
                Some(self.prepared(Rc::new(new), Some(key), Vec::new(), put, Vec::new()))
            }
            (None, Some(vault)) => {
                let (new, key) = sealed(old.clone(), vault, vault.new_key(), &head).await?;
                Some(self.rewritten(&**old, Rc::new(new), Some(key), head).await?)
            }
            (Some(beneath), None) => Some(self.rewritten(&**old, beneath.store, None, head).await?),
        })
    }

    fn prepared(
        &self,
        store: Rc<dyn Store>,
        key: Option<String>,
        require: Vec<ChunkId>,
        writes: Vec<Write>,
        unreadable: Vec<u64>,
    ) -> Prepared {
        let fence = Some(self.0.fence.clone());
        let decisive = Transaction { fence, require, writes, durability: Durability::Strict };
        Prepared { store, key, decisive, unreadable }
    }

    /// Copies the chunks, and gathers what the deciding transaction writes.
    async fn rewritten(
        &self,
        old: &dyn Store,
        new: Rc<dyn Store>,
        key: Option<String>,
        head: Head,
    ) -> Result<Prepared> {
        let (manifests, unreadable) = old.manifests().await?;
        let named: Set<ChunkId> =
            manifests.iter().flat_map(|manifest| manifest.chunks.iter()).map(|chunk| chunk.id.clone()).collect();
        let mut require = Vec::new();
        for ids in named.chunks(CHUNK_SLICE) {
            require.extend(self.copy_chunks(old, &*new, ids).await?);
        }
        let mut writes = vec![Write::PutHead(Box::new(head))];
        writes.extend(unreadable.iter().map(|generation| Write::DeleteManifest(*generation)));
        writes.extend(manifests.into_iter().map(|manifest| Write::PutManifest(Box::new(manifest))));
        let mut after = (0, u32::MAX);
        loop {
            let entries = old.log(after, LOG_SLICE).await?;
            let Some(last) = entries.last() else { break };
            after = (last.lsn, last.part);
            writes.extend(entries.into_iter().map(|entry| Write::PutLog(readable(entry))));
        }
        Ok(self.prepared(new, key, require, writes, unreadable))
    }

    /// Stores chunks in the new store and reads them back; which of them are there. (A missing or damaged one stays so.)
    async fn copy_chunks(&self, old: &dyn Store, new: &dyn Store, ids: &[ChunkId]) -> Result<Vec<ChunkId>> {
        let stored = old.chunks(ids).await?;
        let whole = ids.iter().zip(stored).filter_map(|(id, bytes)| Some((id.clone(), bytes?)));
        let (ids, bytes): (Vec<ChunkId>, Vec<Vec<u8>>) = whole.filter(|(_, bytes)| !bytes.is_empty()).unzip();
        if ids.is_empty() {
            return Ok(ids);
        }
        let writes = ids.iter().zip(&bytes).map(|(id, bytes)| Write::PutChunk(id.clone(), bytes.clone())).collect();
        let fence = Some(self.0.fence.clone());
        new.write(Transaction { fence, require: Vec::new(), writes, durability: Durability::Strict }).await?;
        let same = |(found, expected): (Option<Vec<u8>>, &Vec<u8>)| found.as_ref() == Some(expected);
        if new.chunks(&ids).await?.into_iter().zip(&bytes).all(same) {
            return Ok(ids);
        }
        Err(Error::new(ErrorCode::SnapshotCorrupt, "What was read back from the storage is not what was written to it")
            .hint("Nothing was changed; check the disk"))
    }

    /// After an answer was lost: whether the head has that key.
    async fn took_effect(&self, store: &dyn Store, key: Option<String>) -> Result<bool> {
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            self.0.platform.clock.sleep(attempt * PAUSE_MS).await;
            let found = async {
                store.reopen().await?;
                store.head().await
            };
            match found.await {
                Ok(head) => {
                    check_fence(head.as_ref(), &self.0.fence)?;
                    return Ok(head.and_then(|head| head.encryption).map(|encryption| encryption.wrapped) == key);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(lock_lost))
    }
}

/// A change of the key, up to the transaction that decides.
struct Prepared {
    store: Rc<dyn Store>,
    /// How the head knows the new key; `None` for a plain database.
    key: Option<String>,
    decisive: Transaction,
    /// The manifests that go, since nobody can read them.
    unreadable: Vec<u64>,
}

async fn sealed(store: Rc<dyn Store>, vault: &Vault, data_key: DataKey, head: &Head) -> Result<(SealedStore, String)> {
    let encryption: Encryption = vault.wrap(&data_key).await?;
    let key = encryption.wrapped.clone();
    let sealed = SealedStore::new(store, vault, data_key, encryption, head.database_id.clone()).await?;
    Ok((sealed, key))
}

/// A record, or one that breaks the chain where its own was damaged, so that nothing of that stays.
fn readable(entry: LogEntry) -> LogRecord {
    entry.record.unwrap_or(LogRecord {
        lsn: entry.lsn,
        part: entry.part,
        kind: LogKind::Commit,
        ..LogRecord::default()
    })
}

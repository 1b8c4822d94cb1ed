//! Changing the key: of an encrypted database, from plain to encrypted, and back. Rarely used, so that opening doesn't
//! depend on this code.
//!
//! A new secret for the same data key is a single write of the head. Otherwise everything is stored a second time:
//! first the chunks, whose ids depend on the key, then, in one transaction, head, manifests and log. Before that
//! transaction the database opens with the old key, after it with the new one; the old chunks are swept.

use std::{ops::ControlFlow, rc::Rc};

use super::{
    Storage,
    failure::lock_lost,
    records,
    sealed::{SealedStore, Vault},
};
use crate::{
    collections::Set,
    error::{Error, ErrorCode, Result},
    ports::{ChunkId, DataKey, Durability, Guard, Key, Store, Transaction, Write},
};

/// How many chunks are in memory at a time.
const CHUNK_SLICE: usize = 64;
/// How often to check whether the deciding transaction was stored when its result was lost, and the pause in
/// milliseconds.
const ATTEMPTS: u64 = 5;
const PAUSE_MS: u64 = 200;

/// The outcome of changing the key.
#[derive(Clone, Debug, PartialEq)]
pub enum Rekeyed {
    /// The key was changed.
    Done,
    /// The key was not changed; the storage continues with the old one.
    Unchanged(Error),
    /// The outcome is unknown: this holder must not write any more.
    Unknown(Error),
}

impl Storage {
    /// Changes the encryption of the stored data: `None` makes it plain. All commits must be stored, and the storage
    /// must have no other user meanwhile.
    ///
    /// Fails with `lock_lost`, `snapshot_corrupt` when written data can't be read back, and the store's errors.
    pub async fn rekey(&self, vault: Option<&Vault>) -> Rekeyed {
        let change = match self.change(vault).await {
            Ok(Some(change)) => change,
            Ok(None) => return Rekeyed::Done,
            Err(error) => return Rekeyed::Unchanged(error),
        };
        let decisive = match self.rewritten(&change).await {
            Ok(decisive) => decisive,
            Err(error) => {
                let _ = self.sweep().await;
                return Rekeyed::Unchanged(error);
            }
        };
        if let Err(error) = change.lowest.write(decisive.transaction).await {
            match self.took_effect(&change).await {
                Ok(true) => {}
                Ok(false) => return Rekeyed::Unchanged(error),
                Err(_) => return Rekeyed::Unknown(error),
            }
        }
        self.0.paging.set_store(change.new);
        self.0.damaged.borrow_mut().retain(|generation| !decisive.unreadable.contains(generation));
        // Old chunks that remain are swept when the database is opened next.
        let _ = self.sweep().await;
        Rekeyed::Done
    }

    /// Prepares the change of the key; `None` when there is nothing to change.
    async fn change(&self, vault: Option<&Vault>) -> Result<Option<KeyChange>> {
        let old = self.0.store();
        let inner_store = old.inner_store();
        let lowest = inner_store.as_ref().map_or(old.clone(), |inner_store| inner_store.store.clone());
        let found = lowest.head().await?.ok_or_else(lock_lost)?;
        // After reading it: this checks that the head read was this holder's.
        self.reload_head().await?;
        let head = self.0.head.borrow().encode();
        let data_key = inner_store.as_ref().map(|inner_store| inner_store.data_key);
        let sealed = match (data_key, vault) {
            (None, None) => return Ok(None),
            (data_key, Some(vault)) => {
                let data_key: DataKey = data_key.unwrap_or_else(|| vault.new_key());
                Some(SealedStore::new(lowest.clone(), vault, data_key, vault.wrap(&data_key).await?).await?)
            }
            (Some(_), None) => None,
        };
        let next = sealed.as_ref().map(|sealed| sealed.seal_head(&head)).unwrap_or(head);
        let new = sealed.clone().map_or(lowest.clone(), |sealed| Rc::new(sealed) as Rc<dyn Store>);
        Ok(Some(KeyChange {
            same_data_key: data_key.is_some() && vault.is_some(),
            old,
            lowest,
            new,
            sealed,
            found,
            next,
        }))
    }

    /// Copies the chunks, and collects the writes of the deciding transaction.
    async fn rewritten(&self, change: &KeyChange) -> Result<Decisive> {
        let mut writes = vec![records::put_head(&self.0.head.borrow())];
        let (mut require, mut unreadable) = (Vec::new(), Vec::new());
        if !change.same_data_key {
            let manifests = records::manifests(&*change.old).await?;
            unreadable = manifests.1;
            let chunks = manifests.0.iter().flat_map(|manifest| manifest.chunks.iter());
            let named: Set<ChunkId> = chunks.map(|chunk| chunk.id.clone()).collect();
            for ids in named.chunks(CHUNK_SLICE) {
                require.extend(change.copy_chunks(ids).await?);
            }
            writes.extend(unreadable.iter().map(|generation| Write::Delete(Key::Manifest(*generation))));
            writes.extend(manifests.0.iter().map(records::put_manifest));
            // A record that can't be decrypted becomes empty, so that nothing stays in the old form.
            let mut put = |key, bytes| {
                writes.push(Write::Put(Key::Log(key), bytes));
                Ok(ControlFlow::Continue(()))
            };
            records::each_of_log(&*change.old, (0, u32::MAX), &mut put).await?;
        }
        Ok(Decisive { transaction: change.transaction(require, writes).await?, unreadable })
    }

    /// Checks, after a lost result, whether the head has the new key.
    async fn took_effect(&self, change: &KeyChange) -> Result<bool> {
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            self.0.platform.clock.sleep(attempt * PAUSE_MS).await;
            let found = async {
                change.lowest.reopen().await?;
                change.lowest.head().await
            };
            match found.await {
                Ok(Some(head)) if head == change.next => return Ok(true),
                Ok(Some(head)) if head == change.found => return Ok(false),
                Ok(_) => return Err(lock_lost()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(lock_lost))
    }
}

/// A change of the key.
struct KeyChange {
    /// Only the secret changes, not the data key.
    same_data_key: bool,
    /// The current store, the one that holds its bytes, and its replacement.
    old: Rc<dyn Store>,
    lowest: Rc<dyn Store>,
    new: Rc<dyn Store>,
    /// The new encryption; `None`: plain.
    sealed: Option<SealedStore>,
    /// The stored head, and its replacement.
    found: Vec<u8>,
    next: Vec<u8>,
}

/// The deciding transaction.
struct Decisive {
    transaction: Transaction,
    /// The unreadable manifests, which it deletes.
    unreadable: Vec<u64>,
}

impl KeyChange {
    /// Encodes writes in the new form, guarded by the head in the old one.
    async fn transaction(&self, require: Vec<ChunkId>, writes: Vec<Write>) -> Result<Transaction> {
        let writes = match &self.sealed {
            Some(sealed) => sealed.seal(writes).await?,
            None => writes,
        };
        let guard = Guard::Head(Some(self.found.clone()));
        Ok(Transaction { guard, require, writes, durability: Durability::Strict })
    }

    /// Stores chunks in the new form and verifies them; returns the ids of the existing ones. (Missing and damaged ones
    /// stay so.)
    async fn copy_chunks(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>> {
        let stored = records::chunks(&*self.old, ids).await?;
        let whole = ids.iter().zip(stored).filter_map(|(id, bytes)| Some((self.new.stored_id(id), bytes?)));
        let (ids, bytes): (Vec<ChunkId>, Vec<Vec<u8>>) = whole.filter(|(_, bytes)| !bytes.is_empty()).unzip();
        if ids.is_empty() {
            return Ok(ids);
        }
        let keys: Vec<Key> = ids.iter().cloned().map(Key::Chunk).collect();
        let writes = keys.iter().cloned().zip(bytes.iter().cloned()).map(|(key, bytes)| Write::Put(key, bytes));
        self.lowest.write(self.transaction(Vec::new(), writes.collect()).await?).await?;
        let same = |(found, expected): (Option<Vec<u8>>, &Vec<u8>)| found.as_ref() == Some(expected);
        if self.new.get(keys).await?.into_iter().zip(&bytes).all(same) {
            return Ok(ids);
        }
        Err(Error::new(ErrorCode::SnapshotCorrupt, "The storage returned other bytes than were written to it")
            .hint("Nothing was changed; check the disk"))
    }
}

//! Changing the keys: of an encrypted database, from plain to encrypted, and back. Rarely used, so that opening doesn't
//! depend on this code.
//!
//! A new secret for the same data key is a single write of the head. Otherwise everything is stored a second time:
//! first the chunks, whose ids depend on the key, then, in one transaction, head, manifests and log. Before that
//! transaction the database opens with the old key, after it with the new one; the old chunks are swept.
//!
//! A rotation of the data key copies most chunks while the database is used. The head has the next data key meanwhile, so
//! that copies stay stored, and a later holder continues with them ([`Storage::copy_ahead`]).

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
    format::{Head, stored_ids},
    memory::room_for,
    ports::{ChunkId, Durability, Guard, Key, Store, Transaction, Write},
};

/// How many chunks are in memory at a time.
const CHUNK_SLICE: usize = 64;
/// How often to check whether the deciding transaction was stored when its result was lost, and the pause in
/// milliseconds.
const ATTEMPTS: u64 = 5;
const PAUSE_MS: u64 = 200;
/// How many rounds a rotation copies chunks in before its end, which copies what is left.
const ROUNDS: u32 = 3;

/// The outcome of changing the keys.
#[derive(Clone, Debug, PartialEq)]
pub enum Rekeyed {
    /// The keys were changed.
    Done,
    /// The keys were not changed; the storage continues with the old ones.
    Unchanged(Error),
    /// The outcome is unknown: this holder must not write any more.
    Unknown(Error),
}

/// The copies that this holder has made for one rotation of the data key.
pub struct Rotation {
    /// The next data key's id of no chunk: distinguishes the rotation from a later one.
    id: ChunkId,
    /// The chunks whose copies were compared with them.
    copied: Vec<ChunkId>,
    /// The chunks that this round has yet to copy.
    rest: Vec<ChunkId>,
    /// How many rounds may follow. Snapshots that are taken meanwhile make new chunks.
    rounds: u32,
}

impl Storage {
    /// Changes the encryption of the stored data: `None` makes it plain. All commits must be stored, and the storage
    /// must have no other user meanwhile.
    ///
    /// Fails with `lock_lost`, `out_of_memory`, `snapshot_corrupt` when written data can't be read back, and the store's
    /// errors.
    pub async fn rekey(&self, vault: Option<&Vault>) -> Rekeyed {
        let target = match (SealedStore::of(&*self.0.store()), vault) {
            (None, None) => return Rekeyed::Done,
            (Some(sealed), Some(vault)) => sealed.with_secret(vault).await.map(Some),
            (None, Some(vault)) => SealedStore::create(self.0.store(), vault).await.map(Some),
            (Some(_), None) => Ok(None),
        };
        let rekeyed = self.change_keys(target, &[]).await;
        if rekeyed == Rekeyed::Done || matches!(rekeyed, Rekeyed::Unchanged(_)) {
            // Chunks that remain are swept when the database is opened next.
            let _ = self.sweep().await;
        }
        rekeyed
    }

    /// Returns whether the head has a next data key.
    pub fn is_rotating(&self) -> bool {
        self.rotation_id().is_some()
    }

    /// Returns whether a rotation is due: one is under way, or the data key encrypted as often as is safe.
    pub fn needs_rotation(&self) -> bool {
        self.is_rotating() || self.0.store().is_worn()
    }

    /// Makes the data key look as used as one that [needs a rotation](Self::needs_rotation).
    #[cfg(feature = "testing")]
    pub fn wear_key(&self) {
        SealedStore::of(&*self.0.store()).expect("encrypted").wear();
    }

    /// Returns the id that the copy of a chunk is stored under during a rotation.
    pub fn next_stored_id(&self, id: &ChunkId) -> Option<ChunkId> {
        self.0.store().next_stored_id(id)
    }

    fn rotation_id(&self) -> Option<ChunkId> {
        self.next_stored_id(&ChunkId::default())
    }

    /// Begins a rotation: stores a new data key as the next one, unless there is one. Demands the same as
    /// [`rekey`](Self::rekey), and fails as that does; with `invalid_argument` if the data isn't encrypted.
    pub async fn begin_rotation(&self) -> Rekeyed {
        let Some(sealed) = SealedStore::of(&*self.0.store()) else { return Rekeyed::Unchanged(not_encrypted()) };
        if self.is_rotating() {
            return Rekeyed::Done;
        }
        match self.room_for_log() {
            Ok(()) => self.change_keys(sealed.with_next_key().await.map(Some), &[]).await,
            Err(error) => Rekeyed::Unchanged(error),
        }
    }

    /// Returns the rotation under way.
    pub fn rotation(&self) -> Option<Rotation> {
        self.rotation_id().map(|id| Rotation { id, copied: Vec::new(), rest: Vec::new(), rounds: ROUNDS })
    }

    /// Copies some chunks for the next data key, and returns whether there are more. Commits may be stored meanwhile; must
    /// not run concurrently with a snapshot, a prune or a sweep.
    ///
    /// Fails as [`rekey`](Self::rekey) does. May be dropped.
    pub async fn copy_ahead(&self, rotation: &mut Rotation) -> Result<bool> {
        if self.rotation_id().as_ref() != Some(&rotation.id) {
            return Ok(false);
        }
        if rotation.rest.is_empty() {
            if rotation.rounds == 0 {
                return Ok(false);
            }
            rotation.rest = self.chunks_by(&rotation.copied).await?.uncopied;
            rotation.rounds = if rotation.rest.len() > CHUNK_SLICE { rotation.rounds - 1 } else { 0 };
        }
        let sealed = SealedStore::of(&*self.0.store()).ok_or_else(not_encrypted)?;
        let change = self.change(Some(sealed.under_next_key().await?)).await?;
        let begin = rotation.rest.len().saturating_sub(CHUNK_SLICE);
        // A chunk that can't be read isn't a copied one: it may be repaired until the end of the rotation.
        let mut copied = change.copy_chunks(&rotation.rest[begin..]).await?;
        rotation.copied.append(&mut copied);
        rotation.rest.truncate(begin);
        Ok(true)
    }

    /// Ends a rotation: copies what is left, and makes the next data key the only one. The old chunks remain, for
    /// [`sweep`](Self::sweep). Demands the same as [`rekey`](Self::rekey), and fails as that does.
    pub async fn end_rotation(&self, rotation: &Rotation) -> Rekeyed {
        if self.rotation_id().as_ref() != Some(&rotation.id) {
            return Rekeyed::Done;
        }
        let target = match SealedStore::of(&*self.0.store()) {
            Some(sealed) => sealed.under_next_key().await.map(Some),
            None => Err(not_encrypted()),
        };
        self.change_keys(target, &rotation.copied).await
    }

    /// Gives a rotation up, when there is no space for the copies: the data key stays. Demands the same as
    /// [`rekey`](Self::rekey), and fails as that does.
    pub async fn abandon_rotation(&self) -> Rekeyed {
        let Some(sealed) = SealedStore::of(&*self.0.store()).filter(|_| self.is_rotating()) else {
            return Rekeyed::Done;
        };
        self.change_keys(sealed.without_next_key().await.map(Some), &[]).await
    }

    /// Replaces the keys. `copied` are chunks with a copy already.
    async fn change_keys(&self, target: Result<Option<SealedStore>>, copied: &[ChunkId]) -> Rekeyed {
        let change = match target {
            Ok(target) => self.change(target).await,
            Err(error) => Err(error),
        };
        let change = match change {
            Ok(change) => change,
            Err(error) => return Rekeyed::Unchanged(error),
        };
        self.0.generation.set(change.head.generation);
        let decisive = match self.rewritten(&change, copied).await {
            Ok(decisive) => decisive,
            Err(error) => return Rekeyed::Unchanged(error),
        };
        match change.lowest.write(decisive.transaction).await {
            // What follows in a journal shows that the change was complete, should one of its bits flip.
            Ok(()) => _ = self.settle(&change).await,
            Err(error) => match self.took_effect(&change).await {
                Ok(true) => {}
                Ok(false) => return Rekeyed::Unchanged(error),
                Err(_) => return Rekeyed::Unknown(error),
            },
        }
        self.0.head.replace(change.head);
        self.0.paging.set_store(change.new);
        self.0.damaged.borrow_mut().retain(|generation| !decisive.unreadable.contains(generation));
        Rekeyed::Done
    }

    /// Prepares a change of the keys; `None`: the data becomes plain.
    async fn change(&self, sealed: Option<SealedStore>) -> Result<KeyChange> {
        let old = self.0.store();
        let current = SealedStore::of(&*old);
        let lowest = current.as_ref().map_or(old.clone(), SealedStore::lowest);
        let found = lowest.head().await?.ok_or_else(lock_lost)?;
        // After reading it: this checks that the head read was this holder's.
        self.reload_head().await?;
        let mut head = self.0.head.borrow().clone();
        // A number that no manifest gets: so an older head that comes back is known as older.
        head.generation = self.0.generation.get() + 1;
        let encoded = head.encode();
        let next = sealed.as_ref().map(|sealed| sealed.seal_head(&encoded)).unwrap_or(encoded);
        let new = sealed.clone().map_or(lowest.clone(), |sealed| Rc::new(sealed) as Rc<dyn Store>);
        let same_data_key = current.zip(sealed.as_ref()).is_some_and(|(current, sealed)| current.has_key_of(sealed));
        Ok(KeyChange { same_data_key, old, lowest, new, sealed, head, found, next })
    }

    /// Copies the chunks, and collects the writes of the deciding transaction.
    async fn rewritten(&self, change: &KeyChange, copied: &[ChunkId]) -> Result<Decisive> {
        let mut writes = vec![records::put_head(&change.head)];
        let (mut require, mut unreadable) = (Vec::new(), Vec::new());
        if !change.same_data_key {
            self.room_for_log()?;
            let NamedChunks { copied, mut uncopied } = self.chunks_by(copied).await?;
            // A sweep may have deleted the copies of chunks that no manifest named for a while.
            let stored: Set<ChunkId> = match copied.is_empty() {
                true => Set::new(),
                false => change.lowest.chunk_ids().await?.into_iter().collect(),
            };
            let (mut copied, mut lost): (Vec<_>, Vec<_>) =
                copied.into_iter().partition(|id| stored.contains(&change.new.stored_id(id)));
            uncopied.append(&mut lost);
            for ids in uncopied.chunks(CHUNK_SLICE) {
                copied.append(&mut change.copy_chunks(ids).await?);
            }
            require.extend(copied.iter().map(|id| change.new.stored_id(id)));
            let manifests = records::manifests(&*change.old).await?;
            unreadable = manifests.1;
            writes.extend(unreadable.iter().map(|generation| Write::Delete(Key::Manifest(*generation))));
            writes.extend(manifests.0.iter().map(records::put_manifest));
            // A record that can't be decrypted becomes empty, so that nothing stays in the old form.
            let mut put = |key, bytes| {
                writes.push(Write::Put(Key::Log(key), bytes));
                Ok(ControlFlow::Continue(()))
            };
            records::each_of_log(&*change.old, (0, u32::MAX), &mut put).await?;
        }
        let transaction = change.transaction(change.found.clone(), require, writes).await?;
        Ok(Decisive { transaction, unreadable })
    }

    /// Returns the chunks that must have a copy.
    async fn chunks_by(&self, copied: &[ChunkId]) -> Result<NamedChunks> {
        let manifests = records::manifests(&*self.0.store()).await?.0;
        let mut named = stored_ids(&mut manifests.iter());
        // The open database may read chunks of a manifest that was deleted.
        let in_use = self.0.paging.chunks_in_use();
        named.extend(in_use);
        let known: Set<ChunkId> = copied.iter().copied().collect();
        let (copied, uncopied) = named.into_iter().partition(|id| known.contains(id));
        Ok(NamedChunks { copied, uncopied })
    }

    /// Fails with `out_of_memory` unless the log fits into memory twice: as it is, and encrypted.
    fn room_for_log(&self) -> Result<()> {
        room_for(2 * (self.position().logged - self.truncated().logged))
    }

    /// Stores the new head once more, so that it survives a power cut. Fails with `lock_lost` if another one is stored.
    async fn settle(&self, change: &KeyChange) -> Result<()> {
        let head = records::put_head(&change.head);
        change.lowest.write(change.transaction(change.next.clone(), Vec::new(), vec![head]).await?).await
    }

    /// Checks, after a lost result, whether the head has the new keys.
    async fn took_effect(&self, change: &KeyChange) -> Result<bool> {
        let mut last = None;
        for attempt in 0..ATTEMPTS {
            self.0.platform.clock.sleep(attempt * PAUSE_MS).await;
            let found = async {
                change.lowest.reopen().await?;
                change.lowest.head().await
            };
            match found.await {
                // What is read may not be on the disk: the failed write may have been its sync.
                Ok(Some(head)) if head == change.next => match self.settle(change).await {
                    Ok(()) => return Ok(true),
                    Err(error) => last = Some(error),
                },
                Ok(Some(head)) if head == change.found => return Ok(false),
                Ok(_) => return Err(lock_lost()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(lock_lost))
    }
}

/// The chunks that manifests name, or that the open database reads.
struct NamedChunks {
    copied: Vec<ChunkId>,
    uncopied: Vec<ChunkId>,
}

/// A change of the keys.
struct KeyChange {
    /// The data key stays: its secret changes, or the next data key.
    same_data_key: bool,
    /// The current store, the one that holds its bytes, and its replacement.
    old: Rc<dyn Store>,
    lowest: Rc<dyn Store>,
    new: Rc<dyn Store>,
    /// The new encryption; `None`: plain.
    sealed: Option<SealedStore>,
    /// The new head, in plain form.
    head: Head,
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
    /// Encodes writes in the new form, guarded by the stored head.
    async fn transaction(&self, stored: Vec<u8>, require: Vec<ChunkId>, writes: Vec<Write>) -> Result<Transaction> {
        let writes = match &self.sealed {
            Some(sealed) => sealed.seal(writes).await?,
            None => writes,
        };
        let guard = Guard::Head(Some(stored));
        Ok(Transaction { guard, require, writes, durability: Durability::Strict })
    }

    /// Stores chunks in the new form and verifies them; returns those that are stored then. (Missing and damaged ones
    /// stay so.) A copy that is there already is compared.
    async fn copy_chunks(&self, ids: &[ChunkId]) -> Result<Vec<ChunkId>> {
        let stored = records::chunks(&*self.old, ids).await?;
        let whole = ids.iter().copied().zip(stored).filter_map(|(id, bytes)| Some((id, bytes?)));
        let (ids, chunks): (Vec<ChunkId>, Vec<Vec<u8>>) = whole.filter(|(_, bytes)| !bytes.is_empty()).unzip();
        let found = records::chunks(&*self.new, &ids).await?;
        let differs = |(_, (bytes, found)): &(&ChunkId, (&Vec<u8>, Option<Vec<u8>>))| found.as_ref() != Some(*bytes);
        let (keys, chunks): (Vec<Key>, Vec<Vec<u8>>) = ids
            .iter()
            .zip(chunks.iter().zip(found))
            .filter(differs)
            .map(|(id, (bytes, _))| (records::chunk_key(&*self.new, id), bytes.clone()))
            .unzip();
        if keys.is_empty() {
            return Ok(ids);
        }
        let writes = keys.iter().cloned().zip(chunks.iter().cloned()).map(|(key, bytes)| Write::Put(key, bytes));
        self.lowest.write(self.transaction(self.found.clone(), Vec::new(), writes.collect()).await?).await?;
        let same = |(found, expected): (Option<Vec<u8>>, &Vec<u8>)| found.as_ref() == Some(expected);
        if self.new.get(keys).await?.into_iter().zip(&chunks).all(same) {
            return Ok(ids);
        }
        Err(Error::new(ErrorCode::SnapshotCorrupt, "The storage returned other bytes than were written to it")
            .hint("Nothing was changed; check the disk"))
    }
}

fn not_encrypted() -> Error {
    Error::invalid("The database is not encrypted: it has no key to rotate").hint("rekey(encryption) encrypts it")
}

//! The encrypting store.

use std::{any::Any, cell::Cell, future::ready, rc::Rc};

use tidelock_gcm::{Key as GcmKey, TAG_BYTES};

use super::{
    super::{
        failure::{HEAD_RESTORED, corrupt, lock_lost},
        records::{head_of, put_copy, restored_head},
        recovery::check_format,
    },
    head::{self, SealedHead},
    is_of_encryption,
    keys::{Hmac, KeyWrapper, StoredKey, Vault, derived},
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{
        AeadInput, ChunkId, Cipher, Crypto, DataKey, Entropy, Estimate, Guard, HeadInfo, Key, LocalFuture, LogKey,
        NONCE_BYTES, Store, StoredRecord, Stores, Transaction, Write,
    },
};

/// Log records up to this size in bytes are encrypted synchronously, so that they can be stored while a page is being
/// hidden: its batches have parts of 64 KiB of pages. Larger data goes to the platform, which is many times faster, but
/// asynchronous.
const SYNCHRONOUS_BYTES: usize = 66 * 1024;

/// A data key that encrypted so often is replaced at the next opening. NIST SP 800-38D allows 2^32 times with random
/// nonces; what a page encrypted after it stored the head for the last time isn't counted if it dies.
const WORN: u64 = 1 << 31;

/// A [`Store`] that encrypts what it stores in another one. A handle, cheap to clone.
#[derive(Clone)]
pub struct SealedStore(Rc<SealedInner>);

struct SealedInner {
    store: Rc<dyn Store>,
    entropy: Rc<dyn Entropy>,
    crypto: Rc<dyn Crypto>,
    wrapper: KeyWrapper,
    key: StoredKey,
    /// The count of the key's encryptions that the stored head has.
    counted: Cell<u64>,
    /// The key that everything is being encrypted with, and the HMAC of its chunk ids.
    next: Option<(StoredKey, Hmac)>,
    ids: Hmac,
    heads: Hmac,
    now: GcmKey,
    later: Rc<dyn Cipher>,
    /// Whether the head was restored from its copy.
    restored: Cell<bool>,
}

impl SealedStore {
    /// Opens a store that is empty, or was encrypted with that secret. Reads the head and writes nothing.
    ///
    /// Fails with `decryption_failed` when another secret encrypted it, `invalid_argument` when it isn't encrypted,
    /// `database_corrupt` when its head was changed, and the store's errors.
    pub async fn open(store: Rc<dyn Store>, vault: &Vault) -> Result<Self> {
        let (stored, restored) = restored_head(&*store).await?;
        let Some(stored) = stored else { return Self::create(store, vault).await };
        let opened = Self::open_with(store.clone(), vault, &stored, restored).await;
        if !opened.as_ref().is_err_and(|error| error.is(ErrorCode::DecryptionFailed)) {
            return opened;
        }
        // A head from before a change of the secret.
        let Some(copy) = store.head_copy().await?.filter(|copy| *copy != stored) else { return opened };
        let Ok(by_copy) = Self::open_with(store.clone(), vault, &copy, true).await else { return opened };
        put_copy(&*store, Some(stored), copy).await?;
        Ok(by_copy)
    }

    async fn open_with(store: Rc<dyn Store>, vault: &Vault, stored: &[u8], restored: bool) -> Result<Self> {
        let Some(mut head) = SealedHead::decode(stored) else {
            if let Some(head) = head_of(Some(stored))? {
                check_format(&head)?;
            }
            return Err(Error::invalid("The database is not encrypted, but the option `encryption` was given")
                .hint("Open it without `encryption` and call rekey(encryption), which encrypts the existing data")
                .detail("option", "encryption"));
        };
        head.shown.features.retain(|feature| !is_of_encryption(feature));
        check_format(&head.shown)?;
        let wrapper = vault.wrapper_of(&head.key).await?;
        let key = wrapper.unwrap(head.key).await?;
        key.encryptions.set(head.encryptions);
        let next = match head.next {
            Some(next) => Some(wrapper.unwrap(next).await?),
            None => None,
        };
        let sealed = Self::new(store, &vault.entropy, &vault.crypto, wrapper, key, next).await?;
        sealed.open_head(stored)?;
        sealed.0.restored.set(restored);
        Ok(sealed)
    }

    /// Creates a store that encrypts with a new data key.
    pub(in super::super) async fn create(store: Rc<dyn Store>, vault: &Vault) -> Result<Self> {
        let wrapper = vault.wrapper().await?;
        let key = wrapper.new_key().await?;
        Self::new(store, &vault.entropy, &vault.crypto, wrapper, key, None).await
    }

    /// Returns the encrypting store behind a handle; `None` if that doesn't encrypt.
    pub(in super::super) fn of(store: &dyn Store) -> Option<Self> {
        store.encryption().and_then(|state| state.downcast().ok()).map(Self)
    }

    /// Returns the store with the same data keys, wrapped by another secret.
    pub(in super::super) async fn with_secret(&self, vault: &Vault) -> Result<Self> {
        let wrapper = vault.wrapper().await?;
        let key = wrapper.wrap(self.0.key.key.clone()).await?;
        key.encryptions.set(self.0.key.encryptions.get());
        let next = match &self.0.next {
            Some((next, _)) => Some(wrapper.wrap(next.key.clone()).await?),
            None => None,
        };
        self.with_keys(wrapper, key, next).await
    }

    /// Returns the store with a new key as the next data key.
    pub(in super::super) async fn with_next_key(&self) -> Result<Self> {
        let next = self.0.wrapper.new_key().await?;
        self.with_keys(self.0.wrapper.clone(), self.0.key.clone(), Some(next)).await
    }

    /// Returns the store without the next data key.
    pub(in super::super) async fn without_next_key(&self) -> Result<Self> {
        self.with_keys(self.0.wrapper.clone(), self.0.key.clone(), None).await
    }

    /// Returns the store that encrypts with the next data key only.
    pub(in super::super) async fn under_next_key(&self) -> Result<Self> {
        let (next, _) = self.0.next.as_ref().ok_or_else(|| Error::internal("There is no next data key"))?;
        self.with_keys(self.0.wrapper.clone(), next.clone(), None).await
    }

    async fn with_keys(&self, wrapper: KeyWrapper, key: StoredKey, next: Option<StoredKey>) -> Result<Self> {
        Self::new(self.0.store.clone(), &self.0.entropy, &self.0.crypto, wrapper, key, next).await
    }

    async fn new(
        store: Rc<dyn Store>,
        entropy: &Rc<dyn Entropy>,
        crypto: &Rc<dyn Crypto>,
        wrapper: KeyWrapper,
        key: StoredKey,
        next: Option<StoredKey>,
    ) -> Result<Self> {
        let content = derived(&key.key, "tidelock 1 content");
        Ok(Self(Rc::new(SealedInner {
            store,
            entropy: entropy.clone(),
            ids: chunk_ids(&key.key),
            heads: Hmac::new(&derived(&key.key, "tidelock 1 head")[..]),
            now: GcmKey::new(&content),
            later: crypto.cipher(&content).await?,
            crypto: crypto.clone(),
            wrapper,
            counted: Cell::new(key.encryptions.get()),
            restored: Cell::new(false),
            next: next.map(|next| {
                let ids = chunk_ids(&next.key);
                (next, ids)
            }),
            key,
        })))
    }

    /// Returns the store of the encrypted bytes.
    pub(in super::super) fn lowest(&self) -> Rc<dyn Store> {
        self.0.store.clone()
    }

    /// Returns whether both encrypt with the same data key.
    pub(in super::super) fn has_key_of(&self, other: &Self) -> bool {
        self.0.key.key == other.0.key.key
    }

    /// Counts as many encryptions as wear the key.
    #[cfg(feature = "testing")]
    pub(in super::super) fn wear(&self) {
        self.count(WORN);
    }

    fn count(&self, encryptions: u64) {
        let counter = &self.0.key.encryptions;
        counter.set(counter.get().saturating_add(encryptions));
    }

    /// Encodes a head in its stored form.
    pub(in super::super) fn seal_head(&self, head: &[u8]) -> Vec<u8> {
        self.seal_head_counting(head, self.0.counted.get())
    }

    fn seal_head_counting(&self, head: &[u8], encryptions: u64) -> Vec<u8> {
        let next = self.0.next.as_ref().map(|(next, _)| &next.wrapped);
        SealedHead::encode(head, &self.0.key.wrapped, next, encryptions, &self.0.heads)
    }

    /// Decodes a stored head. Fails with `lock_lost` when another holder changed the keys meanwhile.
    fn open_head(&self, stored: &[u8]) -> Result<Vec<u8>> {
        let sealed = SealedHead::decode(stored);
        if let Some(sealed) = &sealed
            && self.seal_head_counting(&sealed.head, sealed.encryptions) == stored
        {
            self.0.counted.set(sealed.encryptions);
            return Ok(sealed.head.clone());
        }
        let next = self.0.next.as_ref().map(|(next, _)| &next.wrapped);
        let has_keys = |sealed: &SealedHead| sealed.key == self.0.key.wrapped && sealed.next.as_ref() == next;
        if !sealed.as_ref().is_some_and(has_keys) {
            return Err(lock_lost());
        }
        Err(corrupt("The head record of the database was changed without its key"))
    }

    fn piece(&self, key: &Key, bytes: Vec<u8>) -> AeadInput {
        let mut nonce = [0; NONCE_BYTES];
        self.0.entropy.fill(&mut nonce);
        AeadInput { nonce, associated: associated(key), bytes }
    }

    /// Encrypts synchronously.
    fn seal_now(&self, key: &Key, bytes: &[u8]) -> Vec<u8> {
        let AeadInput { nonce, associated, .. } = self.piece(key, Vec::new());
        self.count(1);
        let mut sealed = Vec::with_capacity(NONCE_BYTES + bytes.len() + TAG_BYTES);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(bytes);
        let tag = self.0.now.seal(&nonce, &associated, &mut sealed[NONCE_BYTES..]);
        sealed.extend_from_slice(&tag);
        sealed
    }

    /// Decrypts synchronously; `None` when it doesn't decrypt.
    fn open_now(&self, key: &Key, mut sealed: Vec<u8>) -> Option<Vec<u8>> {
        let (_, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
        let tag = *tag;
        let (nonce, _) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let nonce = *nonce;
        let end = sealed.len().checked_sub(TAG_BYTES).filter(|end| *end >= NONCE_BYTES)?;
        sealed.truncate(end);
        let opened = self.0.now.open(&nonce, &associated(key), &mut sealed[NONCE_BYTES..], &tag);
        sealed.drain(..NONCE_BYTES);
        opened.then_some(sealed)
    }

    /// Encrypts the content of writes, asynchronously on the platform.
    pub(in super::super) fn seal(&self, writes: Vec<Write>) -> LocalFuture<'static, Result<Vec<Write>>> {
        self.seal_counting(writes, self.0.counted.get())
    }

    /// Does the same, with that count in a head.
    fn seal_counting(&self, mut writes: Vec<Write>, counted: u64) -> LocalFuture<'static, Result<Vec<Write>>> {
        let mut pieces = Vec::new();
        for write in &mut writes {
            match write {
                Write::PutHead(head, info) => {
                    *head = self.seal_head_counting(head, counted);
                    info.features.extend(head::features(self.0.next.is_some()));
                }
                Write::Add(key, bytes) => pieces.push(self.piece(&Key::Log(*key), std::mem::take(bytes))),
                Write::Put(key, bytes) => pieces.push(self.piece(key, std::mem::take(bytes))),
                Write::Delete(_) | Write::CutLog { .. } => {}
            }
        }
        self.count(pieces.len() as u64);
        let nonces: Vec<_> = pieces.iter().map(|piece| piece.nonce).collect();
        let sealing = self.0.later.seal(pieces);
        Box::pin(async move {
            let mut sealed = nonces.into_iter().zip(sealing.await?);
            for write in &mut writes {
                if let Write::Add(_, bytes) | Write::Put(_, bytes) = write {
                    *bytes = sealed.next().map_or(Vec::new(), |(nonce, sealed)| [&nonce[..], &sealed].concat());
                }
            }
            Ok(writes)
        })
    }

    /// Decrypts stored values. A value that doesn't decrypt is damaged, not missing: it becomes empty bytes.
    async fn open_all(&self, stored: Vec<(Key, Option<Vec<u8>>)>) -> Result<Vec<Option<Vec<u8>>>> {
        let there: Vec<bool> = stored.iter().map(|(_, bytes)| bytes.is_some()).collect();
        let pieces = stored.into_iter().filter_map(|(key, bytes)| {
            let mut bytes = bytes?;
            let nonce = bytes.first_chunk().copied();
            // A value that is too short for a nonce has no tag either.
            bytes.drain(..nonce.map_or(bytes.len(), |nonce: [u8; NONCE_BYTES]| nonce.len()));
            Some(AeadInput { nonce: nonce.unwrap_or_default(), associated: associated(&key), bytes })
        });
        let mut opened = self.0.later.open(pieces.collect()).await?.into_iter();
        Ok(there.into_iter().map(|there| there.then(|| opened.next().flatten().unwrap_or_default())).collect())
    }
}

/// Returns the HMAC of the chunk ids under a data key.
fn chunk_ids(key: &DataKey) -> Hmac {
    Hmac::new(&derived(key, "tidelock 1 chunk ids")[..])
}

/// Returns the additional data of a value: the key that it is stored under.
fn associated(key: &Key) -> Vec<u8> {
    match key {
        Key::Log((lsn, part)) => format!("log {lsn} {part}"),
        Key::Manifest(generation) => format!("manifest {generation}"),
        Key::Chunk(id) => format!("chunk {id}"),
    }
    .into_bytes()
}

impl Store for SealedStore {
    fn write(&self, mut transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let small = |write: &Write| matches!(write, Write::Add(_, record) if record.len() <= SYNCHRONOUS_BYTES);
        if transaction.guard == Guard::Nothing && transaction.writes.iter().all(small) {
            for write in &mut transaction.writes {
                if let Write::Add(key, bytes) = write {
                    *bytes = self.seal_now(&Key::Log(*key), bytes);
                }
            }
            return self.0.store.write(transaction);
        }
        if let Guard::Head(Some(head)) = &mut transaction.guard {
            *head = self.seal_head(head);
        }
        let replaces_head = transaction.writes.iter().any(|write| matches!(write, Write::PutHead(..)));
        let counted = self.0.key.encryptions.get();
        let sealing = self.seal_counting(std::mem::take(&mut transaction.writes), counted);
        let this = self.clone();
        Box::pin(async move {
            transaction.writes = sealing.await?;
            this.0.store.write(transaction).await?;
            // Only now: another call may read the head before it is stored. If it was stored in spite of an error, the
            // next reading finds its count.
            if replaces_head {
                this.0.counted.set(counted);
            }
            Ok(())
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move { self.0.store.head().await?.map(|stored| self.open_head(&stored)).transpose() })
    }

    fn damage(&self) -> LocalFuture<'_, Result<Option<String>>> {
        match self.0.restored.get() {
            true => Box::pin(ready(Ok(Some(HEAD_RESTORED.to_owned())))),
            false => self.0.store.damage(),
        }
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            let stored = self.0.store.get(keys.clone()).await?;
            self.open_all(keys.into_iter().zip(stored).collect()).await
        })
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        Box::pin(async move {
            let stored = self.0.store.log(after, max_bytes).await?;
            let keys: Vec<LogKey> = stored.iter().map(|(key, _)| *key).collect();
            let opened = self.open_all(stored.into_iter().map(|(key, bytes)| (Key::Log(key), Some(bytes))).collect());
            Ok(keys.into_iter().zip(opened.await?.into_iter().map(Option::unwrap_or_default)).collect())
        })
    }

    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
        self.0.store.generations()
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        self.0.store.chunk_ids()
    }

    fn reads_now(&self) -> bool {
        self.0.store.reads_now()
    }

    fn chunk_now(&self, id: &ChunkId, buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let stored = self.0.store.chunk_now(id, buffer)?;
        Ok(stored.map(|stored| self.open_now(&Key::Chunk(*id), stored).unwrap_or_default()))
    }

    fn stored_id(&self, id: &ChunkId) -> ChunkId {
        ChunkId::new(&self.0.ids.of(&id.bytes()))
    }

    fn next_stored_id(&self, id: &ChunkId) -> Option<ChunkId> {
        self.0.next.as_ref().map(|(_, ids)| ChunkId::new(&ids.of(&id.bytes())))
    }

    fn is_worn(&self) -> bool {
        self.0.key.encryptions.get() >= WORN
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        self.0.store.reopen()
    }

    fn lost(&self) -> Option<String> {
        self.0.store.lost()
    }

    fn settled(&self) -> LocalFuture<'_, ()> {
        self.0.store.settled()
    }

    fn yield_to_holder(&self) {
        self.0.store.yield_to_holder();
    }

    fn close(&self) -> LocalFuture<'_, Result<()>> {
        self.0.store.close()
    }

    fn encryption(&self) -> Option<Rc<dyn Any>> {
        Some(self.0.clone())
    }
}

/// Encrypted databases in other stores, all with one secret.
pub struct SealedStores {
    /// The stores below.
    pub stores: Rc<dyn Stores>,
    /// The secret.
    pub vault: Vault,
}

/// Seals a store, or closes it.
async fn sealed(store: Rc<dyn Store>, vault: &Vault) -> Result<Rc<dyn Store>> {
    match SealedStore::open(store.clone(), vault).await {
        Ok(sealed) => Ok(Rc::new(sealed)),
        Err(error) => {
            store.settled().await;
            let _ = store.close().await;
            Err(error)
        }
    }
}

impl Stores for SealedStores {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let (opening, vault) = (self.stores.open(name), self.vault.clone());
        Box::pin(async move { sealed(opening.await?, &vault).await })
    }

    fn open_older(&self, name: &str) -> LocalFuture<'static, Result<Option<Rc<dyn Store>>>> {
        let (opening, vault) = (self.stores.open_older(name), self.vault.clone());
        Box::pin(async move {
            match opening.await? {
                Some(store) => sealed(store, &vault).await.map(Some),
                None => Ok(None),
            }
        })
    }

    fn shown(&self, name: &str) -> Option<LocalFuture<'static, Option<HeadInfo>>> {
        self.stores.shown(name)
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        self.stores.estimate()
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        self.stores.persist()
    }
}

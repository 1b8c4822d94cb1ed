//! The encrypting store.

use std::rc::Rc;

use tidelock_gcm::{Key as GcmKey, TAG_BYTES};

use super::{
    super::{
        failure::{corrupt, lock_lost},
        records::head_of,
        recovery::check_format,
    },
    ENCRYPTION,
    head::SealedHead,
    keys::{Hmac, Vault, WrappedKey, derived},
};
use crate::{
    error::{Error, Result},
    ports::{
        AeadInput, ChunkId, Cipher, DataKey, Entropy, Estimate, Guard, HeadInfo, InnerStore, Key, LocalFuture, LogKey,
        NONCE_BYTES, Store, StoredRecord, Stores, Transaction, Write,
    },
    value::hex,
};

/// Log records up to this size in bytes are encrypted synchronously, so that they can be stored while a page is being
/// hidden: its batches have parts of 64 KiB of pages. Larger data goes to the platform, which is many times faster, but
/// asynchronous.
const SYNCHRONOUS_BYTES: usize = 66 * 1024;

/// A [`Store`] that encrypts what it stores in another one. A handle, cheap to clone.
#[derive(Clone)]
pub struct SealedStore(Rc<SealedInner>);

struct SealedInner {
    store: Rc<dyn Store>,
    entropy: Rc<dyn Entropy>,
    data_key: DataKey,
    /// The data key in its stored form.
    wrapped: WrappedKey,
    ids: Hmac,
    heads: Hmac,
    now: GcmKey,
    later: Rc<dyn Cipher>,
}

impl SealedStore {
    /// Opens a store that is empty, or was encrypted with that secret. Reads the head and writes nothing.
    ///
    /// Fails with `decryption_failed` when another secret encrypted it, `invalid_argument` when it isn't encrypted,
    /// `database_corrupt` when its head was changed, and the store's errors.
    pub async fn open(store: Rc<dyn Store>, vault: &Vault) -> Result<Self> {
        let Some(stored) = store.head().await? else {
            let key = vault.new_key();
            let wrapped = vault.wrap(&key).await?;
            return Self::new(store, vault, key, wrapped).await;
        };
        let Some(mut head) = SealedHead::decode(&stored) else {
            if let Some(head) = head_of(Some(&stored))? {
                check_format(&head)?;
            }
            return Err(Error::invalid("The database is not encrypted, but the option `encryption` was given")
                .hint("Open it without `encryption` and call rekey(encryption), which encrypts the existing data")
                .detail("option", "encryption"));
        };
        head.shown.features.retain(|feature| feature != ENCRYPTION);
        check_format(&head.shown)?;
        let key = vault.unwrap(&head.key).await?;
        let sealed = Self::new(store, vault, key, head.key).await?;
        sealed.open_head(&stored)?;
        Ok(sealed)
    }

    /// Creates a store that encrypts with the given data key.
    pub(in super::super) async fn new(
        store: Rc<dyn Store>,
        vault: &Vault,
        data_key: DataKey,
        wrapped: WrappedKey,
    ) -> Result<Self> {
        let content = derived(&data_key, "tidelock 1 content");
        Ok(Self(Rc::new(SealedInner {
            store,
            entropy: vault.entropy.clone(),
            ids: Hmac::new(&derived(&data_key, "tidelock 1 chunk ids")),
            heads: Hmac::new(&derived(&data_key, "tidelock 1 head")),
            now: GcmKey::new(&content),
            later: vault.crypto.cipher(&content).await?,
            data_key,
            wrapped,
        })))
    }

    /// Encodes a head in its stored form.
    pub(in super::super) fn seal_head(&self, head: &[u8]) -> Vec<u8> {
        SealedHead::encode(head, &self.0.wrapped, &self.0.heads)
    }

    /// Decodes a stored head. Fails with `lock_lost` when another holder changed the key meanwhile.
    fn open_head(&self, stored: &[u8]) -> Result<Vec<u8>> {
        let sealed = SealedHead::decode(stored);
        if let Some(sealed) = &sealed
            && self.seal_head(&sealed.head) == stored
        {
            return Ok(sealed.head.clone());
        }
        if sealed.is_none_or(|sealed| sealed.key != self.0.wrapped) {
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
    pub(in super::super) fn seal(&self, mut writes: Vec<Write>) -> LocalFuture<'static, Result<Vec<Write>>> {
        let mut pieces = Vec::new();
        for write in &mut writes {
            match write {
                Write::PutHead(head, info) => {
                    *head = self.seal_head(head);
                    info.features.push(ENCRYPTION.to_owned());
                }
                Write::Add(key, bytes) => pieces.push(self.piece(&Key::Log(*key), std::mem::take(bytes))),
                Write::Put(key, bytes) => pieces.push(self.piece(key, std::mem::take(bytes))),
                Write::Delete(_) | Write::CutLog { .. } => {}
            }
        }
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
    async fn open_all(&self, stored: Vec<(Key, Option<Vec<u8>>)>) -> Vec<Option<Vec<u8>>> {
        let there: Vec<bool> = stored.iter().map(|(_, bytes)| bytes.is_some()).collect();
        let pieces = stored.into_iter().filter_map(|(key, bytes)| {
            let mut bytes = bytes?;
            let nonce = bytes.first_chunk().copied();
            // A value that is too short for a nonce has no tag either.
            bytes.drain(..nonce.map_or(bytes.len(), |nonce: [u8; NONCE_BYTES]| nonce.len()));
            Some(AeadInput { nonce: nonce.unwrap_or_default(), associated: associated(&key), bytes })
        });
        let mut opened = self.0.later.open(pieces.collect()).await.into_iter();
        there.into_iter().map(|there| there.then(|| opened.next().flatten().unwrap_or_default())).collect()
    }
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
        let sealing = self.seal(std::mem::take(&mut transaction.writes));
        let store = self.0.store.clone();
        Box::pin(async move {
            transaction.writes = sealing.await?;
            store.write(transaction).await
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move { self.0.store.head().await?.map(|stored| self.open_head(&stored)).transpose() })
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            let stored = self.0.store.get(keys.clone()).await?;
            Ok(self.open_all(keys.into_iter().zip(stored).collect()).await)
        })
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        Box::pin(async move {
            let stored = self.0.store.log(after, max_bytes).await?;
            let keys: Vec<LogKey> = stored.iter().map(|(key, _)| *key).collect();
            let opened = self.open_all(stored.into_iter().map(|(key, bytes)| (Key::Log(key), Some(bytes))).collect());
            Ok(keys.into_iter().zip(opened.await.into_iter().map(Option::unwrap_or_default)).collect())
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

    fn chunk_now(&self, id: &ChunkId) -> Result<Option<Vec<u8>>> {
        let stored = self.0.store.chunk_now(id)?;
        Ok(stored.map(|stored| self.open_now(&Key::Chunk(id.clone()), stored).unwrap_or_default()))
    }

    fn stored_id(&self, id: &ChunkId) -> ChunkId {
        hex(&self.0.ids.of(id.as_bytes()))
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

    fn inner_store(&self) -> Option<InnerStore> {
        Some(InnerStore { store: self.0.store.clone(), data_key: self.0.data_key })
    }
}

/// Encrypted databases in other stores, all with one secret.
pub struct SealedStores {
    /// The stores below.
    pub stores: Rc<dyn Stores>,
    /// The secret.
    pub vault: Vault,
}

impl Stores for SealedStores {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let (opening, vault) = (self.stores.open(name), self.vault.clone());
        Box::pin(async move {
            let store = opening.await?;
            match SealedStore::open(store.clone(), &vault).await {
                Ok(sealed) => Ok(Rc::new(sealed) as Rc<dyn Store>),
                Err(error) => {
                    store.settled().await;
                    let _ = store.close().await;
                    Err(error)
                }
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

//! The store that encrypts.

use std::{cell::RefCell, rc::Rc};

use tidelock_gcm::{Key, TAG_BYTES};

use super::{
    super::{
        chunk::hex,
        failure::{corrupt, lock_lost},
        layout::Writer,
        recovery::check_format,
    },
    keys::{Hmac, Vault, derived, mac_of},
    records,
};
use crate::{
    collections::Map,
    error::{Error, Result},
    ports::{
        Beneath, ChunkId, Cipher, Claim, DataKey, ENCRYPTION, Encryption, Entropy, Estimate, Head, LocalFuture,
        LogEntry, LogKind, LogRecord, Manifest, NONCE_BYTES, Piece, Store, Stores, Transaction, Write,
    },
};

/// Records of the log up to this size are encrypted on the spot, so that they can leave with a page that is being hidden: its
/// batches come in such parts. What is larger goes to the platform, which is many times as fast, but answers later.
const SYNCHRONOUS_BYTES: usize = 64 * 1024;
/// Before the ids of chunks that no manifest names: theirs are known as HMACs only.
const UNNAMED: char = '~';

/// A [`Store`] that encrypts what it stores in another one. Cheap to clone: a handle.
#[derive(Clone)]
pub struct SealedStore(Rc<Inner>);

struct Inner {
    store: Rc<dyn Store>,
    entropy: Rc<dyn Entropy>,
    data_key: DataKey,
    /// How the data key is kept; its `mac` is empty, since each head has its own.
    encryption: Encryption,
    /// Empty until the database is made.
    database_id: RefCell<String>,
    ids: Hmac,
    heads: Hmac,
    now: Key,
    later: Rc<dyn Cipher>,
}

impl SealedStore {
    /// Over a store that is empty, or was encrypted with that secret. Reads the head and writes nothing.
    ///
    /// Fails with `decryption_failed` when another secret encrypted it, `invalid_argument` when it isn't encrypted,
    /// `database_corrupt` when its head was changed, and what the store fails with.
    pub async fn open(store: Rc<dyn Store>, vault: &Vault) -> Result<Self> {
        let Some(head) = store.head().await? else {
            let key = vault.new_key();
            let encryption = vault.wrap(&key).await?;
            return Self::new(store, vault, key, encryption, String::new()).await;
        };
        let Some(encryption) = head.encryption.as_deref() else {
            check_format(&head)?;
            return Err(Error::invalid("The database is not encrypted, but the option `encryption` was given")
                .hint("Open it without `encryption` and call rekey(encryption), which encrypts what is there")
                .detail("option", "encryption"));
        };
        check_format(&undressed(head.clone()))?;
        let key = vault.unwrap(encryption).await?;
        let encryption = Encryption { mac: String::new(), ..encryption.clone() };
        let sealed = Self::new(store, vault, key, encryption, head.database_id.clone()).await?;
        sealed.undress(head)?;
        Ok(sealed)
    }

    /// Over a store that is to be encrypted with a data key of its own.
    pub(in super::super) async fn new(
        store: Rc<dyn Store>,
        vault: &Vault,
        data_key: DataKey,
        encryption: Encryption,
        database_id: String,
    ) -> Result<Self> {
        let content = derived(&data_key, "tidelock 1 content");
        Ok(Self(Rc::new(Inner {
            store,
            entropy: vault.entropy.clone(),
            database_id: RefCell::new(database_id),
            ids: Hmac::new(&derived(&data_key, "tidelock 1 chunk ids")),
            heads: Hmac::new(&derived(&data_key, "tidelock 1 head")),
            now: Key::new(&content),
            later: vault.crypto.cipher(&content).await?,
            data_key,
            encryption,
        })))
    }

    /// A head as it is stored.
    pub(in super::super) fn dress(&self, mut head: Head) -> Head {
        head.features.push(ENCRYPTION.to_owned());
        let mut encryption = self.0.encryption.clone();
        encryption.mac = mac_of(&self.0.heads, &head, &encryption);
        head.encryption = Some(Box::new(encryption));
        head
    }

    /// A stored head as it was before. `lock_lost` when another holder has changed the key meanwhile.
    fn undress(&self, stored: Head) -> Result<Head> {
        let head = undressed(stored.clone());
        let expected = self.dress(head.clone());
        if expected.encryption == stored.encryption && expected.features == stored.features {
            return Ok(head);
        }
        let keys = |head: &Head| head.encryption.as_ref().map(|encryption| encryption.wrapped.clone());
        if keys(&expected) != keys(&stored) {
            return Err(lock_lost());
        }
        Err(corrupt("The head record of the database was changed by somebody who doesn't have its key"))
    }

    /// What a record is encrypted with besides the key: which one of which database it is.
    fn associated(&self, store: &str, key: &str) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.text(&self.0.database_id.borrow());
        writer.text(store);
        writer.text(key);
        writer.0
    }

    fn of_log(&self, lsn: u64, part: u32, kind: LogKind) -> Vec<u8> {
        let kind = match kind {
            LogKind::Epoch => "epoch",
            LogKind::Commit => "commit",
        };
        self.associated("log", &format!("{lsn} {part} {kind}"))
    }

    fn of_chunk(&self, stored_id: &str) -> Vec<u8> {
        self.associated("chunks", stored_id)
    }

    fn of_manifest(&self, generation: u64) -> Vec<u8> {
        self.associated("snapshots", &generation.to_string())
    }

    /// The id that a chunk is stored under.
    fn stored_id(&self, id: &ChunkId) -> ChunkId {
        match id.strip_prefix(UNNAMED) {
            Some(stored) => stored.to_owned(),
            None => hex(&self.0.ids.of(id.as_bytes())),
        }
    }

    /// Takes what is to be encrypted out of a write.
    fn take(&self, write: &mut Write, pieces: &mut Vec<Piece>) {
        let (associated, bytes) = match write {
            Write::AddLog(record) | Write::PutLog(record) => {
                let mut writer = Writer::default();
                records::write_log(&mut writer, record);
                *record = envelope(record);
                (self.of_log(record.lsn, record.part, record.kind), writer.0)
            }
            Write::PutChunk(id, bytes) => {
                *id = self.stored_id(id);
                (self.of_chunk(id), std::mem::take(bytes))
            }
            Write::PutManifest(manifest) => {
                let mut writer = Writer::default();
                records::write_manifest(&mut writer, manifest);
                **manifest = Manifest { generation: manifest.generation, ..Manifest::default() };
                (self.of_manifest(manifest.generation), writer.0)
            }
            Write::DeleteChunk(id) => return *id = self.stored_id(id),
            Write::PutHead(head) => return **head = self.dress((**head).clone()),
            Write::TruncateLog(_) | Write::DeleteManifest(_) => return,
        };
        let mut nonce = [0; NONCE_BYTES];
        self.0.entropy.fill(&mut nonce);
        pieces.push(Piece { nonce, associated, bytes });
    }

    /// Encrypts on the spot.
    fn seal_now(&self, piece: &Piece) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(NONCE_BYTES + piece.bytes.len() + TAG_BYTES);
        bytes.extend_from_slice(&piece.nonce);
        bytes.extend_from_slice(&piece.bytes);
        let tag = self.0.now.seal(&piece.nonce, &piece.associated, &mut bytes[NONCE_BYTES..]);
        bytes.extend_from_slice(&tag);
        bytes
    }

    /// Encrypts what is in the writes, on the platform's own time.
    pub(in super::super) fn seal(&self, mut writes: Vec<Write>) -> LocalFuture<'static, Result<Vec<Write>>> {
        let mut pieces = Vec::new();
        writes.iter_mut().for_each(|write| self.take(write, &mut pieces));
        let nonces: Vec<_> = pieces.iter().map(|piece| piece.nonce).collect();
        let sealing = self.0.later.seal(pieces);
        Box::pin(async move {
            let sealed = sealing.await?;
            fill(&mut writes, nonces.iter().zip(&sealed).map(|(nonce, sealed)| [&nonce[..], sealed].concat()));
            Ok(writes)
        })
    }

    /// Decrypts what is stored; `None` for what doesn't decrypt.
    fn open_all(&self, stored: Vec<(Vec<u8>, &[u8])>) -> LocalFuture<'static, Vec<Option<Vec<u8>>>> {
        let pieces = stored.into_iter().map(|(associated, sealed)| {
            // What is too short has no tag either.
            let (nonce, bytes) = sealed.split_first_chunk().unwrap_or((&[0; NONCE_BYTES], &[]));
            Piece { nonce: *nonce, associated, bytes: bytes.to_vec() }
        });
        self.0.later.open(pieces.collect())
    }

    async fn open_manifests(&self, sealed: Vec<Manifest>) -> (Vec<Manifest>, Vec<u64>) {
        let bytes = |manifest: &Manifest| manifest.sealed.clone().unwrap_or_default();
        let all: Vec<(u64, Rc<[u8]>)> = sealed.iter().map(|manifest| (manifest.generation, bytes(manifest))).collect();
        let pieces = all.iter().map(|(generation, bytes)| (self.of_manifest(*generation), &**bytes)).collect();
        let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
        for ((generation, _), plain) in all.iter().zip(self.open_all(pieces).await) {
            match plain.and_then(|plain| records::read_manifest(&plain)) {
                Some(manifest) => readable.push(manifest),
                None => unreadable.push(*generation),
            }
        }
        (readable, unreadable)
    }
}

/// What of a record is stored in the clear: its place and its kind.
fn envelope(record: &LogRecord) -> LogRecord {
    LogRecord { lsn: record.lsn, part: record.part, kind: record.kind, ..LogRecord::default() }
}

/// Puts back, encrypted, what [`SealedStore::take`] took out.
fn fill(writes: &mut [Write], mut sealed: impl Iterator<Item = Vec<u8>>) {
    let mut next = || sealed.next().unwrap_or_default();
    for write in writes {
        match write {
            Write::AddLog(record) | Write::PutLog(record) => record.bytes = next(),
            Write::PutChunk(_, bytes) => *bytes = next(),
            Write::PutManifest(manifest) => manifest.sealed = Some(next().into()),
            _ => {}
        }
    }
}

/// A head without its encryption.
fn undressed(mut head: Head) -> Head {
    head.features.retain(|feature| feature != ENCRYPTION);
    head.encryption = None;
    head
}

impl Store for SealedStore {
    fn claim(&self, claim: Claim) -> LocalFuture<'_, Result<bool>> {
        Box::pin(async move {
            self.0.database_id.replace(claim.head.database_id.clone());
            let (mut pieces, mut record) = (Vec::new(), Write::AddLog(claim.record));
            self.take(&mut record, &mut pieces);
            fill(std::slice::from_mut(&mut record), pieces.iter().map(|piece| self.seal_now(piece)));
            let Write::AddLog(record) = record else { unreachable!("it was one") };
            let (found, head) = (claim.found.map(|head| self.dress(head)), self.dress(claim.head));
            self.0.store.claim(Claim { found, newest: claim.newest, head, record }).await
        })
    }

    fn write(&self, mut transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        transaction.require.iter_mut().for_each(|id| *id = self.stored_id(id));
        let small = |write: &Write| matches!(write, Write::AddLog(record) if record.bytes.len() <= SYNCHRONOUS_BYTES);
        if transaction.fence.is_none() && transaction.writes.iter().all(small) {
            let mut pieces = Vec::new();
            transaction.writes.iter_mut().for_each(|write| self.take(write, &mut pieces));
            fill(&mut transaction.writes, pieces.iter().map(|piece| self.seal_now(piece)));
            return self.0.store.write(transaction);
        }
        let sealing = self.seal(std::mem::take(&mut transaction.writes));
        let store = self.0.store.clone();
        Box::pin(async move {
            transaction.writes = sealing.await?;
            store.write(transaction).await
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Head>>> {
        Box::pin(async move { self.0.store.head().await?.map(|head| self.undress(head)).transpose() })
    }

    fn manifests(&self) -> LocalFuture<'_, Result<(Vec<Manifest>, Vec<u64>)>> {
        Box::pin(async move {
            let (sealed, mut unreadable) = self.0.store.manifests().await?;
            let (readable, refused) = self.open_manifests(sealed).await;
            unreadable.extend(refused);
            unreadable.sort_unstable();
            Ok((readable, unreadable))
        })
    }

    fn manifest(&self, generation: u64) -> LocalFuture<'_, Result<Option<Manifest>>> {
        Box::pin(async move {
            // One that lies under another's key names another generation.
            let sealed = self.0.store.manifest(generation).await?.filter(|sealed| sealed.generation == generation);
            Ok(self.open_manifests(sealed.into_iter().collect()).await.0.pop())
        })
    }

    fn log(&self, after: (u64, u32), max_bytes: usize) -> LocalFuture<'_, Result<Vec<LogEntry>>> {
        Box::pin(async move {
            let mut entries = self.0.store.log(after, max_bytes).await?;
            let sealed: Vec<Option<LogRecord>> = entries.iter_mut().map(|entry| entry.record.take()).collect();
            let pieces = entries.iter().zip(&sealed).map(|(entry, record)| match record {
                Some(record) => (self.of_log(entry.lsn, entry.part, record.kind), &record.bytes[..]),
                None => (Vec::new(), &[][..]),
            });
            let plain = self.open_all(pieces.collect()).await;
            for (entry, plain) in entries.iter_mut().zip(plain) {
                entry.record = plain.and_then(|plain| records::read_log(&plain));
            }
            Ok(entries)
        })
    }

    fn newest_log(&self) -> LocalFuture<'_, Result<Option<(u64, u32)>>> {
        self.0.store.newest_log()
    }

    fn chunks<'a>(&'a self, ids: &'a [ChunkId]) -> LocalFuture<'a, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            let ids: Vec<ChunkId> = ids.iter().map(|id| self.stored_id(id)).collect();
            let stored = self.0.store.chunks(&ids).await?;
            let pieces = ids.iter().zip(&stored).map(|(id, bytes)| match bytes {
                Some(bytes) => (self.of_chunk(id), &bytes[..]),
                None => (Vec::new(), &[][..]),
            });
            let plain = self.open_all(pieces.collect()).await;
            // What is there and doesn't decrypt is a damaged chunk, not a missing one.
            Ok(stored
                .iter()
                .zip(plain)
                .map(|(stored, plain)| stored.as_ref().map(|_| plain.unwrap_or_default()))
                .collect())
        })
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        Box::pin(async move {
            let (manifests, _) = self.manifests().await?;
            let named = manifests.iter().flat_map(|manifest| manifest.chunks.iter());
            let mut plain = Map::default();
            named.for_each(|chunk| drop(plain.insert(self.stored_id(&chunk.id), chunk.id.clone())));
            let stored = self.0.store.chunk_ids().await?;
            Ok(stored
                .into_iter()
                .map(|id| plain.get(&id).cloned().unwrap_or_else(|| format!("{UNNAMED}{id}")))
                .collect())
        })
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

    fn close(&self) {
        self.0.store.close();
    }

    fn beneath(&self) -> Option<Beneath> {
        Some(Beneath { store: self.0.store.clone(), data_key: self.0.data_key })
    }
}

/// Encrypted databases in other stores, all with one secret.
pub struct SealedStores {
    /// Where they are stored.
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
                    store.close();
                    Err(error)
                }
            }
        })
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        self.stores.estimate()
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        self.stores.persist()
    }
}

//! The [`Store`] over IndexedDB: database `tidelock/<name>`, object stores `meta`, `log`, `snapshots`, `chunks`.
//!
//! rexie makes the schema and reads; what is written goes through [`super::idb_raw`], where durability, explicit commits
//! and the names of errors are.

use std::{cell::RefCell, rc::Rc};

use futures_util::future::{Either, join_all, select};
use gloo_timers::future::TimeoutFuture;
use rexie::{KeyRange, ObjectStore, Rexie, TransactionMode};
use wasm_bindgen::JsValue;

use super::{
    idb_raw::{self, Answer, Begun, Database},
    idb_records as records,
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{
        ChunkId, Claim, Durability, Estimate, Fence, Head, LocalFuture, LogEntry, Manifest, Store, Stores, Transaction,
        Truncation, Write,
    },
    store::failure::{check_fence, corrupt, lock_lost, missing_chunk},
};

const META: &str = "meta";
const LOG: &str = "log";
const SNAPSHOTS: &str = "snapshots";
const CHUNKS: &str = "chunks";
const HEAD: &str = "head";
/// The version of the object stores, not of what is in them: that one is in the head.
const VERSION: u32 = 1;
/// Connecting waits while another tab deletes or upgrades the database; no longer than this.
const CONNECT_TIMEOUT_MS: u32 = 10_000;
/// How many log records are asked for at first, before their size is known: each may have 8 MiB.
const FIRST_RECORDS: u32 = 4;
const MOST_RECORDS: u32 = 512;

/// One database in IndexedDB. Cheap to clone: a handle.
#[derive(Clone)]
pub struct IndexedDb(Rc<Inner>);

struct Inner {
    /// The name in IndexedDB.
    name: String,
    connection: RefCell<Option<Connection>>,
}

#[derive(Clone)]
struct Connection {
    reading: Rc<Reading>,
    writing: Database,
}

/// rexie's connection; dropping it closes it, which rexie doesn't do by itself.
struct Reading(Option<Rexie>);

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(rexie) = self.0.take() {
            rexie.close();
        }
    }
}

impl IndexedDb {
    /// Connects to the object stores of the database `name`, and makes them if there are none.
    ///
    /// Fails with `storage_unavailable` where IndexedDB is missing or refuses, `storage_blocked` when another tab stands in
    /// the way for 10 s, `snapshot_incompatible` when a newer version made the object stores.
    pub async fn open(name: &str) -> Result<Self> {
        idb_raw::available()?;
        let inner = Inner { name: format!("tidelock/{name}"), connection: RefCell::new(None) };
        let reading = in_time(make(&inner.name)).await?;
        let Some(writing) = in_time(Database::connect(&inner.name)).await? else {
            return Err(Error::new(ErrorCode::StorageBlocked, "the database was deleted while it was opened"));
        };
        *inner.connection.borrow_mut() = Some(Connection { reading: Rc::new(reading), writing });
        Ok(Self(Rc::new(inner)))
    }
}

/// rexie deletes object stores that it isn't told of, so this is the one place that tells it.
async fn make(name: &str) -> Result<Reading> {
    let stores = [META, LOG, SNAPSHOTS, CHUNKS];
    let builder = stores.into_iter().fold(Rexie::builder(name).version(VERSION), |builder, store| {
        builder.add_object_store(ObjectStore::new(store))
    });
    builder.build().await.map(|rexie| Reading(Some(rexie))).map_err(|error| {
        let error = read_failure(error);
        if error.cause.as_ref().is_some_and(|cause| cause.contains("VersionError")) {
            return Error::new(
                ErrorCode::SnapshotIncompatible,
                "the database was stored by a newer version of tidelock",
            )
            .hint("load the newest version of the app; nothing was changed");
        }
        error
    })
}

async fn in_time<T>(connecting: impl Future<Output = Result<T>>) -> Result<T> {
    match select(Box::pin(connecting), TimeoutFuture::new(CONNECT_TIMEOUT_MS)).await {
        Either::Left((connected, _)) => connected,
        Either::Right(_) => Err(Error::new(ErrorCode::StorageBlocked, "the browser's storage doesn't answer")
            .hint("another tab may be deleting or upgrading this database: close it")),
    }
}

/// What a failed read is in the contract's words; rexie keeps the reason in its debug form only.
fn read_failure(error: rexie::Error) -> Error {
    Error::new(ErrorCode::StorageUnavailable, "the browser's storage can't be read").cause(format_args!("{error:?}"))
}

/// Whether a browser has lost the bytes of this very record: its neighbours can still be read, in other transactions.
fn is_lost(error: &Error) -> bool {
    error.cause.as_ref().is_some_and(|cause| cause.contains("DataError") || cause.contains("NotReadableError"))
}

fn disconnected() -> Error {
    Error::new(ErrorCode::StorageUnavailable, "the connection to the browser's storage is closed")
}

impl Inner {
    fn connection(&self) -> Result<Connection> {
        self.connection.borrow().clone().ok_or_else(disconnected)
    }

    /// A store of a transaction that reads. It lives while the store's requests do.
    fn read(&self, store: &str) -> Result<rexie::Store> {
        let connection = self.connection()?;
        let rexie = connection.reading.0.as_ref().ok_or_else(disconnected)?;
        let transaction = rexie.transaction(&[store], TransactionMode::ReadOnly);
        transaction.and_then(|transaction| transaction.store(store)).map_err(read_failure)
    }

    /// Reads values one by one, each in a transaction of its own, for when one of them can't be read. Such a one is null.
    async fn read_alone(&self, store: &str, keys: &[JsValue]) -> Result<Vec<Option<JsValue>>> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            let value = self.read(store)?.get(key.clone()).await.map_err(read_failure);
            values.push(match value {
                Err(error) if is_lost(&error) => Some(JsValue::NULL),
                value => value?,
            });
        }
        Ok(values)
    }

    fn begin(&self, transaction: &Transaction) -> Result<Begun> {
        let mut stores: Vec<&str> = Vec::new();
        let mut add = |store| {
            if !stores.contains(&store) {
                stores.push(store);
            }
        };
        if transaction.fence.is_some() {
            add(META);
        }
        if !transaction.require.is_empty() {
            add(CHUNKS);
        }
        transaction.writes.iter().for_each(|write| add(store_of(write)));
        self.connection()?.writing.begin(&stores, true, transaction.durability)
    }

    fn disconnect(&self) {
        if let Some(connection) = self.connection.take() {
            connection.writing.disconnect();
        }
    }
}

fn store_of(write: &Write) -> &'static str {
    match write {
        Write::AddLog(_) | Write::TruncateLog(_) => LOG,
        Write::PutChunk(..) | Write::DeleteChunk(_) => CHUNKS,
        Write::PutManifest(_) | Write::DeleteManifest(_) => SNAPSHOTS,
    }
}

/// The head as it is stored, and what the fence needs of it.
struct StoredHead {
    value: JsValue,
    head: Option<Head>,
}

/// Issues the writes. `head` is the stored head, where the transaction is fenced.
fn issue(begun: &Begun, writes: &[Write], head: Option<&StoredHead>) -> Result<()> {
    let mut changed = false;
    for write in writes {
        match write {
            Write::AddLog(record) => {
                begun.add(LOG, &records::log_key(record.lsn, record.part), &records::log_record(record))?;
            }
            Write::TruncateLog(to) => {
                let stored = fenced_head(head)?;
                truncate(begun, *to, stored.head.as_ref().map_or(&[], |head| &head.epochs))?;
                records::set_truncated(&stored.value, *to);
                changed = true;
            }
            Write::PutChunk(id, bytes) => begun.put(CHUNKS, &id.into(), &records::buffer(bytes))?,
            Write::DeleteChunk(id) => begun.delete(CHUNKS, &id.into())?,
            Write::PutManifest(manifest) => {
                let stored = fenced_head(head)?;
                records::set_generation(&stored.value, manifest.generation);
                changed = true;
                let key = JsValue::from_f64(manifest.generation as f64);
                begun.put(SNAPSHOTS, &key, &records::manifest(manifest))?;
            }
            Write::DeleteManifest(generation) => {
                begun.delete(SNAPSHOTS, &JsValue::from_f64(*generation as f64))?;
            }
        }
    }
    if let (true, Some(stored)) = (changed, head) {
        begun.put(META, &HEAD.into(), &stored.value)?;
    }
    Ok(())
}

fn fenced_head(head: Option<&StoredHead>) -> Result<&StoredHead> {
    head.ok_or_else(|| Error::internal("such a write needs a fence"))
}

/// Deletes the keys between the epoch records.
fn truncate(begun: &Begun, to: Truncation, epochs: &[u64]) -> Result<()> {
    // [lsn] sorts before [lsn, 0].
    let edge = |lsn: u64| js_sys::Array::of1(&JsValue::from_f64(lsn as f64)).into();
    let mut from = 0;
    for epoch in epochs.iter().copied().filter(|epoch| *epoch <= to.lsn).chain([to.lsn + 1]) {
        if from < epoch {
            begun.delete_range(LOG, &edge(from), &edge(epoch))?;
        }
        from = epoch + 1;
    }
    Ok(())
}

/// The rest of a transaction whose first requests are issued: what must be known before its writes, and its end.
async fn finish(
    begun: Begun,
    asked: Option<(Fence, Answer)>,
    required: Vec<(ChunkId, Answer)>,
    writes: Vec<Write>,
) -> Result<()> {
    if let Err(error) = check_and_issue(&begun, asked, required, &writes).await {
        begun.abort();
        let _ = begun.end().await;
        return Err(error);
    }
    begun.commit();
    begun.end().await.map_err(of_write)
}

async fn check_and_issue(
    begun: &Begun,
    asked: Option<(Fence, Answer)>,
    required: Vec<(ChunkId, Answer)>,
    writes: &[Write],
) -> Result<()> {
    let mut stored = None;
    if let Some((fence, answer)) = asked {
        let value = answer.value().await?;
        let head = records::read_head(&value);
        check_fence(head.as_ref(), &fence)?;
        stored = Some(StoredHead { value, head });
    }
    for (id, answer) in required {
        if answer.value().await?.is_undefined() {
            return Err(missing_chunk(&id));
        }
    }
    issue(begun, writes, stored.as_ref())
}

/// A taken key is somebody else's record.
fn of_write(error: Error) -> Error {
    if error.cause.as_ref().is_some_and(|cause| cause.starts_with("ConstraintError")) { lock_lost() } else { error }
}

impl Store for IndexedDb {
    fn claim(&self, claim: Claim) -> LocalFuture<'_, Result<bool>> {
        Box::pin(async move {
            let begun = self.0.connection()?.writing.begin(&[META, LOG], true, Durability::Strict)?;
            let (head, newest) = (begun.get(META, &HEAD.into())?, begun.last_key(LOG)?);
            let (head, newest) = (head.value().await?, newest.value().await?);
            let newest = super::property(&newest, "key").and_then(|key| records::read_log_key(&key));
            let same = match &claim.found {
                Some(found) => records::read_head(&head).as_ref() == Some(found),
                None => head.is_undefined(),
            };
            if !same || newest != claim.newest {
                begun.abort();
                let _ = begun.end().await;
                return Ok(false);
            }
            let record = &claim.record;
            begun.put(META, &HEAD.into(), &records::head(&claim.head))?;
            begun.add(LOG, &records::log_key(record.lsn, record.part), &records::log_record(record))?;
            begun.commit();
            begun.end().await.map_err(of_write).map(|()| true)
        })
    }

    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        let issued = self.0.begin(&transaction).and_then(|begun| {
            let Transaction { fence, require, writes, .. } = transaction;
            if fence.is_none() && require.is_empty() {
                if let Err(error) = issue(&begun, &writes, None) {
                    begun.abort();
                    return Err(error);
                }
                begun.commit();
                return Ok((begun, None));
            }
            let asked = fence.map(|fence| Ok::<_, Error>((fence, begun.get(META, &HEAD.into())?))).transpose()?;
            let required = require.into_iter().map(|id| {
                let answer = begun.get_key(CHUNKS, &(&id).into())?;
                Ok((id, answer))
            });
            let required = required.collect::<Result<Vec<_>>>()?;
            Ok((begun, Some((asked, required, writes))))
        });
        Box::pin(async move {
            match issued? {
                (begun, None) => begun.end().await.map_err(of_write),
                (begun, Some((asked, required, writes))) => finish(begun, asked, required, writes).await,
            }
        })
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Head>>> {
        Box::pin(async move {
            let value = self.0.read(META)?.get(HEAD.into()).await.map_err(read_failure)?;
            let value = value.filter(|value| !value.is_undefined());
            value
                .map(|value| {
                    records::read_head(&value).ok_or_else(|| corrupt("the head record of the database is damaged"))
                })
                .transpose()
        })
    }

    fn manifests(&self) -> LocalFuture<'_, Result<(Vec<Manifest>, Vec<u64>)>> {
        Box::pin(async move {
            let keys = self.0.read(SNAPSHOTS)?.get_all_keys(None, None).await.map_err(read_failure)?;
            let values = self.0.read_alone(SNAPSHOTS, &keys).await?;
            let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
            for (key, value) in keys.iter().zip(values) {
                let generation = key.as_f64().unwrap_or(0.0) as u64;
                let manifest = value.and_then(|value| records::read_manifest(&value));
                match manifest.filter(|manifest| manifest.generation == generation) {
                    Some(manifest) => readable.push(manifest),
                    None => unreadable.push(generation),
                }
            }
            Ok((readable, unreadable))
        })
    }

    fn manifest(&self, generation: u64) -> LocalFuture<'_, Result<Option<Manifest>>> {
        Box::pin(async move {
            let key = JsValue::from_f64(generation as f64);
            let value = self.0.read_alone(SNAPSHOTS, &[key]).await?.pop().flatten();
            Ok(value.and_then(|value| records::read_manifest(&value)))
        })
    }

    fn log(&self, after: (u64, u32), max_bytes: usize) -> LocalFuture<'_, Result<Vec<LogEntry>>> {
        Box::pin(async move {
            let mut after = after;
            let (mut entries, mut bytes, mut count) = (Vec::new(), 0, FIRST_RECORDS);
            while entries.is_empty() || bytes < max_bytes {
                let store = self.0.read(LOG)?;
                let range = KeyRange::lower_bound(&records::log_key(after.0, after.1), Some(true))
                    .map_err(|error| read_failure(error.into()))?;
                let keys = store.get_all_keys(Some(range.clone()), Some(count)).await.map_err(read_failure)?;
                let values = match store.get_all(Some(range), Some(count)).await.map_err(read_failure) {
                    Err(error) if is_lost(&error) => self.0.read_alone(LOG, &keys).await?,
                    values => values?.into_iter().map(Some).collect(),
                };
                let last = (keys.len() as u32) < count;
                for (key, value) in keys.iter().zip(values) {
                    // A key of another shape is no place in the log: unreadable, where it lies.
                    let (lsn, part) = records::read_log_key(key).unwrap_or((after.0, after.1.saturating_add(1)));
                    after = (lsn, part);
                    let record = value.and_then(|value| records::read_log_record(&value));
                    bytes += record.as_ref().map_or(0, |record| record.bytes.len());
                    entries.push(LogEntry { lsn, part, record });
                }
                if last {
                    break;
                }
                let average = (bytes / entries.len()).max(1);
                count = (max_bytes.saturating_sub(bytes) / average).clamp(1, MOST_RECORDS as usize) as u32;
            }
            Ok(entries)
        })
    }

    fn newest_log(&self) -> LocalFuture<'_, Result<Option<(u64, u32)>>> {
        Box::pin(async move {
            let begun = self.0.connection()?.writing.begin(&[LOG], false, Durability::Relaxed)?;
            let cursor = begun.last_key(LOG)?.value().await?;
            Ok(super::property(&cursor, "key").and_then(|key| records::read_log_key(&key)))
        })
    }

    fn chunks<'a>(&'a self, ids: &'a [ChunkId]) -> LocalFuture<'a, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            let store = self.0.read(CHUNKS)?;
            let values: rexie::Result<Vec<_>> =
                join_all(ids.iter().map(|id| store.get(id.into()))).await.into_iter().collect();
            let values = match values.map_err(read_failure) {
                Err(error) if is_lost(&error) => {
                    let keys: Vec<JsValue> = ids.iter().map(JsValue::from).collect();
                    self.0.read_alone(CHUNKS, &keys).await?
                }
                values => values?,
            };
            // Something that is no buffer is a damaged chunk, not a missing one.
            let stored = |value: JsValue| records::bytes(&value).unwrap_or_default();
            Ok(values.into_iter().map(|value| value.filter(|value| !value.is_undefined()).map(stored)).collect())
        })
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        Box::pin(async move {
            let keys = self.0.read(CHUNKS)?.get_all_keys(None, None).await.map_err(read_failure)?;
            Ok(keys.iter().filter_map(JsValue::as_string).collect())
        })
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async move {
            self.0.disconnect();
            // The raw connection first: it makes nothing, and tells whether the database is still there.
            let Some(writing) = in_time(Database::connect(&self.0.name)).await? else { return Err(lock_lost()) };
            let reading = Rc::new(in_time(make(&self.0.name)).await?);
            *self.0.connection.borrow_mut() = Some(Connection { reading, writing });
            Ok(())
        })
    }

    fn close(&self) {
        self.0.disconnect();
    }
}

/// All databases of the origin.
pub struct IndexedDbs;

impl Stores for IndexedDbs {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let name = name.to_owned();
        Box::pin(async move { IndexedDb::open(&name).await.map(|store| Rc::new(store) as Rc<dyn Store>) })
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(super::estimate())
    }
}

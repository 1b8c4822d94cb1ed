//! The [`Store`] over IndexedDB: database `tidelock/<name>`, object stores `meta`, `log`, `snapshots`, `chunks`.
//!
//! Everything goes through [`super::idb_raw`], which offers durability, explicit commits and error names.

use std::{
    cell::{Cell, RefCell},
    future::ready,
    rc::Rc,
};

use futures_channel::oneshot;
use futures_util::future::select;
use gloo_timers::future::TimeoutFuture;
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::{JsFuture, spawn_local};

use super::{
    Host,
    idb_raw::{self, Begun, IdbDatabase, RawAnswer},
    idb_values::{HEAD, HEAD_COPY, bytes, head_bytes, id_of, log_key, read_log_key},
    idb_write::{CHUNKS, LOG, META, SNAPSHOTS, finish, issue, store_of, write_error, written_store},
};
use crate::{
    error::{Error, ErrorCode, Result},
    memory::room_for,
    ports::{ChunkId, Durability, Estimate, Guard, Key, LocalFuture, LogKey, Store, StoredRecord, Stores, Transaction},
    store::failure::{self, lock_lost},
};

/// What the name of each database in IndexedDB begins with.
pub(super) const PREFIX: &str = "tidelock/";
/// The version of the object stores; that of their content is in the head.
const VERSION: u32 = 1;
/// The timeout for connecting, which waits while another tab deletes or upgrades the database.
pub(super) const CONNECT_TIMEOUT_MS: u32 = 10_000;
/// How many log records the first request reads, before their size is known: each may have 512 KiB.
const FIRST_RECORDS: u32 = 4;
const MOST_RECORDS: u32 = 512;
/// The pauses before each attempt to make Chromium start a new log file.
const RENEWAL_PAUSES_MS: [u32; 5] = [0, 100, 200, 400, 800];

/// One database in IndexedDB. Cheap to clone: a handle.
#[derive(Clone)]
pub struct IndexedDb(Rc<IndexedDbInner>);

struct IndexedDbInner {
    /// The name in IndexedDB.
    name: String,
    connection: RefCell<Option<IdbDatabase>>,
    /// The browser's message about an earlier database that it lost.
    lost: RefCell<Option<String>>,
    /// Whether it was made here, and nothing was written to it: see [`Store::is_new`].
    is_new: Cell<bool>,
}

impl IndexedDb {
    /// Connects to the object stores of the database `name`, and creates them if they don't exist.
    ///
    /// Fails with `storage_unavailable` where IndexedDB is missing or refuses, `storage_blocked` when another tab
    /// blocks the connection for 10 s, `snapshot_incompatible` when a newer version created the object stores.
    ///
    /// `absent_elsewhere` is awaited before the database is created, and fails when another storage has it. `None`: that
    /// doesn't matter.
    pub async fn open(name: &str, absent_elsewhere: Option<LocalFuture<'static, Result<()>>>) -> Result<Self> {
        idb_raw::available()?;
        let inner = IndexedDbInner::new(name);
        let mut database = inner.connect().await?;
        if database.is_none() {
            if let Some(absent) = absent_elsewhere {
                absent.await?;
            }
            in_time(make(inner.name.clone())).await?;
            database = inner.connect().await?;
            inner.is_new.set(true);
        }
        let deleted = || {
            Error::new(ErrorCode::StorageBlocked, "The database was deleted while it was being opened")
                .hint("Another tab deleted it: open it again")
        };
        *inner.connection.borrow_mut() = Some(database.ok_or_else(deleted)?);
        let inner = Rc::new(inner);
        spawn_local(renew(inner.clone()));
        Ok(Self(inner))
    }

    /// Connects to a database; returns `None`, and creates nothing, when it doesn't exist.
    pub(super) async fn existing(name: &str) -> Result<Option<Self>> {
        let inner = IndexedDbInner::new(name);
        let database = inner.connect().await?;
        Ok(database.map(|database| {
            inner.connection.replace(Some(database));
            Self(Rc::new(inner))
        }))
    }

    /// Starts a read transaction, which lives as long as its requests.
    pub(super) fn read(&self, store: &str) -> Result<Begun> {
        self.0.read(store)
    }
}

/// A connection, if the database exists, and the browser's message about one that it lost.
type Connected = (Option<IdbDatabase>, Option<String>);

/// Creates the object stores.
fn make(name: String) -> LocalFuture<'static, Result<Connected>> {
    let refused = |error: Error| {
        Error::new(ErrorCode::StorageUnavailable, "The browser's storage could not be created")
            .hint("Private modes and full disks refuse it; storage: 'memory' works everywhere")
            .cause(error.cause.clone().unwrap_or_default())
    };
    Box::pin(async move {
        idb_raw::create(&name, VERSION, [META, LOG, SNAPSHOTS, CHUNKS]).await.map_err(refused)?;
        Ok((None, None))
    })
}

/// Makes Chromium start a new log file ([`idb_raw::renew`]), in the background.
///
/// It starts none while it writes, for an opening or for this itself: on a busy machine one attempt in 8 was in vain, or one
/// in 160 when nothing else was written. So there are several.
async fn renew(inner: Rc<IndexedDbInner>) {
    // Not one of tidelock's own names.
    let scratch = inner.name.replacen(PREFIX, "tidelock.renew/", 1);
    for pause_ms in RENEWAL_PAUSES_MS {
        TimeoutFuture::new(pause_ms).await;
        if inner.connection.borrow().is_none() {
            break; // closed
        }
        drop(idb_raw::renew(&scratch).await);
    }
}

/// Waits for a connection. IndexedDB can't stop an attempt: after a timeout, or when the caller is dropped, the attempt ends in
/// the background, and its connection is closed.
async fn in_time(connecting: LocalFuture<'static, Result<Connected>>) -> Result<Connected> {
    let (sender, ended) = oneshot::channel();
    let connected = Rc::new(RefCell::new(None));
    let result = connected.clone();
    spawn_local(async move {
        *result.borrow_mut() = Some(connecting.await);
        if sender.send(()).is_err()
            && let Some(Ok((Some(database), _))) = result.take()
        {
            database.disconnect();
        }
    });
    select(ended, TimeoutFuture::new(CONNECT_TIMEOUT_MS)).await;
    connected.take().unwrap_or_else(|| {
        Err(Error::new(ErrorCode::StorageBlocked, "The browser's storage doesn't answer")
            .hint("Another tab may be deleting or upgrading this database: close it"))
    })
}

/// Returns whether the browser lost the bytes of only this record: others can still be read, in other transactions.
fn is_lost(error: &Error) -> bool {
    error.cause.as_ref().is_some_and(|cause| cause.starts_with("DataError") || cause.starts_with("NotReadableError"))
}

pub(super) fn disconnected() -> Error {
    Error::new(ErrorCode::StorageUnavailable, "The connection to the browser's storage is closed")
        .hint("Open the database again")
}

impl IndexedDbInner {
    fn new(name: &str) -> Self {
        let (connection, lost, is_new) = Default::default();
        Self { name: format!("{PREFIX}{name}"), connection, lost, is_new }
    }

    /// Connects to the object stores if they exist.
    async fn connect(&self) -> Result<Option<IdbDatabase>> {
        let name = self.name.clone();
        let (database, lost) = in_time(Box::pin(async move { IdbDatabase::connect(&name).await })).await?;
        if lost.is_some() {
            *self.lost.borrow_mut() = lost;
        }
        if let Some(database) = &database
            && database.version() > f64::from(VERSION)
        {
            database.disconnect();
            return Err(Error::new(
                ErrorCode::SnapshotIncompatible,
                "The database was stored by a newer version of tidelock",
            )
            .hint("Load the newest version of the app; nothing was changed"));
        }
        Ok(database)
    }

    fn connection(&self) -> Result<IdbDatabase> {
        self.connection.borrow().clone().ok_or_else(disconnected)
    }

    /// Starts a read transaction. It lives as long as its requests.
    fn read(&self, store: &str) -> Result<Begun> {
        self.connection()?.begin(&[store], false, Durability::Relaxed)
    }

    /// Reads values one by one, each in its own transaction, after a read of all failed. An unreadable value is null.
    async fn read_alone(&self, store: &str, keys: &[JsValue]) -> Result<Vec<JsValue>> {
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            values.push(match self.read(store)?.get(store, key).value().await {
                Err(error) if is_lost(&error) => JsValue::NULL,
                value => value?,
            });
        }
        Ok(values)
    }

    /// Reads values together, or one by one where that fails.
    async fn values(&self, store: &str, keys: &[JsValue]) -> Result<Vec<JsValue>> {
        let begun = self.read(store)?;
        // All are requested before the first result is awaited.
        let answers: Vec<RawAnswer> = keys.iter().map(|key| begun.get(store, key)).collect();
        let mut values = Vec::with_capacity(keys.len());
        for answer in answers {
            match answer.value().await {
                Err(error) if is_lost(&error) => return self.read_alone(store, keys).await,
                value => values.push(value?),
            }
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
        if transaction.guard != Guard::Nothing {
            add(META);
        }
        if !transaction.require.is_empty() {
            add(CHUNKS);
        }
        transaction.writes.iter().for_each(|write| add(written_store(write)));
        self.connection()?.begin(&stores, true, transaction.durability)
    }

    fn disconnect(&self) {
        if let Some(database) = self.connection.take() {
            database.disconnect();
        }
    }
}

/// Issues the requests of a transaction before it returns, where they need no result first; resolves when it has ended.
fn written(begun: Begun, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
    let Transaction { guard, require, writes, .. } = transaction;
    if guard == Guard::Nothing && require.is_empty() {
        if let Err(error) = issue(&begun, &writes) {
            begun.abort();
            return Box::pin(ready(Err(error)));
        }
        begun.commit();
        return Box::pin(async move { begun.end().await.map_err(write_error) });
    }
    let asked = match guard {
        Guard::Nothing => None,
        Guard::Head(head) => Some((head, begun.get(META, &HEAD.into()))),
    };
    // All keys in one request: thousands of single requests block the page.
    let required = (!require.is_empty()).then(|| (require, begun.keys(CHUNKS, &JsValue::UNDEFINED, 0)));
    Box::pin(finish(begun, asked, required, writes))
}

/// A cancelled opening drops the store without closing it. The browser would keep the connection, and with its listeners
/// the memory of this instance.
impl Drop for IndexedDbInner {
    fn drop(&mut self) {
        self.disconnect();
    }
}

impl Store for IndexedDb {
    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        self.0.is_new.set(false);
        match self.0.begin(&transaction) {
            Ok(begun) => written(begun, transaction),
            Err(error) => {
                let this = self.clone();
                Box::pin(async move {
                    // Nothing was begun. The browser closes the connection when it deletes the data, which no later try changes.
                    match this.reopen().await {
                        Err(lost) if lost.is(ErrorCode::LockLost) => Err(lost),
                        _ => Err(error),
                    }
                })
            }
        }
    }

    fn is_new(&self) -> bool {
        self.0.is_new.get()
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move { head_bytes(&self.0.read(META)?.get(META, &HEAD.into()).value().await?) })
    }

    fn head_copy(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        Box::pin(async move { bytes(&self.0.read(META)?.get(META, &HEAD_COPY.into()).value().await?) })
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        Box::pin(async move {
            let Some(first) = keys.first() else { return Ok(Vec::new()) };
            let ids: Vec<JsValue> = keys.iter().map(id_of).collect();
            let values = self.0.values(store_of(first), &ids).await?;
            values.iter().map(bytes).collect()
        })
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        Box::pin(async move {
            let mut after = after;
            let (mut records, mut length, mut count) = (Vec::new(), 0, FIRST_RECORDS);
            while records.is_empty() || length < max_bytes {
                let begun = self.0.read(LOG)?;
                let from = log_key(after);
                let (keys, values) = (begun.keys(LOG, &from, count), begun.values(LOG, &from, count));
                let keys = keys.list().await?;
                let values = match values.list().await {
                    Err(error) if is_lost(&error) => self.0.read_alone(LOG, &keys).await?,
                    values => values?,
                };
                let last = (keys.len() as u32) < count;
                for (key, value) in keys.iter().zip(values) {
                    // A key of another shape is unreadable: it takes the next position.
                    let record = match read_log_key(key) {
                        Some(key) => (key, bytes(&value)?.unwrap_or_default()),
                        None => ((after.0, after.1.saturating_add(1)), Vec::new()),
                    };
                    // What is made of it takes as much again.
                    room_for(record.1.len() as u64)?;
                    after = record.0;
                    length += record.1.len();
                    records.push(record);
                }
                if last {
                    break;
                }
                let average = (length / records.len()).max(1);
                count = (max_bytes.saturating_sub(length) / average).clamp(1, MOST_RECORDS as usize) as u32;
            }
            Ok(records)
        })
    }

    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
        Box::pin(async move {
            let keys = self.0.read(SNAPSHOTS)?.keys(SNAPSHOTS, &JsValue::UNDEFINED, 0).list().await?;
            Ok(keys.iter().map(|key| key.as_f64().unwrap_or(0.0) as u64).collect())
        })
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        Box::pin(async move {
            let keys = self.0.read(CHUNKS)?.keys(CHUNKS, &JsValue::UNDEFINED, 0).list().await?;
            Ok(keys.iter().filter_map(|key| ChunkId::parse(&key.as_string()?)).collect())
        })
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async move {
            let database = self.0.connect().await?.ok_or_else(lock_lost)?;
            // The old connection serves until here: calls that run meanwhile need one.
            let mut connection = self.0.connection.borrow_mut();
            let Some(old) = connection.as_mut() else {
                database.disconnect();
                return Err(disconnected());
            };
            std::mem::replace(old, database).disconnect();
            Ok(())
        })
    }

    fn lost(&self) -> Option<String> {
        self.0.lost.borrow().clone()
    }

    fn settled(&self) -> LocalFuture<'_, ()> {
        Box::pin(async move {
            // A transaction with write access to all stores starts after all earlier ones have ended. It writes
            // nothing.
            let stores = [META, LOG, SNAPSHOTS, CHUNKS];
            let last = self.0.connection().and_then(|database| database.begin(&stores, true, Durability::Relaxed));
            if let Ok(last) = last {
                let _ = last.end().await;
            }
        })
    }

    fn close(&self) -> LocalFuture<'_, Result<()>> {
        self.0.disconnect();
        Box::pin(ready(Ok(())))
    }
}

/// All databases of the origin.
pub struct IndexedDbs {
    /// Knows whether another storage has a database: see [`IndexedDb::open`].
    pub host: Option<Host>,
}

impl Stores for IndexedDbs {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let name = name.to_owned();
        // Asked before the answer is needed: the browser looks while it connects.
        let asked = self.host.as_ref().map(|host| JsFuture::from(host.require_here()));
        let absent = asked.map(|asked| -> LocalFuture<'static, Result<()>> {
            Box::pin(async move { asked.await.map(drop).map_err(|_| failure::elsewhere()) })
        });
        Box::pin(async move { IndexedDb::open(&name, absent).await.map(|store| Rc::new(store) as Rc<dyn Store>) })
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(super::estimate())
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(super::persist())
    }
}

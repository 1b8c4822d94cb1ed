//! IndexedDB as far as the store needs it, with own bindings for the features that rexie lacks: durability, explicit
//! commit, error names, requests issued before the first await, and an `open` that never creates a database.
//! rexie only deletes databases: creating them with it would bring 8 KB of gzip into the core.

use std::{cell::RefCell, rc::Rc};

use futures_channel::oneshot;
use js_sys::{Array, Function, Object, Promise};
use rexie::Rexie;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::{global, object, property, thrown_text};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::Durability,
};

#[wasm_bindgen]
extern "C" {
    type Factory;

    #[wasm_bindgen(method, catch)]
    fn open(this: &Factory, name: &str) -> Result<IdbRequest, JsValue>;

    #[wasm_bindgen(method, catch, js_name = open)]
    fn open_version(this: &Factory, name: &str, version: u32) -> Result<IdbRequest, JsValue>;

    #[wasm_bindgen(method, catch, js_name = deleteDatabase)]
    fn delete_database(this: &Factory, name: &str) -> Result<IdbRequest, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn databases(this: &Factory) -> Result<Promise, JsValue>;

    /// An `IDBDatabase`.
    #[derive(Clone)]
    pub type IdbDatabase;

    #[wasm_bindgen(method, catch)]
    fn transaction(this: &IdbDatabase, stores: &Array, mode: &str, options: &Object)
    -> Result<IdbTransaction, JsValue>;

    /// Returns the version of the object stores.
    #[wasm_bindgen(method, getter)]
    pub fn version(this: &IdbDatabase) -> f64;

    #[wasm_bindgen(method)]
    fn close(this: &IdbDatabase);

    #[wasm_bindgen(method, catch, js_name = createObjectStore)]
    fn create_object_store(this: &IdbDatabase, name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, setter)]
    fn set_onversionchange(this: &IdbDatabase, handler: &Function);

    /// An `IDBTransaction`.
    #[derive(Clone)]
    pub type IdbTransaction;

    #[wasm_bindgen(method, catch, js_name = objectStore)]
    fn object_store(this: &IdbTransaction, name: &str) -> Result<ObjectStore, JsValue>;

    #[wasm_bindgen(method, catch, js_name = commit)]
    fn commit_now(this: &IdbTransaction) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = abort)]
    fn abort_now(this: &IdbTransaction) -> Result<(), JsValue>;

    #[wasm_bindgen(method, getter)]
    fn error(this: &IdbTransaction) -> JsValue;

    #[wasm_bindgen(method, setter)]
    fn set_oncomplete(this: &IdbTransaction, handler: &Function);

    #[wasm_bindgen(method, setter)]
    fn set_onabort(this: &IdbTransaction, handler: &Function);

    type ObjectStore;

    #[wasm_bindgen(method, catch)]
    fn get(this: &ObjectStore, key: &JsValue) -> Result<IdbRequest, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getAll)]
    fn get_all(this: &ObjectStore, range: &JsValue, count: u32) -> Result<IdbRequest, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getAllKeys)]
    fn get_all_keys(this: &ObjectStore, range: &JsValue, count: u32) -> Result<IdbRequest, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn add(this: &ObjectStore, value: &JsValue, key: &JsValue) -> Result<IdbRequest, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn put(this: &ObjectStore, value: &JsValue, key: &JsValue) -> Result<IdbRequest, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn delete(this: &ObjectStore, key: &JsValue) -> Result<IdbRequest, JsValue>;

    #[derive(Clone)]
    type IdbRequest;

    #[wasm_bindgen(method, getter, catch)]
    fn result(this: &IdbRequest) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, getter, js_name = error, catch)]
    fn failure(this: &IdbRequest) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, getter, js_name = transaction)]
    fn upgrade(this: &IdbRequest) -> Option<IdbTransaction>;

    #[wasm_bindgen(method, setter)]
    fn set_onsuccess(this: &IdbRequest, handler: &Function);

    #[wasm_bindgen(method, setter)]
    fn set_onerror(this: &IdbRequest, handler: &Function);

    #[wasm_bindgen(method, setter)]
    fn set_onupgradeneeded(this: &IdbRequest, handler: &Function);

    #[wasm_bindgen(js_namespace = IDBKeyRange, js_name = lowerBound, catch)]
    fn lower_bound(lower: &JsValue, open: bool) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = IDBKeyRange, js_name = bound, catch)]
    fn bound(lower: &JsValue, upper: &JsValue, lower_open: bool, upper_open: bool) -> Result<JsValue, JsValue>;
}

/// Converts the error of a failed call, request or transaction to the contract's.
pub fn failure(thrown: &JsValue) -> Error {
    let name = property(thrown, "name").and_then(|name| name.as_string()).unwrap_or_default();
    if name == "QuotaExceededError" {
        return Error::new(ErrorCode::StorageQuotaExceeded, "The browser refused to store more data for this site")
            .hint("Delete data that is no longer needed, or ask the user for persistent storage")
            .cause(thrown_text(thrown));
    }
    Error::new(ErrorCode::StorageUnavailable, "The browser's storage failed")
        .hint("Try again; if the error stays, reload the page, or restart the browser")
        .cause(thrown_text(thrown))
}

/// Fails with `storage_unavailable` where IndexedDB is missing.
pub fn available() -> Result<()> {
    factory().map(drop)
}

fn factory() -> Result<Factory> {
    // In sandboxed frames reading the property already throws.
    global("indexedDB").map(JsCast::unchecked_into).ok_or_else(|| {
        Error::new(ErrorCode::StorageUnavailable, "This page has no IndexedDB")
            .hint("Private modes and sandboxed frames may lack it; storage: 'memory' works everywhere")
    })
}

/// Creates an empty database of that name and deletes it: costs some milliseconds and makes Chromium start a new log
/// file.
///
/// Otherwise a browser that was killed in the middle of a write to its log appends behind the torn record at its next
/// start, can't read that file at the start after, and then deletes all databases of the site.
pub async fn renew(name: &str) -> Result<()> {
    let factory = factory()?;
    let made: IdbDatabase = RawAnswer::to(factory.open(name)).value().await?.unchecked_into();
    made.disconnect();
    RawAnswer::to(factory.delete_database(name)).value().await.map(drop)
}

/// Creates a database with these object stores, unless it exists.
pub async fn create(name: &str, version: u32, stores: [&'static str; 4]) -> Result<()> {
    let request = factory()?.open_version(name, version).map_err(|error| failure(&error))?;
    let open = request.clone();
    let make = Closure::once(move || -> Result<(), JsValue> {
        let database: IdbDatabase = open.result()?.unchecked_into();
        stores.iter().try_for_each(|store| database.create_object_store(store).map(drop))
    });
    request.set_onupgradeneeded(make.as_ref().unchecked_ref());
    let made: IdbDatabase = RawAnswer::to(Ok(request)).value().await?.unchecked_into();
    made.disconnect();
    Ok(())
}

/// Deletes a database; a missing one is no error. Waits until all its connections are closed.
pub async fn delete(name: &str) -> Result<()> {
    available()?;
    Rexie::delete(name).await.map_err(|error| match error {
        rexie::Error::IdbError(idb::Error::DomException(refusal)) => failure(&refusal),
        rexie::Error::IdbError(idb::Error::IndexedDbNotFound(refusal) | idb::Error::IndexedDbDeleteFailed(refusal)) => {
            failure(&refusal)
        }
        _ => failure(&JsValue::UNDEFINED),
    })
}

/// Returns the names of all databases of this origin. Fails with `unsupported_environment` where that is unknown.
pub async fn names() -> Result<Vec<String>> {
    let missing = |thrown: JsValue| {
        Error::unsupported("indexedDB.databases()")
            .hint("Keep a list of the names, or use a newer browser")
            .cause(thrown_text(&thrown))
    };
    let listing = factory()?.databases().map_err(missing)?;
    let all: Array = JsFuture::from(listing).await.map_err(missing)?.unchecked_into();
    Ok(all.iter().filter_map(|database| property(&database, "name")?.as_string()).collect())
}

/// The pending result of a request. A request that throws at once counts as failed.
pub struct RawAnswer(Result<(IdbRequest, oneshot::Receiver<()>)>);

impl RawAnswer {
    /// Listens for the result; to be called in the same event loop task as the request.
    fn to(request: Result<IdbRequest, JsValue>) -> Self {
        let request = match request {
            Ok(request) => request,
            Err(error) => return Self(Err(failure(&error))),
        };
        let (sender, receiver) = oneshot::channel();
        // Exactly one of the two events fires, and frees the closure.
        let settled = Closure::once_into_js(move || {
            let _ = sender.send(());
        });
        request.set_onsuccess(settled.unchecked_ref());
        request.set_onerror(settled.unchecked_ref());
        Self(Ok((request, receiver)))
    }

    /// Waits for the result. The transaction stays alive until the caller awaits something else.
    pub async fn value(self) -> Result<JsValue> {
        let (request, settled) = self.0?;
        let _ = settled.await;
        match request.failure() {
            Ok(error) if error.is_null() || error.is_undefined() => request.result().map_err(|e| failure(&e)),
            Ok(error) | Err(error) => Err(failure(&error)),
        }
    }

    /// Waits for a result that is a list.
    pub async fn list(self) -> Result<Vec<JsValue>> {
        self.value().await.map(|list| list.unchecked_into::<Array>().to_vec())
    }
}

impl IdbDatabase {
    /// Connects to an existing database; returns `None`, and creates nothing, when it doesn't exist. When the browser
    /// deleted the database because its storage was damaged, also returns the browser's message (Chromium only).
    pub async fn connect(name: &str) -> Result<(Option<IdbDatabase>, Option<String>)> {
        let request = factory()?.open(name).map_err(|error| failure(&error))?;
        let open = request.clone();
        let lost = Rc::new(RefCell::new(None));
        let reported = lost.clone();
        let refuse = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| {
            if property(&event, "dataLoss").is_some_and(|loss| loss == "total") {
                *reported.borrow_mut() = property(&event, "dataLossMessage").and_then(|message| message.as_string());
            }
            if let Some(upgrade) = open.upgrade() {
                let _ = upgrade.abort_now();
            }
        });
        request.set_onupgradeneeded(refuse.as_ref().unchecked_ref());
        match RawAnswer::to(Ok(request)).value().await {
            Ok(database) => {
                let database: IdbDatabase = database.unchecked_into();
                // Another tab deletes or upgrades the database: close, so that this tab doesn't block it; the next
                // write fails.
                let closing = database.clone();
                let close = Closure::once_into_js(move || closing.close());
                database.set_onversionchange(close.unchecked_ref());
                Ok((Some(database), None))
            }
            Err(error) if error.cause.as_ref().is_some_and(|cause| cause.starts_with("AbortError")) => {
                Ok((None, lost.take()))
            }
            Err(error) => Err(error),
        }
    }

    /// Closes the connection once its transactions are done.
    pub fn disconnect(&self) {
        self.close();
    }

    /// Starts a transaction.
    pub fn begin(&self, stores: &[&str], write: bool, durability: Durability) -> Result<Begun> {
        let names: Array = stores.iter().map(|name| JsValue::from_str(name)).collect();
        let durability = match durability {
            Durability::Relaxed => "relaxed",
            Durability::Strict => "strict",
        };
        let options = object(&[("durability", durability.into())]);
        let mode = if write { "readwrite" } else { "readonly" };
        let transaction = self.transaction(&names, mode, &options).map_err(|error| failure(&error))?;
        let (sender, ended) = oneshot::channel();
        let end = Closure::once_into_js(move |event: JsValue| {
            let complete = property(&event, "type").is_some_and(|kind| kind == "complete");
            let _ = sender.send(complete);
        });
        // Exactly one of the two events fires, and frees the closure.
        transaction.set_oncomplete(end.unchecked_ref());
        transaction.set_onabort(end.unchecked_ref());
        Ok(Begun { transaction, ended })
    }
}

fn behind(key: &JsValue) -> Result<JsValue, JsValue> {
    if key.is_undefined() { Ok(JsValue::UNDEFINED) } else { lower_bound(key, true) }
}

/// Discards the request's result: the end of the transaction reports its failure.
fn done(request: Result<IdbRequest, JsValue>) -> Result<()> {
    request.map(drop).map_err(|error| failure(&error))
}

/// A transaction under way.
pub struct Begun {
    transaction: IdbTransaction,
    ended: oneshot::Receiver<bool>,
}

impl Begun {
    fn store(&self, name: &str) -> Result<ObjectStore, JsValue> {
        self.transaction.object_store(name)
    }

    /// Requests a value.
    pub fn get(&self, store: &str, key: &JsValue) -> RawAnswer {
        RawAnswer::to(self.store(store).and_then(|store| store.get(key)))
    }

    /// Requests the values with keys after `after` (all when it is undefined), at most `count` of them unless `count`
    /// is 0.
    pub fn values(&self, store: &str, after: &JsValue, count: u32) -> RawAnswer {
        RawAnswer::to(self.store(store).and_then(|store| store.get_all(&behind(after)?, count)))
    }

    /// Requests the keys of those values.
    pub fn keys(&self, store: &str, after: &JsValue, count: u32) -> RawAnswer {
        RawAnswer::to(self.store(store).and_then(|store| store.get_all_keys(&behind(after)?, count)))
    }

    /// Adds a value; an existing key aborts the transaction.
    pub fn add(&self, store: &str, key: &JsValue, value: &JsValue) -> Result<()> {
        done(self.store(store).and_then(|store| store.add(value, key)))
    }

    /// Stores a value.
    pub fn put(&self, store: &str, key: &JsValue, value: &JsValue) -> Result<()> {
        done(self.store(store).and_then(|store| store.put(value, key)))
    }

    /// Deletes a key.
    pub fn delete(&self, store: &str, key: &JsValue) -> Result<()> {
        done(self.store(store).and_then(|store| store.delete(key)))
    }

    /// Deletes the keys from `lower` (inclusive) to `upper` (exclusive).
    pub fn delete_range(&self, store: &str, lower: &JsValue, upper: &JsValue) -> Result<()> {
        let range = bound(lower, upper, false, true).map_err(|error| failure(&error))?;
        self.delete(store, &range)
    }

    /// Commits without waiting for the requests' results, so that a flush survives the end of its page.
    pub fn commit(&self) {
        // It throws when the transaction is already over; the transaction's event reports the outcome.
        let _ = self.transaction.commit_now();
    }

    /// Aborts the transaction; none of its writes are stored.
    pub fn abort(&self) {
        let _ = self.transaction.abort_now();
    }

    /// Waits for the end. Fails with the error's name as `cause` unless the transaction completed.
    pub async fn end(self) -> Result<()> {
        match self.ended.await {
            Ok(true) => Ok(()),
            _ => Err(failure(&self.transaction.error())),
        }
    }
}

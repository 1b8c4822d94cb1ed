//! The databases that IndexedDB has: listed, examined and deleted without creating one.

use std::rc::Rc;

use futures_util::future::{Either, select};
use gloo_timers::future::TimeoutFuture;
use js_sys::Array;
use wasm_bindgen::JsValue;

use super::{
    idb_raw,
    idb_values::HEAD,
    idb_write::{LOG, META},
    indexeddb::{CONNECT_TIMEOUT_MS, IndexedDb, PREFIX, disconnected},
    property,
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Estimate, LocalFuture, Store, Stores},
    store::failure::ELSEWHERE,
};

/// The databases of the origin that are there: opening one never creates it.
pub struct StoredIndexedDbs;

impl Stores for StoredIndexedDbs {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let store = IndexedDb::existing(&name).await?.ok_or_else(disconnected)?;
            Ok(Rc::new(store) as Rc<dyn Store>)
        })
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(super::estimate())
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(super::persist())
    }
}

/// What IndexedDB has of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundInIndexedDb {
    /// Nothing, or object stores without data.
    Nothing,
    /// Data without a head: a damaged database, or a part of a copy.
    Headless,
    /// What a move to another storage has left.
    Elsewhere,
    /// A database, or what can't be read.
    Database,
}

/// Returns what IndexedDB has of a database. A missing one isn't created.
pub async fn found_in_indexeddb(name: &str) -> FoundInIndexedDb {
    if idb_raw::available().is_err() {
        return FoundInIndexedDb::Nothing;
    }
    match IndexedDb::existing(name).await {
        Ok(None) => FoundInIndexedDb::Nothing,
        Ok(Some(store)) => {
            let found = found_in(&store).await;
            let _ = store.close().await;
            found.unwrap_or(FoundInIndexedDb::Database)
        }
        Err(_) => FoundInIndexedDb::Database,
    }
}

async fn found_in(store: &IndexedDb) -> Result<FoundInIndexedDb> {
    let head = store.read(META)?.get(META, &HEAD.into()).value().await?;
    if head.is_undefined() {
        let records = store.read(LOG)?.keys(LOG, &JsValue::UNDEFINED, 1).list().await?;
        return Ok(if records.is_empty() { FoundInIndexedDb::Nothing } else { FoundInIndexedDb::Headless });
    }
    let features = property(&head, "features").map(|features| Array::from(&features));
    let is_elsewhere = features.is_some_and(|features| features.includes(&ELSEWHERE.into(), 0));
    Ok(if is_elsewhere { FoundInIndexedDb::Elsewhere } else { FoundInIndexedDb::Database })
}

/// Returns the names of the databases of this origin, sorted. Fails with `storage_unavailable` and
/// `unsupported_environment`.
pub async fn indexeddb_names() -> Result<Vec<String>> {
    let all = idb_raw::names().await?;
    let mut names: Vec<String> = all.iter().filter_map(|name| name.strip_prefix(PREFIX)).map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

/// Deletes a database; a missing one is no error. Fails with `storage_blocked` when a connection stays open for 10 s; the
/// database is then deleted when that one is closed.
pub async fn delete_indexeddb(name: &str) -> Result<()> {
    let name = format!("{PREFIX}{name}");
    let deleting = Box::pin(idb_raw::delete(&name));
    match select(deleting, TimeoutFuture::new(CONNECT_TIMEOUT_MS)).await {
        Either::Left((deleted, _)) => deleted,
        Either::Right(_) => Err(Error::new(ErrorCode::StorageBlocked, "A connection to the database is still open")
            .hint("Close the other tabs of this page; then the database is deleted")),
    }
}

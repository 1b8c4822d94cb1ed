//! Programs in a browser: a database is in IndexedDB, or in a worker in OPFS, and the engine runs on the thread of the program:
//! that of the page, or of a worker.

use std::{cell::RefCell, path::Path, rc::Rc};

use futures_channel::oneshot;

pub use super::page_worker::{Poster, Worker, alone};
use crate::{
    browser::{self, BrowserClock, BrowserEntropy, PrivateStores, StoredIndexedDbs, WebCrypto},
    engine::{self, HolderOptions, StorageKind, StoredDatabase},
    error::{Error, ErrorCode, Result},
    ports::{Clock, Crypto, Entropy, Platform, Ports, Stores},
};

/// What to pass for a database that is stored.
pub const HINT_TO_STORE: &str = "Pass storage: Storage::Indexeddb, or none";

thread_local! {
    /// The databases of this page that were dropped and are being closed.
    static CLOSING: RefCell<Vec<ClosingEntry>> = const { RefCell::new(Vec::new()) };
}

struct ClosingEntry {
    id: u64,
    name: String,
    /// Dropped when the database is closed.
    waiting: Vec<oneshot::Sender<()>>,
}

/// The closing of a dropped database, until this is dropped.
pub struct Closing(u64);

/// Has [`until_closed`] wait for a database that was dropped.
pub fn begin_closing(name: &str) -> Closing {
    CLOSING.with_borrow_mut(|closing| {
        let id = closing.last().map_or(0, |last| last.id + 1);
        closing.push(ClosingEntry { id, name: name.to_owned(), waiting: Vec::new() });
        Closing(id)
    })
}

impl Drop for Closing {
    fn drop(&mut self) {
        CLOSING.with_borrow_mut(|closing| closing.retain(|entry| entry.id != self.0));
    }
}

/// Waits until the databases of that name that this page has dropped are closed.
pub async fn until_closed(name: &str) {
    let next = || {
        CLOSING.with_borrow_mut(|closing| {
            let entry = closing.iter_mut().find(|entry| entry.name == name)?;
            let (sender, closed) = oneshot::channel();
            entry.waiting.push(sender);
            Some(closed)
        })
    };
    while let Some(closed) = next() {
        let _ = closed.await;
    }
}

/// Where a stored database is.
#[derive(Clone)]
pub struct Place {
    name: String,
    /// Whether it is in the browser's private file system; otherwise it is in IndexedDB.
    is_private: bool,
}

/// Checks the options about the place of a database. Returns that place; `None` in memory.
///
/// Fails with `invalid_argument`, `unsupported_environment` and `storage_unavailable`.
pub fn place(name: &str, storage: Option<StorageKind>, path: Option<&Path>) -> Result<(StorageKind, Option<Place>)> {
    let storage = storage.unwrap_or(StorageKind::Indexeddb);
    match storage {
        StorageKind::File => {
            Err(Error::new(ErrorCode::UnsupportedEnvironment, "A browser has no folders for Storage::File")
                .hint(
                    "Pass Storage::Indexeddb, which is the default, or Storage::Memory; in a worker also Storage::Opfs",
                )
                .detail("option", "storage"))
        }
        _ if path.is_some() => Err(Error::invalid("path needs Storage::File").detail("option", "path")),
        StorageKind::Memory => Ok((storage, None)),
        StorageKind::Indexeddb => Ok((storage, Some(Place { name: name.to_owned(), is_private: false }))),
        StorageKind::Opfs => {
            browser::private_files_work()?;
            Ok((storage, Some(Place { name: name.to_owned(), is_private: true })))
        }
    }
}

/// Returns the ports of a database.
pub fn ports(platform: Platform, place: Option<&Place>) -> Ports {
    match place {
        Some(Place { is_private: true, .. }) => browser::private_ports(platform),
        _ => browser::page_ports(platform),
    }
}

/// Returns what gives a database an HTTP client: nothing, since a page has one. Fails with `unsupported_environment` when
/// certificates are given.
#[cfg(feature = "sync")]
pub fn client(certificates: Option<&[u8]>) -> Result<impl FnOnce(Ports) -> Ports + Send + use<>> {
    match certificates {
        None => Ok(|ports| ports),
        Some(_) => {
            Err(Error::new(ErrorCode::UnsupportedEnvironment, "The browser alone chooses which certificates it trusts")
                .hint("Leave root_certificates out in a page")
                .detail("option", "remote.root_certificates"))
        }
    }
}

/// Returns what encrypts a database.
pub fn crypto() -> (Rc<dyn Crypto>, Rc<dyn Entropy>) {
    (Rc::new(WebCrypto), Rc::new(BrowserEntropy))
}

/// Returns title and address of this page.
pub fn holder() -> HolderOptions {
    let (title, url) = browser::page_names();
    HolderOptions { title, url }
}

/// Shows a warning that the program doesn't handle.
pub fn show_warning(message: &str) {
    browser::show_warning(&format!("tidelock: {message}"));
}

/// Returns message and hint of `database_in_use`; `holder` returns what is known of the holder.
pub fn in_use_by(holder: &dyn Fn(&str) -> String) -> (String, &'static str) {
    let (title, url, since) = (holder("title"), holder("url"), holder("since"));
    let tab = if title.is_empty() { url } else { title };
    let hint = "Close the other tab, or wait for it with lock: OnBusy::Wait. In this page use the Database of the first open()";
    (format!("Database already in use by tab \"{tab}\" since {}", browser::local_time(&since)), hint)
}

/// Returns whether there may be anything to delete.
pub fn exists(_place: &Place) -> bool {
    true
}

/// How long a deletion waits for the files that a worker which ended has open.
const REMOVAL_TIMEOUT_MS: u32 = 10_000;

/// Deletes a stored database.
pub async fn delete(options: engine::OpenOptions, platform: Platform, place: &Place) -> Result<()> {
    let deletion = async {
        if !place.is_private {
            return browser::delete_indexeddb(&place.name).await;
        }
        for waited in (0..=REMOVAL_TIMEOUT_MS).step_by(100) {
            if waited > 0 {
                BrowserClock.sleep(100).await;
            }
            if browser::remove_private(&place.name).await? {
                return Ok(());
            }
        }
        Err(Error::new(ErrorCode::StorageBlocked, "Another page or worker still has the database's files open")
            .hint("Close the other tabs of this page, and try again"))
    };
    engine::while_closed(options, ports(platform, Some(place)), Box::pin(deletion)).await
}

/// A database of this origin: see [`databases`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseInfo {
    /// Its name.
    pub name: String,
    /// [`Storage::Indexeddb`](crate::Storage::Indexeddb) or [`Storage::Opfs`](crate::Storage::Opfs).
    pub storage: StorageKind,
    /// What is known of it without opening it.
    pub stored: StoredDatabase,
}

/// Returns the databases of this origin, sorted by name. Opens none of them, and writes nothing.
///
/// Fails with `storage_unavailable`, and with `unsupported_environment` where the browser can't list databases.
pub async fn databases() -> Result<Vec<DatabaseInfo>> {
    alone(async move |platform: Platform| {
        let mut infos = Vec::new();
        let named = |storage| move |name| (name, storage);
        let records = browser::indexeddb_names().await?.into_iter().map(named(StorageKind::Indexeddb));
        let files = browser::private_names().await.into_iter().map(named(StorageKind::Opfs));
        for (name, storage) in records.chain(files) {
            let stores: Rc<dyn Stores> = match storage {
                StorageKind::Opfs => Rc::new(PrivateStores),
                _ => Rc::new(StoredIndexedDbs),
            };
            let ports = Ports { stores, ..browser::page_ports(platform.clone()) };
            let stored = engine::stored(&name, &ports).await;
            infos.push(DatabaseInfo { name, storage, stored });
        }
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(infos)
    })
    .await
}

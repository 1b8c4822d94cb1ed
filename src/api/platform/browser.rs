//! Programs in a browser: a database is in IndexedDB, or in a worker in OPFS, and the engine runs on the thread of the program:
//! that of the page, or of a worker.

use std::{cell::RefCell, path::Path, rc::Rc};

use futures_channel::oneshot;

pub use super::page_worker::{Poster, Worker, alone};
use crate::{
    browser::{self, BrowserEntropy, StoredIndexedDbs, StoredPrivate, WebCrypto},
    engine::{self, HolderOptions, StorageKind, StoredDatabase},
    error::{Error, ErrorCode, Result},
    ports::{Crypto, Entropy, LocalFuture, Platform, Ports, Stores},
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

/// Where a stored database is, by its name.
#[derive(Clone)]
pub enum Place {
    Indexeddb(String),
    /// The browser's private file system.
    #[cfg(feature = "opfs")]
    Opfs(String),
}

/// Checks the options about the place of a database. Returns that place; `None` in memory.
///
/// Fails with `invalid_argument`, `unsupported_environment` and `storage_unavailable`.
pub fn place(name: &str, storage: Option<StorageKind>, path: Option<&Path>) -> Result<(StorageKind, Option<Place>)> {
    let storage = storage.unwrap_or(StorageKind::Indexeddb);
    let unsupported = |message: &str, hint: &str| {
        Err(Error::new(ErrorCode::UnsupportedEnvironment, message).hint(hint).detail("option", "storage"))
    };
    match storage {
        StorageKind::File => unsupported(
            "A browser has no folders for Storage::File",
            "Pass Storage::Indexeddb, which is the default, or Storage::Memory; in a worker also Storage::Opfs",
        ),
        _ if path.is_some() => Err(Error::invalid("path needs Storage::File").detail("option", "path")),
        StorageKind::Memory => Ok((storage, None)),
        StorageKind::Indexeddb => Ok((storage, Some(Place::Indexeddb(name.to_owned())))),
        #[cfg(feature = "opfs")]
        StorageKind::Opfs => {
            browser::private_files_work()?;
            Ok((storage, Some(Place::Opfs(name.to_owned()))))
        }
        #[cfg(not(feature = "opfs"))]
        StorageKind::Opfs => unsupported(
            "Storage::Opfs needs the feature opfs of tidelock",
            "Add the feature in Cargo.toml, or leave storage out, for IndexedDB",
        ),
    }
}

/// Returns the ports of a database.
pub fn ports(platform: Platform, place: Option<&Place>) -> Ports {
    match place {
        #[cfg(feature = "opfs")]
        Some(Place::Opfs(_)) => browser::private_ports(platform),
        Some(Place::Indexeddb(_)) | None => browser::page_ports(platform),
    }
}

/// Returns what gives a database an HTTP client and sockets: nothing, since a page has them. Fails with `unsupported_environment` when
/// certificates are given.
#[cfg(feature = "sync")]
pub fn client(certificates: Option<&[u8]>, _realtime: bool) -> Result<impl FnOnce(Ports) -> Ports + Send + use<>> {
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

/// Deletes a stored database.
pub async fn delete(options: engine::OpenOptions, platform: Platform, place: &Place) -> Result<()> {
    let deletion: LocalFuture<'_, Result<()>> = match place {
        Place::Indexeddb(name) => Box::pin(browser::delete_indexeddb(name)),
        #[cfg(feature = "opfs")]
        Place::Opfs(name) => Box::pin(browser::delete_private(name)),
    };
    engine::while_closed(options, ports(platform, Some(place)), deletion).await
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
                StorageKind::Opfs => Rc::new(StoredPrivate),
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

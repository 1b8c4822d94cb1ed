//! The browser's private file system (OPFS) for Rust programs in a dedicated worker, in the form of the npm package
//! (`pkg-js/src/worker/private-files.ts`): what one has stored, the other opens.

use std::{
    cell::{Cell, RefCell},
    mem,
    rc::Rc,
};

use futures_channel::oneshot;
use futures_util::future::{FutureExt, Shared, WeakShared};
use gloo_timers::future::TimeoutFuture;
use js_sys::{JSON, Object};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::{JsFuture, future_to_promise, spawn_local};

use super::{
    estimate,
    files::{failure, no_space},
    idb_stored::{FoundInIndexedDb, found_in_indexeddb},
    idb_values::described,
    object, persist,
    private_folders::{
        ABOUT, PrivateDirectory, StoredPrivate, folder_name, is_missing, is_moving, private_folder, unless_missing,
    },
    thrown_name,
};
use crate::{
    collections::{Map, Set},
    error::{Error, ErrorCode, Result},
    memory::resized,
    ports::{Estimate, Files, HeadInfo, LocalFuture, Store, Stores},
    store::{
        failure::elsewhere,
        folder::{FolderStore, opens_later},
    },
};

#[wasm_bindgen]
extern "C" {
    /// A `FileSystemSyncAccessHandle`.
    type AccessHandle;

    #[wasm_bindgen(method, catch, js_name = getSize)]
    fn size(this: &AccessHandle) -> Result<f64, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn read(this: &AccessHandle, into: &mut [u8], options: &Object) -> Result<f64, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn write(this: &AccessHandle, bytes: &[u8], options: &Object) -> Result<f64, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn truncate(this: &AccessHandle, bytes: f64) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn flush(this: &AccessHandle) -> Result<(), JsValue>;

    #[wasm_bindgen(method)]
    fn close(this: &AccessHandle);
}

/// How long to wait for a file that another worker has open: the browser may hold those of a worker that ended.
const BLOCKED_MS: u32 = 10_000;
/// How long after a write the files are looked for by name: at most one look in this time, and none without writes.
const LOOK_AFTER_MS: u32 = 2_000;

/// The files of one database. A handle, cheap to clone: dropping the last one closes the files.
#[derive(Clone)]
pub struct PrivateFiles(Rc<PrivateFilesInner>);

struct PrivateFilesInner {
    database: String,
    open: RefCell<Map<String, OpenFile>>,
    /// The files that exist, and are opened when they are prepared.
    later: RefCell<Set<String>>,
    /// The files that were open, which a new connection opens again.
    reopened: RefCell<Set<String>>,
    /// `None` until the folder was found, or made.
    folder: RefCell<Option<PrivateDirectory>>,
    connected: Cell<bool>,
    /// The opening of all files that is under way, until the last call that waits for it is dropped.
    connecting: RefCell<Option<WeakShared<Connecting>>>,
    /// Whether the browser has removed the open files, as it does when the user clears the data of the site.
    lost: Cell<bool>,
    /// Whether a look is due.
    looking: Cell<bool>,
    /// The removals under way.
    removals: RefCell<Vec<JsFuture>>,
}

type Connecting = LocalFuture<'static, Result<()>>;

/// An open file, which no other worker can open. Closed on drop.
struct OpenFile(AccessHandle);

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.0.close();
    }
}

fn closed() -> Error {
    Error::new(ErrorCode::StorageUnavailable, "The database's files are closed").hint("Open the database again")
}

fn at(position: u64) -> Object {
    object(&[("at", JsValue::from_f64(position as f64))])
}

impl PrivateFiles {
    /// Names the files of a database, and opens none of them yet.
    pub fn new(database: &str) -> Self {
        Self(Rc::new(PrivateFilesInner {
            database: database.to_owned(),
            open: RefCell::default(),
            later: RefCell::default(),
            reopened: RefCell::default(),
            folder: RefCell::default(),
            connected: Cell::new(false),
            connecting: RefCell::default(),
            lost: Cell::new(false),
            looking: Cell::new(false),
            removals: RefCell::default(),
        }))
    }
}

impl PrivateFilesInner {
    /// Uses a file, if it exists. Like a folder on a disk that was removed, lost files are missing: then the engine has lost its lock.
    fn find<T>(&self, name: &str, work: impl FnOnce(&AccessHandle) -> Result<T, JsValue>) -> Result<Option<T>> {
        if self.lost.get() {
            return Ok(None);
        }
        match self.open.borrow().get(name) {
            Some(file) => work(&file.0).map(Some).map_err(failure),
            None if self.later.borrow().contains(name) => Err(Error::internal("A file is used before it is prepared")),
            None => Ok(None),
        }
    }

    /// Uses a file that was prepared.
    fn prepared<T>(&self, name: &str, work: impl FnOnce(&AccessHandle) -> Result<T, JsValue>) -> Result<T> {
        self.find(name, work)?.ok_or_else(closed)
    }

    fn close(&self) {
        let files = self.open.take();
        self.later.take();
        if self.lost.get() {
            // Chromium never ends closing a removed file. The end of the worker closes it.
            mem::forget(files);
        }
        self.connected.set(false);
    }

    /// Returns whether the open files still have their names. Their handles don't show it: writing to a removed file succeeds.
    async fn look(&self) -> bool {
        let folder = self.folder.borrow().clone();
        if let Some(folder) = folder
            && !self.lost.get()
            && self.open.borrow().contains_key(ABOUT)
        {
            let found = folder.file(ABOUT, false).await;
            // Once it was closed here, another one may remove it.
            let is_open = self.open.borrow().contains_key(ABOUT);
            self.lost.set(is_open && found.is_err_and(|error| is_missing(&error)));
        }
        !self.lost.get()
    }

    /// Looks for the files some time after a write.
    fn look_later(self: &Rc<Self>) {
        if self.looking.replace(true) {
            return;
        }
        let inner = Rc::downgrade(self);
        spawn_local(async move {
            TimeoutFuture::new(LOOK_AFTER_MS).await;
            if let Some(inner) = inner.upgrade() {
                inner.looking.set(false);
                inner.look().await;
            }
        });
    }

    /// Returns whether the files are open, and their handles still work.
    fn works(&self) -> bool {
        self.connected.get() && self.open.borrow().values().all(|file| file.0.size().is_ok())
    }

    async fn prepare(self: Rc<Self>, names: Vec<String>) -> Result<()> {
        let removals = self.removals.take();
        for removal in removals {
            // What can't be removed now is removed by the next holder.
            let _ = removal.await;
        }
        // The engine has lost its lock: it must not make other files.
        if self.lost.get() {
            return Ok(());
        }
        if !self.works() {
            self.clone().connect_once().await?;
        }
        if names.is_empty() {
            return Ok(());
        }
        let folder = self.folder.borrow().clone();
        let folder = match folder {
            Some(folder) => folder,
            None => self.make_folder().await.map_err(failure)?,
        };
        for name in names.iter().map(|name| &**name).chain([ABOUT]) {
            self.open_file(&folder, name).await.map_err(failure)?;
            self.later.borrow_mut().retain(|later| later != name);
        }
        Ok(())
    }

    async fn make_folder(&self) -> Result<PrivateDirectory, JsValue> {
        let all = private_folder(true).await?.ok_or(JsValue::NULL)?;
        let folder = all.folder(&folder_name(&self.database), true).await?;
        self.folder.replace(Some(folder.clone()));
        Ok(folder)
    }

    /// Two openings side by side would each close files of the other: the first to end would list a part of them as all.
    fn connect_once(self: Rc<Self>) -> Shared<Connecting> {
        let mut connecting = self.connecting.borrow_mut();
        let running = connecting.as_ref().and_then(WeakShared::upgrade).filter(|running| running.peek().is_none());
        running.unwrap_or_else(|| {
            let inner = self.clone();
            let work: Connecting = Box::pin(async move { inner.connect().await });
            let work = work.shared();
            *connecting = work.downgrade();
            work
        })
    }

    /// Opens all files of the folder.
    async fn connect(&self) -> Result<()> {
        for name in self.open.borrow().keys() {
            self.reopened.borrow_mut().insert(name.clone());
        }
        self.close();
        let opened = self.open_all().await;
        match opened {
            // A move whose lock was stolen may remove them meanwhile: then IndexedDB has the database.
            Err(error) if is_missing(&error) => {
                self.close();
                self.check_place().await?;
                return Err(failure(error));
            }
            Err(error) => return Err(failure(error)),
            Ok(()) => {}
        }
        self.check_place().await?;
        self.connected.set(true);
        Ok(())
    }

    async fn open_all(&self) -> Result<(), JsValue> {
        let folder = match private_folder(false).await? {
            Some(all) => unless_missing(all.folder(&folder_name(&self.database), false).await)?,
            None => None,
        };
        self.folder.replace(folder.clone());
        let Some(folder) = folder else { return Ok(()) };
        let files = folder.list().await?.into_iter().filter_map(|(name, is_file)| is_file.then_some(name));
        let mut names: Vec<String> = files.collect();
        let mut later = opens_later(&names);
        later.retain(|name| !self.reopened.borrow().contains(name));
        names.retain(|name| !later.contains(name));
        for name in names {
            self.open_file(&folder, &name).await?;
        }
        *self.later.borrow_mut() = later.into_iter().collect();
        // An opening that was aborted may have left none.
        if !self.open.borrow().is_empty() {
            self.open_file(&folder, ABOUT).await?;
        }
        Ok(())
    }

    /// Fails when IndexedDB has the database: these files would be another one, or are what a move has left.
    async fn check_place(&self) -> Result<()> {
        let is_new = self.open.borrow().is_empty();
        if !is_new && !is_moving(&self.database).await {
            return Ok(());
        }
        match found_in_indexeddb(&self.database).await {
            FoundInIndexedDb::Nothing | FoundInIndexedDb::Elsewhere => Ok(()),
            FoundInIndexedDb::Headless if !is_new => Ok(()),
            _ => {
                self.close();
                Err(elsewhere())
            }
        }
    }

    /// Opens a file, or makes it.
    async fn open_file(&self, folder: &PrivateDirectory, name: &str) -> Result<(), JsValue> {
        let file = folder.file(name, true).await?;
        let (mut waited, mut pause) = (0, 10);
        loop {
            // Another call may open it at the same time.
            if self.open.borrow().contains_key(name) {
                return Ok(());
            }
            // In a task of its own: what it opens for a caller that was dropped is closed again.
            let opening = JsFuture::from(file.access()?);
            let (sender, opened) = oneshot::channel();
            spawn_local(async move {
                let opened = opening.await.map(|handle| OpenFile(handle.unchecked_into()));
                let _ = sender.send(opened);
            });
            match opened.await {
                Ok(Ok(opened)) => {
                    self.open.borrow_mut().insert(name.to_owned(), opened);
                    return Ok(());
                }
                Ok(Err(error)) if waited > BLOCKED_MS || thrown_name(&error) != "NoModificationAllowedError" => {
                    return Err(error);
                }
                _ => {}
            }
            TimeoutFuture::new(pause).await;
            waited += pause;
            pause = (2 * pause).min(500);
        }
    }
}

impl Files for PrivateFiles {
    fn prepare(&self, names: Vec<String>) -> LocalFuture<'static, Result<()>> {
        let inner = self.0.clone();
        Box::pin(inner.prepare(names))
    }

    fn list(&self) -> Result<Vec<String>> {
        if !self.0.connected.get() {
            return Err(closed());
        }
        if self.0.lost.get() {
            return Ok(Vec::new());
        }
        let (open, later) = (self.0.open.borrow(), self.0.later.borrow());
        Ok(open.keys().chain(later.iter()).cloned().collect())
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.0.find(name, AccessHandle::size)?.map(|bytes| bytes as u64))
    }

    fn read(&self, name: &str, from: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.read_into(name, from, length, Vec::new())
    }

    fn read_into(&self, name: &str, from: u64, length: usize, buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        self.0.find(name, |file| {
            let rest = (file.size()? as u64).saturating_sub(from);
            let mut bytes = resized(buffer, usize::try_from(rest).unwrap_or(usize::MAX).min(length));
            let read = file.read(&mut bytes, &at(from))?;
            bytes.truncate(read as usize);
            Ok(bytes)
        })
    }

    fn write(&self, name: &str, from: u64, bytes: &[u8]) -> Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            let count = self.0.prepared(name, |file| file.write(&bytes[written..], &at(from + written as u64)))?;
            if count == 0.0 {
                return Err(no_space());
            }
            written += count as usize;
        }
        self.0.look_later();
        Ok(())
    }

    fn truncate(&self, name: &str, bytes: u64) -> Result<()> {
        self.0.prepared(name, |file| file.truncate(bytes as f64))
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.0.prepared(name, AccessHandle::flush)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let removed = self.0.open.borrow_mut().remove(name);
        let later = self.0.later.borrow().contains(name);
        self.0.later.borrow_mut().retain(|later| later != name);
        self.0.reopened.borrow_mut().retain(|reopened| reopened != name);
        if removed.is_none() && !later {
            return Ok(());
        }
        if let Some(folder) = self.0.folder.borrow().clone() {
            let (inner, name) = (self.0.clone(), name.to_owned());
            let removing = future_to_promise(async move {
                if !inner.look().await {
                    mem::forget(removed);
                    return Ok(JsValue::UNDEFINED);
                }
                // Closed first: an open file can't be removed.
                drop(removed);
                JsFuture::from(folder.remove(&name, &Object::new())?).await
            });
            self.0.removals.borrow_mut().push(JsFuture::from(removing));
        }
        Ok(())
    }

    fn describe(&self, info: &HeadInfo) {
        if let Ok(text) = JSON::stringify(&described(info)) {
            let bytes = String::from(text).into_bytes();
            let size = self.size(ABOUT).ok().flatten().unwrap_or_default();
            // Nothing depends on it. Truncating takes longer than writing.
            let _ = self.write(ABOUT, 0, &bytes);
            if size > bytes.len() as u64 {
                let _ = self.truncate(ABOUT, bytes.len() as u64);
            }
        }
    }

    fn close(&self) {
        self.0.close();
    }
}

/// The databases in the browser's private file system.
pub struct PrivateStores;

impl Stores for PrivateStores {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let files = PrivateFiles::new(name);
        Box::pin(async move {
            // Opens what is there. Nothing is created.
            files.prepare(Vec::new()).await?;
            Ok(Rc::new(FolderStore::new(Rc::new(files))) as Rc<dyn Store>)
        })
    }

    fn open_older(&self, name: &str) -> LocalFuture<'static, Result<Option<Rc<dyn Store>>>> {
        let files = PrivateFiles::new(name);
        Box::pin(async move {
            files.prepare(Vec::new()).await?;
            files.prepare(opens_later(&files.list()?)).await?;
            Ok(Some(Rc::new(FolderStore::older(Rc::new(files))) as Rc<dyn Store>))
        })
    }

    fn shown(&self, name: &str) -> Option<LocalFuture<'static, Option<HeadInfo>>> {
        StoredPrivate.shown(name)
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(estimate())
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(persist())
    }
}

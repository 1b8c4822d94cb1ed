//! Files and processes, through an object of the package: `node/files.ts` in Node, `worker/private-files.ts` for a browser's
//! private file system, or `worker/storage-worker.ts` for a worker that has those files.

use std::rc::Rc;

use js_sys::{Array, JsString, Object, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::{estimate, idb_values::described, persist, property, thrown_name, thrown_text, to_bytes};
use crate::{
    error::{Error, ErrorCode, Result},
    memory::resized,
    ports::{
        Estimate, Files, HeadInfo, Holder, LocalFuture, LockFiles, Process, Processes, Store, StoreConnection, Stores,
    },
    store::{
        failure::{DISK_FULL, FOLDER_UNUSABLE, elsewhere, not_plain},
        folder::{FolderStore, opens_later},
        proxy::ProxyStore,
    },
    time::Timestamp,
};

#[wasm_bindgen]
extern "C" {
    /// The interface `FolderFiles` of the package's `core.ts`.
    #[derive(Clone)]
    pub type JsFiles;

    #[wasm_bindgen(method, catch, js_name = prepare)]
    fn js_prepare(this: &JsFiles, names: Vec<String>) -> Result<JsValue, JsValue>;

    /// A promise, or undefined.
    #[wasm_bindgen(method, js_name = turn)]
    fn js_turn(this: &JsFiles) -> Option<Promise>;

    #[wasm_bindgen(method, js_name = describe)]
    fn js_describe(this: &JsFiles, info: &Object);

    /// What was described last, or undefined.
    #[wasm_bindgen(method, js_name = shown)]
    fn js_shown(this: &JsFiles) -> Promise;

    /// Whether they are in the browser's private file system.
    #[wasm_bindgen(method, getter, js_name = isPrivate)]
    pub fn is_private(this: &JsFiles) -> bool;

    #[wasm_bindgen(method, catch, js_name = list)]
    fn js_list(this: &JsFiles) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch, js_name = size)]
    fn js_size(this: &JsFiles, name: &str) -> Result<Option<f64>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = read)]
    fn js_read(this: &JsFiles, name: &str, at: f64, into: &mut [u8]) -> Result<f64, JsValue>;

    #[wasm_bindgen(method, catch, js_name = write)]
    fn js_write(this: &JsFiles, name: &str, at: f64, bytes: &[u8]) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = truncate)]
    fn js_truncate(this: &JsFiles, name: &str, bytes: f64) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = sync)]
    fn js_sync(this: &JsFiles, name: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = create)]
    fn js_create(this: &JsFiles, name: &str, bytes: &[u8]) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, js_name = remove)]
    fn js_remove(this: &JsFiles, name: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, js_name = close)]
    fn js_close(this: &JsFiles);

    /// A worker that has the files: sends it a request at once → a promise of the reply.
    #[wasm_bindgen(method, catch, js_name = ask)]
    fn js_ask(this: &JsFiles, request: &[u8]) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, getter)]
    fn pid(this: &JsFiles) -> u32;

    #[wasm_bindgen(method, getter)]
    fn thread(this: &JsFiles) -> u32;

    #[wasm_bindgen(method, getter)]
    fn host(this: &JsFiles) -> String;

    #[wasm_bindgen(method, js_name = began)]
    fn js_began(this: &JsFiles, id: u32) -> Option<String>;
}

/// Converts an error of the files to the contract's.
pub(super) fn failure(thrown: JsValue) -> Error {
    // Node's errors and the package's have a text as code, the browser's a number.
    let code = property(&thrown, "code").and_then(|code| code.as_string());
    if let Some(code) = code.as_deref().and_then(ErrorCode::from_name) {
        return passed_on(code, &thrown);
    }
    let kind = match code.as_deref() {
        Some("ELOOP") => {
            let path = property(&thrown, "path").and_then(|path| path.as_string());
            return not_plain(&path.unwrap_or_default());
        }
        Some("ELSEWHERE") => return elsewhere(),
        Some("ENOSPC" | "EDQUOT") => ErrorCode::StorageQuotaExceeded,
        Some(_) => ErrorCode::StorageUnavailable,
        None => match &*thrown_name(&thrown) {
            "QuotaExceededError" => ErrorCode::StorageQuotaExceeded,
            "NoModificationAllowedError" => ErrorCode::StorageBlocked,
            _ => ErrorCode::StorageUnavailable,
        },
    };
    let (message, hint) = match (code, kind) {
        (Some(_), ErrorCode::StorageQuotaExceeded) => DISK_FULL,
        (Some(_), _) => FOLDER_UNUSABLE,
        (None, ErrorCode::StorageBlocked) => (
            "Another page or worker still has the database's files open",
            "It ended a short time ago, or is frozen: try again in a few seconds, or close the other tabs of this page",
        ),
        (None, ErrorCode::StorageQuotaExceeded) => return no_space().cause(thrown_text(&thrown)),
        (None, _) => (
            "The browser's private file system can't be used",
            "The cause says why; private windows of some browsers don't have it",
        ),
    };
    let error = Error::new(kind, message).hint(hint).cause(thrown_text(&thrown));
    match property(&thrown, "path").and_then(|path| path.as_string()) {
        Some(path) => error.detail("path", path),
        None => error,
    }
}

/// Returns the error of a browser that writes no more bytes.
pub(super) fn no_space() -> Error {
    Error::new(ErrorCode::StorageQuotaExceeded, "The browser has no more space for the database's files")
        .hint("Delete data or old snapshots, or ask the user to free disk space")
}

/// Returns an error of the package, from a worker or about it.
fn passed_on(code: ErrorCode, thrown: &JsValue) -> Error {
    let text = |name: &str| property(thrown, name).and_then(|text| text.as_string());
    let mut error = Error::new(code, text("message").unwrap_or_default());
    error.hint = text("hint");
    error.cause = property(thrown, "cause").map(|cause| thrown_text(&cause));
    error
}

impl Files for JsFiles {
    fn prepare(&self, names: Vec<String>) -> LocalFuture<'static, Result<()>> {
        let prepared = self.js_prepare(names);
        Box::pin(async move {
            // Only browsers open files asynchronously.
            if let Ok(promise) = prepared.map_err(failure)?.dyn_into::<Promise>() {
                JsFuture::from(promise).await.map_err(failure)?;
            }
            Ok(())
        })
    }

    fn list(&self) -> Result<Vec<String>> {
        let names = self.js_list().map_err(failure)?;
        Ok(names.iter().map(|name| String::from(name.unchecked_into::<JsString>())).collect())
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.js_size(name).map_err(failure)?.map(|bytes| bytes as u64))
    }

    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        self.read_into(name, at, length, Vec::new())
    }

    fn read_into(&self, name: &str, at: u64, length: usize, buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let Some(size) = self.size(name)? else { return Ok(None) };
        let rest = usize::try_from(size.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut bytes = resized(buffer, rest.min(length));
        // Straight into the memory of the wasm: another copy for each read would be garbage of JavaScript.
        let read = self.js_read(name, at as f64, &mut bytes).map_err(failure)?;
        bytes.truncate(read as usize);
        Ok(Some(bytes))
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        self.js_write(name, at as f64, bytes).map_err(failure)
    }

    fn truncate(&self, name: &str, bytes: u64) -> Result<()> {
        self.js_truncate(name, bytes as f64).map_err(failure)
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.js_sync(name).map_err(failure)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.js_remove(name).map_err(failure)
    }

    fn turn(&self) -> Option<LocalFuture<'static, ()>> {
        let turn = JsFuture::from(self.js_turn()?);
        Some(Box::pin(async move { drop(turn.await) }))
    }

    fn describe(&self, info: &HeadInfo) {
        self.js_describe(&described(info));
    }

    fn close(&self) {
        self.js_close();
    }
}

impl LockFiles for JsFiles {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        self.js_create(name, bytes).map_err(failure)
    }
}

impl Processes for JsFiles {
    fn me(&self) -> Process {
        let thread = self.thread();
        Process { pid: self.pid(), thread, host: self.host(), began: self.js_began(thread).unwrap_or_default() }
    }

    fn began(&self, id: u32) -> Option<String> {
        self.js_began(id)
    }
}

/// A worker that has the files, for a page's thread: `worker/storage-worker.ts`.
impl StoreConnection for JsFiles {
    fn connect(&self) -> LocalFuture<'static, Result<()>> {
        self.prepare(Vec::new())
    }

    fn ask(&self, request: &[u8]) -> LocalFuture<'static, Result<Vec<u8>>> {
        let asked = self.js_ask(request);
        Box::pin(async move {
            let reply = JsFuture::from(asked.map_err(failure)?).await.map_err(failure)?;
            to_bytes(reply.unchecked_ref())
        })
    }

    fn end(&self) {
        self.js_close();
    }
}

/// The database in a folder of the browser's private file system.
pub struct PrivateFolder {
    /// Its files, or the worker that has them.
    pub files: Rc<JsFiles>,
}

impl Stores for PrivateFolder {
    fn open(&self, _name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let files = self.files.clone();
        Box::pin(async move {
            if property(&files, "ask").is_some() {
                return Ok(Rc::new(ProxyStore::open(files).await?) as Rc<dyn Store>);
            }
            // Opens what is there. Nothing is created.
            files.prepare(Vec::new()).await?;
            Ok(Rc::new(FolderStore::new(files)) as Rc<dyn Store>)
        })
    }

    fn open_older(&self, _name: &str) -> LocalFuture<'static, Result<Option<Rc<dyn Store>>>> {
        let files = self.files.clone();
        Box::pin(async move {
            if property(&files, "ask").is_some() {
                return Ok(Some(Rc::new(ProxyStore::open_older(files).await?) as Rc<dyn Store>));
            }
            files.prepare(Vec::new()).await?;
            files.prepare(opens_later(&files.list()?)).await?;
            Ok(Some(Rc::new(FolderStore::older(files)) as Rc<dyn Store>))
        })
    }

    fn shown(&self, _name: &str) -> Option<LocalFuture<'static, Option<HeadInfo>>> {
        let shown = self.files.js_shown();
        Some(Box::pin(async move { info_of(&JsFuture::from(shown).await.ok()?) }))
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(estimate())
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(persist())
    }
}

/// Reads what [`described`] has made.
pub(super) fn info_of(shown: &JsValue) -> Option<HeadInfo> {
    let holder = property(shown, "holder")?;
    let text = |name: &str| property(&holder, name).and_then(|text| text.as_string());
    let since = Timestamp(property(&holder, "since")?.as_f64()? as i64);
    let holder = Holder { id: text("id")?, title: text("title")?, url: text("url")?, since };
    let features = property(shown, "features")?.dyn_into::<Array>().ok()?;
    Some(HeadInfo { holder, features: features.iter().filter_map(|name| name.as_string()).collect() })
}

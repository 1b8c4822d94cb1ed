//! The folders of databases in the browser's private file system, as in the npm package
//! (`pkg-js/src/base/private-folders.ts`). Pages see them, too; only dedicated workers open their files.

use std::{future::ready, rc::Rc};

use gloo_timers::future::TimeoutFuture;
use js_sys::{AsyncIterator, JSON, JsString, Object, Promise, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use super::{
    estimate,
    files::{failure, info_of},
    global, object, persist, property, thrown_name,
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Estimate, HeadInfo, LocalFuture, Store, Stores},
};

#[wasm_bindgen]
extern "C" {
    /// A `FileSystemDirectoryHandle`.
    #[derive(Clone)]
    pub type PrivateDirectory;

    #[wasm_bindgen(method, catch, js_name = getDirectoryHandle)]
    fn js_folder(this: &PrivateDirectory, name: &str, options: &Object) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch, js_name = getFileHandle)]
    fn js_file(this: &PrivateDirectory, name: &str, options: &Object) -> Result<Promise, JsValue>;

    /// Removes a file, or a folder with what is in it.
    #[wasm_bindgen(method, catch, js_name = removeEntry)]
    pub fn remove(this: &PrivateDirectory, name: &str, options: &Object) -> Result<Promise, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn entries(this: &PrivateDirectory) -> Result<AsyncIterator, JsValue>;

    /// A `FileSystemFileHandle`.
    pub type PrivateFile;

    #[wasm_bindgen(method, catch, js_name = getFile)]
    fn content(this: &PrivateFile) -> Result<Promise, JsValue>;

    /// Opens it → its access handle.
    #[wasm_bindgen(method, catch, js_name = createSyncAccessHandle)]
    pub fn access(this: &PrivateFile) -> Result<Promise, JsValue>;

    /// A `File`.
    type PrivateContent;

    #[wasm_bindgen(method, getter)]
    fn size(this: &PrivateContent) -> f64;

    #[wasm_bindgen(method, catch)]
    fn text(this: &PrivateContent) -> Result<Promise, JsValue>;

    /// A `StorageManager`.
    type PrivateRoot;

    #[wasm_bindgen(method, catch, js_name = getDirectory)]
    fn directory(this: &PrivateRoot) -> Result<Promise, JsValue>;
}

/// The file that shows what a database is, to those that can't open its other files.
pub const ABOUT: &str = "about";

const ENDING: &str = ".db";

fn create(create: bool) -> Object {
    object(&[("create", create.into())])
}

impl PrivateDirectory {
    /// Returns a folder in it.
    pub async fn folder(&self, name: &str, make: bool) -> Result<Self, JsValue> {
        JsFuture::from(self.js_folder(name, &create(make))?).await.map(JsCast::unchecked_into)
    }

    /// Returns a file in it.
    pub async fn file(&self, name: &str, make: bool) -> Result<PrivateFile, JsValue> {
        JsFuture::from(self.js_file(name, &create(make))?).await.map(JsCast::unchecked_into)
    }

    /// Returns the names in it, and whether each is that of a file.
    pub async fn list(&self) -> Result<Vec<(String, bool)>, JsValue> {
        let (entries, mut list) = (self.entries()?, Vec::new());
        loop {
            let next = JsFuture::from(entries.next()?).await?;
            let Some(entry) = property(&next, "value") else { return Ok(list) };
            let handle = Reflect::get_u32(&entry, 1)?;
            let is_file = property(&handle, "kind").is_some_and(|kind| kind == "file");
            if let Some(name) = Reflect::get_u32(&entry, 0)?.as_string() {
                list.push((name, is_file));
            }
        }
    }
}

async fn content_of(file: &PrivateFile) -> Result<PrivateContent, JsValue> {
    JsFuture::from(file.content()?).await.map(JsCast::unchecked_into)
}

/// Returns whether an error says that an entry is missing.
pub fn is_missing(error: &JsValue) -> bool {
    thrown_name(error) == "NotFoundError"
}

/// Returns `None` for a missing entry.
pub fn unless_missing<T>(found: Result<T, JsValue>) -> Result<Option<T>, JsValue> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fails where Rust programs have no private files: with `unsupported_environment` where a dedicated worker has them, and
/// with `storage_unavailable` where the browser has none.
pub fn private_files_work() -> Result<()> {
    let has = |object: Option<JsValue>, name: &str| object.is_some_and(|object| property(&object, name).is_some());
    let storage = global("navigator").and_then(|navigator| property(&navigator, "storage"));
    let handle = global("FileSystemFileHandle").and_then(|handle| property(&handle, "prototype"));
    if global("DedicatedWorkerGlobalScope").is_none() {
        return Err(Error::new(ErrorCode::UnsupportedEnvironment, "Storage::Opfs needs a dedicated worker")
            .hint("Run the program in a dedicated worker, or leave storage out, for IndexedDB")
            .detail("option", "storage"));
    }
    if !has(storage, "getDirectory") || !has(handle, "createSyncAccessHandle") {
        return Err(Error::new(
            ErrorCode::StorageUnavailable,
            "The browser's private file system (OPFS) is missing here",
        )
        .hint("Leave storage out, for IndexedDB; browsers have OPFS on secure pages only"));
    }
    Ok(())
}

/// Returns the folder of all databases; `None` where there is none and `make` is false.
pub async fn private_folder(make: bool) -> Result<Option<PrivateDirectory>, JsValue> {
    let storage = global("navigator").and_then(|navigator| property(&navigator, "storage"));
    let storage = storage.filter(|storage| property(storage, "getDirectory").is_some());
    let Some(storage) = storage else { return Err(js_sys::Error::new("navigator.storage is missing").into()) };
    let root = JsFuture::from(storage.unchecked_into::<PrivateRoot>().directory()?).await?;
    unless_missing(root.unchecked_into::<PrivateDirectory>().folder("tidelock", make).await)
}

/// Returns the name of a database's folder: characters that file systems refuse are escaped as in URLs.
pub fn folder_name(database: &str) -> String {
    let mut name = String::new();
    for character in database.chars() {
        match character {
            '%' | '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' | '.' => {
                name.push_str(&format!("%{:02x}", u32::from(character)));
            }
            _ => name.push(character),
        }
    }
    name + ENDING
}

/// Returns the database of a folder; `None` for a folder of another program.
fn database_of(folder: &str) -> Option<String> {
    let mut pieces = folder.strip_suffix(ENDING)?.split('%');
    let mut name = pieces.next()?.to_owned();
    for piece in pieces {
        let code = piece.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok())?;
        name.push(char::from(code));
        name.push_str(&piece[2..]);
    }
    Some(name)
}

/// Returns the names of the databases, sorted; none where the browser has no private file system, or refuses it.
pub async fn private_names() -> Vec<String> {
    let Ok(Some(all)) = private_folder(false).await else { return Vec::new() };
    let folders = all.list().await.unwrap_or_default();
    let mut names: Vec<String> = folders.iter().filter_map(|(folder, _)| database_of(folder)).collect();
    names.sort();
    names
}

/// Returns whether there is data of a database; false where the browser has no private file system, or refuses it.
pub async fn has_private_files(database: &str) -> bool {
    let found = async {
        let Some(all) = private_folder(false).await? else { return Ok(false) };
        let folder = all.folder(&folder_name(database), false).await?;
        for (name, is_file) in folder.list().await? {
            // Empty files are what a worker leaves that ends while it makes a database. Others may be removed meanwhile.
            if is_file && name != ABOUT {
                let size = match folder.file(&name, false).await {
                    Ok(file) => content_of(&file).await.map(|content| content.size()).ok(),
                    Err(_) => None,
                };
                if size != Some(0.0) {
                    return Ok(true);
                }
            }
        }
        Ok::<_, JsValue>(false)
    };
    found.await.unwrap_or(false)
}

/// Returns whether a move of the database between storages is under way, or didn't end.
pub async fn is_moving(database: &str) -> bool {
    match private_folder(false).await {
        Ok(Some(all)) => all.file(&format!("{}.moving", folder_name(database)), false).await.is_ok(),
        _ => false,
    }
}

/// Reads what a database shows without being opened; `None` when it is missing or unreadable.
async fn shown_in_private(database: &str) -> Option<HeadInfo> {
    let folder = private_folder(false).await.ok()??.folder(&folder_name(database), false).await.ok()?;
    let content = content_of(&folder.file(ABOUT, false).await.ok()?).await.ok()?;
    let text: JsString = JsFuture::from(content.text().ok()?).await.ok()?.unchecked_into();
    info_of(&JSON::parse(&String::from(text)).ok()?)
}

/// How long a deletion waits for files that a worker which ended has open.
const REMOVAL_TIMEOUT_MS: u32 = 10_000;

/// Removes the files of a database; a missing one is no error. Fails with `storage_blocked` when another worker has one of
/// them open for 10 s.
pub async fn delete_private(database: &str) -> Result<()> {
    // Browsers without a private file system, or that refuse it, have nothing there.
    let Ok(Some(all)) = private_folder(false).await else { return Ok(()) };
    let recursive = object(&[("recursive", JsValue::TRUE)]);
    for _ in (0..=REMOVAL_TIMEOUT_MS).step_by(100) {
        let removed = match all.remove(&folder_name(database), &recursive) {
            Ok(removing) => JsFuture::from(removing).await,
            Err(error) => Err(error),
        };
        match unless_missing(removed) {
            Ok(_) => return Ok(()),
            Err(error) if thrown_name(&error) == "NoModificationAllowedError" => TimeoutFuture::new(100).await,
            Err(error) => return Err(failure(error)),
        }
    }
    Err(Error::new(ErrorCode::StorageBlocked, "Another page or worker still has the database's files open")
        .hint("Close the other tabs of this page, and try again"))
}

/// The databases in the private file system, which this describes and doesn't open: programs that only list them have none
/// of the code for their files.
pub struct StoredPrivate;

impl Stores for StoredPrivate {
    fn open(&self, _name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        Box::pin(ready(Err(Error::unsupported("Opening a database to describe it"))))
    }

    fn shown(&self, name: &str) -> Option<LocalFuture<'static, Option<HeadInfo>>> {
        let name = name.to_owned();
        Some(Box::pin(async move { shown_in_private(&name).await }))
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(estimate())
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(persist())
    }
}

//! Files and processes in Node, through the object of `pkg-js/src/node/files.ts`.

use std::future::ready;

use js_sys::{Array, JsString, Uint8Array};
use wasm_bindgen::prelude::*;

use super::{property, thrown_text};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Files, LocalFuture, LockFiles, Process, Processes},
    store::failure::not_plain,
};

#[wasm_bindgen]
extern "C" {
    /// The `NodeFiles` interface of the package's `core.ts`.
    #[derive(Clone)]
    pub type NodeFiles;

    #[wasm_bindgen(method, catch, js_name = prepare)]
    fn js_prepare(this: &NodeFiles, names: Vec<String>) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = list)]
    fn js_list(this: &NodeFiles) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch, js_name = size)]
    fn js_size(this: &NodeFiles, name: &str) -> Result<Option<f64>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = read)]
    fn js_read(this: &NodeFiles, name: &str, at: f64, length: u32) -> Result<Option<Uint8Array>, JsValue>;

    #[wasm_bindgen(method, catch, js_name = write)]
    fn js_write(this: &NodeFiles, name: &str, at: f64, bytes: &[u8]) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = truncate)]
    fn js_truncate(this: &NodeFiles, name: &str, bytes: f64) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = sync)]
    fn js_sync(this: &NodeFiles, name: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = create)]
    fn js_create(this: &NodeFiles, name: &str, bytes: &[u8]) -> Result<bool, JsValue>;

    #[wasm_bindgen(method, catch, js_name = remove)]
    fn js_remove(this: &NodeFiles, name: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, js_name = close)]
    fn js_close(this: &NodeFiles);

    #[wasm_bindgen(method, getter)]
    fn pid(this: &NodeFiles) -> u32;

    #[wasm_bindgen(method, getter)]
    fn host(this: &NodeFiles) -> String;

    #[wasm_bindgen(method, js_name = began)]
    fn js_began(this: &NodeFiles, pid: u32) -> Option<String>;
}

fn failure(thrown: JsValue) -> Error {
    let code = match property(&thrown, "code").and_then(|code| code.as_string()).as_deref() {
        Some("ELOOP") => {
            let path = property(&thrown, "path").and_then(|path| path.as_string());
            return not_plain(&path.unwrap_or_default());
        }
        Some("ENOSPC" | "EDQUOT") => ErrorCode::StorageQuotaExceeded,
        _ => ErrorCode::StorageUnavailable,
    };
    Error::new(code, "The database's folder can't be used")
        .hint("The cause says why: check the folder's path, its permissions, and the free disk space")
        .cause(thrown_text(&thrown))
}

impl Files for NodeFiles {
    fn prepare(&self, names: Vec<String>) -> LocalFuture<'static, Result<()>> {
        Box::pin(ready(self.js_prepare(names).map_err(failure)))
    }

    fn list(&self) -> Result<Vec<String>> {
        let names = self.js_list().map_err(failure)?;
        Ok(names.iter().map(|name| String::from(name.unchecked_into::<JsString>())).collect())
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok(self.js_size(name).map_err(failure)?.map(|bytes| bytes as u64))
    }

    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let bytes = self.js_read(name, at as f64, length as u32).map_err(failure)?;
        Ok(bytes.map(|bytes| bytes.to_vec()))
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

    fn close(&self) {
        self.js_close();
    }
}

impl LockFiles for NodeFiles {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        self.js_create(name, bytes).map_err(failure)
    }
}

impl Processes for NodeFiles {
    fn me(&self) -> Process {
        let pid = self.pid();
        Process { pid, host: self.host(), began: self.js_began(pid).unwrap_or_default() }
    }

    fn began(&self, pid: u32) -> Option<String> {
        self.js_began(pid)
    }
}

//! Files and processes in Node, through the object of `pkg-js/src/node/files.ts`.

use js_sys::{Array, JsString, Uint8Array};
use wasm_bindgen::prelude::*;

use super::{property, thrown_text};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Files, Process, Processes},
    store::failure::not_plain,
};

#[wasm_bindgen]
extern "C" {
    /// The `NodeFiles` interface of the package's `core.ts`.
    #[derive(Clone)]
    pub type NodeFiles;

    #[wasm_bindgen(method, catch, js_name = list)]
    fn js_list(this: &NodeFiles, folder: &str) -> Result<Array, JsValue>;

    #[wasm_bindgen(method, catch, js_name = makeFolder)]
    fn js_make_folder(this: &NodeFiles, folder: &str) -> Result<(), JsValue>;

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

    #[wasm_bindgen(method, catch, js_name = syncFolder)]
    fn js_sync_folder(this: &NodeFiles, folder: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = rename)]
    fn js_rename(this: &NodeFiles, from: &str, to: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = link)]
    fn js_link(this: &NodeFiles, from: &str, to: &str) -> Result<bool, JsValue>;

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
    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let names = self.js_list(folder).map_err(failure)?;
        Ok(names.iter().map(|name| String::from(name.unchecked_into::<JsString>())).collect())
    }

    fn make_folder(&self, folder: &str) -> Result<()> {
        self.js_make_folder(folder).map_err(failure)
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

    fn sync_folder(&self, folder: &str) -> Result<()> {
        self.js_sync_folder(folder).map_err(failure)
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.js_rename(from, to).map_err(failure)
    }

    fn link(&self, from: &str, to: &str) -> Result<bool> {
        self.js_link(from, to).map_err(failure)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.js_remove(name).map_err(failure)
    }

    fn close(&self) {
        self.js_close();
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

//! The functions that TypeScript passes in at `open`, for Rust to call.

use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

#[wasm_bindgen]
extern "C" {
    /// The `Host` interface of the package's `core.ts`.
    #[derive(Clone)]
    pub type Host;

    /// Aborts when the user cancels opening.
    #[wasm_bindgen(method, getter)]
    pub fn signal(this: &Host) -> Option<AbortSignal>;

    /// Returns the `encryption` option, if given: `{ passphrase }` or `{ key }`.
    #[wasm_bindgen(method, getter)]
    pub fn encryption(this: &Host) -> JsValue;

    /// Delivers an event `{ type, detail }`.
    #[wasm_bindgen(method)]
    pub fn emit(this: &Host, event: &JsValue);

    /// Passes the function that releases the Web Lock, in case this instance traps.
    #[wasm_bindgen(method)]
    pub fn locked(this: &Host, release: &Function);

    /// Rejects when the browser's private file system has the database.
    #[wasm_bindgen(method, js_name = requireHere)]
    pub fn require_here(this: &Host) -> Promise;

    /// Runs a migration that is a function, in a transaction that was begun under `permit`.
    #[wasm_bindgen(method, catch)]
    pub fn migrate(this: &Host, version: &str, direction: &str, permit: u32) -> Result<Promise, JsValue>;

    /// Sends an `Asking` with the user's `fetch`, or the platform's → an `Answer`; both types are in the package's
    /// `request.ts`.
    #[wasm_bindgen(method, catch)]
    pub fn fetch(this: &Host, url: &str, asking: &Object) -> Result<Promise, JsValue>;

    /// Loads a part of the wasm.
    #[wasm_bindgen(method, catch, js_name = loadPart)]
    pub fn load_part(this: &Host, name: &str) -> Result<Promise, JsValue>;

    /// Calls FTS5's initialisation for the SQLite connection at that address.
    #[wasm_bindgen(method, js_name = addFts5)]
    pub fn add_fts5(this: &Host, connection: u32);

    /// Returns the user's access token, or null.
    #[wasm_bindgen(method, catch, js_name = accessToken)]
    pub fn access_token(this: &Host) -> Result<Promise, JsValue>;

    /// Returns when the next scheduled snapshot after `after` is due; both in milliseconds since 1970; null: never.
    #[wasm_bindgen(method, catch, js_name = nextSnapshot)]
    pub fn next_snapshot(this: &Host, after: f64) -> Result<Promise, JsValue>;

    /// Returns the filters that the user's function gives for a table: columns and their filters alternate, as JSON
    /// text.
    #[wasm_bindgen(method, catch, js_name = remoteFilter)]
    pub fn remote_filter(this: &Host, table: &str) -> Result<Promise, JsValue>;

    /// Returns the row with which the user's function resolves a conflict, as JSON text; null deletes the row.
    #[wasm_bindgen(method, catch, js_name = resolveConflict)]
    pub fn resolve_conflict(this: &Host, conflict: &JsValue) -> Result<Promise, JsValue>;
}

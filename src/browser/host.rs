//! What TypeScript hands in at `open`: the functions that Rust calls back.

use js_sys::{Function, Object, Promise};
use wasm_bindgen::prelude::*;
use web_sys::AbortSignal;

#[wasm_bindgen]
extern "C" {
    /// The `Host` interface of the package's `core.ts`.
    #[derive(Clone)]
    pub type Host;

    /// Aborts when the user gives up opening.
    #[wasm_bindgen(method, getter)]
    pub fn signal(this: &Host) -> Option<AbortSignal>;

    /// What the database is encrypted with, if anything: `{ passphrase }` or `{ key }`.
    #[wasm_bindgen(method, getter)]
    pub fn encryption(this: &Host) -> JsValue;

    /// Delivers an event `{ type, detail }`.
    #[wasm_bindgen(method)]
    pub fn emit(this: &Host, event: &JsValue);

    /// Hands over how to release the Web Lock, should this instance die.
    #[wasm_bindgen(method)]
    pub fn locked(this: &Host, release: &Function);

    /// Runs a migration that is a function, on a transaction that has begun under `ticket`.
    #[wasm_bindgen(method, catch)]
    pub fn migrate(this: &Host, version: &str, direction: &str, ticket: u32) -> Result<Promise, JsValue>;

    /// Sends an `Asking` by the user's `fetch`, or the platform's → an `Answer`; both are in the package's `request.ts`.
    #[wasm_bindgen(method, catch)]
    pub fn fetch(this: &Host, url: &str, asking: &Object) -> Result<Promise, JsValue>;

    /// Loads a part of the wasm.
    #[wasm_bindgen(method, catch, js_name = loadPart)]
    pub fn load_part(this: &Host, name: &str) -> Result<Promise, JsValue>;

    /// Calls SQLite's initialisation of FTS5 for the connection at that address.
    #[wasm_bindgen(method, js_name = addFts5)]
    pub fn add_fts5(this: &Host, connection: u32);

    /// The user's access token, or null.
    #[wasm_bindgen(method, catch, js_name = accessToken)]
    pub fn access_token(this: &Host) -> Result<Promise, JsValue>;

    /// When the next scheduled snapshot after that time is due, in milliseconds since 1970; null: never.
    #[wasm_bindgen(method, catch, js_name = nextSnapshot)]
    pub fn next_snapshot(this: &Host, after: f64) -> Result<Promise, JsValue>;

    /// The row that the user's function makes of a conflict, as JSON text; null: it goes.
    #[wasm_bindgen(method, catch, js_name = resolveConflict)]
    pub fn resolve_conflict(this: &Host, conflict: &JsValue) -> Result<Promise, JsValue>;
}

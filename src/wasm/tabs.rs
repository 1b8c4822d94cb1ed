//! Operations for shared tabs.

use wasm_bindgen::prelude::*;

use super::{convert::Thrown, handle::Core};
use crate::{engine::Database, tabs::TabWrite};

#[wasm_bindgen]
impl Core {
    /// Stores the reply of the write `id` of the tab `client` in the open transaction, unless that wrote nothing.
    /// `acknowledged`: the tab has the replies up to this id; `keep`: the tabs that may still ask, as a JSON array; `undefined`: unknown.
    #[wasm_bindgen(js_name = noteApplied)]
    pub fn note_applied(
        &self,
        permit: u32,
        client: &str,
        id: f64,
        acknowledged: f64,
        keep: Option<String>,
        reply: &[u8],
    ) -> Result<(), JsValue> {
        let write = TabWrite { client, id: id as u64, acknowledged: acknowledged as u64, keep: keep.as_deref() };
        self.database.note_applied(permit, &write, reply).thrown()
    }

    /// Returns the reply of a committed write; undefined when it wasn't committed. Needs the mutex.
    pub fn applied(&self, permit: u32, client: &str, id: f64) -> Result<Option<Vec<u8>>, JsValue> {
        self.database.applied(permit, client, id as u64).thrown()
    }

    /// Returns whether a script runs in one transaction: it has no transaction of its own, and isn't a lone VACUUM.
    #[wasm_bindgen(js_name = isWhole)]
    pub fn is_whole(&self, script: &str) -> bool {
        Database::is_whole(script)
    }
}

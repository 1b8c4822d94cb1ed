//! What the tabs of one database need of it besides what every user needs.

use wasm_bindgen::prelude::*;

use super::{convert::Thrown, handle::Core};
use crate::{engine::Database, tabs::TabWrite};

#[wasm_bindgen]
impl Core {
    /// Notes the write `id` of the tab `client` with its answer in the open transaction, unless that has written nothing. `acknowledged`:
    /// the tab has the answers up to there; `keep`: the tabs that may still ask, empty: nothing is known about the others.
    #[wasm_bindgen(js_name = noteApplied)]
    pub fn note_applied(
        &self,
        permit: u32,
        client: &str,
        id: f64,
        acknowledged: f64,
        keep: Vec<String>,
        reply: &[u8],
    ) -> Result<(), JsValue> {
        let write = TabWrite { client, id: id as u64, acknowledged: acknowledged as u64, keep: &keep };
        self.database.note_applied(permit, &write, reply).thrown()
    }

    /// What a noted write answered; undefined when it isn't in the database. Needs the turn.
    pub fn applied(&self, permit: u32, client: &str, id: f64) -> Result<Option<Vec<u8>>, JsValue> {
        self.database.applied(permit, client, id as u64).thrown()
    }

    /// Whether a script runs in one transaction: it has none of its own, and isn't a lone VACUUM.
    #[wasm_bindgen(js_name = isWhole)]
    pub fn is_whole(&self, script: &str) -> bool {
        Database::is_whole(script)
    }
}

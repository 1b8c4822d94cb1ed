//! Snapshots.

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::{
    handle::{Core, replacing},
    options::Fields,
    promise::{answer, done},
};
use crate::{snapshot::Reason, store::PointInTime, time::Timestamp};

/// Returns the point in time at these milliseconds since 1970: `{ lsn? }`.
pub(super) fn point_of(at: f64, options: &Fields<'_>) -> PointInTime {
    PointInTime { at: Timestamp(at as i64), lsn: options.any_number("lsn").map(|lsn| lsn as u64) }
}

#[wasm_bindgen]
impl Core {
    /// Takes a snapshot: `{ label? }`.
    #[wasm_bindgen(js_name = snapshotsCreate)]
    pub fn snapshots_create(&self, options: &JsValue) -> Promise {
        let (label, cancel) = (Fields(options).any_text("label"), Fields(options).cancel());
        let (snapshots, cancels) = (self.database.snapshots().clone(), self.cancels.clone());
        answer(async move { cancels.watch(cancel, snapshots.create(label, Reason::Manual)).await })
    }

    /// Returns all snapshots, newest first.
    #[wasm_bindgen(js_name = snapshotsList)]
    pub fn snapshots_list(&self) -> Promise {
        let list = self.database.snapshots().list();
        answer(async move { Ok(list) })
    }

    /// Reads a snapshot back and verifies it.
    #[wasm_bindgen(js_name = snapshotsVerify)]
    pub fn snapshots_verify(&self, id: String) -> Promise {
        let snapshots = self.database.snapshots().clone();
        answer(async move { snapshots.verify(&id).await })
    }

    /// Restores a snapshot: `{ force?, timeoutMs?, cancel? }`. `cancel` is an id of `newCancel`; it is honoured until the
    /// commit.
    #[wasm_bindgen(js_name = snapshotsRestore)]
    pub fn snapshots_restore(&self, id: String, options: &JsValue) -> Promise {
        let (database, options) = (self.limited(options), Fields(options));
        let (force, timeout_ms) = (options.is("force"), options.any_number("timeoutMs"));
        replacing(database.clone(), Box::pin(async move { database.prepare_restore(&id, force, timeout_ms).await }))
    }

    /// Restores the state at a time in milliseconds since 1970: the same options, and `lsn`.
    #[wasm_bindgen(js_name = snapshotsRestoreAt)]
    pub fn snapshots_restore_at(&self, at: f64, options: &JsValue) -> Promise {
        let (database, options) = (self.limited(options), Fields(options));
        let (point, force, timeout_ms) = (point_of(at, &options), options.is("force"), options.any_number("timeoutMs"));
        replacing(
            database.clone(),
            Box::pin(async move { database.prepare_restore_at(point, force, timeout_ms).await }),
        )
    }

    /// Returns what can be restored, with at most that many of the newest states.
    #[wasm_bindgen(js_name = snapshotsHistory)]
    pub fn snapshots_history(&self, limit: u32) -> Promise {
        let snapshots = self.database.snapshots().clone();
        answer(async move { snapshots.history(limit as usize).await })
    }

    /// Deletes a snapshot.
    #[wasm_bindgen(js_name = snapshotsDelete)]
    pub fn snapshots_delete(&self, id: String) -> Promise {
        let snapshots = self.database.snapshots().clone();
        done(async move { snapshots.delete(&id).await })
    }

    /// Deletes the snapshots that the options don't keep.
    #[wasm_bindgen(js_name = snapshotsPrune)]
    pub fn snapshots_prune(&self) -> Promise {
        let snapshots = self.database.snapshots().clone();
        done(async move { snapshots.prune().await })
    }

    /// Returns the status of the snapshots.
    #[wasm_bindgen(js_name = snapshotsStatus)]
    pub fn snapshots_status(&self) -> Promise {
        let status = self.database.snapshots().status();
        answer(async move { Ok(status) })
    }
}

//! Asynchronous operations on the database: plain objects in, promises of plain objects out.

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::{
    convert::to_js,
    handle::Core,
    options::Fields,
    promise::{answer, done},
};
use crate::health::Thresholds;

#[wasm_bindgen]
impl Core {
    /// Resolves when the permit holds the mutex; rejects with `closed`.
    #[wasm_bindgen(js_name = waitForPermit)]
    pub fn wait_for_permit(&self, permit: u32) -> Promise {
        done(self.database.mutex().wait(permit))
    }

    /// Resolves when everything committed so far is as durable as the mode promises; undefined when it already is.
    pub fn stored(&self) -> Option<Promise> {
        self.database.stored().map(done)
    }

    /// Runs pending migrations and starts the database. If it rejects, the database is closed.
    pub fn start(&self) -> Promise {
        let database = self.database.clone();
        done(async move { database.start().await })
    }

    /// Loads FTS5 for a statement that failed because FTS5 is missing; it can then be run again.
    #[wasm_bindgen(js_name = loadFts5)]
    pub fn load_fts5(&self) -> Promise {
        let database = self.database.clone();
        done(async move { database.load_fts5().await })
    }

    /// Resolves when everything committed so far is stored.
    pub fn flush(&self) -> Promise {
        let database = self.database.clone();
        done(async move { database.flush().await })
    }

    /// Locks the connection, stores all commits and closes the database. Idempotent.
    pub fn close(&self) -> Promise {
        let database = self.database.clone();
        done(async move { database.close().await })
    }

    /// Handles that the browser has removed the database's files. Returns the error with which all calls fail from now on;
    /// undefined if the lock was known to be lost, or the database is closed.
    #[wasm_bindgen(js_name = loseFiles)]
    pub fn lose_files(&self) -> JsValue {
        self.database.lose_files().map_or(JsValue::UNDEFINED, |error| to_js(&error))
    }

    /// Asks the browser never to evict the stored data. Resolves with whether it agreed.
    pub fn persist(&self) -> Promise {
        let database = self.database.clone();
        answer(async move { database.persist().await })
    }

    /// Returns the health report; `thresholds` are those given in the option `health`.
    pub fn health(&self, thresholds: &JsValue) -> Promise {
        let usual = Thresholds::default();
        let number = |name: &str, usual: f64| Fields(thresholds).any_number(name).unwrap_or(usual);
        let thresholds = Thresholds {
            no_snapshot_ms: number("noSnapshotMs", usual.no_snapshot_ms),
            sync_lag_ms: number("syncLagMs", usual.sync_lag_ms),
            storage_ratio: number("storageRatio", usual.storage_ratio),
            growth_factor: number("growthFactor", usual.growth_factor),
        };
        let database = self.database.clone();
        answer(async move { Ok(database.health_by(&thresholds).await) })
    }
}

//! Asynchronous operations: plain objects in, promises of plain objects out.

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::{
    handle::Core,
    options::{self, Fields},
    promise::{answer, done},
};
use crate::{health::Thresholds, snapshot::Reason, time::Timestamp};

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

    /// Returns one row per version.
    #[wasm_bindgen(js_name = migrationsStatus)]
    pub fn migrations_status(&self) -> Promise {
        let database = self.database.clone();
        answer(async move { database.migrations_status().await })
    }

    /// Applies pending migrations: `{ to?, steps?, dryRun? }`.
    #[wasm_bindgen(js_name = migrationsRun)]
    pub fn migrations_run(&self, options: &JsValue) -> Promise {
        self.migrate(options, false)
    }

    /// Reverts applied migrations: `{ to?, steps?, dryRun? }`.
    #[wasm_bindgen(js_name = migrationsRevert)]
    pub fn migrations_revert(&self, options: &JsValue) -> Promise {
        self.migrate(options, true)
    }

    /// Marks migrations as applied up to a version.
    #[wasm_bindgen(js_name = migrationsBaseline)]
    pub fn migrations_baseline(&self, version: String) -> Promise {
        let database = self.database.clone();
        answer(async move { database.migrations_baseline(&version).await })
    }

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

    /// Restores a snapshot: `{ force? }`.
    #[wasm_bindgen(js_name = snapshotsRestore)]
    pub fn snapshots_restore(&self, id: String, options: &JsValue) -> Promise {
        let (database, force) = (self.database.clone(), Fields(options).is("force"));
        done(async move { database.restore(&id, force).await })
    }

    /// Restores the state at a time in milliseconds since 1970: `{ force? }`.
    #[wasm_bindgen(js_name = snapshotsRestoreAt)]
    pub fn snapshots_restore_at(&self, at: f64, options: &JsValue) -> Promise {
        let (database, force) = (self.database.clone(), Fields(options).is("force"));
        done(async move { database.restore_at(Timestamp(at as i64), force).await })
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

impl Core {
    fn migrate(&self, options: &JsValue, revert: bool) -> Promise {
        let (run, cancel) = (options::run(options), Fields(options).cancel());
        let (database, cancels) = (self.database.clone(), self.cancels.clone());
        let running = async move {
            if revert { database.migrations_revert(run).await } else { database.migrations_run(run).await }
        };
        answer(async move { cancels.watch(cancel, running).await })
    }
}

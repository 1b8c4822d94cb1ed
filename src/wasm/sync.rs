//! Sync: plain objects in, promises of plain objects out.

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;

use super::{
    callbacks::HostCallbacks,
    convert::{Thrown, from_js, to_js},
    handle::Core,
    promise::{answer, done},
};
use crate::{
    browser::{self, Host},
    engine::{
        Callbacks,
        sync::{remote_schema::schema_from_remote, single_flight::OnProgress},
    },
    sync::{
        config::checked::Config,
        report::{PullOptions, PullProgress},
    },
};

#[wasm_bindgen]
impl Core {
    /// Checks the `remote` of a database that will be opened. Throws `invalid_argument`.
    #[wasm_bindgen(js_name = checkRemote)]
    pub fn check_remote(remote: &JsValue) -> Result<(), JsValue> {
        Config::new(from_js(remote)?).thrown().map(drop)
    }

    /// Reads the tables of a remote → `{ up, down, leftOut }`. `remote` is a `CoreRemoteOptions` with the requested
    /// tables; none: all. This instance opens no database.
    #[wasm_bindgen(js_name = schemaFromRemote)]
    pub fn schema_from_remote(remote: &JsValue, host: Host) -> Result<Promise, JsValue> {
        let remote = from_js(remote)?;
        Ok(answer(async move {
            let ports = browser::ports(&host);
            let callbacks = HostCallbacks { host };
            let tokens = || callbacks.access_token();
            schema_from_remote(remote, ports.http, &ports.platform, &tokens).await
        }))
    }

    /// Sets the remote: `CoreRemoteOptions`. Call this before `start`; when it rejects, the database is closed.
    pub fn connect(&self, remote: &JsValue) -> Result<Promise, JsValue> {
        let remote = from_js(remote)?;
        let database = self.database.clone();
        Ok(done(async move { database.connect(remote).await }))
    }

    /// Pulls the remote's rows: `{ mode?, tables?, full?, allowEmpty?, discardUnpushed? }` → `PullReport`. `progress`
    /// is called after each page; `cancel` is an id of `newCancel`, or 0.
    #[wasm_bindgen(js_name = syncPull)]
    pub fn sync_pull(&self, options: &JsValue, progress: Option<Function>, cancel: u32) -> Result<Promise, JsValue> {
        let options: PullOptions = from_js(options)?;
        let progress = progress.map(on_progress);
        let (database, cancels) = (self.database.clone(), self.cancels.clone());
        Ok(answer(async move { cancels.watch(cancel, database.sync_pull(options, progress)).await }))
    }

    /// Pushes the local changes → `PushReport`. `progress` and `cancel` as in `syncPull`.
    #[wasm_bindgen(js_name = syncPush)]
    pub fn sync_push(&self, progress: Option<Function>, cancel: u32) -> Promise {
        let progress = progress.map(on_progress);
        let (database, cancels) = (self.database.clone(), self.cancels.clone());
        answer(async move { cancels.watch(cancel, database.sync_push(progress)).await })
    }

    /// Starts automatic sync, with `interval_ms` milliseconds between rounds.
    #[wasm_bindgen(js_name = syncStart)]
    pub fn sync_start(&self, interval_ms: f64) -> Result<(), JsValue> {
        self.database.sync_start(interval_ms as u64).thrown()
    }

    /// Stops automatic sync.
    #[wasm_bindgen(js_name = syncStop)]
    pub fn sync_stop(&self) {
        self.database.sync_stop();
    }

    /// Reports that a user has signed in or out.
    #[wasm_bindgen(js_name = syncUser)]
    pub fn sync_user(&self, signed_in: bool) -> Result<(), JsValue> {
        self.database.sync_user(signed_in).thrown()
    }

    /// Resolves with whether all pulled tables were pulled once.
    #[wasm_bindgen(js_name = syncReady)]
    pub fn sync_ready(&self) -> Promise {
        let database = self.database.clone();
        answer(async move { database.sync_ready().await })
    }

    /// Requeues a rejected change. `limits` here and below: `{ timeoutMs?, cancel? }`.
    #[wasm_bindgen(js_name = syncRetry)]
    pub fn sync_retry(&self, id: &str, limits: &JsValue) -> Promise {
        let (database, id) = (self.limited(limits), id.parse().unwrap_or_default());
        answer(async move { database.sync_retry(id).await })
    }

    /// Discards a change and takes the remote's row.
    #[wasm_bindgen(js_name = syncDiscard)]
    pub fn sync_discard(&self, id: &str, limits: &JsValue) -> Promise {
        let (database, id) = (self.limited(limits), id.parse().unwrap_or_default());
        answer(async move { database.sync_discard(id).await })
    }

    /// Queues the rows of a table that the remote doesn't have → their number.
    #[wasm_bindgen(js_name = syncEnqueue)]
    pub fn sync_enqueue(&self, table: String, limits: &JsValue) -> Promise {
        let database = self.limited(limits);
        answer(async move { database.sync_enqueue(&table).await })
    }

    /// Returns the newest conflicts, at most `limit`, newest first.
    #[wasm_bindgen(js_name = syncConflicts)]
    pub fn sync_conflicts(&self, limit: u32) -> Promise {
        let database = self.database.clone();
        answer(async move { database.sync_conflicts(limit).await })
    }

    /// Returns the local changes that wait to be pushed.
    #[wasm_bindgen(js_name = syncPending)]
    pub fn sync_pending(&self) -> Promise {
        let database = self.database.clone();
        answer(async move { database.sync_pending().await })
    }

    /// Returns the rejected local changes.
    #[wasm_bindgen(js_name = syncRejected)]
    pub fn sync_rejected(&self) -> Promise {
        let database = self.database.clone();
        answer(async move { database.sync_rejected().await })
    }

    /// Returns one entry per synced table.
    #[wasm_bindgen(js_name = syncStatus)]
    pub fn sync_status(&self) -> Promise {
        let database = self.database.clone();
        answer(async move { database.sync_status().await })
    }
}

fn on_progress(function: Function) -> OnProgress {
    Box::new(move |step: PullProgress| {
        // TypeScript's wrapper catches errors of the user's function.
        let _ = function.call1(&JsValue::UNDEFINED, &to_js(&step));
    })
}

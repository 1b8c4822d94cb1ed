//! What waits: plain objects in, promises of plain objects out.

use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

use super::{
    Core,
    convert::{Thrown, from_js, to_js},
};
use crate::{error::Result, snapshot::Reason};

/// An answer as a plain object, or the error to throw.
fn answer<T: Serialize>(result: Result<T>) -> Result<JsValue, JsValue> {
    result.map(|value| to_js(&value)).thrown()
}

/// The part of every cancellable call's options.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Cancel {
    cancel: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct CreateOptions {
    label: Option<String>,
    cancel: u32,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RestoreOptions {
    force: bool,
}

#[wasm_bindgen]
impl Core {
    /// One row a version.
    #[wasm_bindgen(js_name = migrationsStatus)]
    pub async fn migrations_status(&self) -> Result<JsValue, JsValue> {
        answer(self.database.migrations_status().await)
    }

    /// Applies pending migrations: `{ to?, steps?, dryRun? }`.
    #[wasm_bindgen(js_name = migrationsRun)]
    pub async fn migrations_run(&self, options: JsValue) -> Result<JsValue, JsValue> {
        let Cancel { cancel } = from_js(&options)?;
        answer(self.cancels.watch(cancel, self.database.migrations_run(from_js(&options)?)).await)
    }

    /// Reverts applied migrations: `{ to?, steps?, dryRun? }`.
    #[wasm_bindgen(js_name = migrationsRevert)]
    pub async fn migrations_revert(&self, options: JsValue) -> Result<JsValue, JsValue> {
        let Cancel { cancel } = from_js(&options)?;
        answer(self.cancels.watch(cancel, self.database.migrations_revert(from_js(&options)?)).await)
    }

    /// Marks migrations as applied up to a version.
    #[wasm_bindgen(js_name = migrationsBaseline)]
    pub async fn migrations_baseline(&self, version: String) -> Result<JsValue, JsValue> {
        answer(self.database.migrations_baseline(&version).await)
    }

    /// Takes a snapshot: `{ label? }`.
    #[wasm_bindgen(js_name = snapshotsCreate)]
    pub async fn snapshots_create(&self, options: JsValue) -> Result<JsValue, JsValue> {
        let CreateOptions { label, cancel } = from_js(&options)?;
        answer(self.cancels.watch(cancel, self.database.snapshots().create(label, Reason::Manual)).await)
    }

    /// All snapshots, newest first.
    #[wasm_bindgen(js_name = snapshotsList)]
    pub async fn snapshots_list(&self) -> JsValue {
        to_js(&self.database.snapshots().list())
    }

    /// Reads one again and checks it.
    #[wasm_bindgen(js_name = snapshotsVerify)]
    pub async fn snapshots_verify(&self, id: String) -> Result<JsValue, JsValue> {
        answer(self.database.snapshots().verify(&id).await)
    }

    /// Goes back to one: `{ force? }`.
    #[wasm_bindgen(js_name = snapshotsRestore)]
    pub async fn snapshots_restore(&self, id: String, options: JsValue) -> Result<(), JsValue> {
        let RestoreOptions { force } = from_js(&options)?;
        self.database.restore(&id, force).await.thrown()
    }

    /// Deletes one.
    #[wasm_bindgen(js_name = snapshotsDelete)]
    pub async fn snapshots_delete(&self, id: String) -> Result<(), JsValue> {
        self.database.snapshots().delete(&id).await.thrown()
    }

    /// Deletes what the options let go of.
    #[wasm_bindgen(js_name = snapshotsPrune)]
    pub async fn snapshots_prune(&self) -> Result<(), JsValue> {
        self.database.snapshots().prune().await.thrown()
    }

    /// How the snapshots are doing.
    #[wasm_bindgen(js_name = snapshotsStatus)]
    pub async fn snapshots_status(&self) -> JsValue {
        to_js(&self.database.snapshots().status())
    }

    /// The health report.
    pub async fn health(&self) -> JsValue {
        to_js(&self.database.health().await)
    }
}

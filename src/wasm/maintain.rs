//! Audit and maintenance: plain objects in, promises of plain objects out.

use js_sys::{Array, Promise};
use wasm_bindgen::prelude::*;

use super::{
    convert::Thrown,
    handle::Core,
    options::Fields,
    promise::{answer, done},
};
use crate::{
    audit::{self, Redacted},
    browser::property,
    engine::MaintainOptions,
    maintain::Expiry,
};

#[wasm_bindgen]
impl Core {
    /// Sets what to audit: `CoreAudit`. Call this before `start`; when it rejects, the database is closed.
    pub fn audit(&self, options: &JsValue) -> Promise {
        let fields = Fields(options);
        let redacted = |each: &JsValue| Redacted {
            table: Fields(each).any_text("table"),
            column: Fields(each).any_text("column").unwrap_or_default(),
        };
        let options = audit::AuditOptions {
            tables: list(options, "tables").iter().filter_map(JsValue::as_string).collect(),
            redact: list(options, "redact").iter().map(redacted).collect(),
            retention_days: fields.any_number("retentionDays"),
            table: fields.any_text("table").unwrap_or_default(),
        };
        let database = self.database.clone();
        done(async move { database.audit(options).await })
    }

    /// Sets the actor for the audit log from now on. Needs the mutex.
    #[wasm_bindgen(js_name = setActor)]
    pub fn set_actor(&self, actor: Option<String>) -> Result<(), JsValue> {
        self.database.set_actor(actor.as_deref()).thrown()
    }

    /// Runs maintenance → a report. `expires` is a `{ table, column }[]` whose rows expire. `cancel` is an id of
    /// `newCancel`, or 0.
    pub fn maintain(&self, expires: &JsValue, cancel: u32) -> Promise {
        let expiry = |each: JsValue| Expiry {
            table: Fields(&each).any_text("table").unwrap_or_default(),
            column: Fields(&each).any_text("column").unwrap_or_default(),
        };
        let options = MaintainOptions { expires: Array::from(expires).iter().map(expiry).collect() };
        let (database, cancels) = (self.database.clone(), self.cancels.clone());
        answer(async move { cancels.watch(cancel, database.maintain(options)).await })
    }
}

fn list(options: &JsValue, name: &str) -> Vec<JsValue> {
    property(options, name).map(|list| Array::from(&list).to_vec()).unwrap_or_default()
}

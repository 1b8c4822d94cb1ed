//! The engine's callbacks over the host's functions.

use wasm_bindgen::JsValue;

use super::{convert::to_js, promise::settled};
use crate::{
    browser::{Host, thrown_name, thrown_text},
    engine::{Callbacks, Event, connection::mutex::MutexPermit},
    error::{Error, ErrorCode, Result},
    ports::{LocalFuture, entered},
    sync::{
        report::{Cells, Conflicting},
        values::encode::decode_row,
    },
    time::Timestamp,
};

/// Calls the functions that TypeScript handed in.
pub struct HostCallbacks {
    /// Whose functions they are.
    pub host: Host,
}

impl Callbacks for HostCallbacks {
    fn emit(&self, event: Event) {
        self.host.emit(&to_js(&event));
    }

    fn run_migration(&self, version: &str, direction: &str, permit: MutexPermit) -> LocalFuture<'static, Result<()>> {
        let started = self.host.migrate(version, direction, permit);
        Box::pin(async move {
            let thrown = |error: JsValue| Error::new(ErrorCode::Internal, thrown_text(&error));
            settled(started).await.map(|_| ()).map_err(thrown)
        })
    }

    fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>> {
        let started = self.host.access_token();
        Box::pin(async move {
            let thrown = |error: JsValue| {
                // What it says may hold the very credentials that it was to renew.
                Error::new(ErrorCode::SyncUnauthorized, "accessToken() failed")
                    .cause(thrown_name(&error))
                    .hint("Sign in again, or let it return null for the key alone; log inside of it what it throws")
            };
            settled(started).await.map(|token| token.as_string()).map_err(thrown)
        })
    }

    fn next_snapshot(&self, after: Timestamp) -> LocalFuture<'static, Option<Timestamp>> {
        let started = self.host.next_snapshot(after.0 as f64);
        Box::pin(async move { settled(started).await.ok()?.as_f64().map(|due| Timestamp(due as i64)) })
    }

    fn resolve_conflict(&self, conflict: Conflicting) -> LocalFuture<'static, Result<Option<Cells>>> {
        resolve(self.host.clone(), conflict)
    }
}

/// Only sync asks: an entry of its part, never inlined, so that the part can be cut off here.
#[inline(never)]
fn resolve(host: Host, conflict: Conflicting) -> LocalFuture<'static, Result<Option<Cells>>> {
    entered(async move {
        let failed = |error: JsValue| {
            let text = format!("The conflict function of table {} failed", conflict.table);
            Error::invalid(text)
                .cause(thrown_text(&error))
                .hint(
                    "It gets { table, key, base, local, remote } and gives a row or null: see cause for why it failed",
                )
                .detail("table", conflict.table.clone())
        };
        let row = settled(host.resolve_conflict(&to_js(&conflict))).await.map_err(failed)?;
        Ok(row.as_string().map(|row| Cells(decode_row(&row))))
    })
}

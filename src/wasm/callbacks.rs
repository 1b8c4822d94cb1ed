//! The engine's callbacks, implemented by the host's functions.

use wasm_bindgen::JsValue;

use super::{convert::to_js, promise::settled};
use crate::{
    browser::{Host, thrown_name, thrown_text},
    collections::Map,
    engine::{Callbacks, Event, connection::mutex::MutexPermit},
    error::{Error, ErrorCode, Result},
    ports::{LocalFuture, entered},
    sync::{
        report::{Cells, Conflict},
        values::{encode::decode_row, json::parse_string_array},
    },
    time::Timestamp,
};

/// Calls the functions that TypeScript passed in.
pub struct HostCallbacks {
    /// The host with the functions.
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
                // Its message may contain the credentials that it was to renew.
                Error::new(ErrorCode::SyncUnauthorized, "Getting the access token failed").cause(thrown_name(&error)).hint(
                    "Sign in again. To learn more, log the error inside accessToken; it may return null to use the key alone",
                )
            };
            let token = settled(started).await.map_err(thrown)?;
            match token.as_string().filter(|token| !token.is_empty()) {
                None if token.is_null() || token.is_undefined() => Ok(None),
                // Sent without it, the changes of a user would be those of an anonymous one.
                None => Err(Error::invalid("accessToken must return a token or null")
                    .hint("Return session?.access_token ?? null, not the session itself")),
                token => Ok(token),
            }
        })
    }

    fn next_snapshot(&self, after: Timestamp) -> LocalFuture<'static, Option<Timestamp>> {
        let started = self.host.next_snapshot(after.0 as f64);
        Box::pin(async move { settled(started).await.ok()?.as_f64().map(|due| Timestamp(due as i64)) })
    }

    fn filter(&self, table: &str) -> LocalFuture<'static, Result<Map<String, String>>> {
        filter(self.host.clone(), table.to_owned())
    }

    fn resolve_conflict(&self, conflict: Conflict) -> LocalFuture<'static, Result<Option<Cells>>> {
        resolve(self.host.clone(), conflict)
    }
}

/// An entry of the part `sync`, the only caller: never inlined, so that the part can be split off here.
#[inline(never)]
fn filter(host: Host, table: String) -> LocalFuture<'static, Result<Map<String, String>>> {
    entered(async move {
        let failed = |error: JsValue| {
            Error::invalid(format!("The filter function of table {table} failed"))
                .cause(thrown_text(&error))
                .hint("It must return an object of filters, as { status: 'eq.open' }; the cause is its error")
                .detail("table", table.clone())
        };
        let pairs = settled(host.remote_filter(&table)).await.map_err(failed)?;
        let pairs = pairs.as_string().as_deref().and_then(parse_string_array).unwrap_or_default();
        let mut filter = Map::default();
        pairs.chunks_exact(2).for_each(|pair| _ = filter.insert(pair[0].clone(), pair[1].clone()));
        Ok(filter)
    })
}

/// An entry of the part `sync`, the only caller: never inlined, so that the part can be split off here.
#[inline(never)]
fn resolve(host: Host, conflict: Conflict) -> LocalFuture<'static, Result<Option<Cells>>> {
    entered(async move {
        let failed = |error: JsValue| {
            let text = format!("The conflict function of table {} failed", conflict.table);
            Error::invalid(text)
                .cause(thrown_text(&error))
                .hint(
                    "It gets { table, key, base, local, remote } and must return a row or null; the cause is its error",
                )
                .detail("table", conflict.table.clone())
        };
        let row = settled(host.resolve_conflict(&to_js(&conflict))).await.map_err(failed)?;
        Ok(row.as_string().map(|row| Cells(decode_row(&row))))
    })
}

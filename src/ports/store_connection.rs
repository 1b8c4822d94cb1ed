//! The connection to a store that runs elsewhere, such as in a worker.

use super::LocalFuture;
use crate::error::Result;

/// Carries the requests of `store::proxy` to what serves them, and the replies back.
pub trait StoreConnection {
    /// Starts what serves the store, unless it runs. Fails with `wasm_load_failed`, `unsupported_environment`.
    fn connect(&self) -> LocalFuture<'static, Result<()>>;

    /// Sends a request before it returns, and resolves with the reply. Requests arrive in the order of these calls.
    ///
    /// Fails with `storage_unavailable` when nothing serves the store, or no longer: whether the request was carried out
    /// is unknown then.
    fn ask(&self, request: &[u8]) -> LocalFuture<'static, Result<Vec<u8>>>;

    /// Ends what serves the store.
    fn end(&self);
}

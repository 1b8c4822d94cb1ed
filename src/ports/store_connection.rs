//! The connection to a store that runs elsewhere, such as in a worker.

use super::LocalFuture;
use crate::error::Result;

/// Sends the requests of `store::proxy` to the server of the store, and receives its replies.
pub trait StoreConnection {
    /// Starts the server, unless it runs. Fails with `wasm_load_failed`, `unsupported_environment`.
    fn connect(&self) -> LocalFuture<'static, Result<()>>;

    /// Sends a request before it returns, and resolves with the reply. Requests arrive in the order of these calls.
    ///
    /// Fails with `storage_unavailable` when there is no server, or it ended before its reply: whether the request was
    /// carried out is unknown then.
    fn ask(&self, request: &[u8]) -> LocalFuture<'static, Result<Vec<u8>>>;

    /// Ends the server.
    fn end(&self);
}

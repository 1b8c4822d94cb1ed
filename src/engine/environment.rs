//! What the drivers of migrations and sync ask of the database around them.

use std::rc::Rc;

use super::connection::mutex::MutexGuard;
use crate::{error::Result, ports::LocalFuture, sqlite::Connection};

/// What both need of the database around them.
pub trait Environment {
    /// The connection; `closed` when there is none any more.
    fn connection(&self) -> Result<Rc<Connection>>;

    /// Locks the connection, in the order of the calls.
    fn lock_connection(&self) -> LocalFuture<'_, Result<MutexGuard>>;

    /// Takes a safety snapshot of what is committed. The caller has locked the connection, so this must not lock it.
    fn safety_snapshot(&self) -> LocalFuture<'_, Result<()>>;

    /// Resolves when everything committed so far is as durable as the mode promises.
    fn stored(&self) -> LocalFuture<'static, Result<()>>;
}

//! The services that a database provides to the drivers of migrations and sync.

use std::rc::Rc;

use super::connection::mutex::MutexGuard;
use crate::{error::Result, ports::LocalFuture, sqlite::Connection};

/// The services of a database that both drivers need.
pub trait Environment {
    /// Returns the connection. Fails with `closed` after the database was closed.
    fn connection(&self) -> Result<Rc<Connection>>;

    /// Locks the connection; calls wait in a queue.
    fn lock_connection(&self) -> LocalFuture<'_, Result<MutexGuard>>;

    /// Takes a safety snapshot of the committed contents. The caller has locked the connection, so this must not lock
    /// it.
    fn safety_snapshot(&self) -> LocalFuture<'_, Result<()>>;

    /// Resolves when all commits so far are as durable as the option `durability` promises.
    fn stored(&self) -> LocalFuture<'static, Result<()>>;
}

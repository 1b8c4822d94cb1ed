//! The services that a database provides to the drivers of migrations and sync.

use std::rc::Rc;

use super::connection::{limits::CallLimits, mutex::MutexGuard};
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

/// Makes a change within the limits, and waits until it is stored, which nothing ends: it is made by then.
///
/// A failed change may have commits, too, as a run of migrations has. Its error has priority over one of the storage.
pub async fn until_stored<T>(
    host: &dyn Environment,
    limits: &CallLimits,
    change: LocalFuture<'_, Result<T>>,
) -> Result<T> {
    let changed = limits.until_commit(async { Ok(change.await) }).await?;
    let stored = host.stored().await;
    let value = changed?;
    stored.map(|()| value)
}

//! Serves other tabs: records each of their writes in the write's own transaction.

use crate::{
    engine::{Database, connection::mutex::MutexPermit},
    error::{Error, Result},
    sqlite::TransactionMode,
    tabs::{self, TabWrite},
};

impl Database {
    /// Records a write and its reply in the open transaction, unless the transaction wrote nothing.
    ///
    /// Fails with `transaction_closed` if the permit doesn't hold the connection, and as every write does.
    pub fn note_applied(&self, permit: MutexPermit, write: &TabWrite<'_>, reply: &[u8]) -> Result<()> {
        let connection = self.inner.connection()?;
        self.inner.mutex.check(permit)?;
        if !connection.in_transaction() {
            return Err(Error::internal("A write is to be noted outside of its transaction"));
        }
        if self.inner.transaction.wrote.get() { tabs::note(&connection, write, reply) } else { Ok(()) }
    }

    /// Returns the recorded result of a write, or `None` if the write isn't in the database. Requires a permit that
    /// holds the connection.
    pub fn applied(&self, permit: MutexPermit, client: &str, id: u64) -> Result<Option<Vec<u8>>> {
        let connection = self.inner.connection()?;
        self.inner.mutex.check(permit)?;
        tabs::reply(&connection, client, id)
    }

    /// Returns whether a script runs in one transaction, in which the write can be recorded.
    pub fn is_whole(script: &str) -> bool {
        TransactionMode::of(script) == TransactionMode::Whole
    }
}

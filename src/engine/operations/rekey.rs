//! Changing what an open database is encrypted with.

use crate::{
    engine::{
        Database, Event,
        event::{CloseEvent, CloseReason},
        options::StorageKind,
    },
    error::Result,
    store::{Rekeyed, sealed::Vault},
};

impl Database {
    /// Changes the secret of an encrypted database, encrypts a plain one, or, with `None`, makes it plain. Calls on the
    /// database wait meanwhile; a page that dies leaves it with the old or with the new secret. With `storage: 'memory'`
    /// there is nothing at rest, and nothing to do.
    ///
    /// Fails as a flush and the storage do, and with `invalid_argument` when the user's key refuses its work; then the old
    /// secret stays. If it is unknown whether the new one was stored, the database is closed.
    pub async fn rekey(&self, vault: Option<Vault>) -> Result<()> {
        let inner = &*self.inner;
        let guard = inner.acquire().await?;
        inner.connection()?;
        if inner.options.storage == StorageKind::Memory {
            return Ok(());
        }
        inner.flusher.flush().await?;
        let pass = inner.snapshots.pause().await?;
        let rekeyed = inner.storage.rekey(vault.as_ref()).await;
        drop(pass);
        match rekeyed {
            Rekeyed::Done => Ok(()),
            Rekeyed::Unchanged(error) => Err(error),
            Rekeyed::Unknown(error) => {
                inner.closing.set(true);
                inner.release_resources().await;
                drop(guard);
                inner.events.emit(Event::Close(CloseEvent { reason: CloseReason::Closed }));
                Err(error.hint("Open the database again, with the old or the new secret: one of them fits"))
            }
        }
    }
}

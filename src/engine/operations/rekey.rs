//! Changes the encryption of an open database.

use crate::{
    engine::{
        Database, Event,
        event::{CloseReason, EngineCloseEvent},
        options::StorageKind,
    },
    error::Result,
    store::{Rekeyed, sealed::Vault},
};

impl Database {
    /// Changes the secret of an encrypted database, encrypts a plain one, or decrypts it with `None`. Other calls wait
    /// meanwhile. If the page dies, the database has either the old or the new secret. Does nothing with
    /// `storage: 'memory'`, which stores nothing.
    ///
    /// Fails as a flush and the storage do, and with `invalid_argument` when the user's key can't encrypt; the old
    /// secret then stays. If it is unknown whether the new secret was stored, the database is closed.
    pub async fn rekey(&self, vault: Option<Vault>) -> Result<()> {
        let inner = &*self.inner;
        let guard = inner.acquire().await?;
        inner.connection()?;
        if inner.options.storage == StorageKind::Memory {
            return Ok(());
        }
        inner.flusher.flush().await?;
        let snapshots_guard = inner.snapshots.pause().await?;
        let rekeyed = inner.storage.rekey(vault.as_ref()).await;
        drop(snapshots_guard);
        match rekeyed {
            Rekeyed::Done => Ok(()),
            Rekeyed::Unchanged(error) => Err(error),
            Rekeyed::Unknown(error) => {
                inner.closing.set(true);
                let _ = inner.release_resources().await;
                drop(guard);
                inner.events.emit(Event::Close(EngineCloseEvent { reason: CloseReason::Closed }));
                Err(error.hint("Open the database again, with the old or the new secret: one of them fits"))
            }
        }
    }
}

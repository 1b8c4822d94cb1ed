//! Changes the encryption of an open database: its secret, and its data key.

use crate::{
    engine::{
        Database, Event,
        connection::mutex::MutexGuard,
        event::{CloseReason, EngineCloseEvent},
        options::StorageKind,
    },
    error::{ErrorCode, Result},
    ports::{LocalFuture, entered},
    store::{Rekeyed, Rotation, sealed::Vault},
};

/// What to do when it is unknown whether a change was stored.
const EITHER: &str = "Open the database again, with the old or the new secret: one of them fits";
const AGAIN: &str = "Open the database again, which continues the rotation of its key";

/// Other calls and snapshots wait until this is dropped.
pub struct Quiet {
    calls: MutexGuard,
    snapshots: MutexGuard,
}

impl Database {
    /// Changes the secret of an encrypted database, encrypts a plain one, or decrypts it with `None`. Other calls wait
    /// meanwhile. If the page dies, the database has either the old or the new secret. Does nothing with
    /// `storage: 'memory'`, which stores nothing.
    ///
    /// Fails as a flush and the storage do, with `out_of_memory` when the log doesn't fit into memory twice, and with
    /// `invalid_argument` when the user's key can't encrypt; the old secret then stays. If it is unknown whether the new
    /// secret was stored, the database is closed.
    pub async fn rekey(&self, vault: Option<Vault>) -> Result<()> {
        self.rekey_quiet(self.quiet().await?, vault).await
    }

    /// Waits until nothing else uses the storage, everything is stored, and no snapshot is being taken: the part of a
    /// [`rekey`](Self::rekey) that can be cancelled. Fails as a flush does.
    pub async fn quiet(&self) -> Result<Quiet> {
        let inner = &*self.inner;
        let calls = inner.acquire().await?;
        inner.connection()?;
        inner.flusher.flush_first().await?;
        Ok(Quiet { snapshots: inner.snapshots.pause().await?, calls })
    }

    /// Does the rest of a [`rekey`](Self::rekey), which must not be cancelled: the secret may have changed.
    pub async fn rekey_quiet(&self, quiet: Quiet, vault: Option<Vault>) -> Result<()> {
        if self.inner.options.storage == StorageKind::Memory {
            return Ok(());
        }
        let change = Box::pin(self.inner.storage.rekey(vault.as_ref()));
        self.change_keys_quiet(quiet, change, EITHER).await.map(drop)
    }

    /// Begins to replace the data key of an encrypted database, or continues: [`copy_ahead`](Self::copy_ahead) and
    /// [`end_rotation`](Self::end_rotation) with its result must follow. Other calls wait meanwhile. Does nothing with
    /// `storage: 'memory'`.
    ///
    /// Fails as [`rekey`](Self::rekey) does, and with `invalid_argument` when the database is not encrypted.
    pub async fn begin_rotation(&self) -> Result<()> {
        if self.inner.options.storage == StorageKind::Memory {
            return self.inner.connection().map(drop);
        }
        self.change_keys(Box::pin(self.inner.storage.begin_rotation()), AGAIN).await.map(drop)
    }

    /// Makes the data key look as if it had encrypted as often as is safe.
    #[cfg(feature = "testing")]
    pub fn wear_key(&self) {
        self.inner.storage.wear_key();
    }

    /// Encrypts the stored chunks with the next data key, slice by slice, while other calls run; returns the rotation, if
    /// one is under way. It may be dropped: the next rotation continues, in this or in another page.
    ///
    /// Fails as the storage does.
    pub async fn copy_ahead(&self) -> Result<Option<Rotation>> {
        let inner = &*self.inner;
        let Some(mut rotation) = inner.storage.rotation() else { return Ok(None) };
        loop {
            let guard = inner.snapshots.pause().await?;
            inner.connection()?;
            let copied = inner.storage.copy_ahead(&mut rotation).await;
            drop(guard);
            match copied {
                Ok(true) => {}
                Ok(false) => return Ok(Some(rotation)),
                Err(error) => {
                    if error.is(ErrorCode::LockLost) {
                        inner.flusher.lose(error.clone());
                    }
                    return Err(error);
                }
            }
            inner.ports.platform.clock.sleep(0).await;
        }
    }

    /// Makes the next data key the only one: writes manifests and log with it, while other calls wait. Then deletes the old
    /// chunks.
    ///
    /// Fails as [`rekey`](Self::rekey) does, and with the error of `copied`. The old data key then stays, and the next rotation
    /// continues. After `storage_quota_exceeded` the copies are deleted: without space for them, the log has none either.
    pub async fn end_rotation(&self, copied: Result<Option<Rotation>>) -> Result<()> {
        let storage = &self.inner.storage;
        let ended = match copied {
            Ok(Some(rotation)) => self.change_keys(Box::pin(storage.end_rotation(&rotation)), AGAIN).await,
            Ok(None) => return Ok(()),
            Err(error) => Err(error),
        };
        let full = ended.as_ref().is_err_and(|error| error.is(ErrorCode::StorageQuotaExceeded));
        // The guard is dropped before the sweep, which takes long.
        let ended = ended.map(drop);
        if full {
            // A failure keeps the next key, and so the copies.
            drop(self.change_keys(Box::pin(storage.abandon_rotation()), AGAIN).await);
        }
        if ended.is_ok() || full {
            self.sweep().await;
        }
        ended
    }

    /// Deletes the chunks of the former key. The next opening sweeps what remains after a failure.
    async fn sweep(&self) {
        if let Ok(_guard) = self.inner.snapshots.pause().await {
            let _ = self.inner.storage.sweep().await;
        }
    }

    /// Runs a change of the keys while nothing else uses the storage. Returns the guard of the mutex. `hint` is that of the
    /// error when the outcome is unknown.
    async fn change_keys(&self, change: LocalFuture<'_, Rekeyed>, hint: &str) -> Result<MutexGuard> {
        let quiet = self.limits.until_commit(self.quiet()).await?;
        self.change_keys_quiet(quiet, change, hint).await
    }

    async fn change_keys_quiet(
        &self,
        quiet: Quiet,
        change: LocalFuture<'_, Rekeyed>,
        hint: &str,
    ) -> Result<MutexGuard> {
        let inner = &*self.inner;
        let Quiet { calls, snapshots } = quiet;
        let rekeyed = change.await;
        drop(snapshots);
        match rekeyed {
            Rekeyed::Done => Ok(calls),
            Rekeyed::Unchanged(error) => Err(error),
            Rekeyed::Unknown(error) => {
                inner.closing.set(true);
                let _ = inner.release_resources().await;
                drop(calls);
                inner.events.emit(Event::Close(EngineCloseEvent { reason: CloseReason::Closed }));
                Err(error.hint(hint))
            }
        }
    }
}

/// Continues a rotation that an earlier page began, or begins one because the key is worn. An entry of the part
/// `encryption`, which every encrypted database has loaded: never inlined.
#[inline(never)]
pub(in crate::engine) fn continue_rotation(database: Database) -> LocalFuture<'static, ()> {
    entered(async move {
        // After a failure, the next opening or rotation continues.
        if database.begin_rotation().await.is_ok() {
            let copied = database.copy_ahead().await;
            let _ = database.end_rotation(copied).await;
        }
    })
}

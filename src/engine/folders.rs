//! Describes and deletes databases that are not open.

use serde::Serialize;

use super::{
    lock::{release, take},
    options::OpenOptions,
};
use crate::{
    error::Result,
    lock::{lock_name, remove_locks},
    ports::{Files, Holder, LocalFuture, Ports},
    store::{Storage, folder, sealed::ENCRYPTION},
    time::Timestamp,
};

/// The description of a stored database that isn't opened for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct StoredDatabase {
    /// Whether it is open, in a tab of this origin or in a process.
    pub in_use: bool,
    /// Whether it is encrypted; `None` where its head can't be read.
    pub encrypted: Option<bool>,
    /// When it was last opened; `None` where that can't be read.
    pub opened_at: Option<Timestamp>,
}

/// Describes a stored database. Writes nothing and takes no lock.
pub async fn stored(name: &str, ports: &Ports) -> StoredDatabase {
    let in_use = ports.locks.holder(&lock_name(name)).await.is_some();
    let label = match ports.stores.shown(name) {
        Some(shown) => shown.await.map(|info| (info.features.iter().any(|name| name == ENCRYPTION), info.holder)),
        None => label(name, ports).await,
    };
    StoredDatabase {
        in_use,
        encrypted: label.as_ref().map(|(encrypted, _)| *encrypted),
        opened_at: label.map(|(_, holder)| holder.since),
    }
}

/// Returns whether a database is encrypted, and its last holder.
async fn label(name: &str, ports: &Ports) -> Option<(bool, Holder)> {
    let store = ports.stores.open(name).await.ok()?;
    let label = Storage::label(&*store).await;
    let _ = store.close().await;
    label.ok().flatten()
}

/// Removes all files of a database from its folder. Other files and the folder itself stay.
///
/// Fails with `database_in_use` while a process has it open, and with `storage_unavailable`.
pub async fn delete(options: OpenOptions, ports: Ports, files: &dyn Files) -> Result<()> {
    let held_lock = take(&options, &ports).await?;
    // The lock files are removed last, so that no process opens a partly deleted database.
    let result = folder::remove(files).and_then(|()| remove_locks(files));
    release(held_lock).await;
    result
}

/// Runs `work` under the lock of a database that isn't open: so no tab opens it meanwhile.
///
/// Fails with `database_in_use` while a tab has it open, and as `work` does.
pub async fn while_closed<T>(options: OpenOptions, ports: Ports, work: LocalFuture<'_, Result<T>>) -> Result<T> {
    let held_lock = take(&options, &ports).await?;
    let result = work.await;
    release(held_lock).await;
    result
}

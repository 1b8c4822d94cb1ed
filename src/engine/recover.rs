//! Recovers a database that no longer opens.

use super::{
    lock::{holder, release, take, while_held},
    open::open_store,
    options::{OpenOptions, StorageKind},
};
use crate::{
    error::{ErrorCode, Result},
    lock,
    ports::{Part, Ports},
    store::{RecoveryReport, Storage},
};

/// Sets a stored database to its last intact state, or to exactly the snapshot `from`, and closes it; see
/// [`Storage::recover`]. Only the options that identify the database and its opener are used.
///
/// Fails with `database_in_use` when the database is open, `invalid_argument` for an invalid name, and as
/// [`Storage::recover`] does.
pub async fn recover(options: OpenOptions, ports: Ports, from: Option<String>) -> Result<RecoveryReport> {
    lock::check_name(&options.name)?;
    let held_lock = take(&options, &ports).await?;
    let report = while_held(held_lock.as_deref(), recover_locked(&options, &ports, from.as_deref())).await;
    release(held_lock).await;
    report
}

async fn recover_locked(options: &OpenOptions, ports: &Ports, from: Option<&str>) -> Result<RecoveryReport> {
    // The recovered schema, unknown before, may need FTS5. If it can't be loaded, the check of the state reports that.
    let _ = ports.platform.parts.load(Part::Fts5).await;
    let holder = holder(options, ports).await;
    let newest = async {
        let store = open_store(options, ports).await?;
        let report = Storage::recover(store.clone(), &ports.platform, holder.clone(), from).await;
        let _ = store.close().await;
        report
    };
    let report = newest.await;
    if options.storage == StorageKind::Memory
        || !report.as_ref().is_err_and(|error| error.is(ErrorCode::DatabaseCorrupt))
    {
        return report;
    }
    let Some(store) = ports.stores.open_older(&options.name).await? else { return report };
    let older = Storage::recover_older(store.clone(), &ports.platform, holder, from).await;
    let _ = store.close().await;
    older
}

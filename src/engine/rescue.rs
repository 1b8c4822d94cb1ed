//! The way on for a database that no longer opens.

use super::{
    lock::{holder, release, take, while_held},
    open::open_store,
    options::OpenOptions,
};
use crate::{
    error::Result,
    lock,
    ports::{Part, Ports},
    store::{RescueReport, Storage},
};

/// Sets a stored database to its last good state, or to exactly the snapshot `from`, and closes it again; see
/// [`Storage::recover`]. Of the options it takes what says which database it is, and who asks.
///
/// Fails with `database_in_use` when it is open, with `invalid_argument` for a name that can't be, and as
/// [`Storage::recover`] does.
pub async fn recover(options: OpenOptions, ports: Ports, from: Option<String>) -> Result<RescueReport> {
    lock::check_name(&options.name)?;
    let held = take(&options, &ports).await?;
    let report = while_held(held.as_deref(), recover_held(&options, &ports, from.as_deref())).await;
    release(held).await;
    report
}

async fn recover_held(options: &OpenOptions, ports: &Ports, from: Option<&str>) -> Result<RescueReport> {
    // For the check of what is found, whose schema isn't known yet. The check reports what can't be loaded.
    let _ = ports.platform.parts.load(Part::Fts5).await;
    let store = open_store(options, ports).await?;
    let holder = holder(options, ports).await;
    let report = Storage::recover(store.clone(), &ports.platform, holder, from).await;
    store.close();
    report
}

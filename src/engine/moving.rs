//! Moves a database that isn't open to another storage.

use super::open::MOST_IN_MEMORY;
use crate::{
    error::Result,
    ports::{Store, Stores},
    store::moving,
};

/// Copies a stored database to another storage, compares both, and makes the copy the database; see
/// [`moving::move_database`]. The caller holds the lock, and removes what is left of the other.
///
/// The database must be one that opens. `decrypted` are the stores of the original with its key: without them, only the
/// head of an encrypted database is checked, and its bytes are moved unseen. `in_memory`: the other storage opens only
/// what fits into memory.
///
/// Fails as an opening does, with `database_too_large`, and as [`moving::move_database`].
pub async fn move_storage(
    name: &str,
    from: &dyn Stores,
    to: &dyn Stores,
    decrypted: Option<&dyn Stores>,
    in_memory: bool,
) -> Result<()> {
    let original = from.open(name).await?;
    let encrypted = moving::is_encrypted(&*original).await;
    // Files can be open once.
    close(&*original).await;
    if let Some(stores) = decrypted.or((!encrypted?).then_some(from)) {
        let readable = stores.open(name).await?;
        let checked = moving::check(readable.clone(), in_memory.then_some(MOST_IN_MEMORY)).await;
        close(&*readable).await;
        checked?;
    }
    let original = from.open(name).await?;
    let copy = to.open(name).await;
    let moved = match &copy {
        Ok(copy) => moving::move_database(&*original, &**copy).await,
        Err(error) => Err(error.clone()),
    };
    for store in [Some(original), copy.ok()].into_iter().flatten() {
        close(&*store).await;
    }
    moved
}

async fn close(store: &dyn Store) {
    store.settled().await;
    // Everything is written strictly, so nothing depends on it.
    let _ = store.close().await;
}

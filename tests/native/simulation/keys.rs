//! Changes of the secret and of the data key, as the engine makes them: while other work of the page goes on.

use tidelock::{ErrorCode, store::Rekeyed};

use super::work::Worker;
use crate::store::bench::{key, vault};

impl Worker {
    /// Gives the database another secret, or makes it plain.
    pub async fn rekey(&self) {
        let new = 2 + self.chance.below(250) as u8;
        let to = (!self.chance.one_in(4)).then_some(new);
        if self.shared.secrets.borrow().contains(&to) {
            return;
        }
        let changed = self
            .change_keys(async || {
                let vault = to.map(|to| vault(&self.chance.0, key(to)));
                // From now on: the page may die before it knows the result.
                self.shared.secrets.borrow_mut().push(to);
                self.page.storage.rekey(vault.as_ref()).await
            })
            .await;
        match changed {
            Some(Rekeyed::Done) => {
                self.shared.secrets.borrow_mut().retain(|secret| *secret == to);
                self.shared.model().met.secrets += 1;
            }
            Some(Rekeyed::Unchanged(_)) => self.shared.secrets.borrow_mut().retain(|secret| *secret != to),
            _ => {}
        }
    }

    /// Replaces the data key; sometimes it stops on the way, and a later rotation continues.
    pub async fn rotate_key(&self) {
        let storage = &self.page.storage;
        match self.change_keys(async || storage.begin_rotation().await).await {
            Some(Rekeyed::Done) => {}
            Some(Rekeyed::Unchanged(error)) if error.is(ErrorCode::InvalidArgument) => {
                let secrets = self.shared.secrets.borrow();
                return assert!(!self.shared.model().holds(self.number) || secrets.contains(&None), "{error}");
            }
            _ => return,
        }
        let Some(mut rotation) = storage.rotation() else { return };
        loop {
            let Ok(guard) = self.page.snapshots.pause().await else { return };
            let copied = storage.copy_ahead(&mut rotation).await;
            drop(guard);
            match copied {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) if error.is(ErrorCode::StorageQuotaExceeded) => {
                    self.change_keys(async || storage.abandon_rotation().await).await;
                    return;
                }
                Err(_) => return,
            }
            match self.chance.below(8) {
                0 => return,
                1..=3 => self.write().await,
                4 => self.snapshot().await,
                5 => self.remove().await,
                _ => {}
            }
        }
        if let Some(Rekeyed::Done) = self.change_keys(async || storage.end_rotation(&rotation).await).await {
            self.shared.model().met.rotations += 1;
            if let Ok(_guard) = self.page.snapshots.pause().await {
                drop(storage.sweep().await);
            }
        }
    }

    /// Changes the keys when all commits are stored; `None` if they can't be. The page ends if the result is unknown.
    async fn change_keys(&self, change: impl AsyncFnOnce() -> Rekeyed) -> Option<Rekeyed> {
        self.page.flusher.flush().await.ok()?;
        let guard = self.page.snapshots.pause().await.ok()?;
        let changed = change().await;
        drop(guard);
        if let Rekeyed::Unknown(_) = changed {
            self.ended.set(true);
            self.page.snapshots.stop().await;
            self.page.flusher.stop().await;
        }
        Some(changed)
    }
}

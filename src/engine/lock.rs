//! The lock of a database: acquisition, release, takeover by another tab, and loss.

use std::{future::Future, pin::pin, rc::Rc};

use futures_util::future::{Either, select};

use super::{
    Database, Event,
    connection::mutex::closed,
    database::{Inner, SyncTrigger},
    event::{CloseReason, EngineCloseEvent, LockChange, LockEvent},
    options::{OpenOptions, StorageKind},
};
use crate::{
    error::{Error, Result},
    lock::{self, OnBusy, TAKEOVER, lock_name},
    ports::{HeldLock, Holder, Ports},
    store::{
        Storage,
        failure::{folder_lost, lock_lost},
    },
};

/// Acquires the database's lock; returns `None` with `storage: 'memory'`, which needs no lock.
pub async fn take(options: &OpenOptions, ports: &Ports) -> Result<Option<Box<dyn HeldLock>>> {
    if options.storage == StorageKind::Memory {
        return Ok(None);
    }
    if options.storage == StorageKind::File && matches!(options.on_busy, OnBusy::Takeover | OnBusy::Steal) {
        // Refused even if the lock is free: whether an option is supported must not depend on other processes.
        return Err(lock::unsupported());
    }
    let read_holder = async || {
        if let Some(shown) = ports.stores.shown(&options.name) {
            return shown.await.map(|info| info.holder);
        }
        let store = ports.stores.open(&options.name).await.ok()?;
        let holder = Storage::holder(&*store).await;
        let _ = store.close().await;
        holder.ok().flatten()
    };
    let (locks, clock) = (&*ports.locks, &*ports.platform.clock);
    lock::acquire(locks, clock, &options.name, options.on_busy, options.lock_timeout_ms, read_holder).await.map(Some)
}

/// Returns the description of this holder for other tabs. Its id is that of the tab, which distinguishes it from an
/// earlier holder.
pub async fn holder(options: &OpenOptions, ports: &Ports) -> Holder {
    let id = ports.locks.holder(&lock_name(&options.name)).await.unwrap_or_default();
    let since = ports.platform.clock.now();
    Holder { id, title: options.holder.title.clone(), url: options.holder.url.clone(), since }
}

/// Runs `work` while the lock is held. Fails with `lock_lost` if the lock is stolen meanwhile: a tab whose lock is
/// stolen while it opens must stop, or it would claim the fence of the new holder.
pub async fn while_held<T>(lock: Option<&dyn HeldLock>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(lock) = lock else { return work.await };
    match select(pin!(work), lock.ended()).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(lock_lost()),
    }
}

/// Releases the lock, if there is one.
pub async fn release(lock: Option<Box<dyn HeldLock>>) {
    if let Some(lock) = lock {
        lock.release().await;
    }
}

impl Database {
    /// Keeps the lock until the database is closed, and handles its loss.
    pub(super) fn keep_lock(&self, lock: Option<Box<dyn HeldLock>>) {
        let Some(lock) = lock else { return };
        let (weak, ended) = (Rc::downgrade(&self.inner), lock.ended());
        self.inner.held_lock.replace(Some(lock));
        self.inner.ports.platform.spawner.spawn(Box::pin(async move {
            if ended.await
                && let Some(inner) = weak.upgrade()
            {
                inner.handle_lost_lock(lock_lost());
            }
        }));
        let weak = Rc::downgrade(&self.inner);
        self.inner.flusher.on_lost(Rc::new(move |error| {
            if let Some(inner) = weak.upgrade() {
                inner.handle_lost_lock(error.clone());
            }
        }));
    }

    /// Handles that the browser has removed the database's files: every call fails with `lock_lost` from now on. Returns
    /// that error; `None` if the lock was known to be lost, or the database is closed.
    pub fn lose_files(&self) -> Option<Error> {
        self.inner.handle_lost_lock(folder_lost()).then(folder_lost)
    }

    /// Listens for takeover requests of other tabs. Without channels on this platform, there are no such requests.
    pub(super) fn listen_for_takeovers(&self) {
        let inner = &self.inner;
        if inner.held_lock.borrow().is_none() {
            return;
        }
        let weak = Rc::downgrade(inner);
        let on_message = move |message: &str| {
            if let (TAKEOVER, Some(inner)) = (message, weak.upgrade()) {
                let spawner = inner.ports.platform.spawner.clone();
                spawner.spawn(Box::pin(async move { inner.hand_over().await }));
            }
        };
        if let Ok(broadcast) = inner.ports.locks.open_broadcast(&lock_name(&inner.options.name), Box::new(on_message)) {
            inner.broadcast.replace(Some(broadcast));
        }
    }
}

impl Inner {
    /// Handles a takeover request: waits for the current transaction, stores all commits, and releases all resources.
    /// If the commits can't be stored, the database stays open and keeps the lock.
    async fn hand_over(&self) {
        // One takeover at a time. The other tab repeats its request while it waits.
        if self.handing_over.replace(true) {
            return;
        }
        if let Ok(guard) = self.acquire().await {
            if self.is_still_requested().await {
                self.closing.set(true);
                let _closing = self.close_mutex.acquire().await;
                self.mutex.close(closed());
                let _ = self.release_resources().await;
                self.events.emit(Event::Lock(LockEvent { state: LockChange::Released }));
                self.events.emit(Event::Close(EngineCloseEvent { reason: CloseReason::Released }));
            }
            drop(guard);
        }
        self.handing_over.set(false);
    }

    /// Stores all commits, and returns whether a tab still waits for the lock and no close is in progress.
    async fn is_still_requested(&self) -> bool {
        !self.closing.get()
            && self.flusher.flush().await.is_ok()
            && self.ports.locks.is_awaited(&lock_name(&self.options.name)).await
            && !self.closing.get()
    }

    /// Handles the loss of the lock: nothing is stored any more, and every call fails with this error, a `lock_lost`.
    /// Returns whether it is news.
    fn handle_lost_lock(&self, error: Error) -> bool {
        if self.connection.borrow().is_none() || self.lost.borrow().is_some() {
            return false;
        }
        self.lost.replace(Some(error.clone()));
        self.notify_automatic_sync(SyncTrigger::Stop);
        self.broadcast.take();
        self.mutex.close(error.clone());
        self.flusher.lose(error);
        self.snapshots.halt();
        self.storage.yield_to_holder();
        self.events.emit(Event::Lock(LockEvent { state: LockChange::Lost }));
        true
    }
}

//! The lock of a database, from taking it to giving it back, handing it over, or losing it.

use std::{future::Future, pin::pin, rc::Rc};

use futures_util::future::{Either, select};

use super::{
    Database, Event,
    connection::mutex::closed,
    database::{Inner, SyncTrigger},
    event::{CloseEvent, CloseReason, LockChange, LockEvent},
    options::{OpenOptions, StorageKind},
};
use crate::{
    error::Result,
    lock::{self, OnBusy, TAKEOVER, lock_name},
    ports::{Held, Holder, Ports},
    store::{Storage, failure::lock_lost},
};

/// Takes the database's lock; none is needed for what lives in memory only.
pub async fn take(options: &OpenOptions, ports: &Ports) -> Result<Option<Box<dyn Held>>> {
    if options.storage == StorageKind::Memory {
        return Ok(None);
    }
    if options.storage == StorageKind::File && matches!(options.on_busy, OnBusy::Takeover | OnBusy::Steal) {
        // Also when it is free: what an option says must not depend on luck.
        return Err(lock::unsupported());
    }
    let read_holder = async || {
        let store = ports.stores.open(&options.name).await.ok()?;
        let holder = Storage::holder(&*store).await;
        store.close();
        holder.ok().flatten()
    };
    let (locks, clock) = (&*ports.locks, &*ports.platform.clock);
    lock::acquire(locks, clock, &options.name, options.on_busy, options.lock_timeout_ms, read_holder).await.map(Some)
}

/// What others hear of this opening: the id is the tab's own, by which they know that it is not from before.
pub async fn holder(options: &OpenOptions, ports: &Ports) -> Holder {
    let id = ports.locks.holder(&lock_name(&options.name)).await.unwrap_or_default();
    let since = ports.platform.clock.now();
    Holder { id, title: options.holder.title.clone(), url: options.holder.url.clone(), since }
}

/// Does something for as long as the lock is held; `lock_lost` when it is stolen meanwhile. A tab whose lock was stolen while
/// opening must not continue: it would take the fence from the new holder.
pub async fn while_held<T>(held: Option<&dyn Held>, work: impl Future<Output = Result<T>>) -> Result<T> {
    let Some(held) = held else { return work.await };
    match select(pin!(work), held.ended()).await {
        Either::Left((result, _)) => result,
        Either::Right(_) => Err(lock_lost()),
    }
}

/// Gives the lock back.
pub async fn release(held: Option<Box<dyn Held>>) {
    if let Some(held) = held {
        held.release().await;
    }
}

impl Database {
    /// Keeps the lock, and notices when it is taken away.
    pub(super) fn guard_lock(&self, held: Option<Box<dyn Held>>) {
        let Some(held) = held else { return };
        let (weak, ended) = (Rc::downgrade(&self.inner), held.ended());
        self.inner.held.replace(Some(held));
        self.inner.ports.platform.spawner.spawn(Box::pin(async move {
            if ended.await
                && let Some(inner) = weak.upgrade()
            {
                inner.lose();
            }
        }));
        let weak = Rc::downgrade(&self.inner);
        self.inner.flusher.on_lost(Rc::new(move || {
            if let Some(inner) = weak.upgrade() {
                inner.lose();
            }
        }));
    }

    /// Hears when other tabs ask for the lock. Where tabs can't reach each other, no tab asks.
    pub(super) fn listen_for_takeovers(&self) {
        let inner = &self.inner;
        if inner.held.borrow().is_none() {
            return;
        }
        let weak = Rc::downgrade(inner);
        let heard = move |message: &str| {
            if let (TAKEOVER, Some(inner)) = (message, weak.upgrade()) {
                let spawner = inner.ports.platform.spawner.clone();
                spawner.spawn(Box::pin(async move { inner.hand_over().await }));
            }
        };
        if let Ok(channel) = inner.ports.locks.channel(&lock_name(&inner.options.name), Box::new(heard)) {
            inner.channel.replace(Some(channel));
        }
    }
}

impl Inner {
    /// Another tab asks for the lock: finishes the present transaction, stores what is left, and lets go of everything. What
    /// can't be stored is kept, and so is the lock.
    async fn hand_over(&self) {
        // One at a time; the question comes again while it is of interest.
        if self.handing_over.replace(true) {
            return;
        }
        if let Ok(guard) = self.acquire().await {
            if self.is_wanted().await {
                self.closing.set(true);
                let _ending = self.ending.acquire().await;
                self.mutex.close(closed());
                self.release_resources().await;
                self.events.emit(Event::Lock(LockEvent { state: LockChange::Released }));
                self.events.emit(Event::Close(CloseEvent { reason: CloseReason::Released }));
            }
            drop(guard);
        }
        self.handing_over.set(false);
    }

    /// Stores what is left; returns whether a tab still waits for the lock, and no close is in progress.
    async fn is_wanted(&self) -> bool {
        !self.closing.get()
            && self.flusher.flush().await.is_ok()
            && self.ports.locks.is_awaited(&lock_name(&self.options.name)).await
            && !self.closing.get()
    }

    /// Another tab has taken the lock: nothing is stored from here any more, and every call fails with `lock_lost`.
    fn lose(&self) {
        if self.connection.borrow().is_none() || self.lost.borrow().is_some() {
            return;
        }
        let error = lock_lost();
        self.lost.replace(Some(error.clone()));
        self.notify_automatic_sync(SyncTrigger::Stop);
        self.channel.take();
        self.mutex.close(error.clone());
        self.flusher.lose(error);
        self.snapshots.halt();
        self.events.emit(Event::Lock(LockEvent { state: LockChange::Lost }));
    }
}

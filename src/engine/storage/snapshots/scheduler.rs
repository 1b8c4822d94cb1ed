//! Snapshots by themselves: on time, when the page is hidden, when the log has grown, and when the storage is full.

use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use futures_util::future::{Either, select};

use super::{Snapshots, SnapshotsInner};
use crate::{
    snapshot::{Reason, VerifyMode, backoff_ms, hidden_due},
    store::Tag,
    time::Timestamp,
};

/// Timers that run longer than this drift with sleeping machines, and overflow browsers' 32 bits: look again.
const LONGEST_SLEEP_MS: i64 = 3_600_000;
/// Milliseconds without compaction after a failed one.
const COMPACTION_BACKOFF_MS: i64 = 10_000;

impl Snapshots {
    /// Starts what runs by itself: the sweep of what a killed page left behind, scheduled snapshots, compaction, and
    /// relief when the storage is full.
    pub fn start(&self) {
        let inner = Rc::downgrade(&self.0);
        let (stored, full) = (inner.clone(), inner.clone());
        self.0.flusher.on_stored(Rc::new(move || {
            if let Some(inner) = stored.upgrade() {
                SnapshotsInner::compact_if_wanted(&inner);
            }
        }));
        self.0.flusher.on_full(Rc::new(move || {
            let inner = full.upgrade();
            Box::pin(async move {
                match inner {
                    Some(inner) => inner.free_space_for_log().await,
                    None => false,
                }
            })
        }));
        let (running, halted) = oneshot::channel();
        self.0.running.replace(Some(running));
        self.0.platform.spawner.spawn(Box::pin(async move {
            if let Some(inner) = inner.upgrade() {
                let pass = inner.gate.acquire().await;
                // What can't be swept stays for the next opening.
                let _ = inner.storage.sweep().await;
                drop(pass);
                SnapshotsInner::compact_if_wanted(&inner);
            }
            SnapshotsInner::keep_time(inner, halted).await;
        }));
    }

    /// Stops what runs by itself.
    pub fn halt(&self) {
        self.0.stopped.set(true);
        self.0.running.take();
    }

    /// Takes one because the page was hidden, if there is something new and the last such one is long ago.
    pub fn page_hidden(&self) {
        let inner = self.0.clone();
        let wanted = inner.options.enabled && inner.options.on_hidden && !inner.stopped.get() && !inner.is_unchanged();
        if !wanted || !hidden_due(inner.last_hidden.get(), inner.now()) {
            return;
        }
        inner.last_hidden.set(Some(inner.now()));
        self.0.platform.spawner.spawn(Box::pin(async move {
            let Ok(pass) = inner.gate.acquire().await else { return };
            if !inner.stopped.get() && !inner.is_unchanged() {
                // How it went, the status and an event tell.
                let _ = inner.create(&pass, None, Reason::Hidden).await;
            }
        }));
    }
}

impl SnapshotsInner {
    /// Frees space for the log, in the order of what is missed least; whether there was something to free.
    async fn free_space_for_log(&self) -> bool {
        let _pass = self.gate.acquire().await;
        // What could not be deleted frees nothing.
        self.free_space().await.unwrap_or(false)
    }

    fn wants_checkpoint(&self) -> bool {
        let bytes = self.flusher.file().bytes();
        self.storage.wants_checkpoint(bytes, self.options.log_limit(bytes))
    }

    fn compact_if_wanted(this: &Rc<Self>) {
        let wanted = this.flusher.is_logged() && this.wants_checkpoint();
        if !wanted || this.compacting.get() || this.stopped.get() || this.now() < this.no_compaction_before.get() {
            return;
        }
        this.compacting.set(true);
        let inner = this.clone();
        this.platform.spawner.spawn(Box::pin(async move {
            let Ok(pass) = inner.gate.acquire().await else { return };
            // A snapshot may have been taken in the meantime: that will do.
            if inner.wants_checkpoint() && !inner.stopped.get() {
                let compacted = match inner.take(&pass, Tag::checkpoint(), VerifyMode::Quick).await {
                    Ok(_) => inner.prune(&pass).await,
                    Err(error) => Err(error),
                };
                if compacted.is_err() {
                    inner.no_compaction_before.set(inner.now().plus_ms(COMPACTION_BACKOFF_MS));
                }
            }
            inner.compacting.set(false);
        }));
    }

    /// Takes scheduled snapshots until it is halted.
    async fn keep_time(this: Weak<Self>, mut halted: oneshot::Receiver<()>) {
        if let Some(inner) = this.upgrade().filter(|inner| inner.options.enabled && inner.timetable.get().is_some()) {
            // What was due while the database was closed is taken now.
            let newest = inner.status.borrow().last_success;
            let first = inner.next_due(newest.unwrap_or(inner.now())).await;
            inner.status.borrow_mut().next_at = first.map(|first| first.max(inner.now()));
        }
        loop {
            let sleep = {
                let Some(inner) = this.upgrade() else { return };
                let due = inner.status.borrow().next_at;
                let Some(due) = due.filter(|_| !inner.stopped.get()) else { return };
                let wait = due.since(inner.now());
                (wait > 0).then(|| inner.platform.clock.sleep(wait.min(LONGEST_SLEEP_MS) as u64))
            };
            if let Some(sleep) = sleep {
                match select(sleep, &mut halted).await {
                    Either::Left(_) => continue,
                    Either::Right(_) => return,
                }
            }
            let Some(inner) = this.upgrade() else { return };
            inner.scheduled().await;
            let next = inner.next_due(inner.now()).await;
            inner.status.borrow_mut().next_at = next;
        }
    }

    /// When the next scheduled one after that time is due.
    async fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        match self.timetable.get() {
            Some(timetable) => timetable(after).await,
            None => Some(after.plus_ms(i64::try_from(self.options.interval_ms).unwrap_or(i64::MAX))),
        }
    }

    /// One scheduled snapshot with its retries.
    async fn scheduled(&self) {
        for failures in 1..=self.options.retries.saturating_add(1) {
            let Ok(pass) = self.gate.acquire().await else { return };
            if self.stopped.get() {
                return;
            }
            if self.is_unchanged() {
                self.status.borrow_mut().last_attempt = Some(self.now());
                self.succeeded();
                // Time alone lets some go.
                let _ = self.prune(&pass).await;
                return;
            }
            if self.create(&pass, None, Reason::Scheduled).await.is_ok() {
                return;
            }
            drop(pass);
            if failures <= self.options.retries {
                let wait = backoff_ms(failures, self.options.backoff_ms, self.platform.entropy.chance());
                let next = self.now().plus_ms(i64::try_from(wait).unwrap_or(i64::MAX));
                self.status.borrow_mut().next_at = Some(next);
                self.platform.clock.sleep(wait).await;
            }
        }
    }
}

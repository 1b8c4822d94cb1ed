//! Automatic snapshots: by schedule, when the page is hidden, when the log has grown, and when the storage is full.

use std::rc::{Rc, Weak};

use futures_channel::oneshot;
use futures_util::future::{Either, select};

use super::{Snapshots, SnapshotsInner};
use crate::{
    engine::connection::mutex::MutexGuard,
    snapshot::{Reason, VerifyMode, backoff_ms, hidden_due},
    store::Tag,
    time::Timestamp,
};

/// The longest timer in milliseconds. Longer ones are inexact on sleeping machines, and exceed the 32 bits of browsers.
const LONGEST_SLEEP_MS: i64 = 3_600_000;
/// The delay before the next compaction after a failed one, in milliseconds.
const COMPACTION_BACKOFF_MS: f64 = 10_000.0;
/// The delay of the first checkpoint after an opening, in milliseconds: what the page does first matters more.
const FIRST_CHECKPOINT_MS: u64 = 2_000;

impl Snapshots {
    /// Starts background work: the sweep of chunks that a killed page left, the repair of snapshots that the opening found
    /// damaged, scheduled snapshots, compaction, and freeing space when the storage is full.
    pub fn start(&self) {
        let inner = Rc::downgrade(&self.0);
        let (stored, full) = (inner.clone(), inner.clone());
        self.0.flusher.on_stored(Rc::new(move || {
            if let Some(inner) = stored.upgrade() {
                SnapshotsInner::compact_if_wanted(&inner);
            }
        }));
        let crowded = inner.clone();
        self.0.flusher.on_crowded(Rc::new(move || crowded.upgrade()?.room()));
        self.0.flusher.on_full(Rc::new(move || {
            let inner = full.upgrade();
            Box::pin(async move {
                match inner {
                    Some(inner) => inner.free_space_for_log().await,
                    None => false,
                }
            })
        }));
        let (background, stopped) = oneshot::channel();
        self.0.background.borrow_mut().push(background);
        self.0.platform.spawner.spawn(Box::pin(async move {
            if let Some(inner) = inner.upgrade() {
                let guard = inner.mutex.acquire().await;
                // After a failure, the next opening sweeps again.
                let _ = inner.storage.sweep().await;
                inner.repair().await;
                // Closing waits for the guard. Otherwise a program that only opens and closes would never compact the log.
                if let Ok(guard) = &guard {
                    inner.compact(guard).await;
                }
            }
            SnapshotsInner::run_schedule(inner, stopped).await;
        }));
    }

    /// Takes a checkpoint some time after the opening, if everything stands in the log alone: one damaged record could cost all of it.
    pub fn take_first_checkpoint(&self) {
        let (background, stopped) = oneshot::channel();
        self.0.background.borrow_mut().push(background);
        let (inner, due) = (Rc::downgrade(&self.0), self.0.platform.clock.sleep(FIRST_CHECKPOINT_MS));
        self.0.platform.spawner.spawn(Box::pin(async move {
            let Either::Left(_) = select(due, stopped).await else { return };
            let Some(inner) = inner.upgrade() else { return };
            let Ok(guard) = inner.mutex.acquire().await else { return };
            if !inner.stopped.get() && inner.flusher.is_logged() && inner.storage.lacks_copy(inner.flusher.file()) {
                inner.take_checkpoint(&guard).await;
            }
        }));
    }

    /// Takes a checkpoint before the database is closed, if the next opening would have much log to read. A failure loses nothing.
    pub async fn take_last_checkpoint(&self) {
        let inner = &*self.0;
        let Ok(guard) = inner.mutex.acquire().await else { return };
        if inner.flusher.is_logged() && inner.storage.wants_last_checkpoint(inner.flusher.file()) {
            inner.take_checkpoint(&guard).await;
        }
    }

    /// Stops background work.
    pub fn halt(&self) {
        self.0.stopped.set(true);
        self.0.background.borrow_mut().clear();
    }

    /// Takes a snapshot because the page was hidden, if there are new commits and the last such snapshot is old enough.
    pub fn page_hidden(&self) {
        let inner = self.0.clone();
        let wanted = inner.options.enabled && inner.options.on_hidden && !inner.stopped.get() && !inner.is_unchanged();
        if !wanted || !hidden_due(inner.last_hidden.get(), inner.now()) {
            return;
        }
        inner.last_hidden.set(Some(inner.now()));
        self.0.platform.spawner.spawn(Box::pin(async move {
            let Ok(guard) = inner.mutex.acquire().await else { return };
            if !inner.stopped.get() && !inner.is_unchanged() {
                // The status and an event report the result.
                let _ = inner.create(&guard, None, Reason::Hidden).await;
            }
        }));
    }
}

impl SnapshotsInner {
    /// Frees space for the log, least important data first. Returns whether there was any to free.
    async fn free_space_for_log(&self) -> bool {
        let before = self.times_freed.get();
        let _guard = self.mutex.acquire().await;
        // A snapshot that found the disk full may have freed it meanwhile. A failed deletion frees nothing.
        if self.times_freed.get() == before {
            let _ = self.free_space().await;
        }
        self.times_freed.get() != before
    }

    fn wants_checkpoint(&self) -> bool {
        let file = self.flusher.file();
        self.flusher.is_logged() && self.storage.wants_checkpoint(file, self.options.log_limit(file.bytes()))
    }

    fn compact_if_wanted(this: &Rc<Self>) {
        let too_early = this.monotonic_ms() < this.no_compaction_before.get();
        if !this.wants_checkpoint() || this.compacting.get() || this.stopped.get() || too_early {
            return;
        }
        this.compacting.set(true);
        let inner = this.clone();
        this.platform.spawner.spawn(Box::pin(async move {
            let Ok(guard) = inner.mutex.acquire().await else { return };
            if !inner.stopped.get() {
                inner.compact(&guard).await;
            }
            inner.compacting.set(false);
        }));
    }

    /// Takes a checkpoint, if one is due: a snapshot that was taken meanwhile makes it unnecessary.
    async fn compact(&self, guard: &MutexGuard) {
        if self.wants_checkpoint() {
            self.take_checkpoint(guard).await;
        }
    }

    /// Resolves when the running checkpoint has ended; `None` when none is running, or the changes in memory are few.
    fn room(&self) -> Option<oneshot::Receiver<()>> {
        let mut crowd = self.crowd.borrow_mut();
        let waiting = crowd.as_mut().filter(|_| self.storage.is_crowded(self.flusher.file()))?;
        let (sender, ended) = oneshot::channel();
        waiting.push(sender);
        Some(ended)
    }

    async fn take_checkpoint(&self, guard: &MutexGuard) {
        self.crowd.replace(Some(Vec::new()));
        let compacted = match self.take(guard, Tag::checkpoint(), VerifyMode::Quick).await {
            Ok(_) => self.prune(guard).await,
            Err(error) => Err(error),
        };
        if compacted.is_err() {
            self.no_compaction_before.set(self.monotonic_ms() + COMPACTION_BACKOFF_MS);
        }
        self.crowd.take();
    }

    /// Takes scheduled snapshots until it is stopped.
    async fn run_schedule(this: Weak<Self>, mut stopped: oneshot::Receiver<()>) {
        if let Some(inner) = this.upgrade().filter(|inner| inner.options.enabled && inner.timetable.get().is_some()) {
            // A snapshot that was due while the database was closed is taken now.
            let now = inner.now();
            // One of the future says nothing: the clock was set back.
            let newest = inner.status.borrow().last_success.filter(|newest| *newest <= now);
            let first = inner.next_due(newest.unwrap_or(now)).await;
            inner.set_next(first.map(|first| first.max(inner.now())));
        }
        loop {
            let sleep = {
                let Some(inner) = this.upgrade() else { return };
                let due = inner.status.borrow().next_at;
                let Some(due) = due.filter(|_| !inner.stopped.get()) else { return };
                // The clock may be set back, and the monotonic one may stand still while the machine sleeps.
                let wait = due.since(inner.now()).min((inner.due_ms.get() - inner.monotonic_ms()).ceil() as i64);
                (wait > 0).then(|| inner.platform.clock.sleep(wait.min(LONGEST_SLEEP_MS) as u64))
            };
            if let Some(sleep) = sleep {
                match select(sleep, &mut stopped).await {
                    Either::Left(_) => continue,
                    Either::Right(_) => return,
                }
            }
            let Some(inner) = this.upgrade() else { return };
            inner.scheduled().await;
            let next = inner.next_due(inner.now()).await;
            inner.set_next(next);
        }
    }

    fn monotonic_ms(&self) -> f64 {
        self.platform.clock.monotonic_ms()
    }

    /// Sets when the next scheduled snapshot is due.
    fn set_next(&self, next: Option<Timestamp>) {
        self.status.borrow_mut().next_at = next;
        let wait = next.map_or(0, |next| next.since(self.now()));
        self.due_ms.set(self.monotonic_ms() + wait as f64);
    }

    /// Returns when the next scheduled snapshot after `after` is due.
    async fn next_due(&self, after: Timestamp) -> Option<Timestamp> {
        match self.timetable.get() {
            Some(timetable) => timetable(after).await,
            None => Some(after.plus_ms(i64::try_from(self.options.interval_ms).unwrap_or(i64::MAX))),
        }
    }

    /// Takes one scheduled snapshot, with retries.
    async fn scheduled(&self) {
        for failures in 1..=self.options.retries.saturating_add(1) {
            let Ok(guard) = self.mutex.acquire().await else { return };
            if self.stopped.get() {
                return;
            }
            if self.is_unchanged() {
                self.status.borrow_mut().last_attempt = Some(self.now());
                self.succeeded();
                // Snapshots also expire by age, without a new one.
                let _ = self.prune(&guard).await;
                return;
            }
            if self.create(&guard, None, Reason::Scheduled).await.is_ok() {
                return;
            }
            drop(guard);
            if failures <= self.options.retries {
                let wait = backoff_ms(failures, self.options.backoff_ms, self.platform.entropy.chance());
                let next = self.now().plus_ms(i64::try_from(wait).unwrap_or(i64::MAX));
                self.set_next(Some(next));
                self.platform.clock.sleep(wait).await;
            }
        }
    }
}

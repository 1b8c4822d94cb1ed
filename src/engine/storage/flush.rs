//! Group commit: writes committed pages to the log, several commits in one storage transaction where possible.

mod run;

use std::{
    cell::{Cell, RefCell},
    future::ready,
    rc::Rc,
};

use futures_channel::oneshot;

use crate::{
    collections::Bits,
    engine::connection::{mutex::closed, signal::Signal},
    error::{Error, Result},
    ports::{Durability, LocalFuture, Platform},
    sqlite::{BatchPages, PageFile, Pin},
    store::{Position, SMALL_PART_BYTES, Storage},
};

/// The number of consecutive failed flushes after which new writes are refused.
const TOLERATED_FAILURES: u32 = 3;

/// The age of unsent commits, in milliseconds, from which writes under [`FlushPolicy::Delayed`] wait for the storage.
const LATE_MS: f64 = 40.0;

/// Frees space when the storage is full. Resolves with whether it freed any.
pub type FreeSpace = Rc<dyn Fn() -> LocalFuture<'static, bool>>;

/// Returns what a write must wait for until changes have left the memory, if there are too many: its sender is dropped then.
pub type Room = Rc<dyn Fn() -> Option<oneshot::Receiver<()>>>;

/// Called with the error of the first failed flush, and with `None` at the next successful one.
pub type FailureHook = Rc<dyn Fn(Option<&Error>)>;

/// Called with the error of a storage write that found the lock lost.
pub type LossHook = Rc<dyn Fn(&Error)>;

/// When commits are written to the log, and whether writes wait for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlushPolicy {
    /// At once. Writes wait until their commit has this durability.
    Immediate(Durability),
    /// Within some milliseconds. No write waits.
    Delayed,
    /// At a flush or a snapshot. No write waits.
    OnRequest,
    /// Never: the database lives in memory only.
    Never,
}

/// A database's contents at one position of its log.
pub struct Frozen {
    /// The contents.
    pub pin: Pin,
    /// The chunks that changed since the previous freeze.
    pub touched: Bits,
    /// The position in the log that corresponds exactly to `pin`.
    pub at: Position,
    /// The number of commits in the contents.
    pub commits: u64,
}

/// Writes a database's commits to its storage. A handle, cheap to clone.
#[derive(Clone)]
pub struct Flusher(Rc<FlusherInner>);

struct FlusherInner {
    file: PageFile,
    storage: Storage,
    platform: Platform,
    policy: FlushPolicy,
    state: RefCell<FlusherState>,
    stopped: Cell<bool>,
    /// Ends the current pause, or the next one before a flush.
    wake: Signal,
    /// Notified when the loop ends.
    ended: Signal,
    /// Whether [`FlushPolicy::Delayed`] flushes without delay.
    prompt: Cell<bool>,
    on_stored: RefCell<Option<Rc<dyn Fn()>>>,
    on_failure: RefCell<Option<FailureHook>>,
    on_lost: RefCell<Option<LossHook>>,
    free_space: RefCell<Option<FreeSpace>>,
    room: RefCell<Option<Room>>,
}

/// A batch whose storage transaction is running.
struct IssuedBatch {
    /// The number of stored commits after its success.
    commits: u64,
    /// The pages; `None` if there was nothing to store.
    pages: Option<Rc<BatchPages>>,
    stored: LocalFuture<'static, Result<()>>,
}

#[derive(Default)]
struct FlusherState {
    running: bool,
    /// Whether a batch is being stored. The next batch depends on its result.
    appending: bool,
    /// A batch that [`Flusher::flush_now`] issued, whose result the loop has yet to await.
    issued: Option<IssuedBatch>,
    /// The number of stored commits.
    stored: u64,
    /// The time of the oldest commit that isn't being stored, in milliseconds of the monotonic clock; only for
    /// [`FlushPolicy::Delayed`].
    oldest_unsent_ms: Option<f64>,
    /// The callers that wait until this number of commits is stored.
    waiters: Vec<(u64, oneshot::Sender<Result<()>>)>,
    /// How many of them waited when the last batch was issued. Its failure is theirs; the others wait for the next try.
    tried: usize,
    freeze_requests: Vec<oneshot::Sender<Result<Frozen>>>,
    failures: u32,
    last_error: Option<Error>,
    /// The error after the loss of the lock; never unset.
    lost: Option<Error>,
    /// The error because of which space is being freed. Freeing waits for the mutex of snapshots, so a snapshot that
    /// waited for a flush meanwhile would cause a deadlock.
    freeing_space: Option<Error>,
}

impl Flusher {
    /// Creates a flusher with this policy.
    pub fn new(file: PageFile, storage: Storage, platform: &Platform, policy: FlushPolicy) -> Self {
        Self(Rc::new(FlusherInner {
            file,
            storage,
            platform: platform.clone(),
            policy,
            state: RefCell::default(),
            stopped: Cell::new(false),
            wake: Signal::default(),
            ended: Signal::default(),
            prompt: Cell::new(false),
            on_stored: RefCell::default(),
            on_failure: RefCell::default(),
            on_lost: RefCell::default(),
            free_space: RefCell::default(),
            room: RefCell::default(),
        }))
    }

    /// Calls `hook` after each stored batch.
    pub fn on_stored(&self, hook: Rc<dyn Fn()>) {
        *self.0.on_stored.borrow_mut() = Some(hook);
    }

    /// Calls `hook` when flushes begin to fail, and when they succeed again.
    pub fn on_failure(&self, hook: FailureHook) {
        *self.0.on_failure.borrow_mut() = Some(hook);
    }

    /// Calls `hook` when a storage write detects that another holder has the lock.
    pub fn on_lost(&self, hook: LossHook) {
        *self.0.on_lost.borrow_mut() = Some(hook);
    }

    /// Calls `free_space` when the storage is full. While it frees some, the flush is repeated, and callers get no
    /// error.
    pub fn on_full(&self, free_space: FreeSpace) {
        *self.0.free_space.borrow_mut() = Some(free_space);
    }

    /// Calls `room` after each write: otherwise a loop of writes would be quicker than the checkpoints, and fill the memory.
    pub fn on_crowded(&self, room: Room) {
        *self.0.room.borrow_mut() = Some(room);
    }

    /// Returns the page file that is flushed.
    pub fn file(&self) -> &PageFile {
        &self.0.file
    }

    /// Returns whether commits are logged: `false` with `storage: 'memory'`.
    pub fn is_logged(&self) -> bool {
        self.0.policy != FlushPolicy::Never
    }

    /// Sets whether [`FlushPolicy::Delayed`] flushes without delay: where timers are slow, or the page gets no event
    /// before its end.
    pub fn set_prompt(&self, prompt: bool) {
        self.0.prompt.set(prompt);
        if prompt {
            self.wake();
        }
    }

    /// Handles a commit: starts a flush, unless one is running or the policy doesn't ask for it. Commits of one task of
    /// the event loop, and those made during a flush, are stored together.
    pub fn committed(&self) {
        if !matches!(self.0.policy, FlushPolicy::Immediate(_) | FlushPolicy::Delayed) || !self.0.file.has_ready() {
            return;
        }
        if self.0.policy == FlushPolicy::Delayed {
            let mut state = self.0.state.borrow_mut();
            state.oldest_unsent_ms.get_or_insert_with(|| self.0.platform.clock.monotonic_ms());
        }
        self.start();
    }

    /// Resolves when all commits so far are as durable as the policy promises; `None` if they already are. Writes await
    /// this.
    ///
    /// Fails with `details.applied: true` when the flush failed: the commit stays in memory, and the flush is repeated.
    pub fn stored(&self) -> Option<LocalFuture<'static, Result<()>>> {
        let stored = match self.0.policy {
            FlushPolicy::Immediate(_) => self.in_log(),
            FlushPolicy::Delayed if self.0.is_late() => self.in_log().map(|stored| {
                // Waits so that a loop of writes leaves the storage time to catch up. Errors are ignored: the write
                // doesn't depend on the storage.
                Box::pin(async move { stored.await.or(Ok(())) }) as LocalFuture<'static, Result<()>>
            }),
            _ => None,
        };
        let room = self.0.room.borrow().clone();
        let Some(room) = room.and_then(|room| room()) else { return stored };
        Some(Box::pin(async move {
            let _ = room.await;
            match stored {
                Some(stored) => stored.await,
                None => Ok(()),
            }
        }))
    }

    /// Stores all commits so far, without the retry delay after a failure. Fails as [`stored`](Self::stored) does.
    pub async fn flush(&self) -> Result<()> {
        let stored = self.in_log();
        self.wake();
        match stored {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }

    /// Stores all commits so far, for a call that begins only then. Fails as [`stored`](Self::stored) does, but with
    /// `details.applied: false`, which is about that call.
    pub async fn flush_first(&self) -> Result<()> {
        let hint = "This call changed nothing; earlier writes still wait to be stored";
        self.flush().await.map_err(|error| error.detail("applied", false).hint(hint))
    }

    /// Issues all commits before it returns, in records that survive the end of the page. If a batch is already being
    /// stored, the other commits follow it, provided that the page lives on.
    pub fn flush_now(&self) {
        let inner = &*self.0;
        if !matches!(inner.policy, FlushPolicy::Immediate(_) | FlushPolicy::Delayed) || !inner.file.has_ready() {
            return;
        }
        {
            let mut state = inner.state.borrow_mut();
            // After a failure, the flusher must first determine what was stored.
            let possible = !state.appending && state.issued.is_none() && state.failures == 0;
            if possible && inner.check_active(&state).is_ok() {
                state.issued = Some(inner.issue(&mut state, SMALL_PART_BYTES));
            }
        }
        self.start();
        self.wake();
    }

    /// Resolves when all commits so far are in the log; `None` if they already are.
    fn in_log(&self) -> Option<LocalFuture<'static, Result<()>>> {
        let commits = self.0.file.commits();
        let mut state = self.0.state.borrow_mut();
        if !self.is_logged() || commits <= state.stored {
            return None;
        }
        if let Err(error) = self.0.check_active(&state) {
            return Some(Box::pin(ready(Err(error))));
        }
        let (sender, receiver) = oneshot::channel();
        state.waiters.push((commits, sender));
        drop(state);
        self.start();
        Some(Box::pin(receive(receiver)))
    }

    /// Checks whether writes are admitted. Fails with `lock_lost` after the loss of the lock, and with the last error
    /// and `details.applied: false` after three failed flushes, until one succeeds.
    pub fn admit_write(&self) -> Result<()> {
        let state = self.0.state.borrow();
        self.0.check_active(&state)?;
        match &state.last_error {
            Some(error) if state.failures >= TOLERATED_FAILURES => Err(error
                .clone()
                .detail("applied", false)
                .hint("Earlier writes still wait to be stored; reads work, writes do again once one was stored")),
            _ => Ok(()),
        }
    }

    /// Returns the error of the last flush; `None` after a success.
    pub fn last_error(&self) -> Option<Error> {
        let state = self.0.state.borrow();
        state.lost.clone().or_else(|| state.last_error.clone())
    }

    /// Returns the number of failed flushes since the last success.
    pub fn failures(&self) -> u32 {
        self.0.state.borrow().failures
    }

    /// Returns whether the last flush failed.
    pub fn failing(&self) -> bool {
        self.last_error().is_some()
    }

    /// Stores all commits so far, and freezes the contents at exactly that position of the log.
    ///
    /// Fails as a flush does; the touched chunks are then kept for the next freeze.
    pub async fn freeze(&self) -> Result<Frozen> {
        if !self.is_logged() {
            return Ok(self.0.freeze());
        }
        let receiver = {
            let mut state = self.0.state.borrow_mut();
            self.0.check_active(&state)?;
            if let Some(error) = &state.freeing_space {
                return Err(error.clone());
            }
            let (sender, receiver) = oneshot::channel();
            state.freeze_requests.push(sender);
            receiver
        };
        self.start();
        self.wake();
        receive(receiver).await
    }

    /// Handles the loss of the lock: no flush begins any more. A running flush ends normally: what it stores was stored
    /// before the new holder read the log, so it is acknowledged. All other waiting callers get the error. Idempotent.
    pub fn lose(&self, error: Error) {
        self.0.lose(error);
        self.wake();
    }

    /// Stops all flushes and retries, and waits for the running one: its callers get its result, the others `closed`.
    pub async fn stop(&self) {
        self.0.stopped.set(true);
        self.wake();
        while self.0.state.borrow().running {
            self.0.ended.notified().await;
        }
        self.0.finish();
    }

    /// Ends the current delay before a flush or a retry.
    pub fn wake(&self) {
        if self.0.state.borrow().running {
            self.0.wake.notify();
        }
    }

    fn start(&self) {
        let mut state = self.0.state.borrow_mut();
        if state.running || self.0.check_active(&state).is_err() {
            return;
        }
        state.running = true;
        drop(state);
        let inner = self.0.clone();
        self.0.platform.spawner.spawn(Box::pin(async move { inner.run().await }));
    }
}

impl FlusherInner {
    /// Fails with `lock_lost` or `closed` when this flusher can't store anything any more.
    fn check_active(&self, state: &FlusherState) -> Result<()> {
        match &state.lost {
            Some(lost) => Err(lost.clone()),
            None if self.stopped.get() => Err(closed()),
            None => Ok(()),
        }
    }

    /// Returns whether commits have waited longer than [`FlushPolicy::Delayed`] promises, without a failure.
    fn is_late(&self) -> bool {
        let state = self.state.borrow();
        let late = |since| self.platform.clock.monotonic_ms() - since > LATE_MS;
        state.failures == 0 && state.oldest_unsent_ms.is_some_and(late)
    }
}

async fn receive<T>(receiver: oneshot::Receiver<Result<T>>) -> Result<T> {
    receiver.await.unwrap_or_else(|_| Err(closed()))
}

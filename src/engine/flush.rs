//! Group commit: takes committed pages to the log, as few transactions as the storage's pace allows.

use std::{
    cell::{Cell, RefCell},
    future::ready,
    pin::pin,
    rc::Rc,
};

use futures_channel::oneshot;
use futures_util::future::{Either, select};

use super::turn::closed;
use crate::{
    collections::Bits,
    error::{Error, ErrorCode, Result},
    ports::{Durability, LocalFuture, Platform},
    sqlite::{Batch, PageFile, Pin},
    store::{Position, Storage},
};

/// After that many failed tries in a row, new writes are refused.
const TOLERATED_FAILURES: u32 = 3;
/// Milliseconds before the first retry; doubles up to the longest.
const FIRST_BACKOFF_MS: u64 = 100;
const LONGEST_BACKOFF_MS: u64 = 5_000;

/// Frees space when the storage is full.
pub type Relief = Rc<dyn Fn() -> LocalFuture<'static, ()>>;

/// A database's contents at one place of its log.
pub struct Frozen {
    /// The contents.
    pub pin: Pin,
    /// The chunks that changed since the freeze before.
    pub touched: Bits,
    /// The place: everything in `pin` is stored up to here, and nothing more.
    pub at: Position,
    /// How many commits are in it.
    pub commits: u64,
}

/// Brings a database's commits to its storage. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Flusher(Rc<Inner>);

struct Inner {
    file: PageFile,
    storage: Storage,
    platform: Platform,
    /// `None`: there is no log, memory is all there is.
    durability: Option<Durability>,
    state: RefCell<State>,
    stopped: Cell<bool>,
    on_stored: RefCell<Option<Rc<dyn Fn()>>>,
    on_lost: RefCell<Option<Rc<dyn Fn()>>>,
    relief: RefCell<Option<Relief>>,
}

#[derive(Default)]
struct State {
    running: bool,
    /// How many commits are stored.
    stored: u64,
    /// Whoever waits until that many commits are stored.
    waiting: Vec<(u64, oneshot::Sender<Result<()>>)>,
    freezing: Vec<oneshot::Sender<Result<Frozen>>>,
    failures: u32,
    last_error: Option<Error>,
    /// Set for good: this instance can't write any more.
    lost: Option<Error>,
    /// Room is being made, which waits for snapshots: one that waited for a flush meanwhile would wait for ever.
    relieving: bool,
    /// Ends the present backoff.
    hurry: Option<oneshot::Sender<()>>,
}

impl Flusher {
    /// Logs the file's commits.
    pub fn new(file: PageFile, storage: Storage, platform: &Platform, durability: Durability) -> Self {
        Self::build(file, storage, platform, Some(durability))
    }

    /// For `storage: 'memory'`: commits are done when they are made; `storage` keeps snapshots only.
    pub fn unlogged(file: PageFile, storage: Storage, platform: &Platform) -> Self {
        Self::build(file, storage, platform, None)
    }

    fn build(file: PageFile, storage: Storage, platform: &Platform, durability: Option<Durability>) -> Self {
        Self(Rc::new(Inner {
            file,
            storage,
            platform: platform.clone(),
            durability,
            state: RefCell::default(),
            stopped: Cell::new(false),
            on_stored: RefCell::default(),
            on_lost: RefCell::default(),
            relief: RefCell::default(),
        }))
    }

    /// Calls `hook` after each stored batch.
    pub fn on_stored(&self, hook: Rc<dyn Fn()>) {
        *self.0.on_stored.borrow_mut() = Some(hook);
    }

    /// Calls `hook` when a flush finds out that another holder has the database.
    pub fn on_lost(&self, hook: Rc<dyn Fn()>) {
        *self.0.on_lost.borrow_mut() = Some(hook);
    }

    /// The lock is lost: no flush begins any more. One that is under way ends as it ends: what it stored was stored before
    /// the other holder read the log, and so is acknowledged; all others who wait hear the error.
    pub fn lose(&self, error: Error) {
        self.0.state.borrow_mut().lost.get_or_insert(error);
        self.hurry();
        self.0.fail_waiting_if_idle();
    }

    /// Calls `relief` when the storage is full, before the next try.
    pub fn on_full(&self, relief: Relief) {
        *self.0.relief.borrow_mut() = Some(relief);
    }

    /// The page file that is flushed.
    pub fn file(&self) -> &PageFile {
        &self.0.file
    }

    /// Whether commits are logged; not with `storage: 'memory'`.
    pub fn is_logged(&self) -> bool {
        self.0.durability.is_some()
    }

    /// To be called after each commit. Starts a flush unless one is under way; the commits of one turn of the event
    /// loop, and those that arrive while a flush is in flight, go together.
    pub fn committed(&self) {
        if self.is_logged() && self.0.file.has_ready() {
            self.start();
        }
    }

    /// Resolves when all commits so far are as durable as the mode promises; `None` when they are already.
    ///
    /// Fails with `details.applied: true` when the flush failed: the commit stands in memory, and is tried again.
    pub fn stored(&self) -> Option<LocalFuture<'static, Result<()>>> {
        let commits = self.0.file.commits();
        let mut state = self.0.state.borrow_mut();
        if !self.is_logged() || commits <= state.stored {
            return None;
        }
        if let Err(error) = self.0.alive(&state) {
            return Some(Box::pin(ready(Err(error))));
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.push((commits, sender));
        drop(state);
        self.start();
        Some(Box::pin(answer(receiver)))
    }

    /// Stores everything so far, at once also after failures.
    pub async fn flush(&self) -> Result<()> {
        let stored = self.stored();
        self.hurry();
        match stored {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }

    /// Fails when a write must not even begin: after the loss of the lock (`lock_lost`), and with the last error and
    /// `details.applied: false` after three failed flushes, until one succeeds.
    pub fn admit_write(&self) -> Result<()> {
        let state = self.0.state.borrow();
        self.0.alive(&state)?;
        match &state.last_error {
            Some(error) if state.failures >= TOLERATED_FAILURES => Err(error
                .clone()
                .detail("applied", false)
                .hint("earlier writes still wait to be stored; reads work, writes do again once one was stored")),
            _ => Ok(()),
        }
    }

    /// Why the last flush failed, until one succeeds.
    pub fn last_error(&self) -> Option<Error> {
        let state = self.0.state.borrow();
        state.lost.clone().or_else(|| state.last_error.clone())
    }

    /// How many flushes failed since one succeeded.
    pub fn failures(&self) -> u32 {
        self.0.state.borrow().failures
    }

    /// Whether the last flush failed.
    pub fn failing(&self) -> bool {
        self.last_error().is_some()
    }

    /// Stores everything so far and freezes the contents at exactly that place of the log.
    ///
    /// Fails as a flush does; `touched` is then kept for the next time.
    pub async fn freeze(&self) -> Result<Frozen> {
        if !self.is_logged() {
            return Ok(self.0.freeze());
        }
        let receiver = {
            let mut state = self.0.state.borrow_mut();
            self.0.alive(&state)?;
            if let (true, Some(error)) = (state.relieving, &state.last_error) {
                return Err(error.clone());
            }
            let (sender, receiver) = oneshot::channel();
            state.freezing.push(sender);
            receiver
        };
        self.start();
        self.hurry();
        answer(receiver).await
    }

    /// Nothing is tried again from now on; whoever waits gets `closed`.
    pub fn stop(&self) {
        self.0.stopped.set(true);
        self.hurry();
        self.0.fail_waiting_if_idle();
    }

    fn hurry(&self) {
        if let Some(hurry) = self.0.state.borrow_mut().hurry.take() {
            let _ = hurry.send(());
        }
    }

    fn start(&self) {
        let mut state = self.0.state.borrow_mut();
        if state.running || self.0.alive(&state).is_err() {
            return;
        }
        state.running = true;
        drop(state);
        let inner = self.0.clone();
        self.0.platform.spawner.spawn(Box::pin(async move { inner.run().await }));
    }
}

impl Inner {
    /// Fails when nothing will ever be stored again.
    fn alive(&self, state: &State) -> Result<()> {
        match &state.lost {
            Some(lost) => Err(lost.clone()),
            None if self.stopped.get() => Err(closed()),
            None => Ok(()),
        }
    }

    fn freeze(&self) -> Frozen {
        Frozen {
            pin: self.file.pin(),
            touched: self.file.take_touched(),
            at: self.storage.position(),
            commits: self.file.commits(),
        }
    }

    fn fail_waiting_if_idle(&self) {
        if !self.state.borrow().running {
            self.fail_waiting();
        }
    }

    /// Nothing more will be stored: whoever waits hears why.
    fn fail_waiting(&self) {
        let (error, waiting, freezing) = {
            let mut state = self.state.borrow_mut();
            let error = self.alive(&state).err().unwrap_or_else(closed);
            (error, std::mem::take(&mut state.waiting), std::mem::take(&mut state.freezing))
        };
        for (_, sender) in waiting {
            let _ = sender.send(Err(error.clone().detail("applied", false)));
        }
        for sender in freezing {
            let _ = sender.send(Err(error.clone()));
        }
    }

    fn is_over(&self) -> bool {
        self.alive(&self.state.borrow()).is_err()
    }

    /// Flushes until nothing is left.
    async fn run(&self) {
        while !self.is_over() {
            // All of one moment: the batch, the frozen contents, and how many commits these are.
            let commits = self.file.commits();
            let batch = self.file.take_ready();
            let freezing = std::mem::take(&mut self.state.borrow_mut().freezing);
            let frozen = (!freezing.is_empty()).then(|| self.freeze());
            let flushed = match &batch {
                Some(batch) => self.append(batch).await,
                None => Ok(()),
            };
            match flushed {
                Ok(()) => {
                    self.succeeded(commits);
                    self.hand_over(frozen, freezing);
                    if let (Some(hook), true) = (self.on_stored.borrow().clone(), batch.is_some()) {
                        hook();
                    }
                    let mut state = self.state.borrow_mut();
                    if !self.file.has_ready() && state.freezing.is_empty() {
                        state.running = false;
                        return;
                    }
                }
                Err(error) => {
                    if let Some(batch) = &batch {
                        self.file.give_back(batch);
                    }
                    if let Some(frozen) = frozen {
                        self.file.touch(&frozen.touched);
                    }
                    for sender in freezing {
                        let _ = sender.send(Err(error.clone()));
                    }
                    if !self.failed(error).await {
                        break;
                    }
                }
            }
        }
        self.state.borrow_mut().running = false;
        self.fail_waiting();
    }

    fn append(&self, batch: &Batch) -> LocalFuture<'static, Result<()>> {
        self.storage.append(batch, self.durability.unwrap_or(Durability::Relaxed))
    }

    fn hand_over(&self, frozen: Option<Frozen>, freezing: Vec<oneshot::Sender<Result<Frozen>>>) {
        let Some(mut frozen) = frozen else { return };
        frozen.at = self.storage.position();
        let mut freezing = freezing.into_iter();
        let refused = match freezing.next().map(|sender| sender.send(Ok(frozen))) {
            Some(Err(Ok(frozen))) => Some(frozen),
            _ => None,
        };
        if let Some(frozen) = refused {
            self.file.touch(&frozen.touched);
        }
        // One place, one taker: the others freeze the next.
        self.state.borrow_mut().freezing.extend(freezing);
    }

    fn succeeded(&self, commits: u64) {
        let mut state = self.state.borrow_mut();
        state.stored = commits;
        state.failures = 0;
        state.last_error = None;
        let waiting = std::mem::take(&mut state.waiting);
        let (done, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(target, _)| *target <= commits);
        state.waiting = waiting;
        drop(state);
        for (_, sender) in done {
            let _ = sender.send(Ok(()));
        }
    }

    /// Tells whoever waits, and waits itself before the next try; `false` when there is none.
    async fn failed(&self, error: Error) -> bool {
        if error.is(ErrorCode::LockLost) || error.is(ErrorCode::Closed) {
            self.state.borrow_mut().lost.get_or_insert(error);
            if let Some(hook) = self.on_lost.borrow().clone() {
                hook();
            }
            return false;
        }
        let (waiting, failures) = {
            let mut state = self.state.borrow_mut();
            state.failures += 1;
            state.last_error = Some(error.clone());
            (std::mem::take(&mut state.waiting), state.failures)
        };
        for (_, sender) in waiting {
            let _ = sender.send(Err(error.clone().detail("applied", true)));
        }
        let (hurry, hurried) = oneshot::channel::<()>();
        self.state.borrow_mut().hurry = Some(hurry);
        let relief = self.relief.borrow().clone();
        if let (Some(relief), true) = (relief, error.is(ErrorCode::StorageQuotaExceeded)) {
            let freezing = {
                let mut state = self.state.borrow_mut();
                state.relieving = true;
                std::mem::take(&mut state.freezing)
            };
            for sender in freezing {
                let _ = sender.send(Err(error.clone()));
            }
            relief().await;
            self.state.borrow_mut().relieving = false;
        }
        let backoff = (FIRST_BACKOFF_MS << (failures - 1).min(10)).min(LONGEST_BACKOFF_MS);
        let sleep = self.platform.clock.sleep(backoff);
        if let Either::Right((Err(_), sleep)) = select(sleep, pin!(hurried)).await {
            // Nobody can hurry any more: the time itself decides.
            sleep.await;
        }
        self.state.borrow_mut().hurry = None;
        true
    }
}

async fn answer<T>(receiver: oneshot::Receiver<Result<T>>) -> Result<T> {
    receiver.await.unwrap_or_else(|_| Err(closed()))
}

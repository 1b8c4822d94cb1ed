//! Group commit: takes committed pages to the log, as few transactions as the storage's pace allows.

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
    memory::room_for,
    ports::{Durability, LocalFuture, Platform},
    sqlite::{Batch, PageFile, Pin},
    store::{Position, SMALL_PART_BYTES, Storage},
};

/// After that many failed tries in a row, new writes are refused.
const TOLERATED_FAILURES: u32 = 3;

/// Milliseconds after which writes at [`Pace::Soon`] wait for the storage after all.
const LATE_MS: f64 = 40.0;

/// Frees space when the storage is full; whether it freed any.
pub type Relief = Rc<dyn Fn() -> LocalFuture<'static, bool>>;

/// Hears of the first failed flush, and with `None` of the first that succeeds after it.
pub type TroubleHook = Rc<dyn Fn(Option<&Error>)>;

/// When commits go to the log, and which writes wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once; the writer waits until they are as durable as that.
    AtOnce(Durability),
    /// Within some milliseconds; no writer waits.
    Soon,
    /// When a flush or a snapshot asks for it; no writer waits.
    WhenAsked,
    /// Never: there is no log, memory is all there is.
    Never,
}

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
pub struct Flusher(Rc<FlusherInner>);

struct FlusherInner {
    file: PageFile,
    storage: Storage,
    platform: Platform,
    pace: Pace,
    state: RefCell<FlusherState>,
    stopped: Cell<bool>,
    /// Ends the present pause, or the next one before a flush.
    hurry: Signal,
    /// Whether [`Pace::Soon`] means at once.
    prompt: Cell<bool>,
    on_stored: RefCell<Option<Rc<dyn Fn()>>>,
    on_failure: RefCell<Option<TroubleHook>>,
    on_lost: RefCell<Option<Rc<dyn Fn()>>>,
    relief: RefCell<Option<Relief>>,
}

/// A batch on its way to the storage.
struct Issued {
    /// How many commits are stored once it is.
    commits: u64,
    /// `None`: there was nothing to store.
    batch: Option<Batch>,
    stored: LocalFuture<'static, Result<()>>,
}

#[derive(Default)]
struct FlusherState {
    running: bool,
    /// A batch is on its way; the next one needs to know what became of it.
    appending: bool,
    /// A batch that was issued while its page went away, for the loop to hear about.
    issued: Option<Issued>,
    /// How many commits are stored.
    stored: u64,
    /// When the first commit was made that isn't on its way ([`Pace::Soon`] only), by the monotonic clock.
    gathering_since: Option<f64>,
    /// The callers that wait until that many commits are stored.
    waiting: Vec<(u64, oneshot::Sender<Result<()>>)>,
    freezing: Vec<oneshot::Sender<Result<Frozen>>>,
    failures: u32,
    last_error: Option<Error>,
    /// Set for good: this instance can't write any more.
    lost: Option<Error>,
    /// Why room is being made, which waits for snapshots: one that waited for a flush meanwhile would wait for ever.
    relieving: Option<Error>,
}

impl Flusher {
    /// Logs each commit at once; writes wait until theirs is that durable.
    pub fn new(file: PageFile, storage: Storage, platform: &Platform, durability: Durability) -> Self {
        Self::with_pace(file, storage, platform, Pace::AtOnce(durability))
    }

    /// For `storage: 'memory'`: commits are done when they are made; `storage` keeps snapshots only.
    pub fn unlogged(file: PageFile, storage: Storage, platform: &Platform) -> Self {
        Self::with_pace(file, storage, platform, Pace::Never)
    }

    /// Logs commits at that pace.
    pub fn with_pace(file: PageFile, storage: Storage, platform: &Platform, pace: Pace) -> Self {
        Self(Rc::new(FlusherInner {
            file,
            storage,
            platform: platform.clone(),
            pace,
            state: RefCell::default(),
            stopped: Cell::new(false),
            hurry: Signal::default(),
            prompt: Cell::new(false),
            on_stored: RefCell::default(),
            on_failure: RefCell::default(),
            on_lost: RefCell::default(),
            relief: RefCell::default(),
        }))
    }

    /// Calls `hook` after each stored batch.
    pub fn on_stored(&self, hook: Rc<dyn Fn()>) {
        *self.0.on_stored.borrow_mut() = Some(hook);
    }

    /// Calls `hook` when flushes begin to fail, and when they succeed again.
    pub fn on_failure(&self, hook: TroubleHook) {
        *self.0.on_failure.borrow_mut() = Some(hook);
    }

    /// Calls `hook` when a write finds out that another holder has the database.
    pub fn on_lost(&self, hook: Rc<dyn Fn()>) {
        *self.0.on_lost.borrow_mut() = Some(hook);
    }

    /// Calls `relief` when the storage is full: while it frees something, the flush is tried again before callers hear
    /// that it failed.
    pub fn on_full(&self, relief: Relief) {
        *self.0.relief.borrow_mut() = Some(relief);
    }

    /// The page file that is flushed.
    pub fn file(&self) -> &PageFile {
        &self.0.file
    }

    /// Whether commits are logged; not with `storage: 'memory'`.
    pub fn is_logged(&self) -> bool {
        self.0.pace != Pace::Never
    }

    /// Whether [`Pace::Soon`] means at once from now on: where timers are slow, or the end of the page isn't announced.
    pub fn set_prompt(&self, prompt: bool) {
        self.0.prompt.set(prompt);
        if prompt {
            self.hurry();
        }
    }

    /// To be called after each commit. Starts a flush unless one is under way or the pace says otherwise; the commits of
    /// one iteration of the event loop, and those that arrive while a flush is in flight, go together.
    pub fn committed(&self) {
        if !matches!(self.0.pace, Pace::AtOnce(_) | Pace::Soon) || !self.0.file.has_ready() {
            return;
        }
        if self.0.pace == Pace::Soon {
            let mut state = self.0.state.borrow_mut();
            state.gathering_since.get_or_insert_with(|| self.0.platform.clock.monotonic_ms());
        }
        self.start();
    }

    /// What a write waits for: resolves when all commits so far are as durable as the mode promises; `None` when they are
    /// already.
    ///
    /// Fails with `details.applied: true` when the flush failed: the commit stands in memory, and is tried again.
    pub fn stored(&self) -> Option<LocalFuture<'static, Result<()>>> {
        match self.0.pace {
            Pace::AtOnce(_) => self.in_log(),
            Pace::Soon if self.0.is_late() => self.in_log().map(|stored| {
                // Only to let the storage catch up: a loop of writes would leave it no time.
                Box::pin(async move { stored.await.or(Ok(())) }) as LocalFuture<'static, Result<()>>
            }),
            _ => None,
        }
    }

    /// Stores everything so far, at once also after failures. Fails as [`stored`](Self::stored) does.
    pub async fn flush(&self) -> Result<()> {
        let stored = self.in_log();
        self.hurry();
        match stored {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }

    /// Issues what is committed before it returns, in a form that survives the end of its page. Where a batch is on its
    /// way already, the rest follows it if the page lives on.
    pub fn flush_now(&self) {
        let inner = &*self.0;
        if !matches!(inner.pace, Pace::AtOnce(_) | Pace::Soon) || !inner.file.has_ready() {
            return;
        }
        {
            let mut state = inner.state.borrow_mut();
            // After a failure, what was stored must be found out first.
            let possible = !state.appending && state.issued.is_none() && state.failures == 0;
            if possible && inner.alive(&state).is_ok() {
                state.issued = Some(inner.issue(&mut state, SMALL_PART_BYTES));
            }
        }
        self.start();
        self.hurry();
    }

    /// Resolves when all commits so far are in the log; `None` when they are.
    fn in_log(&self) -> Option<LocalFuture<'static, Result<()>>> {
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

    /// Fails when a write must not even begin: after the loss of the lock (`lock_lost`), and with the last error and
    /// `details.applied: false` after three failed flushes, until one succeeds.
    pub fn admit_write(&self) -> Result<()> {
        let state = self.0.state.borrow();
        self.0.alive(&state)?;
        match &state.last_error {
            Some(error) if state.failures >= TOLERATED_FAILURES => Err(error
                .clone()
                .detail("applied", false)
                .hint("Earlier writes still wait to be stored; reads work, writes do again once one was stored")),
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
            if let Some(error) = &state.relieving {
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

    /// The lock is lost: no flush begins any more. One that is under way ends as it ends: what it stored was stored before
    /// the other holder read the log, and so is acknowledged; all others who wait hear the error. Idempotent.
    pub fn lose(&self, error: Error) {
        self.0.lose(error);
        self.hurry();
    }

    /// Nothing is tried again from now on; waiting callers get `closed`.
    pub fn stop(&self) {
        self.0.stopped.set(true);
        self.hurry();
        let running = self.0.state.borrow().running;
        if !running {
            self.0.end();
        }
    }

    /// Ends the present wait, before a flush or the next try.
    pub fn hurry(&self) {
        if self.0.state.borrow().running {
            self.0.hurry.notify();
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

impl FlusherInner {
    /// Fails when nothing will ever be stored again.
    fn alive(&self, state: &FlusherState) -> Result<()> {
        match &state.lost {
            Some(lost) => Err(lost.clone()),
            None if self.stopped.get() => Err(closed()),
            None => Ok(()),
        }
    }

    /// Whether commits have waited longer than [`Pace::Soon`] promises, though nothing failed.
    fn is_late(&self) -> bool {
        let state = self.state.borrow();
        let late = |since| self.platform.clock.monotonic_ms() - since > LATE_MS;
        state.failures == 0 && state.gathering_since.is_some_and(late)
    }

    fn is_alive(&self) -> bool {
        self.alive(&self.state.borrow()).is_ok()
    }

    /// Callers that still wait get the reason.
    fn end(&self) {
        let mut state = self.state.borrow_mut();
        let error = state.lost.clone().unwrap_or_else(closed);
        state.running = false;
        let (waiting, freezing) = (std::mem::take(&mut state.waiting), std::mem::take(&mut state.freezing));
        drop(state);
        refuse(waiting.into_iter().map(|(_, sender)| sender), &error.clone().detail("applied", false));
        refuse(freezing, &error);
    }

    /// Sends off what is committed, all at one point in time.
    fn issue(&self, state: &mut FlusherState, part_bytes: usize) -> Issued {
        state.gathering_since = None;
        let durability = match self.pace {
            Pace::AtOnce(durability) => durability,
            _ => Durability::Relaxed,
        };
        let commits = self.file.commits();
        // For the batch, and the records that it is cut into.
        let room = room_for(2 * self.file.ready_bytes());
        let batch = if room.is_ok() { self.file.take_ready() } else { None };
        let stored = match &batch {
            Some(batch) => self.storage.append_in_parts(batch, durability, part_bytes),
            None => Box::pin(ready(room)),
        };
        Issued { commits, batch, stored }
    }

    fn freeze(&self) -> Frozen {
        Frozen {
            pin: self.file.pin(),
            touched: self.file.take_touched(),
            at: self.storage.position(),
            commits: self.file.commits(),
        }
    }
}

async fn answer<T>(receiver: oneshot::Receiver<Result<T>>) -> Result<T> {
    receiver.await.unwrap_or_else(|_| Err(closed()))
}

/// Tells all of them that it failed.
fn refuse<T>(waiting: impl IntoIterator<Item = oneshot::Sender<Result<T>>>, error: &Error) {
    for sender in waiting {
        let _ = sender.send(Err(error.clone()));
    }
}

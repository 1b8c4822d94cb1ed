//! Automatic sync: runs the rounds of the schedule, one at a time, in a background task.

use std::{
    cell::{Cell, RefCell},
    rc::{Rc, Weak},
};

use futures_util::future::{Either, select};

use crate::{
    engine::{
        Database, Event,
        connection::signal::Signal,
        database::{AutomaticSync, Inner, SyncTrigger},
        options::Mode,
        sync::{
            driver::{Caller, Sync},
            listen::{Listener, RealtimeEvent},
            retries::Retries,
        },
    },
    error::{Detail, Error, ErrorCode, Result, Warning, WarningCode},
    ports::{LifecycleEvent, LocalFuture},
    sync::{
        config::options::Names,
        outbox::entries,
        report::PullOptions,
        schedule::rounds::{INTERVAL_MS, Round, RoundEnd, Schedule, ScheduleEvent},
    },
};

/// Creates the automatic sync of a database. It does nothing before its start.
pub(in crate::engine) fn automatic_sync(inner: &Rc<Inner>) -> Rc<dyn AutomaticSync> {
    Scheduler::new(Rc::downgrade(inner))
}

/// Runs the automatic sync of one database.
pub(super) struct Scheduler {
    me: Weak<Scheduler>,
    inner: Weak<Inner>,
    schedule: RefCell<Schedule>,
    run: RefCell<Option<Rc<SchedulerRun>>>,
    listener: RefCell<Option<Listener>>,
    /// The interval of automatic sync, from its start until the user stops it.
    interval_ms: Cell<Option<u64>>,
    /// Whether the warning that realtime is unavailable was emitted.
    warned: Cell<bool>,
}

/// The background task, from a start of automatic sync to its stop.
#[derive(Default)]
struct SchedulerRun {
    stopped: Cell<bool>,
    /// Wakes the task when the schedule has changed.
    changed: Signal,
    /// Cancels the running round.
    cancel: Signal,
}

impl AutomaticSync for Scheduler {
    fn handle(&self, trigger: SyncTrigger) {
        let Some(inner) = self.inner.upgrade() else { return };
        match trigger {
            SyncTrigger::Opened if inner.options.mode == Mode::Cloud => self.start(&inner, INTERVAL_MS),
            SyncTrigger::Start { interval_ms } => self.start(&inner, interval_ms),
            SyncTrigger::Stop => {
                self.interval_ms.take();
                self.stop();
            }
            SyncTrigger::User { signed_in } => {
                // The subscription's socket still has the previous user's token.
                self.listener.take();
                // Automatic sync that stopped because of another user starts again.
                let interval_ms = self.interval_ms.get();
                if let Some(interval_ms) = interval_ms.filter(|_| signed_in) {
                    self.start(&inner, interval_ms);
                    self.schedule(&inner, ScheduleEvent::SignedIn);
                }
            }
            SyncTrigger::Wrote => self.schedule(&inner, ScheduleEvent::Written),
            SyncTrigger::RetryAfter { ms } => self.schedule(&inner, ScheduleEvent::RetryAfter { ms }),
            SyncTrigger::Page(LifecycleEvent::Shown) => self.schedule(&inner, ScheduleEvent::Shown),
            SyncTrigger::Page(LifecycleEvent::Hidden) => self.schedule(&inner, ScheduleEvent::Hidden),
            SyncTrigger::Page(LifecycleEvent::Offline) => self.schedule(&inner, ScheduleEvent::Offline),
            SyncTrigger::Page(LifecycleEvent::Online) => {
                self.schedule(&inner, ScheduleEvent::Online);
                if let Some(listener) = &*self.listener.borrow() {
                    listener.online();
                }
            }
            SyncTrigger::Opened | SyncTrigger::Page(LifecycleEvent::Leaving) => {}
        }
    }
}

impl Scheduler {
    pub fn new(inner: Weak<Inner>) -> Rc<Self> {
        Rc::new_cyclic(|me| Self {
            me: me.clone(),
            inner,
            schedule: RefCell::default(),
            run: RefCell::default(),
            listener: RefCell::default(),
            interval_ms: Cell::default(),
            warned: Cell::default(),
        })
    }

    fn start(&self, inner: &Rc<Inner>, interval_ms: u64) {
        if inner.closing.get() {
            return;
        }
        self.interval_ms.set(Some(interval_ms));
        self.schedule(inner, ScheduleEvent::Started { interval_ms });
        let Some(scheduler) = self.me.upgrade().filter(|_| self.run.borrow().is_none()) else { return };
        if let Some(sync) = inner.sync.get() {
            sync.retries.replace(Some(Retries::default()));
            sync.clear_resting();
        }
        let run = Rc::new(SchedulerRun::default());
        self.run.replace(Some(run.clone()));
        inner.ports.platform.spawner.spawn(Box::pin(run_rounds(scheduler, run)));
    }

    /// Stops automatic sync and cancels the running round. Its results stay, and a request without an answer is
    /// repeated later without effect.
    fn stop(&self) {
        self.schedule.borrow_mut().handle(ScheduleEvent::Stopped, 0, 0.0);
        self.listener.take();
        let run = self.run.take();
        if let Some(run) = run {
            run.stopped.set(true);
            run.cancel.notify();
            run.changed.notify();
        }
        if let Some(inner) = self.inner.upgrade()
            && let Some(sync) = inner.sync.get()
        {
            sync.retries.take();
        }
    }

    fn schedule(&self, inner: &Inner, event: ScheduleEvent) {
        let before = self.schedule.borrow().next();
        let cancels = self.schedule.borrow_mut().handle(event, now(inner), inner.ports.platform.entropy.chance());
        let run = self.run.borrow();
        let Some(run) = &*run else { return };
        if cancels {
            run.cancel.notify();
        }
        if self.schedule.borrow().next() != before {
            run.changed.notify();
        }
    }

    /// Subscribes to remote changes, with the token of the signed-in user.
    fn listen(&self, inner: &Rc<Inner>) {
        let Some(sync) = inner.sync.get().filter(|sync| sync.config.options.realtime) else { return };
        let mut listener = self.listener.borrow_mut();
        let listener = listener.get_or_insert_with(|| {
            let me = self.me.clone();
            Listener::begin(
                sync.config(),
                &inner.ports,
                Box::new(move |event| {
                    if let Some(scheduler) = me.upgrade()
                        && let Some(inner) = scheduler.inner.upgrade()
                    {
                        match event {
                            RealtimeEvent::Stale(tables) => scheduler.schedule(&inner, ScheduleEvent::Hint(tables)),
                            RealtimeEvent::Unavailable(error) => scheduler.warn(&inner, &error),
                        }
                    }
                }),
            )
        });
        listener.token(sync.token.borrow().clone());
    }

    /// Warns once that realtime is unavailable, with the reason.
    fn warn(&self, inner: &Inner, error: &Error) {
        if !self.warned.replace(true) {
            let message =
                format!("Realtime is unavailable, so remote changes wait for the next interval: {}", error.message);
            inner.events.emit(Event::Warning(Warning { code: WarningCode::RealtimeUnavailable, message }));
        }
    }
}

fn now(inner: &Inner) -> u64 {
    inner.ports.platform.clock.monotonic_ms() as u64
}

/// Runs the rounds of the schedule until the run is over, or the database is dropped.
async fn run_rounds(scheduler: Rc<Scheduler>, run: Rc<SchedulerRun>) {
    while !run.stopped.get() {
        let Some(inner) = scheduler.inner.upgrade() else { return };
        let (clock, at) = (inner.ports.platform.clock.clone(), now(&inner));
        let round = scheduler.schedule.borrow_mut().take(at);
        let Some(round) = round else {
            drop(inner);
            let next = scheduler.schedule.borrow().next();
            let changed = Box::pin(run.changed.notified());
            match next {
                Some(next) => drop(select(clock.sleep(next.saturating_sub(at).max(1)), changed).await),
                None => changed.await,
            }
            continue;
        };
        run.cancel.clear_notification();
        let end = match select(perform(inner, round), Box::pin(run.cancel.notified())).await {
            Either::Left((end, _)) => end,
            Either::Right(_) => RoundEnd::Cancelled,
        };
        let Some(inner) = scheduler.inner.upgrade().filter(|_| !run.stopped.get()) else { return };
        scheduler.schedule.borrow_mut().ended(end, now(&inner), inner.ports.platform.entropy.chance());
        match end {
            // Realtime waits for a first success, which verifies the owner of the data.
            RoundEnd::Done | RoundEnd::Unchanged | RoundEnd::Kept => scheduler.listen(&inner),
            RoundEnd::Refused => scheduler.stop(),
            RoundEnd::Failed | RoundEnd::Cancelled => {}
        }
    }
}

/// Performs one round. The user's calls with the same arguments join it.
fn perform(inner: Rc<Inner>, round: Round) -> LocalFuture<'static, RoundEnd> {
    Box::pin(async move {
        let database = Database::of(inner);
        let tables = match round {
            Round::Push if !database.has_unpushed().await => return RoundEnd::Done,
            Round::Push => return database.after_push(database.push_for(Caller::Round, None).await.err()),
            Round::Pull(tables) => tables,
            Round::Full => {
                let failed = database.push_for(Caller::Round, None).await.err();
                let end = database.after_push(failed.clone());
                // Errors of single tables or changes don't prevent the pull.
                if failed.as_ref().is_some_and(|error| !database.is_partial(error) && is_general(error)) {
                    return end;
                }
                let pulled = database.after_pull(Vec::new()).await;
                if !matches!(pulled, RoundEnd::Done | RoundEnd::Unchanged) {
                    return pulled;
                }
                return if end == RoundEnd::Done { pulled } else { end };
            }
        };
        database.after_pull(tables).await
    })
}

/// Returns whether an error concerns all requests.
fn is_general(error: &Error) -> bool {
    let codes = [
        ErrorCode::SyncNetwork,
        ErrorCode::SyncUnauthorized,
        ErrorCode::SyncUserMismatch,
        ErrorCode::Closed,
        ErrorCode::LockLost,
    ];
    codes.iter().any(|code| error.is(*code)) || retry_after_ms(error).is_some()
}

fn failed(error: &Error) -> RoundEnd {
    // Without a signed-in user, rounds continue, since the user may sign in at any time.
    let signed_out = error.details.get("signedIn") == Some(&Detail::Bool(false));
    if matches!(error.code, ErrorCode::Closed | ErrorCode::LockLost)
        || error.is(ErrorCode::SyncUserMismatch) && !signed_out
    {
        return RoundEnd::Refused;
    }
    RoundEnd::Failed
}

/// Returns the `Retry-After` of an error, in milliseconds.
pub(super) fn retry_after_ms(error: &Error) -> Option<u64> {
    match error.details.get("retryAfterMs") {
        Some(Detail::Int(ms)) => u64::try_from(*ms).ok(),
        _ => None,
    }
}

impl Database {
    /// Starts automatic sync, or changes its interval: a push and a pull at once, and again `interval_ms` after the end
    /// of each round (10 % more or less; less often while the page is hidden and nothing changes). Rounds also start
    /// when the network returns, when the page is shown, and soon after local writes.
    ///
    /// A failed round is repeated after a delay that doubles. Events and the status report its error. With another
    /// user's token (`sync_user_mismatch`) automatic sync stops. Fails with `invalid_argument` without a remote, and
    /// with `closed`.
    pub fn sync_start(&self, interval_ms: u64) -> Result<()> {
        self.synced()?;
        self.inner.connection()?;
        self.inner.notify_automatic_sync(SyncTrigger::Start { interval_ms });
        Ok(())
    }

    /// Stops automatic sync, and cancels the running round unless a call of the user waits for it. Idempotent.
    pub fn sync_stop(&self) {
        self.inner.notify_automatic_sync(SyncTrigger::Stop);
    }

    /// Handles that a user has signed in or out. Running calls have the previous user's token: they end with
    /// `sync_unauthorized`, and unsent changes stay. Automatic sync continues at once when a user has signed in.
    /// Fails with `invalid_argument` without a remote.
    pub fn sync_user(&self, signed_in: bool) -> Result<()> {
        self.synced()?.end_for_user(signed_in);
        self.inner.notify_automatic_sync(SyncTrigger::User { signed_in });
        Ok(())
    }

    /// Returns whether each pulled table was pulled completely once, now or in an earlier session.
    pub async fn sync_ready(&self) -> Result<bool> {
        let sync = self.synced()?;
        let _guard = self.inner.acquire().await?;
        sync.is_ready(&*self.inner.connection()?)
    }

    async fn has_unpushed(&self) -> bool {
        let Ok(_guard) = self.inner.acquire().await else { return false };
        self.inner.connection().is_ok_and(|connection| entries::waits(&connection).unwrap_or(false))
    }

    /// Returns whether an error concerns only some tables or changes, while everything else was done.
    fn is_partial(&self, error: &Error) -> bool {
        self.inner.sync.get().is_some_and(|sync| sync.is_partial(error))
    }

    fn after_push(&self, error: Option<Error>) -> RoundEnd {
        if let Some(error) = error.filter(|error| !self.is_partial(error)) {
            return failed(&error);
        }
        let kept = self.inner.sync.get().is_some_and(Sync::take_kept_any);
        if kept { RoundEnd::Kept } else { RoundEnd::Done }
    }

    /// Pulls, and schedules a push if conflicts changed local rows.
    async fn after_pull(&self, tables: Vec<String>) -> RoundEnd {
        let tables = (!tables.is_empty()).then_some(Names::Many(tables));
        match self.pull_for(Caller::Round, PullOptions { tables, ..PullOptions::default() }, None).await {
            Err(error) if self.is_partial(&error) => {
                if self.has_unpushed().await {
                    self.inner.notify_automatic_sync(SyncTrigger::Wrote);
                }
                RoundEnd::Done
            }
            Err(error) => failed(&error),
            Ok(report) => {
                if report.tables.iter().any(|table| table.conflicts > 0) {
                    self.inner.notify_automatic_sync(SyncTrigger::Wrote);
                }
                let changed = report.tables.iter().any(|table| table.inserted + table.updated + table.deleted > 0);
                if changed { RoundEnd::Done } else { RoundEnd::Unchanged }
            }
        }
    }
}

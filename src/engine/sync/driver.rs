//! Sync with the network, the clock and the database around it.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
    rc::Rc,
};

use futures_util::future::{Either, select};

use super::{
    host::{SyncEvent, SyncHost},
    retries::Retries,
    single_flight::{OnProgress, SingleFlight},
};
use crate::{
    collections::Map,
    engine::connection::{
        mutex::{Mutex, closed},
        signal::Signal,
    },
    error::{Detail, Error, ErrorCode, Result},
    ports::{Http, LocalFuture, Platform},
    sqlite::Connection,
    sync::{
        config::{checked::Config, credentials::check_token},
        postgrest::remote::{Known, Remote, Tokens},
        report::{PullOptions, PullReport, PushReport},
        schedule::table_backoff::TableBackoff,
        state::{dropped, tables},
        status::{self, SyncPhase, TableStatus},
    },
};

/// The caller of a pull or push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Caller {
    /// A user: all tables are tried.
    User,
    /// Automatic sync: tables that failed before are left out until their delay ends.
    Round,
}

/// The sync of one open database.
pub struct Sync {
    pub(in crate::engine) config: Config,
    http: Rc<dyn Http>,
    pub(in crate::engine) platform: Platform,
    /// One call at a time.
    pub(super) flight: Rc<Mutex>,
    /// What is known of the remote from call to call.
    pub(super) known: Known,
    /// The tables whose full list of columns was tried, with the time on the monotonic clock: a column that the remote lacked
    /// may be there by now.
    pub(super) tried: RefCell<Map<String, f64>>,
    pub(in crate::engine) pulls: SingleFlight<PullOptions, PullReport>,
    pub(in crate::engine) pushes: SingleFlight<(), PushReport>,
    /// A push is under way that still takes up what is changed.
    pub(in crate::engine) accepting: Cell<bool>,
    /// Another call has joined it.
    pub(in crate::engine) joined: Cell<bool>,
    phase: Cell<SyncPhase>,
    /// The table that is pulled or pushed; empty while idle.
    pub(super) current_table: RefCell<String>,
    /// The error of the last call, and what it did.
    last_error: RefCell<Option<(SyncPhase, Error)>>,
    /// The newest token that was given.
    pub(in crate::engine) token: RefCell<Option<String>>,
    /// The changes to send again, while automatic sync runs.
    pub(in crate::engine) retries: RefCell<Option<Retries>>,
    /// The tables that couldn't be read, and those that couldn't be written, when they were last tried.
    pub(super) unread: RefCell<TableBackoff>,
    pub(super) unwritten: RefCell<TableBackoff>,
    /// The last error that a call failed with once everything else was done.
    pub(super) partial: RefCell<Option<Error>>,
    /// Notified when the database closes.
    pub(in crate::engine) closing: Signal,
    /// Notified when another user, or none, is signed in.
    user_changed: Signal,
    /// Whether a user was signed in at the last of these notifications.
    signed_in: Cell<bool>,
}

/// Emits the phase `idle` when it is dropped, at every end of a pull or push.
struct Busy<'a> {
    sync: &'a Sync,
    host: &'a dyn SyncHost,
    error: Option<Error>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.sync.phase.set(SyncPhase::Idle);
        self.sync.current_table.borrow_mut().clear();
        self.host.emit(SyncEvent { phase: SyncPhase::Idle, error: self.error.take() });
    }
}

/// The access tokens of the user whose data it is.
struct UserTokens<'a> {
    sync: &'a Sync,
    host: &'a dyn SyncHost,
}

impl Tokens for UserTokens<'_> {
    fn fresh(&self) -> LocalFuture<'_, Result<Option<String>>> {
        Box::pin(async {
            let token = self.sync.request_token(self.host).await?;
            let _guard = self.host.lock_connection().await?;
            self.sync.check_owner(&*self.host.connection()?, token.as_deref())?;
            Ok(token)
        })
    }
}

impl Sync {
    /// The sync of a database with this `remote`.
    pub fn new(config: Config, http: Rc<dyn Http>, platform: &Platform) -> Self {
        Self {
            config,
            http,
            platform: platform.clone(),
            flight: Rc::default(),
            known: Known::default(),
            tried: RefCell::default(),
            pulls: SingleFlight::default(),
            pushes: SingleFlight::default(),
            accepting: Cell::default(),
            joined: Cell::default(),
            phase: Cell::default(),
            current_table: RefCell::default(),
            last_error: RefCell::default(),
            token: RefCell::default(),
            retries: RefCell::default(),
            unread: RefCell::default(),
            unwritten: RefCell::default(),
            partial: RefCell::default(),
            closing: Signal::default(),
            user_changed: Signal::default(),
            signed_in: Cell::default(),
        }
    }

    /// Ends the running call and all later ones with `closed`.
    pub fn close(&self) {
        self.closing.notify();
    }

    /// Ends the running call, since its user is no longer signed in; `signed_in`: another one is.
    pub(in crate::engine) fn end_for_user(&self, signed_in: bool) {
        self.token.take();
        self.signed_in.set(signed_in);
        self.user_changed.notify();
    }

    /// The checked `remote` option.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The client of one call, for the user whose data it is. Fails as the access token function does, and with
    /// `sync_user_mismatch` before any request.
    pub(super) async fn remote<'a>(&'a self, host: &'a dyn SyncHost) -> Result<Remote<'a>> {
        let token = if self.config.options.has_access_token { self.request_token(host).await? } else { None };
        {
            let _guard = host.lock_connection().await?;
            let connection = host.connection()?;
            tables::register(&connection, &self.config.options.tables)?;
            dropped::read_dropped_next(&connection, &self.config.options.tables)?;
            self.check_owner(&connection, token.as_deref())?;
        }
        let tokens = Box::new(UserTokens { sync: self, host });
        Ok(Remote::new(&self.config, &*self.http, &self.platform, &self.known, token, tokens))
    }

    /// The user's token, requested again and checked. Fails as the access token function does, and with `invalid_argument` for
    /// what is no token to be used here.
    async fn request_token(&self, host: &dyn SyncHost) -> Result<Option<String>> {
        let token = check_token(host.access_token().await?, self.config.options.secrets_allowed)?;
        self.token.borrow_mut().clone_from(&token);
        Ok(token)
    }

    /// Waits for a function of the user, which `what` names. Fails with `timeout` if it doesn't settle within
    /// `remote.timeoutMs`.
    pub(super) async fn within_time<T>(
        &self,
        asked: LocalFuture<'_, Result<T>>,
        what: &str,
        hint: &'static str,
    ) -> Result<T> {
        let timeout_ms = self.config.options.timeout_ms;
        match select(asked, self.platform.clock.sleep(timeout_ms)).await {
            Either::Left((said, _)) => said,
            Either::Right(_) => {
                let text = format!("{what} exceeded remote.timeoutMs ({timeout_ms} ms)");
                Err(Error::new(ErrorCode::Timeout, text).hint(hint))
            }
        }
    }

    /// Returns the present phase.
    pub fn phase(&self) -> SyncPhase {
        self.phase.get()
    }

    /// Returns the error of the last call, until a call of its kind succeeds.
    pub fn last_error(&self) -> Option<Error> {
        self.last_error.borrow().as_ref().map(|(_, error)| error.clone())
    }

    /// Remembers the error of a pull or push, with its time. A success ends an error of the same kind only: what a pull
    /// refuses isn't repaired by a push without changes.
    pub(in crate::engine) fn remember(&self, phase: SyncPhase, error: Option<Error>) {
        let now = self.platform.clock.now().to_string();
        let mut last = self.last_error.borrow_mut();
        match error {
            Some(error) => *last = Some((phase, error.detail("time", now))),
            None => *last = last.take().filter(|(failed, _)| *failed != phase),
        }
    }

    /// Returns one entry per synced table.
    pub fn status(&self, connection: &Connection) -> Result<Vec<TableStatus>> {
        let current_table = self.current_table.borrow();
        let phase = self.phase.get();
        let now = self.platform.clock.now();
        self.config
            .options
            .tables
            .iter()
            .map(|table| {
                let phase = if *current_table == table.table { phase } else { SyncPhase::Idle };
                let mut status = status::of_table(connection, table, phase, now)?;
                // An error without a table concerns all of them.
                if let (None, Some((_, error))) = (&status.last_error, &*self.last_error.borrow())
                    && self.table_of(error).is_none()
                {
                    status.last_error = Some(error.clone());
                }
                Ok(status)
            })
            .collect()
    }

    /// Returns the synced table that an error concerns.
    fn table_of(&self, error: &Error) -> Option<String> {
        let Some(Detail::Text(table)) = error.details.get("table") else { return None };
        self.config.table(table).map(|known| known.table.clone())
    }

    /// Returns whether all pulled tables were pulled once.
    pub(in crate::engine) fn is_ready(&self, connection: &Connection) -> Result<bool> {
        Ok(status::lag(connection, &self.config, self.platform.clock.now())?.is_some())
    }

    /// Brings the remote's rows here. Calls wait for each other. Dropping the future aborts it: a merge keeps the pages that
    /// it applied, a replace changes nothing unless it was complete.
    ///
    /// A table that can't be read leaves the others alone: they are pulled, and then it fails with the first one's error.
    ///
    /// Fails with `sync_*`, `unpushed_changes`, `remote_empty`, `invalid_argument` for unknown tables, and what writing
    /// fails with.
    pub async fn pull(
        &self,
        host: &dyn SyncHost,
        options: PullOptions,
        progress: Option<OnProgress>,
    ) -> Result<PullReport> {
        self.pull_for(Caller::User, host, options, progress).await
    }

    pub(in crate::engine) async fn pull_for(
        &self,
        caller: Caller,
        host: &dyn SyncHost,
        options: PullOptions,
        progress: Option<OnProgress>,
    ) -> Result<PullReport> {
        let _flight = self.flight.acquire().await?;
        let work = self.pull_alone(caller, host, options, progress.as_deref());
        self.busy(host, SyncPhase::Pulling, work).await
    }

    /// Sends the local changes. Calls wait for each other. Dropping the future aborts it: what the remote has acknowledged
    /// stays settled, and what was on its way is sent again the next time, without effect if it had arrived.
    ///
    /// Fails with `sync_*`; a change that is refused permanently fails nothing, it moves to the rejected ones.
    pub async fn push(&self, host: &dyn SyncHost, progress: Option<OnProgress>) -> Result<PushReport> {
        self.push_for(Caller::User, host, progress).await
    }

    pub(in crate::engine) async fn push_for(
        &self,
        caller: Caller,
        host: &dyn SyncHost,
        progress: Option<OnProgress>,
    ) -> Result<PushReport> {
        let _flight = self.flight.acquire().await?;
        let work = self.push_alone(caller, host, progress.as_deref());
        self.busy(host, SyncPhase::Pushing, work).await
    }

    /// Returns the error for which rounds skip a table.
    pub(super) fn resting_error(&self, resting: &RefCell<TableBackoff>, caller: Caller, table: &str) -> Option<Error> {
        let now = self.platform.clock.monotonic_ms() as u64;
        resting.borrow().why(table, now).filter(|_| caller == Caller::Round).cloned()
    }

    /// Notes the result of an attempt to read or write a table.
    pub(super) fn note_attempt(&self, resting: &RefCell<TableBackoff>, table: &str, error: Option<&Error>) {
        let Platform { clock, entropy, .. } = &self.platform;
        match error {
            Some(error) => resting.borrow_mut().failed(table, error, clock.monotonic_ms() as u64, entropy.chance()),
            None => resting.borrow_mut().forget(table),
        }
    }

    /// Notes and returns the error of a call that failed for some tables or changes only, and has done everything else.
    pub(super) fn note_partial_failure(&self, error: Error) -> Error {
        self.partial.replace(Some(error.clone()));
        error
    }

    pub(in crate::engine) fn is_partial(&self, error: &Error) -> bool {
        self.partial.borrow().as_ref() == Some(error)
    }

    /// Lets rounds try all tables again.
    pub(in crate::engine) fn clear_resting(&self) {
        self.unread.take();
        self.unwritten.take();
    }

    /// Runs a pull or push: emits its phases, ends it when the database closes or the user changes, and remembers its error.
    async fn busy<T>(&self, host: &dyn SyncHost, phase: SyncPhase, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut busy = Busy { sync: self, host, error: None };
        self.phase.set(phase);
        host.emit(SyncEvent { phase, error: None });
        // A change before this call doesn't concern it: it asks for the token itself.
        self.user_changed.clear_notification();
        let (closing, user_changed) = (pin!(self.closing.notified()), pin!(self.user_changed.notified()));
        let ended = select(closing, user_changed);
        let result = match select(Box::pin(work), ended).await {
            Either::Left((result, _)) => result,
            Either::Right((Either::Left(_), _)) => {
                // For those that waited behind this call.
                self.closing.notify();
                return Err(closed());
            }
            Either::Right((Either::Right(_), _)) => {
                let text = "The user signed out, or another one signed in, during the call";
                Err(Error::new(ErrorCode::SyncUnauthorized, text)
                    .hint("What was not sent stays in pending(), and leaves once the user has signed in again")
                    .detail("signedIn", self.signed_in.get()))
            }
        };
        busy.error = result.as_ref().err().cloned();
        self.remember(phase, busy.error.clone());
        // With the time at which it failed.
        if let Some(error) = self.last_error().filter(|_| busy.error.is_some()) {
            let table = self.table_of(&error).unwrap_or_else(|| self.current_table.borrow().clone());
            self.note_failure(host, phase, &table, &error).await;
        }
        result
    }

    /// Returns whether a refused change waits for the next round instead of being rejected: only with automatic sync, and while the row
    /// that it refers to may still be pushed.
    pub(super) fn keep_for_retry(&self, id: i64, error: &Error) -> bool {
        let now = self.platform.clock.monotonic_ms();
        self.retries.borrow_mut().as_mut().is_some_and(|retries| retries.keep_for_retry(id, error, now))
    }

    /// Returns whether the push that just ended kept changes for a retry.
    pub(in crate::engine) fn take_kept_any(&self) -> bool {
        self.retries.borrow_mut().as_mut().is_some_and(Retries::take_kept_any)
    }
}

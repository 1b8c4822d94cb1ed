//! Sync with the network, the clock and the database around it.

use std::{
    cell::{Cell, RefCell},
    future::Future,
    pin::pin,
    rc::Rc,
};

use futures_util::future::{Either, select};
use serde::Serialize;

use super::{
    retries::Retries,
    single_flight::{OnProgress, SingleFlight},
};
use crate::{
    collections::Set,
    engine::{
        connection::{
            mutex::{Mutex, closed},
            signal::Signal,
        },
        environment::Environment,
    },
    error::{Detail, Error, Result},
    ports::{Http, LocalFuture, Platform},
    sqlite::Connection,
    sync::{
        config::{checked::Config, credentials::check_token},
        postgrest::remote::{Known, Remote, Tokens},
        report::{Cells, Conflicting, PullOptions, PullReport, PushReport},
        schedule::resting::Resting,
        state::metadata,
        status::{self, SyncPhase, TableStatus},
    },
};

/// What sync alone needs of the database around it.
pub trait SyncHost: Environment {
    /// Fails when a write must not even begin.
    fn admit_write(&self) -> Result<()>;

    /// A commit changed these tables: starts its way to the storage, and tells live queries.
    fn committed(&self, tables: &[&str]);

    /// The user's access token, requested again; `None`: no user is signed in.
    fn access_token(&self) -> LocalFuture<'_, Result<Option<String>>>;

    /// Asks the user's function what becomes of a row that changed on both sides: its columns, or `None` to delete it.
    fn resolve(&self, conflict: Conflicting) -> LocalFuture<'_, Result<Option<Cells>>>;

    /// Tells what sync is doing.
    fn emit(&self, event: SyncEvent);
}

/// The detail of a `sync` event: what sync does from now on.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct SyncEvent {
    /// What it does now.
    pub phase: SyncPhase,
    /// Why it stopped, when it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub error: Option<Error>,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::engine) enum Caller {
    /// A user, by call: all tables are tried.
    Hand,
    /// A round: tables that rest are left out.
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
    /// The tables whose full list of columns was tried since opening: a column that the remote lacked may be there by now.
    pub(super) tried: RefCell<Set<String>>,
    pub(in crate::engine) pulls: SingleFlight<PullOptions, PullReport>,
    pub(in crate::engine) pushes: SingleFlight<(), PushReport>,
    /// A push is under way that still takes up what is changed.
    pub(in crate::engine) accepting: Cell<bool>,
    /// Another call has joined it.
    pub(in crate::engine) more: Cell<bool>,
    phase: Cell<SyncPhase>,
    pub(super) reading: RefCell<String>,
    last_error: RefCell<Option<Error>>,
    /// The newest token that was given.
    pub(in crate::engine) token: RefCell<Option<String>>,
    /// While it keeps in step.
    pub(in crate::engine) retries: RefCell<Option<Retries>>,
    /// The tables that couldn't be read, and those that couldn't be written, when they were last tried.
    pub(super) unread: RefCell<Resting>,
    pub(super) unwritten: RefCell<Resting>,
    /// The last error that a call failed with once everything else was done.
    pub(super) partial: RefCell<Option<Error>>,
    /// Rung when the database closes.
    pub(in crate::engine) closing: Signal,
}

/// Says `idle` when a pull or push ends, however it ends.
struct Busy<'a> {
    sync: &'a Sync,
    host: &'a dyn SyncHost,
    error: Option<Error>,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.sync.phase.set(SyncPhase::Idle);
        self.sync.reading.borrow_mut().clear();
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
            let token = self.sync.ask_token(self.host).await?;
            let _turn = self.host.turn().await?;
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
            more: Cell::default(),
            phase: Cell::default(),
            reading: RefCell::default(),
            last_error: RefCell::default(),
            token: RefCell::default(),
            retries: RefCell::default(),
            unread: RefCell::default(),
            unwritten: RefCell::default(),
            partial: RefCell::default(),
            closing: Signal::default(),
        }
    }

    /// Ends the call under way with `closed`, whatever it waits for, and those to come.
    pub fn close(&self) {
        self.closing.ring();
    }

    /// The checked `remote` option.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The client of one call, for the user whose data it is. Fails as the access token function does, and with
    /// `sync_user_mismatch` before any request.
    pub(super) async fn remote<'a>(&'a self, host: &'a dyn SyncHost) -> Result<Remote<'a>> {
        let token = if self.config.options.has_access_token { self.ask_token(host).await? } else { None };
        {
            let _turn = host.turn().await?;
            let connection = host.connection()?;
            metadata::register(&connection, &self.config.options.tables)?;
            self.check_owner(&connection, token.as_deref())?;
        }
        let tokens = Box::new(UserTokens { sync: self, host });
        Ok(Remote::new(&self.config, &*self.http, &self.platform, &self.known, token, tokens))
    }

    /// The user's token, requested again and checked. Fails as the access token function does, and with `invalid_argument` for
    /// what is no token to be used here.
    async fn ask_token(&self, host: &dyn SyncHost) -> Result<Option<String>> {
        let token = check_token(host.access_token().await?, self.config.options.secrets_allowed)?;
        self.token.borrow_mut().clone_from(&token);
        Ok(token)
    }

    /// What it is doing.
    pub fn phase(&self) -> SyncPhase {
        self.phase.get()
    }

    /// Why the last call failed, until one succeeds.
    pub fn last_error(&self) -> Option<Error> {
        self.last_error.borrow().clone()
    }

    /// Remembers why a call failed, and when.
    pub(in crate::engine) fn remember(&self, error: Option<Error>) {
        let now = self.platform.clock.now().to_string();
        *self.last_error.borrow_mut() = error.map(|error| error.detail("time", now));
    }

    /// One entry a synced table.
    pub fn status(&self, connection: &Connection) -> Result<Vec<TableStatus>> {
        let reading = self.reading.borrow();
        let phase = self.phase.get();
        let now = self.platform.clock.now();
        self.config
            .options
            .tables
            .iter()
            .map(|table| {
                let phase = if *reading == table.table { phase } else { SyncPhase::Idle };
                let mut status = status::of_table(connection, &table.table, phase, now)?;
                // What failed before it came to any table stands in the way of all of them.
                if let (None, Some(error)) = (&status.last_error, &*self.last_error.borrow())
                    && self.table_of(error).is_none()
                {
                    status.last_error = Some(error.clone());
                }
                Ok(status)
            })
            .collect()
    }

    /// The synced table that an error is about.
    fn table_of(&self, error: &Error) -> Option<String> {
        let Some(Detail::Text(table)) = error.details.get("table") else { return None };
        self.config.table(table).map(|known| known.table.clone())
    }

    /// Whether all tables that are pulled have been pulled once.
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
        self.pull_for(Caller::Hand, host, options, progress).await
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
    /// Fails with `sync_*`; a change that is refused for good fails nothing, it moves to the rejected ones.
    pub async fn push(&self, host: &dyn SyncHost, progress: Option<OnProgress>) -> Result<PushReport> {
        self.push_for(Caller::Hand, host, progress).await
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

    /// Why rounds leave a table out at present.
    pub(super) fn why_resting(&self, resting: &RefCell<Resting>, caller: Caller, table: &str) -> Option<Error> {
        let now = self.platform.clock.monotonic_ms() as u64;
        resting.borrow().why(table, now).filter(|_| caller == Caller::Round).cloned()
    }

    /// Notes how a table did that was tried.
    pub(super) fn note_tried(&self, resting: &RefCell<Resting>, table: &str, error: Option<&Error>) {
        let Platform { clock, entropy, .. } = &self.platform;
        match error {
            Some(error) => resting.borrow_mut().failed(table, error, clock.monotonic_ms() as u64, entropy.chance()),
            None => resting.borrow_mut().forget(table),
        }
    }

    /// What a call fails with that has done everything else: this stood in the way of some tables or changes alone.
    pub(super) fn partial(&self, error: Error) -> Error {
        self.partial.replace(Some(error.clone()));
        error
    }

    pub(in crate::engine) fn is_partial(&self, error: &Error) -> bool {
        self.partial.borrow().as_ref() == Some(error)
    }

    /// Nothing rests any more.
    pub(in crate::engine) fn wake_all(&self) {
        self.unread.take();
        self.unwritten.take();
    }

    /// Says what is being done, while it is, and remembers why it failed.
    async fn busy<T>(&self, host: &dyn SyncHost, phase: SyncPhase, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut busy = Busy { sync: self, host, error: None };
        self.phase.set(phase);
        host.emit(SyncEvent { phase, error: None });
        let result = match select(Box::pin(work), pin!(self.closing.rung())).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => {
                // For those that waited behind this call.
                self.closing.ring();
                return Err(closed());
            }
        };
        busy.error = result.as_ref().err().cloned();
        self.remember(busy.error.clone());
        // With the time at which it failed.
        if let Some(error) = self.last_error() {
            let table = self.table_of(&error).unwrap_or_else(|| self.reading.borrow().clone());
            self.note_failure(host, &table, &error).await;
        }
        result
    }

    /// Whether a refused change waits for the next round, instead of moving to the rejected ones: while the database keeps in step, and
    /// what the change refers to may still come.
    pub(super) fn keeps(&self, id: i64, error: &Error) -> bool {
        let now = self.platform.clock.monotonic_ms();
        self.retries.borrow_mut().as_mut().is_some_and(|retries| retries.keeps(id, error, now))
    }

    /// Whether rounds run by themselves.
    pub(in crate::engine) fn keeps_in_step(&self) -> bool {
        self.retries.borrow().is_some()
    }

    /// Whether the push that has just ended keeps any.
    pub(in crate::engine) fn keeps_any(&self) -> bool {
        self.retries.borrow_mut().as_mut().is_some_and(Retries::take_kept)
    }
}

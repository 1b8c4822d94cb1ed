//! The handle of an open database, and the state that its parts share.

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use super::{
    ChangeEvent, Event, LiveEvent,
    connection::{
        limits::CallLimits,
        mutex::{Mutex, MutexGuard, MutexPermit, closed},
        signal::Signal,
    },
    environment::until_stored,
    migrations::driver::Migrations,
    options::{OpenOptions, StorageKind},
    storage::{flush::Flusher, snapshots::Snapshots},
    sync::driver::Sync,
};
use crate::{
    audit,
    collections::{Map, Set},
    error::{Error, Result},
    health::{AlertCode, QueryStats},
    live,
    ports::{Broadcast, HeldLock, LifecycleEvent, LocalFuture, Ports},
    sqlite::{Connection, PageFile, Pin, functions},
    store::Storage,
    sync::report::{Cells, Conflict},
    time::Timestamp,
};

/// The callbacks of the database's opener.
pub trait Callbacks {
    /// Delivers an event.
    fn emit(&self, event: Event);

    /// Runs a migration that is a function, under the mutex of `permit`.
    fn run_migration(&self, version: &str, direction: &str, permit: MutexPermit) -> LocalFuture<'static, Result<()>>;

    /// Requests the user's current access token for the remote.
    fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>>;

    /// Returns when the user's function schedules the next snapshot after `after`; `None`: never.
    fn next_snapshot(&self, after: Timestamp) -> LocalFuture<'static, Option<Timestamp>>;

    /// Returns the filters of the user's function for a table, by column.
    fn filter(&self, table: &str) -> LocalFuture<'static, Result<Map<String, String>>>;

    /// Returns the row with which the user's function resolves a conflict: its columns, or `None` to delete it.
    fn resolve_conflict(&self, conflict: Conflict) -> LocalFuture<'static, Result<Option<Cells>>>;
}

/// An open database. A handle, cheap to clone.
#[derive(Clone)]
pub struct Database {
    pub(super) inner: Rc<Inner>,
    /// Those of the calls through this handle.
    pub(super) limits: CallLimits,
}

/// The state that the parts of an open database share.
pub(super) struct Inner {
    pub options: OpenOptions,
    pub ports: Ports,
    pub callbacks: Rc<dyn Callbacks>,
    pub mutex: Rc<Mutex>,
    pub connection: RefCell<Option<Rc<Connection>>>,
    pub file: PageFile,
    pub storage: Storage,
    pub flusher: Flusher,
    pub snapshots: Snapshots,
    pub migrations: Rc<Migrations>,
    pub sync: OnceCell<Sync>,
    /// The audit options, if any table is audited.
    pub audit: OnceCell<audit::AuditOptions>,
    /// What they name and the database doesn't have, and whether that causes warnings.
    pub audit_missing: RefCell<audit::Missing>,
    pub audit_warns: Cell<bool>,
    /// The problems that the last maintenance found.
    pub maintenance_findings: RefCell<Vec<(AlertCode, String)>>,
    /// Automatic sync, if there is a remote.
    pub automatic_sync: OnceCell<Rc<dyn AutomaticSync>>,
    pub held_lock: RefCell<Option<Box<dyn HeldLock>>>,
    pub opened_at: Timestamp,
    pub live: RefCell<live::Registry>,
    /// Whether the analysis of live queries is loaded, or being loaded.
    pub refining: Cell<bool>,
    pub stats: RefCell<QueryStats>,
    pub transaction: OpenTransaction,
    pub events: Events,
    /// Whether each commit emits a `change` event.
    pub emits_changes: Cell<bool>,
    /// Whether local changes of at least one table are captured.
    pub capturing: Cell<bool>,
    /// Whether the triggers of capture and audit are dropped, because a schema change runs.
    pub triggers_suspended: Cell<bool>,
    /// The subscription to lifecycle events of the page.
    pub lifecycle_subscription: RefCell<Option<Box<dyn Any>>>,
    /// Whether the page is unloading or frozen.
    pub page_leaving: Cell<bool>,
    /// Whether the database is closing, by `close` or a takeover.
    pub closing: Cell<bool>,
    /// Held while the database closes, so that each call of `close` resolves only when everything is closed.
    pub close_mutex: Rc<Mutex>,
    /// The channel on which other tabs request the lock.
    pub broadcast: RefCell<Option<Box<dyn Broadcast>>>,
    /// Whether the lock is being released to another tab.
    pub handing_over: Cell<bool>,
    /// The error of all calls after another tab stole the lock; never unset.
    pub lost: RefCell<Option<Error>>,
}

/// The open transaction, if any.
#[derive(Default)]
pub(super) struct OpenTransaction {
    /// The nesting depth. 0: no transaction; 1: a transaction; more: savepoints in it.
    pub depth: Cell<u32>,
    /// The duration of a statement's parts so far, in milliseconds, until its last part has run.
    pub parts_ms: Cell<f64>,
    /// Whether a statement has written since the transaction began.
    pub wrote: Cell<bool>,
    /// The changes since the transaction began.
    pub changed: RefCell<Changed>,
}

/// The changes of a commit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// The tables with changed rows.
    pub tables: Set<Rc<str>>,
    /// Whether any table may have changed: the schema changed, or the contents were replaced.
    pub everything: bool,
}

impl Changed {
    pub fn clear(&mut self) {
        self.tables.clear();
        self.everything = false;
    }
}

/// An event that automatic sync reacts to.
#[derive(Clone, Copy, Debug)]
pub(super) enum SyncTrigger {
    /// The database is open.
    Opened,
    /// The user starts automatic sync, with this interval between rounds.
    Start { interval_ms: u64 },
    /// The user stops automatic sync, or the database closes.
    Stop,
    /// A transaction that isn't one of sync was committed.
    Wrote,
    /// The remote answered with `Retry-After`.
    RetryAfter { ms: u64 },
    /// A user has signed in or out.
    User { signed_in: bool },
    /// An event of the page's lifecycle.
    Page(LifecycleEvent),
}

/// Automatic sync: pushes and pulls in rounds. Behind a trait, because its code is in the wasm part `sync`.
pub(super) trait AutomaticSync {
    /// Handles an event.
    fn handle(&self, trigger: SyncTrigger);
}

/// The queue of outgoing events. A separate task delivers them, because a listener may call the database again.
pub(super) struct Events {
    queue: Rc<RefCell<Vec<Event>>>,
    callbacks: Rc<dyn Callbacks>,
    ports: Ports,
}

impl Events {
    pub fn new(callbacks: &Rc<dyn Callbacks>, ports: &Ports) -> Self {
        Self { queue: Rc::default(), callbacks: callbacks.clone(), ports: ports.clone() }
    }

    /// Delivers an event after the current task.
    pub fn emit(&self, event: Event) {
        let idle = self.queue.borrow().is_empty();
        self.queue.borrow_mut().push(event);
        if idle {
            let (queue, callbacks) = (self.queue.clone(), self.callbacks.clone());
            self.ports.platform.spawner.spawn(Box::pin(async move {
                let events = queue.take();
                events.into_iter().for_each(|event| callbacks.emit(event));
            }));
        }
    }
}

impl Clone for Events {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), callbacks: self.callbacks.clone(), ports: self.ports.clone() }
    }
}

impl Inner {
    /// Returns the connection. Fails with `closed` after the database was closed, `lock_lost` after another tab stole
    /// the lock, and `invalid_argument` inside one of the database's own SQL functions.
    pub fn connection(&self) -> Result<Rc<Connection>> {
        if functions::running() {
            return Err(functions::inside());
        }
        if let Some(lost) = &*self.lost.borrow() {
            return Err(lost.clone());
        }
        self.connection.borrow().clone().ok_or_else(closed)
    }

    /// Locks the connection until the guard is dropped.
    pub async fn acquire(&self) -> Result<MutexGuard> {
        self.mutex.acquire().await
    }

    /// Passes an event to automatic sync, if it is configured.
    pub fn notify_automatic_sync(&self, trigger: SyncTrigger) {
        if let Some(automatic_sync) = self.automatic_sync.get() {
            automatic_sync.handle(trigger);
        }
    }

    /// Handles a commit in memory that isn't one of sync.
    pub fn committed(&self, changed: &Changed) {
        self.notify_automatic_sync(SyncTrigger::Wrote);
        self.publish_commit(changed);
    }

    /// Handles any commit in memory: schedules its flush, and notifies live queries.
    pub fn publish_commit(&self, changed: &Changed) {
        self.flusher.committed();
        let emits = self.emits_changes.get();
        if !emits && self.live.borrow().is_empty() || !changed.everything && changed.tables.is_empty() {
            return;
        }
        let ids = match &*self.connection.borrow() {
            Some(connection) if changed.everything => self.live.borrow_mut().everything_changed(connection),
            Some(connection) => self.live.borrow_mut().committed(connection, &changed.tables),
            None => Vec::new(),
        };
        if !ids.is_empty() {
            self.events.emit(Event::Live(LiveEvent { ids }));
        }
        if emits {
            let tables = changed.tables.iter().map(|table| table.to_string()).collect();
            self.events.emit(Event::Change(ChangeEvent { tables, all: changed.everything }));
        }
    }

    /// Handles a commit that may have changed any table.
    pub fn everything_changed(&self) {
        self.committed(&Changed { everything: true, ..Changed::default() });
    }
}

impl Database {
    pub(super) fn of(inner: Rc<Inner>) -> Self {
        Self { inner, limits: CallLimits::default() }
    }

    /// Returns a handle for one call that begins now, whose statements are interrupted after so many milliseconds, and which
    /// can be cancelled until its commit.
    pub fn limited(&self, timeout_ms: Option<f64>, cancelled: Option<Rc<Signal>>) -> Self {
        let ends_ms = timeout_ms.map(|ms| self.inner.ports.platform.clock.monotonic_ms() + ms);
        Self { limits: CallLimits { ends_ms, cancelled }, ..self.clone() }
    }

    /// Returns the limits of the calls through this handle.
    pub fn limits(&self) -> &CallLimits {
        &self.limits
    }

    /// Makes a change within the limits, and waits until it is stored.
    pub(super) async fn until_stored<T>(&self, change: LocalFuture<'_, Result<T>>) -> Result<T> {
        until_stored(&*self.inner, &self.limits, change).await
    }

    /// Returns the options of the opening.
    pub fn options(&self) -> &OpenOptions {
        &self.inner.options
    }

    /// Returns the stored id of the database, which a deleted one of the same name doesn't share.
    pub fn id(&self) -> &str {
        self.inner.storage.database_id()
    }

    /// Returns the mutex of the connection.
    pub fn mutex(&self) -> &Rc<Mutex> {
        &self.inner.mutex
    }

    /// Sets whether each commit emits an [`Event::Change`], which is the default. The event can cost more than a small
    /// commit itself.
    pub fn emit_changes(&self, emit: bool) {
        self.inner.emits_changes.set(emit);
    }

    /// Fails with the reason why the database is closed, if it is.
    pub fn check_open(&self) -> Result<()> {
        self.inner.connection().map(drop)
    }

    /// Returns the database's snapshots.
    pub fn snapshots(&self) -> &Snapshots {
        &self.inner.snapshots
    }

    /// Resolves when all commits so far are as durable as the option `durability` promises; `None` if they already are.
    pub fn stored(&self) -> Option<LocalFuture<'static, Result<()>>> {
        self.inner.flusher.stored()
    }

    /// Returns whether commits are stored: `false` with `storage: 'memory'`, where no write waits.
    pub fn is_logged(&self) -> bool {
        self.inner.flusher.is_logged()
    }

    /// Stores all commits so far, without the retry delay after a failure.
    pub async fn flush(&self) -> Result<()> {
        self.inner.connection()?;
        self.inner.flusher.flush().await
    }

    pub(super) async fn flush_first(&self) -> Result<()> {
        self.inner.connection()?;
        self.inner.flusher.flush_first().await
    }

    /// Asks the platform never to evict the stored data, and returns whether it agreed: never with `storage: 'memory'`.
    ///
    /// Fails with `closed` and `lock_lost`.
    pub async fn persist(&self) -> Result<bool> {
        self.inner.connection()?;
        Ok(self.inner.options.storage != StorageKind::Memory && self.inner.ports.stores.persist().await)
    }

    /// Returns an immutable copy of the committed contents: the bytes of a `.sqlite` file.
    pub fn export(&self) -> Result<Pin> {
        self.inner.connection()?;
        Ok(self.inner.file.pin())
    }
}

//! The handle of an open database, and what its parts share.

use std::{
    any::Any,
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use super::{
    ChangeEvent, Event, LiveEvent,
    connection::mutex::{Mutex, MutexGuard, MutexPermit, closed},
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
    ports::{Channel, Held, LocalFuture, Moment, Ports},
    sqlite::{Connection, PageFile, Pin, functions},
    store::Storage,
    sync::report::{Cells, Conflicting},
    time::Timestamp,
};

/// The callbacks of the caller that opened the database.
pub trait Callbacks {
    /// Delivers an event.
    fn emit(&self, event: Event);

    /// Runs a migration that is a function, under the mutex of `permit`.
    fn run_migration(&self, version: &str, direction: &str, permit: MutexPermit) -> LocalFuture<'static, Result<()>>;

    /// The user's access token for the remote, requested again.
    fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>>;

    /// When the next scheduled snapshot after that time is due, by the user's own timetable; `None`: never.
    fn next_snapshot(&self, after: Timestamp) -> LocalFuture<'static, Option<Timestamp>>;

    /// The filters that the user's function gives for a table, by column.
    fn filter(&self, table: &str) -> LocalFuture<'static, Result<Map<String, String>>>;

    /// What the user's function makes of a row that changed on both sides: its columns, or `None` to delete it.
    fn resolve_conflict(&self, conflict: Conflicting) -> LocalFuture<'static, Result<Option<Cells>>>;
}

/// An open database. Cheap to clone: a handle.
#[derive(Clone)]
pub struct Database {
    pub(super) inner: Rc<Inner>,
}

/// What the parts of an open database share.
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
    pub audit: OnceCell<audit::Options>,
    /// What the last maintenance found.
    pub found: RefCell<Vec<(AlertCode, String)>>,
    /// Automatic sync, if there is a remote.
    pub automatic_sync: OnceCell<Rc<dyn AutomaticSync>>,
    pub held: RefCell<Option<Box<dyn Held>>>,
    pub opened_at: Timestamp,
    pub live: RefCell<live::Registry>,
    pub stats: RefCell<QueryStats>,
    pub transaction: OpenTransaction,
    pub events: Events,
    /// Each commit is emitted as an event.
    pub telling_changes: Cell<bool>,
    /// Local changes of at least one table are captured.
    pub capturing: Cell<bool>,
    /// The triggers of capture and audit are dropped while a schema change runs.
    pub suspended: Cell<bool>,
    /// The subscription to events of the page's lifecycle.
    pub watching_page: RefCell<Option<Box<dyn Any>>>,
    /// The page goes away, or is frozen.
    pub leaving: Cell<bool>,
    /// Whether `close` was called, or another tab took over.
    pub closing: Cell<bool>,
    /// The close in progress: `close` resolves when all is closed, also for later callers.
    pub ending: Rc<Mutex>,
    /// Where other tabs ask for the lock.
    pub channel: RefCell<Option<Box<dyn Channel>>>,
    /// Another tab has asked for the lock, and is about to get it.
    pub handing_over: Cell<bool>,
    /// Set for good when another tab has taken the lock away.
    pub lost: RefCell<Option<Error>>,
}

/// The open transaction, if any.
#[derive(Default)]
pub(super) struct OpenTransaction {
    /// 0: none; 1: a transaction; more: savepoints in it.
    pub depth: Cell<u32>,
    /// How long the parts took of a statement whose last part is to come, in milliseconds.
    pub parts_ms: Cell<f64>,
    /// Something was written since it began.
    pub wrote: Cell<bool>,
    /// What was written since it began.
    pub changed: RefCell<Changed>,
}

/// What commits changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// The tables with changed rows.
    pub tables: Set<Rc<str>>,
    /// The schema changed, or everything was replaced.
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
    Page(Moment),
}

/// Automatic sync: pushes and pulls in rounds. Behind a trait, because its code is in the wasm part `sync`.
pub(super) trait AutomaticSync {
    /// Handles an event.
    fn handle(&self, trigger: SyncTrigger);
}

/// Events on their way out. They leave in a task of their own: a listener may call the database again.
pub(super) struct Events {
    queue: Rc<RefCell<Vec<Event>>>,
    callbacks: Rc<dyn Callbacks>,
    ports: Ports,
}

impl Events {
    pub fn new(callbacks: &Rc<dyn Callbacks>, ports: &Ports) -> Self {
        Self { queue: Rc::default(), callbacks: callbacks.clone(), ports: ports.clone() }
    }

    /// Sends an event after the present task.
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
    /// The connection; `closed` when there is none any more, `lock_lost` when the database is another tab's, `invalid_argument`
    /// inside one of its own SQL functions.
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
        let telling = self.telling_changes.get();
        if !telling && self.live.borrow().is_empty() || !changed.everything && changed.tables.is_empty() {
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
        if telling {
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
    /// The options it was opened with.
    pub fn options(&self) -> &OpenOptions {
        &self.inner.options
    }

    /// The mutex of the connection.
    pub fn mutex(&self) -> &Rc<Mutex> {
        &self.inner.mutex
    }

    /// Whether there is to be an [`Event::Change`] for every commit, which is the default. It can cost more than a small commit itself.
    pub fn emit_changes(&self, tell: bool) {
        self.inner.telling_changes.set(tell);
    }

    /// The snapshots.
    pub fn snapshots(&self) -> &Snapshots {
        &self.inner.snapshots
    }

    /// Resolves when everything committed so far is as durable as the mode promises; `None`: it is already.
    pub fn stored(&self) -> Option<LocalFuture<'static, Result<()>>> {
        self.inner.flusher.stored()
    }

    /// Whether commits are stored anywhere; not with `storage: 'memory'`, where no write has to wait for it.
    pub fn is_logged(&self) -> bool {
        self.inner.flusher.is_logged()
    }

    /// Stores everything committed so far, at once also after failures.
    pub async fn flush(&self) -> Result<()> {
        self.inner.connection()?;
        self.inner.flusher.flush().await
    }

    /// Asks the platform never to evict what is stored; whether it promised. What lives in memory only never is.
    ///
    /// Fails with `closed` and `lock_lost`.
    pub async fn persist(&self) -> Result<bool> {
        self.inner.connection()?;
        Ok(self.inner.options.storage != StorageKind::Memory && self.inner.ports.stores.persist().await)
    }

    /// The committed contents, frozen: the bytes of a `.sqlite` file.
    pub fn export(&self) -> Result<Pin> {
        self.inner.connection()?;
        Ok(self.inner.file.pin())
    }
}

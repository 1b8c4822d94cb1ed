//! What the engine reports, and the functions of the program that it calls.

use std::{
    cell::RefCell,
    collections::HashMap,
    future::ready,
    rc::Rc,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    task::Waker,
};

use futures_channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};

use super::levels::{LevelId, Levels};
#[cfg(feature = "sync")]
use crate::api::remote_functions::RemoteFunctions;
use crate::{
    api::{
        ThreadSafe,
        event::{Event, OnWarning},
        platform::show_warning,
    },
    collections::Map,
    engine::{Callbacks, Event as EngineEvent, LiveEvent, connection::mutex::MutexPermit},
    error::{Error, Result},
    ports::LocalFuture,
    sync::report::{Cells, Conflict},
    time::Timestamp,
};

/// Reports to a live query that its result may have changed.
#[derive(Debug, Default)]
pub struct LiveSignal {
    is_due: AtomicBool,
    waker: Mutex<Option<Waker>>,
    /// The id of the watch; 0 before there is one.
    pub watch: AtomicU32,
}

impl LiveSignal {
    /// Says that the query has to run.
    pub fn notify(&self) {
        self.is_due.store(true, Ordering::SeqCst);
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Discards what was said before a run.
    pub fn clear(&self) {
        self.is_due.store(false, Ordering::SeqCst);
    }

    /// Returns whether the query has to run, once for each time; otherwise the waker is called when it has to.
    pub fn take(&self, waker: &Waker) -> bool {
        self.waker.lock().unwrap_or_else(PoisonError::into_inner).replace(waker.clone());
        self.is_due.swap(false, Ordering::SeqCst)
    }
}

/// A function that runs in a level.
pub trait LevelWork: Fn(LevelId) -> LocalFuture<'static, Result<()>> + ThreadSafe {}
impl<F: Fn(LevelId) -> LocalFuture<'static, Result<()>> + ThreadSafe> LevelWork for F {}

/// A migration that is a function, given the level in which it runs.
pub type LevelFn = Box<dyn LevelWork>;

/// What the program gave for the engine to call.
#[derive(Default)]
pub struct ProgramFunctions {
    pub on_warning: Option<OnWarning>,
    /// The migrations that are functions, by version and direction.
    pub migrations: HashMap<(String, &'static str), LevelFn>,
    /// Those of the option `remote`.
    #[cfg(feature = "sync")]
    pub remote: RemoteFunctions,
    /// Set when the database is closed.
    pub closed: Arc<AtomicBool>,
}

/// What the engine reports to.
pub struct Reports {
    /// The live queries by their watches.
    live: RefCell<HashMap<u32, Arc<LiveSignal>>>,
    listeners: RefCell<Vec<UnboundedSender<Event>>>,
    functions: ProgramFunctions,
    levels: Rc<Levels>,
}

impl Reports {
    /// Creates it over the levels that the functions of migrations use.
    pub fn new(functions: ProgramFunctions, levels: &Rc<Levels>) -> Self {
        Self { live: RefCell::default(), listeners: RefCell::default(), functions, levels: levels.clone() }
    }

    /// Says that the database is closed, before the event does.
    pub fn set_closed(&self) {
        self.functions.closed.store(true, Ordering::SeqCst);
    }

    /// Adds a listener of events.
    pub fn listen(&self) -> UnboundedReceiver<Event> {
        let (sender, receiver) = unbounded();
        self.listeners.borrow_mut().push(sender);
        receiver
    }

    /// Has a live query notified of changes.
    pub fn watch(&self, id: u32, signal: &Arc<LiveSignal>) {
        signal.watch.store(id, Ordering::SeqCst);
        self.live.borrow_mut().insert(id, signal.clone());
    }

    /// Ends a watch.
    pub fn unwatch(&self, id: u32) {
        self.live.borrow_mut().remove(&id);
    }

    fn warn(&self, event: &Event) {
        let Event::Warning(warning) = event else { return };
        match &self.functions.on_warning {
            Some(on_warning) => on_warning(warning),
            None => show_warning(&warning.message),
        }
    }
}

impl Callbacks for Reports {
    fn emit(&self, event: EngineEvent) {
        if let EngineEvent::Live(LiveEvent { ids }) = &event {
            let live = self.live.borrow();
            ids.iter().filter_map(|id| live.get(id)).for_each(|signal| signal.notify());
        }
        let Some(event) = Event::of(event) else { return };
        self.warn(&event);
        let closes = matches!(event, Event::Close(_));
        self.listeners.borrow_mut().retain(|listener| listener.unbounded_send(event.clone()).is_ok());
        if closes {
            self.set_closed();
            self.listeners.take();
            // They then find the database closed, and end.
            self.live.borrow().values().for_each(|signal| signal.notify());
        }
    }

    fn run_migration(&self, version: &str, direction: &str, permit: MutexPermit) -> LocalFuture<'static, Result<()>> {
        let direction = if direction == "up" { "up" } else { "down" };
        let Some(function) = self.functions.migrations.get(&(version.to_owned(), direction)) else {
            return Box::pin(ready(Err(Error::internal("A migration's function is missing"))));
        };
        let level = MigrationLevel { id: self.levels.add_migration(permit), levels: self.levels.clone() };
        let running = function(level.id);
        Box::pin(async move {
            let _level = level;
            running.await
        })
    }

    #[cfg(feature = "sync")]
    fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>> {
        self.functions.remote.access_token()
    }

    #[cfg(not(feature = "sync"))]
    fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>> {
        Box::pin(ready(Ok(None)))
    }

    fn next_snapshot(&self, _after: Timestamp) -> LocalFuture<'static, Option<Timestamp>> {
        Box::pin(ready(None))
    }

    #[cfg(feature = "sync")]
    fn filter(&self, table: &str) -> LocalFuture<'static, Result<Map<String, String>>> {
        self.functions.remote.filter(table)
    }

    #[cfg(not(feature = "sync"))]
    fn filter(&self, _table: &str) -> LocalFuture<'static, Result<Map<String, String>>> {
        Box::pin(ready(Ok(Map::default())))
    }

    #[cfg(feature = "sync")]
    fn resolve_conflict(&self, conflict: Conflict) -> LocalFuture<'static, Result<Option<Cells>>> {
        self.functions.remote.resolve(conflict)
    }

    #[cfg(not(feature = "sync"))]
    fn resolve_conflict(&self, _conflict: Conflict) -> LocalFuture<'static, Result<Option<Cells>>> {
        Box::pin(ready(Ok(None)))
    }
}

/// Ends the level of a migration's function, also when the run is cancelled.
struct MigrationLevel {
    id: LevelId,
    levels: Rc<Levels>,
}

impl Drop for MigrationLevel {
    fn drop(&mut self) {
        self.levels.forget(self.id);
    }
}

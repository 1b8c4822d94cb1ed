//! A simulated browser: its tabs share locks, storage and time, as the tabs of one origin do.

use std::{
    any::Any,
    cell::{Cell, RefCell},
    collections::{HashMap, VecDeque},
    future::{Future, ready},
    rc::{Rc, Weak},
};

use futures_channel::oneshot;
use tidelock::{
    Error, ErrorCode, Result,
    collections::Map,
    engine::{Call, Callbacks, Database, Event, OpenOptions, connection::mutex::MutexPermit},
    ports::{
        Acquire, Broadcast, Estimate, HeldLock, Http, HttpFailure, HttpRequest, HttpResponse, Lifecycle,
        LifecycleEvent, LocalFuture, Locks, Ports, Socket, SocketEvent, Sockets, Store, Stores, sim::Sim,
    },
    sqlite::{FlatRows, Op},
    store::MemoryStore,
    sync::report::{Cells, Conflict},
    time::Timestamp,
};

/// The state shared by the tabs of one origin.
pub struct World {
    pub sim: Sim,
    locks: Rc<TestLocks>,
    pub stores: Rc<TestStores>,
    pub page: Rc<TestPage>,
}

impl World {
    pub fn new() -> Self {
        Self { sim: Sim::new(7), locks: Rc::default(), stores: Rc::default(), page: Rc::default() }
    }

    pub fn ports(&self) -> Ports {
        Ports {
            platform: self.sim.platform(),
            locks: Rc::new(LocksHandle(self.locks.clone())),
            http: Rc::new(NoHttp),
            sockets: Rc::new(NoSockets),
            stores: Rc::new(StoresHandle(self.stores.clone())),
            lifecycle: Rc::new(PageHandle(self.page.clone())),
        }
    }

    /// Runs a scenario in a new tab, which shares locks and storage with all other tabs.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(&mut self, scenario: impl FnOnce(Tab) -> F) -> T {
        let tab = self.tab();
        self.sim.run(scenario(tab))
    }

    pub fn tab(&self) -> Tab {
        Tab { ports: self.ports(), heard: Rc::default(), token: Rc::default(), code: Rc::default() }
    }

    /// Kills the tab with its background work, and frees its locks.
    pub fn kill(&mut self) {
        self.sim.kill();
        self.locks.taken.borrow_mut().clear();
        self.locks.channels.borrow_mut().clear();
    }
}

type Code = Box<dyn Fn(&str, &str, MutexPermit) -> LocalFuture<'static, Result<()>>>;

/// One tab.
#[derive(Clone)]
pub struct Tab {
    pub ports: Ports,
    pub heard: Rc<RefCell<Vec<String>>>,
    /// The access token of the signed-in user.
    pub token: Rc<RefCell<Option<String>>>,
    /// The implementation of migrations that are functions.
    pub code: Rc<RefCell<Option<Code>>>,
}

impl Tab {
    /// Opens a database with the default options and these changes (JSON).
    pub async fn open(&self, changes: &str) -> Result<Database> {
        Database::open(options(changes), self.ports.clone(), Rc::new(TestCallbacks(self.clone()))).await
    }
}

impl Tab {
    /// Runs the first half of opening: reads the stored data, but runs no migrations.
    pub async fn acquire(&self, changes: &str) -> Result<Database> {
        Database::acquire(options(changes), self.ports.clone(), Rc::new(TestCallbacks(self.clone()))).await
    }
}

/// Returns the options as TypeScript passes them, with these changes (JSON).
pub fn options(changes: &str) -> OpenOptions {
    let mut options: serde_json::Map<String, serde_json::Value> = serde_json::from_str(
        r#"{
            "name": "shop", "storage": "indexeddb", "durability": "relaxed", "integers": "auto", "maxBytes": 1073741824,
            "onBusy": "fail", "lockTimeoutMs": 10000, "holder": { "title": "Shop", "url": "http://shop" }, "migrate": true,
            "outOfOrder": "error", "migrationsTable": "schema_migrations", "snapshots": { "enabled": false }, "mode": "local"
        }"#,
    )
    .unwrap();
    let changes: serde_json::Map<String, serde_json::Value> = serde_json::from_str(changes).unwrap();
    options.extend(changes);
    let remote = options.remove("remote").map(|remote| serde_json::from_value(remote).unwrap());
    OpenOptions { remote, ..serde_json::from_value(serde_json::Value::Object(options)).unwrap() }
}

const HOUR_MS: i64 = 3_600_000;

struct TestCallbacks(Tab);

impl Callbacks for TestCallbacks {
    fn emit(&self, event: Event) {
        self.0.heard.borrow_mut().push(serde_json::to_string(&event).unwrap());
    }

    fn run_migration(&self, version: &str, direction: &str, permit: MutexPermit) -> LocalFuture<'static, Result<()>> {
        match &*self.0.code.borrow() {
            Some(code) => code(version, direction, permit),
            None => Box::pin(ready(Err(Error::internal("this tab has no functions")))),
        }
    }

    fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>> {
        Box::pin(ready(Ok(self.0.token.borrow().clone())))
    }

    /// Schedules a snapshot at each full hour.
    fn next_snapshot(&self, after: Timestamp) -> LocalFuture<'static, Option<Timestamp>> {
        Box::pin(ready(Some(Timestamp((after.0.div_euclid(HOUR_MS) + 1) * HOUR_MS))))
    }

    fn filter(&self, _: &str) -> LocalFuture<'static, Result<Map<String, String>>> {
        Box::pin(ready(Ok(Map::default())))
    }

    fn resolve_conflict(&self, _conflict: Conflict) -> LocalFuture<'static, Result<Option<Cells>>> {
        Box::pin(ready(Ok(None)))
    }
}

/// The held locks by name, and the channels' listeners.
#[derive(Default)]
struct TestLocks {
    taken: RefCell<HashMap<String, Taken>>,
    grants: Cell<u64>,
    channels: RefCell<Vec<Listener>>,
}

type Listener = (u64, String, Rc<dyn Fn(&str)>);

#[derive(Default)]
struct Taken {
    grant: u64,
    ended: Vec<oneshot::Sender<bool>>,
    line: VecDeque<oneshot::Sender<TestLock>>,
}

struct LocksHandle(Rc<TestLocks>);

struct TestLock {
    locks: Rc<TestLocks>,
    name: String,
    grant: u64,
}

impl TestLocks {
    fn grant(self: &Rc<Self>, name: &str) -> TestLock {
        self.grants.set(self.grants.get() + 1);
        TestLock { locks: self.clone(), name: name.to_owned(), grant: self.grants.get() }
    }

    /// Passes the lock to the next waiter, and reports to the previous holder how its lock ended.
    fn hand_on(self: &Rc<Self>, name: &str, mut to: Option<oneshot::Sender<TestLock>>, stolen: bool) {
        let ended = self.taken.borrow_mut().get_mut(name).map(|taken| std::mem::take(&mut taken.ended));
        for sender in ended.unwrap_or_default() {
            let _ = sender.send(stolen);
        }
        while let Some(next) = to.take().or_else(|| self.taken.borrow_mut().get_mut(name)?.line.pop_front()) {
            let lock = self.grant(name);
            self.taken.borrow_mut().entry(name.to_owned()).or_default().grant = lock.grant;
            match next.send(lock) {
                Ok(()) => return,
                // The waiter was cancelled. Dropping its lock must not free the name, which the next waiter holds.
                Err(unwanted) => std::mem::forget(unwanted),
            }
        }
        self.taken.borrow_mut().remove(name);
    }
}

impl HeldLock for TestLock {
    fn ended(&self) -> LocalFuture<'static, bool> {
        let (sender, receiver) = oneshot::channel();
        match self.locks.taken.borrow_mut().get_mut(&self.name) {
            Some(taken) if taken.grant == self.grant => taken.ended.push(sender),
            _ => _ = sender.send(true),
        }
        Box::pin(async move { receiver.await.unwrap_or(false) })
    }

    fn release(self: Box<Self>) -> LocalFuture<'static, ()> {
        drop(self);
        Box::pin(ready(()))
    }
}

impl Drop for TestLock {
    fn drop(&mut self) {
        let ours = self.locks.taken.borrow().get(&self.name).is_some_and(|taken| taken.grant == self.grant);
        if ours {
            self.locks.hand_on(&self.name, None, false);
        }
    }
}

impl Locks for LocksHandle {
    fn holder(&self, name: &str) -> LocalFuture<'static, Option<String>> {
        let taken = self.0.taken.borrow().contains_key(name);
        Box::pin(ready(taken.then(|| "tab".to_owned())))
    }

    fn is_awaited(&self, name: &str) -> LocalFuture<'static, bool> {
        let awaited = |taken: &Taken| taken.line.iter().any(|waiting| !waiting.is_canceled());
        Box::pin(ready(self.0.taken.borrow().get(name).is_some_and(awaited)))
    }

    fn open_broadcast(&self, name: &str, heard: Box<dyn Fn(&str)>) -> Result<Box<dyn Broadcast>> {
        self.0.grants.set(self.0.grants.get() + 1);
        let id = self.0.grants.get();
        self.0.channels.borrow_mut().push((id, name.to_owned(), heard.into()));
        Ok(Box::new(TestChannel { locks: self.0.clone(), id, name: name.to_owned() }))
    }

    fn acquire(&self, name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn HeldLock>>>> {
        let (locks, name) = (self.0.clone(), name.to_owned());
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            let is_taken = locks.taken.borrow().contains_key(&name);
            match how {
                Acquire::IfAvailable if is_taken => return Ok(None),
                Acquire::Wait if is_taken => {
                    locks.taken.borrow_mut().entry(name).or_default().line.push_back(sender);
                }
                _ => locks.hand_on(&name, Some(sender), true),
            }
            Ok(receiver.await.ok().map(|lock| Box::new(lock) as Box<dyn HeldLock>))
        })
    }
}

struct TestChannel {
    locks: Rc<TestLocks>,
    id: u64,
    name: String,
}

impl Broadcast for TestChannel {
    fn send(&self, message: &str) {
        let channels = self.locks.channels.borrow().clone();
        let others = channels.into_iter().filter(|(id, name, _)| *id != self.id && *name == self.name);
        others.for_each(|(_, _, heard)| heard(message));
    }
}

impl Drop for TestChannel {
    fn drop(&mut self) {
        self.locks.channels.borrow_mut().retain(|(id, ..)| *id != self.id);
    }
}

#[derive(Default)]
pub struct TestStores {
    pub by_name: RefCell<HashMap<String, MemoryStore>>,
    pub persisted: Cell<bool>,
}

struct StoresHandle(Rc<TestStores>);

impl Stores for StoresHandle {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let store = self.0.by_name.borrow_mut().entry(name.to_owned()).or_default().clone();
        Box::pin(ready(Ok(Rc::new(store) as Rc<dyn Store>)))
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(ready(Estimate { usage: Some(10), quota: Some(1000), persisted: self.0.persisted.get() }))
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        self.0.persisted.set(true);
        Box::pin(ready(true))
    }
}

type ScheduleEvent = Weak<dyn Fn(LifecycleEvent)>;

/// The page's lifecycle, shared by all tabs.
#[derive(Default)]
pub struct TestPage {
    hidden: Cell<bool>,
    heard: RefCell<Vec<ScheduleEvent>>,
}

impl TestPage {
    /// Reports a lifecycle event of the page.
    pub fn happens(&self, moment: LifecycleEvent) {
        match moment {
            LifecycleEvent::Online | LifecycleEvent::Offline => {}
            _ => self.hidden.set(moment != LifecycleEvent::Shown),
        }
        let heard: Vec<_> = self.heard.borrow().iter().filter_map(Weak::upgrade).collect();
        heard.iter().for_each(|heard| heard(moment));
    }
}

struct PageHandle(Rc<TestPage>);

impl Lifecycle for PageHandle {
    fn visible(&self) -> bool {
        !self.0.hidden.get()
    }

    fn watch(&self, heard: Rc<dyn Fn(LifecycleEvent)>) -> Box<dyn Any> {
        self.0.heard.borrow_mut().push(Rc::downgrade(&heard));
        Box::new(heard)
    }
}

struct NoSockets;

impl Sockets for NoSockets {
    fn open(&self, _: &str, _: Box<dyn Fn(SocketEvent)>) -> Result<Box<dyn Socket>> {
        Err(Error::new(ErrorCode::UnsupportedEnvironment, "there are no sockets here"))
    }
}

struct NoHttp;

impl Http for NoHttp {
    fn send(&self, _: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        Box::pin(ready(Err(HttpFailure::Network("there is no network here".into()))))
    }
}

/// Runs a script and waits until it is stored.
pub async fn run(database: &Database, sql: &str) {
    let guard = database.mutex().acquire().await.unwrap();
    database.script(guard.permit(), sql, 0.0).unwrap();
    drop(guard);
    database.flush().await.unwrap();
}

/// Returns the first column of the first row as text.
pub async fn text(database: &Database, sql: &str) -> String {
    let guard = database.mutex().acquire().await.unwrap();
    let mut rows = FlatRows::default();
    let call = Call { op: Op::Query, sql, params: None, names: "", timeout_ms: 0.0 };
    database.execute(guard.permit(), &call, &mut rows).unwrap();
    // ASCII text and other text are in separate areas.
    String::from_utf8([rows.text, rows.wide].concat()).unwrap()
}

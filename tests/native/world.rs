//! A simulated browser: locks, storage and time that several openings share, as tabs of one origin do.

use std::{
    cell::RefCell,
    collections::{HashMap, VecDeque},
    future::{Future, ready},
    rc::Rc,
};

use futures_channel::oneshot;
use tidelock::{
    Error, Result,
    engine::{Callbacks, Database, Event, OpenOptions, turn::Ticket},
    ports::{
        Acquire, Estimate, Held, Http, HttpFailure, HttpRequest, HttpResponse, LocalFuture, Locks, Ports, Store,
        Stores, sim::Sim,
    },
    store::MemoryStore,
};

/// What the tabs of one origin share.
pub struct World {
    pub sim: Sim,
    locks: Rc<TestLocks>,
    pub stores: Rc<TestStores>,
}

impl World {
    pub fn new() -> Self {
        Self { sim: Sim::new(7), locks: Rc::default(), stores: Rc::default() }
    }

    pub fn ports(&self) -> Ports {
        Ports {
            platform: self.sim.platform(),
            locks: Rc::new(LocksHandle(self.locks.clone())),
            http: Rc::new(NoHttp),
            stores: Rc::new(StoresHandle(self.stores.clone())),
        }
    }

    /// Runs a scenario in a tab: what it opens shares locks and storage with every other one.
    pub fn run<T: 'static, F: Future<Output = T> + 'static>(&mut self, scenario: impl FnOnce(Tab) -> F) -> T {
        let tab = self.tab();
        self.sim.run(scenario(tab))
    }

    pub fn tab(&self) -> Tab {
        Tab { ports: self.ports(), heard: Rc::default(), code: Rc::default() }
    }

    /// The tab dies with all that it runs; its locks are free.
    pub fn kill(&mut self) {
        self.sim.kill();
        self.locks.0.borrow_mut().clear();
    }
}

type Code = Box<dyn Fn(&str, &str, Ticket) -> LocalFuture<'static, Result<()>>>;

/// One tab.
#[derive(Clone)]
pub struct Tab {
    pub ports: Ports,
    pub heard: Rc<RefCell<Vec<String>>>,
    /// What stands in for migrations that are functions.
    pub code: Rc<RefCell<Option<Code>>>,
}

impl Tab {
    /// Opens with the contract's defaults and these changes (JSON).
    pub async fn open(&self, changes: &str) -> Result<Database> {
        Database::open(options(changes), self.ports.clone(), Rc::new(TestCallbacks(self.clone()))).await
    }
}

impl Tab {
    /// The first half of opening: what is stored was read, nothing runs yet.
    pub async fn acquire(&self, changes: &str) -> Result<Database> {
        Database::acquire(options(changes), self.ports.clone(), Rc::new(TestCallbacks(self.clone()))).await
    }
}

/// The options as TypeScript passes them, with these changes (JSON).
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

struct TestCallbacks(Tab);

impl Callbacks for TestCallbacks {
    fn emit(&self, event: Event) {
        self.0.heard.borrow_mut().push(serde_json::to_string(&event).unwrap());
    }

    fn run_migration(&self, version: &str, direction: &str, ticket: Ticket) -> LocalFuture<'static, Result<()>> {
        match &*self.0.code.borrow() {
            Some(code) => code(version, direction, ticket),
            None => Box::pin(ready(Err(Error::internal("this tab has no functions")))),
        }
    }

    fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>> {
        Box::pin(ready(Ok(None)))
    }
}

/// By name: who waits. A name that is there is taken.
#[derive(Default)]
struct TestLocks(RefCell<HashMap<String, VecDeque<oneshot::Sender<TestLock>>>>);

struct LocksHandle(Rc<TestLocks>);

struct TestLock {
    locks: Rc<TestLocks>,
    name: String,
}

impl Held for TestLock {
    fn release(self: Box<Self>) -> LocalFuture<'static, ()> {
        drop(self);
        Box::pin(ready(()))
    }
}

impl Drop for TestLock {
    fn drop(&mut self) {
        loop {
            let next = self.locks.0.borrow_mut().get_mut(&self.name).and_then(VecDeque::pop_front);
            let Some(next) = next else { break };
            let lock = TestLock { locks: self.locks.clone(), name: self.name.clone() };
            match next.send(lock) {
                Ok(()) => return,
                // Whoever waited is gone: this must not free the name on behalf of the next one.
                Err(unwanted) => std::mem::forget(unwanted),
            }
        }
        self.locks.0.borrow_mut().remove(&self.name);
    }
}

impl Locks for LocksHandle {
    fn holder(&self, name: &str) -> LocalFuture<'static, Option<String>> {
        let taken = self.0.0.borrow().contains_key(name);
        Box::pin(ready(taken.then(|| "tab".to_owned())))
    }

    fn acquire(&self, name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn Held>>>> {
        let (locks, name) = (self.0.clone(), name.to_owned());
        Box::pin(async move {
            let waiting = {
                let mut taken = locks.0.borrow_mut();
                match taken.get_mut(&name) {
                    None => {
                        taken.insert(name.clone(), VecDeque::new());
                        drop(taken);
                        return Ok(Some(Box::new(TestLock { locks, name }) as Box<dyn Held>));
                    }
                    Some(_) if how == Acquire::IfAvailable => return Ok(None),
                    Some(line) => {
                        let (sender, receiver) = oneshot::channel();
                        line.push_back(sender);
                        receiver
                    }
                }
            };
            Ok(waiting.await.ok().map(|lock| Box::new(lock) as Box<dyn Held>))
        })
    }
}

#[derive(Default)]
pub struct TestStores {
    pub by_name: RefCell<HashMap<String, MemoryStore>>,
}

struct StoresHandle(Rc<TestStores>);

impl Stores for StoresHandle {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let store = self.0.by_name.borrow_mut().entry(name.to_owned()).or_default().clone();
        Box::pin(ready(Ok(Rc::new(store) as Rc<dyn Store>)))
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(ready(Estimate { usage: 10, quota: 1000, persisted: false }))
    }
}

struct NoHttp;

impl Http for NoHttp {
    fn send(&self, _: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        Box::pin(ready(Err(HttpFailure::Network("there is no network here".into()))))
    }
}

//! A minimal host of the sync driver: one connection, its mutex, and the recorded events.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use tidelock::{
    Error, ErrorCode, Result, Value,
    collections::Map,
    engine::{
        Environment,
        connection::mutex::{Mutex, MutexGuard},
        sync::{
            driver::Sync,
            host::{SyncEvent, SyncHost},
            single_flight::OnProgress,
        },
    },
    ports::{LocalFuture, sim::Sim},
    sqlite::{Connection, PageFile},
    sync::{
        config::checked::Config,
        outbox::{capture, entries},
        report::{Cells, Conflict, PullOptions, PullReport, PushReport, TablePushed, TableReport},
        state::tables,
    },
};

use crate::sync::model::Server;

pub struct TestHost {
    pub connection: Rc<Connection>,
    pub mutex: Rc<Mutex>,
    pub token: RefCell<Option<String>>,
    pub tokens_asked: Cell<u32>,
    pub snapshots: Cell<u32>,
    pub committed: RefCell<Vec<String>>,
    pub events: RefCell<Vec<SyncEvent>>,
    pub decide: RefCell<Option<Decide>>,
    /// The results of the filter functions, by table; no entry: no filter.
    pub filters: RefCell<HashMap<String, Result<Map<String, String>>>>,
    pub filters_asked: Cell<u32>,
    /// Whether the conflict function fails or hangs; `None`: neither.
    pub undecided: Cell<Option<Undecided>>,
}

/// How a function fails to answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Undecided {
    Throws,
    NeverSettles,
}

/// The conflict function of a test.
pub type Decide = Rc<dyn Fn(Conflict) -> Option<Cells>>;

impl TestHost {
    pub fn new(schema: &str) -> Self {
        let connection = Rc::new(Connection::open(&PageFile::default()).unwrap());
        connection.exec(schema).unwrap();
        Self {
            connection,
            mutex: Rc::default(),
            token: RefCell::default(),
            tokens_asked: Cell::default(),
            snapshots: Cell::default(),
            committed: RefCell::default(),
            events: RefCell::default(),
            decide: RefCell::default(),
            filters: RefCell::default(),
            filters_asked: Cell::default(),
            undecided: Cell::default(),
        }
    }
}

impl Environment for TestHost {
    fn connection(&self) -> Result<Rc<Connection>> {
        Ok(self.connection.clone())
    }

    fn lock_connection(&self) -> LocalFuture<'_, Result<MutexGuard>> {
        Box::pin(self.mutex.acquire())
    }

    fn safety_snapshot(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async {
            self.snapshots.set(self.snapshots.get() + 1);
            Ok(())
        })
    }

    fn stored(&self) -> LocalFuture<'static, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl SyncHost for TestHost {
    fn admit_write(&self) -> Result<()> {
        Ok(())
    }

    fn committed(&self, tables: &[&str]) {
        assert!(!self.connection.in_transaction());
        self.committed.borrow_mut().extend(tables.iter().map(|table| (*table).to_owned()));
    }

    fn access_token(&self) -> LocalFuture<'_, Result<Option<String>>> {
        self.tokens_asked.set(self.tokens_asked.get() + 1);
        Box::pin(std::future::ready(Ok(self.token.borrow().clone())))
    }

    fn filter(&self, table: &str) -> LocalFuture<'_, Result<Map<String, String>>> {
        self.filters_asked.set(self.filters_asked.get() + 1);
        let filter = self.filters.borrow().get(table).cloned().unwrap_or_else(|| Ok(Map::default()));
        Box::pin(std::future::ready(filter))
    }

    fn resolve(&self, conflict: Conflict) -> LocalFuture<'_, Result<Option<Cells>>> {
        let decide = self.decide.borrow().clone();
        let undecided = self.undecided.get();
        Box::pin(async move {
            let row = decide.expect("a function decides")(conflict);
            match undecided {
                None => Ok(row),
                Some(Undecided::Throws) => Err(Error::invalid("The conflict function failed")),
                Some(Undecided::NeverSettles) => std::future::pending().await,
            }
        })
    }

    fn emit(&self, event: SyncEvent) {
        self.events.borrow_mut().push(event);
    }
}

/// A database, its sync, and the server that it syncs with.
pub struct World {
    pub sim: Sim,
    pub server: Server,
    pub host: Rc<TestHost>,
    pub sync: Rc<Sync>,
}

impl World {
    /// Creates a database with this schema, and sync with these `remote.tables`.
    pub fn new(schema: &str, tables: &str) -> Self {
        Self::with(schema, &format!(r#"{{"url":"http://server","key":"k","tables":{tables}}}"#))
    }

    /// Creates a database with this schema and this option `remote`.
    pub fn with(schema: &str, remote: &str) -> Self {
        let sim = Sim::new(7);
        let server = Server::new(sim.platform().clock);
        Self::on(sim, server, schema, remote)
    }

    pub fn on(sim: Sim, server: Server, schema: &str, remote: &str) -> Self {
        let host = TestHost::new(schema);
        let mut world = Self {
            sync: Rc::new(Sync::new(config(remote), Rc::new(server.clone()), &sim.platform())),
            sim,
            server,
            host: Rc::new(host),
        };
        world.reopen(remote);
        world
    }

    /// Opens the same data with another `remote` option.
    pub fn reopen(&mut self, remote: &str) {
        let config = config(remote);
        tables::register(&self.host.connection, &config.options.tables).unwrap();
        capture::resume(&self.host.connection).unwrap();
        self.sync = Rc::new(Sync::new(config, Rc::new(self.server.clone()), &self.sim.platform()));
    }

    pub fn pull(&mut self, options: &str) -> Result<PullReport> {
        self.pull_with(options, None)
    }

    pub fn pull_with(&mut self, options: &str, progress: Option<OnProgress>) -> Result<PullReport> {
        let (sync, host) = (self.sync.clone(), self.host.clone());
        let options: PullOptions = serde_json::from_str(options).unwrap();
        let result = self.sim.run(async move { sync.pull(&*host, options, progress).await });
        assert!(!self.host.connection.in_transaction());
        assert_eq!(self.host.connection.value("PRAGMA foreign_keys", &[]).unwrap(), Some(Value::Integer(1)));
        assert!(self.host.connection.foreign_key_check(usize::MAX).unwrap().is_empty());
        result
    }

    pub fn push(&mut self) -> Result<PushReport> {
        let (sync, host) = (self.sync.clone(), self.host.clone());
        let result = self.sim.run(async move { sync.push(&*host, None).await });
        assert!(!self.host.connection.in_transaction());
        assert!(self.host.connection.foreign_key_check(usize::MAX).unwrap().is_empty());
        result
    }

    /// Returns the report of a push by table: `table inserted/updated/deleted/conflicts/rejected`.
    pub fn pushed(&mut self) -> Vec<String> {
        let report = self.push().unwrap();
        let show = |table: &TablePushed| {
            let TablePushed { table, inserted, updated, deleted, conflicts, rejected } = table;
            format!("{table} {inserted}/{updated}/{deleted}/{conflicts}/{rejected}")
        };
        report.tables.iter().map(show).collect()
    }

    pub fn retry(&mut self, id: i64) {
        let (sync, host) = (self.sync.clone(), self.host.clone());
        self.sim.run(async move { sync.retry(&*host, id).await }).unwrap();
    }

    pub fn discard(&mut self, id: i64) -> Result<()> {
        let (sync, host) = (self.sync.clone(), self.host.clone());
        self.sim.run(async move { sync.discard(&*host, id).await })
    }

    pub fn enqueue(&mut self, table: &'static str) -> u64 {
        let (sync, host) = (self.sync.clone(), self.host.clone());
        self.sim.run(async move { sync.enqueue(&*host, table).await }).unwrap()
    }

    pub fn exec(&self, script: &str) {
        self.host.connection.exec(script).unwrap();
    }

    /// Returns the rows of a query, each as `value|value`.
    pub fn rows(&self, sql: &str) -> Vec<String> {
        let show = |value: &Value| match value {
            Value::Null => "∅".to_owned(),
            Value::Integer(value) => value.to_string(),
            Value::Real(value) => format!("{value:?}"),
            Value::Text(text) => text.clone(),
            Value::Blob(bytes) => format!("{bytes:02x?}"),
        };
        let rows = self.host.connection.rows(sql, &[]).unwrap();
        rows.iter().map(|row| row.iter().map(show).collect::<Vec<_>>().join("|")).collect()
    }

    /// Returns the pending and rejected changes, each as `op table key columns`.
    pub fn outbox(&self) -> Vec<String> {
        let connection = &self.host.connection;
        let changes = entries::pending(connection).unwrap().into_iter().chain(entries::rejected(connection).unwrap());
        changes
            .map(|change| {
                let key: Vec<String> = change.key.iter().map(|(_, value)| format!("{value:?}")).collect();
                let reason = change.reason.map(|reason| format!(" ({})", reason.as_str())).unwrap_or_default();
                format!(
                    "{} {} {} {}{reason}",
                    change.op.as_str(),
                    change.table,
                    key.join(","),
                    change.columns.join(",")
                )
            })
            .collect()
    }
}

pub fn config(remote: &str) -> Config {
    Config::new(serde_json::from_str(remote).unwrap()).unwrap()
}

/// Returns the counts of a report: `inserted/updated/deleted/unchanged/kept/conflicts/rejected`.
pub fn counts(report: &TableReport) -> String {
    let TableReport { inserted, updated, deleted, unchanged, kept_local, conflicts, rejected, .. } = report;
    format!("{inserted}/{updated}/{deleted}/{unchanged}/{kept_local}/{conflicts}/{rejected}")
}

pub fn only(report: &PullReport) -> String {
    assert_eq!(report.tables.len(), 1);
    counts(&report.tables[0])
}

pub fn fails<T: std::fmt::Debug>(result: Result<T>, code: ErrorCode) -> Error {
    let error = result.unwrap_err();
    assert_eq!(error.code, code, "{error}");
    error
}

//! A page with the parts of the engine: real SQLite on a page file, flushed to a store.

use std::{cell::RefCell, rc::Rc};

use tidelock::{
    Result, Value,
    engine::storage::{
        flush::{FlushPolicy, Flusher},
        snapshots::{SnapshotEvent, Snapshots},
    },
    error::Warning,
    ports::{Durability, Holder, Platform, Store},
    snapshot::SnapshotOptions,
    sqlite::Connection,
    store::Storage,
};

/// One opened database.
#[derive(Clone)]
pub struct Page {
    pub connection: Rc<Connection>,
    pub flusher: Flusher,
    pub storage: Storage,
    pub snapshots: Snapshots,
    pub warnings: Vec<Warning>,
    pub created: bool,
    pub events: Rc<RefCell<Vec<SnapshotEvent>>>,
}

impl Page {
    /// Opens without scheduled snapshots.
    pub async fn open(store: Rc<dyn Store>, platform: &Platform) -> Result<Page> {
        Self::open_with(store, platform, Durability::Relaxed, by_call_only()).await
    }

    pub async fn open_with(
        store: Rc<dyn Store>,
        platform: &Platform,
        durability: Durability,
        options: SnapshotOptions,
    ) -> Result<Page> {
        Self::open_at(store, platform, FlushPolicy::Immediate(durability), options).await
    }

    pub async fn open_at(
        store: Rc<dyn Store>,
        platform: &Platform,
        policy: FlushPolicy,
        options: SnapshotOptions,
    ) -> Result<Page> {
        Self::open_paged(store, platform, policy, options, None).await
    }

    /// Opens with a page cache of that many bytes, unless all is to be in memory.
    pub async fn open_paged(
        store: Rc<dyn Store>,
        platform: &Platform,
        policy: FlushPolicy,
        options: SnapshotOptions,
        cache_bytes: Option<u64>,
    ) -> Result<Page> {
        let opened = Storage::open_paged(store, platform, Holder::default(), cache_bytes).await?;
        let file = opened.file;
        let connection = Rc::new(Connection::open(&file)?);
        let flusher = Flusher::new(file, opened.storage.clone(), platform, policy);
        let events: Rc<RefCell<Vec<SnapshotEvent>>> = Rc::default();
        let (heard, version) = (events.clone(), Rc::new(|| Some("0001".to_owned())));
        let emit = Rc::new(move |event| heard.borrow_mut().push(event));
        let snapshots = Snapshots::new(&flusher, &opened.storage, platform, options, version, emit);
        snapshots.start();
        flusher.committed();
        Ok(Page {
            connection,
            flusher,
            storage: opened.storage,
            snapshots,
            warnings: opened.warnings,
            created: opened.created,
            events,
        })
    }

    /// Runs a script as one transaction and waits until it is stored.
    pub async fn commit(&self, script: &str) -> Result<()> {
        self.flusher.admit_write()?;
        self.connection.atomically(|connection| connection.exec(script))?;
        self.flusher.committed();
        match self.flusher.stored() {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }

    /// Returns the number that a query selects.
    pub fn number(&self, sql: &str) -> i64 {
        match self.connection.value(sql, &[]) {
            Ok(Some(Value::Integer(number))) => number,
            other => panic!("{sql}: {other:?}"),
        }
    }

    /// Checks that no damage was met. After a cut of the power, the last write of a folder may be torn, which looks like damage.
    pub fn assert_undamaged(&self, after_power_cut: bool) {
        let is_torn = |message: &str| after_power_cut && message.ends_with("the last commits in it are lost");
        let told: Vec<_> = self.warnings.iter().filter(|warning| !is_torn(&warning.message)).collect();
        assert!(told.is_empty(), "{told:?}");
    }

    /// Checks the database's integrity.
    pub fn assert_whole(&self) {
        assert_eq!(self.connection.rows("PRAGMA integrity_check", &[]), Ok(vec![vec![Value::Text("ok".into())]]));
    }
}

/// Returns options without scheduled snapshots.
pub fn by_call_only() -> SnapshotOptions {
    SnapshotOptions { enabled: false, ..SnapshotOptions::default() }
}

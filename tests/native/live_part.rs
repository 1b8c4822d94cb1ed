//! The analysis of live queries is loaded in the background: before it is there, a query runs again after each commit to one of its tables.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tidelock::{
    Error, ErrorCode, Result,
    engine::Database,
    ports::{Clock, LocalFuture, Part, Parts},
};

use crate::world::{Tab, World, run};

/// Milliseconds that the part takes.
const LOADING_MS: u64 = 100;

/// Parts of which `live` takes its time, and may fail.
struct SlowAnalysis {
    clock: Rc<dyn Clock>,
    fails: Cell<bool>,
    requests: Cell<u32>,
}

impl Parts for SlowAnalysis {
    fn load(&self, part: Part) -> LocalFuture<'static, Result<()>> {
        if part != Part::Live {
            return Box::pin(std::future::ready(Ok(())));
        }
        self.requests.set(self.requests.get() + 1);
        let fails = self.fails.get();
        let slept = self.clock.sleep(LOADING_MS);
        Box::pin(async move {
            slept.await;
            if fails { Err(Error::new(ErrorCode::WasmLoadFailed, "offline")) } else { Ok(()) }
        })
    }

    fn add_fts5(&self, _: usize) {}
}

/// A database, and the runs of its live queries.
struct Page {
    database: Database,
    part: Rc<SlowAnalysis>,
    heard: Rc<RefCell<Vec<String>>>,
}

impl Page {
    async fn open(tab: Tab) -> Self {
        let clock = tab.ports.platform.clock.clone();
        let part = Rc::new(SlowAnalysis { clock, fails: Cell::new(false), requests: Cell::new(0) });
        let mut ports = tab.ports.clone();
        ports.platform.parts = part.clone();
        let heard = tab.heard.clone();
        let database = Tab { ports, ..tab }.open(r#"{ "storage": "memory" }"#).await.unwrap();
        run(&database, "CREATE TABLE t (id INTEGER PRIMARY KEY, a); CREATE TABLE u (a)").await;
        Self { database, part, heard }
    }

    async fn sleep(&self, ms: u64) {
        self.part.clock.sleep(ms).await;
    }

    fn watch(&self, sql: &str) {
        self.database.watch(sql, None, "").unwrap();
    }

    /// Returns the ids of the queries that a script runs again, as JSON; empty for none.
    async fn due(&self, script: &str) -> String {
        self.heard.borrow_mut().clear();
        run(&self.database, script).await;
        self.reported().await
    }

    async fn reported(&self) -> String {
        self.sleep(1).await;
        let heard = self.heard.borrow();
        let ids = heard
            .iter()
            .filter_map(|event| event.strip_prefix(r#"{"type":"live","detail":{"ids":"#)?.strip_suffix("}}"));
        ids.collect()
    }
}

#[test]
fn without_the_part_a_commit_runs_the_queries_of_its_tables_and_with_it_only_those_it_concerns() {
    World::new().run(|tab| async move {
        let page = Page::open(tab).await;
        page.watch("SELECT a FROM t WHERE id = 1");
        page.watch("SELECT count(*) FROM T");
        page.watch("SELECT a FROM u");
        page.watch("SELECT a FROM later");
        assert_eq!(page.due("INSERT INTO t VALUES (1, 1), (2, 2)").await, "[1,2]");
        assert_eq!(page.due("INSERT INTO u VALUES (1)").await, "[3]");
        assert_eq!(page.due("CREATE TABLE later (a)").await, "[1,2,3,4]");
        page.sleep(LOADING_MS).await;
        assert_eq!(page.due("INSERT INTO t VALUES (3, 3)").await, "[2]");
        assert_eq!(page.due("UPDATE t SET a = 7").await, "[1]");
        assert_eq!(page.due("INSERT INTO later VALUES (1)").await, "[4]");
        assert_eq!(page.part.requests.get(), 1);
    });
}

#[test]
fn no_change_is_missed_when_the_part_arrives_in_the_middle_of_a_transaction() {
    World::new().run(|tab| async move {
        let page = Page::open(tab).await;
        page.watch("SELECT a FROM t WHERE id = 1");
        page.heard.borrow_mut().clear();
        let guard = page.database.mutex().acquire().await.unwrap();
        let depth = page.database.begin(guard.permit(), false).unwrap();
        page.database.script(guard.permit(), "INSERT INTO t VALUES (1, 1)", 0.0).unwrap();
        page.sleep(2 * LOADING_MS).await;
        page.database.script(guard.permit(), "INSERT INTO t VALUES (2, 2)", 0.0).unwrap();
        page.database.commit(guard.permit(), depth).unwrap();
        drop(guard);
        assert_eq!(page.reported().await, "[1]");
        assert_eq!(page.due("INSERT INTO t VALUES (3, 3)").await, "");
        assert_eq!(page.due("UPDATE t SET a = 7 WHERE id = 1").await, "[1]");
    });
}

#[test]
fn a_part_that_cannot_be_loaded_is_requested_again_by_the_next_live_query() {
    World::new().run(|tab| async move {
        let page = Page::open(tab).await;
        page.part.fails.set(true);
        page.watch("SELECT a FROM t WHERE id = 1");
        page.watch("SELECT a FROM t WHERE id = 2");
        page.sleep(2 * LOADING_MS).await;
        assert_eq!(page.part.requests.get(), 1);
        assert_eq!(page.due("INSERT INTO t VALUES (3, 3)").await, "[1,2]");
        page.part.fails.set(false);
        page.watch("SELECT a FROM t WHERE id = 4");
        assert_eq!(page.due("INSERT INTO t VALUES (5, 5)").await, "[1,2,3]");
        page.sleep(2 * LOADING_MS).await;
        assert_eq!(page.due("INSERT INTO t VALUES (4, 4)").await, "[3]");
        assert_eq!(page.part.requests.get(), 2);
    });
}

#[test]
fn a_database_that_is_closed_before_the_part_arrives_stays_closed() {
    World::new().run(|tab| async move {
        let page = Page::open(tab).await;
        page.watch("SELECT a FROM t");
        page.database.close().await.unwrap();
        page.sleep(2 * LOADING_MS).await;
        let refused = page.database.watch("SELECT a FROM t", None, "").unwrap_err();
        assert_eq!(refused.code, ErrorCode::Closed);
    });
}

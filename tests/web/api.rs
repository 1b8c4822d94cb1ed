//! What a Rust program in a browser uses: the same API as natively, over IndexedDB and Web Locks. In a page, and from
//! `tests/worker` in a dedicated worker.

use std::{
    cell::{Cell, RefCell},
    future::{pending, ready},
    rc::Rc,
};

use futures_util::future::{Either, select};
use tidelock::{
    Database, Durability, Encryption, Error, ErrorCode, Event, LockOptions, Migration, MigrationState, OnBusy,
    OpenOptions, Storage, Timestamp, TransactionMode, browser::BrowserClock, databases, delete_database, migrations,
    open, open_group, params, ports::Clock, recover,
};
use wasm_bindgen_test::wasm_bindgen_test;

fn named(name: &str) -> OpenOptions {
    OpenOptions::new(name)
}

/// Returns a database without data, and with the table `t(n)`.
async fn fresh(name: &str) -> Database {
    delete_database(named(name)).await.expect("deletes");
    let db = open(named(name)).await.expect("opens");
    db.exec("CREATE TABLE t(n)").await.expect("a table");
    db
}

async fn numbers(db: &Database) -> Vec<i64> {
    db.query_as("SELECT n FROM t ORDER BY n", ()).await.expect("numbers")
}

fn code<T>(result: Result<T, Error>) -> Option<ErrorCode> {
    result.err().map(|error| error.code)
}

async fn sleep(ms: u64) {
    BrowserClock.sleep(ms).await;
}

const STEAL: LockOptions = LockOptions { on_busy: OnBusy::Steal, timeout_ms: 5000 };

#[wasm_bindgen_test]
async fn what_is_written_is_there_again() {
    for durability in [Durability::Strict, Durability::Relaxed, Durability::Deferred, Durability::Snapshot] {
        delete_database(named("again")).await.unwrap();
        let db = open(named("again").durability(durability)).await.unwrap();
        assert_eq!((db.name(), db.is_closed()), ("again", false));
        db.exec("CREATE TABLE t(n)").await.unwrap();
        assert_eq!(db.run("INSERT INTO t VALUES (?)", params![7]).await.unwrap().changes, 1);
        assert_eq!(db.run_many("INSERT INTO t VALUES (?)", [[8], [9]]).await.unwrap(), 2);
        db.close().await.unwrap();
        assert!(db.is_closed());
        assert_eq!(code(db.run("DELETE FROM t", ()).await), Some(ErrorCode::Closed));

        let db = open(named("again")).await.unwrap();
        assert_eq!(numbers(&db).await, [7, 8, 9]);
        let health = db.health().await.unwrap();
        assert_eq!(health.storage.kind, "indexeddb");
        db.close().await.unwrap();
    }
    delete_database(named("again")).await.unwrap();
}

#[wasm_bindgen_test]
async fn only_storages_of_a_browser_are_accepted() {
    let memory = open(named("nowhere").storage(Storage::Memory)).await.unwrap();
    assert_eq!(memory.get_as::<i64>("SELECT 1", ()).await.unwrap(), Some(1));
    let error = open(named("nowhere").storage(Storage::File)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedEnvironment);
    assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("Storage::Indexeddb")), "{error}");
    assert_eq!(code(open(named("nowhere").path("folder")).await), Some(ErrorCode::InvalidArgument));
    let gone = delete_database(named("nowhere").storage(Storage::Memory)).await;
    assert_eq!(code(gone), Some(ErrorCode::InvalidArgument));
}

#[wasm_bindgen_test]
async fn a_busy_database_is_refused_awaited_or_stolen() {
    let db = fresh("busy").await;
    let error = open(named("busy")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::DatabaseInUse);
    assert!(error.message.starts_with("Database already in use by tab \""), "{error}");
    assert!(error.details.contains_key("holder"));
    let short = LockOptions { on_busy: OnBusy::Wait, timeout_ms: 50 };
    assert_eq!(code(open(named("busy").lock(short)).await), Some(ErrorCode::LockTimeout));
    assert_eq!(code(delete_database(named("busy")).await), Some(ErrorCode::DatabaseInUse));

    // The second waits, and gets the lock when the first closes.
    let waits = LockOptions { on_busy: OnBusy::Wait, timeout_ms: 10_000 };
    let waiting = Box::pin(open(named("busy").lock(waits)));
    let Either::Right((_, waiting)) = select(waiting, Box::pin(sleep(100))).await else { panic!("it had to wait") };
    db.run("INSERT INTO t VALUES (1)", ()).await.unwrap();
    db.close().await.unwrap();
    let second = waiting.await.unwrap();
    assert_eq!(numbers(&second).await, [1]);

    let mut events = second.events().await.unwrap();
    let third = open(named("busy").lock(STEAL)).await.unwrap();
    let lost = async {
        loop {
            if let Some(Event::Lock(lock)) = events.next().await {
                return lock.state;
            }
        }
    };
    assert_eq!(lost.await, tidelock::LockChange::Lost);
    assert_eq!(code(second.run("INSERT INTO t VALUES (2)", ()).await), Some(ErrorCode::LockLost));
    third.run("INSERT INTO t VALUES (3)", ()).await.unwrap();
    assert_eq!(numbers(&third).await, [1, 3]);

    // A takeover: the holder finishes and closes.
    let takes = LockOptions { on_busy: OnBusy::Takeover, timeout_ms: 10_000 };
    let fourth = open(named("busy").lock(takes)).await.unwrap();
    assert!(third.is_closed());
    assert_eq!(numbers(&fourth).await, [1, 3]);
    fourth.close().await.unwrap();
    delete_database(named("busy")).await.unwrap();
}

#[wasm_bindgen_test]
async fn a_dropped_database_frees_its_lock_and_loses_nothing() {
    for durability in [Durability::Strict, Durability::Relaxed, Durability::Deferred, Durability::Snapshot] {
        drop(fresh("dropped").await);
        let db = open(named("dropped").durability(durability)).await.unwrap();
        db.run("INSERT INTO t VALUES (1)", ()).await.unwrap();
        let tx = db.begin(TransactionMode::Immediate).await.unwrap();
        tx.run("INSERT INTO t VALUES (99)", ()).await.unwrap();
        let live = db.live("SELECT * FROM t", ());
        drop((db, live, tx));
        // At once: opening waits for what this page has dropped.
        let db = open(named("dropped")).await.unwrap();
        assert_eq!(numbers(&db).await, [1]);
        drop(db);
        delete_database(named("dropped")).await.unwrap();
    }
}

#[wasm_bindgen_test]
async fn an_opening_that_is_dropped_frees_the_lock() {
    fresh("given-up").await.close().await.unwrap();
    for ms in [0, 1, 3, 10] {
        let opening = Box::pin(open(named("given-up").encryption(Encryption::passphrase("p"))));
        drop(select(opening, Box::pin(sleep(ms))).await);
        let waits = LockOptions { on_busy: OnBusy::Wait, timeout_ms: 10_000 };
        open(named("given-up").lock(waits)).await.unwrap().close().await.unwrap();
    }
    delete_database(named("given-up")).await.unwrap();
}

#[wasm_bindgen_test]
async fn transactions_commit_and_roll_back() {
    let db = fresh("transactions").await;
    db.transaction(async |tx| {
        tx.run("INSERT INTO t VALUES (1)", ()).await?;
        let failed = tx.transaction(async |inner| {
            inner.run("INSERT INTO t VALUES (2)", ()).await?;
            Err::<(), _>(Error::invalid("no"))
        });
        assert!(failed.await.is_err());
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
    let failed = db.transaction(async |tx| {
        tx.run("INSERT INTO t VALUES (3)", ()).await?;
        db.run("INSERT INTO t VALUES (4)", ()).await
    });
    assert_eq!(code(failed.await), Some(ErrorCode::InvalidArgument), "it would wait for itself");
    assert_eq!(numbers(&db).await, [1]);

    // A future that is dropped in the middle.
    let reached = Rc::new(Cell::new(false));
    let working = db.transaction(async |tx| {
        tx.run("INSERT INTO t VALUES (5)", ()).await?;
        reached.set(true);
        pending::<Result<(), Error>>().await
    });
    drop(select(Box::pin(working), Box::pin(sleep(100))).await);
    assert!(reached.get());
    db.run("INSERT INTO t VALUES (6)", ()).await.unwrap();
    assert_eq!(numbers(&db).await, [1, 6]);

    let tx = db.begin(TransactionMode::Deferred).await.unwrap();
    tx.run("INSERT INTO t VALUES (7)", ()).await.unwrap();
    tx.commit().await.unwrap();
    drop(db.begin(TransactionMode::Immediate).await.unwrap());
    assert_eq!(numbers(&db).await, [1, 6, 7]);
    db.close().await.unwrap();
    delete_database(named("transactions")).await.unwrap();
}

#[wasm_bindgen_test]
async fn calls_have_time_limits_and_are_cancelled_when_they_are_dropped() {
    let db = fresh("limits").await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    assert_eq!(code(db.with_timeout_ms(50).query(endless, ()).await), Some(ErrorCode::Timeout));
    let tx = db.begin(TransactionMode::Immediate).await.unwrap();
    assert_eq!(code(db.with_timeout_ms(50).run("INSERT INTO t VALUES (1)", ()).await), Some(ErrorCode::Timeout));
    let waiting = Box::pin(db.run("INSERT INTO t VALUES (2)", ()));
    drop(select(waiting, Box::pin(sleep(20))).await);
    drop(tx);
    assert_eq!(numbers(&db).await, [] as [i64; 0]);
    db.close().await.unwrap();
    delete_database(named("limits")).await.unwrap();
}

#[wasm_bindgen_test]
async fn live_queries_run_again() {
    let db = fresh("live").await;
    let mut live = db.live_as::<i64>("SELECT n FROM t ORDER BY n", ());
    assert_eq!(live.next().await.unwrap().unwrap(), [] as [i64; 0]);
    for n in 1..4 {
        db.run("INSERT INTO t VALUES (?)", params![n]).await.unwrap();
        assert_eq!(live.next().await.unwrap().unwrap(), (1..=n).collect::<Vec<_>>());
    }
    db.exec("CREATE TABLE other(n); INSERT INTO other VALUES (1)").await.unwrap();
    live.refresh();
    assert!(live.next().await.unwrap().is_ok());
    assert!(matches!(select(Box::pin(live.next()), Box::pin(sleep(100))).await, Either::Right(_)));
    db.close().await.unwrap();
    assert!(live.next().await.is_none());
    drop((live, db));
    delete_database(named("live")).await.unwrap();
}

#[wasm_bindgen_test]
async fn migrations_are_files_and_functions() {
    delete_database(named("migrations")).await.unwrap();
    // What a function of the program has needn't be Send here.
    let seen = Rc::new(RefCell::new(Vec::new()));
    let log = seen.clone();
    let function = Migration::function("3", "first note", move |tx| {
        let log = log.clone();
        async move {
            tx.run("INSERT INTO notes(body) VALUES ('hello')", ()).await?;
            log.borrow_mut().push(3);
            Ok(())
        }
    });
    let warnings = Rc::new(Cell::new(0));
    let warned = warnings.clone();
    let options = || named("migrations").migrations(migrations!("examples/native-notes/migrations").unwrap());
    open(options()).await.unwrap().close().await.unwrap();
    let history = migrations!("examples/native-notes/migrations").unwrap().into_iter().chain([function]);
    let options = named("migrations").migrations(history).on_warning(move |_| warned.set(warned.get() + 1));
    let db = open(options).await.unwrap();
    assert_eq!(*seen.borrow(), [3]);
    let states = db.migrations().status().await.unwrap().into_iter().map(|row| row.state);
    assert_eq!(states.collect::<Vec<_>>(), [MigrationState::Applied; 3]);
    assert_eq!(db.query_as::<String>("SELECT body FROM notes", ()).await.unwrap(), ["hello"]);
    db.close().await.unwrap();

    let older = migrations!("examples/native-notes/migrations").unwrap();
    assert_eq!(code(open(named("migrations").migrations(older)).await), Some(ErrorCode::SchemaTooNew));
    open(named("migrations")).await.expect("the lock is free").close().await.unwrap();
    delete_database(named("migrations")).await.unwrap();
}

#[wasm_bindgen_test]
async fn an_encrypted_database_opens_with_its_secret_only() {
    let secret = |words: &str| named("sealed").encryption(Encryption::passphrase(words));
    delete_database(named("sealed")).await.unwrap();
    let db = open(secret("correct horse")).await.unwrap();
    db.exec("CREATE TABLE t(n); INSERT INTO t VALUES (1)").await.unwrap();
    db.close().await.unwrap();
    for wrong in [secret("wrong"), named("sealed"), named("sealed").encryption(Encryption::key([7; 32]))] {
        assert_eq!(code(open(wrong).await), Some(ErrorCode::DecryptionFailed));
    }
    assert_eq!(
        databases().await.unwrap().iter().find(|each| each.name == "sealed").unwrap().stored.encrypted,
        Some(true)
    );
    let db = open(secret("correct horse")).await.unwrap();
    db.rekey(Some(Encryption::key([7; 32]))).await.unwrap();
    db.close().await.unwrap();
    let db = open(named("sealed").encryption(Encryption::key([7; 32]))).await.unwrap();
    assert_eq!(numbers(&db).await, [1]);
    db.close().await.unwrap();
    delete_database(named("sealed")).await.unwrap();
}

#[wasm_bindgen_test]
async fn snapshots_bring_data_back() {
    let db = fresh("snapshots").await;
    db.run("INSERT INTO t VALUES (1)", ()).await.unwrap();
    let before = db.snapshots().create(Some("before")).await.unwrap();
    sleep(20).await;
    let at = Timestamp(js_sys::Date::now() as i64);
    sleep(20).await;
    db.run("INSERT INTO t VALUES (2)", ()).await.unwrap();
    let mut live = db.live_as::<i64>("SELECT n FROM t ORDER BY n", ());
    assert_eq!(live.next().await.unwrap().unwrap(), [1, 2]);
    db.snapshots().restore(&before.id, false).await.unwrap();
    assert_eq!(live.next().await.unwrap().unwrap(), [1]);
    drop(live);
    db.run("INSERT INTO t VALUES (3)", ()).await.unwrap();
    db.snapshots().restore_at(at, false).await.unwrap();
    assert_eq!(numbers(&db).await, [1]);
    let file = db.export().await.unwrap();
    assert!(file.starts_with(b"SQLite format 3"));
    db.close().await.unwrap();
    let copy = open(named("copy").storage(Storage::Memory).seed(file)).await.unwrap();
    assert_eq!(numbers(&copy).await, [1]);
    delete_database(named("snapshots")).await.unwrap();
}

#[wasm_bindgen_test]
async fn databases_are_listed_deleted_and_recovered() {
    let listed = async || {
        let all = databases().await.unwrap().into_iter().filter(|each| each.name.starts_with("listed "));
        all.map(|each| (each.name, each.stored.in_use, each.stored.encrypted)).collect::<Vec<_>>()
    };
    let (a, b) = (fresh("listed a").await, fresh("listed b").await);
    b.close().await.unwrap();
    let expected = |name: &str, in_use| (name.to_owned(), in_use, Some(false));
    assert_eq!(listed().await, [expected("listed a", true), expected("listed b", false)]);
    assert_eq!(code(recover(named("listed a"), None).await), Some(ErrorCode::DatabaseInUse));
    assert_eq!(recover(named("listed b"), None).await.unwrap().lost_batches, 0);
    delete_database(named("listed b")).await.unwrap();
    // It steals the lock, and the connection of the holder closes by itself.
    delete_database(named("listed a").lock(STEAL)).await.unwrap();
    assert_eq!(code(a.run("INSERT INTO t VALUES (1)", ()).await), Some(ErrorCode::LockLost));
    assert_eq!(listed().await, []);
    delete_database(named("listed a")).await.expect("a missing one is no error");
}

#[wasm_bindgen_test]
async fn a_group_opens_all_of_its_databases_or_none() {
    for name in ["group a", "group b"] {
        delete_database(named(name)).await.unwrap();
    }
    let broken = [Migration::new("1", "broken", "INSERT INTO missing VALUES (1)")];
    let members = [("data", named("group a")), ("primary", named("group b").migrations(broken))];
    let error = open_group(members).await.unwrap_err();
    assert_eq!((error.code, &error.details["database"]), (ErrorCode::MigrationFailed, &"primary".into()));

    let group = open_group([("x", named("group b")), ("y", named("group a"))]).await.unwrap();
    assert_eq!(group["y"].get_as::<i64>("SELECT 1", ()).await.unwrap(), Some(1));
    assert_eq!(group.health().await.unwrap().databases.len(), 2);
    group.close().await.unwrap();
    for name in ["group a", "group b"] {
        delete_database(named(name)).await.unwrap();
    }
}

#[wasm_bindgen_test]
async fn handles_and_futures_are_send() {
    fn send<T: Send>(value: T) -> T {
        value
    }
    let db = send(fresh("send").await);
    let changes = send(db.run("INSERT INTO t VALUES (1)", ())).await.unwrap().changes;
    assert_eq!(changes, 1);
    assert_eq!(send(db.query("SELECT * FROM t", ())).await.unwrap().len(), 1);
    send(db.transaction(|tx| async move { tx.run("DELETE FROM t", ()).await })).await.unwrap();
    let mut live = send(db.live("SELECT * FROM t", ()));
    assert!(send(live.next()).await.unwrap().unwrap().is_empty());
    drop(live);
    send(db.close()).await.unwrap();
    send(ready(())).await;
    delete_database(named("send")).await.unwrap();
}

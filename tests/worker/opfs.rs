//! `Storage::Opfs`: the store over the browser's private file system, with demand paging.

use std::rc::Rc;

use gloo_timers::future::TimeoutFuture;
use tidelock::{
    Database, Encryption, Error, ErrorCode, LockOptions, OnBusy, OpenOptions, Storage,
    browser::{PrivateFiles, PrivateStores, delete_private},
    databases, delete_database, open, params,
    ports::{Files, Stores},
    recover,
    store::conformance::{CASES, Handles},
};
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

const MIB: u64 = 1024 * 1024;

fn files(name: &str) -> OpenOptions {
    OpenOptions::new(name).storage(Storage::Opfs)
}

async fn fresh(name: &str) -> Database {
    delete_database(files(name)).await.expect("deletes");
    let db = open(files(name)).await.expect("opens");
    db.exec("CREATE TABLE t(n)").await.expect("a table");
    db
}

async fn numbers(db: &Database) -> Vec<i64> {
    db.query_as("SELECT n FROM t ORDER BY n", ()).await.expect("numbers")
}

fn code<T>(result: Result<T, Error>) -> Option<ErrorCode> {
    result.err().map(|error| error.code)
}

#[wasm_bindgen_test]
async fn a_database_larger_than_its_cache_is_there_again() {
    let db = fresh("large").await;
    // 16 MiB of incompressible rows.
    let rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 4096)
        INSERT INTO t SELECT randomblob(4000) FROM n";
    assert_eq!(db.run(rows, ()).await.unwrap().changes, 4096);
    let sum = "SELECT count(*), sum(length(n)), sum(unicode(hex(n))) FROM t";
    let written: (i64, i64, i64) = db.get_as(sum, ()).await.unwrap().unwrap();
    db.snapshots().create(None).await.unwrap();
    db.close().await.unwrap();

    let db = open(files("large").cache_bytes(MIB)).await.unwrap();
    assert_eq!(db.get_as(sum, ()).await.unwrap(), Some(written));
    let storage = db.health().await.unwrap().storage;
    assert_eq!(storage.kind, "opfs");
    let cache = storage.cache.expect("it is read page by page");
    assert!(cache.limit == MIB && cache.bytes <= 2 * MIB && cache.misses > 100, "{cache:?}");
    db.run("DELETE FROM t WHERE rowid > 10", ()).await.unwrap();
    db.close().await.unwrap();

    let db = open(files("large").cache_bytes(MIB)).await.unwrap();
    assert_eq!(db.get_as::<i64>("SELECT count(*) FROM t", ()).await.unwrap(), Some(10));
    db.close().await.unwrap();
    delete_database(files("large")).await.unwrap();
}

#[wasm_bindgen_test]
async fn one_program_has_the_files() {
    let db = fresh("busy").await;
    let error = open(files("busy")).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::DatabaseInUse);
    assert!(error.details.contains_key("holder"));
    assert_eq!(code(delete_database(files("busy")).await), Some(ErrorCode::DatabaseInUse));
    db.run("INSERT INTO t VALUES (1)", ()).await.unwrap();

    let steal = LockOptions { on_busy: OnBusy::Steal, timeout_ms: 5000 };
    let thief = open(files("busy").lock(steal)).await.unwrap();
    assert_eq!(numbers(&thief).await, [1]);
    assert_eq!(code(db.run("INSERT INTO t VALUES (2)", ()).await), Some(ErrorCode::LockLost));
    let takeover = LockOptions { on_busy: OnBusy::Takeover, timeout_ms: 10_000 };
    let next = open(files("busy").lock(takeover)).await.unwrap();
    assert!(thief.is_closed());

    // Dropped without closing, with a write that is acknowledged and a transaction that isn't over.
    next.run("INSERT INTO t VALUES (3)", ()).await.unwrap();
    let tx = next.begin(tidelock::TransactionMode::Immediate).await.unwrap();
    tx.run("INSERT INTO t VALUES (99)", ()).await.unwrap();
    drop((next, tx));
    let db = open(files("busy")).await.unwrap();
    assert_eq!(numbers(&db).await, [1, 3]);
    db.close().await.unwrap();
    delete_database(files("busy")).await.unwrap();
}

/// A worker can't clear the data of its site while it has files open: here the browser only denies the names.
#[wasm_bindgen_test]
async fn files_without_their_names_are_lost() {
    let db = fresh("cleared").await;
    js_sys::eval(
        "self.namedFile = FileSystemDirectoryHandle.prototype.getFileHandle;
        FileSystemDirectoryHandle.prototype.getFileHandle = async () => { throw new DOMException('gone', 'NotFoundError') }",
    )
    .unwrap();
    let mut refused = None;
    for n in 0..100 {
        refused = code(db.run("INSERT INTO t VALUES (?)", params![n]).await);
        if refused.is_some() {
            break;
        }
        TimeoutFuture::new(100).await;
    }
    js_sys::eval("FileSystemDirectoryHandle.prototype.getFileHandle = self.namedFile").unwrap();
    assert_eq!(refused, Some(ErrorCode::LockLost));
    db.close().await.unwrap();
}

#[wasm_bindgen_test]
async fn a_database_stays_in_its_storage() {
    let place = |storage| OpenOptions::new("place: a/b.c").storage(storage);
    for storage in [Storage::Indexeddb, Storage::Opfs] {
        delete_database(place(storage)).await.unwrap();
    }
    for (storage, other) in [(Storage::Opfs, Storage::Indexeddb), (Storage::Indexeddb, Storage::Opfs)] {
        open(place(storage)).await.unwrap().close().await.unwrap();
        let error = open(place(other)).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
        let all = databases().await.unwrap();
        let found = all.iter().filter(|each| each.name == "place: a/b.c").collect::<Vec<_>>();
        assert_eq!(found.iter().map(|each| each.storage).collect::<Vec<_>>(), [storage]);
        assert_eq!((found[0].stored.in_use, found[0].stored.encrypted), (false, Some(false)));
        assert!(found[0].stored.opened_at.is_some());
        delete_database(place(storage)).await.unwrap();
    }
    assert_eq!(code(open(place(Storage::Opfs).path("x")).await), Some(ErrorCode::InvalidArgument));
}

#[wasm_bindgen_test]
async fn files_are_encrypted_and_recovered() {
    let secret = || files("sealed").encryption(Encryption::passphrase("correct horse"));
    delete_database(secret()).await.unwrap();
    let db = open(secret()).await.unwrap();
    db.exec("CREATE TABLE t(n)").await.unwrap();
    db.run("INSERT INTO t VALUES (?)", params![7]).await.unwrap();
    db.close().await.unwrap();
    assert_eq!(code(open(files("sealed")).await), Some(ErrorCode::DecryptionFailed));
    let listed = databases().await.unwrap().into_iter().find(|each| each.name == "sealed").unwrap();
    assert_eq!(listed.stored.encrypted, Some(true));
    assert_eq!(recover(secret(), None).await.unwrap().lost_batches, 0);
    let db = open(secret()).await.unwrap();
    assert_eq!(numbers(&db).await, [7]);
    db.close().await.unwrap();
    delete_database(secret()).await.unwrap();
}

/// Both handles have the same open files, as two connections of one worker.
#[wasm_bindgen_test]
async fn the_store_conforms() {
    for (number, (name, case)) in CASES.iter().enumerate() {
        console_log!("{name}");
        let database = format!("conformance-{number}");
        delete_private(&database).await.unwrap();
        let files = PrivateFiles::new(&database);
        files.prepare(Vec::new()).await.unwrap();
        let store = || Rc::new(tidelock::store::folder::FolderStore::new(Rc::new(files.clone())));
        case(Handles { a: store(), b: store() }).await;
        files.close();
        drop(PrivateStores.open(&database).await.unwrap());
        delete_private(&database).await.unwrap();
    }
}

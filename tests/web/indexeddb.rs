//! The store over a real IndexedDB: the suite that every store passes, and what only a browser can do to it.

use std::rc::Rc;

use js_sys::{Function, Promise};
use tidelock::{
    ErrorCode, Timestamp,
    browser::{BrowserClock, BrowserEntropy, BrowserSpawner, IndexedDb},
    engine::flush::Flusher,
    ports::{Durability, Holder, Platform, Store, Whole},
    sqlite::{Batch, Connection, PageFile},
    store::{
        Opened, Storage, Tag,
        conformance::{CASES, Handles},
    },
};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

fn platform() -> Platform {
    Platform {
        clock: Rc::new(BrowserClock),
        entropy: Rc::new(BrowserEntropy),
        spawner: Rc::new(BrowserSpawner),
        parts: Rc::new(Whole),
    }
}

/// Runs an async JavaScript function body with the argument `name`, the database's name in IndexedDB.
async fn js(name: &str, body: &str) -> JsValue {
    let helpers = "const done = r => new Promise((ok, no) => { r.onsuccess = () => ok(r.result); r.onerror = () => no(r.error) });
        const connect = () => done(indexedDB.open(name));";
    let function = Function::new_with_args("name", &format!("return (async () => {{ {helpers} {body} }})()"));
    let promise: Promise = function.call1(&JsValue::NULL, &format!("tidelock/{name}").into()).unwrap().unchecked_into();
    JsFuture::from(promise).await.unwrap_or_else(|error| panic!("{error:?}"))
}

pub async fn delete(name: &str) {
    js(name, "await done(indexedDB.deleteDatabase(name))").await;
}

async fn store(name: &str) -> Rc<dyn Store> {
    Rc::new(IndexedDb::open(name, &Whole).await.expect("opens"))
}

async fn open(name: &str) -> Opened {
    Storage::open(store(name).await, &platform(), Holder::default()).await.expect("opens")
}

struct Page {
    connection: Connection,
    flusher: Flusher,
    opened: Opened,
}

async fn page(name: &str, durability: Durability) -> Page {
    let opened = open(name).await;
    let file = PageFile::new(opened.image.clone());
    let connection = Connection::open(&file).expect("opens");
    let flusher = Flusher::new(file, opened.storage.clone(), &platform(), durability);
    Page { connection, flusher, opened }
}

impl Page {
    async fn commit(&self, script: &str) -> tidelock::Result<()> {
        self.connection.atomically(|connection| connection.exec(script))?;
        self.flusher.committed();
        match self.flusher.stored() {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }
}

#[wasm_bindgen_test]
async fn indexeddb_conforms() {
    for (number, (name, case)) in CASES.iter().enumerate() {
        console_log!("{name}");
        let database = format!("conformance-{number}");
        delete(&database).await;
        let (a, b) = (store(&database).await, store(&database).await);
        case(Handles { a: a.clone(), b: b.clone() }).await;
        a.close();
        b.close();
        delete(&database).await;
    }
}

#[wasm_bindgen_test]
async fn what_was_acknowledged_is_there_after_a_reopening() {
    delete("reopen").await;
    for durability in [Durability::Relaxed, Durability::Strict] {
        let first = page("reopen", durability).await;
        first.commit("CREATE TABLE IF NOT EXISTS t(x); INSERT INTO t VALUES (zeroblob(100000));").await.unwrap();
        first.commit("UPDATE t SET x = 'small' WHERE rowid = 1;").await.unwrap();
        first.opened.storage.close();
    }
    let last = page("reopen", Durability::Relaxed).await;
    assert_eq!(last.connection.rows("SELECT count(*), min(x) FROM t", &[]).unwrap(), [vec![2.into(), "small".into()]]);
    assert_eq!(last.opened.storage.epoch(), 3);
    last.opened.storage.close();
    delete("reopen").await;
}

#[wasm_bindgen_test]
async fn a_batch_of_many_megabytes_goes_in_parts() {
    delete("large").await;
    let opened = open("large").await;
    let pages: Vec<u32> = (0..5000).collect();
    let bytes: Vec<u8> = pages.iter().flat_map(|page| [(*page % 251) as u8; 4096]).collect();
    let batch = Batch { page_size: 4096, db_pages: 5000, pages, bytes: bytes.clone() };
    opened.storage.append(&batch, Durability::Relaxed).await.expect("appends");
    opened.storage.close();
    let parts = js("large", "const db = await connect(); const keys = await done(db.transaction('log').objectStore('log').getAllKeys()); db.close(); return JSON.stringify(keys)").await;
    assert_eq!(parts.as_string().unwrap(), "[[1,0],[2,0],[2,1],[2,2]]");
    let again = open("large").await;
    assert!(again.image.to_bytes() == bytes);
    again.storage.close();
    delete("large").await;
}

#[wasm_bindgen_test]
async fn a_hundred_writers_share_few_transactions() {
    delete("group").await;
    let page = page("group", Durability::Relaxed).await;
    page.commit("CREATE TABLE t(x);").await.unwrap();
    let before = page.opened.storage.position().lsn;
    let mut waiting = Vec::new();
    for number in 0..100 {
        page.connection.exec(&format!("INSERT INTO t VALUES ({number})")).unwrap();
        page.flusher.committed();
        waiting.push(page.flusher.stored().expect("not stored yet"));
    }
    for stored in waiting {
        stored.await.expect("stored");
    }
    assert!(page.opened.storage.position().lsn - before <= 3);
    page.opened.storage.close();
    delete("group").await;
}

#[wasm_bindgen_test]
async fn a_second_holder_ends_the_first_one() {
    delete("robbed").await;
    let first = page("robbed", Durability::Relaxed).await;
    first.commit("CREATE TABLE t(x);").await.unwrap();
    let second = page("robbed", Durability::Relaxed).await;
    let error = first.commit("INSERT INTO t VALUES (1);").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::LockLost);
    assert_eq!(first.flusher.admit_write().unwrap_err().code, ErrorCode::LockLost);
    second.commit("INSERT INTO t VALUES (2);").await.unwrap();
    first.opened.storage.close();
    second.opened.storage.close();
    delete("robbed").await;
}

#[wasm_bindgen_test]
async fn a_closed_connection_heals() {
    delete("heals").await;
    let page = page("heals", Durability::Relaxed).await;
    page.commit("CREATE TABLE t(x);").await.unwrap();
    // As a version change by somebody who then doesn't go through with it.
    js("heals", "await new Promise(ok => { const r = indexedDB.open(name, 2); r.onupgradeneeded = () => r.transaction.abort(); r.onerror = ok })").await;
    let error = page.commit("INSERT INTO t VALUES (1);").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::StorageUnavailable);
    assert_eq!(error.details.get("applied"), Some(&true.into()));
    page.flusher.flush().await.expect("the next try connects again");
    page.opened.storage.close();
    let again = open("heals").await;
    assert!(!again.created);
    again.storage.close();
    delete("heals").await;
}

#[wasm_bindgen_test]
async fn a_deleted_database_is_never_made_anew_in_passing() {
    delete("deleted").await;
    let page = page("deleted", Durability::Relaxed).await;
    page.commit("CREATE TABLE t(x);").await.unwrap();
    delete("deleted").await;
    let error = page.commit("INSERT INTO t VALUES (1);").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::StorageUnavailable);
    assert_eq!(page.flusher.flush().await.unwrap_err().code, ErrorCode::LockLost);
    let left = js("deleted", "return (await indexedDB.databases()).some(d => d.name === name)").await;
    assert_eq!(left.as_bool(), Some(false));
}

#[wasm_bindgen_test]
async fn a_newer_schema_is_left_alone() {
    delete("newer").await;
    js("newer", "(await done(indexedDB.open(name, 7))).close()").await;
    let error = IndexedDb::open("newer", &Whole).await.err().expect("refuses");
    assert_eq!(error.code, ErrorCode::SnapshotIncompatible);
    delete("newer").await;
}

#[wasm_bindgen_test]
async fn damaged_records_are_told_from_good_ones() {
    delete("damaged").await;
    let page = page("damaged", Durability::Relaxed).await;
    page.commit("CREATE TABLE t(x);").await.unwrap();
    page.commit("INSERT INTO t VALUES (1);").await.unwrap();
    let stored_at = page.opened.storage.position().time;
    page.commit("INSERT INTO t VALUES (2);").await.unwrap();
    page.opened.storage.close();
    js("damaged", "const db = await connect(); const s = db.transaction('log', 'readwrite').objectStore('log'); await done(s.put('nonsense', [4, 0])); db.close()").await;
    let store = store("damaged").await;
    let error = Storage::open(store.clone(), &platform(), Holder::default()).await.err().expect("refuses");
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
    assert_eq!(error.details.get("lostBatches"), Some(&1_i64.into()));
    assert_eq!(error.details.get("lastGoodAt"), Some(&stored_at.to_string().into()));
    assert!(stored_at > Timestamp(0));
    assert_eq!(store.head().await.unwrap().unwrap().epoch, 1, "nothing was written");
    store.close();
    delete("damaged").await;
}

#[wasm_bindgen_test]
async fn what_the_browser_cannot_read_any_more_is_damage_and_no_outage() {
    delete("unreadable").await;
    let page = page("unreadable", Durability::Relaxed).await;
    page.commit("CREATE TABLE t(x);").await.unwrap();
    let storage = page.opened.storage.clone();
    for value in 0..2 {
        page.commit(&format!("INSERT INTO t VALUES ({value});")).await.unwrap();
        let frozen = page.flusher.freeze().await.unwrap();
        let staged = storage.stage(&frozen.pin, &frozen.touched, frozen.at, true, true).await.unwrap();
        storage.publish(staged, Tag::checkpoint()).await.unwrap();
    }
    storage.close();
    js("unreadable", "const { get, getAll } = IDBObjectStore.prototype; globalThis.sound = { get, getAll }").await;
    // As when a browser has lost the file of a large value.
    let id = &storage.manifests()[1].chunks[0].id;
    js(
        id,
        "const wanted = name.slice('tidelock/'.length), get = IDBObjectStore.prototype.get;
        IDBObjectStore.prototype.get = function (key) {
            if (key === wanted) throw new DOMException('Failed to read large IndexedDB value', 'DataError');
            return get.call(this, key) }",
    )
    .await;
    let again = open("unreadable").await;
    assert_eq!(again.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), ["snapshot_corrupt"]);
    assert!(again.image == page.flusher.file().image(), "the one before and the log give the same data");
    again.storage.close();

    js("unreadable", "const lost = () => { throw new DOMException('Failed to read large IndexedDB value', 'DataError') };
        const get = IDBObjectStore.prototype.get, getAll = IDBObjectStore.prototype.getAll;
        IDBObjectStore.prototype.getAll = function (...a) { return this.name === 'log' ? lost() : getAll.apply(this, a) };
        IDBObjectStore.prototype.get = function (key) { return this.name === 'log' && key[0] === 4 ? lost() : get.call(this, key) }").await;
    let error = Storage::open(store("unreadable").await, &platform(), Holder::default()).await.err().expect("refuses");
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
    js("unreadable", "Object.assign(IDBObjectStore.prototype, sound)").await;
    delete("unreadable").await;
}

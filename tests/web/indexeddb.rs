//! The store over a real IndexedDB: the suite that every store passes, and what only a browser can do to it.

use std::rc::Rc;

use js_sys::{Function, Promise};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::{console_log, wasm_bindgen_test};

use tidelock::{
    ErrorCode,
    browser::{BrowserClock, BrowserEntropy, BrowserSpawner, IndexedDb},
    engine::storage::flush::{FlushPolicy, Flusher},
    error::WarningCode,
    ports::{Clock, Durability, Holder, LoadedParts, Platform, Store},
    sqlite::{Batch, BatchPages, Connection},
    store::{
        Opened, PART_BYTES, Storage, Tag,
        conformance::{CASES, Handles},
    },
};

fn platform() -> Platform {
    Platform {
        clock: Rc::new(BrowserClock),
        entropy: Rc::new(BrowserEntropy),
        spawner: Rc::new(BrowserSpawner),
        parts: Rc::new(LoadedParts),
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
    Rc::new(IndexedDb::open(name, None).await.expect("opens"))
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
    let file = opened.file.clone();
    let connection = Connection::open(&file).expect("opens");
    let flusher = Flusher::new(file, opened.storage.clone(), &platform(), FlushPolicy::Immediate(durability));
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
async fn a_connection_that_nobody_waits_for_is_refused_and_closed_all_the_same() {
    let name = "abandoned";
    delete(name).await;
    for exists in [false, true] {
        if exists {
            store(name).await.close().await.expect("closes");
        }
        for _ in 0..3 {
            let opening = Box::pin(IndexedDb::open(name, None));
            drop(futures_util::future::select(opening, std::future::ready(())).await);
        }
        BrowserClock.sleep(500).await;
        let there = js(name, "return (await indexedDB.databases()).some((database) => database.name === name)").await;
        assert_eq!(there.as_bool(), Some(exists), "it was not created empty");
        // An open connection would block this.
        delete(name).await;
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
        a.close().await.expect("closes");
        b.close().await.expect("closes");
        delete(&database).await;
    }
}

#[wasm_bindgen_test]
async fn a_batch_of_many_megabytes_goes_in_parts() {
    delete("large").await;
    let opened = open("large").await;
    let numbers: Vec<u32> = (0..5000).collect();
    let bytes: Vec<u8> = numbers.iter().flat_map(|page| [(*page % 251) as u8; 4096]).collect();
    let pages = Rc::new(BatchPages { page_size: 4096, db_pages: 5000, numbers });
    let batch = Batch { pages, parts: bytes.chunks(PART_BYTES).map(<[u8]>::to_vec).collect() };
    opened.storage.append(batch, Durability::Relaxed).await.expect("appends");
    opened.storage.close().await.expect("closes");
    let parts = js("large", "const db = await connect(); const keys = await done(db.transaction('log').objectStore('log').getAllKeys()); db.close(); return JSON.stringify(keys)").await;
    let expected: Vec<String> = (0..bytes.len().div_ceil(PART_BYTES)).map(|part| format!("[2,{part}]")).collect();
    assert!(expected.len() > 20, "in many parts");
    assert_eq!(parts.as_string().unwrap(), format!("[[1,0],{}]", expected.join(",")));
    let again = open("large").await;
    assert!(again.file.image().unwrap().to_bytes() == bytes);
    again.storage.close().await.expect("closes");
    delete("large").await;
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
    storage.close().await.expect("closes");
    js("unreadable", "const { get, getAll } = IDBObjectStore.prototype; globalThis.sound = { get, getAll }").await;
    // As when a browser has lost the file of a large value.
    let newest = &storage.manifests()[1];
    let ids = format!("{} {}", newest.chunks[0].id, newest.first_copy.as_ref().expect("a copy").id);
    js(
        &ids,
        "const wanted = name.slice('tidelock/'.length).split(' '), get = IDBObjectStore.prototype.get;
        IDBObjectStore.prototype.get = function (key) {
            if (wanted.includes(key)) throw new DOMException('Failed to read large IndexedDB value', 'DataError');
            return get.call(this, key) }",
    )
    .await;
    let again = open("unreadable").await;
    assert_eq!(again.warnings.iter().map(|warning| warning.code).collect::<Vec<_>>(), [WarningCode::SnapshotCorrupt]);
    assert!(
        again.file.image().unwrap() == page.flusher.file().image().unwrap(),
        "the one before and the log give the same data"
    );
    again.storage.close().await.expect("closes");

    js("unreadable", "const lost = () => { throw new DOMException('Failed to read large IndexedDB value', 'DataError') };
        const get = IDBObjectStore.prototype.get, getAll = IDBObjectStore.prototype.getAll;
        IDBObjectStore.prototype.getAll = function (...a) { return this.name === 'log' ? lost() : getAll.apply(this, a) };
        IDBObjectStore.prototype.get = function (key) { return this.name === 'log' && key[0] === 4 ? lost() : get.call(this, key) }").await;
    let error = Storage::open(store("unreadable").await, &platform(), Holder::default()).await.err().expect("refuses");
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
    js("unreadable", "Object.assign(IDBObjectStore.prototype, sound)").await;
    delete("unreadable").await;
}

//! Sync of Rust programs, over the browser's `fetch`. In a page, and from `tests/worker` in a dedicated worker.

use js_sys::Promise;
use tidelock::{
    ErrorCode, Migration, OpenOptions, OutboxEntry, PullOptions, RemoteOptions, Storage, delete_database, open,
};
use wasm_bindgen::JsValue;
use wasm_bindgen_futures::JsFuture;
use wasm_bindgen_test::wasm_bindgen_test;

/// A remote with one note. It keeps the methods and bodies of what changes it in `globalThis.sent`.
const REMOTE: &str = r#"
    const json = (status, value) => new Response(JSON.stringify(value), {
        status, headers: { 'Content-Type': 'application/json', 'Content-Range': '*/*' } })
    globalThis.realFetch = globalThis.fetch
    globalThis.sent = []
    globalThis.fetch = async (url, { method, body }) => {
        const { pathname, search } = new URL(url)
        if (!pathname.endsWith('/notes')) return json(404, { code: 'PGRST205', message: 'no such table' })
        if (method === 'GET') return json(200, search.includes('gt.') ? [] : [{ id: 1, body: 'tea' }])
        globalThis.sent.push(method + ' ' + new TextDecoder().decode(body))
        return json(201, JSON.parse(new TextDecoder().decode(body)))
    }"#;

fn run(script: &str) -> JsValue {
    js_sys::Function::new_no_args(script).call0(&JsValue::NULL).unwrap()
}

fn options(url: &str) -> OpenOptions {
    let table = "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)";
    let remote = RemoteOptions::new(url, "key").tables(["notes"]).retries(0);
    OpenOptions::new("synced").migrations([Migration::new("1", "notes", table)]).remote(remote)
}

#[wasm_bindgen_test]
async fn a_page_pulls_and_pushes() {
    delete_database(OpenOptions::new("synced")).await.unwrap();
    run(REMOTE);
    let db = open(options("http://127.0.0.1:9/rest/v1")).await.unwrap();
    let pulled = db.sync().pull(PullOptions::default()).await;
    db.run("INSERT INTO notes VALUES (2, 'cup')", ()).await.unwrap();
    let pending: Vec<OutboxEntry> = db.sync().pending().await.unwrap();
    let pushed = db.sync().push().await;
    run("globalThis.fetch = globalThis.realFetch");

    assert_eq!(pulled.unwrap().tables[0].inserted, 1);
    assert_eq!(pending.len(), 1);
    assert_eq!(pushed.unwrap().tables[0].inserted, 1);
    let sent = run("return globalThis.sent.join()").as_string().unwrap();
    assert!(sent.starts_with("POST ") && sent.contains("cup") && !sent.contains("tea"), "{sent}");
    let bodies: Vec<String> = db.query_as("SELECT body FROM notes ORDER BY id", ()).await.unwrap();
    assert_eq!(bodies, ["tea", "cup"]);
    db.close().await.unwrap();
}

#[wasm_bindgen_test]
async fn a_remote_that_is_out_of_reach_and_certificates_are_errors() {
    // The discard port.
    let db = open(options("http://127.0.0.1:9/").storage(Storage::Memory)).await.unwrap();
    assert_eq!(db.sync().pull(PullOptions::default()).await.unwrap_err().code, ErrorCode::SyncNetwork);
    db.close().await.unwrap();

    let remote = RemoteOptions::new("http://127.0.0.1:9/", "key").tables(["notes"]).root_certificates("pem");
    let error = open(OpenOptions::new("synced").storage(Storage::Memory).remote(remote)).await.unwrap_err();
    assert_eq!(error.code, ErrorCode::UnsupportedEnvironment);
}

/// A remote without a cursor, whose Realtime reports that the table has changed when `globalThis.report()` is called.
/// `globalThis.following` resolves when the database listens.
const REALTIME: &str = r#"
    const kept = { fetch: globalThis.fetch, WebSocket: globalThis.WebSocket }
    globalThis.restore = () => Object.assign(globalThis, kept)
    globalThis.rows = [{ id: 1, body: 'tea' }]
    globalThis.fetch = async (url) => {
        const { pathname, search } = new URL(url)
        const rows = search.includes('gt.') || !pathname.endsWith('/notes') ? [] : globalThis.rows
        return new Response(JSON.stringify(rows), { headers: { 'Content-Type': 'application/json' } })
    }
    globalThis.following = new Promise((resolve) => {
        globalThis.WebSocket = class extends EventTarget {
            constructor() {
                super()
                setTimeout(() => this.dispatchEvent(new Event('open')))
            }
            say(message) {
                const data = JSON.stringify({ topic: 'realtime:tidelock', ref: null, ...message })
                this.dispatchEvent(new MessageEvent('message', { data }))
            }
            send(text) {
                const { ref, event } = JSON.parse(text)
                if (event !== 'phx_join') return
                setTimeout(() => {
                    this.say({ event: 'phx_reply', ref, payload: { status: 'ok', response: {} } })
                    this.say({ event: 'system', payload: { status: 'ok' } })
                    globalThis.report = () => this.say({ event: 'postgres_changes', payload: { data: { table: 'notes' } } })
                    resolve()
                })
            }
            close() {}
        }
    })"#;

#[wasm_bindgen_test]
async fn realtime_reports_changes_of_the_remote() {
    delete_database(OpenOptions::new("synced")).await.unwrap();
    run(REALTIME);
    let table = "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)";
    let remote = RemoteOptions::new("http://127.0.0.1:9/rest/v1", "key").tables(["notes"]).retries(0).realtime(true);
    let options = OpenOptions::new("synced").migrations([Migration::new("1", "notes", table)]).remote(remote);
    let db = open(options).await.unwrap();
    let mut notes = db.live_as::<String>("SELECT body FROM notes ORDER BY id", ());
    assert!(notes.next().await.unwrap().unwrap().is_empty());
    // Within the test no interval ends.
    db.sync().start(3_600_000).await.unwrap();
    assert_eq!(notes.next().await.unwrap().unwrap(), ["tea"]);
    JsFuture::from(Promise::resolve(&run("return globalThis.following"))).await.unwrap();
    run("globalThis.rows.push({ id: 2, body: 'cup' }); globalThis.report()");
    assert_eq!(notes.next().await.unwrap().unwrap(), ["tea", "cup"]);
    db.close().await.unwrap();
    run("globalThis.restore()");
}

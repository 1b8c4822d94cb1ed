//! An open database: its lock, its mutex, transactions, imported files, restored snapshots.

use futures_util::future::join;
use tidelock::{
    Result,
    engine::{Database, ImportOptions},
    snapshot::Reason,
    sqlite::{Image, Op},
    tabs::TabWrite,
};

use super::Shown;
use crate::{
    engine::{execute, run},
    files::{image, made_by},
    world::{Tab, World},
};

/// Runs `scenario` in a tab, and compares the errors that it adds with the golden file.
fn scenario<F: Future<Output = Shown> + 'static>(area: &'static str, scenario: impl FnOnce(Tab, Shown) -> F) {
    let mut world = World::new();
    world.run(|tab| scenario(tab, Shown::of(area))).check();
}

async fn script(database: &Database, sql: &str) -> Result<()> {
    let guard = database.mutex().acquire().await?;
    let done = database.script(guard.permit(), sql, 0.0).map(drop);
    drop(guard);
    done
}

async fn made(tab: &Tab, options: &str, sql: &str) -> Database {
    let database = tab.open(options).await.unwrap();
    script(&database, sql).await.unwrap();
    database
}

const MIGRATIONS: &str =
    r#"{ "migrations": [{ "version": "1", "name": "items", "up": "CREATE TABLE t(a TEXT)", "transaction": true }] }"#;

fn newer() -> Image {
    image(&made_by(
        "CREATE TABLE t(a TEXT); CREATE TABLE schema_migrations(version TEXT PRIMARY KEY, name TEXT, checksum TEXT,
         applied_at TEXT, execution_ms INTEGER); INSERT INTO schema_migrations VALUES ('9', 'n', 'c', '', 0);",
    ))
}

#[test]
fn an_open_database() {
    scenario("database", |tab, mut shown| async move {
        shown.fails("cloud mode without a remote", tab.open(r#"{ "mode": "cloud" }"#).await);
        shown.fails("nothing that stores", tab.open(r#"{ "durability": "snapshot" }"#).await);
        let database = made(&tab, "{}", "CREATE TABLE t(a)").await;
        shown.fails("another tab has it", tab.open("{}").await);
        shown.fails("it is waited for", tab.open(r#"{ "onBusy": "wait", "lockTimeoutMs": 50 }"#).await);
        {
            let guard = database.mutex().acquire().await.unwrap();
            let depth = database.begin(guard.permit(), false).unwrap();
            database.begin(guard.permit(), false).unwrap();
            shown.fails("an outer transaction ends before its inner one", database.commit(guard.permit(), depth));
            database.rollback(guard.permit(), depth).unwrap();
            shown.fails("a transaction ends twice", database.commit(guard.permit(), depth));
            database.begin(guard.permit(), false).unwrap();
            let lost = execute(&database, guard.permit(), Op::Run, "INSERT OR ROLLBACK INTO nowhere VALUES (1)");
            assert!(lost.is_err());
            let _ = database.rollback(guard.permit(), 1);
        }
        {
            let guard = database.mutex().acquire().await.unwrap();
            let write = TabWrite { client: "tab", id: 1, acknowledged: 0, keep: None };
            shown.fails("a note of no transaction", database.note_applied(guard.permit(), &write, b""));
        }
        let permit = database.mutex().acquire().await.unwrap().permit();
        shown.fails("a permit that was released", execute(&database, permit, Op::Run, "SELECT 1"));
        shown.fails(
            "a script that leaves a transaction open",
            script(&database, "BEGIN; INSERT INTO t VALUES (1);").await,
        );
        {
            script(
                &database,
                "CREATE TABLE u(a UNIQUE); CREATE TRIGGER r AFTER INSERT ON u BEGIN SELECT RAISE(ROLLBACK, 'no'); END",
            )
            .await
            .unwrap();
            let guard = database.mutex().acquire().await.unwrap();
            let depth = database.begin(guard.permit(), false).unwrap();
            shown.fails(
                "a statement that rolls back",
                execute(&database, guard.permit(), Op::Run, "INSERT INTO u VALUES (1)"),
            );
            shown.fails("what comes after it", execute(&database, guard.permit(), Op::Run, "INSERT INTO t VALUES (1)"));
            shown.fails("its commit", database.commit(guard.permit(), depth));
            let _ = database.rollback(guard.permit(), depth);
        }
        shown.fails("a drift from migrations that aren't supplied", database.migrations_drift(None).await);
        shown.fails("a version that isn't applied", database.migrations_forget("7").await);
        shown.fails(
            "a schema that is none",
            database.migrations_generate("CREATE TABLE a(x);\n\nCREATE TABEL b(y)", &[]).await,
        );
        database.close().await.unwrap();
        shown.fails("a closed database", run(&database, "SELECT 1").await);
        shown
    });
}

#[test]
fn databases_that_grow_too_large() {
    scenario("too-large", |tab, mut shown| async move {
        let database = made(&tab, "{}", "CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(300000))").await;
        database.close().await.unwrap();
        shown.fails("more than maxBytes at open", tab.open(r#"{ "maxBytes": 65536 }"#).await);
        let database = made(&tab, r#"{ "name": "small", "maxBytes": 65536 }"#, "CREATE TABLE t(a)").await;
        let big = made_by("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(300000))");
        shown.fails("a file of more than maxBytes", database.import(image(&big), ImportOptions::default()).await);
        database.close().await.unwrap();
        shown
    });
}

#[test]
fn imported_files() {
    scenario("imports", |tab, mut shown| async move {
        let database = made(&tab, MIGRATIONS, "INSERT INTO t VALUES ('own')").await;
        let import = |image: Image| database.import(image, ImportOptions::default());
        shown.fails("newer than the app", import(newer()).await);
        let odd = made_by("CREATE TABLE t(a TEXT); CREATE VIEW v AS SELECT * FROM tidelock_tables");
        shown.fails("with a view on tables of tidelock", import(image(&odd)).await);
        let many = (1..15).map(|at| format!("CREATE VIEW n{at} AS SELECT 1 FROM n{0}, n{0} AS other;", at - 1));
        let deep = made_by(&format!("CREATE TABLE n0(a);{}", many.collect::<String>()));
        shown.fails("with a view that stands for too much", import(image(&deep)).await);
        let view = made_by("CREATE TABLE t(a TEXT); CREATE VIEW v AS SELECT readfile('x')");
        shown.fails("with a function that isn't here", import(image(&view)).await);
        let unknown = ImportOptions { baseline: Some("7".into()), ..ImportOptions::default() };
        let plain = made_by("CREATE TABLE t(a TEXT)");
        shown.fails("at a version that isn't supplied", database.import(image(&plain), unknown).await);
        shown.fails("that its migrations don't fit", import(image(&plain)).await);
        shown.fails(
            "a snapshot that is neither a database nor a text",
            database.snapshot_import(Image::from_bytes(&[0xfe, 0xed]), None).await,
        );
        shown.fails(
            "a snapshot of nothing but zeros",
            database.snapshot_import(Image::from_bytes(&[0; 5000]), None).await,
        );
        shown.fails(
            "a snapshot whose SQL fails",
            database.snapshot_import(Image::from_bytes(b"hello there"), None).await,
        );
        let snapshot = database.snapshot_import(newer(), None).await.unwrap();
        shown.fails("a snapshot newer than the app, restored", database.restore(&snapshot.id, false).await);
        shown.fails("a snapshot that isn't there", database.restore("77", false).await);
        shown.fails("one deleted that isn't there", database.snapshots().delete("77").await);
        database.close().await.unwrap();
        shown
    });
}

#[test]
fn a_snapshot_that_is_not_a_valid_database() {
    let mut world = World::new();
    let mut shown = Shown::of("restores");
    let id = world.run(|tab| async move {
        let database = made(&tab, "{}", "CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(200000))").await;
        let taken = database.snapshots().create(None, Reason::Manual).await.unwrap();
        // The database can't repair what it no longer has.
        script(&database, "UPDATE t SET a = randomblob(200000)").await.unwrap();
        database.close().await.unwrap();
        taken.id
    });
    let store = world.stores.by_name.borrow()["shop"].clone();
    let chunk = crate::store::stored::manifests(&store.contents().borrow()).pop().unwrap().chunks[1].id;
    store.contents().borrow_mut().chunks.insert(chunk, vec![7; 20]);
    let (mut shown, done) = world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        shown.fails("a snapshot with a damaged chunk", database.restore(&id, false).await);
        database.close().await.unwrap();
        (shown, ())
    });
    let () = done;
    let remote = r#"{ "remote": { "url": "http://127.0.0.1:1", "key": "anon", "tables": [{ "table": "t" }] } }"#;
    let shown = world.run(|tab| async move {
        let other = r#""name": "synced", "#;
        let database =
            made(&tab, &remote.replacen("{ ", &format!("{{ {other}"), 1), "CREATE TABLE t(id INTEGER PRIMARY KEY)")
                .await;
        let snapshot = database.snapshots().create(None, Reason::Manual).await.unwrap();
        script(&database, "INSERT INTO t VALUES (1)").await.unwrap();
        shown.fails("a restore over changes that weren't pushed", database.restore(&snapshot.id, false).await);
        let file = made_by("CREATE TABLE t(id INTEGER PRIMARY KEY)");
        shown.fails(
            "an import over changes that weren't pushed",
            database.import(image(&file), ImportOptions::default()).await,
        );
        shown.fails(
            "a table that isn't synced",
            database.sync_pull(serde_json::from_str(r#"{"tables":["u"]}"#).unwrap(), None).await,
        );
        database.close().await.unwrap();
        let database = tab.open(r#"{ "name": "local" }"#).await.unwrap();
        shown.fails("a pull without a remote", database.sync_pull(serde_json::from_str("{}").unwrap(), None).await);
        database.close().await.unwrap();
        shown
    });
    shown.check();
}

#[test]
fn a_stolen_lock() {
    let mut world = World::new();
    let (one, two) = (world.tab(), world.tab());
    let shown = world.sim.run(async move {
        let mut shown = Shown::of("lock");
        let fenced_out = made(&one, "{}", "CREATE TABLE t(a)").await;
        let taken = two.open(r#"{ "onBusy": "steal" }"#).await.unwrap();
        shown.fails("a write of the fenced-out tab", run(&fenced_out, "INSERT INTO t VALUES (1)").await);
        let guard = taken.mutex().acquire().await.unwrap();
        // The holder doesn't finish before the timeout.
        let (refused, ()) = join(one.open(r#"{ "onBusy": "takeover", "lockTimeoutMs": 100 }"#), async {}).await;
        shown.fails("a takeover of a busy tab", refused);
        drop(guard);
        taken.close().await.unwrap();
        shown
    });
    shown.check();
}

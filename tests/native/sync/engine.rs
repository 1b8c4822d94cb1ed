//! Sync inside an open database: pulled rows are as durable as local ones, live queries are updated, and unpushed
//! changes survive the end of the tab.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    engine::Database,
    snapshot::Reason,
    sync::report::{PullOptions, PullReport},
};

use crate::{
    sync::host::counts,
    sync::model::{Fault, Row, Server},
    world::{Tab, World},
};

const OPTIONS: &str = r#"{
    "migrations": [{ "version": "1", "name": "items", "up": "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT)", "checksum": null,
        "transaction": true, "upIsFunction": false, "downIsFunction": false }],
    "remote": { "url": "http://server", "key": "k", "tables": [{ "table": "items", "deleted": "compare" }] }
}"#;

/// Connects a tab with this server.
fn online(tab: Tab, server: &Server) -> Tab {
    let mut ports = tab.ports.clone();
    ports.http = Rc::new(server.clone());
    Tab { ports, ..tab }
}

fn server(world: &World, rows: u32) -> Server {
    let server = Server::new(world.sim.platform().clock);
    let item = |id: u32| Row::from([("id".to_owned(), id.to_string()), ("name".to_owned(), "\"remote\"".to_owned())]);
    server.change_rows("items", |all| all.extend((1..=rows).map(item)));
    server
}

async fn pull(database: &Database, options: &str) -> tidelock::Result<PullReport> {
    let options: PullOptions = serde_json::from_str(options).unwrap();
    database.sync_pull(options, None).await
}

async fn script(database: &Database, sql: &str) {
    let guard = database.mutex().acquire().await.unwrap();
    database.script(guard.permit(), sql, 0.0).unwrap();
    drop(guard);
    if let Some(stored) = database.stored() {
        stored.await.unwrap();
    }
}

async fn pending(database: &Database) -> Vec<String> {
    let changes = database.sync_pending().await.unwrap();
    changes.iter().map(|change| format!("{} {:?}", change.op.as_str(), change.key[0].1)).collect()
}

#[test]
fn pulled_rows_and_unpushed_changes_outlive_the_tab() {
    let mut world = World::new();
    let server = server(&world, 2_500);
    let first = server.clone();
    world.run(|tab| async move {
        let database = online(tab, &first).open(OPTIONS).await.unwrap();
        assert_eq!(counts(&pull(&database, "{}").await.unwrap().tables[0]), "2500/0/0/0/0/0/0");
        script(&database, "UPDATE items SET name = 'mine' WHERE id = 7").await;
        std::mem::forget(database);
    });
    world.kill();
    world.run(|tab| async move {
        // Changes are captured without the option `remote`, because the tables are registered in the database.
        let database = tab.open("{}").await.unwrap();
        script(&database, "DELETE FROM items WHERE id = 8; ALTER TABLE items ADD COLUMN extra; UPDATE items SET extra = 1 WHERE id = 9").await;
        assert_eq!(pending(&database).await, ["update Integer(7)", "delete Integer(8)", "update Integer(9)"]);
        assert_eq!(pull(&database, "{}").await.unwrap_err().code, ErrorCode::InvalidArgument);
        let health = database.health().await;
        assert_eq!((health.sync.phase, health.sync.pending), ("off", 3));
        database.close().await.unwrap();
    });
    world.run(|tab| async move {
        let options = OPTIONS.replace(r#""name": "items", "up""#, r#""name": "other", "up""#);
        let database = online(tab, &server).open(&options).await.unwrap();
        let report = pull(&database, "{}").await.unwrap();
        assert_eq!(counts(&report.tables[0]), "0/0/0/2497/3/0/0");
        let health = database.health().await;
        assert_eq!((health.sync.phase, health.sync.pending, health.sync.lag_ms), ("idle", 3, Some(0)));
        assert_eq!(pull(&database, r#"{"mode":"replace"}"#).await.unwrap_err().code, ErrorCode::UnpushedChanges);
        database.close().await.unwrap();
    });
}

#[test]
fn live_queries_and_listeners_hear_of_pulled_rows() {
    let mut world = World::new();
    let server = server(&world, 10);
    world.run(|tab| async move {
        let tab = online(tab, &server);
        let database = tab.open(OPTIONS).await.unwrap();
        database.watch("SELECT * FROM items", None, "").unwrap();
        pull(&database, "{}").await.unwrap();
        let heard = |tab: &Tab, what: &str| tab.heard.borrow().iter().filter(|event| event.contains(what)).count();
        // The pull has a second commit of this table, which changes no row.
        assert_eq!(heard(&tab, r#""type":"live""#), 1, "{:?}", tab.heard);
        assert_eq!(heard(&tab, r#""phase":"pulling""#), 1);
        pull(&database, "{}").await.unwrap();
        assert_eq!(heard(&tab, r#""type":"live""#), 1, "nothing changed the second time");
        database.close().await.unwrap();
        assert_eq!(pull(&database, "{}").await.unwrap_err().code, ErrorCode::Closed);
    });
}

#[test]
fn a_replace_takes_a_snapshot_first() {
    let mut world = World::new();
    let server = server(&world, 30);
    world.run(|tab| async move {
        let database = online(tab, &server).open(OPTIONS).await.unwrap();
        pull(&database, "{}").await.unwrap();
        (1..=5).for_each(|id| server.remove("items", &id.to_string()));
        let report = pull(&database, r#"{"mode":"replace"}"#).await.unwrap();
        assert_eq!(counts(&report.tables[0]), "0/0/5/25/0/0/0");
        let snapshots = database.snapshots().list();
        assert_eq!(snapshots.iter().map(|snapshot| snapshot.reason.as_str()).collect::<Vec<_>>(), ["safety"]);
        database.restore(&snapshots[0].id, false).await.unwrap();
        // The image contains the cursors, so the next pull reads the later remote changes.
        assert_eq!(counts(&pull(&database, "{}").await.unwrap().tables[0]), "0/0/5/25/0/0/0");
        database.close().await.unwrap();
    });
}

#[test]
fn changes_of_a_restored_image_are_never_pending_again() {
    let mut world = World::new();
    let server = server(&world, 3);
    world.run(|tab| async move {
        let database = online(tab, &server).open(OPTIONS).await.unwrap();
        pull(&database, "{}").await.unwrap();
        script(&database, "UPDATE items SET name = 'mine' WHERE id = 1").await;
        let snapshot = database.snapshots().create(None, Reason::Manual).await.unwrap();
        assert_eq!(database.restore(&snapshot.id, false).await.unwrap_err().code, ErrorCode::UnpushedChanges);
        database.restore(&snapshot.id, true).await.unwrap();
        assert!(pending(&database).await.is_empty());
        let rejected = database.sync_rejected().await.unwrap();
        assert_eq!((rejected.len(), rejected[0].reason.map(|reason| reason.as_str())), (1, Some("restored")));
        let report = pull(&database, "{}").await.unwrap();
        assert_eq!(counts(&report.tables[0]), "0/1/0/2/0/0/0", "the row follows the remote");
        script(&database, "UPDATE items SET name = 'again' WHERE id = 1").await;
        assert_eq!(pending(&database).await, ["update Integer(1)"]);
        database.close().await.unwrap();
    });
}

#[test]
fn closing_ends_a_pull_and_loses_nothing() {
    let mut world = World::new();
    let server = server(&world, 5_000);
    world.run(|tab| async move {
        let tab = online(tab, &server);
        let database = tab.open(OPTIONS).await.unwrap();
        let clock = tab.ports.platform.clock.clone();
        let close = async {
            clock.sleep(50).await;
            database.close().await.unwrap();
        };
        let options = PullOptions::default();
        let (pulled, ()) = futures_util::future::join(database.sync_pull(options, None), close).await;
        assert_eq!(pulled.unwrap_err().code, ErrorCode::Closed);
        let database = tab.open(OPTIONS).await.unwrap();
        let report = pull(&database, "{}").await.unwrap();
        assert!(report.tables[0].resumed);
        let status = database.sync_status().await.unwrap();
        assert_eq!((status[0].rows, status[0].pending), (5_000, 0));
        database.close().await.unwrap();
    });
}

#[test]
fn closing_ends_calls_that_wait_for_the_network() {
    for pushes in [true, false] {
        let mut world = World::new();
        let server = server(&world, 10);
        world.run(|tab| async move {
            let tab = online(tab, &server);
            let database = tab.open(OPTIONS).await.unwrap();
            script(&database, "INSERT INTO items VALUES (100, 'mine')").await;
            (0..20).for_each(|_| server.fault(Fault::Timeout));
            let clock = tab.ports.platform.clock.clone();
            let call = async {
                match pushes {
                    true => database.sync_push(None).await.map(drop),
                    false => pull(&database, "{}").await.map(drop),
                }
            };
            let close = async {
                clock.sleep(50).await;
                database.close().await.unwrap();
                clock.now()
            };
            let (ended, closed_at) = futures_util::future::join(call, close).await;
            assert_eq!(ended.unwrap_err().code, ErrorCode::Closed);
            assert!(clock.now().0 - closed_at.0 < 1_000, "it went on for {} ms", clock.now().0 - closed_at.0);
            server.take_requests();
            clock.sleep(600_000).await;
            assert_eq!(server.take_requests().len(), 0);
        });
    }
}

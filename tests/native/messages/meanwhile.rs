//! Errors during asynchronous calls: a deleted snapshot, a missing user, a service that refuses.

use std::{
    cell::RefCell,
    future::{pending, ready},
    rc::Rc,
};

use futures_util::future::join;
use tidelock::{
    Error, ErrorCode, Result,
    collections::Map,
    engine::{Callbacks, Database, Event, connection::mutex::MutexPermit},
    ports::{Clock, LocalFuture, Part, Parts, Socket, SocketEvent, Sockets},
    snapshot::Reason,
    sync::report::{Cells, Conflict},
    time::Timestamp,
};

use super::Shown;
use crate::{
    sync::model::Server,
    world::{Tab, World, options, run},
};

const CLOUD: &str = r#"{ "mode": "cloud", "migrations": [{ "version": "1", "name": "items", "checksum": null, "transaction": true,
    "upIsFunction": false, "downIsFunction": false, "up": "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT)" }],
    "remote": { "url": "http://server", "key": "k", "hasAccessToken": true, "realtime": true, "tables": [{ "table": "items" }] } }"#;

fn online(tab: &Tab) -> Tab {
    let server = Server::new(tab.ports.platform.clock.clone());
    server.put("items", &[("id", "1"), ("name", "\"remote\"")]);
    let mut ports = tab.ports.clone();
    ports.http = Rc::new(server);
    Tab { ports, ..tab.clone() }
}

/// Parts that load over a slow network.
struct Slow(Rc<dyn Clock>);

impl Parts for Slow {
    fn load(&self, _: Part) -> LocalFuture<'static, Result<()>> {
        let slept = self.0.sleep(100);
        Box::pin(async move {
            slept.await;
            Ok(())
        })
    }

    fn add_fts5(&self, _: usize) {}
}

/// A user who never signs in.
struct Silent;

impl Callbacks for Silent {
    fn emit(&self, _: Event) {}

    fn run_migration(&self, _: &str, _: &str, _: MutexPermit) -> LocalFuture<'static, Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn access_token(&self) -> LocalFuture<'static, Result<Option<String>>> {
        Box::pin(pending())
    }

    fn next_snapshot(&self, _: Timestamp) -> LocalFuture<'static, Option<Timestamp>> {
        Box::pin(ready(None))
    }

    fn filter(&self, _: &str) -> LocalFuture<'static, Result<Map<String, String>>> {
        Box::pin(ready(Ok(Map::default())))
    }

    fn resolve_conflict(&self, _: Conflict) -> LocalFuture<'static, Result<Option<Cells>>> {
        Box::pin(ready(Ok(None)))
    }
}

/// Sockets whose other end the test controls.
#[derive(Default)]
struct Wire(RefCell<Option<Listener>>);

type Listener = Box<dyn Fn(SocketEvent)>;

struct Deaf;

impl Sockets for Wire {
    fn open(&self, _: &str, heard: Box<dyn Fn(SocketEvent)>) -> Result<Box<dyn Socket>> {
        self.0.replace(Some(heard));
        Ok(Box::new(Deaf))
    }
}

impl Socket for Deaf {
    fn send(&self, _: &str) {}
}

async fn deleted_meanwhile(tab: &Tab) -> Result<()> {
    let mut ports = tab.ports.clone();
    let clock = ports.platform.clock.clone();
    ports.platform.parts = Rc::new(Slow(clock.clone()));
    let database = Tab { ports, ..tab.clone() }.open("{}").await?;
    run(&database, "CREATE VIRTUAL TABLE words USING fts5(word)").await;
    let id = database.snapshots().create(None, Reason::Manual).await?.id;
    let mut sink = |_: &[u8]| Ok(());
    let (exported, deleted) = join(database.snapshot_export(&id, true, &mut sink), async {
        clock.sleep(50).await;
        database.snapshots().delete(&id).await
    })
    .await;
    deleted?;
    database.close().await?;
    exported.map(drop)
}

async fn silent(tab: &Tab) -> Result<()> {
    let database = Database::open(options(CLOUD), online(tab).ports, Rc::new(Silent)).await?;
    let pulled = database.sync_pull(serde_json::from_str("{}").unwrap(), None).await;
    database.close().await?;
    pulled.map(drop)
}

/// Returns the part of the warning after the colon.
async fn refused(tab: &Tab) -> Result<()> {
    let wire = Rc::new(Wire::default());
    let mut tab = online(tab);
    tab.ports.sockets = wire.clone();
    let clock = tab.ports.platform.clock.clone();
    let database = tab.open(CLOUD).await?;
    clock.sleep(500).await;
    let tell = |news| wire.0.borrow().as_ref().expect("a socket was opened")(news);
    tell(SocketEvent::Opened);
    clock.sleep(1).await;
    let reply = r#"{"ref":"1","event":"phx_reply","payload":{"status":"error","response":{"reason":"Unauthorized: no"}},"topic":"realtime:tidelock"}"#;
    tell(SocketEvent::Said(reply.to_owned()));
    clock.sleep(1).await;
    database.close().await?;
    let heard = tab.heard.borrow();
    let warning = heard.iter().find(|event| event.contains("realtime_unavailable")).expect("it warns");
    let warning: serde_json::Value = serde_json::from_str(warning).unwrap();
    let message = warning["detail"]["message"].as_str().unwrap_or_else(|| panic!("{warning}"));
    Err(Error::new(ErrorCode::SyncRejected, message.split_once(": ").unwrap().1))
}

#[test]
fn meanwhile() {
    let mut world = World::new();
    let shown = world.run(|tab| async move {
        let mut shown = Shown::of("meanwhile");
        shown.fails("a snapshot deleted while it is exported", deleted_meanwhile(&tab).await);
        let other = Tab { ..tab.clone() };
        shown.fails("a user who never signs in", silent(&other).await);
        shown
    });
    let shown = World::new().run(|tab| async move {
        let mut shown = shown;
        shown.fails("a realtime service that refuses", refused(&tab).await);
        shown
    });
    shown.check();
}

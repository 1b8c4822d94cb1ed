//! Sync: the remote's answers, mismatches, and changes that would be lost.

use std::rc::Rc;

use tidelock::{
    Error, ErrorCode, Result,
    engine::sync::remote_schema::schema_from_remote,
    ports::{Platform, sim::Sim},
    sync::{config::options::RemoteOptions, outbox::entries},
};

use super::Shown;
use crate::{
    sync::host::World,
    sync::model::{Fault, Row, Server},
    sync::model_writes::Rules,
};

const SCHEMA: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)";
const TABLES: &str = r#"[{"table":"items","deleted":"compare"}]"#;
const REPLACE: &str = r#"{"mode":"replace"}"#;

fn world() -> World {
    let world = World::new(SCHEMA, TABLES);
    (1..=3).for_each(|id| put(&world, id));
    world
}

fn put(world: &World, id: u32) {
    world.server.put("items", &[("id", &id.to_string()), ("name", "\"remote\""), ("updated_at", "null")]);
}

/// Runs a pull that gets this answer first.
fn answered(status: u16, body: &str) -> tidelock::Result<()> {
    let mut world = world();
    (0..12).for_each(|_| world.server.fault(Fault::Status(status, Vec::new(), body.to_owned())));
    world.pull("{}").map(drop)
}

fn problem(code: &str, message: &str) -> String {
    format!(r#"{{"code":"{code}","message":"{message}","details":null,"hint":null}}"#)
}

#[test]
fn answers() {
    let mut shown = Shown::of("answers");
    shown.fails("401", answered(401, &problem("PGRST301", "JWT expired")));
    shown.fails("403", answered(403, &problem("42501", "permission denied for table items")));
    shown.fails("a table that isn't there", answered(404, &problem("PGRST205", "Could not find the table")));
    shown.fails("a page that isn't there", answered(404, "<html>"));
    shown.fails("a schema that isn't exposed", answered(406, &problem("PGRST106", "The schema must be one of")));
    shown.fails("a filter that is none", answered(400, &problem("PGRST100", "failed to parse filter")));
    shown.fails("a failing server", answered(500, "oops"));
    shown.fails("a page of another server", answered(200, "<html>hello</html>"));
    shown.fails("something else than rows", answered(200, r#"{"a":1}"#));
    shown.fails("a redirect, as a page sees it", answered(302, ""));
    for (done, location) in [
        ("a redirect to another host", "https://www.server/rest/v1/items"),
        ("a redirect to a sign-in page", "https://login.server/"),
    ] {
        let mut moved = world();
        moved.server.fault(Fault::Status(301, vec![("location", location.to_owned())], String::new()));
        shown.fails(done, moved.pull("{}"));
    }
    let little = format!(r#"{{"url":"http://server","key":"k","maxResponseBytes":9,"tables":{TABLES}}}"#);
    let mut large = World::with(SCHEMA, &little);
    large.server.put("items", &[("id", "1"), ("name", "\"x\""), ("updated_at", "null")]);
    shown.fails("a row that is too large", large.pull("{}"));
    let mut late = world();
    late.server.fault(Fault::Status(503, vec![("retry-after", "100000".to_owned())], String::new()));
    shown.fails("a server that asks to wait for a day", late.pull("{}"));
    for (done, fault) in
        [("no network", Fault::Drop), ("no answer in time", Fault::Timeout), ("an answer that is cut", Fault::Cut(0.5))]
    {
        let mut world = world();
        (0..40).for_each(|_| world.server.fault(fault.clone()));
        shown.fails(done, world.pull("{}"));
    }

    let mut pushing = world();
    pushing.pull("{}").unwrap();
    pushing.exec("INSERT INTO items VALUES (10, 'new', 'now')");
    (0..40).for_each(|_| pushing.server.fault(Fault::Cut(0.5)));
    shown.fails("the answer to a push that is cut", pushing.push());

    let frozen: Rc<dyn Fn(&Row) -> bool> = Rc::new(|_| true);
    let columns = ["id", "name", "updated_at"];
    let mut readable = world();
    readable.server.define("items", &columns, Rules { frozen: Some(frozen), ..Rules::default() });
    readable.pull("{}").unwrap();
    readable.exec("UPDATE items SET name = 'mine' WHERE id = 1");
    readable.push().unwrap();
    let kept = entries::rejected(&readable.host.connection).unwrap().remove(0).error.unwrap();
    let (message, hint) = kept.trim_end_matches(')').split_once(" (").unwrap();
    shown.add("a row that may only be read", &Error::new(ErrorCode::SyncRejected, message).hint(hint));

    let mut stuck =
        World::with(SCHEMA, &format!(r#"{{"url":"http://server","key":"k","pageSize":1,"tables":{TABLES}}}"#));
    let page = r#"[{"id":1,"name":"x","updated_at":null}]"#;
    (0..40).for_each(|_| stuck.server.fault(Fault::Status(200, Vec::new(), page.to_owned())));
    shown.fails("a server that sends the same page again", stuck.pull("{}"));
    shown.check();
}

#[test]
fn schemas() {
    let mut shown = Shown::of("sync-schemas");
    let pulled = |schema: &str, tables: &str, cells: &[(&str, &str)]| {
        let mut world = World::new(schema, tables);
        world.server.put("items", cells);
        world.pull("{}").map(drop)
    };
    let row = &[("id", "1"), ("name", "\"x\"")][..];
    let plain = r#"[{"table":"items"}]"#;
    shown.fails("no local table", pulled("CREATE TABLE other(a)", plain, row));
    shown.fails("no key", pulled("CREATE TABLE items(id, name)", plain, row));
    let keyed = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT)";
    shown.fails("no such column", pulled(keyed, r#"[{"table":"items","columns":["id","nope"]}]"#, row));
    let wider = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, extra TEXT)";
    shown
        .fails("a column that the remote lacks", pulled(wider, r#"[{"table":"items","columns":["id","extra"]}]"#, row));
    shown.fails(
        "a column that means all of them",
        pulled(r#"CREATE TABLE items(id INTEGER PRIMARY KEY, "*")"#, plain, row),
    );
    shown.fails(
        "a key that is NULL",
        pulled("CREATE TABLE items(id INTEGER, name TEXT PRIMARY KEY)", plain, &[("id", "1"), ("name", "null")]),
    );
    let numbers = "CREATE TABLE items(id INTEGER PRIMARY KEY, name INTEGER)";
    shown.fails("a text for a number", pulled(numbers, plain, row));
    shown.fails("a number too large", pulled(numbers, plain, &[("id", "1"), ("name", "99999999999999999999")]));
    let numeric = "CREATE TABLE items(id INTEGER PRIMARY KEY, name NUMERIC)";
    shown.fails(
        "a number that SQLite would round",
        pulled(numeric, r#"[{"table":"items","types":{"name":"numeric"}}]"#, &[("id", "1"), ("name", "0.1000")]),
    );

    let described = |faults: &[Fault], tables: &str| -> Result<()> {
        let mut sim = Sim::new(7);
        let platform = sim.platform();
        let server = Server::new(platform.clock.clone());
        faults.iter().for_each(|fault| server.fault(fault.clone()));
        let json = format!(r#"{{"url":"http://server/rest/v1","key":"k","tables":{tables}}}"#);
        let remote: RemoteOptions = serde_json::from_str(&json).unwrap();
        sim.run(async move { from(remote, server, &platform).await })
    };
    let answer = |status: u16, body: &str| Fault::Status(status, Vec::new(), body.to_owned());
    let none = answer(404, "{}");
    shown.fails("a remote that isn't PostgREST", described(&[none.clone(), answer(200, "[]")], "[]"));
    shown.fails("a remote that refuses to describe itself", described(&[none.clone(), answer(401, "{}")], "[]"));
    shown.fails("a remote that has nothing to describe", described(&[none.clone(), none.clone()], "[]"));
    let openapi =
        r#"{"swagger":"2.0","definitions":{"keyless":{"properties":{"a":{"type":"string","format":"text"}}}}}"#;
    shown.fails(
        "a table that the remote doesn't describe",
        described(&[none.clone(), answer(200, openapi)], r#"[{"table":"nope"}]"#),
    );
    shown.fails(
        "a table of the remote without a key",
        described(&[none, answer(200, openapi)], r#"[{"table":"keyless"}]"#),
    );
    shown.check();
}

async fn from(remote: RemoteOptions, server: Server, platform: &Platform) -> Result<()> {
    let tokens = || -> tidelock::ports::LocalFuture<'_, Result<Option<String>>> { Box::pin(async { Ok(None) }) };
    schema_from_remote(remote, Rc::new(server), platform, &tokens).await.map(drop)
}

#[test]
fn losses() {
    let mut shown = Shown::of("losses");
    let mut empty = world();
    empty.pull("{}").unwrap();
    empty.server.hide(true);
    shown.fails("all rows gone", empty.pull("{}"));
    shown.fails("all rows gone, in a replace", empty.pull(REPLACE));
    empty.server.hide(false);
    empty.exec("UPDATE items SET name = 'mine' WHERE id = 1");
    shown.fails("a replace over a change that isn't pushed", empty.pull(REPLACE));
    shown.fails("an id of no change", empty.discard(99));
    shown.fails("a table that isn't synced", empty.pull(r#"{"tables":["other"]}"#));

    let strict =
        "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT NOT NULL CHECK (name <> 'remote'), updated_at TEXT)";
    let mut misfit = World::new(strict, TABLES);
    put(&misfit, 1);
    shown.fails("a row that the schema refuses, in a replace", misfit.pull(REPLACE));

    let family = "CREATE TABLE parents(id INTEGER PRIMARY KEY); \
                  CREATE TABLE children(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents(id))";
    let tables = r#"[{"table":"parents"},{"table":"children"}]"#;
    let mut orphan = World::new(family, tables);
    orphan.server.put("children", &[("id", "1"), ("parent", "7")]);
    orphan.server.table("parents");
    shown.fails("a child without its parent, in a replace", orphan.pull(REPLACE));
    let mut changed = World::new(family, tables);
    for id in ["1", "2", "3"] {
        changed.server.put("parents", &[("id", id)]);
    }
    changed.server.put("children", &[("id", "1"), ("parent", "1")]);
    changed.pull("{}").unwrap();
    changed.exec("INSERT INTO children VALUES (5, 1)");
    changed.server.remove("parents", "1");
    shown.fails(
        "a parent of an unpushed child, in a replace",
        changed.pull(r#"{"mode":"replace","tables":["parents"]}"#),
    );

    let remote = |user: &str| format!(r#"{{"url":"http://server","key":"k","userId":"{user}","tables":{TABLES}}}"#);
    let mut owned = World::with(SCHEMA, &remote("one"));
    put(&owned, 1);
    owned.pull("{}").unwrap();
    owned.reopen(&remote("two"));
    shown.fails("another user", owned.pull("{}"));
    owned.reopen(&format!(r#"{{"url":"http://server","key":"k","tables":{TABLES}}}"#));
    shown.fails("nobody", owned.pull("{}"));
    let mut read_only = World::new(SCHEMA, r#"[{"table":"items","direction":"pull"}]"#);
    shown.fails("a queue for a table that is only pulled", enqueue(&mut read_only, "items"));
    shown.fails("a queue for a table that isn't synced", enqueue(&mut read_only, "other"));
    shown.check();
}

fn enqueue(world: &mut World, table: &'static str) -> Result<u64> {
    let (sync, host) = (world.sync.clone(), world.host.clone());
    world.sim.run(async move { sync.enqueue(&*host, table).await })
}

//! Requests that the server executes after the client has given them up, at every point of what the app does next.

use tidelock::{ErrorCode, sync::outbox::entries};

use crate::{
    sample::Sample,
    sync::host::{World, fails},
    sync::model::{Fault, Row},
    sync::model_writes::Rules,
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)";

/// The number of requests that one push and one pull make at most.
const LATEST: usize = 8;

fn world(policy: &str, cursor: bool) -> World {
    let cursor = if cursor { r#""cursor":"updated_at","overlapMs":0,"# } else { "" };
    let table = format!(r#"{{"table":"items",{cursor}"deleted":"compare","conflict":"{policy}"}}"#);
    let mut world =
        World::with(ITEMS, &format!(r#"{{"url":"http://server","key":"k","retries":0,"tables":[{table}]}}"#));
    let stamped = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "name", "updated_at"], stamped);
    world.server.change("items", "1", &[("name", "\"first\"")]);
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world
}

/// Syncs until all requests have been executed, and returns the remote's rows.
fn at_rest(world: &mut World) -> Vec<String> {
    for last in [false, true, false, false] {
        world.push().unwrap();
        world.pull("{}").unwrap();
        world.sim.advance(60_000);
        world.server.execute_late(last);
    }
    assert_eq!(world.outbox(), Vec::<String>::new());
    let show = |row: &Row| format!("{}|{}", row["id"], row["name"].replace('"', ""));
    let mut rows: Vec<String> = world.server.rows("items").iter().map(show).collect();
    rows.sort();
    assert_eq!(world.rows("SELECT id, name FROM items ORDER BY id"), rows);
    assert!(entries::conflicts(&world.host.connection, 10).unwrap().is_empty(), "our own write is no conflict");
    rows
}

#[test]
fn an_own_write_that_arrives_late_is_known_as_such() {
    let mut sample = Sample::every(3);
    for (first, then, expected) in [
        ("INSERT INTO items VALUES (2, 'late', NULL)", "DELETE FROM items WHERE id = 2", &["1|first"][..]),
        (
            "INSERT INTO items VALUES (2, 'late', NULL)",
            "UPDATE items SET name = 'later' WHERE id = 2",
            &["1|first", "2|later"],
        ),
        ("UPDATE items SET name = 'late'", "UPDATE items SET name = 'later'", &["1|later"]),
        ("DELETE FROM items", "INSERT INTO items VALUES (1, 'again', NULL)", &["1|again"]),
    ] {
        for policy in ["keep-local", "remote-wins", "last-write-wins"] {
            for (after, cursor) in (1..LATEST).flat_map(|after| [(after, true), (after, false)]) {
                // Without a cursor, an update has no guard.
                if !cursor && (policy == "last-write-wins" || !first.starts_with("INSERT")) {
                    continue;
                }
                if !sample.takes() {
                    continue;
                }
                let mut world = world(policy, cursor);
                world.exec(first);
                world.server.fault(Fault::Late(after));
                fails(world.push(), ErrorCode::SyncNetwork);
                world.exec(then);
                assert_eq!(at_rest(&mut world), expected, "{first}, {then}, {policy}, after {after}, cursor: {cursor}");
            }
        }
    }
}

#[test]
fn a_row_that_another_client_makes_later_stays() {
    let mut world = world("keep-local", true);
    world.exec("INSERT INTO items VALUES (2, 'same', NULL)");
    world.server.fault(Fault::Timeout);
    fails(world.push(), ErrorCode::SyncNetwork);
    world.exec("DELETE FROM items WHERE id = 2");
    world.push().unwrap();
    assert_eq!(world.rows("SELECT count(*) FROM tidelock_late"), ["1"]);
    world.exec("UPDATE tidelock_late SET time = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-11 minutes')");
    world.server.change("items", "2", &[("name", "\"same\"")]);
    world.pull("{}").unwrap();
    assert_eq!(at_rest(&mut world), ["1|first", "2|same"]);
    assert_eq!(world.rows("SELECT count(*) FROM tidelock_late"), ["0"]);
}

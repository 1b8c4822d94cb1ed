//! Changes that the remote refuses without an error of PostgreSQL, and what `rejected()` says about refused changes.

use std::rc::Rc;

use tidelock::sync::outbox::{change::Change, entries};

use crate::{
    sync::host::World,
    sync::model::{Fault, Row},
    sync::model_writes::Rules,
};

const LOG: &str = "CREATE TABLE log(id TEXT PRIMARY KEY, line TEXT)";
const PUSHED_LOG: &str = r#"{"url":"http://server","key":"k","tables":[{"table":"log","direction":"push"}]}"#;

/// Creates a push-only table with the rows `a`, `b` and `c` on both sides. Row security forbids to change some of them.
fn log(frozen: fn(&Row) -> bool) -> World {
    let mut world = World::with(LOG, PUSHED_LOG);
    world.server.define("log", &["id", "line"], Rules { frozen: Some(Rc::new(frozen)), ..Rules::default() });
    world.exec("INSERT INTO log VALUES ('a', '1'), ('b', '1'), ('c', '1')");
    assert_eq!(world.pushed(), ["log 3/0/0/0/0"]);
    world
}

fn rejected(world: &World) -> Vec<Change> {
    entries::rejected(&world.host.connection).unwrap()
}

fn lines(world: &World) -> Vec<String> {
    world.server.rows("log").iter().map(|row| format!("{} {}", row["id"], row["line"]).replace('"', "")).collect()
}

#[test]
fn an_update_that_changes_no_row_is_refused_where_nothing_is_read() {
    let mut world = log(|row| row["id"] == "\"b\"");
    world.exec("UPDATE log SET line = '2'");
    assert_eq!(world.pushed(), ["log 0/2/0/0/1"]);
    assert_eq!(lines(&world), ["a 2", "b 1", "c 2"]);
    assert_eq!(world.outbox(), ["update log Text(\"b\") line (refused)"]);
    let refused = rejected(&world).remove(0);
    assert!(refused.error.as_deref().unwrap().starts_with("The remote updated no row of table log"), "{refused:?}");
    world.server.alter("log", |rules, _| rules.frozen = None);
    world.retry(refused.id);
    assert_eq!(world.pushed(), ["log 0/1/0/0/0"]);
    assert_eq!(lines(&world), ["a 2", "b 2", "c 2"]);
}

#[test]
fn a_deletion_that_deletes_no_row_is_not_counted_where_nothing_is_read() {
    for fault in [Fault::None, Fault::Lost] {
        let mut world = log(|row| row["id"] == "\"b\"");
        world.exec("DELETE FROM log WHERE id <> 'c'");
        world.server.fault(fault.clone());
        // After a lost answer, the rows may have been deleted by the first request.
        let deleted = if matches!(fault, Fault::Lost) { 2 } else { 1 };
        assert_eq!(world.pushed(), [format!("log 0/0/{deleted}/0/0")]);
        assert_eq!((lines(&world), world.outbox()), (vec!["b 1".to_owned(), "c 1".to_owned()], vec![]));
    }
}

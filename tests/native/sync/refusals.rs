//! Changes that the remote refuses without an error of PostgreSQL, and what `rejected()` says about refused changes.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    ports::Method,
    sync::outbox::{change::Change, entries},
};

use crate::{
    sync::host::{Decide, World, fails},
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

#[test]
fn a_key_that_makes_the_url_too_long_stops_no_other_change() {
    let schema = "CREATE TABLE one(id TEXT PRIMARY KEY, name TEXT); CREATE TABLE two(id TEXT PRIMARY KEY, name TEXT)";
    for (cursor, sql) in [
        ("", "UPDATE one SET name = 'new'"),
        (
            r#","cursor":"name""#,
            "UPDATE one SET id = id || 'x' WHERE length(id) < 9; DELETE FROM one WHERE length(id) > 9",
        ),
        (r#","direction":"push""#, "UPDATE one SET name = 'new'"),
    ] {
        let mut world = World::new(schema, &format!(r#"[{{"table":"one"{cursor}}},{{"table":"two"}}]"#));
        for table in ["one", "two"] {
            world.server.define(table, &["id", "name"], Rules::default());
            world.exec(&format!("INSERT INTO {table} VALUES ('1', 'old'), ('2', 'old')"));
        }
        world.exec("INSERT INTO one VALUES (printf('%.*c', 20000, 'k'), 'old')");
        world.server.limit_urls(8000);
        world.push().unwrap();
        world.exec(&format!("{sql}; UPDATE two SET name = 'new'"));
        world.push().unwrap();
        assert!(world.server.rows("two").iter().all(|row| row["name"] == "\"new\""), "{cursor}");
        let refused = rejected(&world);
        assert_eq!((refused.len(), entries::pending(&world.host.connection).unwrap()), (1, vec![]), "{cursor}");
        assert_eq!(refused[0].reason.map(|reason| reason.as_str()), Some("refused"));
        let error = refused[0].error.as_deref().unwrap();
        assert!(error.starts_with("The key of a row of table one makes the URL of its request too long"), "{error}");
        world.discard(refused[0].id).unwrap();
        assert_eq!(world.rows("SELECT count(*) FROM one WHERE length(id) > 9"), ["1"], "{cursor}");
        assert_eq!(world.outbox(), Vec::<String>::new());
    }
}

#[test]
fn urls_that_are_too_long_with_short_keys_refuse_no_row() {
    let mut world = World::new(LOG, r#"[{"table":"log"}]"#);
    world.server.define("log", &["id", "line"], Rules::default());
    world.exec("INSERT INTO log VALUES ('a', '1'), ('b', '1')");
    world.push().unwrap();
    world.exec("UPDATE log SET line = '2'");
    world.server.limit_urls(20);
    fails(world.push(), ErrorCode::SyncServer);
    assert_eq!(entries::pending(&world.host.connection).unwrap().len(), 2);
}

#[test]
fn a_kept_row_that_the_remote_refuses_is_not_decided_about_again() {
    let mut world = World::new(LOG, r#"[{"table":"log","deleted":"compare","conflict":"function"}]"#);
    let asked = Rc::new(std::cell::Cell::new(0));
    let times = asked.clone();
    let decide: Decide = Rc::new(move |conflict| {
        times.set(times.get() + 1);
        conflict.local.or(conflict.remote)
    });
    *world.host.decide.borrow_mut() = Some(decide);
    world.server.define(
        "log",
        &["id", "line"],
        Rules { check: Some(Rc::new(|row| row["line"] != "\"bad\"")), ..Rules::default() },
    );
    world.server.change("log", "\"a\"", &[("line", "\"1\"")]);
    world.pull("{}").unwrap();
    world.exec("UPDATE log SET line = 'bad'");
    world.server.remove("log", "\"a\"");
    let both = r#"{"xid":false,"tombstones":true}"#;
    world.server.set_helpers(Some(&format!(
        r#"{{"version":1,"cluster":"c","ceiling":"9","tables":{{"log":{both}}},"gone":[["1","log",{{"id":"a"}},"5"]]}}"#
    )));
    for _ in 0..3 {
        world.push().unwrap();
        world.pull(r#"{"full":true,"allowEmpty":true}"#).unwrap();
        assert_eq!(world.outbox(), ["insert log Text(\"a\") id,line (refused)"]);
    }
    assert_eq!((asked.get(), entries::conflicts(&world.host.connection, 10).unwrap().len()), (1, 1));
    // The remote has such a row again: that is another conflict.
    world.server.set_helpers(None);
    world.server.change("log", "\"a\"", &[("line", "\"theirs\"")]);
    world.pull("{}").unwrap();
    assert_eq!(asked.get(), 2);
}

#[test]
fn a_kept_row_that_was_refused_and_deleted_is_forgotten() {
    let mut world = World::new(LOG, r#"[{"table":"log","deleted":"compare","conflict":"function"}]"#);
    let decide: Decide = Rc::new(|conflict| conflict.local);
    *world.host.decide.borrow_mut() = Some(decide);
    world.server.define("log", &["id", "line"], Rules { refuses: vec![Method::Post], ..Rules::default() });
    world.server.change("log", "\"a\"", &[("line", "\"1\"")]);
    world.pull("{}").unwrap();
    world.exec("UPDATE log SET line = 'mine'");
    world.server.remove("log", "\"a\"");
    world.push().unwrap();
    assert_eq!(world.outbox(), ["insert log Text(\"a\") id,line (refused)"]);
    world.exec("DELETE FROM log");
    world.push().unwrap();
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn entries_of_refused_changes_name_the_code() {
    let mut world = World::new(LOG, r#"[{"table":"log"}]"#);
    world.server.define(
        "log",
        &["id", "line"],
        Rules {
            check: Some(Rc::new(|row| row["line"] != "\"bad\"")),
            unique: vec!["line".to_owned()],
            ..Rules::default()
        },
    );
    world.exec("INSERT INTO log VALUES ('a', 'x'), ('b', 'x'), ('c', 'bad')");
    world.push().unwrap();
    let errors: Vec<String> = rejected(&world).into_iter().filter_map(|change| change.error).collect();
    assert_eq!(errors.len(), 2);
    assert!(errors.iter().any(|error| error.ends_with("violates check constraint (23514)")), "{errors:?}");
    assert!(errors.iter().any(|error| error.contains("(23505: Another row has the value")), "{errors:?}");
}

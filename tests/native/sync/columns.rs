//! Waiting changes of columns that the option `columns` doesn't list any more.

use std::rc::Rc;

use tidelock::{ErrorCode, Result, sync::outbox::entries};

use crate::{
    sync::host::{World, fails},
    sync::{model::Row, model_writes::Rules},
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, note TEXT, price TEXT, updated_at TEXT)";

const COLUMNS: [&str; 5] = ["id", "name", "note", "price", "updated_at"];

/// Returns the option `remote` with these columns.
fn remote(columns: &str) -> String {
    format!(
        r#"{{"url":"http://server","key":"k","tables":[{{"table":"items","cursor":"updated_at","overlapMs":0,"columns":[{columns}]}}]}}"#
    )
}

fn wide() -> String {
    remote(r#""id","name","note","price","updated_at""#)
}

fn narrow() -> String {
    remote(r#""id","name","updated_at""#)
}

fn rules() -> Rules {
    Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() }
}

/// Creates a database with one item, pulled with all columns.
fn world() -> World {
    let mut world = World::with(ITEMS, &wide());
    world.server.define("items", &COLUMNS, rules());
    world.server.change("items", "1", &[("name", "\"first\""), ("note", "null"), ("price", "\"1\"")]);
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world
}

/// Returns name, note and price of the remote's row, as JSON.
fn there(world: &World) -> String {
    let row = &world.server.rows("items")[0];
    format!("{}|{}|{}", row["name"], row["note"], row["price"])
}

/// Refuses the change `name = 'mine', price = '2'` of the only item at the remote, permanently.
fn refused(world: &mut World, name: &str) {
    let check: Rc<dyn Fn(&Row) -> bool> = Rc::new(|row| row["price"] != r#""2""#);
    world.server.define("items", &COLUMNS, Rules { check: Some(check), ..rules() });
    world.exec(&format!("UPDATE items SET {name}price = '2'"));
    world.push().unwrap();
    world.server.define("items", &COLUMNS, rules());
}

fn try_retry(world: &mut World, id: i64) -> Result<()> {
    let (sync, host) = (world.sync.clone(), world.host.clone());
    world.sim.run(async move { sync.retry(&*host, id).await })
}

#[test]
fn the_rest_of_the_change_is_sent_and_the_column_waits_for_a_decision() {
    let mut world = world();
    world.exec("UPDATE items SET name = 'mine', price = '2'");
    for _ in 0..2 {
        world.reopen(&narrow());
        assert_eq!(world.outbox(), ["update items Integer(1) name", "update items Integer(1) price (schema)"]);
    }
    world.exec("UPDATE items SET name = 'newer'");
    assert_eq!(world.pushed(), ["items 0/1/0/0/0"]);
    world.pull("{}").unwrap();
    assert_eq!(there(&world), r#""newer"|null|"1""#);
    assert_eq!(world.outbox(), ["update items Integer(1) price (schema)"]);
    let rejected = entries::rejected(&world.host.connection).unwrap();
    assert!(rejected[0].error.as_deref().unwrap().contains("price"));
    let error = fails(try_retry(&mut world, rejected[0].id), ErrorCode::InvalidArgument);
    assert!(error.message.contains("price"), "{error}");
    assert_eq!(world.outbox(), ["update items Integer(1) price (schema)"]);
}

#[test]
fn a_retry_sends_it_once_the_column_is_listed_again() {
    for pulled in [false, true] {
        let mut world = world();
        world.exec("UPDATE items SET price = '2', note = 'mine'");
        world.reopen(&narrow());
        assert_eq!(world.outbox(), ["update items Integer(1) note (schema)", "update items Integer(1) price (schema)"]);
        world.push().unwrap();
        if pulled {
            world.pull("{}").unwrap();
        }
        world.reopen(&wide());
        if pulled {
            world.pull("{}").unwrap();
            assert_eq!(world.rows("SELECT note, price FROM items"), ["∅|1"]);
        }
        let rejected = entries::rejected(&world.host.connection).unwrap();
        rejected.iter().for_each(|change| world.retry(change.id));
        assert_eq!(world.outbox(), ["update items Integer(1) note,price"]);
        world.push().unwrap();
        world.pull("{}").unwrap();
        assert_eq!((there(&world).as_str(), world.outbox().len()), (r#""first"|"mine"|"2""#, 0), "{pulled}");
        assert_eq!(world.rows("SELECT name, note, price FROM items"), ["first|mine|2"]);
    }
}

#[test]
fn a_discard_keeps_the_local_value_and_the_rows_other_changes() {
    let mut world = world();
    world.exec("UPDATE items SET name = 'mine', price = '2'");
    world.reopen(&narrow());
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    world.discard(id).unwrap();
    assert_eq!(world.outbox(), ["update items Integer(1) name"]);
    assert_eq!(world.rows("SELECT name, price FROM items"), ["mine|2"]);
}

#[test]
fn another_column_in_its_place_is_not_changed() {
    let mut world = world();
    world.exec("UPDATE items SET price = NULL");
    world.reopen(&remote(r#""id","name","note","updated_at""#));
    assert_eq!(world.outbox(), ["update items Integer(1) price (schema)"]);
}

#[test]
fn a_retry_of_a_refused_change_sends_the_rest_and_keeps_the_column() {
    for pulled in [false, true] {
        let mut world = world();
        refused(&mut world, "name = 'mine', ");
        assert_eq!(world.outbox(), ["update items Integer(1) name,price (refused)"]);
        for _ in 0..2 {
            world.reopen(&narrow());
            let split = ["update items Integer(1) name (refused)", "update items Integer(1) price (schema)"];
            assert_eq!(world.outbox(), split);
        }
        if pulled {
            world.server.change("items", "1", &[("note", "\"theirs\"")]);
            world.pull("{}").unwrap();
        }
        let id = entries::rejected(&world.host.connection).unwrap()[0].id;
        world.retry(id);
        world.push().unwrap();
        assert_eq!(world.outbox(), ["update items Integer(1) price (schema)"], "{pulled}");
        world.reopen(&wide());
        let id = entries::rejected(&world.host.connection).unwrap()[0].id;
        world.retry(id);
        world.push().unwrap();
        let note = if pulled { r#""theirs""# } else { "null" };
        assert_eq!(there(&world), format!(r#""mine"|{note}|"2""#), "{pulled}");
        assert!(world.outbox().is_empty());
    }
}

#[test]
fn a_refused_change_of_the_column_alone_becomes_that_of_the_column() {
    let mut world = world();
    refused(&mut world, "");
    world.reopen(&narrow());
    assert_eq!(world.outbox(), ["update items Integer(1) price (schema)"]);
    // What is written to the column from now on is no change for the remote.
    world.exec("UPDATE items SET note = 'here', name = 'newer'");
    world.reopen(&narrow());
    assert_eq!(world.outbox(), ["update items Integer(1) name", "update items Integer(1) price (schema)"]);
}

#[test]
fn a_restored_change_keeps_the_column_of_its_image() {
    let mut world = world();
    world.exec("UPDATE items SET name = 'mine', price = '2'");
    entries::quarantine_restored(&world.host.connection).unwrap();
    world.pull("{}").unwrap();
    for _ in 0..2 {
        world.reopen(&narrow());
        let split = ["update items Integer(1) name (restored)", "update items Integer(1) price (schema)"];
        assert_eq!(world.outbox(), split);
    }
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    world.retry(id);
    world.push().unwrap();
    world.reopen(&wide());
    world.pull("{}").unwrap();
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    world.retry(id);
    world.push().unwrap();
    assert_eq!((there(&world).as_str(), world.outbox().len()), (r#""mine"|null|"2""#, 0));
}

#[test]
fn a_cursor_or_mark_that_the_remote_lacks_is_noticed_while_its_table_is_empty() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)";
    for (options, column) in [
        (r#""cursor":"updated_at""#, "updated_at"),
        (r#""deleted":"gone""#, "gone"),
        (r#""cursor":"name","deleted":"gone""#, "gone"),
    ] {
        let mut world = World::new(schema, &format!(r#"[{{"table":"items",{options}}}]"#));
        world.server.define("items", &["id", "name"], Rules::default());
        for rows in [0, 1] {
            let error = fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch);
            assert_eq!(error.details["column"], column.into(), "{rows} rows");
            world.server.change("items", "1", &[("name", "\"a\"")]);
        }
    }
    let mut world = World::new(schema, r#"[{"table":"items","cursor":"name"}]"#);
    world.server.define("items", &["id", "name"], Rules::default());
    world.pull("{}").unwrap();
}

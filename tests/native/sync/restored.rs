//! Changes of a restored image that are made again while the row was written meanwhile.

use tidelock::sync::outbox::entries;

use crate::{sync::host::World, sync::model_writes::Rules};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price TEXT, note TEXT, updated_at TEXT)";
const CURSOR: &str = r#"[{"table":"items","cursor":"updated_at","overlapMs":0}]"#;

/// Creates a database whose image was restored with a new, unsent row: `9, 'image', NULL, 'note'`.
fn restored(tables: &str) -> (World, i64) {
    let mut world = World::new(ITEMS, tables);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "name", "price", "note", "updated_at"], rules);
    if !tables.contains("push") {
        world.pull("{}").unwrap();
    }
    world.exec("INSERT INTO items(id, name, note) VALUES (9, 'image', 'note')");
    entries::quarantine_restored(&world.host.connection).unwrap();
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    (world, id)
}

/// Writes the remote's row, as its clients did after the image.
fn remote(world: &World, name: &str, price: &str, note: &str) {
    let text = |text: &str| if text == "∅" { "null".to_owned() } else { format!("\"{text}\"") };
    world.server.change("items", "9", &[("name", &text(name)), ("price", &text(price)), ("note", &text(note))]);
}

fn local(world: &World) -> Vec<String> {
    world.rows("SELECT name, price, note FROM items")
}

/// Returns name, price and note of the remote's rows, as JSON.
fn there(world: &World) -> Vec<String> {
    let rows = world.server.rows("items");
    rows.iter().map(|row| format!("{}|{}|{}", row["name"], row["price"], row["note"])).collect()
}

#[test]
fn a_new_row_that_the_remote_has_gets_the_values_that_the_image_filled() {
    let (mut world, id) = restored(CURSOR);
    remote(&world, "theirs", "7", "note");
    world.pull("{}").unwrap();
    assert_eq!(local(&world), ["theirs|7|note"]);
    let cursor = world.rows("SELECT updated_at FROM items");
    world.retry(id);
    assert_eq!(local(&world), ["image|7|note"], "a column that the image left empty keeps its value");
    assert_eq!(world.rows("SELECT updated_at FROM items"), cursor);
    assert_eq!(world.outbox(), ["update items Integer(9) name"]);
    assert_eq!(world.pushed(), ["items 0/1/0/0/0"]);
    assert_eq!(there(&world), [r#""image"|"7"|"note""#]);
}

#[test]
fn what_was_written_here_since_stays_and_is_sent() {
    for there_already in [false, true] {
        let (mut world, id) = restored(CURSOR);
        world.exec("UPDATE items SET name = 'newer'");
        if there_already {
            remote(&world, "image", "∅", "note");
        }
        world.retry(id);
        assert_eq!(local(&world), ["newer|∅|note"]);
        world.push().unwrap();
        assert_eq!(there(&world), [r#""newer"|null|"note""#], "{there_already}");
        assert_eq!(world.outbox(), Vec::<String>::new());
    }
}

#[test]
fn what_was_written_here_on_the_remotes_row_stays_and_is_sent() {
    let (mut world, id) = restored(CURSOR);
    remote(&world, "theirs", "7", "other");
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'newer', price = NULL");
    world.retry(id);
    assert_eq!(local(&world), ["newer|∅|note"]);
    assert_eq!(world.outbox(), ["update items Integer(9) name,price,note"]);
    world.push().unwrap();
    assert_eq!(there(&world), [r#""newer"|null|"note""#]);
}

#[test]
fn a_later_row_of_the_same_key_keeps_its_values() {
    let (mut world, id) = restored(CURSOR);
    world.exec("DELETE FROM items; UPDATE tidelock_outbox SET state = 'restored'; INSERT INTO items(id, name) VALUES (9, 'newer')");
    world.exec("DELETE FROM tidelock_outbox WHERE op = 'delete'");
    world.retry(id);
    assert_eq!(local(&world), ["newer|∅|note"]);
    world.push().unwrap();
    assert_eq!(there(&world), [r#""newer"|null|"note""#]);
}

#[test]
fn a_row_that_was_deleted_here_since_comes_back_and_is_sent() {
    for there_already in [false, true] {
        let (mut world, id) = restored(CURSOR);
        world.exec("DELETE FROM items");
        if there_already {
            remote(&world, "image", "∅", "note");
        }
        world.retry(id);
        assert_eq!(local(&world), ["image|∅|note"]);
        world.push().unwrap();
        assert_eq!(there(&world), [r#""image"|null|"note""#], "{there_already}");
        assert_eq!(world.outbox(), Vec::<String>::new());
    }
}

#[test]
fn a_new_row_of_a_table_that_is_never_read_may_be_there_already() {
    for there_already in [false, true] {
        let (mut world, id) = restored(r#"[{"table":"items","direction":"push"}]"#);
        if there_already {
            remote(&world, "image", "∅", "note");
        }
        world.exec("UPDATE items SET name = 'newer'");
        world.retry(id);
        world.push().unwrap();
        assert_eq!(there(&world), [r#""newer"|null|"note""#], "{there_already}");
        assert_eq!(world.outbox(), Vec::<String>::new());
    }
}

#[test]
fn an_update_of_the_image_spares_what_was_written_here_since() {
    let mut world = World::new(ITEMS, CURSOR);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "name", "price", "note", "updated_at"], rules);
    remote(&world, "first", "1", "first");
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'image', note = 'image'");
    entries::quarantine_restored(&world.host.connection).unwrap();
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    world.sim.advance(600_000);
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'newer'");
    world.retry(id);
    assert_eq!(local(&world), ["newer|1|image"]);
    world.push().unwrap();
    assert_eq!(there(&world), [r#""newer"|"1"|"image""#]);
}

#[test]
fn an_update_of_the_image_is_sent_when_another_column_was_written_here_since() {
    let mut world = World::new(ITEMS, CURSOR);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "name", "price", "note", "updated_at"], rules);
    remote(&world, "first", "1", "first");
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'image'");
    entries::quarantine_restored(&world.host.connection).unwrap();
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    world.exec("UPDATE items SET note = 'newer'");
    world.retry(id);
    assert_eq!(local(&world), ["image|1|newer"]);
    assert_eq!(world.outbox(), ["update items Integer(9) name,note"]);
    world.push().unwrap();
    assert_eq!(there(&world), [r#""image"|"1"|"newer""#]);
}

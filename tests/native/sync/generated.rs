//! Columns that only the remote may write, but that the app writes, too.

use tidelock::sync::outbox::entries;

use crate::{
    sync::host::World,
    sync::model::{Fault, Row, values::Kind},
    sync::model_writes::{Generate, Rules},
};

const REMOTE: &str = r#"{"url":"http://server","key":"k","retries":0,"tables":[{"table":"items"}]}"#;

/// Creates items whose column `made` the server computes from `size`.
fn world() -> World {
    let world = World::with("CREATE TABLE items(id INTEGER PRIMARY KEY, size INTEGER, made TEXT)", REMOTE);
    let make: Generate = |row| format!("\"made of {}\"", row["size"]);
    let generated = vec![("made".to_owned(), make)];
    let kinds = std::iter::once(("size".to_owned(), Kind::Integer)).collect();
    world.server.define("items", &["id", "size", "made"], Rules { generated, kinds, ..Rules::default() });
    world
}

fn remote(world: &World) -> Vec<String> {
    let show = |row: &Row| format!("{}|{}|{}", row["id"], row["size"], row["made"].replace('"', ""));
    let mut rows: Vec<String> = world.server.rows("items").iter().map(show).collect();
    rows.sort();
    rows
}

/// Checks that both sides have the same rows, and that nothing is left to push.
fn in_step(world: &mut World, rows: &[&str]) {
    world.push().unwrap();
    world.pull("{}").unwrap();
    assert_eq!(remote(world), rows);
    assert_eq!(world.rows("SELECT id, size, made FROM items ORDER BY id"), rows);
    assert!(world.outbox().is_empty(), "{:?}", world.outbox());
}

#[test]
fn rows_are_sent_without_them_however_many_are_under_way() {
    let mut world = world();
    world.exec("INSERT INTO items VALUES (1, 1, 'mine'), (2, 2, 'mine'), (3, 3, NULL)");
    in_step(&mut world, &["1|1|made of 1", "2|2|made of 2", "3|3|made of 3"]);
    world.exec("UPDATE items SET size = id + 10, made = 'mine ' || id");
    in_step(&mut world, &["1|11|made of 11", "2|12|made of 12", "3|13|made of 13"]);
}

#[test]
fn a_change_of_nothing_else_is_refused() {
    let mut world = world();
    world.exec("INSERT INTO items(id, size) VALUES (1, 1)");
    world.push().unwrap();
    world.exec("UPDATE items SET made = 'mine'");
    assert_eq!(world.pushed(), ["items 0/0/0/0/1"]);
    assert_eq!(world.outbox(), ["update items Integer(1) made (refused)"]);
    let refused = entries::rejected(&world.host.connection).unwrap();
    let error = refused[0].error.as_deref().unwrap();
    assert!(error.contains("Column made") && error.contains("`columns`"), "{error}");
}

#[test]
fn a_row_whose_answer_was_lost_is_known_again() {
    for update in [false, true] {
        let mut world = world();
        if update {
            world.exec("INSERT INTO items(id, size) VALUES (1, 1)");
            world.push().unwrap();
            world.exec("UPDATE items SET size = 2, made = 'mine'");
        } else {
            world.exec("INSERT INTO items VALUES (1, 2, 'mine')");
        }
        // Without a guard the row is read before its update. The update with the column is refused, then the row is
        // read and sent again.
        (0..if update { 3 } else { 1 }).for_each(|_| world.server.fault(Fault::None));
        world.server.fault(Fault::Lost);
        world.push().unwrap_err();
        assert_eq!(remote(&world), ["1|2|made of 2"], "update {update}");
        world.exec("DELETE FROM items");
        in_step(&mut world, &[]);
    }
}

//! Changes that wait while the schema changes: they move to the new columns, or are quarantined; none is lost silently.

use std::rc::Rc;

use tidelock::{
    ErrorCode, Result,
    sqlite::Connection,
    sync::outbox::{capture, entries},
};

use crate::{
    sync::host::{World, fails},
    sync::{
        model::{Fault, Row},
        model_writes::Rules,
    },
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price TEXT, updated_at TEXT)";
const TABLES: &str = r#"[{"table":"items"}]"#;

/// Creates two rows on both sides, with exact values.
fn world(columns: &[&str]) -> World {
    let mut world = World::new(ITEMS, TABLES);
    world.server.define("items", columns, Rules::default());
    for id in ["1", "2"] {
        world.server.change("items", id, &[("name", "\"remote\""), ("price", "\"1\"")]);
    }
    world.pull("{}").unwrap();
    world
}

/// Runs a script like the engine: without the capture triggers during schema changes.
fn migrate(world: &World, script: &str) {
    let change = |connection: &Connection| -> Result<()> {
        capture::suspend(connection)?;
        for (at, statement) in script.split(';').enumerate() {
            if at > 0 {
                capture::follow(connection)?;
            }
            connection.exec(statement)?;
        }
        capture::resume(connection)
    };
    world.host.connection.atomically(change).unwrap();
}

fn remote(world: &World, columns: &[&str]) -> Vec<String> {
    let rows = world.server.rows("items");
    rows.iter().map(|row| columns.iter().map(|c| row[*c].replace('"', "")).collect::<Vec<_>>().join("|")).collect()
}

#[test]
fn a_renamed_column_takes_its_change_along() {
    let mut world = world(&["id", "name", "price", "updated_at"]);
    world.exec("UPDATE items SET price = '5' WHERE id = 1; UPDATE items SET name = 'mine' WHERE id = 2");
    migrate(&world, "ALTER TABLE items RENAME COLUMN price TO cost");
    world.server.define("items", &["id", "name", "cost", "updated_at"], Rules::default());
    world.server.change("items", "1", &[("cost", "\"1\"")]);
    assert_eq!(world.outbox(), ["update items Integer(1) cost", "update items Integer(2) name"]);
    world.server.change("items", "2", &[("cost", "\"9\"")]);
    world.push().unwrap();
    assert_eq!(remote(&world, &["name", "cost"]), ["remote|5", "mine|9"], "only what was changed is sent");
}

#[test]
fn a_refused_change_follows_its_column_and_those_that_are_set_later() {
    let mut world = world(&["id", "name", "price", "updated_at"]);
    let check: Rc<dyn Fn(&Row) -> bool> = Rc::new(|row| row["price"] != "\"5\"");
    world.server.alter("items", |rules, _| rules.check = Some(check));
    world.exec("UPDATE items SET price = '5' WHERE id = 1");
    world.push().unwrap();
    assert_eq!(world.outbox(), ["update items Integer(1) price (refused)"]);
    migrate(
        &world,
        "ALTER TABLE items RENAME COLUMN price TO cost; ALTER TABLE items ADD COLUMN size TEXT DEFAULT 'M'",
    );
    world.server.alter("items", |rules, rows| {
        *rules = Rules {
            columns: ["id", "name", "cost", "updated_at", "size"].map(str::to_owned).to_vec(),
            ..Rules::default()
        };
        for row in rows {
            let cost = row["price"].clone();
            row.extend([("cost".to_owned(), cost), ("size".to_owned(), "\"M\"".to_owned())]);
        }
    });
    assert_eq!(world.outbox(), ["update items Integer(1) cost (refused)"]);
    world.exec("UPDATE items SET cost = '6', size = 'XL' WHERE id = 1");
    world.pull("{}").unwrap();
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    world.retry(id);
    world.push().unwrap();
    world.pull("{}").unwrap();
    assert_eq!(remote(&world, &["id", "cost", "size"])[0], "1|6|XL");
    assert_eq!(world.rows("SELECT cost || size FROM items WHERE id = 1"), ["6XL"]);
    assert_eq!(world.outbox(), [""; 0]);
}

#[test]
fn a_version_that_renames_a_column_and_lists_it_keeps_its_changes() {
    for listed in [r#","columns":["id","name","price"]"#, ""] {
        let options =
            |columns: &str| format!(r#"{{"url":"http://server","key":"k","tables":[{{"table":"items"{columns}}}]}}"#);
        let mut world = World::with(ITEMS, &options(listed));
        world.server.define("items", &["id", "name", "price", "updated_at"], Rules::default());
        world.server.change("items", "1", &[("name", "\"remote\""), ("price", "\"1\"")]);
        world.pull("{}").unwrap();
        world.exec("UPDATE items SET price = '5' WHERE id = 1");
        // An opening captures by its options, and runs its migrations then.
        world.reopen(&options(r#","columns":["id","cost"]"#));
        migrate(&world, "ALTER TABLE items RENAME COLUMN price TO cost");
        assert_eq!(world.outbox(), ["update items Integer(1) cost"], "{listed}");
    }
}

#[test]
fn a_change_waits_through_renames_while_its_table_is_not_pushed() {
    let mut world = world(&["id", "name", "price", "updated_at"]);
    world.exec("UPDATE items SET price = '5' WHERE id = 1");
    let options = |table: &str| format!(r#"{{"url":"http://server","key":"k","tables":[{table}]}}"#);
    world.reopen(&options(r#"{"table":"items","direction":"pull"}"#));
    migrate(&world, "ALTER TABLE items RENAME COLUMN price TO cost");
    assert_eq!(world.outbox(), ["update items Integer(1) cost (held_back)"]);
    let error = fails(world.pull(r#"{"mode":"replace"}"#), ErrorCode::UnpushedChanges);
    assert!(error.hint.as_ref().unwrap().contains("pending() says what they wait for"), "{error:?}");
    world.reopen(&options(r#"{"table":"items"}"#));
    migrate(&world, "ALTER TABLE items ADD COLUMN size TEXT");
    assert_eq!(world.outbox(), ["update items Integer(1) cost"]);
}

#[test]
fn a_column_that_the_remote_has_under_its_new_name_already_takes_its_changes_along() {
    let mut world = world(&["id", "name", "price", "updated_at"]);
    world.server.alter("items", |rules, rows| {
        rules.columns = ["id", "name", "cost", "updated_at"].map(str::to_owned).to_vec();
        rows.iter_mut().for_each(|row| _ = row.insert("cost".to_owned(), row["price"].clone()));
    });
    world.exec("UPDATE items SET price = '5' WHERE id = 1; INSERT INTO items(id, name, price) VALUES (3, 'new', '7')");
    world.push().unwrap();
    let waiting = "price (remote_column_missing)";
    assert_eq!(
        world.outbox(),
        [format!("update items Integer(1) {waiting}"), format!("update items Integer(3) {waiting}")]
    );
    migrate(&world, "ALTER TABLE items RENAME COLUMN price TO cost");
    world.push().unwrap();
    assert_eq!(remote(&world, &["name", "cost"]), ["remote|5", "remote|1", "new|7"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn a_change_of_a_dropped_column_waits_for_a_person() {
    let mut world = world(&["id", "name", "price", "updated_at"]);
    world.exec("UPDATE items SET price = '5', name = 'mine' WHERE id = 1; UPDATE items SET name = 'mine' WHERE id = 2");
    world.exec("INSERT INTO items(id, name, price) VALUES (3, 'new', '3')");
    migrate(&world, "ALTER TABLE items DROP COLUMN price");
    assert_eq!(
        world.outbox(),
        [
            "update items Integer(1) name",
            "update items Integer(2) name",
            "insert items Integer(3) id,name,updated_at",
            "update items Integer(1) price (schema)"
        ]
    );
    world.push().unwrap();
    let sent = ["1|mine|1", "2|mine|1", "3|new|null"];
    assert_eq!(remote(&world, &["id", "name", "price"]), sent, "the rest of the change doesn't wait");
    let id = world.rows("SELECT id FROM tidelock_outbox")[0].parse().unwrap();
    world.retry(id);
    assert_eq!(world.outbox(), Vec::<String>::new(), "nothing is left of it");
    world.push().unwrap();
    assert_eq!(remote(&world, &["id", "name", "price"]), sent);
}

#[test]
fn a_change_follows_a_renamed_column_beside_a_dropped_one() {
    let [renames, drops] = ["ALTER TABLE items RENAME COLUMN price TO cost", "ALTER TABLE items DROP COLUMN name"];
    for scripts in [
        vec![format!("{renames}; {drops}")],
        vec![format!("{drops}; {renames}")],
        vec![renames.to_owned(), drops.to_owned()],
        vec![drops.to_owned(), renames.to_owned()],
    ] {
        let mut world = world(&["id", "name", "price", "updated_at"]);
        world.exec("UPDATE items SET price = '5', name = 'mine' WHERE id = 1");
        for script in &scripts {
            migrate(&world, script);
        }
        let left = "update items Integer(1) name (schema)";
        assert_eq!(world.outbox(), ["update items Integer(1) cost", left], "{scripts:?}");
        world.server.alter("items", |rules, rows| {
            rules.columns = ["id", "name", "cost", "updated_at"].map(str::to_owned).to_vec();
            rows.iter_mut().for_each(|row| _ = row.insert("cost".to_owned(), row["price"].clone()));
        });
        world.push().unwrap();
        world.pull("{}").unwrap();
        assert_eq!(remote(&world, &["id", "name", "cost"])[0], "1|remote|5", "{scripts:?}");
        assert_eq!(world.rows("SELECT cost FROM items WHERE id = 1"), ["5"], "{scripts:?}");
        assert_eq!(world.outbox(), [left], "{scripts:?}");
    }
}

#[test]
fn a_change_of_nothing_but_a_dropped_column_can_be_given_up() {
    let mut world = world(&["id", "name", "price", "updated_at"]);
    world.exec("UPDATE items SET price = '5' WHERE id = 1");
    migrate(&world, "ALTER TABLE items DROP COLUMN price");
    let id = world.rows("SELECT id FROM tidelock_outbox WHERE reason = 'schema'")[0].parse().unwrap();
    world.discard(id).unwrap();
    assert_eq!(world.outbox(), Vec::<String>::new());
    assert_eq!(world.rows("SELECT id, name FROM items"), ["1|remote", "2|remote"]);
}

#[test]
fn the_default_of_a_new_column_overwrites_nothing() {
    let mut world = world(&["id", "name", "price", "updated_at", "state"]);
    world.exec("UPDATE items SET name = 'mine'");
    migrate(&world, "ALTER TABLE items ADD COLUMN state TEXT DEFAULT 'open'");
    for id in ["1", "2"] {
        world.server.change("items", id, &[("state", "\"closed\"")]);
    }
    world.exec("UPDATE items SET state = 'mine' WHERE id = 2");
    world.push().unwrap();
    assert_eq!(remote(&world, &["name", "state"]), ["mine|closed", "mine|mine"]);
    assert_eq!(world.rows("SELECT name, state FROM items"), ["mine|closed", "mine|mine"]);
}

#[test]
fn a_rebuilt_table_keeps_its_changes() {
    let mut world = world(&["id", "name", "price", "updated_at"]);
    world.exec("UPDATE items SET price = '5' WHERE id = 1; DELETE FROM items WHERE id = 2");
    // Runs the rebuild in separate calls of `exec`.
    migrate(&world, "CREATE TABLE fresh(id INTEGER PRIMARY KEY, updated_at TEXT, price TEXT, name TEXT NOT NULL)");
    world.exec("INSERT INTO fresh SELECT id, updated_at, price, name FROM items");
    migrate(&world, "DROP TABLE items");
    assert_eq!(world.outbox(), ["update items  ", "delete items  "]);
    migrate(&world, "ALTER TABLE fresh RENAME TO items");
    world.exec("INSERT INTO items(id, name) VALUES (4, 'after')");
    assert_eq!(
        world.outbox(),
        [
            "update items Integer(1) price",
            "delete items Integer(2) ",
            "insert items Integer(4) id,updated_at,price,name"
        ]
    );
    world.push().unwrap();
    assert_eq!(remote(&world, &["id", "name", "price"]), ["1|remote|5", "4|after|null"]);
}

#[test]
fn a_row_that_was_deleted_and_made_again_keeps_a_value_in_a_column_that_was_never_read() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price TEXT)";
    let mut world = World::with(
        schema,
        r#"{"url":"http://server","key":"k","retries":0,"tables":[{"table":"items","direction":"push"}]}"#,
    );
    world.server.define("items", &["id", "name", "price", "size"], Rules::default());
    world.exec("INSERT INTO items(id, name) VALUES (1, 'a')");
    world.push().unwrap();
    // The insert fails, so that the deletion isn't sent.
    world.exec("DELETE FROM items; INSERT INTO items(id, name) VALUES (2, 'b')");
    world.server.fault(Fault::Drop);
    fails(world.push(), ErrorCode::SyncNetwork);
    world.exec("INSERT INTO items(id, name, price) VALUES (1, 'a', '5')");
    migrate(&world, "ALTER TABLE items ADD COLUMN size TEXT DEFAULT 'M'");
    world.push().unwrap();
    world.push().unwrap();
    assert_eq!(remote(&world, &["name", "price"]), ["a|5", "b|null"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn changes_of_a_table_that_is_gone_stay_visible_and_can_be_given_up() {
    let mut world = world(&["id", "name", "price", "updated_at"]);
    world.exec("UPDATE items SET name = 'mine' WHERE id = 1");
    migrate(&world, "DROP TABLE items");
    assert_eq!(world.outbox(), ["update items  "]);
    world.push().unwrap_err();
    assert_eq!(world.outbox().len(), 1);
    world.reopen(r#"{"url":"http://server","key":"k","tables":[{"table":"other"}]}"#);
    let id = world.rows("SELECT id FROM tidelock_outbox")[0].parse().unwrap();
    world.discard(id).unwrap();
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn a_table_that_was_dropped_and_created_again_gets_all_rows() {
    for more in ["", r#","deleted":"compare""#] {
        let mut world = World::new(ITEMS, &format!(r#"[{{"table":"items","cursor":"updated_at"{more}}}]"#));
        let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
        world.server.define("items", &["id", "name", "price", "updated_at"], rules);
        for id in ["1", "2"] {
            world.server.change("items", id, &[]);
            world.sim.advance(3_600_000);
        }
        world.pull("{}").unwrap();
        migrate(&world, &format!("DROP TABLE items; {ITEMS}"));
        world.exec("INSERT INTO items(id) VALUES (3)");
        world.push().unwrap();
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT id FROM items"), ["1", "2", "3"]);
        // A change that keeps the rows lets nothing be read again.
        world.sim.advance(3_600_000);
        world.pull("{}").unwrap();
        migrate(&world, "ALTER TABLE items ADD COLUMN mine TEXT; ALTER TABLE items DROP COLUMN mine");
        assert!(world.pull("{}").unwrap().tables[0].unchanged < 3);
    }
}

#[test]
fn the_remote_s_values_in_a_column_that_was_never_read_are_no_conflict_of_a_deletion() {
    let conflicts = |world: &World| world.rows("SELECT count(*) FROM tidelock_conflicts");
    for policy in ["keep-local", "remote-wins"] {
        for (cursor, deletes_first) in [("", true), ("", false), (r#","cursor":"updated_at""#, true)] {
            let tables = |columns: &str| format!(r#"[{{"table":"items","conflict":"{policy}"{cursor}{columns}}}]"#);
            let options =
                |columns: &str| format!(r#"{{"url":"http://server","key":"k","tables":{}}}"#, tables(columns));
            let mut world = World::new(ITEMS, &tables(r#","columns":["name"]"#));
            world.server.define("items", &["id", "name", "price", "updated_at", "size"], Rules::default());
            for id in ["1", "2", "3"] {
                world.server.change("items", id, &[("name", "\"r\""), ("price", "\"1\""), ("size", "\"M\"")]);
            }
            world.pull("{}").unwrap();
            let delete = "DELETE FROM items WHERE id < 3";
            if deletes_first {
                world.exec(delete);
            }
            world.reopen(&options(""));
            migrate(&world, "ALTER TABLE items ADD COLUMN size TEXT");
            if !deletes_first {
                world.exec(delete);
            }
            world.server.change("items", "2", &[("name", "\"other\"")]);
            world.push().unwrap();
            world.pull("{}").unwrap();
            world.push().unwrap();
            let left = remote(&world, &["id", "name", "size"]);
            assert_eq!(
                left,
                ["2|other|M", "3|r|M"],
                "{policy} {cursor} {deletes_first}: only the row that changed there stays"
            );
            assert_eq!(conflicts(&world), ["1"], "{policy} {cursor} {deletes_first}");
        }
    }
}

#[test]
fn a_deletion_is_no_conflict_because_of_values_of_a_table_that_was_only_pushed() {
    for conflict in ["keep-local", "remote-wins"] {
        let options = |direction: &str| {
            format!(r#"[{{"table":"items","conflict":"{conflict}","direction":"{direction}","cursor":"updated_at"}}]"#)
        };
        let mut world = World::new(ITEMS, &options("push"));
        world.server.define("items", &["id", "name", "price", "updated_at"], Rules::default());
        world.exec("INSERT INTO items(id, name) VALUES (1, 'mine'), (2, 'mine')");
        world.push().unwrap();
        world.exec("DELETE FROM items");
        // A default of the remote, and a change of another client.
        world.server.change("items", "1", &[("price", "\"1\"")]);
        world.server.change("items", "2", &[("name", "\"other\"")]);
        world.reopen(&format!(r#"{{"url":"http://server","key":"k","tables":{}}}"#, options("both")));
        world.push().unwrap();
        world.pull("{}").unwrap();
        assert_eq!(remote(&world, &["id", "name"]), ["2|other"], "{conflict}");
        assert_eq!(world.rows("SELECT count(*) FROM tidelock_conflicts"), ["1"], "{conflict}");
    }
}

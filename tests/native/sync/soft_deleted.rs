//! Rows that the remote marks as deleted: parents to which local rows still refer, and keys that are used again.

use tidelock::sync::outbox::entries;

use super::altered::{POLICIES, conflicts, push_in_vain};
use crate::{
    sync::host::World,
    sync::model::{Fault, Row},
    sync::model_writes::Rules,
};

const TABLES: &str = r#"[{"table":"children","cursor":"updated_at","overlapMs":0,"deleted":"deleted_at"},
    {"table":"parents","cursor":"updated_at","overlapMs":0,"deleted":"deleted_at"}]"#;

/// Creates two parents with a child each, pulled; `action` is what the foreign key does on a deletion.
fn world(action: &str, tables: &str) -> World {
    let schema = format!(
        "CREATE TABLE parents(id INTEGER PRIMARY KEY, updated_at TEXT);
         CREATE TABLE children(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents {action}, updated_at TEXT)"
    );
    let mut world = World::new(&schema, tables);
    let rules = || Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("parents", &["id", "deleted_at", "updated_at"], rules());
    world.server.define("children", &["id", "parent", "deleted_at", "updated_at"], rules());
    for id in ["1", "2"] {
        world.server.change("parents", id, &[("deleted_at", "null")]);
        world.server.change("children", id, &[("parent", id), ("deleted_at", "null")]);
    }
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world
}

fn mark(world: &World, table: &str) {
    world.server.change(table, "1", &[("deleted_at", "\"2026-01-01T00:00:00+00:00\"")]);
}

fn rows(world: &World) -> Vec<String> {
    world.rows("SELECT 'parent ' || id FROM parents UNION ALL SELECT 'child ' || id || ' of ' || parent FROM children")
}

const ALL: [&str; 4] = ["parent 1", "parent 2", "child 1 of 1", "child 2 of 2"];
const ACTIONS: [&str; 5] =
    ["", "ON DELETE RESTRICT", "ON DELETE SET NULL", "ON DELETE CASCADE", "DEFERRABLE INITIALLY DEFERRED"];

#[test]
fn a_parent_stays_as_long_as_a_child_does() {
    for action in ACTIONS {
        for order in [["parents", "children"], ["children", "parents"]] {
            let mut world = world(action, TABLES);
            mark(&world, "parents");
            for table in order {
                world.pull(&format!(r#"{{"tables":["{table}"]}}"#)).unwrap();
            }
            for _ in 0..2 {
                let report = world.pull("{}").unwrap();
                let rejected: Vec<_> = report.tables.iter().map(|table| (&*table.table, table.rejected)).collect();
                assert_eq!(rejected, [("parents", 1), ("children", 0)], "{action}");
                assert_eq!(rows(&world), ALL, "{action}");
                assert_eq!(world.outbox(), ["delete parents Integer(1)  (unapplied)"], "{action}");
                let change = entries::rejected(&world.host.connection).unwrap().remove(0);
                assert_eq!(change.error.as_deref(), Some("Rows of table children still refer to it"), "{action}");
            }
            // What else happens to the children, and to other parents, isn't stopped.
            world.server.change("parents", "3", &[("deleted_at", "null")]);
            world.server.change("children", "3", &[("parent", "3"), ("deleted_at", "null")]);
            world.pull("{}").unwrap();
            assert_eq!(rows(&world).len(), 6, "{action}");
            mark(&world, "children");
            for table in order {
                world.pull(&format!(r#"{{"tables":["{table}"]}}"#)).unwrap();
            }
            world.pull("{}").unwrap();
            assert_eq!(rows(&world), ["parent 2", "parent 3", "child 2 of 2", "child 3 of 3"], "{action}");
            assert_eq!(world.outbox(), Vec::<String>::new(), "{action}");
        }
    }
}

#[test]
fn a_parent_goes_when_its_child_moves_or_is_deleted_here() {
    for action in ACTIONS {
        for moves in [false, true] {
            let mut world = world(action, TABLES);
            mark(&world, "parents");
            world.pull("{}").unwrap();
            world.exec(match moves {
                true => "UPDATE children SET parent = 2 WHERE id = 1",
                false => "DELETE FROM children WHERE id = 1",
            });
            world.pull("{}").unwrap();
            assert_eq!(world.rows("SELECT id FROM parents"), ["2"], "{action} {moves}");
            assert_eq!(world.outbox().len(), 1, "{action} {moves}: {:?}", world.outbox());
            world.push().unwrap();
            world.pull("{}").unwrap();
            assert_eq!(world.outbox(), Vec::<String>::new(), "{action} {moves}");
        }
    }
}

#[test]
fn a_table_that_is_not_synced_is_named_too() {
    let tables = r#"[{"table":"parents","cursor":"updated_at","overlapMs":0,"deleted":"deleted_at"}]"#;
    let mut world = world("ON DELETE RESTRICT", tables);
    world.exec("INSERT INTO children VALUES (7, 1, NULL)");
    mark(&world, "parents");
    world.pull("{}").unwrap();
    let change = entries::rejected(&world.host.connection).unwrap().remove(0);
    assert_eq!(change.error.as_deref(), Some("Rows of table children still refer to it"));
    world.exec("DELETE FROM children");
    world.pull("{}").unwrap();
    assert_eq!(world.outbox(), Vec::<String>::new());
    assert_eq!(world.rows("SELECT id FROM parents"), ["2"]);
}

/// A row that is here and there, of a table without references.
fn items(policy: &str, rules: Rules) -> World {
    let table = format!(
        r#"[{{"table":"items","cursor":"updated_at","overlapMs":0,"deleted":"deleted_at","conflict":"{policy}"}}]"#
    );
    let mut world =
        World::new("CREATE TABLE items(id TEXT PRIMARY KEY, name TEXT, body TEXT, updated_at TEXT)", &table);
    let columns = ["id", "name", "body", "deleted_at", "updated_at"];
    world.server.define("items", &columns, Rules { stamp: Some("updated_at".to_owned()), ..rules });
    world.exec("INSERT INTO items(id, name, body) VALUES ('tea', 'old', 'old')");
    world.push().unwrap();
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world
}

#[test]
fn a_key_of_a_deleted_row_is_free_for_a_new_one() {
    for (policy, pull_first) in POLICIES.into_iter().flat_map(|policy| [(policy, false), (policy, true)]) {
        let mut world = items(policy, Rules::default());
        for name in ["second", "third"] {
            world.exec("DELETE FROM items");
            world.push().unwrap();
            world.exec(&format!("INSERT INTO items(id, name) VALUES ('tea', '{name}')"));
            if pull_first {
                world.pull("{}").unwrap();
            }
            world.push().unwrap();
            world.pull("{}").unwrap();
            let case = format!("{policy}, pull first: {pull_first}");
            let expected = [format!("tea|{name}|∅")];
            assert_eq!(
                world.rows("SELECT id, name, body FROM items"),
                expected,
                "{case}: nothing of the old row comes back"
            );
            let there = world.server.rows("items");
            let [row] = &there[..] else { panic!("{case}: {there:?}") };
            let cells = ["name", "body", "deleted_at"].map(|column| row[column].as_str());
            assert_eq!(cells, [&format!("\"{name}\""), "null", "null"], "{case}");
            assert_eq!(world.outbox(), Vec::<String>::new(), "{case}");
            assert_eq!(conflicts(&world), 0, "{case}");
        }
    }
}

#[test]
fn a_new_row_that_another_client_deleted_is_a_conflict() {
    for policy in POLICIES {
        let mut world = items(policy, Rules::default());
        world.exec("INSERT INTO items(id, name) VALUES ('milk', 'mine')");
        push_in_vain(&mut world, || Fault::Lost);
        world.server.change("items", "\"milk\"", &[("deleted_at", "\"2026-01-01T00:00:00+00:00\"")]);
        world.push().unwrap();
        let there = world.server.rows("items");
        assert!(there.iter().any(|row| row["id"] == "\"milk\"" && row["deleted_at"] != "null"), "{policy}: {there:?}");
        assert_eq!(conflicts(&world), 1, "{policy}");
    }
}

#[test]
fn a_column_that_must_not_be_null_stops_no_new_row() {
    let (required, defaults) = (vec!["body".to_owned()], vec![("body".to_owned(), "\"default\"".to_owned())]);
    let mut world = items("keep-local", Rules { required, defaults, ..Rules::default() });
    world.exec("DELETE FROM items");
    world.push().unwrap();
    world.exec("INSERT INTO items(id, name) VALUES ('tea', 'second')");
    world.push().unwrap();
    // The server can't be asked for a default in an update: the column keeps its value.
    assert_eq!(world.rows("SELECT id, name, body FROM items"), ["tea|second|old"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

/// Creates items 1 and 2, pulled, with deletions found in this way: by a soft-delete column, by tombstones, or by comparing keys.
fn items_with(deletions: &str, policy: &str) -> World {
    let deleted = match deletions {
        "soft" => r#""deleted":"deleted_at","#,
        "compare" => r#""deleted":"compare","#,
        _ => "",
    };
    let tables = format!(r#"[{{"table":"items","cursor":"updated_at",{deleted}"conflict":"{policy}"}}]"#);
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT, deleted_at TEXT)";
    let mut world = World::new(schema, &tables);
    let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "name", "deleted_at", "updated_at"], rules);
    if deletions == "tombstones" {
        world.server.install_helpers("items");
    }
    write_there(&world, "1");
    write_there(&world, "2");
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world
}

/// Writes an item as another client.
fn write_there(world: &World, id: &str) {
    let cells = |name: &str, value: &str| Row::from([(name.to_owned(), value.to_owned())]);
    let other = world.server.begin();
    assert!(world.server.write_row("items", &cells("id", id), &cells("name", "\"theirs\""), None, &other));
    world.server.end(other);
}

/// Deletes item 1 as another client.
fn delete_there(world: &World, deletions: &str) {
    if deletions == "soft" {
        return mark(world, "items");
    }
    let other = world.server.begin();
    assert!(world.server.delete_row("items", &Row::from([("id".to_owned(), "1".to_owned())]), &other));
    world.server.end(other);
}

const DELETIONS: [&str; 3] = ["soft", "tombstones", "compare"];

#[test]
fn nothing_is_left_to_send_of_a_row_that_both_sides_deleted() {
    for deletions in DELETIONS {
        for (policy, edited) in POLICIES.into_iter().flat_map(|policy| [(policy, true), (policy, false)]) {
            let case = format!("{deletions}, {policy}, edited here: {edited}");
            let mut world = items_with(deletions, policy);
            if edited {
                world.exec("UPDATE items SET name = 'mine' WHERE id = 1");
            }
            delete_there(&world, deletions);
            world.pull("{}").unwrap();
            world.push().unwrap();
            if edited {
                let rejected = entries::rejected(&world.host.connection).unwrap();
                rejected.iter().for_each(|change| world.retry(change.id));
            } else {
                world.exec("INSERT INTO items(id, name) VALUES (1, 'new')");
                world.pull("{}").unwrap();
            }
            world.exec("DELETE FROM items WHERE id = 1");
            world.push().unwrap();
            world.pull("{}").unwrap();
            assert_eq!(world.outbox(), Vec::<String>::new(), "{case}");
            world.server.take_requests();
            assert_eq!(world.pushed(), ["items 0/0/0/0/0"], "{case}");
            assert_eq!(world.server.take_requests().len(), 0, "{case}");
        }
    }
}

#[test]
fn a_row_that_was_edited_here_and_deleted_there_costs_no_list_of_keys_while_it_waits() {
    let mut world = items_with("compare", "keep-local");
    world.exec("UPDATE items SET name = 'mine' WHERE id = 1");
    delete_there(&world, "compare");
    world.push().unwrap();
    assert_eq!(world.outbox(), ["update items Integer(1) name (conflict)"]);
    let mut pulled = || {
        world.server.take_requests();
        world.pull("{}").unwrap();
        world.server.take_requests().len()
    };
    pulled();
    assert_eq!([pulled(), pulled()], [2, 2]);
    write_there(&world, "3");
    world.pull("{}").unwrap();
    world.server.remove("items", "2");
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id FROM items"), ["1", "3"], "other deletions are found");
}

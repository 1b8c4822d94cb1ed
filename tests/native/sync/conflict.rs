//! Conflicts and refusals that involve other rows: violated constraints, waiting changes, and their reports.

use std::{cell::Cell, rc::Rc};

use tidelock::sync::{outbox::entries, report::Conflict};

use crate::{
    sync::host::{Decide, World},
    sync::model_writes::Rules,
};

const LISTS: &str = "CREATE TABLE lists(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT);
    CREATE TABLE todos(id INTEGER PRIMARY KEY, list INTEGER REFERENCES lists ON DELETE CASCADE, text TEXT, updated_at TEXT)";

fn stamped() -> Rules {
    Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() }
}

/// Creates two lists with a todo each, on both sides. The server has no foreign key, so that the test can see changes
/// that are sent in the wrong order.
fn lists(cursor: bool, policy: &str) -> World {
    let cursor = if cursor { r#""cursor":"updated_at","# } else { "" };
    let table =
        |name: &str| format!(r#"{{"table":"{name}",{cursor}"overlapMs":0,"deleted":"compare","conflict":"{policy}"}}"#);
    let mut world = World::new(LISTS, &format!("[{},{}]", table("lists"), table("todos")));
    world.server.define("lists", &["id", "name", "updated_at"], stamped());
    world.server.define("todos", &["id", "list", "text", "updated_at"], stamped());
    for (list, todo) in [("1", "10"), ("2", "20")] {
        world.server.change("lists", list, &[("name", "\"list\"")]);
        world.server.change("todos", todo, &[("list", list), ("text", "\"todo\"")]);
    }
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world
}

/// Sets a conflict function, and counts its calls.
fn decides(
    world: &World,
    decide: impl Fn(Conflict) -> Option<tidelock::sync::report::Cells> + 'static,
) -> Rc<Cell<u32>> {
    let asked = Rc::new(Cell::new(0));
    let count = asked.clone();
    let counted: Decide = Rc::new(move |conflict| {
        count.set(count.get() + 1);
        decide(conflict)
    });
    *world.host.decide.borrow_mut() = Some(counted);
    asked
}

/// Returns the errors of waiting and refused changes.
fn errors(world: &World) -> Vec<String> {
    let connection = &world.host.connection;
    let changes = entries::pending(connection).unwrap().into_iter().chain(entries::rejected(connection).unwrap());
    changes.filter_map(|change| change.error).collect()
}

#[test]
fn an_answer_that_lacks_its_parent_is_set_aside_and_stops_nothing() {
    for (cursor, at_pull) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut world = lists(cursor, "function");
        let asked = decides(&world, |conflict| conflict.remote);
        world.exec("DELETE FROM lists WHERE id = 1; UPDATE todos SET text = 'mine' WHERE id = 20");
        world.server.change("todos", "10", &[("text", "\"theirs\"")]);
        world.server.change("lists", "3", &[("name", "\"new\"")]);
        for _ in 0..2 {
            if at_pull {
                world.pull("{}").unwrap();
            }
            world.push().unwrap();
            world.pull("{}").unwrap();
            assert_eq!(asked.get(), 1);
            assert_eq!(
                world.outbox(),
                ["delete lists Integer(1)  (held_back)", "delete todos Integer(10)  (conflict)"],
                "cursor: {cursor}, at pull: {at_pull}"
            );
            assert_eq!(
                errors(&world)[1],
                "The conflict function returned a row that violates the schema of table todos: Parent row in lists is missing"
            );
            assert_eq!(world.server.rows("todos")[0]["text"], "\"theirs\"");
            assert_eq!(world.server.rows("todos")[1]["text"], "\"mine\"");
            assert_eq!(world.rows("SELECT id FROM lists"), ["2", "3"]);
            assert_eq!(world.server.rows("lists").len(), 3);
        }
        // Once the changes are discarded, both rows exist again.
        let rejected = entries::rejected(&world.host.connection).unwrap();
        let pending = entries::pending(&world.host.connection).unwrap();
        world.discard(rejected[0].id).unwrap();
        world.discard(pending[0].id).unwrap();
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT id, text FROM todos"), ["10|theirs", "20|mine"]);
        assert!(world.outbox().is_empty());
    }
}

#[test]
fn an_answer_that_a_constraint_refuses_is_set_aside_until_the_rows_change() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT UNIQUE, mark TEXT NOT NULL DEFAULT '' CHECK (mark <> 'bad'), updated_at TEXT)";
    for (mark, constraint) in [
        (Some(tidelock::Value::from("bad")), "CHECK constraint failed: mark <> 'bad'"),
        (Some(tidelock::Value::Null), "NOT NULL constraint failed: items.mark"),
        (None, "UNIQUE constraint failed: items.name"),
    ] {
        let tables = r#"[{"table":"items","cursor":"updated_at","overlapMs":0,"conflict":"function"}]"#;
        let mut world = World::new(schema, tables);
        world.server.define("items", &["id", "name", "mark", "updated_at"], stamped());
        world.server.change("items", "5", &[("name", "\"a\""), ("mark", "\"\"")]);
        world.pull("{}").unwrap();
        world.sim.advance(600_000);
        let unique = mark.is_none();
        let asked = decides(&world, move |conflict| {
            let mut row = conflict.remote.unwrap();
            row.0.iter_mut().filter(|(name, _)| name == "mark").for_each(|(_, value)| {
                if let Some(mark) = &mark {
                    *value = mark.clone();
                }
            });
            Some(row)
        });
        world.exec(if unique { "UPDATE items SET id = 7" } else { "UPDATE items SET mark = 'mine'" });
        world.exec("INSERT INTO items VALUES (1, 'other', '', NULL)");
        world.server.change("items", "5", &[("mark", "\"theirs\"")]);
        for _ in 0..3 {
            world.pull("{}").unwrap();
            world.push().unwrap();
            assert_eq!(asked.get(), 1, "{constraint}");
        }
        let text =
            format!("The conflict function returned a row that violates the schema of table items: {constraint}");
        assert!(errors(&world).contains(&text), "{:?}", errors(&world));
        let rejected = entries::rejected(&world.host.connection).unwrap();
        assert_eq!(
            (rejected[0].reason.map(|reason| reason.as_str()), rejected[0].key[0].1.as_integer()),
            (Some("conflict"), Some(5))
        );
        assert!(world.server.rows("items").iter().any(|row| row["id"] == "1"), "the rest went on");
        // Another row of the remote is another conflict.
        world.server.change("items", "5", &[("mark", "\"again\"")]);
        world.pull("{}").unwrap();
        assert_eq!(asked.get(), 2);
    }
}

/// Checks that three rounds change nothing: both lists stay at the remote, these changes in the outbox, and this error
/// on the first.
fn nothing_moves(world: &mut World, waits: &[&str], why: &str) {
    for _ in 0..3 {
        world.push().unwrap();
        world.pull("{}").unwrap();
        assert_eq!(world.server.rows("lists").len(), 2);
        assert_eq!(world.outbox(), waits);
        assert_eq!(errors(world)[0], why);
    }
}

#[test]
fn a_parent_stays_remotely_while_the_change_of_its_child_waits_for_a_decision() {
    for cursor in [true, false] {
        let mut world = lists(cursor, "keep-local");
        world.exec("DELETE FROM lists WHERE id = 1");
        world.server.change("todos", "10", &[("text", "\"theirs\"")]);
        let waits = ["delete lists Integer(1)  (held_back)", "delete todos Integer(10)  (conflict)"];
        nothing_moves(&mut world, &waits, "A change of table todos must be sent first");
        world.retry(entries::rejected(&world.host.connection).unwrap()[0].id);
        assert_eq!(world.outbox(), ["delete todos Integer(10) ", "delete lists Integer(1) "]);
        assert_eq!(world.pushed(), ["lists 0/0/1/0/0", "todos 0/0/1/0/0"]);
        assert_eq!((world.server.rows("lists").len(), world.server.rows("todos").len()), (1, 1));
        assert!(world.outbox().is_empty());
    }
}

#[test]
fn a_parent_stays_remotely_while_its_child_does_not_leave_it() {
    // A permanent refusal, and one that may be temporary.
    for unique in [false, true] {
        let mut world = lists(true, "keep-local");
        world.server.alter("todos", |rules, _| match unique {
            true => rules.unique = vec!["text".to_owned()],
            false => rules.check = Some(Rc::new(|row| row["text"] != "\"bad\"")),
        });
        world.server.change("todos", "20", &[("text", "\"bad\"")]);
        world.pull("{}").unwrap();
        world.exec("UPDATE todos SET list = 2, text = 'bad' WHERE id = 10; DELETE FROM lists WHERE id = 1");
        for _ in 0..2 {
            world.push().unwrap();
            assert_eq!(world.server.rows("lists").len(), 2);
            assert_eq!(
                world.outbox(),
                ["delete lists Integer(1)  (held_back)", "update todos Integer(10) list,text (refused)"]
            );
        }
    }
}

#[test]
fn a_parent_goes_once_its_child_has_left_it_at_the_second_try() {
    let mut world = lists(true, "keep-local");
    world.server.change("todos", "10", &[("text", "\"other\"")]);
    world.pull("{}").unwrap();
    world.server.alter("todos", |rules, _| rules.unique = vec!["text".to_owned()]);
    world.exec("UPDATE todos SET list = 2, text = 'todo' WHERE id = 10; UPDATE todos SET text = 'new' WHERE id = 20");
    world.exec("DELETE FROM lists WHERE id = 1");
    assert_eq!(world.pushed(), ["lists 0/0/1/0/0", "todos 0/2/0/0/0"]);
    assert!(world.outbox().is_empty());
}

#[test]
fn a_row_that_wins_remotely_brings_its_deleted_parents_back() {
    for (cursor, pull_first) in [(true, false), (false, false), (true, true)] {
        let mut world = lists(cursor, "remote-wins");
        world.exec("DELETE FROM lists WHERE id = 1");
        world.server.change("todos", "10", &[("text", "\"theirs\"")]);
        if pull_first {
            world.pull("{}").unwrap();
        }
        world.push().unwrap();
        world.pull("{}").unwrap();
        assert!(world.outbox().is_empty(), "{:?}", world.outbox());
        assert_eq!(world.rows("SELECT id, text FROM todos"), ["10|theirs", "20|todo"]);
        assert_eq!(world.rows("SELECT id FROM lists"), ["1", "2"]);
        assert_eq!((world.server.rows("lists").len(), world.server.rows("todos").len()), (2, 2));
        let mut decided: Vec<String> =
            entries::conflicts(&world.host.connection, 10).unwrap().into_iter().map(|one| one.table).collect();
        decided.sort();
        assert_eq!(decided, ["lists", "todos"]);
    }
}

#[test]
fn a_change_that_waits_for_a_column_takes_back_nothing_that_does_not_fit_here() {
    for (policy, cursor) in
        ["keep-local", "remote-wins"].into_iter().flat_map(|policy| [(policy, true), (policy, false)])
    {
        let mut world = lists(cursor, policy);
        world.exec("ALTER TABLE todos ADD COLUMN lacking TEXT");
        world.pull("{}").unwrap();
        world.exec("UPDATE todos SET text = 'mine', lacking = 'mine' WHERE id = 10");
        world.server.change("todos", "10", &[("list", "9")]);
        for _ in 0..3 {
            world.push().unwrap();
            let todo = world.server.rows("todos").remove(0);
            assert_eq!((&*todo["list"], &*todo["text"]), ("9", "\"mine\""), "{policy}, cursor: {cursor}");
            world.pull("{}").unwrap();
        }
        world.server.change("lists", "9", &[("name", "\"list\"")]);
        world.pull("{}").unwrap();
        let row = world.rows("SELECT list, text, lacking FROM todos WHERE id = 10");
        assert_eq!(row, ["9|mine|mine"], "{policy}, cursor: {cursor}");
        assert_eq!(world.outbox().len(), 1, "{:?}", world.outbox());
    }
}

#[test]
fn a_change_is_sent_although_the_remotes_row_lacks_its_parent_here() {
    // What the remote has in the end, and what is here until the parent is.
    for (policy, text, sent, here) in [
        ("keep-local", "\"todo\"", "\"mine\"", "10|1|mine"),
        ("keep-local", "\"theirs\"", "\"mine\"", "10|1|mine"),
        ("remote-wins", "\"todo\"", "\"mine\"", "10|1|mine"),
        ("remote-wins", "\"theirs\"", "\"theirs\"", "10|1|todo"),
    ] {
        for (cursor, pull_first) in [(true, false), (true, true), (false, false), (false, true)] {
            let context = format!("{policy} {text}, cursor: {cursor}, pull first: {pull_first}");
            let mut world = lists(cursor, policy);
            world.exec("UPDATE todos SET text = 'mine' WHERE id = 10");
            world.server.change("todos", "10", &[("list", "9"), ("text", text)]);
            if pull_first {
                world.pull("{}").unwrap();
            }
            for _ in 0..2 {
                world.push().unwrap();
                let todo = world.server.rows("todos").remove(0);
                assert_eq!((&*todo["list"], &*todo["text"]), ("9", sent), "{context}");
                assert_eq!(world.rows("SELECT id, list, text FROM todos WHERE id = 10"), [here], "{context}");
                assert_eq!(world.outbox().len(), 1, "{context}: {:?}", world.outbox());
                assert!(world.outbox()[0].ends_with("(unapplied)"), "{context}: {:?}", world.outbox());
                assert_eq!(errors(&world), ["Parent row in lists is missing"], "{context}");
                world.pull("{}").unwrap();
            }
            world.server.change("lists", "9", &[("name", "\"list\"")]);
            world.pull("{}").unwrap();
            let expected = format!("10|9|{}", sent.trim_matches('"'));
            assert_eq!(world.rows("SELECT id, list, text FROM todos WHERE id = 10"), [expected], "{context}");
            assert!(world.outbox().is_empty(), "{context}");
        }
    }
}

#[test]
fn what_is_discarded_does_not_stay_where_the_remotes_row_does_not_fit() {
    for cursor in [true, false] {
        let mut world = lists(cursor, "keep-local");
        world.exec("UPDATE todos SET text = 'mine' WHERE id = 10");
        world.server.change("todos", "10", &[("list", "9")]);
        world.pull("{}").unwrap();
        world.discard(entries::pending(&world.host.connection).unwrap()[0].id).unwrap();
        world.discard(entries::rejected(&world.host.connection).unwrap()[0].id).unwrap();
        assert!(world.outbox().is_empty());
        assert_eq!(world.rows("SELECT id, list, text FROM todos WHERE id = 10"), ["10|1|todo"]);
        world.push().unwrap();
        assert_eq!(world.server.rows("todos")[0]["text"], "\"todo\"");
    }
}

#[test]
fn changed_rows_follow_an_exchange_of_unique_values() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, place INTEGER UNIQUE, name TEXT)";
    for (not_null, policy) in [("", "remote-wins"), (" NOT NULL", "remote-wins"), ("", "keep-local")] {
        let schema = schema.replace(" UNIQUE", &format!("{not_null} UNIQUE"));
        let mut world = World::new(&schema, &format!(r#"[{{"table":"items","conflict":"{policy}"}}]"#));
        world.server.define("items", &["id", "place", "name"], Rules::default());
        for id in ["1", "2", "3"] {
            world.server.change("items", id, &[("place", id), ("name", "\"base\"")]);
        }
        world.pull("{}").unwrap();
        world.exec("UPDATE items SET name = 'mine' WHERE id < 3");
        for (id, place) in [("1", "2"), ("2", "3"), ("3", "1")] {
            world.server.change("items", id, &[("place", place)]);
        }
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT * FROM items"), ["1|2|mine", "2|3|mine", "3|1|base"], "{policy}{not_null}");
        assert_eq!(world.outbox(), ["update items Integer(1) name", "update items Integer(2) name"]);
        world.push().unwrap();
        assert!(world.outbox().is_empty() && world.server.rows("items")[0]["name"] == "\"mine\"");
        // The push finds the same conflicts.
        world.exec("UPDATE items SET name = 'again' WHERE id < 3");
        for (id, place) in [("1", "1"), ("2", "2"), ("3", "3")] {
            world.server.change("items", id, &[("place", place)]);
        }
        world.push().unwrap();
        world.pull("{}").unwrap();
        world.push().unwrap();
        assert_eq!(world.rows("SELECT * FROM items"), ["1|1|again", "2|2|again", "3|3|base"], "{policy}{not_null}");
        assert!(world.outbox().is_empty(), "{:?}", world.outbox());
    }
}

#[test]
fn what_was_changed_behind_a_refused_change_says_so() {
    let mut world = lists(true, "keep-local");
    world.server.alter("lists", |rules, _| rules.check = Some(Rc::new(|row| row["name"] != "\"bad\"")));
    world.exec("UPDATE lists SET name = 'bad' WHERE id = 1");
    world.push().unwrap();
    world.exec("UPDATE lists SET name = 'good' WHERE id = 1");
    world.push().unwrap();
    let expected = ["update lists Integer(1) name (held_back)", "update lists Integer(1) name (refused)"];
    assert_eq!(world.outbox(), expected);
    assert_eq!(errors(&world)[0], "A refused change of the same row comes first: see rejected()");
    world.retry(entries::rejected(&world.host.connection).unwrap()[0].id);
    assert_eq!(world.outbox(), ["update lists Integer(1) name"]);
    world.push().unwrap();
    assert_eq!(world.server.rows("lists")[0]["name"], "\"good\"");
}

#[test]
fn a_new_row_that_was_refused_and_is_deleted_leaves_nothing() {
    let mut world = lists(true, "keep-local");
    world.server.alter("lists", |rules, _| rules.check = Some(Rc::new(|row| row["name"] != "\"bad\"")));
    world.exec("INSERT INTO lists(id, name) VALUES (5, 'bad'), (6, 'bad'); INSERT INTO todos(id, list) VALUES (50, 5)");
    world.push().unwrap();
    world.exec("DELETE FROM lists WHERE id = 5");
    world.server.take_requests();
    world.push().unwrap();
    assert_eq!(world.outbox(), ["insert lists Integer(6) id,name,updated_at (refused)"]);
    assert!(world.server.take_requests().is_empty());
    // A row that is inserted again after its deletion is a new row.
    world.exec("DELETE FROM lists WHERE id = 6; INSERT INTO lists(id, name) VALUES (6, 'good')");
    world.push().unwrap();
    assert_eq!(world.outbox().len(), 2, "a person has to decide about the refused one");
}

#[test]
fn a_row_without_a_key_is_refused_until_it_has_one() {
    let schema = "CREATE TABLE texts(id TEXT PRIMARY KEY, name TEXT);
        CREATE TABLE pairs(a INTEGER, b INTEGER, name TEXT, PRIMARY KEY(a, b))";
    for queued in [false, true] {
        let rows = "INSERT INTO texts VALUES (NULL, 'one'), (NULL, 'two'), ('c', 'three');
            INSERT INTO pairs VALUES (1, NULL, 'half'), (1, 1, 'whole')";
        let tables = r#"[{"table":"texts","deleted":"compare"},{"table":"pairs"}]"#;
        let schema = if queued { format!("{schema}; {rows}") } else { schema.to_owned() };
        let mut world = World::new(&schema, tables);
        world.server.define("texts", &["id", "name"], Rules::default());
        let key = vec!["a".to_owned(), "b".to_owned()];
        world.server.define("pairs", &["a", "b", "name"], Rules { key, ..Rules::default() });
        if queued {
            assert_eq!(
                (world.enqueue("texts"), world.enqueue("pairs")),
                (2, 2),
                "two rows without a key are one entry"
            );
        } else {
            world.exec(rows);
        }
        let refused = ["insert texts Null id,name (refused)", "insert pairs Integer(1),Null a,b,name (refused)"];
        for again in [true, false] {
            world.push().unwrap();
            world.pull("{}").unwrap();
            assert_eq!(world.outbox(), refused);
            assert_eq!(errors(&world)[1], "Key column b of a row of table pairs is NULL: give it a value");
            if again {
                // The inserted text has no key yet.
                entries::rejected(&world.host.connection).unwrap().iter().for_each(|change| world.retry(change.id));
                assert_eq!(world.outbox().len(), 2);
            }
        }
        assert_eq!((world.server.rows("texts").len(), world.server.rows("pairs").len()), (1, 1));
        world.exec("UPDATE texts SET id = 'a' WHERE name = 'one'; UPDATE pairs SET b = 7 WHERE b IS NULL");
        world.push().unwrap();
        assert_eq!(world.outbox(), refused[..1], "another one has no key");
        world.exec("UPDATE texts SET id = 'b' WHERE id IS NULL");
        world.push().unwrap();
        assert!(world.outbox().is_empty());
        assert_eq!((world.server.rows("texts").len(), world.server.rows("pairs").len()), (3, 2));
        world.exec("INSERT INTO pairs VALUES (NULL, NULL, 'nothing')");
        world.push().unwrap();
        world.server.take_requests();
        world.discard(entries::rejected(&world.host.connection).unwrap()[0].id).unwrap();
        assert!(world.server.take_requests().is_empty(), "there is nothing to ask for");
        assert_eq!(world.rows("SELECT count(*) FROM pairs"), ["2"]);
        assert!(world.outbox().is_empty());
    }
}

#[test]
fn a_row_that_did_not_fit_is_forgotten_once_the_remote_has_it_no_more() {
    let mut world = lists(true, "keep-local");
    world.server.change("todos", "30", &[("list", "9")]);
    world.pull("{}").unwrap();
    assert_eq!(world.outbox(), ["insert todos Integer(30) id,list,text,updated_at (unapplied)"]);
    world.server.remove("todos", "30");
    world.pull("{}").unwrap();
    assert!(world.outbox().is_empty());
}

#[test]
fn a_tree_is_deleted_from_its_leaves_so_that_a_conflict_keeps_the_branch() {
    let schema = "CREATE TABLE tree(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree ON DELETE CASCADE, name TEXT, updated_at TEXT)";
    for cursor in [r#","cursor":"updated_at","overlapMs":0"#, ""] {
        let mut world = World::new(schema, &format!(r#"[{{"table":"tree"{cursor},"deleted":"compare"}}]"#));
        world.server.define("tree", &["id", "parent", "name", "updated_at"], stamped());
        for (id, parent) in [("1", "null"), ("2", "1"), ("3", "2"), ("4", "1"), ("5", "5")] {
            world.server.change("tree", id, &[("parent", parent), ("name", "\"node\"")]);
        }
        world.pull("{}").unwrap();
        world.sim.advance(600_000);
        // Some entries of the branch are older than those of its leaves.
        world.exec("UPDATE tree SET name = 'mine' WHERE id IN (1, 2); DELETE FROM tree");
        world.server.change("tree", "3", &[("name", "\"theirs\"")]);
        for _ in 0..2 {
            world.push().unwrap();
            let left: Vec<String> = world.server.rows("tree").iter().map(|row| row["id"].clone()).collect();
            assert_eq!(left, ["1", "2", "3"]);
            let expected = ["delete tree Integer(1)  (held_back)", "delete tree Integer(2)  (held_back)"];
            assert_eq!(world.outbox()[..2], expected);
            assert_eq!(world.outbox()[2..], ["delete tree Integer(3)  (conflict)"]);
        }
        world.retry(entries::rejected(&world.host.connection).unwrap()[0].id);
        world.push().unwrap();
        assert!(world.server.rows("tree").is_empty() && world.outbox().is_empty());
    }
}

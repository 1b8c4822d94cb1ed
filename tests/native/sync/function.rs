//! The user's conflict function: rows that it keeps although they are marked as deleted, and changes that wait while
//! the function fails.

use std::{cell::RefCell, rc::Rc};

use tidelock::{
    ErrorCode, Value,
    ports::Method,
    sync::{
        outbox::entries,
        report::{Cells, Conflict},
    },
};

use crate::{
    sync::host::{Decide, Undecided, World, fails},
    sync::model_writes::Rules,
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, size INTEGER)";
const MARKED: &str = r#"[{"table":"items","deleted":"gone","conflict":"function"}]"#;

/// Creates items with a deletion mark: a timestamp, or a NOT NULL flag.
fn marked(flag: bool) -> World {
    let mut world = World::new(ITEMS, MARKED);
    let column = flag.then(|| "gone".to_owned());
    let defaults = column.iter().map(|column| (column.clone(), "false".to_owned())).collect();
    let rules = Rules { flag: column, defaults, ..Rules::default() };
    world.server.define("items", &["id", "name", "size", "gone"], rules);
    world.server.change("items", "1", &[("name", "\"base\""), ("size", "7"), ("gone", none(flag))]);
    world.pull("{}").unwrap();
    world
}

fn none(flag: bool) -> &'static str {
    if flag { "false" } else { "null" }
}

fn mark(world: &World, id: &str, flag: bool) {
    let gone = if flag { "true" } else { "\"2026-01-01T00:00:00Z\"" };
    world.server.change("items", id, &[("gone", gone)]);
}

/// Sets the conflict function. Returns the keys of its calls.
fn decides(world: &World, decide: impl Fn(Conflict) -> Option<Cells> + 'static) -> Rc<RefCell<Vec<String>>> {
    let asked = Rc::new(RefCell::new(Vec::new()));
    let noted = asked.clone();
    let decide: Decide = Rc::new(move |conflict| {
        noted.borrow_mut().push(format!("{:?}", conflict.key[0].1));
        decide(conflict)
    });
    *world.host.decide.borrow_mut() = Some(decide);
    asked
}

#[test]
fn a_row_that_a_function_keeps_comes_back_where_it_is_marked_as_deleted() {
    for (flag, at_pull) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut world = marked(flag);
        let asked = decides(&world, |conflict| conflict.local);
        world.exec("UPDATE items SET name = 'mine'; INSERT INTO items VALUES (2, 'new', NULL)");
        mark(&world, "1", flag);
        world.server.change("items", "2", &[("name", "\"theirs\""), ("size", "8")]);
        mark(&world, "2", flag);
        if at_pull {
            world.pull("{}").unwrap();
        }
        world.push().unwrap();
        world.server.take_requests();
        world.push().unwrap();
        world.pull("{}").unwrap();
        assert!(world.outbox().is_empty(), "flag: {flag}, at pull: {at_pull}: {:?}", world.outbox());
        assert_eq!(asked.borrow().len(), 1, "a new row with the key of a deleted one is no conflict");
        assert!(world.server.take_requests().len() <= 2, "nothing is left to send");
        assert_eq!(world.rows("SELECT * FROM items"), ["1|mine|7", "2|new|∅"]);
        for row in world.server.rows("items") {
            assert_eq!((row["gone"].as_str(), row["name"] != "\"theirs\""), (none(flag), true), "{row:?}");
        }
    }
}

#[test]
fn a_row_that_was_unmarked_meanwhile_is_another_conflict() {
    let mut world = marked(false);
    world.exec("UPDATE items SET name = 'mine'");
    mark(&world, "1", false);
    let asked = decides(&world, |conflict| conflict.local);
    world.pull("{}").unwrap();
    world.server.change("items", "1", &[("gone", "null"), ("name", "\"theirs\"")]);
    world.push().unwrap();
    assert_eq!(asked.borrow().len(), 2, "it is asked about the row that came back");
    assert_eq!(world.server.rows("items")[0]["name"], "\"mine\"");
}

#[test]
fn a_marked_row_that_does_not_come_back_is_refused_with_the_reason() {
    let mut world = marked(false);
    decides(&world, |conflict| conflict.local);
    world.exec("UPDATE items SET name = 'mine'");
    mark(&world, "1", false);
    world.server.alter("items", |rules, _| rules.frozen = Some(Rc::new(|row| row["gone"] != "null")));
    world.push().unwrap();
    let rejected = entries::rejected(&world.host.connection).unwrap();
    assert_eq!(rejected[0].reason.map(|reason| reason.as_str()), Some("refused"));
    assert_eq!(
        rejected[0].error.as_deref(),
        Some("The remote has a row with this key that is marked as deleted, and refuses to restore it")
    );
}

#[test]
fn a_marked_row_that_was_refused_is_not_asked_about_again() {
    for frozen in [false, true] {
        let mut world = marked(false);
        let asked = decides(&world, |conflict| conflict.local);
        world.exec("UPDATE items SET name = 'mine'");
        mark(&world, "1", false);
        world.server.alter("items", |rules, _| match frozen {
            true => rules.frozen = Some(Rc::new(|row| row["gone"] != "null")),
            false => rules.refuses = vec![Method::Patch],
        });
        for _ in 0..2 {
            world.push().unwrap();
            world.pull("{}").unwrap();
            assert_eq!(world.outbox(), ["insert items Integer(1) id,name,size (refused)"], "frozen: {frozen}");
        }
        let times = asked.take().len();
        world.push().unwrap();
        world.pull("{}").unwrap();
        assert_eq!(asked.take().len(), 0, "{times} times before");
    }
}

#[test]
fn retry_brings_a_row_back_that_was_marked_as_deleted() {
    let mut world = marked(true);
    world.reopen(r#"{"url":"http://server","key":"k","tables":[{"table":"items","deleted":"gone"}]}"#);
    world.exec("UPDATE items SET name = 'mine'");
    mark(&world, "1", true);
    world.push().unwrap();
    assert_eq!(world.outbox(), ["update items Integer(1) name (conflict)"]);
    world.retry(entries::rejected(&world.host.connection).unwrap()[0].id);
    world.push().unwrap();
    assert!(world.outbox().is_empty(), "{:?}", world.outbox());
    let row = &world.server.rows("items")[0];
    assert_eq!((row["gone"].as_str(), row["name"].as_str()), ("false", "\"mine\""));
}

#[test]
fn a_function_without_an_answer_lets_its_changes_wait_and_the_others_go() {
    for (undecided, code) in
        [(Undecided::Throws, ErrorCode::InvalidArgument), (Undecided::NeverSettles, ErrorCode::Timeout)]
    {
        let schema = format!("{ITEMS}; CREATE TABLE notes(id INTEGER PRIMARY KEY, text TEXT)");
        let mut world = World::new(&schema, r#"[{"table":"items","conflict":"function"},{"table":"notes"}]"#);
        world.server.define("items", &["id", "name", "size"], Rules::default());
        world.server.define("notes", &["id", "text"], Rules::default());
        for id in ["1", "2", "3"] {
            world.server.change("items", id, &[("name", "\"base\"")]);
        }
        world.pull("{}").unwrap();
        world.exec("UPDATE items SET name = 'mine'; INSERT INTO notes VALUES (1, 'new')");
        world.server.change("items", "1", &[("name", "\"theirs\"")]);
        world.server.change("items", "2", &[("name", "\"theirs\"")]);
        world.server.change("notes", "5", &[("text", "\"theirs\"")]);
        let asked = decides(&world, |mut conflict| {
            conflict.local.as_mut().unwrap().0[1].1 = Value::from("both");
            conflict.local
        });
        world.host.undecided.set(Some(undecided));
        for call in 0..2 {
            let error = fails(world.push(), code);
            let waits = ["update items Integer(1) name (retrying)", "update items Integer(2) name (retrying)"];
            assert_eq!(world.outbox(), waits);
            let pending = entries::pending(&world.host.connection).unwrap();
            assert!(pending.iter().all(|change| change.error.as_deref() == Some(&*error.message)));
            // After a timeout, the function isn't called for the other rows.
            assert_eq!(asked.take().len(), if undecided == Undecided::Throws { 2 } else { 1 }, "call {call}");
            assert_eq!((world.server.rows("notes").len(), &*world.server.rows("items")[2]["name"]), (2, "\"mine\""));
            fails(world.pull("{}"), code);
            asked.take();
            assert_eq!(world.rows("SELECT count(*) FROM notes"), ["2"]);
        }
        world.host.undecided.set(None);
        world.push().unwrap();
        assert!(world.outbox().is_empty());
        assert_eq!(world.rows("SELECT name FROM items"), ["both", "both", "mine"]);
    }
}

#[test]
fn a_pull_reports_what_a_function_has_set_aside() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT CHECK (name <> 'bad'))";
    let mut world = World::new(schema, r#"[{"table":"items","conflict":"function"}]"#);
    world.server.define("items", &["id", "name"], Rules::default());
    world.server.change("items", "1", &[("name", "\"base\"")]);
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'mine'");
    world.server.change("items", "1", &[("name", "\"theirs\"")]);
    decides(&world, |mut conflict| {
        conflict.local.as_mut().unwrap().0[1].1 = Value::from("bad");
        conflict.local
    });
    assert_eq!(world.pull("{}").unwrap().tables[0].rejected, 1);
    assert_eq!(world.outbox(), ["update items Integer(1) name (conflict)"]);
}

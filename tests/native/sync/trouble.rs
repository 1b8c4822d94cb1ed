//! Errors of one table: the other tables are still pulled and pushed, and each reports its own status.

use std::rc::Rc;

use tidelock::{ErrorCode, error::Detail, ports::Method, sync::outbox::entries};

use crate::{
    sync::host::{World, fails},
    sync::model::{Fault, Row, Server},
    sync::model_writes::Rules,
};

const SCHEMA: &str = "CREATE TABLE one(id INTEGER PRIMARY KEY, name TEXT, size REAL, updated_at TEXT);
    CREATE TABLE two(id INTEGER PRIMARY KEY, name TEXT, size REAL, updated_at TEXT);
    CREATE TABLE three(id INTEGER PRIMARY KEY, name TEXT, size REAL, updated_at TEXT)";
const TABLES: &str = r#"[{"table":"one","cursor":"updated_at","deleted":"compare"},
    {"table":"two","cursor":"updated_at","deleted":"compare"},{"table":"three","cursor":"updated_at","deleted":"compare"}]"#;
const COLUMNS: [&str; 4] = ["id", "name", "size", "updated_at"];

/// Creates three tables of three rows, pulled once.
fn pulled() -> World {
    let mut world = World::new(SCHEMA, TABLES);
    for table in ["one", "two", "three"] {
        let rules = Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() };
        world.server.define(table, &COLUMNS, rules);
        (1..=3).for_each(|id| put(&mut world, table, id, "1.5"));
    }
    world.pull("{}").unwrap();
    world
}

fn put(world: &mut World, table: &str, id: u64, size: &str) {
    world.sim.advance(1000);
    let (id, now) = (id.to_string(), format!("\"{}\"", world.server.now()));
    world.server.put(table, &[("id", &id), ("name", "\"n\""), ("size", size), ("updated_at", &now)]);
}

/// Returns the local ids of a table.
fn ids(world: &World, table: &str) -> String {
    world.rows(&format!("SELECT id FROM {table} ORDER BY id")).join(" ")
}

fn there(world: &World, table: &str) -> String {
    let mut ids: Vec<u64> = world.server.rows(table).iter().map(|row| row["id"].parse().unwrap()).collect();
    ids.sort_unstable();
    ids.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")
}

/// Returns the tables with an error.
fn note_table_errors(world: &World) -> Vec<String> {
    let status = world.sync.status(&world.host.connection).unwrap();
    status.into_iter().filter(|table| table.last_error.is_some()).map(|table| table.table).collect()
}

/// A fault of the table `one`, the errors of the calls, and the repair.
type Trouble = (&'static str, ErrorCode, fn(&Server), fn(&Server));

const TROUBLES: [Trouble; 4] = [
    (
        "the table is dropped",
        ErrorCode::SyncSchemaMismatch,
        |server| _ = server.state.borrow_mut().tables.remove("one"),
        |server| server.table("one"),
    ),
    (
        "rights are revoked",
        ErrorCode::SyncRejected,
        |server| server.alter("one", |rules, _| rules.refuses = vec![Method::Get, Method::Post]),
        |server| server.alter("one", |rules, _| rules.refuses = vec![]),
    ),
    (
        "a value doesn't fit",
        ErrorCode::SyncSchemaMismatch,
        |server| server.alter("one", |_, rows| set(rows, "size", "\"much\"")),
        |server| server.alter("one", |_, rows| set(rows, "size", "2.5")),
    ),
    (
        "the column of the cursor is dropped",
        ErrorCode::SyncSchemaMismatch,
        |server| {
            server.alter("one", |rules, rows| {
                rules.columns.pop();
                rules.stamp = None;
                rows.iter_mut().for_each(|row| _ = row.remove("updated_at"));
            });
        },
        |server| {
            server.alter("one", |rules, rows| {
                rules.columns.push("updated_at".to_owned());
                set(rows, "updated_at", "\"2026-01-01T00:00:00Z\"");
            });
        },
    ),
];

fn set(rows: &mut [Row], column: &str, json: &str) {
    rows.iter_mut().for_each(|row| {
        row.insert(column.to_owned(), json.to_owned());
        row.insert("updated_at".to_owned(), "\"2031-01-01T00:00:00Z\"".to_owned());
    });
}

#[test]
fn the_other_tables_are_pulled() {
    for (what, code, begin, end) in TROUBLES {
        let mut world = pulled();
        begin(&world.server);
        put(&mut world, "two", 4, "1.5");
        world.server.remove("three", "1");
        for _ in 0..2 {
            let error = fails(world.pull("{}"), code);
            assert_eq!(error.details["table"], Detail::from("one"), "{what}");
            assert_eq!((ids(&world, "two"), ids(&world, "three")), ("1 2 3 4".to_owned(), "2 3".to_owned()), "{what}");
            assert_eq!(
                (ids(&world, "one").as_str(), note_table_errors(&world)),
                ("1 2 3", vec!["one".to_owned()]),
                "{what}"
            );
        }
        end(&world.server);
        world.pull(r#"{"allowEmpty":true}"#).unwrap();
        assert_eq!((ids(&world, "one"), note_table_errors(&world)), (there(&world, "one"), vec![]), "{what}");
    }
}

#[test]
fn an_error_stays_until_a_call_of_its_kind_succeeds() {
    let (_, _, begin, end) = TROUBLES[2];
    let mut world = pulled();
    let one = || vec!["one".to_owned()];
    begin(&world.server);
    fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch);
    world.exec("INSERT INTO one(id, name) VALUES (9, 'mine')");
    world.push().unwrap();
    assert_eq!(note_table_errors(&world), one(), "a push ends no error of a pull");
    end(&world.server);
    world.pull(r#"{"allowEmpty":true}"#).unwrap();
    assert_eq!(note_table_errors(&world), [""; 0]);
    world.exec("UPDATE one SET name = 'again' WHERE id = 9");
    (0..50).for_each(|_| world.server.fault(Fault::Drop));
    fails(world.push(), ErrorCode::SyncNetwork);
    world.server.clear_faults();
    world.pull(r#"{"tables":["one"]}"#).unwrap();
    assert_eq!(note_table_errors(&world), one(), "a pull ends no error of a push");
}

#[test]
fn the_changes_of_the_other_tables_are_pushed() {
    for (what, code, begin, end) in TROUBLES.into_iter().filter(|(what, ..)| *what != "a value doesn't fit") {
        let mut world = pulled();
        begin(&world.server);
        for table in ["one", "two", "three"] {
            world.exec(&format!("INSERT INTO {table}(id, name) VALUES (9, 'mine')"));
        }
        // An insert without permission is rejected; a change whose table or column is missing waits.
        let refused = code == ErrorCode::SyncRejected;
        for _ in 0..2 {
            let pushed = world.push();
            if !refused {
                let error = fails(pushed, code);
                assert_eq!(error.details["table"], Detail::from("one"), "{what}");
            }
            assert_eq!((there(&world, "two"), there(&world, "three")), ("1 2 3 9".to_owned(), "1 2 3 9".to_owned()));
        }
        fails(world.pull("{}"), code);
        end(&world.server);
        if !refused {
            world.push().unwrap();
            assert!(there(&world, "one").ends_with('9'), "{what}");
            assert_eq!(world.outbox(), [""; 0], "{what}");
        }
    }
}

#[test]
fn too_few_rows_of_one_table_are_told_of_that_one() {
    let mut world = pulled();
    world.server.alter("one", |_, rows| rows.clear());
    world.server.remove("two", "2");
    put(&mut world, "three", 4, "1.5");
    let error = fails(world.pull("{}"), ErrorCode::RemoteEmpty);
    assert_eq!(error.details["table"], Detail::from("one"));
    assert_eq!(note_table_errors(&world), ["one"]);
    assert_eq!((ids(&world, "one"), ids(&world, "two"), ids(&world, "three")), {
        ("1 2 3".to_owned(), "1 3".to_owned(), "1 2 3 4".to_owned())
    });
    world.pull(r#"{"allowEmpty":true}"#).unwrap();
    assert_eq!((ids(&world, "one"), note_table_errors(&world)), (String::new(), vec![]));
}

#[test]
fn what_is_in_the_way_of_all_tables_ends_the_pull() {
    let status = |status, body: &str| Fault::Status(status, vec![], body.to_owned());
    for (fault, code) in [
        (status(401, r#"{"code":"PGRST301"}"#), ErrorCode::SyncUnauthorized),
        (status(402, "{}"), ErrorCode::SyncServer),
        (status(403, "<html>"), ErrorCode::SyncServer),
        (status(200, "<html>login</html>"), ErrorCode::SyncProtocol),
        (status(406, r#"{"code":"PGRST106"}"#), ErrorCode::SyncSchemaMismatch),
    ] {
        let mut world = pulled();
        world.server.take_requests();
        world.server.fault(fault.clone());
        fails(world.pull("{}"), code);
        assert_eq!(world.server.take_requests().len(), 1, "{fault:?}");
    }
    // An unknown path: there is no PostgREST at this URL.
    let mut world = World::new(SCHEMA, TABLES);
    (0..9).for_each(|_| world.server.fault(status(404, "<html>")));
    fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch);
    assert_eq!(world.server.take_requests().len(), 1);
}

#[test]
fn children_wait_for_the_parents_of_a_table_in_trouble() {
    let schema = "CREATE TABLE one(id INTEGER PRIMARY KEY, name TEXT, size REAL, updated_at TEXT);
        CREATE TABLE child(id INTEGER PRIMARY KEY, one INTEGER NOT NULL REFERENCES one)";
    let mut world = World::new(schema, r#"[{"table":"child"},{"table":"one","cursor":"updated_at"}]"#);
    world.server.define("one", &COLUMNS, Rules { refuses: vec![Method::Get], ..Rules::default() });
    put(&mut world, "one", 1, "1.5");
    world.server.put("child", &[("id", "7"), ("one", "1")]);
    fails(world.pull("{}"), ErrorCode::SyncRejected);
    assert_eq!((ids(&world, "child").as_str(), note_table_errors(&world)), ("", vec!["one".to_owned()]));
    world.server.alter("one", |rules, _| rules.refuses = vec![]);
    world.pull("{}").unwrap();
    assert_eq!((ids(&world, "child").as_str(), ids(&world, "one").as_str()), ("7", "1"));
}

#[test]
fn a_local_table_that_is_missing_is_in_trouble_alone() {
    let mut world = pulled();
    world.exec("DROP TABLE one");
    put(&mut world, "two", 4, "1.5");
    world.exec("INSERT INTO three(id) VALUES (9)");
    let error = fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch);
    assert_eq!((error.details["table"].clone(), ids(&world, "two").as_str()), (Detail::from("one"), "1 2 3 4"));
    fails(world.push(), ErrorCode::SyncSchemaMismatch);
    assert_eq!(there(&world, "three"), "1 2 3 9");
    assert_eq!(note_table_errors(&world), ["one"]);
}

#[test]
fn a_chain_of_rows_that_lacks_its_end_takes_no_longer_than_others() {
    // With the square of the rows it would take hours.
    let tables = r#"{"url":"http://server","key":"k","tables":[{"table":"notes"}]}"#;
    let schema = "CREATE TABLE notes(id INTEGER PRIMARY KEY, next INTEGER REFERENCES notes)";
    let mut world = World::with(schema, tables);
    world.server.define("notes", &["id", "next"], Rules::default());
    let note = |id: u32| Row::from([("id".to_owned(), id.to_string()), ("next".to_owned(), (id + 1).to_string())]);
    world.server.change_rows("notes", |rows| rows.extend((1..=4000).map(note)));
    let report = world.pull("{}").unwrap();
    assert_eq!(report.tables[0].rejected, 4000);
    assert_eq!(world.rows("SELECT count(*) FROM notes"), ["0"]);
}

#[test]
fn a_row_that_a_firewall_refuses_stops_no_other() {
    for first in [true, false] {
        let mut world = pulled();
        world.server.alter("one", |rules, _| rules.blocks = Some(Rc::new(|row| row["name"].contains("<script>"))));
        let (bad, good) = if first { (4, 5) } else { (5, 4) };
        world.exec(&format!("INSERT INTO one(id, name) VALUES ({bad}, 'how to escape <script>'), ({good}, 'fine')"));
        world.exec("UPDATE two SET name = 'mine' WHERE id = 1");
        world.push().unwrap();
        assert_eq!(there(&world, "one"), format!("1 2 3 {good}"));
        assert_eq!(world.outbox(), [format!("insert one Integer({bad}) id,name,size,updated_at (retrying)")]);
        assert_eq!(world.server.rows("two")[0]["name"], "\"mine\"");
        // Alone, it stops no other table, and none of its own that comes later.
        let change = entries::pending(&world.host.connection).unwrap().remove(0);
        world.retry(change.id);
        world.exec("UPDATE three SET name = 'mine' WHERE id = 1");
        let error = fails(world.push(), ErrorCode::SyncServer);
        assert_eq!(error.details["table"], Detail::from("one"));
        assert_eq!(world.server.rows("three")[0]["name"], "\"mine\"");
        world.retry(change.id);
        world.exec("UPDATE one SET name = 'mine' WHERE id = 1");
        world.push().unwrap();
        assert_eq!(world.server.rows("one")[0]["name"], "\"mine\"");
        world.server.alter("one", |rules, _| rules.blocks = None);
        world.retry(change.id);
        world.push().unwrap();
        assert_eq!((there(&world, "one").as_str(), world.outbox()), ("1 2 3 4 5", vec![]));
    }
}

#[test]
fn a_gateway_that_refuses_all_writes_is_asked_a_few_times_only() {
    let mut world = pulled();
    world.server.alter("one", |rules, _| rules.blocks = Some(Rc::new(|_| true)));
    (4..304).for_each(|id| world.exec(&format!("INSERT INTO one(id, name) VALUES ({id}, 'mine')")));
    world.server.take_requests();
    fails(world.push(), ErrorCode::SyncServer);
    let requests = world.server.take_requests().len();
    assert!(requests <= 20, "{requests} requests");
    assert_eq!(world.outbox().len(), 300);
    let retrying = world.outbox().iter().filter(|change| change.contains("retrying")).count();
    assert_eq!(retrying, 3, "all others just wait");
    world.server.alter("one", |rules, _| rules.blocks = None);
    world.push().unwrap();
    assert_eq!(world.outbox(), [""; 0]);
}

#[test]
fn a_cursor_column_whose_type_changed_there_is_read_completely_by_the_next_pull() {
    let mut world = pulled();
    let refused = r#"{"code":"22P02","message":"invalid input syntax for type bigint: \"2026-01-01\""}"#;
    world.server.trouble("one", Some(Fault::Status(400, vec![], refused.to_owned())));
    fails(world.pull("{}"), ErrorCode::SyncRejected);
    world.server.trouble("one", None);
    put(&mut world, "two", 4, "1.5");
    // Without a cursor that grew.
    world
        .server
        .put("one", &[("id", "4"), ("name", "\"n\""), ("size", "1.5"), ("updated_at", "\"2020-01-01T00:00:00Z\"")]);
    world.pull("{}").unwrap();
    assert_eq!((ids(&world, "one").as_str(), ids(&world, "two").as_str()), ("1 2 3 4", "1 2 3 4"));
}

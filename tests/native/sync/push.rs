//! Pushing: every change is applied exactly once despite network faults, and nothing is lost on either side.

use std::{collections::BTreeSet, rc::Rc};

use tidelock::{
    ErrorCode, Value,
    ports::Method,
    sync::{outbox::entries, report::Cells},
};

use crate::{
    sample::Sample,
    sync::host::{World, fails},
    sync::model::{Fault, PUSH, Row, values::Kind},
    sync::model_writes::{Rewrite, Rules},
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price NUMERIC TEXT, updated_at TEXT)";
const COLUMNS: [&str; 4] = ["id", "name", "price", "updated_at"];
/// The options of a push-only table, without retries of requests.
const PUSHED_LOG: &str =
    r#"{"url":"http://server","key":"k","retries":0,"tables":[{"table":"log","direction":"push"}]}"#;
const CURSOR: &str = r#"[{"table":"items","cursor":"updated_at"}]"#;
const FULL: &str = r#"[{"table":"items"}]"#;

fn stamped() -> Rules {
    Rules { stamp: Some("updated_at".to_owned()), ..Rules::default() }
}

/// Creates items with a trigger on `updated_at`. Both sides have the given rows.
fn world(tables: &str, ids: &[u32]) -> World {
    let world = World::new(ITEMS, tables);
    world.server.define("items", &COLUMNS, stamped());
    pulled(world, ids)
}

fn pulled(mut world: World, ids: &[u32]) -> World {
    for id in ids {
        world.server.change("items", &id.to_string(), &[("name", "\"remote\""), ("price", "1.50")]);
    }
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world.server.take_requests();
    world
}

fn remote(world: &World, table: &str, columns: &[&str]) -> Vec<String> {
    let show = |row: &Row| columns.iter().map(|column| row[*column].replace('"', "")).collect::<Vec<_>>().join("|");
    let mut rows: Vec<String> = world.server.rows(table).iter().map(show).collect();
    rows.sort();
    rows
}

fn names(world: &World) -> Vec<String> {
    remote(world, "items", &["id", "name"])
}

fn requests(world: &World) -> Vec<String> {
    let show = |request: tidelock::ports::HttpRequest| {
        let path = request.url.split("/rest/v1/").nth(1).unwrap().replace("%22", "'");
        format!("{} {path}", request.method.as_str())
    };
    world.server.take_requests().into_iter().map(show).collect()
}

/// Checks that both sides have the same rows, and that nothing is left to push.
fn in_step(world: &mut World) {
    let report = world.pull(r#"{"full":true}"#).unwrap();
    let table = &report.tables[0];
    assert_eq!((table.inserted, table.updated, table.deleted, table.conflicts), (0, 0, 0, 0), "{table:?}");
    assert_eq!(world.outbox(), Vec::<String>::new());
    let local = world.rows("SELECT id, name, price, updated_at FROM items ORDER BY id");
    let mut there = remote(world, "items", &COLUMNS);
    there.iter_mut().for_each(|row| *row = row.replace("null", "∅"));
    there.sort_by_key(|row| row.split('|').next().unwrap().parse::<i64>().unwrap());
    assert_eq!(local, there);
}

#[test]
fn everything_leaves_and_comes_back_as_the_server_has_it() {
    for tables in [CURSOR, FULL] {
        let mut world = world(tables, &[1, 2, 3]);
        world.exec(
            "UPDATE items SET price = '12345678901234567890.10' WHERE id = 1; DELETE FROM items WHERE id = 2;
             INSERT INTO items(id, name, price) VALUES (9007199254740993, 'neu ''1'' é,()', '0.10'), (5, NULL, NULL)",
        );
        assert_eq!(world.pushed(), ["items 2/1/1/0/0"]);
        assert_eq!(
            remote(&world, "items", &["id", "name", "price"]),
            ["1|remote|12345678901234567890.10", "3|remote|1.50", "5|null|null", "9007199254740993|neu '1' é,()|0.10"]
        );
        assert!(
            world.rows("SELECT 1 FROM items WHERE updated_at IS NULL").is_empty(),
            "what the server fills comes back"
        );
        let before = world.host.connection.total_changes();
        in_step(&mut world);
        assert!(world.host.connection.total_changes() - before < 20, "the echo changes nothing");
        assert_eq!(world.pushed(), ["items 0/0/0/0/0"]);
    }
}

#[test]
fn requests_are_few_guarded_and_bounded() {
    let ids: Vec<u32> = (1..=40).collect();
    let mut world = world(CURSOR, &ids);
    world.exec(
        "WITH RECURSIVE n(i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 3499)
         INSERT INTO items(id, name) SELECT i, 'n' || i FROM n;
         UPDATE items SET name = 'x' || id WHERE id <= 5; UPDATE items SET name = 'same' WHERE id BETWEEN 6 AND 10; DELETE FROM items WHERE id BETWEEN 11 AND 40",
    );
    assert_eq!(world.pushed(), ["items 2500/10/30/0/0"]);
    assert!(world.server.most_under_way() <= 6 && world.server.most_under_way() > 1);
    let requests = requests(&world);
    let posts = requests.iter().filter(|request| request.starts_with("POST")).count();
    assert_eq!(posts, 5);
    assert!(requests[0].starts_with("POST items?columns=id,name&on_conflict=id&select=id,name,price,updated_at"));
    let patch = requests.iter().find(|request| request.starts_with("PATCH")).unwrap();
    assert!(patch.starts_with("PATCH items?id=eq.1&updated_at=eq.20") && patch.contains("%2B00:00&select="), "{patch}");
    let same = requests.iter().find(|request| request.starts_with("PATCH items?id=in.")).unwrap();
    assert!(same.contains("&updated_at=in."), "those that write the same are one request, guarded each: {same}");
    assert_eq!(
        requests.len(),
        5 + 5 + 1 + 2,
        "{requests:#?}: deletions with different cursors are read once and deleted once"
    );
    in_step(&mut world);
}

#[test]
fn an_update_sends_only_what_changed() {
    let mut world = world(CURSOR, &[1]);
    world.server.change("items", "1", &[("price", "2.00")]);
    world.exec("UPDATE items SET name = 'mine' WHERE id = 1");
    world.push().unwrap();
    let sent = world.server.take_requests();
    assert_eq!(sent[0].body.as_deref(), Some(&br#"{"name":"mine"}"#[..]));
    assert_eq!(remote(&world, "items", &["name", "price"]), ["mine|2.00"]);
    in_step(&mut world);
}

#[test]
fn what_was_sent_is_never_applied_twice_whatever_is_lost() {
    let faults = [
        Fault::Drop,
        Fault::Lost,
        Fault::Timeout,
        Fault::Cut(0.5),
        Fault::Status(500, vec![], r#"{"code":"57014"}"#.to_owned()),
        Fault::Status(500, vec![], r#"{"code":"40P01"}"#.to_owned()),
        Fault::Status(413, vec![], String::new()),
        Fault::Status(504, vec![], "gateway".to_owned()),
        Fault::Status(429, vec![("retry-after", "1".to_owned())], String::new()),
        Fault::Status(503, vec![], String::new()),
    ];
    let mut sample = Sample::every(5);
    for tables in [CURSOR, FULL] {
        for fault in &faults {
            for position in (0..6).filter(|_| sample.takes()) {
                let mut world = world(tables, &[1, 2, 3, 4]);
                world.exec(
                    "UPDATE items SET name = 'x' WHERE id = 1; DELETE FROM items WHERE id IN (2, 3);
                     INSERT INTO items(id, name) VALUES (10, 'a'), (11, 'b')",
                );
                (0..position).for_each(|_| world.server.fault(Fault::None));
                world.server.fault(fault.clone());
                let pushed = world.pushed();
                assert_eq!(pushed, ["items 2/1/2/0/0"], "{fault:?} at {position} {tables}");
                assert_eq!(names(&world), ["10|a", "11|b", "1|x", "4|remote"]);
                world.server.clear_faults();
                in_step(&mut world);
            }
        }
    }
}

#[test]
fn what_does_not_heal_is_a_typed_error_and_nothing_is_lost() {
    for (fault, code) in [
        (Fault::Drop, ErrorCode::SyncNetwork),
        (Fault::Status(503, vec![], String::new()), ErrorCode::SyncServer),
        (Fault::Status(401, vec![], r#"{"code":"PGRST301"}"#.to_owned()), ErrorCode::SyncUnauthorized),
        (Fault::Status(404, vec![], r#"{"code":"PGRST205"}"#.to_owned()), ErrorCode::SyncSchemaMismatch),
    ] {
        let mut world = world(CURSOR, &[1]);
        world.exec("UPDATE items SET name = 'x' WHERE id = 1; INSERT INTO items(id) VALUES (7)");
        (0..50).for_each(|_| world.server.fault(fault.clone()));
        fails(world.push(), code);
        assert_eq!(world.outbox().len(), 2);
        assert!(world.sync.status(&world.host.connection).unwrap()[0].last_error.is_some());
        world.server.clear_faults();
        assert_eq!(world.pushed(), ["items 1/1/0/0/0"]);
        in_step(&mut world);
    }
}

#[test]
fn an_edit_between_push_and_echo_stays() {
    let mut world = world(CURSOR, &[1]);
    world.exec(
        "UPDATE items SET name = 'first' WHERE id = 1; INSERT INTO items(id, name) VALUES (5, 'first'), (6, 'first')",
    );
    let (sync, host, clock) = (world.sync.clone(), world.host.clone(), world.sim.platform().clock);
    world.sim.run(async move {
        let edit = async {
            // Lets the requests start.
            clock.sleep(10).await;
            host.connection
                .exec("UPDATE items SET name = 'second' WHERE id = 5; DELETE FROM items WHERE id = 6")
                .unwrap();
            clock.sleep(20).await;
            host.connection.exec("UPDATE items SET name = 'second' WHERE id = 1").unwrap();
        };
        let (report, ()) = futures_util::future::join(sync.push(&*host, None), edit).await;
        report.unwrap();
    });
    assert_eq!(world.rows("SELECT id, name FROM items"), ["1|second", "5|second"]);
    assert_eq!(
        world.outbox(),
        ["update items Integer(1) name", "update items Integer(5) name", "delete items Integer(6) "]
    );
    assert_eq!(world.pushed(), ["items 0/2/1/0/0"]);
    assert_eq!(names(&world), ["1|second", "5|second"]);
    in_step(&mut world);
}

#[test]
fn a_lost_answer_and_a_later_edit_are_told_apart() {
    for (edit, expected) in [
        ("", vec!["10|a", "1|x", "3|remote"]),
        ("UPDATE items SET name = 'later' WHERE id IN (1, 10)", vec!["10|later", "1|later", "3|remote"]),
        ("UPDATE items SET name = 'remote' WHERE id = 1", vec!["10|a", "1|remote", "3|remote"]),
        ("DELETE FROM items WHERE id IN (1, 10)", vec!["3|remote"]),
        (
            "INSERT INTO items(id, name, price, updated_at) SELECT 2, name, price, updated_at FROM gone",
            vec!["10|a", "1|x", "2|remote", "3|remote"],
        ),
        ("INSERT INTO items(id, name) VALUES (2, 'again')", vec!["10|a", "1|x", "2|again", "3|remote"]),
    ] {
        for pull_first in [false, true] {
            for policy in ["keep-local", "remote-wins", "last-write-wins"] {
                let tables =
                    format!(r#"[{{"table":"items","cursor":"updated_at","conflict":"{policy}","deleted":"compare"}}]"#);
                let mut world = world(&tables, &[1, 2, 3]);
                world.exec(
                    "CREATE TEMP TABLE gone AS SELECT * FROM items WHERE id = 2; UPDATE items SET name = 'x' WHERE id = 1;
                     DELETE FROM items WHERE id = 2; INSERT INTO items(id, name) VALUES (10, 'a')",
                );
                // All requests arrive, all answers are lost, and the tab is closed.
                (0..40).for_each(|_| world.server.fault(Fault::Lost));
                fails(world.push(), ErrorCode::SyncNetwork);
                (0..40).for_each(|_| world.server.fault(Fault::Lost));
                fails(world.push(), ErrorCode::SyncNetwork);
                world.server.clear_faults();
                world.exec(edit);
                if pull_first {
                    world.pull("{}").unwrap();
                }
                world.push().unwrap();
                world.pull("{}").unwrap();
                world.push().unwrap();
                assert_eq!(names(&world), expected, "{edit} {policy} pull first: {pull_first}");
                in_step(&mut world);
            }
        }
    }
}

#[test]
fn a_refused_change_holds_back_only_its_row_and_what_depends_on_it() {
    let schema = "CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT);
        CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent, name TEXT);";
    let mut world = World::new(schema, r#"[{"table":"child"},{"table":"parent"}]"#);
    let check = Rc::new(|row: &Row| row["name"] != "\"bad\"");
    world.server.define("parent", &["id", "name"], Rules { check: Some(check), ..Rules::default() });
    let parents = vec![("parent".to_owned(), "parent".to_owned())];
    world.server.define("child", &["id", "parent", "name"], Rules { parents, ..Rules::default() });
    world.exec(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 300)
         INSERT INTO parent SELECT i, CASE WHEN i IN (7, 200) THEN 'bad' ELSE 'ok' END FROM n;
         INSERT INTO child SELECT id, id, 'c' FROM parent",
    );
    assert_eq!(world.pushed(), ["parent 298/0/0/0/2", "child 298/0/0/0/0"]);
    assert_eq!(
        world.outbox(),
        [
            "insert child Integer(7) id,parent,name (held_back)",
            "insert child Integer(200) id,parent,name (held_back)",
            "insert parent Integer(7) id,name (refused)",
            "insert parent Integer(200) id,name (refused)"
        ]
    );
    // Another push doesn't send changes that can't succeed.
    world.server.take_requests();
    assert_eq!(world.pushed(), ["parent 0/0/0/0/0", "child 0/0/0/0/0"]);
    assert_eq!(requests(&world), Vec::<String>::new());
    world.exec("UPDATE parent SET name = 'good' WHERE id = 7");
    let refused = tidelock::sync::outbox::entries::rejected(&world.host.connection).unwrap();
    assert!(refused[0].error.as_ref().unwrap().contains("violates check constraint"), "{refused:?}");
    world.retry(refused[0].id);
    assert_eq!(world.pushed(), ["parent 1/0/0/0/0", "child 1/0/0/0/0"]);
    // A row is deleted once no other row refers to it.
    world.discard(refused[1].id).unwrap();
    world.exec("DELETE FROM child WHERE id = 200");
    assert_eq!(world.outbox(), ["delete parent Integer(200)  (unapplied)"]);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT count(*), max(id) FROM parent WHERE id >= 200 AND id < 202"), ["1|201"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

/// Creates rows with a unique name in the remote, each of which takes the next one's name. The last one is sent last.
fn moving_on(local_index: &str) -> World {
    let mut world = world(CURSOR, &(1..=150).collect::<Vec<_>>());
    world.server.alter("items", |rules, rows| {
        rules.unique = vec!["name".to_owned()];
        for row in rows {
            row.insert("name".to_owned(), format!("\"{}\"", row["id"]));
        }
    });
    world.pull(r#"{"full":true}"#).unwrap();
    world.server.take_requests();
    world.exec(local_index);
    world.exec("UPDATE items SET name = 'moving ' || id; UPDATE items SET name = CAST(id + 1 AS TEXT)");
    world
}

#[test]
fn a_chain_of_unique_values_moves_on_in_one_push() {
    let mut world = moving_on("CREATE UNIQUE INDEX names ON items(name)");
    world.push().unwrap();
    assert!(world.server.take_requests().len() < 3 * 150);
    in_step(&mut world);
}

#[test]
fn a_remote_that_accepts_few_changes_at_a_time_ends_the_push_and_keeps_the_rest() {
    let mut world = moving_on("");
    for pushes in 1.. {
        world.push().unwrap();
        assert!(world.server.take_requests().len() < 20 * 150);
        let rest = world.outbox();
        assert!(rest.iter().all(|change| change.ends_with("(retrying)")), "{rest:?}");
        if rest.is_empty() {
            assert!(pushes > 1);
            break;
        }
        world.sim.advance(10);
    }
    in_step(&mut world);
}

#[test]
fn order_follows_references_also_in_cycles_and_trees() {
    let schema =
        "CREATE TABLE a(id INTEGER PRIMARY KEY, b INTEGER NOT NULL REFERENCES b DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER REFERENCES a);
        CREATE TABLE tree(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree);";
    let mut world = World::new(schema, r#"[{"table":"a"},{"table":"tree"},{"table":"b"}]"#);
    let refers =
        |column: &str, table: &str| Rules { parents: vec![(column.to_owned(), table.to_owned())], ..Rules::default() };
    world.server.define("a", &["id", "b"], refers("b", "b"));
    world.server.define("b", &["id", "a"], refers("a", "a"));
    world.server.define("tree", &["id", "parent"], refers("parent", "tree"));
    world.exec(
        "BEGIN; INSERT INTO a VALUES (1, 2); INSERT INTO b VALUES (2, 1); COMMIT;
         BEGIN; PRAGMA defer_foreign_keys = ON;
         INSERT INTO tree VALUES (1, 3), (2, 1), (3, NULL), (4, 4), (6, 7), (7, 6); COMMIT;",
    );
    world.push().unwrap();
    assert_eq!(world.outbox(), Vec::<String>::new());
    assert_eq!(remote(&world, "a", &["id", "b"]), ["1|2"]);
    assert_eq!(remote(&world, "b", &["id", "a"]), ["2|1"]);
    assert_eq!(remote(&world, "tree", &["id", "parent"]), ["1|3", "2|1", "3|null", "4|4", "6|7", "7|6"]);
    world.exec("PRAGMA foreign_keys = OFF; DELETE FROM tree WHERE id < 6; PRAGMA foreign_keys = ON");
    world.push().unwrap();
    assert_eq!(remote(&world, "tree", &["id"]), ["6", "7"]);
}

#[test]
fn a_refused_deletion_of_a_row_whose_insert_was_lost_is_tried_again() {
    let remote = format!(r#"{{"url":"http://server","key":"k","retries":0,"tables":{FULL}}}"#);
    let mut world = World::with("CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT)", &remote);
    world.server.define("items", &["id", "name"], Rules::default());
    world.exec("INSERT INTO items VALUES (1, 'a')");
    world.server.fault(Fault::Lost);
    fails(world.push(), ErrorCode::SyncNetwork);
    world.exec("DELETE FROM items");
    world.server.alter("items", |rules, _| rules.frozen = Some(Rc::new(|_| true)));
    world.push().unwrap();
    world.server.alter("items", |rules, _| rules.frozen = None);
    let refused = tidelock::sync::outbox::entries::rejected(&world.host.connection).unwrap();
    world.retry(refused[0].id);
    assert_eq!(world.pushed(), ["items 0/0/1/0/0"]);
    assert!(world.server.rows("items").is_empty());
}

#[test]
fn rows_exchange_unique_values_in_a_cycle() {
    for (declared, arrives) in [("TEXT UNIQUE", true), ("TEXT NOT NULL UNIQUE", false)] {
        let schema = format!("CREATE TABLE items(id INTEGER PRIMARY KEY, slug {declared})");
        let mut world = World::new(&schema, FULL);
        world.server.define("items", &["id", "slug"], Rules { unique: vec!["slug".to_owned()], ..Rules::default() });
        for (id, slug) in [("1", "\"a\""), ("2", "\"b\""), ("3", "\"c\""), ("4", "\"d\""), ("5", "\"e\"")] {
            world.server.put("items", &[("id", id), ("slug", slug)]);
        }
        world.pull("{}").unwrap();
        // Another row has the unique value of one of these changes.
        world.server.put("items", &[("id", "6"), ("slug", "\"taken\"")]);
        world.exec(
            "UPDATE items SET slug = 'x' || id; UPDATE items SET slug = 'b' WHERE id = 1; UPDATE items SET slug = 'c' WHERE id = 2;
             UPDATE items SET slug = 'a' WHERE id = 3; UPDATE items SET slug = 'taken' WHERE id = 4",
        );
        if arrives {
            assert_eq!(world.pushed(), ["items 0/4/0/0/1"]);
            assert_eq!(remote(&world, "items", &["id", "slug"]), ["1|b", "2|c", "3|a", "4|d", "5|x5", "6|taken"]);
        } else {
            world.push().unwrap();
            let refused = tidelock::sync::outbox::entries::rejected(&world.host.connection).unwrap();
            assert_eq!(refused.len(), 4);
            assert!(refused[0].error.as_ref().unwrap().contains("may be NULL"), "{refused:?}");
        }
        assert_eq!(world.pushed(), ["items 0/0/0/0/0"], "at rest");
    }
}

#[test]
fn a_long_list_is_reversed() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, place INTEGER UNIQUE, updated_at TEXT)";
    let mut world = World::new(schema, r#"[{"table":"items","cursor":"updated_at"}]"#);
    let rules = Rules { unique: vec!["place".to_owned()], stamp: Some("updated_at".to_owned()), ..Rules::default() };
    world.server.define("items", &["id", "place", "updated_at"], rules);
    let item = |id: usize| {
        let cells = [
            ("id", id.to_string()),
            ("place", id.to_string()),
            ("updated_at", "\"2025-12-01T00:00:00+00:00\"".to_owned()),
        ];
        cells.into_iter().map(|(name, json)| (name.to_owned(), json)).collect()
    };
    world.server.change_rows("items", |rows| rows.extend((1..=1100).map(item)));
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET place = -id; UPDATE items SET place = 1101 - id");
    assert_eq!(world.pushed(), ["items 0/1100/0/0/0"]);
    let rows = remote(&world, "items", &["id", "place"]);
    let rows: BTreeSet<String> = rows.into_iter().collect();
    assert!((1..=1100).all(|id: usize| rows.contains(&format!("{id}|{}", 1101 - id))));
}

#[test]
fn rows_exchange_values_that_can_not_be_null_in_one_transaction_of_the_helpers() {
    for (deferrable, cursor) in [(true, ""), (true, r#","cursor":"updated_at""#), (false, "")] {
        let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, place INTEGER NOT NULL UNIQUE, updated_at TEXT)";
        let mut world = World::new(schema, &format!(r#"[{{"table":"items"{cursor}}}]"#));
        let stamp = Some("updated_at".to_owned());
        let rules = Rules { unique: vec!["place".to_owned()], deferrable, stamp, ..Rules::default() };
        world.server.define("items", &["id", "place", "updated_at"], rules);
        for id in ["1", "2", "3", "4", "5"] {
            world.server.put("items", &[("id", id), ("place", id), ("updated_at", "\"2025-12-01T00:00:00+00:00\"")]);
        }
        world.server.install_helpers("items");
        world.pull("{}").unwrap();
        // Another row has the unique value of one of these changes.
        let stamps = [("updated_at", "\"2025-12-01T00:00:00+00:00\""), ("_xid", "9")];
        world.server.put("items", &[&[("id", "6"), ("place", "60")], &stamps[..]].concat());
        world.exec(
            "UPDATE items SET place = -id WHERE id <= 4; UPDATE items SET place = id % 3 + 1 WHERE id <= 3; \
             UPDATE items SET place = 60 WHERE id = 4; UPDATE items SET place = 50 WHERE id = 5",
        );
        let moved = ["1|2", "2|3", "3|1", "4|4", "5|50", "6|60"];
        let stayed = ["1|1", "2|2", "3|3", "4|4", "5|50", "6|60"];
        assert_eq!(world.pushed(), [if deferrable { "items 0/4/0/0/1" } else { "items 0/1/0/0/4" }]);
        assert_eq!(remote(&world, "items", &["id", "place"]), if deferrable { moved } else { stayed });
        assert_eq!(world.pushed(), ["items 0/0/0/0/0"], "at rest");
    }
}

#[test]
fn an_exchange_that_the_remote_fails_at_waits() {
    let status = |status, body: &str| Fault::Status(status, vec![], body.to_owned());
    for fault in [
        status(500, r#"{"code":"57014"}"#),
        status(500, r#"{"code":"40P01"}"#),
        status(413, "too large"),
        status(403, "<html>"),
    ] {
        let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, place INTEGER NOT NULL UNIQUE)";
        let mut world = World::new(schema, FULL);
        let rules = Rules { unique: vec!["place".to_owned()], deferrable: true, ..Rules::default() };
        world.server.define("items", &["id", "place"], rules);
        ["1", "2", "3", "4"].iter().for_each(|id| world.server.put("items", &[("id", id), ("place", id)]));
        world.server.install_helpers("items");
        world.pull("{}").unwrap();
        world.exec("UPDATE items SET place = -id; UPDATE items SET place = id % 3 + 1 WHERE id <= 3; UPDATE items SET place = 40 WHERE id = 4");
        world.server.trouble(PUSH, Some(fault.clone()));
        let waiting = ["1", "2", "3"].map(|id| format!("update items Integer({id}) place (retrying)"));
        for _ in 0..2 {
            world.push().unwrap();
            assert_eq!(world.outbox(), waiting, "{fault:?}");
            world.sim.advance(20_000);
        }
        world.server.trouble(PUSH, None);
        world.sim.advance(60_000);
        world.push().unwrap();
        assert_eq!(world.outbox(), Vec::<String>::new(), "{fault:?}");
        assert_eq!(remote(&world, "items", &["id", "place"]), ["1|2", "2|3", "3|1", "4|40"]);
    }
}

#[test]
fn an_exchange_that_is_refused_stops_no_other() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, place INTEGER NOT NULL UNIQUE, code TEXT NOT NULL UNIQUE)";
    let mut world = World::new(schema, FULL);
    let rules = Rules { unique: vec!["place".to_owned(), "code".to_owned()], deferrable: true, ..Rules::default() };
    world.server.define("items", &["id", "place", "code"], rules);
    for id in ["1", "2", "3", "4"] {
        world.server.put("items", &[("id", id), ("place", id), ("code", &format!("\"c{id}\""))]);
    }
    world.server.install_helpers("items");
    world.pull("{}").unwrap();
    world.server.put("items", &[("id", "5"), ("place", "5"), ("code", "\"taken\"")]);
    world.exec("UPDATE items SET place = -id; UPDATE items SET place = 3 - id WHERE id <= 2; UPDATE items SET place = 7 - id WHERE id > 2");
    world.exec("UPDATE items SET code = 'taken' WHERE id = 1");
    assert_eq!(world.pushed(), ["items 0/2/0/0/2"]);
    assert_eq!(remote(&world, "items", &["id", "place"]), ["1|1", "2|2", "3|4", "4|3", "5|5"]);
}

#[test]
fn a_unique_value_that_a_failing_change_releases_later_is_waited_for() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, slug TEXT UNIQUE)";
    let mut world = World::new(schema, FULL);
    let rules = || Rules { unique: vec!["slug".to_owned()], ..Rules::default() };
    world.server.define("items", &["id", "slug"], rules());
    ["1", "2", "3"].iter().for_each(|id| world.server.put("items", &[("id", id), ("slug", &format!("\"{id}\""))]));
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET slug = 'x' WHERE id = 2; UPDATE items SET slug = '2' WHERE id = 1");
    world.exec("DELETE FROM items WHERE id = 3; INSERT INTO items VALUES (4, '1')");
    world.server.alter("items", |rules, _| rules.breaks = Some(Rc::new(|row| row["id"] == "2")));
    for _ in 0..2 {
        world.push().unwrap();
        assert_eq!(
            world.outbox(),
            [
                "update items Integer(2) slug (retrying)",
                "update items Integer(1) slug (retrying)",
                "insert items Integer(4) id,slug (retrying)"
            ]
        );
    }
    world.server.alter("items", |rules, _| rules.breaks = None);
    world.sim.advance(20_000);
    world.push().unwrap();
    assert_eq!(remote(&world, "items", &["id", "slug"]), ["1|2", "2|x", "4|1"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn a_write_that_lost_a_deadlock_is_sent_again_after_the_others() {
    for fault in ["40P01", "40001"] {
        let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, slug TEXT UNIQUE)";
        let options = format!(r#"{{"url":"http://server","key":"k","retries":0,"tables":{FULL}}}"#);
        let mut world = World::with(schema, &options);
        let rules = Rules { unique: vec!["slug".to_owned()], ..Rules::default() };
        world.server.define("items", &["id", "slug"], rules);
        ["1", "2"].iter().for_each(|id| world.server.put("items", &[("id", id), ("slug", &format!("\"{id}\""))]));
        world.pull("{}").unwrap();
        world.exec("UPDATE items SET slug = NULL WHERE id = 1; UPDATE items SET slug = '1' WHERE id = 2");
        world.exec("UPDATE items SET slug = '2' WHERE id = 1");
        let body = format!(r#"{{"code":"{fault}","message":"deadlock detected"}}"#);
        world.server.fault(Fault::None);
        world.server.fault(Fault::Status(500, vec![], body));
        world.push().unwrap();
        assert_eq!(remote(&world, "items", &["id", "slug"]), ["1|2", "2|1"], "{fault}");
        assert_eq!(world.outbox(), Vec::<String>::new());
    }
}

#[test]
fn rows_that_refer_to_each_other_are_deleted() {
    let schema = "CREATE TABLE a(id INTEGER PRIMARY KEY, b INTEGER REFERENCES b DEFERRABLE INITIALLY DEFERRED);
        CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER NOT NULL REFERENCES a)";
    let mut world = World::new(schema, r#"[{"table":"a"},{"table":"b"}]"#);
    let refers =
        |column: &str, table: &str| Rules { parents: vec![(column.to_owned(), table.to_owned())], ..Rules::default() };
    world.server.define("a", &["id", "b"], refers("b", "b"));
    world.server.define("b", &["id", "a"], refers("a", "a"));
    world.exec("BEGIN; INSERT INTO a VALUES (1, 2), (3, NULL); INSERT INTO b VALUES (2, 1), (4, 3); COMMIT");
    world.push().unwrap();
    world.exec("BEGIN; DELETE FROM b; DELETE FROM a; COMMIT");
    // Another client's row refers to one of them.
    world.server.put("b", &[("id", "5"), ("a", "3")]);
    assert_eq!(world.pushed(), ["a 0/0/1/0/1", "b 0/0/2/0/0"]);
    assert_eq!(
        (remote(&world, "a", &["id"]), remote(&world, "b", &["id"])),
        (vec!["3".to_owned()], vec!["5".to_owned()])
    );
}

#[test]
fn unique_values_may_change_hands() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, slug TEXT UNIQUE)";
    let mut world = World::new(schema, FULL);
    world.server.define("items", &["id", "slug"], Rules { unique: vec!["slug".to_owned()], ..Rules::default() });
    world.server.put("items", &[("id", "1"), ("slug", "\"a\"")]);
    world.server.put("items", &[("id", "2"), ("slug", "\"b\"")]);
    world.pull("{}").unwrap();
    world.exec("DELETE FROM items WHERE id = 1; INSERT INTO items VALUES (3, 'a'), (4, 'd')");
    assert_eq!(world.pushed(), ["items 2/0/1/0/0"]);
    assert_eq!(remote(&world, "items", &["id", "slug"]), ["2|b", "3|a", "4|d"]);
    // Another row has the unique value, so the user must decide.
    world.exec("INSERT INTO items VALUES (5, 'taken'), (6, 'f')");
    world.server.put("items", &[("id", "9"), ("slug", "\"taken\"")]);
    assert_eq!(world.pushed(), ["items 1/0/0/0/1"]);
    assert_eq!(world.outbox(), ["insert items Integer(5) id,slug (refused)"]);
}

#[test]
fn each_policy_decides_conflicts_that_the_guard_finds() {
    for (policy, expected, outcome) in [
        ("keep-local", "mine", "items 0/1/0/1/0"),
        ("remote-wins", "theirs", "items 0/0/0/1/0"),
        ("last-write-wins", "theirs", "items 0/0/0/1/0"),
    ] {
        for cursor in [true, false] {
            if !cursor && policy == "last-write-wins" {
                continue;
            }
            let cursor = if cursor { r#""cursor":"updated_at","# } else { "" };
            let mut world = world(&format!(r#"[{{"table":"items",{cursor}"conflict":"{policy}"}}]"#), &[1, 2]);
            world.exec("UPDATE items SET name = 'mine' WHERE id = 1; UPDATE items SET price = '9.99' WHERE id = 2");
            world.sim.advance(1_000_000_000_000);
            world.server.change("items", "1", &[("name", "\"theirs\""), ("price", "3.00")]);
            world.server.change("items", "2", &[("name", "\"theirs\"")]);
            let both = outcome.replace("0/0/0/1", "0/1/0/2").replace("0/1/0/1", "0/2/0/2");
            assert_eq!(world.pushed(), [both], "{policy} {cursor}");
            let row = format!("1|{expected}|3.00");
            assert_eq!(remote(&world, "items", &["id", "name", "price"]), [row, "2|theirs|9.99".to_owned()]);
            in_step(&mut world);
            let log = entries::conflicts(&world.host.connection, 10).unwrap();
            assert_eq!(log.len(), 2);
            let name = |cells: &Option<Cells>| cells.as_ref().unwrap()[1].1.clone();
            let first = log.iter().find(|conflict| conflict.key[0].1 == Value::Integer(1)).unwrap();
            assert_eq!(
                [name(&first.base), name(&first.local), name(&first.remote), name(&first.result)],
                ["remote", "mine", "theirs", expected].map(Value::from)
            );
        }
    }
}

#[test]
fn the_later_write_wins_by_the_value_that_it_wrote() {
    let tables = r#"[{"table":"items","cursor":"updated_at","conflict":"last-write-wins"}]"#;
    for (local, expected) in [("2099-01-01T00:00:00Z", "mine"), ("2001-01-01T00:00:00Z", "theirs")] {
        let world = World::new(ITEMS, tables);
        world.server.define("items", &COLUMNS, Rules::default());
        let mut world = pulled(world, &[]);
        world.server.put(
            "items",
            &[("id", "1"), ("name", "\"r\""), ("price", "1"), ("updated_at", "\"2020-01-01T00:00:00Z\"")],
        );
        world.pull("{}").unwrap();
        world.exec(&format!("UPDATE items SET name = 'mine', updated_at = '{local}' WHERE id = 1"));
        world.server.put(
            "items",
            &[("id", "1"), ("name", "\"theirs\""), ("price", "1"), ("updated_at", "\"2022-01-01T00:00:00Z\"")],
        );
        world.push().unwrap();
        assert_eq!(names(&world), [format!("1|{expected}")]);
        in_step(&mut world);
    }
}

#[test]
fn a_function_decides_with_base_local_and_remote() {
    let tables = r#"[{"table":"items","cursor":"updated_at","conflict":"function"}]"#;
    for at_pull in [true, false] {
        let mut world = world(tables, &[1, 2, 3, 4]);
        *world.host.decide.borrow_mut() = Some(Rc::new(|conflict| {
            let price =
                |cells: &Option<Cells>| -> f64 { cells.as_ref().unwrap()[2].1.as_text().unwrap().parse().unwrap() };
            match conflict.key[0].1 {
                Value::Integer(1) => {
                    let sum = price(&conflict.local) + price(&conflict.remote) - price(&conflict.base);
                    Some(Cells(vec![("price".to_owned(), Value::from(format!("{sum:.2}")))]))
                }
                Value::Integer(2) => None,
                // Deleted on one side and changed on the other: the function keeps the row.
                _ => conflict.local.or(conflict.remote),
            }
        }));
        world.exec(
            "UPDATE items SET price = '2.50' WHERE id = 1; UPDATE items SET name = 'mine' WHERE id IN (2, 4);
             DELETE FROM items WHERE id = 3",
        );
        world.server.change("items", "1", &[("price", "4.50")]);
        world.server.change("items", "2", &[("name", "\"theirs\"")]);
        world.server.change("items", "3", &[("name", "\"theirs\"")]);
        world.server.remove("items", "4");
        if at_pull {
            world.pull("{}").unwrap();
        }
        world.push().unwrap();
        assert_eq!(
            remote(&world, "items", &["id", "name", "price"]),
            ["1|remote|5.50", "3|theirs|1.50", "4|mine|1.50"],
            "at pull: {at_pull}"
        );
        in_step(&mut world);
    }
}

#[test]
fn deleted_on_one_side_and_changed_on_the_other_is_set_aside() {
    for policy in ["keep-local", "last-write-wins"] {
        let mut world =
            world(&format!(r#"[{{"table":"items","cursor":"updated_at","conflict":"{policy}"}}]"#), &[1, 2, 3]);
        world.exec("DELETE FROM items WHERE id = 1; UPDATE items SET name = 'mine' WHERE id = 2; INSERT INTO items(id, name) VALUES (8, 'mine')");
        world.server.change("items", "1", &[("name", "\"theirs\"")]);
        world.server.remove("items", "2");
        world.server.change("items", "8", &[("name", "\"theirs\"")]);
        assert_eq!(world.pushed(), ["items 0/0/0/3/3"]);
        let all = [
            "delete items Integer(1)  (conflict)",
            "update items Integer(2) name (conflict)",
            "insert items Integer(8) id,name,price,updated_at (conflict)",
        ];
        let mut outbox = world.outbox();
        outbox.sort_by_key(|line| line.split("Integer(").nth(1).map(str::to_owned));
        assert_eq!(outbox, all);
        let ids = |world: &World| world.rows("SELECT id FROM tidelock_outbox ORDER BY key");
        // After a retry the local change wins; after a discard the remote's row returns.
        let mut decided = ids(&world);
        for id in std::mem::take(&mut decided) {
            world.retry(id.parse().unwrap());
        }
        world.push().unwrap();
        assert_eq!(names(&world), ["2|mine", "3|remote", "8|mine"]);
        in_step(&mut world);
    }
    let mut world = world(CURSOR, &[1, 2, 3]);
    world.exec("DELETE FROM items WHERE id = 1; UPDATE items SET name = 'mine' WHERE id = 2; INSERT INTO items(id, name) VALUES (8, 'mine')");
    world.server.change("items", "1", &[("name", "\"theirs\"")]);
    world.server.remove("items", "2");
    world.server.change("items", "8", &[("name", "\"theirs\"")]);
    world.push().unwrap();
    for id in world.rows("SELECT id FROM tidelock_outbox") {
        world.discard(id.parse().unwrap()).unwrap();
    }
    assert_eq!(world.rows("SELECT id, name FROM items"), ["1|theirs", "3|remote", "8|theirs"]);
    in_step(&mut world);
}

#[test]
fn soft_deletes_mark_the_row() {
    for flag in [false, true] {
        let tables = r#"[{"table":"items","cursor":"updated_at","deleted":"gone"}]"#;
        let world = World::new(ITEMS, tables);
        let flag = flag.then(|| "gone".to_owned());
        world.server.define("items", &["id", "name", "price", "updated_at", "gone"], Rules { flag, ..stamped() });
        let mut world = pulled(world, &[1, 2, 3]);
        world.exec("DELETE FROM items WHERE id IN (1, 2)");
        assert_eq!(world.pushed(), ["items 0/0/2/0/0"]);
        let marked = world.server.rows("items").iter().filter(|row| row["gone"] != "null").count();
        assert_eq!((world.server.rows("items").len(), marked), (3, 2));
        assert_eq!(world.pull("{}").unwrap().tables[0].rejected, 0);
        assert_eq!(world.rows("SELECT id FROM items"), ["3"]);
    }
}

#[test]
fn row_security_that_ignores_a_write_refuses_it() {
    let world = World::new(ITEMS, CURSOR);
    let frozen: Rc<dyn Fn(&Row) -> bool> = Rc::new(|row| row["id"] == "1" || row["id"] == "2");
    world.server.define("items", &COLUMNS, Rules { frozen: Some(frozen), ..stamped() });
    let mut world = pulled(world, &[1, 2, 3]);
    world.exec("UPDATE items SET name = 'x' WHERE id IN (1, 3); DELETE FROM items WHERE id = 2");
    assert_eq!(world.pushed(), ["items 0/1/0/0/2"]);
    assert_eq!(world.outbox(), ["update items Integer(1) name (refused)", "delete items Integer(2)  (refused)"]);
}

#[test]
fn a_row_whose_key_a_hidden_one_has_is_refused_until_it_is_deleted() {
    let mut world = world(CURSOR, &[1]);
    let hidden: Rc<dyn Fn(&Row) -> bool> = Rc::new(|row| row["id"] == "5");
    world.server.define("items", &COLUMNS, Rules { hidden: Some(hidden), ..stamped() });
    world.server.put("items", &[("id", "5"), ("name", "\"theirs\"")]);
    world.exec("INSERT INTO items(id, name) VALUES (5, 'mine')");
    assert_eq!(world.pushed(), ["items 0/0/0/0/1"]);
    assert_eq!(world.outbox(), ["insert items Integer(5) id,name,price,updated_at (refused)"]);
    world.exec("DELETE FROM items WHERE id = 5");
    world.push().unwrap();
    assert_eq!(world.outbox(), Vec::<String>::new());
    assert_eq!(remote(&world, "items", &["id", "name"]).last().unwrap(), "5|theirs");
}

#[test]
fn columns_that_the_remote_lacks_are_found_out_also_when_it_is_empty() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, note TEXT, more TEXT)";
    let mut world = World::new(schema, FULL);
    world.server.define("items", &["id", "name"], Rules::default());
    world.exec("INSERT INTO items VALUES (1, 'a', 'local', 'm'), (2, 'b', NULL, 'm')");
    assert_eq!(world.pushed(), ["items 2/0/0/0/0"]);
    assert_eq!(names(&world), ["1|a", "2|b"]);
    let waiting = "(remote_column_missing)";
    assert_eq!(
        world.outbox(),
        [format!("update items Integer(1) note,more {waiting}"), format!("update items Integer(2) more {waiting}")],
        "what the remote has no column for waits"
    );
    world.exec("UPDATE items SET note = 'mine' WHERE id = 1");
    let report = world.pull(r#"{"full":true}"#).unwrap();
    assert_eq!((report.tables[0].updated, report.tables[0].conflicts), (0, 0));
    assert_eq!(world.rows("SELECT note FROM items"), ["mine", "∅"]);
    // The server's migration comes later: waiting changes are pushed without another opening.
    world.server.alter("items", |rules, rows| {
        rules.columns.push("note".to_owned());
        rows.iter_mut().for_each(|row| _ = row.insert("note".to_owned(), "null".to_owned()));
    });
    assert_eq!(world.pushed(), ["items 0/1/0/0/0"]);
    assert_eq!(world.server.rows("items")[0]["note"], "\"mine\"");
    assert_eq!(
        world.outbox(),
        [format!("update items Integer(1) more {waiting}"), format!("update items Integer(2) more {waiting}")]
    );
    let mut world = World::new(schema, r#"[{"table":"items","columns":["name","note"]}]"#);
    world.server.define("items", &["id", "name"], Rules::default());
    world.exec("INSERT INTO items VALUES (1, 'a', 'local', 'm')");
    fails(world.push(), ErrorCode::SyncSchemaMismatch);
    assert_eq!(world.outbox().len(), 1);
}

#[test]
fn a_cursor_that_the_remote_got_since_is_used_by_the_first_push() {
    let mut world = World::new(ITEMS, FULL);
    world.server.define("items", &["id", "name", "price"], Rules::default());
    world.server.put("items", &[("id", "1"), ("name", "\"remote\""), ("price", "null")]);
    world.pull("{}").unwrap();
    let reopened = format!(r#"{{"url":"http://server","key":"k","tables":{CURSOR}}}"#);
    world.reopen(&reopened);
    world.exec("UPDATE items SET name = 'mine'");
    fails(world.push(), ErrorCode::SyncSchemaMismatch);
    assert_eq!(world.outbox(), ["update items Integer(1) name"], "still missing");
    world.server.alter("items", |rules, rows| {
        rules.columns.push("updated_at".to_owned());
        rules.stamp = Some("updated_at".to_owned());
        rows.iter_mut().for_each(|row| _ = row.insert("updated_at".to_owned(), "null".to_owned()));
    });
    assert_eq!(world.pushed(), ["items 0/1/0/0/0"]);
    world.pull("{}").unwrap();
    in_step(&mut world);
}

#[test]
fn one_table_in_trouble_does_not_hold_up_the_others() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE other(id INTEGER PRIMARY KEY)";
    let mut world = World::new(schema, r#"[{"table":"items"},{"table":"other"}]"#);
    world.server.define("other", &["id"], Rules::default());
    world.exec("INSERT INTO items VALUES (1, 'a'); INSERT INTO other VALUES (1)");
    let error = fails(world.push(), ErrorCode::SyncSchemaMismatch);
    assert_eq!(error.details["table"], "items".into());
    assert_eq!(world.server.rows("other").len(), 1);
    assert_eq!(world.outbox(), ["insert items Integer(1) id,name"]);
}

#[test]
fn tables_that_are_only_written_are_never_read() {
    let schema = "CREATE TABLE log(id TEXT PRIMARY KEY, line TEXT)";
    let mut world = World::new(schema, r#"[{"table":"log","direction":"push"}]"#);
    let hidden: Rc<dyn Fn(&Row) -> bool> = Rc::new(|_| false);
    world.server.define("log", &["id", "line"], Rules { hidden: Some(hidden), ..Rules::default() });
    world.exec("INSERT INTO log VALUES ('a', '1'), ('b', '2')");
    world.server.fault(Fault::Lost);
    assert_eq!(world.pushed(), ["log 2/0/0/0/0"]);
    world.exec("UPDATE log SET line = '3' WHERE id = 'a'; DELETE FROM log WHERE id = 'b'");
    assert_eq!(world.pushed(), ["log 0/1/1/0/0"]);
    assert_eq!(remote(&world, "log", &["id", "line"]), ["a|3"]);
    assert!(requests(&world).iter().all(|request| !request.starts_with("GET")));
}

#[test]
fn rows_go_into_a_table_that_lets_them_be_inserted_only() {
    let schema = "CREATE TABLE log(id TEXT PRIMARY KEY, line TEXT)";
    let mut world = World::with(schema, PUSHED_LOG);
    let refuses = vec![Method::Get, Method::Patch, Method::Delete];
    world.server.define("log", &["id", "line"], Rules { refuses, ..Rules::default() });
    world.exec("INSERT INTO log VALUES ('a', '1'), ('b', '2')");
    assert_eq!(world.pushed(), ["log 2/0/0/0/0"]);
    assert_eq!(remote(&world, "log", &["id", "line"]), ["a|1", "b|2"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn new_rows_with_values_in_different_columns_go_in_one_request() {
    let mut world = world(CURSOR, &[]);
    world.exec("INSERT INTO items(id, name, price) VALUES (1, 'a', '1.50'), (2, NULL, '2.50'), (3, 'c', NULL), (4, NULL, NULL)");
    assert_eq!(world.pushed(), ["items 4/0/0/0/0"]);
    assert_eq!(requests(&world).iter().filter(|request| request.starts_with("POST items")).count(), 1);
    in_step(&mut world);
}

#[test]
fn a_lost_answer_of_a_server_that_rewrites_values_is_no_conflict() {
    for pull_first in [false, true] {
        let world = World::new(ITEMS, CURSOR);
        let lower: Rewrite = |json| json.to_lowercase();
        world.server.define("items", &COLUMNS, Rules { rewrites: vec![("name".to_owned(), lower)], ..stamped() });
        let mut world = pulled(world, &[1]);
        world.exec("UPDATE items SET name = 'Mine' WHERE id = 1; INSERT INTO items(id, name) VALUES (2, 'New')");
        (0..40).for_each(|_| world.server.fault(Fault::Lost));
        fails(world.push(), ErrorCode::SyncNetwork);
        world.server.clear_faults();
        if pull_first {
            world.pull("{}").unwrap();
        }
        world.push().unwrap();
        assert_eq!(names(&world), ["1|mine", "2|new"]);
        in_step(&mut world);
        assert!(entries::conflicts(&world.host.connection, 10).unwrap().is_empty(), "pull first: {pull_first}");
    }
}

#[test]
fn an_edit_after_a_lost_answer_is_sent_where_nothing_is_read() {
    let schema = "CREATE TABLE log(id TEXT PRIMARY KEY, line TEXT)";
    let mut world = World::with(schema, PUSHED_LOG);
    world.server.define("log", &["id", "line"], Rules::default());
    world.exec("INSERT INTO log VALUES ('a', '1')");
    for line in ["2", "3"] {
        world.server.fault(Fault::Lost);
        fails(world.push(), ErrorCode::SyncNetwork);
        world.exec(&format!("UPDATE log SET line = '{line}'"));
    }
    world.push().unwrap();
    assert_eq!(remote(&world, "log", &["id", "line"]), ["a|3"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn whichever_try_arrived_the_last_edit_follows_where_nothing_is_read() {
    let schema = "CREATE TABLE log(id TEXT PRIMARY KEY, line TEXT)";
    for (arrived, last) in [0, 1, 2].into_iter().flat_map(|try_| ["1", "2", "3", "NULL"].map(|last| (try_, last))) {
        let mut world = World::with(schema, PUSHED_LOG);
        world.server.define("log", &["id", "line"], Rules::default());
        world.exec("INSERT INTO log VALUES ('a', '1')");
        for (try_, line) in ["1", "2", "1"].into_iter().enumerate() {
            world.exec(&format!("UPDATE log SET line = '{line}'"));
            world.server.fault(if try_ == arrived { Fault::Lost } else { Fault::Drop });
            fails(world.push(), ErrorCode::SyncNetwork);
        }
        world.exec(&format!("UPDATE log SET line = {last}"));
        world.push().unwrap();
        let shown = if last == "NULL" { "null" } else { last };
        assert_eq!(remote(&world, "log", &["id", "line"]), [format!("a|{shown}")], "try {arrived} arrived");
        assert_eq!(world.outbox(), Vec::<String>::new());
    }
}

#[test]
fn a_row_comes_back_after_its_lost_deletion_where_nothing_is_read() {
    let schema = "CREATE TABLE log(id TEXT PRIMARY KEY, line TEXT, more TEXT)";
    for tries in [[Fault::Lost, Fault::Drop], [Fault::Drop, Fault::Lost], [Fault::Lost, Fault::Lost]] {
        let mut world = World::with(schema, PUSHED_LOG);
        world.server.define("log", &["id", "line", "more"], Rules::default());
        world.exec("INSERT INTO log VALUES ('a', '1', 'x')");
        world.push().unwrap();
        world.exec("DELETE FROM log");
        for (number, fault) in tries.iter().enumerate() {
            world.server.fault(fault.clone());
            fails(world.push(), ErrorCode::SyncNetwork);
            world.exec(&format!("INSERT OR REPLACE INTO log VALUES ('a', '2 {number}', NULL)"));
        }
        world.push().unwrap();
        assert_eq!(remote(&world, "log", &["id", "line", "more"]), ["a|2 1|null"], "{tries:?}");
        assert_eq!(world.outbox(), Vec::<String>::new());
    }
}

#[test]
fn rows_of_an_unknown_try_exchange_unique_values_where_nothing_is_read() {
    let schema = "CREATE TABLE log(id TEXT PRIMARY KEY, slug TEXT UNIQUE)";
    let mut world = World::with(schema, PUSHED_LOG);
    world.server.define("log", &["id", "slug"], Rules { unique: vec!["slug".to_owned()], ..Rules::default() });
    world.exec("INSERT INTO log VALUES ('a', 's'), ('b', 't')");
    for fault in [Fault::Drop, Fault::Lost] {
        world.server.fault(fault);
        fails(world.push(), ErrorCode::SyncNetwork);
        world.exec(
            "UPDATE log SET slug = NULL WHERE id = 'a'; UPDATE log SET slug = iif(slug = 's', 't', 's') WHERE id = 'b'",
        );
        world.exec("UPDATE log SET slug = (SELECT iif(slug = 's', 't', 's') FROM log WHERE id = 'b') WHERE id = 'a'");
    }
    world.push().unwrap();
    assert_eq!(remote(&world, "log", &["id", "slug"]), ["a|s", "b|t"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

#[test]
fn another_unique_value_in_the_way_is_no_lost_answer() {
    let schema = "CREATE TABLE log(id TEXT PRIMARY KEY, slug TEXT UNIQUE)";
    let mut world = World::with(schema, PUSHED_LOG);
    world.server.define("log", &["id", "slug"], Rules { unique: vec!["slug".to_owned()], ..Rules::default() });
    world.exec("INSERT INTO log VALUES ('a', 's')");
    world.push().unwrap();
    world.exec("UPDATE log SET id = 'b'");
    world.server.fault(Fault::Drop);
    fails(world.push(), ErrorCode::SyncNetwork);
    world.push().unwrap();
    assert_eq!(remote(&world, "log", &["id", "slug"]), ["b|s"]);
}

#[test]
fn the_key_of_a_lost_answer_is_told_by_the_columns_that_the_server_names() {
    for (details, left) in [("Key (id)=(1)", 0), ("Schlüssel »(id)=(1)«", 0), ("Key (name)=(x)", 1), ("", 1)] {
        let mut world = World::with("CREATE TABLE log(id INTEGER PRIMARY KEY, name TEXT)", PUSHED_LOG);
        world.server.define("log", &["id", "name"], Rules::default());
        world.exec("INSERT INTO log VALUES (1, 'x')");
        world.server.fault(Fault::Lost);
        world.push().unwrap_err();
        let body = r#"{"code":"23505","message":"duplicate key value violates unique constraint \"log_once\"""#;
        let body = format!(r#"{body},"details":"{details} already exists."}}"#);
        world.server.fault(Fault::Status(409, vec![], body));
        world.push().unwrap();
        assert_eq!(world.outbox().len(), left, "{details}");
    }
}

#[test]
fn what_was_changed_after_a_refusal_does_not_hide_the_refused_change() {
    let mut world = world(CURSOR, &[1]);
    world.server.alter("items", |rules, _| rules.check = Some(Rc::new(|row| row["price"] != "-1")));
    world.exec("UPDATE items SET price = -1");
    assert_eq!(world.pushed(), ["items 0/0/0/0/1"]);
    world.exec("UPDATE items SET name = 'mine'");
    world.server.change("items", "1", &[("name", "\"mine\"")]);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT name, price FROM items"), ["mine|-1"]);
    assert_eq!(world.outbox(), ["update items Integer(1) price (refused)"]);
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET price = 7");
    world.retry(tidelock::sync::outbox::entries::rejected(&world.host.connection).unwrap()[0].id);
    world.push().unwrap();
    assert_eq!(remote(&world, "items", &["name", "price"]), ["mine|7"]);
}

#[test]
fn rows_that_were_there_before_are_queued_by_hand() {
    let schema = format!("{ITEMS}; INSERT INTO items(id, name) VALUES (1, 'old'), (2, 'old'), (3, 'old')");
    let mut world = World::new(&schema, CURSOR);
    world.server.define("items", &COLUMNS, stamped());
    world.server.max_rows(1);
    for id in ["2", "8", "9"] {
        world.server.change("items", id, &[("name", "\"remote\"")]);
    }
    assert_eq!(world.pushed(), ["items 0/0/0/0/0"]);
    world.exec("UPDATE items SET name = 'edited' WHERE id = 3");
    assert_eq!(world.enqueue("items"), 1);
    assert_eq!(world.enqueue("items"), 0);
    assert_eq!(world.outbox()[1], "insert items Integer(1) id,name,price,updated_at");
    world.push().unwrap();
    assert!(names(&world).contains(&"1|old".to_owned()));
}

#[test]
fn a_token_that_was_refused_is_renewed_once_for_all_requests() {
    let remote = format!(r#"{{"url":"http://server","key":"k","hasAccessToken":true,"tables":{CURSOR}}}"#);
    let world = World::with(ITEMS, &remote);
    world.server.define("items", &COLUMNS, stamped());
    let mut world = pulled(world, &[1, 2, 3, 4, 5, 6, 7, 8]);
    world.exec("UPDATE items SET name = 'x' || id");
    let asked = world.host.tokens_asked.get();
    (0..6).for_each(|_| world.server.fault(Fault::Status(401, vec![], r#"{"code":"PGRST303"}"#.to_owned())));
    assert_eq!(world.pushed(), ["items 0/8/0/0/0"]);
    assert_eq!(world.host.tokens_asked.get() - asked, 2);
    world.exec("UPDATE items SET name = 'y'");
    (0..50).for_each(|_| world.server.fault(Fault::Status(401, vec![], "{}".to_owned())));
    fails(world.push(), ErrorCode::SyncUnauthorized);
    assert_eq!(world.outbox().len(), 8);
}

#[test]
fn composite_keys_and_other_types_leave_exactly() {
    let schema = "CREATE TABLE t(a TEXT, b INTEGER, on_off BOOLEAN, raw BLOB, doc JSON TEXT, tags ARRAY TEXT, f REAL, plain TEXT,
        PRIMARY KEY(b, a)) WITHOUT ROWID";
    let columns = ["a", "b", "on_off", "raw", "doc", "tags", "f", "plain"];
    let mut world = World::new(schema, r#"[{"table":"t"}]"#);
    world.server.define("t", &columns, Rules { key: vec!["b".to_owned(), "a".to_owned()], ..Rules::default() });
    world.exec(
        r#"INSERT INTO t VALUES ('x,"y"', 1, 1, x'00ff', '{"n":12345678901234567890}', '["a",null]', 1e300, '{"plain":1}'),
           ('b', 1, 0, x'', 'null', '[]', 0.1, 'text'), ('c', 2, NULL, NULL, NULL, NULL, NULL, NULL)"#,
    );
    assert_eq!(world.pushed(), ["t 3/0/0/0/0"]);
    let row = world.server.rows("t").into_iter().find(|row| row["b"] == "1" && row["a"].contains('x')).unwrap();
    let cells: Vec<&str> = columns.iter().map(|column| row[*column].as_str()).collect();
    assert_eq!(
        cells,
        [
            r#""x,\"y\"""#,
            "1",
            "true",
            r#""\\x00ff""#,
            r#"{"n":12345678901234567890}"#,
            r#"["a",null]"#,
            "1e300",
            r#""{\"plain\":1}""#
        ]
    );
    world.exec("UPDATE t SET f = 2.5 WHERE b = 1; DELETE FROM t WHERE a = 'c'");
    assert_eq!(world.pushed(), ["t 0/2/1/0/0"]);
    world.exec("DELETE FROM t");
    assert_eq!(world.pushed(), ["t 0/0/2/0/0"]);
    assert!(world.server.rows("t").is_empty());
    world.exec("INSERT INTO t(a, b, doc) VALUES ('z', 1, '{nonsense')");
    assert_eq!(world.pushed(), ["t 0/0/0/0/1"]);
}

#[test]
fn text_that_came_as_json_goes_back_as_json() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, doc TEXT)";
    let mut world = World::new(schema, FULL);
    world.server.define("items", &["id", "doc"], Rules::default());
    world.server.put("items", &[("id", "1"), ("doc", r#"{"a": 1}"#)]);
    world.pull("{}").unwrap();
    world.exec(r#"UPDATE items SET doc = '{"a":2}'; INSERT INTO items VALUES (2, 'plain')"#);
    world.push().unwrap();
    assert_eq!(remote(&world, "items", &["doc"]), ["plain", "{a:2}"]);
    assert_eq!(world.server.rows("items")[0]["doc"], r#"{"a":2}"#);
}

#[test]
fn keys_that_change_are_deleted_and_inserted() {
    let mut world = world(CURSOR, &[1, 2]);
    world.exec("UPDATE items SET id = 7 WHERE id = 1; INSERT OR REPLACE INTO items(id, name) VALUES (2, 'replaced')");
    assert_eq!(world.pushed(), ["items 1/1/1/0/0"]);
    assert_eq!(names(&world), ["2|replaced", "7|remote"]);
    in_step(&mut world);
}

#[test]
fn changes_of_a_restored_image_can_be_made_again() {
    let mut world = world(CURSOR, &[1, 2, 3]);
    world.exec("UPDATE items SET name = 'x' WHERE id = 1; DELETE FROM items WHERE id = 2; INSERT INTO items(id, name) VALUES (9, 'n')");
    tidelock::sync::outbox::entries::quarantine_restored(&world.host.connection).unwrap();
    world.push().unwrap();
    assert_eq!(names(&world), ["1|remote", "2|remote", "3|remote"], "never sent by themselves");
    world.server.change("items", "1", &[("price", "7.00")]);
    world.pull(r#"{"full":true}"#).unwrap();
    for id in world.rows("SELECT id FROM tidelock_outbox") {
        world.retry(id.parse().unwrap());
    }
    assert_eq!(world.outbox().len(), 3);
    world.push().unwrap();
    assert_eq!(remote(&world, "items", &["id", "name", "price"]), ["1|x|7.00", "3|remote|1.50", "9|n|null"]);
    in_step(&mut world);
}

#[test]
fn progress_and_status_tell_how_far_it_is() {
    let mut world = world(CURSOR, &[1]);
    world.exec("UPDATE items SET name = 'x'; INSERT INTO items(id) VALUES (2), (3)");
    let seen = Rc::new(std::cell::RefCell::new(Vec::new()));
    let (sync, host, sink) = (world.sync.clone(), world.host.clone(), seen.clone());
    world.sim.run(async move {
        let tell: tidelock::engine::sync::single_flight::OnProgress =
            Box::new(move |step| sink.borrow_mut().push(step));
        sync.push(&*host, Some(tell)).await.unwrap();
    });
    let seen = seen.borrow();
    assert_eq!(seen.iter().map(|step| (step.rows, step.total)).collect::<Vec<_>>(), [(2, Some(3)), (3, Some(3))]);
    assert!(seen[0].bytes > 0);
    let status = &world.sync.status(&world.host.connection).unwrap()[0];
    assert!(status.last_pushed_at.is_some() && status.pending == 0);
}

#[test]
fn a_column_that_was_added_since_is_sent_too() {
    let mut world = world(FULL, &[1, 2]);
    world.exec("UPDATE items SET name = 'x'");
    world
        .host
        .connection
        .atomically(|connection| {
            tidelock::sync::outbox::capture::suspend(connection)?;
            connection.exec("ALTER TABLE items ADD COLUMN note TEXT")?;
            tidelock::sync::outbox::capture::resume(connection)
        })
        .unwrap();
    world.exec("UPDATE items SET note = 'mine' WHERE id = 1");
    world.server.define("items", &["id", "name", "price", "updated_at", "note"], stamped());
    for id in ["1", "2"] {
        world.server.change("items", id, &[("note", "null")]);
    }
    world.push().unwrap();
    assert_eq!(remote(&world, "items", &["id", "name", "note"]), ["1|x|mine", "2|x|null"]);
    assert_eq!(world.rows("SELECT id, name, note FROM items"), ["1|x|mine", "2|x|∅"]);
    assert_eq!(world.outbox(), Vec::<String>::new());
}

/// Creates parents and children with keys of the type uuid, which the server writes in lower case.
fn with_uuids() -> World {
    let schema = "CREATE TABLE parents(id TEXT PRIMARY KEY, name TEXT, own TEXT, updated_at TEXT);
         CREATE TABLE children(id TEXT PRIMARY KEY, parent TEXT REFERENCES parents ON DELETE CASCADE, updated_at TEXT)";
    let tables = r#"[{"table":"parents","cursor":"updated_at","columns":["name","updated_at"]},
        {"table":"children","cursor":"updated_at"}]"#;
    let world = World::new(schema, tables);
    let kinds = |columns: &[&str]| columns.iter().map(|column| ((*column).to_owned(), Kind::Uuid)).collect();
    let rules = Rules { kinds: kinds(&["id"]), ..stamped() };
    world.server.define("parents", &["id", "name", "updated_at"], rules);
    let parents = vec![("parent".to_owned(), "parents".to_owned())];
    let rules = Rules { kinds: kinds(&["id", "parent"]), parents, ..stamped() };
    world.server.define("children", &["id", "parent", "updated_at"], rules);
    world
}

const UPPER: &str = "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11";
const LOWER: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

#[test]
fn a_row_takes_its_key_as_the_server_spells_it_with_all_that_refers_to_it() {
    let mut world = with_uuids();
    world.exec(&format!(
        "INSERT INTO parents(id, name, own) VALUES ('{UPPER}', 'first', 'kept');
         INSERT INTO children(id, parent) VALUES ('B' || substr('{UPPER}', 2), '{UPPER}')"
    ));
    world.push().unwrap();
    let child = format!("b{}", &LOWER[1..]);
    for _ in 0..2 {
        assert_eq!(world.rows("SELECT id, name, own FROM parents"), [format!("{LOWER}|first|kept")]);
        assert_eq!(world.rows("SELECT id, parent FROM children"), [format!("{child}|{LOWER}")]);
        assert!(world.outbox().is_empty());
        world.pull("{}").unwrap();
    }
    world.exec("UPDATE parents SET name = 'second'");
    assert_eq!(world.pushed(), ["parents 0/1/0/0/0", "children 0/0/0/0/0"]);
    assert_eq!(world.server.rows("parents")[0]["name"], "\"second\"");
}

#[test]
fn a_row_that_came_under_another_spelling_becomes_one_with_the_one_that_was_sent() {
    for deleted in [false, true] {
        let mut world = with_uuids();
        world.exec(&format!("INSERT INTO parents(id, name, own) VALUES ('{UPPER}', 'first', 'kept')"));
        world.server.fault(Fault::Lost);
        (0..8).for_each(|_| world.server.fault(Fault::Drop));
        world.push().unwrap_err();
        world.server.clear_faults();
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT count(*) FROM parents"), ["2"], "nothing says yet that they are the same");
        world.exec(&format!("INSERT INTO children(id, parent) VALUES ('{UPPER}', '{LOWER}')"));
        if deleted {
            world.exec("DELETE FROM children");
            world.exec(&format!("DELETE FROM parents WHERE id = '{UPPER}'"));
        } else {
            world.exec(&format!("UPDATE parents SET name = 'second' WHERE id = '{LOWER}'"));
            world.exec(&format!("UPDATE parents SET own = 'mine' WHERE id = '{UPPER}'"));
        }
        for _ in 0..2 {
            world.push().unwrap();
            world.pull("{}").unwrap();
            assert!(world.outbox().is_empty(), "{:?}", world.outbox());
        }
        let parents = world.rows("SELECT id, name, own FROM parents");
        let children = world.rows("SELECT id, parent FROM children");
        if deleted {
            assert_eq!((parents.len(), children.len(), world.server.rows("parents").len()), (0, 0, 0));
        } else {
            assert_eq!(parents, [format!("{LOWER}|second|mine")]);
            assert_eq!(children, [format!("{LOWER}|{LOWER}")]);
            assert_eq!(world.server.rows("parents")[0]["name"], "\"second\"");
        }
    }
}

#[test]
fn another_row_that_came_under_the_key_of_a_deleted_one_stays_the_only_one() {
    let mut world = with_uuids();
    world.exec("CREATE UNIQUE INDEX names ON parents(name)");
    world.exec(&format!("INSERT INTO parents(id, name) VALUES ('{UPPER}', 'mine')"));
    (0..8).for_each(|_| world.server.fault(Fault::Drop));
    world.push().unwrap_err();
    world.server.clear_faults();
    world.exec(&format!("DELETE FROM parents WHERE id = '{UPPER}'"));
    let cells =
        |cells: &[(&str, &str)]| cells.iter().map(|(name, text)| (name.to_string(), format!("\"{text}\""))).collect();
    let other = world.server.begin();
    let key: Row = cells(&[("id", LOWER)]);
    assert!(world.server.write_row("parents", &key, &cells(&[("name", "theirs")]), None, &other));
    assert!(world.server.write_row("children", &key, &cells(&[("parent", LOWER)]), None, &other));
    world.server.end(other);
    world.pull("{}").unwrap();
    world.push().unwrap();
    assert!(world.outbox().is_empty(), "{:?}", world.outbox());
    let other = world.server.begin();
    assert!(world.server.write_row("parents", &key, &cells(&[("name", "changed")]), None, &other));
    world.server.end(other);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, name FROM parents"), [format!("{LOWER}|changed")]);
    assert_eq!(world.rows("SELECT id, parent FROM children"), [format!("{LOWER}|{LOWER}")]);
    assert!(world.outbox().is_empty(), "{:?}", world.outbox());
}

#[test]
fn a_discarded_row_that_is_gone_here_does_not_come_under_a_second_spelling() {
    let mut world = with_uuids();
    let other = world.server.begin();
    let row = |cells: &[(&str, &str)]| -> Row {
        cells.iter().map(|(name, text)| (name.to_string(), format!("\"{text}\""))).collect()
    };
    let key = row(&[("id", LOWER)]);
    assert!(world.server.write_row("parents", &key, &row(&[("name", "theirs")]), None, &other));
    assert!(world.server.write_row("children", &key, &row(&[("parent", LOWER)]), None, &other));
    world.server.end(other);
    world.exec(&format!("INSERT INTO parents(id, name) VALUES ('{UPPER}', 'mine')"));
    world.server.alter("parents", |rules, _| rules.refuses = vec![Method::Post]);
    world.push().unwrap();
    world.exec("DELETE FROM parents");
    world.pull("{}").unwrap();
    let refused = entries::rejected(&world.host.connection).unwrap();
    world.discard(refused[0].id).unwrap();
    assert_eq!(world.rows("SELECT id, name FROM parents"), [format!("{LOWER}|theirs")]);
    assert!(world.outbox().is_empty(), "{:?}", world.outbox());
}

#[test]
fn a_row_of_a_table_that_is_never_read_gets_its_key_by_the_answer_to_its_children() {
    let schema = "CREATE TABLE parents(id TEXT PRIMARY KEY, name TEXT);
         CREATE TABLE children(id INTEGER PRIMARY KEY, parent TEXT REFERENCES parents DEFERRABLE INITIALLY DEFERRED)";
    let mut world = World::new(schema, r#"[{"table":"parents","direction":"push"},{"table":"children"}]"#);
    let kinds = |column: &str| std::iter::once((column.to_owned(), Kind::Uuid)).collect();
    world.server.define("parents", &["id", "name"], Rules { kinds: kinds("id"), ..Rules::default() });
    let parents = vec![("parent".to_owned(), "parents".to_owned())];
    world.server.define("children", &["id", "parent"], Rules { kinds: kinds("parent"), parents, ..Rules::default() });
    world.exec(&format!("INSERT INTO parents VALUES ('{UPPER}', 'p'); INSERT INTO children VALUES (1, '{UPPER}')"));
    world.push().unwrap();
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, name FROM parents"), [format!("{LOWER}|p")]);
    assert_eq!(world.rows("SELECT id, parent FROM children"), [format!("1|{LOWER}")]);
    assert!(world.outbox().is_empty());
}

#[test]
fn two_rows_that_are_one_to_the_server_keep_the_values_of_both() {
    let schema = "CREATE TABLE days(id TEXT PRIMARY KEY, name TEXT)";
    for (spelled, reason) in [
        (["2026-2-1", "2026-02-01"], "conflict"),
        (["2026-02-01", "2026-2-1"], "conflict"),
        // Spellings that tidelock doesn't recognise as equal.
        (["2026-2-1", "20260201"], "refused"),
    ] {
        let mut world = World::new(schema, r#"[{"table":"days"}]"#);
        let kinds = std::iter::once(("id".to_owned(), Kind::Date)).collect();
        world.server.define("days", &["id", "name"], Rules { kinds, ..Rules::default() });
        for (id, name) in spelled.iter().zip(["first", "second"]) {
            world.exec(&format!("INSERT INTO days VALUES ('{id}', '{name}')"));
        }
        world.push().unwrap();
        world.push().unwrap();
        assert_eq!(remote(&world, "days", &["id", "name"]), ["2026-02-01|first"]);
        assert_eq!(world.rows("SELECT name FROM days WHERE name = 'second'"), ["second"], "{spelled:?}");
        let outbox = world.outbox();
        assert!(outbox.len() == 1 && outbox[0].contains(reason), "{spelled:?} {outbox:?}");
    }
}

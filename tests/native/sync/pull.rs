//! Pulling by merge: every row arrives exactly once despite network faults, and local changes stay.

use std::{cell::RefCell, rc::Rc};

use tidelock::{ErrorCode, Value, ports::sim::Sim, sync::status::SyncPhase};

use crate::{
    sync::host::{World, counts, fails, only},
    sync::model::{Fault, Row, Server},
    sync::model_writes::Rules,
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price NUMERIC TEXT, updated_at TEXT)";
const FULL: &str = r#"[{"table":"items"}]"#;
const CURSOR: &str = r#"[{"table":"items","cursor":"updated_at"}]"#;

fn put(world: &World, id: u64, name: &str, updated_at: &str) {
    world.server.put_row("items", item(id, name, updated_at));
}

fn item(id: u64, name: &str, updated_at: &str) -> Row {
    let cells = [
        ("id", id.to_string()),
        ("name", format!("\"{name}\"")),
        ("price", "12345678901234567890.10".to_owned()),
        ("updated_at", format!("\"{updated_at}\"")),
    ];
    cells.into_iter().map(|(name, json)| (name.to_owned(), json)).collect()
}

fn stamp(n: u64) -> String {
    format!("2025-12-{:02}T00:{:02}:{:02}.{:06}+00:00", 1 + n / 3600 % 28, n / 60 % 60, n % 60, n % 1_000_000)
}

/// Changes a row and sets its `updated_at` to now.
fn touch(world: &World, id: u64, name: &str) {
    let now = world.server.now().to_string().replace('Z', "+00:00");
    put(world, id, name, &now);
}

#[test]
fn everything_arrives_past_the_cap_and_a_second_pull_changes_nothing() {
    for tables in [FULL, CURSOR] {
        let mut world = World::new(ITEMS, tables);
        // Half of them share a timestamp: the key breaks the ties.
        let rows = (0..2_500).map(|n| item(9_007_199_254_740_993 + n, &format!("n {n}"), &stamp(n / 2)));
        world.server.change_rows("items", |all| all.extend(rows));
        world.server.max_rows(700);
        let report = world.pull("{}").unwrap();
        assert_eq!(only(&report), "2500/0/0/0/0/0/0");
        assert_eq!(report.tables[0].pages, 4);
        assert_eq!(
            world.rows("SELECT count(*), min(id), max(id), min(price) FROM items"),
            ["2500|9007199254740993|9007199254743492|12345678901234567890.10"]
        );
        let before = world.host.connection.total_changes();
        world.sim.advance(120_000);
        let report = world.pull("{}").unwrap();
        let unchanged = if tables == FULL { "0/0/0/2500/0/0/0" } else { "0/0/0/0/0/0/0" };
        assert_eq!(only(&report), unchanged);
        assert!(world.host.connection.total_changes() - before < 20, "only bookkeeping is written");
        assert!(world.host.committed.borrow().iter().all(|table| table == "items"));
    }
}

#[test]
fn changes_are_found_by_the_cursor_alone() {
    let mut world = World::new(ITEMS, CURSOR);
    for n in 0..50 {
        put(&world, n, "old", &stamp(n));
    }
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    touch(&world, 7, "new");
    touch(&world, 99, "added");
    world.server.take_requests();
    assert_eq!(only(&world.pull("{}").unwrap()), "1/1/0/0/0/0/0");
    assert_eq!(world.rows("SELECT id, name FROM items WHERE name <> 'old' ORDER BY id"), ["7|new", "99|added"]);
    assert_eq!(world.server.take_requests().len(), 1, "the NULL cursors and the changes");
}

#[test]
fn rows_committed_late_are_found_inside_the_overlap() {
    for shows_date in [true, false] {
        let mut world = World::new(ITEMS, CURSOR);
        world.server.shows_date(shows_date);
        touch(&world, 1, "first");
        let late = world.server.now().plus_ms(-30_000).to_string();
        world.pull("{}").unwrap();
        put(&world, 2, "its transaction began before the first row's", &late);
        assert_eq!(only(&world.pull("{}").unwrap()), "1/0/0/1/0/0/0", "date: {shows_date}");
    }
}

#[test]
fn rows_without_a_cursor_value_are_always_read() {
    let mut world = World::new(ITEMS, CURSOR);
    world.server.put("items", &[("id", "1"), ("name", "\"a\""), ("price", "1"), ("updated_at", "null")]);
    put(&world, 2, "b", &stamp(5));
    assert_eq!(only(&world.pull("{}").unwrap()), "2/0/0/0/0/0/0");
    world.sim.advance(600_000);
    world.server.put("items", &[("id", "1"), ("name", "\"A\""), ("price", "1"), ("updated_at", "null")]);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/0/0/0/0/0");
}

#[test]
fn every_fault_is_retried_and_nothing_is_lost() {
    let faults: &[Fault] = &[
        Fault::Drop,
        Fault::Timeout,
        Fault::Cut(0.0),
        Fault::Cut(0.5),
        Fault::Cut(0.999),
        Fault::Status(429, vec![("retry-after", "3".to_owned())], "{}".to_owned()),
        Fault::Status(500, vec![], r#"{"code":"57014"}"#.to_owned()),
        Fault::Status(500, vec![], r#"{"code":"40P01"}"#.to_owned()),
        Fault::Status(503, vec![("retry-after", "0".to_owned())], String::new()),
        Fault::Status(504, vec![], "gateway".to_owned()),
        Fault::Status(413, vec![], String::new()),
    ];
    for fault in faults {
        for position in 0..5 {
            let mut world = World::new(ITEMS, CURSOR);
            world.server.max_rows(100);
            (0..250).for_each(|n| put(&world, n, "x", &stamp(n / 3)));
            (0..position).for_each(|_| world.server.fault(Fault::None));
            world.server.fault(fault.clone());
            assert_eq!(only(&world.pull("{}").unwrap()), "250/0/0/0/0/0/0", "{fault:?} at {position}");
        }
    }
}

#[test]
fn what_does_not_heal_is_a_typed_error_after_the_retries() {
    let status = |status, body: &str| Fault::Status(status, vec![], body.to_owned());
    for (fault, code, requests) in [
        (Fault::Drop, ErrorCode::SyncNetwork, 3),
        (Fault::Timeout, ErrorCode::SyncNetwork, 3),
        (Fault::Cut(0.5), ErrorCode::SyncNetwork, 3),
        (status(503, ""), ErrorCode::SyncServer, 3),
        (status(429, ""), ErrorCode::SyncServer, 3),
        (status(200, "<html>login</html>"), ErrorCode::SyncProtocol, 1),
        (status(200, "{}"), ErrorCode::SyncProtocol, 1),
        (status(403, r#"{"code":"42501"}"#), ErrorCode::SyncRejected, 1),
        (status(401, r#"{"code":"PGRST301"}"#), ErrorCode::SyncUnauthorized, 1),
        (status(404, r#"{"code":"PGRST205"}"#), ErrorCode::SyncSchemaMismatch, 1),
        (Fault::Status(429, vec![("retry-after", "3600".to_owned())], String::new()), ErrorCode::SyncServer, 1),
    ] {
        let remote = format!(r#"{{"url":"http://server/rest/v1","key":"k","retries":2,"tables":{FULL}}}"#);
        let mut world = World::with(ITEMS, &remote);
        put(&world, 1, "a", &stamp(1));
        (0..10).for_each(|_| world.server.fault(fault.clone()));
        let error = fails(world.pull("{}"), code);
        assert_eq!(world.server.take_requests().len(), requests, "{error}");
        assert!(error.message.contains("items") || error.details.contains_key("table"), "{error:?}");
        assert_eq!(world.host.events.borrow().last().unwrap().error.as_ref().unwrap().code, code);
        assert_eq!(world.sync.last_error().unwrap().code, code);
        // The stored error of the table is equal, including code, hint and details.
        assert_eq!(world.sync.status(&world.host.connection).unwrap()[0].last_error, world.sync.last_error());
    }
}

#[test]
fn the_server_decides_how_long_to_wait() {
    let mut world = World::new(ITEMS, FULL);
    put(&world, 1, "a", &stamp(1));
    world.server.fault(Fault::Status(429, vec![("retry-after", "7".to_owned())], String::new()));
    let before = world.server.now();
    world.pull("{}").unwrap();
    let took = world.server.now().since(before);
    assert!((7_000..7_500).contains(&took), "{took}");
}

#[test]
fn a_refused_token_is_renewed_once() {
    let remote = format!(r#"{{"url":"http://server","key":"k","hasAccessToken":true,"tables":{FULL}}}"#);
    let expired = || Fault::Status(401, vec![], r#"{"code":"PGRST303"}"#.to_owned());
    let mut world = World::with(ITEMS, &remote);
    put(&world, 1, "a", &stamp(1));
    *world.host.token.borrow_mut() = Some("fresh".to_owned());
    world.server.fault(expired());
    world.pull("{}").unwrap();
    assert_eq!(world.host.tokens_asked.get(), 2);
    let authorization = |headers: &[(String, String)]| {
        headers.iter().filter(|(name, _)| name == "authorization").map(|(_, value)| value.clone()).collect::<Vec<_>>()
    };
    assert_eq!(authorization(&world.server.take_requests()[0].headers), ["Bearer fresh"]);
    world.server.fault(expired());
    world.server.fault(expired());
    fails(world.pull("{}"), ErrorCode::SyncUnauthorized);
    assert_eq!(world.host.tokens_asked.get(), 4);
}

#[test]
fn too_large_answers_are_asked_for_in_smaller_pages() {
    let mut world = World::new(ITEMS, FULL);
    (0..1_000).for_each(|n| put(&world, n, "x", &stamp(n)));
    (0..3).for_each(|_| world.server.fault(Fault::Status(413, vec![], String::new())));
    world.pull("{}").unwrap();
    let limits: Vec<String> =
        world.server.take_requests().iter().map(|request| request.url.rsplit_once('=').unwrap().1.to_owned()).collect();
    assert_eq!(limits[..5], ["1000", "500", "250", "125", "125"]);
}

#[test]
fn a_pull_that_was_cut_goes_on_where_it_stopped() {
    for tables in [FULL, CURSOR] {
        let mut world = World::new(ITEMS, tables);
        (0..3_000).for_each(|n| put(&world, n, "x", &stamp(n / 3)));
        let skip = if tables == CURSOR { 3 } else { 2 };
        (0..skip).for_each(|_| world.server.fault(Fault::None));
        (0..6).for_each(|_| world.server.fault(Fault::Drop));
        fails(world.pull("{}"), ErrorCode::SyncNetwork);
        assert_eq!(world.rows("SELECT count(*) FROM items"), ["2000"]);
        let report = world.pull("{}").unwrap();
        assert_eq!(only(&report), "1000/0/0/0/0/0/0");
        assert!(report.tables[0].resumed);
        assert!(!world.pull("{}").unwrap().tables[0].resumed);
    }
}

#[test]
fn an_abort_keeps_whole_pages_and_leaves_everything_usable() {
    let mut world = World::new(ITEMS, FULL);
    (0..3_000).for_each(|n| put(&world, n, "x", &stamp(n)));
    for ms in [0, 10, 30, 50] {
        let (sync, host, clock) = (world.sync.clone(), world.host.clone(), world.sim.platform().clock);
        world.sim.run(async move {
            let pull = std::pin::pin!(sync.pull(&*host, Default::default(), None));
            let _aborted = futures_util::future::select(pull, clock.sleep(ms)).await;
        });
        let count: u64 = world.rows("SELECT count(*) FROM items")[0].parse().unwrap();
        assert_eq!(count % 1000, 0);
    }
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT count(*) FROM items"), ["3000"]);
    assert!(world.host.mutex.try_acquire().is_some(), "the mutex is free");
}

#[test]
fn pulls_wait_for_each_other() {
    let mut world = World::new(ITEMS, FULL);
    (0..10).for_each(|n| put(&world, n, "x", &stamp(n)));
    let (sync, host) = (world.sync.clone(), world.host.clone());
    let (first, second) = world.sim.run(async move {
        futures_util::future::join(
            sync.pull(&*host, Default::default(), None),
            sync.pull(&*host, Default::default(), None),
        )
        .await
    });
    assert_eq!((only(&first.unwrap()), only(&second.unwrap())), ("10/0/0/0/0/0/0".into(), "0/0/0/10/0/0/0".into()));
}

#[test]
fn local_edits_stay_and_the_other_columns_come() {
    let mut world = World::new(ITEMS, FULL);
    (1..=4).for_each(|n| put(&world, n, "remote", &stamp(n)));
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'mine' WHERE id IN (1, 2); DELETE FROM items WHERE id = 3; INSERT INTO items(id, name) VALUES (50, 'local')");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/1/3/0/0");
    // Row 2 changes at the remote, too: in another column, and in the same column.
    world.server.put("items", &[("id", "2"), ("name", "\"theirs\""), ("price", "7.00"), ("updated_at", "null")]);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/1/3/1/0");
    assert_eq!(
        world.rows("SELECT id, name, price FROM items ORDER BY id"),
        ["1|mine|12345678901234567890.10", "2|mine|7.00", "4|remote|12345678901234567890.10", "50|local|∅"]
    );
    assert_eq!(
        world.outbox(),
        [
            "update items Integer(1) name",
            "update items Integer(2) name",
            "delete items Integer(3) ",
            "insert items Integer(50) id,name,price,updated_at"
        ]
    );
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/1/3/0/0", "the same row is no conflict twice");
    // The remote gets the same value by itself: nothing is left to push.
    world.server.put("items", &[("id", "2"), ("name", "\"mine\""), ("price", "7.00"), ("updated_at", "null")]);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/2/2/0/0");
    assert_eq!(world.outbox().len(), 3);
}

#[test]
fn what_cannot_be_merged_is_set_aside_never_dropped() {
    let mut world = World::new(ITEMS, FULL);
    (1..=2).for_each(|n| put(&world, n, "remote", &stamp(n)));
    world.pull("{}").unwrap();
    world.exec("DELETE FROM items WHERE id = 1; INSERT INTO items(id, name) VALUES (9, 'mine')");
    put(&world, 1, "changed", &stamp(1));
    put(&world, 9, "another", &stamp(1));
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/1/2/2/2");
    assert_eq!(world.rows("SELECT id, name FROM items ORDER BY id"), ["2|remote", "9|mine"]);
    assert_eq!(
        world.outbox(),
        ["delete items Integer(1)  (conflict)", "insert items Integer(9) id,name,price,updated_at (conflict)"]
    );
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/1/2/0/0");
}

#[test]
fn remote_wins_takes_the_row_and_forgets_the_change() {
    let mut world = World::new(ITEMS, r#"[{"table":"items","conflict":"remote-wins"}]"#);
    (1..=3).for_each(|n| put(&world, n, "remote", &stamp(n)));
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'mine' WHERE id < 3; DELETE FROM items WHERE id = 3");
    put(&world, 1, "theirs", &stamp(1));
    put(&world, 3, "theirs", &stamp(1));
    assert_eq!(only(&world.pull("{}").unwrap()), "1/1/0/0/1/2/0");
    assert_eq!(world.rows("SELECT id, name FROM items"), ["1|theirs", "2|mine", "3|theirs"]);
    assert_eq!(world.outbox(), ["update items Integer(2) name"]);
}

#[test]
fn pulled_rows_are_not_captured_and_user_triggers_run() {
    let schema = format!(
        "{ITEMS}; CREATE TABLE log(x); CREATE TRIGGER t AFTER INSERT ON items BEGIN INSERT INTO log VALUES (NEW.id); END"
    );
    let mut world = World::new(&schema, r#"[{"table":"items"},{"table":"log","primaryKey":"x","direction":"push"}]"#);
    put(&world, 1, "a", &stamp(1));
    let report = world.pull("{}").unwrap();
    assert_eq!(report.tables.len(), 1, "a push-only table is never read");
    assert_eq!(world.rows("SELECT x FROM log"), ["1"]);
    assert!(world.outbox().is_empty());
}

#[test]
fn a_row_that_rolls_the_transaction_back_leaves_nothing_of_its_page() {
    let by_trigger = "CREATE TRIGGER refuse BEFORE INSERT ON items WHEN NEW.name = 'refused' \
        BEGIN SELECT RAISE(ROLLBACK, 'not this row'); END";
    let by_index = "CREATE TRIGGER refuse AFTER INSERT ON items WHEN NEW.name = 'refused' \
        BEGIN INSERT OR ROLLBACK INTO others VALUES (1); END";
    for (tables, mode) in [(FULL, "{}"), (CURSOR, "{}"), (FULL, r#"{"mode":"replace"}"#)] {
        for (refusal, refused) in [(by_trigger, 2), (by_trigger, 30), (by_index, 30)] {
            let mut world =
                World::new(&format!("{ITEMS}; CREATE TABLE others(n UNIQUE); INSERT INTO others VALUES (1)"), tables);
            put(&world, 1, "first", &stamp(1));
            world.pull(mode).unwrap();
            world.exec(refusal);
            for id in 2..=40 {
                put(&world, id, if id == refused { "refused" } else { "new" }, &stamp(id));
            }
            for _ in 0..2 {
                let error = fails(world.pull(mode), ErrorCode::SqliteConstraint);
                assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("ROLLBACK")), "{refusal}");
                assert_eq!(world.rows("SELECT id, name FROM items"), ["1|first"]);
                assert!(world.outbox().is_empty(), "{:?}", world.outbox());
            }
            world.exec("DROP TRIGGER refuse");
            world.pull(mode).unwrap();
            assert_eq!(world.rows("SELECT count(*), max(id) FROM items"), ["40|40"]);
            world.exec("UPDATE items SET name = 'mine' WHERE id = 3");
            assert_eq!(world.outbox(), ["update items Integer(3) name"]);
        }
    }
}

#[test]
fn soft_deleted_rows_go() {
    let tables = r#"[{"table":"items","cursor":"updated_at","deleted":"deleted_at"}]"#;
    let mut world = World::new(ITEMS, tables);
    let put = |world: &World, id: u64, deleted: &str| {
        let now = format!("\"{}\"", world.server.now());
        world.server.put(
            "items",
            &[
                ("id", &id.to_string()),
                ("name", "\"a\""),
                ("price", "1"),
                ("updated_at", &now),
                ("deleted_at", deleted),
            ],
        );
    };
    (1..=4).for_each(|n| put(&world, n, "null"));
    put(&world, 5, "\"2026-01-01T00:00:00Z\"");
    assert_eq!(only(&world.pull("{}").unwrap()), "4/0/0/1/0/0/0");
    world.exec("UPDATE items SET name = 'mine' WHERE id = 3; DELETE FROM items WHERE id = 4");
    world.sim.advance(600_000);
    (2..=4).for_each(|n| put(&world, n, "\"2026-01-01T00:00:00Z\""));
    // Rows 1 and 5 lie inside the overlap.
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/1/3/1/1/1");
    assert_eq!(world.rows("SELECT id FROM items"), ["1", "3"]);
    assert_eq!(world.outbox(), ["update items Integer(3) name (conflict)"]);
}

#[test]
fn a_soft_delete_column_has_times_or_flags() {
    for (deleted, gone) in [
        ("null", false),
        ("false", false),
        ("0", false),
        ("true", true),
        ("1", true),
        ("\"2026-01-01T00:00:00Z\"", true),
    ] {
        let mut world = World::new(ITEMS, r#"[{"table":"items","deleted":"deleted_at"}]"#);
        world.server.put("items", &[("id", "1"), ("name", "\"a\""), ("price", "1"), ("deleted_at", deleted)]);
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT id FROM items").is_empty(), gone, "{deleted}");
    }
}

#[test]
fn hard_deleted_rows_are_found_by_comparing() {
    for cursor in ["", r#""cursor":"updated_at","#] {
        let schema = format!("{ITEMS}; INSERT INTO items(id, name) VALUES (1000, 'there before it was synced')");
        let mut world = World::new(&schema, &format!(r#"[{{"table":"items",{cursor}"deleted":"compare"}}]"#));
        (1..=30).for_each(|n| put(&world, n, "remote", &stamp(n)));
        assert_eq!(only(&world.pull("{}").unwrap()), "30/0/0/0/0/0/0");
        world.exec("UPDATE items SET name = 'mine' WHERE id = 2; INSERT INTO items(id) VALUES (2000)");
        for id in ["1", "2", "3"] {
            world.server.remove("items", id);
        }
        world.sim.advance(600_000);
        let report = world.pull("{}").unwrap();
        assert_eq!(report.tables[0].deleted, 2);
        assert_eq!(world.rows("SELECT count(*) FROM items WHERE id IN (1, 2, 3, 1000, 2000)"), ["3"]);
        let report = world.pull("{}").unwrap();
        assert_eq!(report.tables[0].deleted, 0);
        // A row that is inserted again at the remote is pulled again.
        put(&world, 1, "back", &world.server.now().to_string());
        assert_eq!(world.pull("{}").unwrap().tables[0].inserted, 1);
    }
}

#[test]
fn while_the_number_of_rows_is_the_known_one_no_keys_are_listed() {
    let mut world = World::new(ITEMS, r#"[{"table":"items","cursor":"updated_at","deleted":"compare"}]"#);
    (1..=30).for_each(|n| put(&world, n, "remote", &stamp(n)));
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world.pull("{}").unwrap();
    world.server.take_requests();
    world.sim.advance(60_000);
    world.pull("{}").unwrap();
    let methods: Vec<&str> = world.server.take_requests().iter().map(|request| request.method.as_str()).collect();
    assert_eq!(methods, ["GET", "HEAD"]);
}

#[test]
fn a_row_that_only_its_unpushed_change_keeps_has_the_keys_listed_once() {
    for filter in ["", r#","filter":{"name":"eq.remote"}"#] {
        let table = format!(r#"[{{"table":"items","cursor":"updated_at","deleted":"compare"{filter}}}]"#);
        let mut world = World::new(ITEMS, &table);
        (1..=30).for_each(|n| put(&world, n, "remote", &stamp(n)));
        world.pull("{}").unwrap();
        world.exec("UPDATE items SET name = 'mine' WHERE id = 1");
        match filter {
            "" => world.server.remove("items", "1"),
            _ => world.server.change("items", "1", &[("name", "outside")]),
        }
        let mut pulled = |what: &str| {
            world.sim.advance(600_000);
            world.server.take_requests();
            let report = world.pull("{}").unwrap();
            assert_eq!(report.tables[0].deleted, 0, "{what} {filter}");
            world.server.take_requests().iter().map(|request| request.method.as_str()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(pulled("first"), "GET HEAD GET GET", "{filter}");
        assert_eq!(pulled("second"), "GET HEAD", "{filter}");
        // Another row is deleted there.
        world.server.remove("items", "2");
        world.sim.advance(600_000);
        assert_eq!(world.pull("{}").unwrap().tables[0].deleted, 1, "{filter}");
        // Without its change, the row goes at the next pull.
        world.exec("UPDATE items SET name = 'remote' WHERE id = 1");
        world.push().unwrap();
        world.sim.advance(600_000);
        assert_eq!(world.pull("{}").unwrap().tables[0].deleted, 1, "{filter}");
        assert_eq!(world.rows("SELECT count(*), min(id) FROM items"), ["28|3"], "{filter}");
    }
}

#[test]
fn a_key_that_calls_different_texts_equal_is_refused() {
    let mut world = World::new("CREATE TABLE tags(name TEXT COLLATE NOCASE PRIMARY KEY)", r#"[{"table":"tags"}]"#);
    let error = fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch);
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("NOCASE")), "{error}");
    assert!(world.server.take_requests().is_empty(), "found out before any request");
}

#[test]
fn keys_are_compared_in_whatever_order_tables_are_listed() {
    let schema = format!("{ITEMS}; CREATE TABLE countries(code TEXT PRIMARY KEY, name TEXT)");
    let compared = r#"{"table":"items","cursor":"updated_at","deleted":"compare"}"#;
    for (tables, cap) in [
        (format!(r#"[{compared},{{"table":"countries"}}]"#), 1000),
        (format!(r#"[{{"table":"countries"}},{compared}]"#), 1000),
        (format!(r#"[{compared},{{"table":"countries"}}]"#), 3),
    ] {
        let mut world = World::new(&schema, &tables);
        world.server.max_rows(cap);
        (1..=10).for_each(|n| put(&world, n, "remote", &stamp(n)));
        world.server.put("countries", &[("code", "\"pt\""), ("name", "\"Portugal\"")]);
        for round in 0..3_u64 {
            world.pull("{}").unwrap();
            assert_eq!(world.rows("SELECT count(*) FROM items"), [(10 - round).to_string()]);
            assert_eq!(world.rows("SELECT count(*) FROM countries"), ["1"]);
            world.server.remove("items", &(round + 1).to_string());
            world.sim.advance(600_000);
        }
    }
}

#[test]
fn tables_that_are_nothing_but_a_key_are_compared_too() {
    let schema = "CREATE TABLE tags(name TEXT, id INTEGER, PRIMARY KEY(id, name)) WITHOUT ROWID";
    let mut world = World::new(schema, r#"[{"table":"tags","cursor":"id","deleted":"compare"}]"#);
    for id in ["1", "2", "3"] {
        world.server.put("tags", &[("id", id), ("name", "\"x\"")]);
    }
    assert_eq!(only(&world.pull("{}").unwrap()), "3/0/0/0/0/0/0");
    world.server.remove("tags", "2");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/1/0/0/0/0");
    assert_eq!(world.rows("SELECT name, id FROM tags"), ["x|1", "x|3"]);
}

#[test]
fn an_empty_remote_deletes_nothing_unless_allowed() {
    for cursor in ["", r#""cursor":"updated_at","#] {
        let mut world = World::new(ITEMS, &format!(r#"[{{"table":"items",{cursor}"deleted":"compare"}}]"#));
        (1..=30).for_each(|n| put(&world, n, "remote", &stamp(n)));
        world.pull("{}").unwrap();
        world.server.hide(true);
        let error = fails(world.pull("{}"), ErrorCode::RemoteEmpty);
        assert_eq!((&error.details["deleted"], &error.details["rows"]), (&30_i64.into(), &30_i64.into()));
        assert_eq!(world.rows("SELECT count(*) FROM items"), ["30"]);
        world.server.hide(false);
        (1..=15).for_each(|n| world.server.remove("items", &n.to_string()));
        assert_eq!(world.pull("{}").unwrap().tables[0].deleted, 15, "half of them is not more than half");
        (16..=29).for_each(|n| world.server.remove("items", &n.to_string()));
        assert_eq!(world.pull("{}").unwrap().tables[0].deleted, 14, "small tables may lose all but one");
        world.server.remove("items", "30");
        fails(world.pull("{}"), ErrorCode::RemoteEmpty);
        assert_eq!(world.pull(r#"{"allowEmpty":true}"#).unwrap().tables[0].deleted, 1);
    }
}

#[test]
fn a_value_that_does_not_fit_stops_before_its_page() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price NUMERIC, updated_at TEXT)";
    let mut world = World::new(schema, FULL);
    put(&world, 1, "a", &stamp(1));
    let error = fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch);
    assert_eq!((&error.details["table"], &error.details["column"]), (&"items".into(), &"price".into()));
    assert!(error.hint.is_some());
    assert_eq!(world.rows("SELECT count(*) FROM items"), ["0"]);
}

#[test]
fn columns_that_only_one_side_has_are_left_alone() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, note TEXT DEFAULT 'own')";
    let mut world = World::new(schema, FULL);
    put(&world, 1, "a", &stamp(1));
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT * FROM items"), ["1|a|own"]);
    world.exec("UPDATE items SET note = 'mine'");
    assert_eq!(world.pushed(), ["items 0/0/0/0/0"]);
    assert_eq!(world.outbox(), ["update items Integer(1) note (remote_column_missing)"]);
    put(&world, 1, "b", &stamp(1));
    world.server.take_requests();
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/0/0/0/0/0");
    assert_eq!(world.server.take_requests().len(), 1, "it was asked once a session only");
    assert_eq!(world.rows("SELECT * FROM items"), ["1|b|mine"]);
    // The remote gets the column: the next opening finds it.
    world.server.put("items", &[("id", "1"), ("name", "\"b\""), ("note", "\"theirs\"")]);
    world.reopen(&format!(r#"{{"url":"http://server","key":"k","tables":{FULL}}}"#));
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT note FROM items"), ["mine"], "a pull leaves what waits for it alone");
    world.exec("UPDATE items SET note = 'more'");
    assert_eq!(world.outbox(), ["update items Integer(1) note"]);
}

#[test]
fn a_column_that_the_remote_gets_later_is_read_once_rows_change_or_after_ten_minutes() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT, note TEXT)";
    for changes in [true, false] {
        let mut world = World::new(schema, CURSOR);
        (1..=3).for_each(|id| put(&world, id, "a", &stamp(id)));
        world.pull("{}").unwrap();
        world.sim.advance(120_000);
        let migrated = |id: u64, name: &str, at: &str| {
            let (id, name, at) = (id.to_string(), format!("\"{name}\""), format!("\"{at}\""));
            world.server.put("items", &[("id", &id), ("name", &name), ("updated_at", &at), ("note", "\"new\"")]);
        };
        (1..=3).for_each(|id| migrated(id, "a", &stamp(id)));
        if changes {
            migrated(2, "b", &world.server.now().to_string());
            assert_eq!(only(&world.pull("{}").unwrap()), "0/1/0/0/0/0/0");
        } else {
            world.server.take_requests();
            world.pull("{}").unwrap();
            assert_eq!(world.server.take_requests().len(), 1, "the columns are not asked for again");
            world.sim.advance(600_000);
        }
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT note FROM items"), ["new", "new", "new"]);
    }
}

#[test]
fn what_only_this_side_has_makes_no_opening_read_all_rows() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT, note TEXT)";
    let mut world = World::new(schema, CURSOR);
    (1..=30).for_each(|id| put(&world, id, "a", &stamp(id)));
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world.reopen(&format!(r#"{{"url":"http://server","key":"k","tables":{CURSOR}}}"#));
    touch(&world, 7, "b");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/0/0/0/0/0");
}

#[test]
fn an_empty_table_that_lacks_a_column_is_read() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, note TEXT)";
    let mut world = World::new(schema, FULL);
    world.server.define("items", &["id", "name"], Rules::default());
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
}

#[test]
fn unknown_tables_and_columns_are_named() {
    let mut world = World::new(ITEMS, r#"[{"table":"items","columns":["id","name","updated_at"]}]"#);
    world.server.put("items", &[("id", "1"), ("name", "\"a\"")]);
    let error = fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch);
    assert!(error.message.contains("updated_at") && error.message.contains("items"), "{error}");
    let mut world = World::new(ITEMS, CURSOR);
    world.server.put("items", &[("id", "1"), ("name", "\"a\""), ("price", "1")]);
    assert_eq!(fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch).details["column"], "updated_at".into());
    let mut world = World::new(ITEMS, FULL);
    assert!(fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch).message.contains("items"));
    let mut world = World::new(ITEMS, r#"[{"table":"nowhere"}]"#);
    assert!(fails(world.pull("{}"), ErrorCode::SyncSchemaMismatch).message.contains("nowhere"));
    let mut world = World::new(ITEMS, FULL);
    fails(world.pull(r#"{"tables":["other"]}"#), ErrorCode::InvalidArgument);
}

#[test]
fn a_new_local_column_is_filled_from_the_beginning() {
    let mut world = World::new("CREATE TABLE items(id INTEGER PRIMARY KEY, updated_at TEXT)", CURSOR);
    (1..=3).for_each(|n| put(&world, n, "a", &stamp(n)));
    world.pull("{}").unwrap();
    world.sim.advance(600_000);
    world.exec("ALTER TABLE items ADD COLUMN name TEXT");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/3/0/0/0/0/0");
    assert_eq!(world.rows("SELECT id, name FROM items"), ["1|a", "2|a", "3|a"]);
}

#[test]
fn children_wait_for_their_parents_and_cycles_close() {
    let schema = "CREATE TABLE a(id INTEGER PRIMARY KEY, b INTEGER NOT NULL REFERENCES b);
        CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER REFERENCES a);
        CREATE TABLE tree(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES tree);
        CREATE TABLE child(id INTEGER PRIMARY KEY, tree INTEGER NOT NULL REFERENCES tree);";
    let mut world = World::new(schema, r#"[{"table":"child"},{"table":"a"},{"table":"tree"},{"table":"b"}]"#);
    world.server.put("a", &[("id", "1"), ("b", "2")]);
    world.server.put("a", &[("id", "5"), ("b", "404")]);
    world.server.put("b", &[("id", "2"), ("a", "1")]);
    for (id, parent) in [("1", "3"), ("2", "1"), ("3", "null"), ("4", "4"), ("6", "7"), ("7", "6")] {
        world.server.put("tree", &[("id", id), ("parent", parent)]);
    }
    world.server.put("child", &[("id", "1"), ("tree", "2")]);
    world.server.put("child", &[("id", "2"), ("tree", "99")]);
    let report = world.pull("{}").unwrap();
    let counted: Vec<String> = report.tables.iter().map(|table| format!("{} {}", table.table, counts(table))).collect();
    assert_eq!(counted, ["tree 6/0/0/0/0/0/0", "child 1/0/0/0/0/0/1", "b 1/0/0/0/0/0/0", "a 1/0/0/0/0/0/1"]);
    assert_eq!(world.rows("SELECT count(*) FROM tree"), ["6"]);
    // Once the missing parent arrives, its child is stored, too.
    world.server.put("tree", &[("id", "99"), ("parent", "null")]);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, tree FROM child"), ["1|2", "2|99"]);
}

#[test]
fn unique_values_may_change_hands() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE, own TEXT)";
    let mut world = World::new(schema, r#"[{"table":"items","columns":["slug"]}]"#);
    for (id, slug) in [("1", "\"a\""), ("2", "\"b\""), ("3", "\"c\"")] {
        world.server.put("items", &[("id", id), ("slug", slug)]);
    }
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET own = 'kept'");
    for (id, slug) in [("1", "\"b\""), ("2", "\"c\""), ("3", "\"a\"")] {
        world.server.put("items", &[("id", id), ("slug", slug)]);
    }
    assert_eq!(only(&world.pull("{}").unwrap()), "0/3/0/0/0/0/0");
    assert_eq!(world.rows("SELECT * FROM items"), ["1|b|kept", "2|c|kept", "3|a|kept"]);
    // A local row has the same unique value, so the remote's row waits.
    world.exec("INSERT INTO items(id, slug) VALUES (10, 'x')");
    world.server.put("items", &[("id", "4"), ("slug", "\"x\"")]);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/3/0/0/1");
    world.exec("UPDATE items SET slug = 'y' WHERE id = 10");
    assert_eq!(only(&world.pull("{}").unwrap()), "1/0/0/3/0/0/0");
}

#[test]
fn unique_values_change_hands_with_a_row_that_has_a_change() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE, name TEXT)";
    let mut world = World::new(schema, r#"[{"table":"items"}]"#);
    let put = |world: &World, slugs: [&str; 2]| {
        for (id, slug) in [("1", slugs[0]), ("2", slugs[1])] {
            world.server.put("items", &[("id", id), ("slug", &format!("\"{slug}\"")), ("name", "null")]);
        }
    };
    put(&world, ["a", "b"]);
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'mine' WHERE id = 1");
    put(&world, ["b", "a"]);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/0/0/1/1/0");
    assert_eq!(world.rows("SELECT * FROM items"), ["1|b|mine", "2|a|∅"]);
    assert_eq!(world.outbox(), ["update items Integer(1) name"]);
}

#[test]
fn a_deleted_parent_takes_its_children_but_no_unpushed_change() {
    let schema = "CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent ON DELETE CASCADE, name TEXT);";
    let tables = r#"[{"table":"parent","deleted":"compare"},{"table":"child","deleted":"compare"}]"#;
    let mut world = World::new(schema, tables);
    for id in ["1", "2", "3"] {
        world.server.put("parent", &[("id", id)]);
        world.server.put("child", &[("id", id), ("parent", id), ("name", "\"n\"")]);
    }
    world.pull("{}").unwrap();
    world.exec("UPDATE child SET name = 'mine' WHERE id = 2");
    for id in ["1", "2"] {
        world.server.remove("parent", id);
        world.server.remove("child", id);
    }
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id FROM parent"), ["2", "3"]);
    assert_eq!(world.rows("SELECT id FROM child"), ["2", "3"]);
    assert_eq!(world.outbox(), ["update child Integer(2) name", "delete parent Integer(2)  (unapplied)"]);
}

#[test]
fn the_database_belongs_to_one_user() {
    // {"sub":"u1"} and {"sub":"u2"}
    let (u1, u2) = ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MSJ9.x", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1MiJ9.x");
    let remote = format!(r#"{{"url":"http://server","key":"k","hasAccessToken":true,"tables":{FULL}}}"#);
    let mut world = World::with(ITEMS, &remote);
    world.server.table("items");
    world.pull("{}").unwrap();
    *world.host.token.borrow_mut() = Some(u1.to_owned());
    world.pull("{}").unwrap();
    // A push checks whether the remote has added the column meanwhile.
    world.exec(
        "INSERT INTO items(id) VALUES (9);
         UPDATE tidelock_outbox SET reason = 'remote_column_missing';
         UPDATE tidelock_tables SET missing = '[\"name\"]'",
    );
    world.server.take_requests();
    for other in [Some(u2.to_owned()), None] {
        *world.host.token.borrow_mut() = other;
        fails(world.pull("{}"), ErrorCode::SyncUserMismatch);
        fails(world.push(), ErrorCode::SyncUserMismatch);
    }
    assert!(world.server.take_requests().is_empty(), "found out before any request");
    world.reopen(&format!(r#"{{"url":"http://server","key":"k","userId":"u1","tables":{FULL}}}"#));
    world.pull("{}").unwrap();
    world.reopen(&format!(r#"{{"url":"http://server","key":"k","userId":"u2","tables":{FULL}}}"#));
    fails(world.pull("{}"), ErrorCode::SyncUserMismatch);
}

/// A world whose remote is PostgREST without a project's path before it, with one row.
fn over_bare_root() -> World {
    let sim = Sim::new(1);
    let server = Server::under(sim.platform().clock, "/");
    let remote = format!(r#"{{"url":"http://server:3000","key":"k","tables":{FULL}}}"#);
    let world = World::on(sim, server, ITEMS, &remote);
    put(&world, 1, "a", &stamp(1));
    world
}

#[test]
fn a_bare_postgrest_is_found_where_a_project_is_not() {
    let mut world = over_bare_root();
    assert_eq!(only(&world.pull("{}").unwrap()), "1/0/0/0/0/0/0");
    let paths: Vec<bool> =
        world.server.take_requests().iter().map(|request| request.url.contains("/rest/v1/")).collect();
    assert_eq!(paths, [false], "the question for the helpers has found the root");
    world.pull("{}").unwrap();
    assert!(!world.server.take_requests()[0].url.contains("/rest/v1/"), "it is remembered");
}

#[test]
fn a_sign_in_page_of_the_network_does_not_hide_where_postgrest_is() {
    let mut world = over_bare_root();
    world.server.helpers_may_fail();
    world.server.fault(Fault::Status(200, vec![], "<!doctype html><title>Sign in</title>".to_owned()));
    fails(world.pull("{}"), ErrorCode::SyncProtocol);
    assert_eq!(only(&world.pull("{}").unwrap()), "1/0/0/0/0/0/0");
}

#[test]
fn progress_tells_rows_total_and_bytes() {
    let mut world = World::new(ITEMS, CURSOR);
    (0..2_500).for_each(|n| put(&world, n, "x", &stamp(n)));
    world.server.put("items", &[("id", "9999"), ("name", "null"), ("price", "1"), ("updated_at", "null")]);
    let seen = Rc::new(RefCell::new(Vec::new()));
    let sink = seen.clone();
    let report = world.pull_with("{}", Some(Box::new(move |progress| sink.borrow_mut().push(progress)))).unwrap();
    let seen = seen.borrow();
    let rows: Vec<_> = seen.iter().map(|progress| (progress.rows, progress.total)).collect();
    assert_eq!(rows, [(1000, Some(2501)), (2000, Some(2501)), (2501, Some(2501))]);
    assert!(seen.windows(2).all(|pair| pair[0].bytes < pair[1].bytes));
    assert!(report.tables[0].bytes >= seen[2].bytes);
    assert_eq!(
        world
            .server
            .take_requests()
            .iter()
            .filter(|request| request.headers.iter().any(|(name, _)| name == "prefer"))
            .count(),
        2,
        "of all, and of what changed meanwhile"
    );
}

#[test]
fn keys_of_text_with_a_meaning_are_paged_through() {
    let mut world = World::new("CREATE TABLE items(id TEXT PRIMARY KEY) WITHOUT ROWID", r#"[{"table":"items"}]"#);
    let keys = ["a,b", "a.b", "a:b", "(a)", "a\\\\b", "a\\\"b", "a+b", "a&b=c", "é", "%2B", "a b", "Null", "*"];
    for key in keys {
        world.server.put("items", &[("id", &format!("\"{key}\""))]);
    }
    world.server.max_rows(1);
    assert_eq!(only(&world.pull("{}").unwrap()), "13/0/0/0/0/0/0");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/13/0/0/0");
}

#[test]
fn status_tells_how_each_table_stands() {
    let mut world = World::new(ITEMS, FULL);
    put(&world, 1, "a", &stamp(1));
    let status = world.sync.status(&world.host.connection).unwrap();
    assert_eq!((status[0].last_pulled_at.as_deref(), status[0].rows, status[0].lag_ms), (None, 0, None));
    world.pull("{}").unwrap();
    world.exec("UPDATE items SET name = 'x'");
    world.sim.advance(5_000);
    let status = world.sync.status(&world.host.connection).unwrap();
    assert_eq!((status[0].rows, status[0].pending, status[0].rejected, status[0].phase), (1, 1, 0, SyncPhase::Idle));
    assert_eq!(status[0].lag_ms, Some(5_000));
    assert_eq!(
        world.host.connection.value("SELECT count(*) FROM temp.tidelock_silent", &[]).unwrap(),
        Some(Value::Integer(0))
    );
}

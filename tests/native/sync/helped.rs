//! Pulls from a remote with tidelock's helpers: by transaction ids, and with tombstones.

use tidelock::{
    ErrorCode,
    sync::outbox::{capture, entries},
};

use crate::{
    sync::host::{World, counts, fails, only},
    sync::model::{Fault, Row},
    sync::model_writes::Rules,
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT)";
const REMOTE: &str =
    r#"{"url":"http://server","key":"k","pageSize":100,"tables":[{"table":"items","cursor":"updated_at"}]}"#;
const FAMILY: &str = "CREATE TABLE parents(id INTEGER PRIMARY KEY, name TEXT);
    CREATE TABLE children(id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parents ON DELETE CASCADE, mine TEXT)";

fn put(world: &World, id: u64, name: &str, xid: u64) {
    world.server.put_row("items", item(id, name, xid));
}

fn item(id: u64, name: &str, xid: u64) -> Row {
    let moment = "\"2025-12-01T00:00:00.000001+00:00\"".to_owned();
    let values =
        [("id", id.to_string()), ("name", format!("\"{name}\"")), ("updated_at", moment), ("_xid", xid.to_string())];
    values.into_iter().map(|(column, value)| (column.to_owned(), value)).collect()
}

fn state(cluster: &str, ceiling: u64, gone: &[&str]) -> String {
    let both = r#"{"xid":true,"tombstones":true}"#;
    format!(
        r#"{{"version":1,"cluster":"{cluster}","ceiling":"{ceiling}","tables":{{"items":{both},"parents":{both},"children":{both}}},"gone":[{}]}}"#,
        gone.join(",")
    )
}

/// Creates 250 items, pulled once.
fn pulled() -> World {
    let mut world = World::with(ITEMS, REMOTE);
    (1..=250).for_each(|id| put(&world, id, "old", 10 + id));
    world.server.set_helpers(Some(&state("c", 500, &[])));
    let report = world.pull("{}").unwrap();
    assert_eq!((report.tables[0].inserted, world.rows("SELECT count(*) FROM items")), (250, vec!["250".to_owned()]));
    world.server.take_requests();
    world.server.take_helper_calls();
    world
}

#[test]
fn a_quiet_table_takes_two_requests() {
    let mut world = pulled();
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
    assert_eq!(world.server.take_helper_calls(), ["?since=500"]);
    let requests = world.server.take_requests();
    assert_eq!(requests.len(), 1);
    assert!(
        requests[0].url.contains("select=id,name,updated_at,_xid&_xid=gte.500&order=_xid.asc,id.asc"),
        "{}",
        requests[0].url
    );
    // The next opening knows the helpers already.
    world.reopen(REMOTE);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
    assert_eq!((world.server.take_helper_calls().len(), world.server.take_requests().len()), (1, 1));
}

#[test]
fn a_table_that_was_dropped_and_created_again_gets_all_rows() {
    let mut world = pulled();
    world.exec(&format!("DROP TABLE items; {ITEMS}"));
    capture::resume(&world.host.connection).unwrap();
    assert_eq!(only(&world.pull("{}").unwrap()), "250/0/0/0/0/0/0");
    assert_eq!(world.server.take_helper_calls(), ["?since=500"]);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
}

#[test]
fn a_row_committed_long_after_its_transaction_began_is_found() {
    let mut world = pulled();
    // Transaction 480 is open: the ceiling stays there, while 501 is committed and read.
    world.server.set_helpers(Some(&state("c", 480, &[])));
    put(&world, 1, "by 501", 501);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/0/0/0/0/0");
    world.sim.advance(86_400_000);
    put(&world, 2, "by 480", 480);
    world.server.set_helpers(Some(&state("c", 502, &[])));
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/0/1/0/0/0", "and the other one comes again");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
}

#[test]
fn what_was_pushed_and_deleted_before_the_first_pull_goes_and_a_new_row_under_its_key_stays() {
    let mut world = World::with(ITEMS, REMOTE);
    world.server.define("items", &["id", "name", "updated_at"], Rules::default());
    world.server.install_helpers("items");
    world.exec("INSERT INTO items VALUES (1, 'a'), (2, 'b')");
    world.push().unwrap();
    let other = world.server.begin();
    for id in ["1", "2"] {
        assert!(world.server.delete_row("items", &Row::from([("id".to_owned(), id.to_owned())]), &other));
    }
    world.server.end(other);
    world.exec("DELETE FROM items WHERE id = 2");
    world.push().unwrap();
    world.exec("INSERT INTO items VALUES (2, 'new')");
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, name FROM items"), ["2|new"]);
    assert_eq!(world.outbox(), ["insert items Integer(2) id,name"]);
}

#[test]
fn what_is_gone_is_deleted_and_what_came_back_stays() {
    let mut world = pulled();
    for id in ["3", "4", "5"] {
        world.server.remove("items", id);
    }
    put(&world, 4, "back", 520);
    world.exec("UPDATE items SET name = 'mine' WHERE id = 5");
    let gone = [
        r#"["1","items",{"id":3},"510"]"#,
        r#"["2","items",{"id":4},"511"]"#,
        r#"["3","items",{"id":5},"511"]"#,
        r#"["4","items",{"id":99999},"512"]"#,
        r#"["5","items",{"id":6},"499"]"#,
        r#"["6","unknown",{"id":7},"512"]"#,
    ];
    world.server.set_helpers(Some(&state("c", 530, &gone)));
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/1/0/1/1/1");
    assert_eq!(world.rows("SELECT id, name FROM items WHERE id BETWEEN 3 AND 6"), ["4|back", "5|mine", "6|old"]);
    assert_eq!(world.outbox(), ["update items Integer(5) name (conflict)"]);
    world.server.set_helpers(Some(&state("c", 530, &[])));
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
}

#[test]
fn a_child_that_moved_to_another_parent_keeps_what_is_its_own() {
    let remote = r#"{"url":"http://server","key":"k","tables":[{"table":"parents","cursor":"_xid"},
        {"table":"children","cursor":"_xid","columns":["id","parent"]}]}"#;
    let mut world = World::with(FAMILY, remote);
    world.server.set_helpers(Some(&state("c", 100, &[])));
    let parent = |world: &World, id: &str, xid: &str| {
        world.server.put("parents", &[("id", id), ("name", "\"p\""), ("_xid", xid)]);
    };
    let child = |world: &World, id: &str, of: &str, xid: &str| {
        world.server.put("children", &[("id", id), ("parent", of), ("_xid", xid)]);
    };
    parent(&world, "1", "5");
    parent(&world, "2", "6");
    child(&world, "10", "1", "7");
    child(&world, "11", "1", "8");
    world.pull("{}").unwrap();
    world.exec("UPDATE children SET mine = 'note'");
    child(&world, "10", "2", "120");
    world.server.remove("children", "11");
    world.server.remove("parents", "1");
    let gone = [r#"["1","parents",{"id":1},"121"]"#, r#"["2","children",{"id":11},"121"]"#];
    world.server.set_helpers(Some(&state("c", 130, &gone)));
    let report = world.pull("{}").unwrap();
    assert_eq!(
        (counts(&report.tables[0]), counts(&report.tables[1])),
        ("0/0/1/0/0/0/0".into(), "0/1/1/0/0/0/0".into())
    );
    assert_eq!(world.rows("SELECT id, parent, mine FROM children"), ["10|2|note"]);
}

#[test]
fn tombstones_come_in_pages_and_the_first_ceiling_counts() {
    let mut world = pulled();
    let gone: Vec<String> = (0..1000).map(|n| format!(r#"["{n}","items",{{"id":{}}},"505"]"#, n + 1000)).collect();
    let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
    // The model repeats its answer, so the second page is full, too, until the answer is replaced.
    world.server.set_helpers_after(&state("c", 600, &gone), &state("c", 650, &[r#"["1000","items",{"id":9},"505"]"#]));
    world.server.remove("items", "9");
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/1/0/0/0/0");
    assert_eq!(world.server.take_helper_calls(), ["?since=500", "?since=500&after=999"]);
    world.pull("{}").unwrap();
    assert_eq!(world.server.take_helper_calls()[0], "?since=600");
}

#[test]
fn another_cluster_or_no_helpers_any_more_begin_anew() {
    let mut world = pulled();
    world.server.set_helpers(Some(&state("d", 20, &[r#"["1","items",{"id":1},"600"]"#])));
    assert_eq!(
        only(&world.pull("{}").unwrap()),
        "0/0/0/250/0/0/0",
        "all rows again, and no tombstone of other numbers"
    );
    world.server.set_helpers(None);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/250/0/0/0", "by the cursor");
    assert!(world.server.take_requests().iter().all(|request| !request.url.contains("_xid=gte.20&")));
    world.sim.advance(120_000);
    world.server.take_helper_calls();
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
    assert_eq!(world.server.take_helper_calls().len(), 1, "they may come back");
}

#[test]
fn a_new_row_whose_answer_was_lost_and_that_is_gone_since_does_not_come_back() {
    let mut world = pulled();
    world.server.define("items", &["id", "name", "updated_at", "_xid"], Rules::default());
    world.exec("INSERT INTO items(id, name) VALUES (1000, 'arrived'), (1001, 'arrived, too')");
    (0..6).for_each(|_| world.server.fault(Fault::Lost));
    fails(world.push(), ErrorCode::SyncNetwork);
    world.server.remove("items", "1000");
    world.server.set_helpers(Some(&state("c", 520, &[r#"["1","items",{"id":1000},"510"]"#])));
    assert_eq!(world.pushed(), ["items 1/0/0/1/1"]);
    assert_eq!(world.outbox(), ["insert items Integer(1000) id,name (conflict)"]);
    assert!(!world.server.rows("items").iter().any(|row| row["id"] == "1000"));
}

#[test]
fn a_project_without_helpers_is_asked_now_and_then() {
    let mut world = World::with(ITEMS, REMOTE);
    put(&world, 1, "a", 1);
    let calls = |world: &mut World, options: &str| {
        world.pull(options).unwrap();
        world.server.take_helper_calls().len()
    };
    assert_eq!((calls(&mut world, "{}"), calls(&mut world, "{}")), (1, 0));
    world.reopen(REMOTE);
    assert_eq!(calls(&mut world, "{}"), 0, "it was asked today");
    assert_eq!(calls(&mut world, r#"{"full":true}"#), 1);
    world.sim.advance(86_400_000);
    world.reopen(REMOTE);
    assert_eq!((calls(&mut world, "{}"), calls(&mut world, "{}")), (1, 0));
    world.sim.advance(86_400_000);
    world.reopen(REMOTE);
    world.server.set_helpers(Some(&state("c", 10, &[])));
    assert_eq!(calls(&mut world, "{}"), 1);
    assert_eq!(calls(&mut world, "{}"), 1);
}

#[test]
fn an_answer_about_the_helpers_that_was_cut_does_not_mean_that_there_are_none() {
    for share in [0.0, 0.3, 0.9] {
        let mut world = World::with(ITEMS, REMOTE);
        put(&world, 1, "a", 1);
        world.server.set_helpers(Some(&state("c", 10, &[])));
        world.server.helpers_may_fail();
        (0..6).for_each(|_| world.server.fault(Fault::Cut(share)));
        fails(world.pull("{}"), ErrorCode::SyncNetwork);
        world.server.fault(Fault::Cut(share));
        world.pull("{}").unwrap();
        world.server.take_helper_calls();
        world.pull("{}").unwrap();
        assert_eq!(world.server.take_helper_calls().len(), 1, "{share}");
    }
}

#[test]
fn an_answer_of_a_gateway_does_not_mean_that_there_are_no_helpers() {
    for (status, body) in [(404, "<html>not found</html>"), (404, "{}"), (403, "<html>blocked</html>")] {
        let mut world = World::with(ITEMS, REMOTE);
        put(&world, 1, "a", 1);
        world.server.set_helpers(Some(&state("c", 10, &[])));
        world.server.helpers_may_fail();
        world.server.fault(Fault::Status(status, vec![], body.to_owned()));
        world.pull("{}").unwrap();
        world.server.take_helper_calls();
        world.pull("{}").unwrap();
        assert_eq!(world.server.take_helper_calls().len(), 1, "{status} {body}");
    }
}

#[test]
fn a_pull_that_was_cut_loses_no_tombstone_and_goes_on() {
    let mut world = pulled();
    (1..=250).for_each(|id| put(&world, id, "new", 600 + id));
    world.server.set_helpers(Some(&state("c", 900, &[r#"["1","items",{"id":7},"610"]"#])));
    world.server.remove("items", "8");
    // Row 7 reappeared and is read before the interruption; row 8 stays deleted.
    world.server.fault(Fault::None);
    (0..6).for_each(|_| world.server.fault(Fault::Drop));
    fails(world.pull("{}"), ErrorCode::SyncNetwork);
    world.server.clear_faults();
    let gone = [r#"["1","items",{"id":7},"610"]"#, r#"["2","items",{"id":8},"910"]"#];
    world.server.set_helpers(Some(&state("c", 1000, &gone)));
    let report = world.pull("{}").unwrap();
    assert!(report.tables[0].resumed);
    assert_eq!(world.rows("SELECT count(*) FROM items WHERE name = 'new'"), ["249"]);
    // Tombstones were deferred until a pull has read all rows since the same transaction.
    world.server.take_helper_calls();
    assert_eq!(world.pull("{}").unwrap().tables[0].deleted, 1);
    assert_eq!(world.server.take_helper_calls(), ["?since=500"]);
    assert_eq!(world.rows("SELECT id FROM items WHERE id IN (7, 8)"), ["7"]);
    world.pull("{}").unwrap();
    assert_eq!(world.server.take_helper_calls(), ["?since=1000"]);
}

#[test]
fn no_deletion_is_lost_wherever_among_the_tables_a_pull_is_cut() {
    let schema = "CREATE TABLE parents(id INTEGER PRIMARY KEY, name TEXT); CREATE TABLE children(id INTEGER PRIMARY KEY, name TEXT)";
    let remote = r#"{"url":"http://server","key":"k","retries":0,"tables":[
        {"table":"parents","cursor":"_xid"},{"table":"children","cursor":"_xid"}]}"#;
    for (requests, updated) in [(0, false), (1, false), (1, true)] {
        let mut world = World::with(schema, remote);
        let put = |world: &World, table: &str, id: &str, xid: &str| {
            world.server.put(table, &[("id", id), ("name", "\"n\""), ("_xid", xid)]);
        };
        for id in ["1", "2", "3"] {
            put(&world, "parents", id, id);
            put(&world, "children", id, id);
        }
        world.server.set_helpers(Some(&state("c", 100, &[])));
        world.pull("{}").unwrap();
        world.server.remove("parents", "2");
        if updated {
            put(&world, "parents", "3", "122");
        }
        let gone = [r#"["1","parents",{"id":2},"121"]"#];
        world.server.set_helpers(Some(&state("c", 130, &gone)));
        (0..requests).for_each(|_| world.server.fault(Fault::None));
        world.server.fault(Fault::Drop);
        fails(world.pull("{}"), ErrorCode::SyncNetwork);
        assert_eq!(world.outbox(), [""; 0], "what is only noted is no row that doesn't fit");
        world.server.set_helpers(Some(&state("c", 140, &gone)));
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT id FROM parents"), ["1", "3"], "cut after {requests}");
    }
}

#[test]
fn a_row_that_comes_back_after_a_cut_stays() {
    let mut world = pulled();
    world.server.set_helpers(Some(&state("c", 530, &[r#"["1","items",{"id":3},"510"]"#])));
    world.server.remove("items", "3");
    (0..6).for_each(|_| world.server.fault(Fault::Drop));
    fails(world.pull("{}"), ErrorCode::SyncNetwork);
    world.server.clear_faults();
    put(&world, 3, "back", 540);
    world.server.set_helpers(Some(&state("c", 550, &[r#"["1","items",{"id":3},"510"]"#])));
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, name FROM items WHERE id = 3"), ["3|back"]);
}

#[test]
fn what_went_before_a_first_pull_goes_wherever_that_is_cut() {
    for requests in 0..10 {
        let mut world = World::with(ITEMS, &REMOTE.replace(r#""pageSize""#, r#""retries":0,"pageSize""#));
        world.server.define("items", &["id", "name", "updated_at"], Rules::default());
        (1..=250).for_each(|id| put(&world, id, "old", id));
        world.server.install_helpers("items");
        world.exec("INSERT INTO items VALUES (1000, 'a')");
        world.push().unwrap();
        let other = world.server.begin();
        assert!(world.server.delete_row("items", &Row::from([("id".to_owned(), "1000".to_owned())]), &other));
        world.server.end(other);
        (0..requests).for_each(|_| world.server.fault(Fault::None));
        (0..100).for_each(|_| world.server.fault(Fault::Drop));
        let cut = world.pull("{}");
        world.server.clear_faults();
        world.pull("{}").unwrap();
        world.pull("{}").unwrap();
        assert_eq!(world.rows("SELECT count(*), max(id) FROM items"), ["250|250"], "{requests} requests: {cut:?}");
    }
}

#[test]
fn what_goes_after_a_cut_is_found_by_a_pull_that_has_to_begin_anew() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, lacking TEXT)";
    let with_cursor = REMOTE.replace(r#""pageSize""#, r#""retries":0,"pageSize""#);
    let without = with_cursor.replace(r#","cursor":"updated_at""#, "");
    for (remote, first, requests) in [&with_cursor, &without]
        .into_iter()
        .flat_map(|remote| [true, false].into_iter().flat_map(move |first| (0..10).map(move |n| (remote, first, n))))
    {
        let mut world = World::with(schema, remote);
        world.server.define("items", &["id", "name", "updated_at"], Rules::default());
        (1..=250).for_each(|id| put(&world, id, "old", id));
        world.server.install_helpers("items");
        if !first {
            world.pull("{}").unwrap();
        }
        world.sim.advance(600_000);
        (0..requests).for_each(|_| world.server.fault(Fault::None));
        (0..100).for_each(|_| world.server.fault(Fault::Drop));
        let cut = world.pull(r#"{"full":true}"#);
        world.server.clear_faults();
        let other = world.server.begin();
        assert!(world.server.delete_row("items", &Row::from([("id".to_owned(), "1".to_owned())]), &other));
        world.server.end(other);
        // A new column requires reading all rows again.
        world.server.alter("items", |rules, rows| {
            rules.columns.push("lacking".to_owned());
            rows.iter_mut().for_each(|row| _ = row.insert("lacking".to_owned(), "null".to_owned()));
        });
        world.reopen(remote);
        world.pull("{}").unwrap();
        world.pull("{}").unwrap();
        let found = world.rows("SELECT count(*), min(id) FROM items");
        assert_eq!(found, ["249|2"], "first {first}, {requests} requests: {cut:?} {remote}");
    }
}

#[test]
fn what_goes_after_a_cut_is_found_by_the_first_pull_that_knows_the_helpers() {
    let with_cursor = REMOTE.replace(r#""pageSize""#, r#""retries":0,"pageSize""#);
    let without = with_cursor.replace(r#","cursor":"updated_at""#, "");
    for (remote, requests) in [&with_cursor, &without].into_iter().flat_map(|remote| (0..6).map(move |n| (remote, n))) {
        let mut world = World::with(ITEMS, remote);
        (1..=250).for_each(|id| put(&world, id, "old", id));
        world.pull("{}").unwrap();
        world.sim.advance(600_000);
        (0..requests).for_each(|_| world.server.fault(Fault::None));
        (0..100).for_each(|_| world.server.fault(Fault::Drop));
        let cut = world.pull("{}");
        world.server.clear_faults();
        world.server.remove("items", "5");
        world.server.set_helpers(Some(&state("c", 300, &[r#"["1","items",{"id":5},"290"]"#])));
        world.sim.advance(86_400_000);
        world.pull("{}").unwrap();
        world.pull("{}").unwrap();
        let found = world.rows("SELECT count(*) FROM items");
        assert_eq!(found, ["249"], "{requests} requests: {cut:?} {remote}");
    }
}

#[test]
fn a_full_pull_finds_what_went_long_ago() {
    let mut world = pulled();
    world.server.remove("items", "3");
    world.server.set_helpers(Some(&state("c", 530, &[r#"["1","items",{"id":3},"400"]"#])));
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0", "it was told before");
    world.server.take_helper_calls();
    assert_eq!(only(&world.pull(r#"{"full":true}"#).unwrap()), "0/0/1/249/0/0/0");
    assert_eq!(world.server.take_helper_calls(), ["?since=0"]);
}

#[test]
fn a_full_pull_that_is_cut_takes_no_row_for_gone_that_came_back_long_ago() {
    let gone = [r#"["1","items",{"id":3},"400"]"#, r#"["2","items",{"id":4},"400"]"#];
    for requests in 0..4 {
        let mut world = pulled();
        world.server.remove("items", "4");
        world.server.set_helpers(Some(&state("c", 530, &gone)));
        (0..requests).for_each(|_| world.server.fault(Fault::None));
        (0..100).for_each(|_| world.server.fault(Fault::Drop));
        fails(world.pull(r#"{"full":true}"#), ErrorCode::SyncNetwork);
        world.server.clear_faults();
        world.pull("{}").unwrap();
        world.pull("{}").unwrap();
        let there = world.rows("SELECT id FROM items WHERE id IN (3, 4)");
        assert_eq!(there[0], "3", "{requests} requests");
        world.pull(r#"{"full":true}"#).unwrap();
        assert_eq!(world.rows("SELECT id FROM items WHERE id IN (3, 4)"), ["3"], "{requests} requests");
    }
}

#[test]
fn a_full_read_is_helped_by_tombstones_without_a_cursor_too() {
    let mut world = World::with(ITEMS, &REMOTE.replace(r#","cursor":"updated_at""#, ""));
    (1..=150).for_each(|id| put(&world, id, "old", id));
    world.server.set_helpers(Some(&state("c", 200, &[])));
    world.pull("{}").unwrap();
    world.server.remove("items", "5");
    put(&world, 6, "back", 230);
    let gone = [r#"["1","items",{"id":5},"210"]"#, r#"["2","items",{"id":6},"220"]"#];
    world.server.set_helpers(Some(&state("c", 300, &gone)));
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/1/148/0/0/0");
    assert_eq!(world.rows("SELECT id, name FROM items WHERE id IN (5, 6)"), ["6|back"]);
}

#[test]
fn a_restored_image_hears_of_what_went_since() {
    let mut world = pulled();
    world.exec("UPDATE items SET name = 'mine' WHERE id = 9");
    entries::quarantine_restored(&world.host.connection).unwrap();
    world.server.remove("items", "3");
    world.server.set_helpers(Some(&state("c", 600, &[r#"["1","items",{"id":3},"550"]"#])));
    assert_eq!(only(&world.pull("{}").unwrap()), "0/1/1/248/0/0/0");
    assert_eq!(world.rows("SELECT id, name FROM items WHERE id IN (3, 9)"), ["9|old"]);
}

#[test]
fn a_parent_that_is_only_hidden_stays_with_children_that_have_no_tombstones() {
    let tables = r#"[{"table":"parents","deleted":"compare"},{"table":"children","columns":["parent"]}]"#;
    let mut world = World::new(FAMILY, tables);
    world.server.define("parents", &["id", "name"], Rules::default());
    world.server.define("children", &["id", "parent"], Rules::default());
    world.server.install_helpers("children");
    for id in ["1", "2"] {
        world.server.change("parents", id, &[("name", "\"p\"")]);
        let (other, key) = (world.server.begin(), Row::from([("id".to_owned(), id.to_owned())]));
        world.server.write_row("children", &key, &Row::from([("parent".to_owned(), id.to_owned())]), None, &other);
        world.server.end(other);
    }
    world.pull("{}").unwrap();
    let hidden: std::rc::Rc<dyn Fn(&Row) -> bool> = std::rc::Rc::new(|row| row["id"] == "1");
    world.server.alter("parents", |rules, _| rules.hidden = Some(hidden));
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id, parent FROM children"), ["1|1", "2|2"]);
    // Once the hidden parent has no children any more, it is deleted, too.
    let other = world.server.begin();
    world.server.delete_row("children", &Row::from([("id".to_owned(), "1".to_owned())]), &other);
    world.server.end(other);
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id FROM parents"), ["2"]);
    assert_eq!(world.rows("SELECT id FROM children"), ["2"]);
}

/// Creates 9000 pulled items, of which the remote deletes 8000.
fn many_deleted() -> World {
    let mut world = World::with(ITEMS, REMOTE);
    world.server.change_rows("items", |rows| rows.extend((1..=9_000).map(|id| item(id, "old", 10))));
    world.server.set_helpers(Some(&state("c", 500, &[])));
    world.pull("{}").unwrap();
    world.server.change_rows("items", |rows| drop(rows.drain(..8_000)));
    let deleted: Vec<String> = (1..=8_000).map(|id| format!(r#"["{id}","items",{{"id":{id}}},"505"]"#)).collect();
    let deleted: Vec<&str> = deleted.iter().map(String::as_str).collect();
    world.server.set_helpers_after(&state("c", 600, &deleted), &state("c", 600, &[]));
    world
}

/// Pulls until the query returns another integer than this one, and cuts the pull there. Returns the integer.
fn pulled_until_not(world: &mut World, sql: &'static str, before: i64) -> i64 {
    let (sync, host, clock) = (world.sync.clone(), world.host.clone(), world.sim.platform().clock);
    world.sim.run(async move {
        let count = || host.connection.value(sql, &[]).unwrap().and_then(|count| count.as_integer()).unwrap();
        let options = tidelock::sync::report::PullOptions::default();
        let pull = Box::pin(async { drop(sync.pull(&*host, options, None).await) });
        let some = Box::pin(async {
            while count() == before {
                clock.sleep(1).await;
            }
        });
        futures_util::future::select(pull, some).await;
        count()
    })
}

#[test]
fn tombstones_are_stored_in_pieces_and_an_interrupted_pull_loses_none() {
    let mut world = many_deleted();
    let stored = "SELECT count(*) FROM tidelock_staged";
    let some = pulled_until_not(&mut world, stored, 0);
    assert!((1..8_000).contains(&some), "{some}");
    assert_eq!(world.rows("SELECT count(*) FROM items"), ["9000"]);
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/8000/0/0/0/0");
    assert_eq!(world.rows("SELECT count(*) FROM items"), ["1000"]);
    assert_eq!(world.rows(stored), ["0"]);
}

#[test]
fn tombstones_are_applied_in_pieces_and_an_interrupted_pull_loses_none() {
    let mut world = many_deleted();
    let left = pulled_until_not(&mut world, "SELECT count(*) FROM items", 9_000);
    assert!((1_001..9_000).contains(&left), "{left}");
    // What was inserted again since under a deleted key stays.
    put(&world, 8_000, "again", 700);
    let report = world.pull("{}").unwrap();
    assert_eq!(only(&report), format!("0/1/{}/0/0/0/0", left - 1_001));
    assert_eq!(world.rows("SELECT count(*), sum(name = 'again') FROM items"), ["1001|1"]);
    assert_eq!(world.rows("SELECT count(*) FROM tidelock_staged"), ["0"]);
}

#[test]
fn a_row_that_becomes_visible_comes_with_compare_and_helpers() {
    let remote = REMOTE.replace(r#""cursor""#, r#""deleted":"compare","cursor""#);
    let mut world = World::with(ITEMS, &remote);
    (1..=3).for_each(|id| put(&world, id, "old", 10 + id));
    world.server.set_helpers(Some(&state("c", 500, &[])));
    world.pull("{}").unwrap();
    put(&world, 4, "hidden until now", 5);
    assert_eq!(only(&world.pull("{}").unwrap()), "1/0/0/0/0/0/0");
}

#[test]
fn helpers_that_are_missing_for_a_day_are_forgotten() {
    let mut world = pulled();
    let asks = |world: &mut World| {
        world.pull("{}").unwrap();
        world.server.take_helper_calls().len()
    };
    world.server.set_helpers(None);
    assert_eq!(asks(&mut world), 1);
    world.server.set_helpers(Some(&state("c", 500, &[])));
    assert_eq!(asks(&mut world), 1);
    world.sim.advance(90_000_000);
    world.server.set_helpers(None);
    assert_eq!(asks(&mut world), 1);
    world.sim.advance(3_600_000);
    assert_eq!(asks(&mut world), 1, "PostgREST may only have an old schema cache");
    world.sim.advance(90_000_000);
    assert_eq!((asks(&mut world), asks(&mut world)), (1, 0));
    world.exec("UPDATE items SET name = 'mine' WHERE id < 3");
    world.server.take_requests();
    world.push().unwrap();
    assert!(world.server.take_requests().iter().all(|request| !request.url.contains("/rpc/")));
    world.server.set_helpers(Some(&state("c", 500, &[])));
    world.sim.advance(90_000_000);
    assert_eq!((asks(&mut world), asks(&mut world)), (1, 1));
}

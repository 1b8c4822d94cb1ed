//! Tables that are read in several concurrent spans: no row is missed and none is read twice without need, despite
//! interruptions and concurrent writes.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use proptest::prelude::*;
use tidelock::ErrorCode;

use crate::{
    sample::{Sample, draws},
    sync::host::{World, fails, only},
    sync::model::{Fault, Row, Server},
};

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, updated_at TEXT)";
const FULL: &str = r#"[{"table":"items"}]"#;
const CURSOR: &str = r#"[{"table":"items","cursor":"updated_at"}]"#;

fn world(tables: &str, page_size: u32) -> World {
    let remote =
        format!(r#"{{"url":"http://server/rest/v1","key":"k","pageSize":{page_size},"retries":1,"tables":{tables}}}"#);
    World::with(ITEMS, &remote)
}

/// Inserts rows without gaps between the keys, with stamps of some days ago.
fn fill(world: &World, rows: u64) {
    fill_with_gaps(world, rows, 1);
}

/// Inserts rows with `gap` keys per row. With gaps, the ends of spans can't be computed from the number of rows.
fn fill_with_gaps(world: &World, rows: u64, gap: u64) {
    let stamp = |n: u64| format!("2025-12-01T00:{:02}:{:02}+00:00", n / 60 % 60, n % 60);
    world.server.change_rows("items", |all| all.extend((0..rows).map(|n| item(n * gap, "n", &stamp(n)))));
}

fn item(id: u64, name: &str, updated_at: &str) -> Row {
    let cells = [("id", id.to_string()), ("name", format!("\"{name}\"")), ("updated_at", format!("\"{updated_at}\""))];
    cells.into_iter().map(|(name, json)| (name.to_owned(), json)).collect()
}

fn put(server: &Server, id: u64, name: &str, updated_at: &str) {
    server.put_row("items", item(id, name, updated_at));
}

fn missing_or_other(world: &World) -> Vec<String> {
    let local: BTreeSet<String> = world.rows("SELECT id, name, updated_at FROM items").into_iter().collect();
    let plain = |json: &String| json.trim_matches('"').to_owned();
    let remote: Vec<String> = world
        .server
        .rows("items")
        .iter()
        .map(|row| [&row["id"], &row["name"], &row["updated_at"]].map(plain).join("|"))
        .collect();
    remote.into_iter().filter(|row| !local.contains(row)).collect()
}

#[test]
fn six_spans_side_by_side_and_each_page_once() {
    // Besides 25 pages and five span ends: the last, empty page; with a cursor also the newest row, and the rows that
    // changed meanwhile.
    let cases = [
        (FULL, 1, None, 25 + 5 + 1),
        (CURSOR, 3, None, 1 + 5 + 25 + 1 + 1),
        (CURSOR, 1, Some(500), 1 + 5 + 25 + 1 + 1),
    ];
    for (tables, gap, changed, requests) in cases {
        let mut world = world(tables, 40);
        fill_with_gaps(&world, 1000, gap);
        if let Some(id) = changed {
            put(&world.server, id, "n", "2025-12-02T00:00:00+00:00");
        }
        let before = world.server.now();
        let report = world.pull("{}").unwrap();
        assert_eq!((only(&report), report.tables[0].pages), ("1000/0/0/0/0/0/0".to_owned(), 25));
        assert_eq!(world.server.take_requests().len(), requests, "{tables} {gap} {changed:?}");
        assert_eq!(world.server.most_under_way(), 6);
        let round_trips = world.server.now().since(before) / 20;
        assert!(round_trips <= 8, "{round_trips} one after the other");
        assert!(missing_or_other(&world).is_empty());
        world.sim.advance(600_000);
        world.pull("{}").unwrap();
        if tables == CURSOR {
            assert_eq!(world.server.take_requests().len(), 1, "the NULL cursors, and what is new: nothing");
        }
    }
}

#[test]
fn keys_of_several_columns_and_of_text() {
    let schema = "CREATE TABLE items(a TEXT, b INTEGER, c TEXT, id TEXT, PRIMARY KEY(a, b, c)) WITHOUT ROWID";
    let remote = r#"{"url":"http://server","key":"k","pageSize":3,"tables":[{"table":"items"}]}"#;
    let mut world = World::with(schema, remote);
    for n in 0..60_u32 {
        let (a, c) = ([r#""a,b""#, r#""(a)""#, r#""é\"""#, r#""""#][n as usize % 4], format!("\"c.{}\"", n % 7));
        world.server.put("items", &[("a", a), ("b", &(n / 9).to_string()), ("c", &c), ("id", &format!("\"{n}\""))]);
    }
    assert!(only(&world.pull("{}").unwrap()).starts_with("60/0/0/0/"));
    assert!(world.server.take_requests().iter().any(|request| request.url.contains(".lte.")));
    assert!(only(&world.pull("{}").unwrap()).starts_with("0/0/0/60/"));
}

#[test]
fn it_goes_on_where_it_was_cut() {
    let mut sample = Sample::every(4);
    for tables in [FULL, CURSOR] {
        for cut_after in (1..33).filter(|_| sample.takes()) {
            let mut world = world(tables, 20);
            fill(&world, 500);
            (0..cut_after).for_each(|_| world.server.fault(Fault::None));
            (0..60).for_each(|_| world.server.fault(Fault::Status(403, vec![], "{}".to_owned())));
            if world.pull("{}").is_ok() {
                continue;
            }
            world.server.clear_faults();
            world.server.take_requests();
            let had: u64 = world.rows("SELECT count(*) FROM items")[0].parse().unwrap();
            assert_eq!(had % 20, 0, "whole pages");
            let report = world.pull("{}").unwrap();
            let table = &report.tables[0];
            assert_eq!((table.inserted, table.unchanged), (500 - had, 0), "{tables} cut after {cut_after}");
            assert_eq!(table.resumed, had > 0);
            assert!(missing_or_other(&world).is_empty());
            assert!(!world.pull("{}").unwrap().tables[0].resumed);
        }
    }
}

#[test]
fn rows_that_are_there_already_and_triggers_of_others() {
    let mut world = world(FULL, 10);
    fill(&world, 60);
    // Every other row exists locally, with another value.
    world.exec("CREATE TABLE log(x, y)");
    world.exec("CREATE TRIGGER heard BEFORE INSERT ON items BEGIN INSERT INTO log VALUES (NEW.id, 'insert'); END");
    world.exec(
        "WITH n(n) AS (SELECT 0 UNION ALL SELECT n + 2 FROM n WHERE n < 58) INSERT INTO items(id) SELECT n FROM n",
    );
    world.exec("DELETE FROM log; DELETE FROM tidelock_outbox");
    assert_eq!(only(&world.pull("{}").unwrap()), "30/30/0/0/0/0/0");
    assert_eq!(world.rows("SELECT count(*), min(x % 2), y FROM log"), ["30|1|insert"], "of new rows only");
    world.exec("DROP TRIGGER heard; UPDATE items SET name = 'x' WHERE id % 3 = 0; DELETE FROM items WHERE id % 3 = 1");
    world.exec("DELETE FROM tidelock_outbox");
    assert_eq!(only(&world.pull("{}").unwrap()), "20/20/0/20/0/0/0");
    assert!(missing_or_other(&world).is_empty());
}

#[test]
fn rows_that_come_together_are_counted_and_refused_one_by_one() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY ON CONFLICT REPLACE, name TEXT UNIQUE, updated_at TEXT);
        CREATE TABLE parts(item INTEGER REFERENCES items(id) ON DELETE CASCADE)";
    let remote = format!(r#"{{"url":"http://server","key":"k","tables":{FULL}}}"#);
    let mut world = World::with(schema, &remote);
    for id in 0..100_u32 {
        // Two rows have the same unique name, so the later one must wait.
        let name = format!("\"{}\"", if id == 61 { 60 } else { id });
        world.server.put("items", &[("id", &id.to_string()), ("name", &name), ("updated_at", "null")]);
    }
    world.exec("INSERT INTO items VALUES (20, 'other', NULL), (21, '21', NULL); INSERT INTO parts VALUES (20), (21)");
    world.exec("DELETE FROM tidelock_outbox");
    assert!(only(&world.pull("{}").unwrap()).starts_with("97/1/0/1/"));
    assert_eq!(world.rows("SELECT count(*), count(DISTINCT name) FROM items"), ["99|99"]);
    assert_eq!(world.rows("SELECT count(*) FROM parts"), ["2"], "nothing was replaced");
    assert_eq!(world.rows("SELECT count(*) FROM tidelock_outbox"), ["0"], "and nothing is to be pushed");
}

#[test]
fn an_end_that_takes_too_long_to_find_is_done_without() {
    let mut world = world(CURSOR, 10);
    fill_with_gaps(&world, 200, 5);
    world.server.fault(Fault::None);
    (0..5).for_each(|_| world.server.fault(Fault::Status(500, vec![], r#"{"code":"57014"}"#.to_owned())));
    world.pull("{}").unwrap();
    assert!(missing_or_other(&world).is_empty());
}

#[test]
fn while_an_end_is_looked_for_nothing_is_read_beyond_it() {
    for tables in [FULL, CURSOR] {
        for late in 2..7 {
            let mut world = world(tables, 40);
            fill_with_gaps(&world, 1000, if tables == CURSOR { 3 } else { 1 });
            (0..late).for_each(|_| world.server.fault(Fault::None));
            world.server.fault(Fault::Status(503, vec![], "{}".to_owned()));
            let report = world.pull("{}").unwrap();
            assert_eq!((only(&report), report.tables[0].pages), ("1000/0/0/0/0/0/0".to_owned(), 25), "{tables} {late}");
            assert!(missing_or_other(&world).is_empty());
        }
    }
}

#[test]
fn a_token_that_expires_is_renewed_once_for_all() {
    let remote =
        r#"{"url":"http://server","key":"k","hasAccessToken":true,"pageSize":10,"tables":[{"table":"items"}]}"#;
    let mut world = World::with(ITEMS, remote);
    fill(&world, 300);
    let expired = || Fault::Status(401, vec![], r#"{"code":"PGRST303"}"#.to_owned());
    (0..8).for_each(|_| world.server.fault(Fault::None));
    (0..5).for_each(|_| world.server.fault(expired()));
    world.pull("{}").unwrap();
    assert_eq!(world.host.tokens_asked.get(), 2);
    assert!(missing_or_other(&world).is_empty());
    (0..8).for_each(|_| world.server.fault(Fault::None));
    (0..60).for_each(|_| world.server.fault(expired()));
    fails(world.pull("{}"), ErrorCode::SyncUnauthorized);
}

#[test]
fn a_replace_takes_all_spans_and_progress_tells_the_total() {
    let mut world = world(CURSOR, 10);
    fill(&world, 300);
    world.exec("INSERT INTO items(id, name) VALUES (7777, 'local')");
    let seen = Rc::new(RefCell::new(Vec::new()));
    let sink = seen.clone();
    let options = r#"{"mode":"replace","discardUnpushed":true,"allowEmpty":true}"#;
    world.pull_with(options, Some(Box::new(move |progress| sink.borrow_mut().push(progress)))).unwrap();
    assert!(missing_or_other(&world).is_empty());
    assert_eq!(world.rows("SELECT count(*) FROM items"), ["300"]);
    let seen = seen.borrow();
    assert_eq!(seen.len(), 30);
    assert!(seen.iter().zip(1..).all(|(progress, n)| (progress.rows, progress.total) == (10 * n, Some(300))));
    world.sim.advance(600_000);
    world.server.take_requests();
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
    assert_eq!(world.server.take_requests().len(), 1, "the merge after it begins where the replace ended");
}

#[test]
fn a_database_of_a_build_without_spans_gets_them() {
    let mut world = world(CURSOR, 10);
    fill(&world, 100);
    world.exec("ALTER TABLE tidelock_tables DROP COLUMN spans; ALTER TABLE tidelock_tables DROP COLUMN listed_at");
    world.pull("{}").unwrap();
    assert!(missing_or_other(&world).is_empty());
}

#[test]
fn an_empty_table_costs_one_request() {
    for (tables, requests) in [(FULL, 1), (CURSOR, 1)] {
        let mut world = world(tables, 10);
        world.server.table("items");
        world.pull("{}").unwrap();
        assert_eq!(world.server.take_requests().len(), requests);
    }
}

/// A remote transaction during the pull.
#[derive(Clone, Debug)]
struct Write {
    after_ms: u64,
    /// The duration of the transaction in milliseconds. Its rows carry the time of its start.
    took_ms: u32,
    ids: Vec<u64>,
    delete: bool,
}

fn write() -> impl Strategy<Value = Write> {
    (0..400_u64, 0..50_000_u32, prop::collection::vec(0..180_u64, 1..8), prop::bool::weighted(0.3))
        .prop_map(|(after_ms, took_ms, ids, delete)| Write { after_ms, took_ms, ids, delete })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: draws(40, 100), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_meanwhile_is_there_after_the_next_pull(
        rows in 0..80_u64,
        page_size in 1..8_u32,
        gap in 1..4_u64,
        cursor in any::<bool>(),
        mut writes in prop::collection::vec(write(), 0..12),
        cut_ms in prop::option::of(0..300_u64),
    ) {
        let tables = if cursor {
            r#"[{"table":"items","cursor":"updated_at","deleted":"compare"}]"#
        } else {
            r#"[{"table":"items","deleted":"compare"}]"#
        };
        let mut world = world(tables, page_size);
        world.server.table("items");
        fill_with_gaps(&world, rows, gap);
        let untouched: Vec<u64> =
            (0..rows).map(|n| n * gap).filter(|id| !writes.iter().any(|write| write.ids.contains(id))).collect();
        writes.sort_by_key(|write| write.after_ms);
        let (sync, host, clock) = (world.sync.clone(), world.host.clone(), world.sim.platform().clock);
        let server = world.server.clone();
        let begin = clock.now();
        let work = async move {
            let pull = async {
                let options = serde_json::from_str(r#"{"allowEmpty":true}"#).unwrap();
                let pull = std::pin::pin!(sync.pull(&*host, options, None));
                let cut = clock.sleep(cut_ms.unwrap_or(1_000_000));
                matches!(futures_util::future::select(pull, cut).await, futures_util::future::Either::Left((Ok(_), _)))
            };
            let write = async {
                for write in &writes {
                    let wait = write.after_ms as i64 - clock.now().since(begin);
                    clock.sleep(u64::try_from(wait).unwrap_or(0)).await;
                    let stamp = server.now().plus_ms(-i64::from(write.took_ms)).to_string().replace('Z', "+00:00");
                    for id in &write.ids {
                        if write.delete {
                            server.remove("items", &id.to_string());
                        } else {
                            put(&server, *id, &format!("written at {}", write.after_ms), &stamp);
                        }
                    }
                }
            };
            futures_util::future::join(pull, write).await.0
        };
        let whole = world.sim.run(work);
        if whole {
            let local = world.rows("SELECT id FROM items");
            assert!(untouched.iter().all(|id| local.contains(&id.to_string())), "what was there all the time is there");
        }
        for _ in 0..2 {
            world.pull(r#"{"allowEmpty":true}"#).unwrap();
        }
        assert!(missing_or_other(&world).is_empty(), "{:?}", missing_or_other(&world));
        assert_eq!(world.rows("SELECT count(*) FROM items"), [world.server.rows("items").len().to_string()]);
    }
}

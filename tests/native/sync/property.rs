//! Random changes on both sides and random network faults: after a successful pull, every row without an unpushed
//! change equals the remote's, and no unpushed change was lost.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::{
    sample::draws,
    sync::host::World,
    sync::model::{Fault, Row},
};

const SCHEMA: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, n INTEGER, updated_at TEXT)";

#[derive(Clone, Debug)]
enum Action {
    /// A remote transaction, which began this many milliseconds ago, writes these rows.
    Write {
        ids: Vec<u8>,
        late_ms: u32,
        null_cursor: bool,
        value: u8,
    },
    Remove(u8),
    LocalUpdate {
        id: u8,
        value: u8,
        column: bool,
    },
    LocalInsert {
        id: u8,
        value: u8,
    },
    LocalDelete(u8),
    Wait(u32),
    Pull {
        faults: Vec<u8>,
        abort_after_ms: Option<u32>,
        full: bool,
    },
}

fn action() -> impl Strategy<Value = Action> {
    let id = || 0..40_u8;
    prop_oneof![
        4 => (prop::collection::vec(id(), 1..12), 0..50_000_u32, prop::bool::weighted(0.1), any::<u8>())
            .prop_map(|(ids, late_ms, null_cursor, value)| Action::Write { ids, late_ms, null_cursor, value }),
        1 => id().prop_map(Action::Remove),
        2 => (id(), any::<u8>(), any::<bool>()).prop_map(|(id, value, column)| Action::LocalUpdate { id, value, column }),
        1 => (id(), any::<u8>()).prop_map(|(id, value)| Action::LocalInsert { id, value }),
        1 => id().prop_map(Action::LocalDelete),
        2 => (1..90_000_u32).prop_map(Action::Wait),
        4 => (prop::collection::vec(0..8_u8, 0..4), prop::option::weighted(0.3, 0..400_u32), prop::bool::weighted(0.1))
            .prop_map(|(faults, abort_after_ms, full)| Action::Pull { faults, abort_after_ms, full }),
    ]
}

fn fault(number: u8) -> Fault {
    match number {
        0 => Fault::Drop,
        1 => Fault::Timeout,
        2 => Fault::Cut(0.7),
        3 => Fault::Status(429, vec![("retry-after", "1".to_owned())], String::new()),
        4 => Fault::Status(500, vec![], r#"{"code":"57014"}"#.to_owned()),
        5 => Fault::Status(403, vec![], r#"{"code":"42501"}"#.to_owned()),
        _ => Fault::None,
    }
}

fn act(world: &mut World, action: &Action) {
    match action {
        Action::Write { ids, late_ms, null_cursor, value } => {
            let moment = world.server.now().plus_ms(-i64::from(*late_ms));
            for id in ids {
                let cursor = if *null_cursor { "null".to_owned() } else { format!("\"{moment}\"") };
                let (id, name, n) = (id.to_string(), format!("\"r{value}\""), format!("{}", u32::from(*value) % 7));
                world.server.put("t", &[("id", &id), ("name", &name), ("n", &n), ("updated_at", &cursor)]);
            }
        }
        Action::Remove(id) => world.server.remove("t", &id.to_string()),
        Action::LocalUpdate { id, value, column: true } => {
            world.exec(&format!("UPDATE t SET name = 'l{value}' WHERE id = {id}"));
        }
        Action::LocalUpdate { id, value, column: false } => {
            world.exec(&format!("UPDATE t SET n = {value} WHERE id = {id}"))
        }
        Action::LocalInsert { id, value } => {
            world.exec(&format!("INSERT OR IGNORE INTO t(id, name) VALUES ({id}, 'new {value}')"));
        }
        Action::LocalDelete(id) => world.exec(&format!("DELETE FROM t WHERE id = {id}")),
        Action::Wait(ms) => world.sim.advance(u64::from(*ms)),
        Action::Pull { faults, abort_after_ms, full } => {
            faults.iter().for_each(|number| world.server.fault(fault(*number)));
            let (sync, host, clock) = (world.sync.clone(), world.host.clone(), world.sim.platform().clock);
            let (limit, full) = (*abort_after_ms, *full);
            world.sim.run(async move {
                let options = serde_json::from_str(&format!(r#"{{"allowEmpty":true,"full":{full}}}"#)).unwrap();
                let pull = std::pin::pin!(sync.pull(&*host, options, None));
                // It may succeed, fail or be aborted; it must leave a consistent state.
                let _ = futures_util::future::select(pull, clock.sleep(limit.map_or(3_600_000, u64::from))).await;
            });
            assert!(!world.host.connection.in_transaction());
            world.server.clear_faults();
        }
    }
}

fn local_rows(world: &World) -> BTreeMap<String, String> {
    let rows = world.rows("SELECT id, name, n, updated_at FROM t");
    rows.into_iter().map(|row| (row.split('|').next().unwrap().to_owned(), row)).collect()
}

fn remote_row(row: &Row) -> String {
    let cell = |name: &str| match row[name].trim_matches('"') {
        "null" => "∅".to_owned(),
        text => text.to_owned(),
    };
    ["id", "name", "n", "updated_at"].map(cell).join("|")
}

fn check(tables: &str, page_size: usize, max_rows: usize, date: bool, actions: &[Action]) {
    let remote = format!(r#"{{"url":"http://server","key":"k","pageSize":{page_size},"tables":{tables}}}"#);
    let mut world = World::with(SCHEMA, &remote);
    world.server.table("t");
    world.server.max_rows(max_rows);
    world.server.shows_date(date);
    for action in actions {
        act(&mut world, action);
    }
    let edits = |world: &World| {
        world.rows("SELECT op, key, (SELECT coalesce(name, '') || coalesce(n, '') FROM t WHERE key = '[' || id || ']') FROM tidelock_outbox")
    };
    let before = edits(&world);
    let report = world.pull(r#"{"allowEmpty":true}"#).unwrap();
    if report.tables[0].resumed {
        // The pull continued an interrupted one. Rows that changed meanwhile before its position arrive with the next
        // pull.
        world.pull(r#"{"allowEmpty":true}"#).unwrap();
    }
    let (local, remote) = (local_rows(&world), world.server.rows("t"));
    let unpushed = world.rows("SELECT trim(key, '[]') FROM tidelock_outbox");
    for row in &remote {
        if !unpushed.contains(&row["id"]) {
            assert_eq!(local.get(&row["id"]), Some(&remote_row(row)));
        }
    }
    for (id, row) in &local {
        assert!(
            unpushed.contains(id) || remote.iter().any(|row| row["id"] == *id),
            "{row} is neither local nor remote"
        );
    }
    for id in &unpushed {
        let entry = |lines: &[String]| lines.iter().any(|line| line.contains(&format!("[{id}]")));
        assert!(entry(&before), "{id} was not changed here");
    }
    let report = world.pull(r#"{"allowEmpty":true}"#).unwrap();
    let table = &report.tables[0];
    assert_eq!((table.inserted, table.updated, table.deleted, table.conflicts), (0, 0, 0, 0), "the second pull");
    assert_eq!(local_rows(&world), local);
    assert_eq!(world.rows("SELECT count(*) FROM tidelock_staged"), ["0"]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: draws(40, 100), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn with_a_cursor(actions in prop::collection::vec(action(), 1..40), page_size in 1..12_usize, max_rows in 1..20_usize, date in any::<bool>()) {
        check(r#"[{"table":"t","cursor":"updated_at","deleted":"compare"}]"#, page_size, max_rows, date, &actions);
    }

    #[test]
    fn without_a_cursor(actions in prop::collection::vec(action(), 1..40), max_rows in 1..20_usize) {
        check(r#"[{"table":"t","deleted":"compare"}]"#, 1000, max_rows, true, &actions);
    }
}

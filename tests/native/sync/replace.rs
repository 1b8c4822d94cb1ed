//! Replace: the tables get exactly the remote's rows, by writing only differences; after a failure, nothing changes.

use tidelock::{ErrorCode, ports::HttpRequest};

use crate::{
    sync::host::{World, counts, fails, only},
    sync::model::Fault,
};

const SCHEMA: &str = "CREATE TABLE parent(id INTEGER PRIMARY KEY, name TEXT, note TEXT);
    CREATE TABLE child(id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parent ON DELETE CASCADE, name TEXT);
    CREATE TABLE favourite(parent INTEGER REFERENCES parent ON DELETE CASCADE);
    CREATE TABLE recent(parent INTEGER REFERENCES parent ON DELETE SET NULL);
    CREATE TABLE deletions(tbl, id);
    CREATE TRIGGER gone_parent AFTER DELETE ON parent BEGIN INSERT INTO deletions VALUES ('parent', OLD.id); END;
    CREATE TRIGGER gone_child AFTER DELETE ON child BEGIN INSERT INTO deletions VALUES ('child', OLD.id); END;";
const TABLES: &str = r#"[{"table":"child"},{"table":"parent","columns":["id","name"]}]"#;
const REPLACE: &str = r#"{"mode":"replace"}"#;

fn world() -> World {
    let mut world = World::new(SCHEMA, TABLES);
    for id in 1..=30 {
        put(&world, "parent", id, None, "p");
        put(&world, "child", id, Some(id), "c");
    }
    world.pull("{}").unwrap();
    world.exec("UPDATE parent SET note = 'mine'; INSERT INTO favourite VALUES (1), (2), (3); INSERT INTO recent VALUES (1), (3)");
    world
}

fn put(world: &World, table: &str, id: u64, parent: Option<u64>, name: &str) {
    let (id, name) = (id.to_string(), format!("\"{name}\""));
    let parent = parent.map(|parent| parent.to_string());
    let mut cells = vec![("id", &*id), ("name", &*name)];
    cells.extend(parent.as_deref().map(|parent| ("parent", parent)));
    world.server.put(table, &cells);
}

fn dump(world: &World) -> Vec<String> {
    ["parent", "child", "favourite", "recent", "deletions", "tidelock_outbox", "tidelock_known"]
        .iter()
        .flat_map(|table| world.rows(&format!("SELECT '{table}', * FROM {table} ORDER BY 2")))
        .collect()
}

#[test]
fn it_is_a_difference_that_cascades_wipe_nothing() {
    let mut world = world();
    world.server.remove("parent", "2");
    world.server.remove("child", "2");
    put(&world, "parent", 1, None, "renamed");
    put(&world, "child", 99, Some(3), "new");
    put(&world, "child", 4, Some(5), "moved");
    let report = world.pull(REPLACE).unwrap();
    let counted: Vec<String> = report.tables.iter().map(|table| format!("{} {}", table.table, counts(table))).collect();
    assert_eq!(counted, ["parent 0/1/1/28/0/0/0", "child 1/1/1/28/0/0/0"]);
    assert_eq!(world.host.snapshots.get(), 1);
    assert_eq!(world.rows("SELECT * FROM deletions ORDER BY 1"), ["child|2", "parent|2"]);
    assert_eq!(world.rows("SELECT count(*), count(note) FROM parent"), ["29|29"], "columns that are not synced stay");
    assert_eq!(world.rows("SELECT id, parent FROM child WHERE id IN (4, 99)"), ["4|5", "99|3"]);
    // Tables outside the replace follow their own foreign keys.
    assert_eq!(world.rows("SELECT parent FROM favourite"), ["1", "3"]);
    assert!(world.outbox().is_empty());
    let report = world.pull(REPLACE).unwrap();
    assert!(report.tables.iter().all(|table| table.inserted + table.updated + table.deleted == 0));
}

#[test]
fn local_rows_that_the_remote_lacks_go() {
    let mut world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY); INSERT INTO t VALUES (1), (2), (3)", r#"[{"table":"t"}]"#);
    world.server.put("t", &[("id", "3")]);
    world.server.put("t", &[("id", "4")]);
    assert_eq!(only(&world.pull(REPLACE).unwrap()), "1/0/2/1/0/0/0");
    assert_eq!(world.rows("SELECT id FROM t"), ["3", "4"]);
}

#[test]
fn it_refuses_to_lose_unpushed_changes() {
    let mut world = world();
    world.exec("UPDATE child SET name = 'mine' WHERE id = 1; DELETE FROM child WHERE id = 2");
    let before = dump(&world);
    world.server.take_requests();
    let error = fails(world.pull(REPLACE), ErrorCode::UnpushedChanges);
    assert_eq!(error.details["pending"], 2_i64.into());
    assert!(world.server.take_requests().is_empty(), "found out before any request");
    assert_eq!(dump(&world), before);
    world.pull(r#"{"mode":"replace","tables":["parent"]}"#).unwrap();
    let report = world.pull(r#"{"mode":"replace","discardUnpushed":true}"#).unwrap();
    assert_eq!(counts(&report.tables[1]), "1/1/0/28/0/0/0");
    assert!(world.outbox().is_empty());
    assert_eq!(world.rows("SELECT id, name FROM child WHERE id < 3"), ["1|c", "2|c"]);
}

#[test]
fn the_first_request_is_not_made_either_when_changes_would_be_lost() {
    let mut world = World::new(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, at TEXT)",
        r#"[{"table":"t","cursor":"at","deleted":"compare"}]"#,
    );
    world.exec("INSERT INTO t VALUES (1, NULL)");
    fails(world.pull(REPLACE), ErrorCode::UnpushedChanges);
    assert!(world.server.take_requests().is_empty());
}

#[test]
fn changes_made_while_it_reads_are_not_lost() {
    let mut world = world();
    let (sync, host, clock) = (world.sync.clone(), world.host.clone(), world.sim.platform().clock);
    let (result, ()) = world.sim.run(async move {
        let connection = host.connection.clone();
        let edit = async move {
            clock.sleep(30).await;
            connection.exec("UPDATE child SET name = 'mine' WHERE id = 1").unwrap();
        };
        let options = serde_json::from_str(REPLACE).unwrap();
        futures_util::future::join(sync.pull(&*host, options, None), edit).await
    });
    fails(result, ErrorCode::UnpushedChanges);
    assert_eq!(world.rows("SELECT name FROM child WHERE id = 1"), ["mine"]);
}

#[test]
fn an_empty_or_shrunken_remote_is_refused() {
    let mut world = world();
    world.server.hide(true);
    let before = dump(&world);
    let error = fails(world.pull(REPLACE), ErrorCode::RemoteEmpty);
    assert_eq!(error.details["rows"], 30_i64.into());
    assert_eq!(dump(&world), before);
    assert_eq!(world.host.snapshots.get(), 0, "refused before the snapshot");
    world.server.hide(false);
    (1..=16).for_each(|id| world.server.remove("child", &id.to_string()));
    fails(world.pull(REPLACE), ErrorCode::RemoteEmpty);
    world.server.hide(true);
    let report = world.pull(r#"{"mode":"replace","allowEmpty":true}"#).unwrap();
    assert_eq!(report.tables.iter().map(|table| table.deleted).sum::<u64>(), 60);
    assert_eq!(world.rows("SELECT (SELECT count(*) FROM parent) + (SELECT count(*) FROM child)"), ["0"]);
}

#[test]
fn on_any_failure_the_old_data_stands() {
    // A child whose parent row security hides.
    let mut world = world();
    put(&world, "child", 7, Some(404), "orphan");
    put(&world, "parent", 1, None, "renamed");
    let before = dump(&world);
    let error = fails(world.pull(REPLACE), ErrorCode::SqliteConstraint);
    assert_eq!((&error.details["table"], &error.details["parent"]), (&"child".into(), &"parent".into()));
    assert_eq!(dump(&world), before);
    // The network fails in the middle.
    world.server.fault(Fault::None);
    (0..6).for_each(|_| world.server.fault(Fault::Drop));
    fails(world.pull(REPLACE), ErrorCode::SyncNetwork);
    assert_eq!(dump(&world), before);
    // A row that the local schema refuses.
    let mut world =
        World::new("CREATE TABLE t(id INTEGER PRIMARY KEY, n TEXT CHECK(n <> 'bad'))", r#"[{"table":"t"}]"#);
    world.server.put("t", &[("id", "1"), ("n", "\"good\"")]);
    world.pull("{}").unwrap();
    world.server.put("t", &[("id", "1"), ("n", "\"better\"")]);
    world.server.put("t", &[("id", "2"), ("n", "\"bad\"")]);
    fails(world.pull(REPLACE), ErrorCode::SqliteConstraint);
    assert_eq!(world.rows("SELECT * FROM t"), ["1|good"]);
}

#[test]
fn violations_that_were_there_before_do_not_matter() {
    let mut world = world();
    world.exec("PRAGMA foreign_keys = OFF; INSERT INTO favourite VALUES (777); PRAGMA foreign_keys = ON");
    put(&world, "parent", 1, None, "renamed");
    let (sync, host) = (world.sync.clone(), world.host.clone());
    let options = serde_json::from_str(REPLACE).unwrap();
    world.sim.run(async move { sync.pull(&*host, options, None).await }).unwrap();
    assert_eq!(world.rows("SELECT count(*) FROM favourite WHERE parent = 777"), ["1"]);
}

#[test]
fn unique_values_may_change_hands_between_pages() {
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, slug TEXT UNIQUE NOT NULL)";
    let mut world = World::new(schema, r#"[{"table":"t"}]"#);
    let put = |world: &World, slugs: &[(u32, &str)]| {
        slugs
            .iter()
            .for_each(|(id, slug)| world.server.put("t", &[("id", &id.to_string()), ("slug", &format!("\"{slug}\""))]));
    };
    put(&world, &[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    world.pull(REPLACE).unwrap();
    world.server.max_rows(1);
    world.server.remove("t", "4");
    put(&world, &[(1, "c"), (2, "d"), (3, "a"), (5, "b")]);
    assert_eq!(only(&world.pull(REPLACE).unwrap()), "1/3/1/0/0/0/0");
    assert_eq!(world.rows("SELECT * FROM t"), ["1|c", "2|d", "3|a", "5|b"]);
}

#[test]
fn push_only_tables_are_left_alone_and_cursors_go_on_from_there() {
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, updated_at TEXT); CREATE TABLE log(id INTEGER PRIMARY KEY)";
    let tables = r#"[{"table":"t","cursor":"updated_at","deleted":"gone"},{"table":"log","direction":"push"}]"#;
    let mut world = World::new(schema, tables);
    world.exec("INSERT INTO log VALUES (1); INSERT INTO t VALUES (77, NULL)");
    for (id, gone) in [("1", "false"), ("2", "true")] {
        world.server.put("t", &[("id", id), ("updated_at", "\"2025-12-01T00:00:00+00:00\""), ("gone", gone)]);
    }
    let report = world.pull(r#"{"mode":"replace","discardUnpushed":true,"allowEmpty":true}"#).unwrap();
    assert_eq!(only(&report), "1/0/1/1/0/0/0");
    assert_eq!(world.rows("SELECT id FROM log"), ["1"]);
    assert_eq!(world.outbox(), ["insert log Integer(1) id"]);
    world.server.take_requests();
    assert_eq!(only(&world.pull("{}").unwrap()), "0/0/0/0/0/0/0");
    let urls: Vec<String> = world.server.take_requests().into_iter().map(|request: HttpRequest| request.url).collect();
    assert!(urls[0].contains("updated_at.gt.%222025"), "{urls:?}");
}

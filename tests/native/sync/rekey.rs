//! Migrations that change the key of a table or the types of its columns while changes wait.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    sync::outbox::{capture, entries},
};

use crate::{
    sync::host::{World, fails},
    sync::model::Row,
    sync::model_writes::Rules,
};

const FULL: &str = r#"[{"table":"a","deleted":"compare"},{"table":"b","deleted":"compare"}]"#;
const PARENTS: &str = "CREATE TABLE a(id TEXT PRIMARY KEY, pos INTEGER, v TEXT);
    CREATE TABLE b(id INTEGER PRIMARY KEY, a TEXT REFERENCES a ON DELETE CASCADE)";

/// Creates three rows on both sides, with a child each. `pos` counts down from 8.
fn world(schema: &str, tables: &str, quoted: bool) -> World {
    let mut world = World::new(schema, tables);
    world.server.define("a", &["id", "pos", "v"], Rules::default());
    world.server.define("b", &["id", "a"], Rules::default());
    for id in 1..=3 {
        let key = if quoted { format!("\"{id}\"") } else { id.to_string() };
        world.server.put("a", &[("id", &key), ("pos", &(9 - id).to_string()), ("v", "\"v\"")]);
        world.server.put("b", &[("id", &id.to_string()), ("a", &key)]);
    }
    world.pull("{}").unwrap();
    world
}

fn migrate(world: &World, sql: &str) {
    let connection = &world.host.connection;
    connection
        .exec("PRAGMA foreign_keys = OFF")
        .and_then(|()| {
            connection.atomically(|connection| {
                capture::suspend(connection)?;
                connection.exec(sql)?;
                capture::resume(connection)
            })
        })
        .unwrap();
    connection.exec("PRAGMA foreign_keys = ON").unwrap();
}

fn remote(world: &World, table: &str, columns: &[&str]) -> Vec<String> {
    let show = |row: &Row| columns.iter().map(|column| row[*column].replace('"', "")).collect::<Vec<_>>().join("|");
    let mut rows: Vec<String> = world.server.rows(table).iter().map(show).collect();
    rows.sort();
    rows
}

/// The remote's text keys become numbers, as in a migration there.
fn numbers(world: &World) {
    for (table, column) in [("a", "id"), ("b", "a")] {
        world.server.alter(table, |_, rows| {
            rows.iter_mut().for_each(|row| _ = row.insert(column.to_owned(), row[column].replace('"', "")));
        });
    }
}

#[test]
fn changes_follow_a_key_to_another_type() {
    let mut world = world(PARENTS, FULL, true);
    world.exec(
        "UPDATE a SET v = 'mine' WHERE id = '1'; INSERT INTO a VALUES ('100', 50, 'new');
         INSERT INTO b VALUES (9, '100'); DELETE FROM a WHERE id = '3'",
    );
    migrate(
        &world,
        "CREATE TABLE n(id INTEGER PRIMARY KEY, pos INTEGER, v TEXT); INSERT INTO n SELECT * FROM a; DROP TABLE a;
         ALTER TABLE n RENAME TO a;
         CREATE TABLE m(id INTEGER PRIMARY KEY, a INTEGER REFERENCES a ON DELETE CASCADE); INSERT INTO m SELECT * FROM b;
         DROP TABLE b; ALTER TABLE m RENAME TO b",
    );
    numbers(&world);
    assert_eq!(
        world.outbox(),
        [
            "update a Integer(1) v",
            "insert a Integer(100) id,pos,v",
            "insert b Integer(9) id,a",
            "delete b Integer(3) ",
            "delete a Integer(3) "
        ]
    );
    for _ in 0..2 {
        world.push().unwrap();
        world.pull("{}").unwrap();
    }
    assert_eq!(world.outbox(), Vec::<String>::new());
    assert_eq!(remote(&world, "a", &["id", "v"]), ["100|new", "1|mine", "2|v"]);
    assert_eq!(world.rows("SELECT id, v FROM a ORDER BY id"), ["1|mine", "2|v", "100|new"]);
    assert_eq!(remote(&world, "b", &["id", "a"]), ["1|1", "2|2", "9|100"]);
    world.server.remove("b", "1");
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id FROM b ORDER BY id"), ["2", "9"], "deletions are found as before");
}

#[test]
fn changes_follow_their_rows_to_another_key() {
    for by_option in [false, true] {
        let schema =
            "CREATE TABLE a(id INTEGER NOT NULL, pos INTEGER NOT NULL, v TEXT, PRIMARY KEY (id), UNIQUE (pos));
            CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER)";
        let mut world = world(schema, FULL, false);
        world.exec(
            "DELETE FROM a WHERE id = 2; UPDATE a SET v = 'mine' WHERE id = 3; UPDATE a SET pos = 70 WHERE id = 1;
             INSERT INTO a VALUES (100, 50, 'new')",
        );
        if by_option {
            world.reopen(
                r#"{"url":"http://server","key":"k","tables":[{"table":"a","primaryKey":["pos"]},{"table":"b"}]}"#,
            );
        } else {
            migrate(
                &world,
                "CREATE TABLE n(id INTEGER NOT NULL, pos INTEGER PRIMARY KEY, v TEXT); INSERT INTO n SELECT * FROM a;
                 DROP TABLE a; ALTER TABLE n RENAME TO a",
            );
        }
        let outbox = world.outbox();
        assert_eq!(outbox[..3], ["delete a Integer(7) ", "update a Integer(6) v", "insert a Integer(50) id,pos,v"]);
        assert!(outbox[3].starts_with("update a ") && outbox[3].ends_with(" (schema)"), "{outbox:?}");
        world.server.alter("a", |rules, _| rules.key = vec!["pos".to_owned()]);
        world.push().unwrap();
        assert_eq!(remote(&world, "a", &["id", "pos", "v"]), ["100|50|new", "1|8|v", "3|6|mine"]);
        let rejected = entries::rejected(&world.host.connection).unwrap();
        assert_eq!(
            rejected[0].error.as_deref(),
            Some("The key of table a was id and is pos now, which isn't known of this row")
        );
        world.discard(rejected[0].id).unwrap();
        assert_eq!(world.outbox(), Vec::<String>::new());
    }
}

#[test]
fn changes_of_rows_whose_keys_have_other_values_wait_for_a_decision() {
    let schema = "CREATE TABLE a(id INTEGER PRIMARY KEY, pos INTEGER, v TEXT); CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER)";
    let mut world = world(schema, FULL, false);
    world.server.alter("a", |rules, _| rules.check = Some(Rc::new(|row| row["v"] != "\"bad\"")));
    world.exec("UPDATE a SET v = 'bad' WHERE id = 2");
    world.push().unwrap();
    world.exec("UPDATE a SET v = 'mine' WHERE id = 1");
    migrate(
        &world,
        "CREATE TABLE n(id TEXT PRIMARY KEY, pos INTEGER, v TEXT); INSERT INTO n SELECT 'uuid-' || id, pos, v FROM a;
         DROP TABLE a; ALTER TABLE n RENAME TO a",
    );
    let outbox = world.outbox();
    assert_eq!(outbox.len(), 2, "{outbox:?}");
    assert!(outbox.iter().all(|change| change.starts_with("update a ") && change.ends_with(" (schema)")), "{outbox:?}");
    let rejected = entries::rejected(&world.host.connection).unwrap();
    assert_eq!(
        rejected[1].error.as_deref(),
        Some("The rows of table a have other values of id now, and this row's isn't known")
    );
}

#[test]
fn rows_that_exchange_their_keys_keep_their_changes() {
    let schema = "CREATE TABLE a(id INTEGER NOT NULL, pos INTEGER NOT NULL, v TEXT, PRIMARY KEY (id), UNIQUE (pos))";
    let mut world = World::new(schema, r#"[{"table":"a","deleted":"compare"}]"#);
    world.server.define("a", &["id", "pos", "v"], Rules::default());
    for (id, pos) in [(1, 2), (2, 1), (3, 4), (4, 3)] {
        world.server.put("a", &[("id", &id.to_string()), ("pos", &pos.to_string()), ("v", "\"v\"")]);
    }
    world.pull("{}").unwrap();
    world.exec("UPDATE a SET v = 'mine' WHERE id = 1; DELETE FROM a WHERE id = 2");
    migrate(
        &world,
        "CREATE TABLE n(id INTEGER NOT NULL, pos INTEGER PRIMARY KEY, v TEXT); INSERT INTO n SELECT * FROM a;
         DROP TABLE a; ALTER TABLE n RENAME TO a",
    );
    assert_eq!(world.outbox(), ["update a Integer(2) v", "delete a Integer(1) "]);
    world.server.alter("a", |rules, _| rules.key = vec!["pos".to_owned()]);
    world.push().unwrap();
    assert_eq!(remote(&world, "a", &["id", "v"]), ["1|mine", "3|v", "4|v"]);
    // Deletions are found by the keys that were known.
    world.server.remove("a", "3");
    world.pull("{}").unwrap();
    assert_eq!(world.rows("SELECT id FROM a ORDER BY id"), ["1", "4"]);
}

#[test]
fn changes_of_a_key_that_got_a_column_can_be_seen_and_sent() {
    let schema = "CREATE TABLE a(id INTEGER PRIMARY KEY, pos INTEGER, v TEXT); CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER)";
    let mut world = world(schema, FULL, false);
    world.exec("UPDATE a SET v = 'mine' WHERE id = 1; DELETE FROM a WHERE id = 2");
    migrate(
        &world,
        "CREATE TABLE n(id INTEGER, pos INTEGER, v TEXT, PRIMARY KEY (id, pos)); INSERT INTO n SELECT * FROM a;
         DROP TABLE a; ALTER TABLE n RENAME TO a",
    );
    assert_eq!(world.outbox(), ["update a Integer(1),Integer(8) v", "delete a Integer(2),Integer(7) "]);
    world.server.alter("a", |rules, _| rules.key = vec!["id".to_owned(), "pos".to_owned()]);
    world.push().unwrap();
    assert_eq!(remote(&world, "a", &["id", "pos", "v"]), ["1|8|mine", "3|6|v"]);
}

#[test]
fn a_deletion_whose_new_key_is_unknown_can_only_be_discarded() {
    let schema = "CREATE TABLE a(id INTEGER PRIMARY KEY, pos INTEGER, v TEXT); CREATE TABLE b(id INTEGER PRIMARY KEY, a INTEGER)";
    let mut world = world(schema, FULL, false);
    world.exec("DELETE FROM a WHERE id = 2");
    migrate(
        &world,
        "CREATE TABLE n(code TEXT PRIMARY KEY, id INTEGER, pos INTEGER, v TEXT); INSERT INTO n SELECT 'c' || id, * FROM a;
         DROP TABLE a; ALTER TABLE n RENAME TO a",
    );
    assert_eq!(world.outbox(), ["delete a   (schema)"]);
    let id = entries::rejected(&world.host.connection).unwrap()[0].id;
    let (sync, host) = (world.sync.clone(), world.host.clone());
    fails(world.sim.run(async move { sync.retry(&*host, id).await }), ErrorCode::InvalidArgument);
    world.discard(id).unwrap();
    assert_eq!(world.outbox(), Vec::<String>::new());
    assert_eq!(remote(&world, "a", &["id"]), ["1", "2", "3"]);
}

#[test]
fn a_column_that_gets_another_type_is_no_conflict() {
    for policy in ["keep-local", "remote-wins"] {
        let mut world = World::new(
            "CREATE TABLE t(id INTEGER PRIMARY KEY, price REAL, name TEXT)",
            &format!(r#"[{{"table":"t","deleted":"compare","conflict":"{policy}"}}]"#),
        );
        world.server.define("t", &["id", "price", "name"], Rules::default());
        for id in 1..=4 {
            world.server.put("t", &[("id", &id.to_string()), ("price", "3.50"), ("name", "\"n\"")]);
        }
        world.pull("{}").unwrap();
        world.exec(
            "UPDATE t SET price = 99.25 WHERE id = 1; UPDATE t SET name = 'long' WHERE id = 2; DELETE FROM t WHERE id = 3",
        );
        migrate(
            &world,
            "CREATE TABLE n(id INTEGER PRIMARY KEY, price NUMERIC TEXT, name TEXT); INSERT INTO n SELECT * FROM t;
             DROP TABLE t; ALTER TABLE n RENAME TO t",
        );
        world.pull("{}").unwrap();
        world.push().unwrap();
        assert_eq!(world.outbox(), Vec::<String>::new(), "{policy}");
        assert!(entries::conflicts(&world.host.connection, 10).unwrap().is_empty());
        let expected = ["1|99.25|n", "2|3.50|long", "4|3.50|n"];
        assert_eq!(remote(&world, "t", &["id", "price", "name"]), expected, "{policy}");
    }
}

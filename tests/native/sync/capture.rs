//! Capture of local changes in the outbox: one entry per key, for every kind of write, and only for committed ones.

use tidelock::{
    Value,
    sqlite::{Connection, PageFile},
    sync::{
        config::options::TableSync,
        outbox::{capture, entries},
        state::tables,
    },
};

fn open(schema: &str, tables: &[&str]) -> Connection {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec(schema).unwrap();
    sync(&connection, tables);
    connection
}

fn sync(connection: &Connection, tables: &[&str]) {
    let tables: Vec<TableSync> = tables.iter().map(|json| serde_json::from_str(json).unwrap()).collect();
    tables::register(connection, &tables).unwrap();
    capture::resume(connection).unwrap();
}

/// Returns the pending changes, one per line: `op table key columns`.
fn pending(connection: &Connection) -> Vec<String> {
    let changes = entries::pending(connection).unwrap();
    let show = |value: &Value| match value {
        Value::Integer(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        other => format!("{other:?}"),
    };
    changes
        .iter()
        .map(|change| {
            let key: Vec<_> = change.key.iter().map(|(_, value)| show(value)).collect();
            format!("{} {} {} {}", change.op.as_str(), change.table, key.join(","), change.columns.join(","))
                .trim()
                .to_owned()
        })
        .collect()
}

const ITEMS: &str = "CREATE TABLE items(id INTEGER PRIMARY KEY, name TEXT, price NUMERIC TEXT, raw BLOB, n);
    INSERT INTO items VALUES (1, 'one', '1.10', x'0102', 1.5), (2, 'two', '2.20', NULL, 9007199254740993);";
const TABLE: &str = r#"{"table":"items"}"#;

#[test]
fn changes_coalesce_to_one_a_key() {
    for (script, expected) in [
        ("UPDATE items SET name = 'x' WHERE id = 1", vec!["update items 1 name"]),
        (
            "UPDATE items SET name = 'x'; UPDATE items SET price = '3' WHERE id = 1",
            vec!["update items 1 name,price", "update items 2 name"],
        ),
        ("INSERT INTO items(id, name) VALUES (3, 'c')", vec!["insert items 3 id,name,price,raw,n"]),
        (
            "INSERT INTO items(id) VALUES (3); UPDATE items SET name = 'c' WHERE id = 3",
            vec!["insert items 3 id,name,price,raw,n"],
        ),
        ("INSERT INTO items(id) VALUES (3); DELETE FROM items WHERE id = 3", vec![]),
        ("UPDATE items SET name = 'x' WHERE id = 1; DELETE FROM items WHERE id = 1", vec!["delete items 1"]),
        (
            "DELETE FROM items WHERE id = 1; INSERT INTO items VALUES (1, 'new', '1.10', x'0102', 1.5)",
            vec!["update items 1 name"],
        ),
        ("DELETE FROM items WHERE id = 1; INSERT INTO items VALUES (1, 'one', '1.10', x'0102', 1.5)", vec![]),
        ("DELETE FROM items", vec!["delete items 1", "delete items 2"]),
        ("UPDATE items SET name = 'x'; UPDATE items SET name = 'one' WHERE id = 1", vec!["update items 2 name"]),
        ("UPDATE items SET name = name", vec![]),
        ("UPDATE items SET name = 'ONE' WHERE id = 1", vec!["update items 1 name"]),
        ("UPDATE items SET id = 7 WHERE id = 1", vec!["delete items 1", "insert items 7 id,name,price,raw,n"]),
        ("UPDATE items SET rowid = 7 WHERE id = 1", vec!["delete items 1", "insert items 7 id,name,price,raw,n"]),
        ("UPDATE items SET id = 7 WHERE id = 1; UPDATE items SET id = 1 WHERE id = 7", vec![]),
    ] {
        let connection = open(ITEMS, &[TABLE]);
        connection.exec(script).unwrap();
        assert_eq!(pending(&connection), expected, "{script}");
    }
}

#[test]
fn the_base_is_the_row_before_the_first_change_exactly() {
    let connection = open(ITEMS, &[TABLE]);
    connection
        .exec("UPDATE items SET name = 'x', raw = x'ff' WHERE id = 1; UPDATE items SET n = 2 WHERE id = 1")
        .unwrap();
    let base = connection.value("SELECT base FROM tidelock_outbox", &[]).unwrap().unwrap();
    let base = tidelock::sync::values::encode::decode_row(base.as_text().unwrap());
    let values: Vec<_> = base.into_iter().map(|(_, value)| value).collect();
    let expected =
        [Value::Integer(1), Value::from("one"), Value::from("1.10"), Value::Blob(vec![1, 2]), Value::Real(1.5)];
    assert_eq!(values, expected);
}

#[test]
fn a_collation_hides_no_change() {
    let connection = open(
        "CREATE TABLE items(id TEXT PRIMARY KEY COLLATE NOCASE, name TEXT COLLATE NOCASE); INSERT INTO items VALUES ('a', 'x')",
        &[TABLE],
    );
    connection.exec("UPDATE items SET name = 'X'").unwrap();
    assert_eq!(pending(&connection), ["update items a name"]);
}

#[test]
fn replace_is_a_delete_and_an_insert() {
    let schema = "CREATE TABLE items(id INTEGER PRIMARY KEY, slug TEXT UNIQUE, name TEXT);
        INSERT INTO items VALUES (1, 'a', 'one'), (2, 'b', 'two');";
    let connection = open(schema, &[TABLE]);
    connection.exec("INSERT OR REPLACE INTO items VALUES (1, 'a', 'new')").unwrap();
    assert_eq!(pending(&connection), ["update items 1 name"]);
    connection.exec("REPLACE INTO items VALUES (3, 'b', 'three')").unwrap();
    assert_eq!(pending(&connection), ["update items 1 name", "delete items 2", "insert items 3 id,slug,name"]);
    connection.exec("UPDATE OR REPLACE items SET slug = 'a' WHERE id = 3").unwrap();
    assert_eq!(pending(&connection), ["delete items 1", "delete items 2", "insert items 3 id,slug,name"]);
}

#[test]
fn upserts_are_what_they_did() {
    let connection = open(ITEMS, &[TABLE]);
    let upsert =
        "INSERT INTO items(id, name) VALUES (1, 'x'), (5, 'y') ON CONFLICT(id) DO UPDATE SET name = excluded.name";
    connection.exec(upsert).unwrap();
    connection.exec("INSERT OR IGNORE INTO items(id, name) VALUES (2, 'z')").unwrap();
    assert_eq!(pending(&connection), ["update items 1 name", "insert items 5 id,name,price,raw,n"]);
}

#[test]
fn cascades_are_captured() {
    let schema = "CREATE TABLE parent(id INTEGER PRIMARY KEY);
        CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
        INSERT INTO parent VALUES (1), (2); INSERT INTO child VALUES (10, 1), (11, 1), (12, 2);";
    let connection = open(schema, &[r#"{"table":"parent"}"#, r#"{"table":"child"}"#]);
    connection.exec("DELETE FROM parent WHERE id = 1; UPDATE parent SET id = 3 WHERE id = 2").unwrap();
    let mut changes = pending(&connection);
    changes.sort();
    let expected = [
        "delete child 10",
        "delete child 11",
        "delete parent 1",
        "delete parent 2",
        "insert parent 3 id",
        "update child 12 parent",
    ];
    assert_eq!(changes, expected);
}

#[test]
fn without_rowid_and_composite_keys_are_captured() {
    let schema = r#"CREATE TABLE "odd ""name"(a TEXT, b INTEGER, "the value" TEXT, PRIMARY KEY(b, a)) WITHOUT ROWID;
        INSERT INTO "odd ""name" VALUES ('x', 1, 'v');"#;
    let connection = open(schema, &[r#"{"table":"odd \"name"}"#]);
    connection
        .exec(r#"UPDATE "odd ""name" SET "the value" = 'w'; INSERT INTO "odd ""name" VALUES ('it''s', 2, NULL)"#)
        .unwrap();
    assert_eq!(pending(&connection), ["update odd \"name 1,x the value", "insert odd \"name 2,it's a,b,the value"]);
    connection.exec(r#"DELETE FROM "odd ""name""#).unwrap();
    assert_eq!(pending(&connection), ["delete odd \"name 1,x"]);
}

#[test]
fn what_is_rolled_back_never_happened() {
    let connection = open(ITEMS, &[TABLE]);
    connection.exec("BEGIN; UPDATE items SET name = 'x'; ROLLBACK").unwrap();
    assert!(pending(&connection).is_empty());
    connection
        .exec("BEGIN; UPDATE items SET name = 'x' WHERE id = 1; SAVEPOINT s; DELETE FROM items; ROLLBACK TO s; COMMIT")
        .unwrap();
    assert_eq!(pending(&connection), ["update items 1 name"]);
    // The second row violates the key: the statement leaves nothing.
    connection.exec("INSERT INTO items(id) VALUES (9), (1)").unwrap_err();
    assert_eq!(pending(&connection), ["update items 1 name"]);
}

#[test]
fn applied_rows_are_silent_and_a_failure_ends_the_silence() {
    let connection = open(ITEMS, &[TABLE]);
    let silent = |connection: &Connection, sql: &str| {
        connection.atomically(|connection| capture::without_capture(connection, |connection| connection.exec(sql)))
    };
    silent(&connection, "UPDATE items SET name = 'remote'").unwrap();
    assert!(pending(&connection).is_empty());
    silent(&connection, "INSERT INTO items(id) VALUES (1)").unwrap_err();
    connection.exec("UPDATE items SET name = 'local' WHERE id = 1").unwrap();
    assert_eq!(pending(&connection), ["update items 1 name"]);
}

#[test]
fn a_pull_only_table_and_an_unlisted_one_are_not_captured() {
    let connection = open(ITEMS, &[r#"{"table":"items","direction":"pull"}"#]);
    connection.exec("DELETE FROM items WHERE id = 1").unwrap();
    assert!(pending(&connection).is_empty());
    sync(&connection, &[r#"{"table":"items"}"#]);
    connection.exec("DELETE FROM items").unwrap();
    assert_eq!(pending(&connection), ["delete items 2"]);
    sync(&connection, &[r#"{"table":"other"}"#]);
    connection.exec("INSERT INTO items(id) VALUES (5)").unwrap();
    assert_eq!(pending(&connection), ["delete items 2"]);
}

#[test]
fn only_synced_columns_count() {
    let connection = open(ITEMS, &[r#"{"table":"items","columns":["id","name"]}"#]);
    connection.exec("UPDATE items SET price = '5'").unwrap();
    assert!(pending(&connection).is_empty());
    connection.exec("UPDATE items SET price = '6', name = 'x' WHERE id = 2").unwrap();
    assert_eq!(pending(&connection), ["update items 2 name"]);
}

#[test]
fn capture_outlives_schema_changes_and_openings_without_remote() {
    let file = PageFile::default();
    let connection = Connection::open(&file).unwrap();
    connection.exec(ITEMS).unwrap();
    sync(&connection, &[TABLE]);
    drop(connection);
    let connection = Connection::open(&file).unwrap();
    capture::resume(&connection).unwrap();
    connection.exec("UPDATE items SET name = 'x' WHERE id = 1").unwrap();
    connection
        .atomically(|connection| {
            capture::suspend(connection)?;
            connection.exec("ALTER TABLE items DROP COLUMN raw; ALTER TABLE items ADD COLUMN extra TEXT")?;
            connection.exec("ALTER TABLE items RENAME COLUMN price TO cost")?;
            capture::resume(connection)
        })
        .unwrap();
    connection.exec("UPDATE items SET extra = 'e' WHERE id = 2; UPDATE items SET cost = '9' WHERE id = 1").unwrap();
    assert_eq!(pending(&connection), ["update items 1 name,cost", "update items 2 extra"]);
    let failed: tidelock::Result<()> = connection.atomically(|connection| {
        capture::suspend(connection)?;
        Err(tidelock::Error::internal("the migration failed"))
    });
    failed.unwrap_err();
    connection.exec("DELETE FROM items WHERE id = 2").unwrap();
    assert_eq!(pending(&connection), ["update items 1 name,cost", "delete items 2"]);
}

#[test]
fn a_restored_outbox_is_set_aside_with_what_the_rows_were() {
    let connection = open(ITEMS, &[TABLE]);
    connection.exec("UPDATE items SET name = 'x' WHERE id = 1; DELETE FROM items WHERE id = 2").unwrap();
    assert_eq!(entries::quarantine_restored(&connection).unwrap(), 2);
    assert!(pending(&connection).is_empty());
    connection.exec("UPDATE items SET name = 'changed since', price = '7' WHERE id = 1").unwrap();
    let rejected = entries::rejected(&connection).unwrap();
    assert_eq!(rejected.len(), 2);
    assert_eq!(
        (rejected[0].reason.map(|reason| reason.as_str()), rejected[0].columns.as_slice()),
        (Some("restored"), &["name".to_owned()][..])
    );
    assert_eq!(pending(&connection), ["update items 1 name,price"]);
    assert_eq!(entries::counts(&connection, Some("items")).unwrap(), (1, 2));
}

#[test]
fn a_database_that_was_never_synced_has_no_sync_tables() {
    let connection = Connection::open(&PageFile::default()).unwrap();
    capture::resume(&connection).unwrap();
    assert!(entries::pending(&connection).unwrap().is_empty());
    assert_eq!(entries::counts(&connection, None).unwrap(), (0, 0));
    assert_eq!(connection.value("SELECT count(*) FROM sqlite_schema", &[]).unwrap(), Some(Value::Integer(0)));
}

#[test]
fn tables_of_another_build_are_made_anew_with_their_rows_and_ones_of_this_are_left_alone() {
    let connection = open(ITEMS, &[TABLE]);
    connection.exec("UPDATE items SET name = 'mine' WHERE id = 1; CREATE TABLE tidelock_applied(x)").unwrap();
    let text = |sql: &str| connection.value(sql, &[]).unwrap().unwrap();
    let version = || text("SELECT schema_version FROM pragma_schema_version");
    let own = version();
    tables::remake(&connection).unwrap();
    assert_eq!(version(), own);
    let before = text("SELECT group_concat(id || tbl || key || op || base) FROM tidelock_outbox");
    capture::suspend(&connection).unwrap();
    connection
        .exec("ALTER TABLE tidelock_outbox DROP COLUMN tries; ALTER TABLE tidelock_outbox ADD COLUMN other DEFAULT 7")
        .unwrap();
    tables::remake(&connection).unwrap();
    assert_eq!(text("SELECT group_concat(id || tbl || key || op || base) FROM tidelock_outbox"), before);
    assert_eq!(text("SELECT count(tries) FROM tidelock_outbox"), Value::Integer(0));
    assert!(connection.rows("SELECT other FROM tidelock_outbox", &[]).is_err());
    assert_eq!(text("SELECT count(*) FROM tidelock_applied"), Value::Integer(0), "what isn't sync's stays");
    assert!(tables::drop_others(&connection).unwrap());
    assert_eq!(
        text("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name LIKE 'tidelock%'"),
        Value::Integer(7)
    );
    assert!(connection.rows("SELECT * FROM tidelock_applied", &[]).is_err(), "not in contents to come");
    tables::remake(&connection).unwrap();
    assert_eq!(text("SELECT group_concat(id || tbl || key || op || base) FROM tidelock_outbox"), before);
    capture::resume(&connection).unwrap();
    connection.exec("UPDATE items SET name = 'one' WHERE id = 1").unwrap();
    assert_eq!(text("SELECT count(*) FROM tidelock_outbox"), Value::Integer(0));
}

//! Drift and generated migrations: single cases.

use tidelock::{
    ErrorCode, Value,
    schema::{Drift, GeneratedMigration, Renames, Schema, drift, generate},
    sqlite::{Connection, PageFile},
};

fn database(script: &str) -> Connection {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec("PRAGMA foreign_keys = OFF").unwrap();
    connection.exec(script).unwrap();
    connection
}

fn schema(script: &str) -> Schema {
    Schema::read(&database(script), &["schema_migrations"]).unwrap()
}

fn between(from: &str, to: &str) -> GeneratedMigration {
    generate(&schema(from), &schema(to), &Renames::default()).unwrap()
}

fn drifted(expected: &str, actual: &str) -> Drift {
    drift(&schema(expected), &schema(actual))
}

/// Runs a script on a database with rows, and checks that no difference to the wanted schema remains.
fn after(from: &str, script: &str, to: &str) -> Connection {
    let connection = database(from);
    connection.atomically(|connection| connection.exec(script)).unwrap_or_else(|error| panic!("{error}\n{script}"));
    let left = drift(&schema(to), &Schema::read(&connection, &[]).unwrap());
    assert!(left.is_empty(), "{left:?}\n{script}");
    connection
}

fn rows(connection: &Connection, sql: &str) -> String {
    let rows = connection.rows(sql, &[]).unwrap();
    let cell = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => value.to_string(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => format!("{bytes:?}"),
    };
    rows.iter().map(|row| row.iter().map(cell).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}

#[test]
fn equal_meaning_is_no_drift() {
    for (a, b) in [
        (
            "CREATE TABLE t(a INT, b TEXT NOT NULL DEFAULT 'x')",
            "create table [T] (\n B text default \"x\" not null, -- b\n \"A\" int)",
        ),
        ("CREATE TABLE t(a, CHECK (a > 0), UNIQUE (a))", "CREATE TABLE t(a, UNIQUE (a), CHECK (a>0))"),
        ("CREATE TABLE t(a) STRICT, WITHOUT ROWID", "CREATE TABLE t(a) without rowid, strict"),
        ("CREATE TABLE t(a); CREATE INDEX IF NOT EXISTS i ON t(a)", "CREATE TABLE t(a); create index \"i\" on [t] (a)"),
        ("CREATE TABLE t(a); ALTER TABLE t ADD COLUMN b TEXT", "CREATE TABLE t(a, b TEXT)"),
        ("CREATE TABLE t(a, b); ALTER TABLE t RENAME COLUMN b TO c; ALTER TABLE t RENAME TO u", "CREATE TABLE u(a, c)"),
        (
            "CREATE TABLE t(a); CREATE TABLE schema_migrations(v); CREATE TABLE tidelock_x(y); ANALYZE",
            "CREATE TABLE t(a)",
        ),
    ] {
        let (a, b) = (
            a.replace("(a) STRICT", "(a INT PRIMARY KEY) STRICT"),
            b.replace("(a) without", "(a INT PRIMARY KEY) without"),
        );
        assert_eq!(drifted(&a, &b), Drift::default(), "{a} and {b}");
        assert_eq!(between(&a, &b), GeneratedMigration::default(), "{a} and {b}");
    }
}

#[test]
fn drift_reports_the_actual_and_the_expected() {
    let drift = drifted(
        "CREATE TABLE t(a INT, b TEXT); CREATE TABLE gone(x); CREATE INDEX i ON t(a); CREATE VIEW v AS SELECT a FROM t",
        "CREATE TABLE t(a INT NOT NULL, c, CHECK (a > 0)); CREATE TABLE more(x); CREATE INDEX i ON t(a DESC);
         CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END",
    );
    let json = serde_json::to_string_pretty(&drift).unwrap();
    let expected = r#"{
  "added": [
    { "kind": "column", "name": "c", "table": "t", "actual": "" },
    { "kind": "table", "name": "more", "actual": "CREATE TABLE more(x)" },
    { "kind": "trigger", "name": "r", "table": "t", "actual": "CREATE TRIGGER r AFTER INSERT ON t BEGIN SELECT 1; END" }
  ],
  "removed": [
    { "kind": "column", "name": "b", "table": "t", "expected": "text" },
    { "kind": "table", "name": "gone", "expected": "CREATE TABLE gone(x)" },
    { "kind": "view", "name": "v", "expected": "CREATE VIEW v AS SELECT a FROM t" }
  ],
  "changed": [
    { "kind": "table", "name": "t", "expected": "", "actual": "check ( a > 0 )" },
    { "kind": "column", "name": "a", "table": "t", "expected": "int", "actual": "int not null" },
    { "kind": "index", "name": "i", "table": "t", "expected": "CREATE INDEX i ON t(a)", "actual": "CREATE INDEX i ON t(a DESC)" }
  ]
}"#;
    let compact = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    assert_eq!(compact(&json), compact(expected), "{json}");
}

#[test]
fn columns_are_added_and_dropped_by_alter_table_where_possible() {
    let (from, to) = (
        "CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT)",
        "CREATE TABLE t(a INTEGER PRIMARY KEY, c TEXT NOT NULL DEFAULT 'new')",
    );
    let generated = between(from, to);
    assert_eq!(
        generated.up,
        "ALTER TABLE t ADD COLUMN c TEXT NOT NULL DEFAULT 'new';\n\
         -- destructive: the column t.b is dropped, with its values\n\
         ALTER TABLE t DROP COLUMN b;\n"
    );
    assert_eq!(generated.destructive, ["the column t.b is dropped, with its values"]);
    let connection = after(&format!("{from}; INSERT INTO t VALUES (5, 'x')"), &generated.up, to);
    assert_eq!(rows(&connection, "SELECT a, c FROM t"), "5 new");
}

#[test]
fn what_alter_table_cannot_add_or_drop_is_a_rebuild() {
    let table = "CREATE TABLE t(a INTEGER PRIMARY KEY, x)";
    for body in [
        "a INTEGER PRIMARY KEY, x, b UNIQUE",
        "a INTEGER PRIMARY KEY, x, b DEFAULT CURRENT_TIMESTAMP",
        "a INTEGER PRIMARY KEY, x, b DEFAULT (1 + 1)",
        "a INTEGER PRIMARY KEY, x, b TEXT NOT NULL",
        "a INTEGER PRIMARY KEY, x, b AS (x) STORED",
        "a INTEGER PRIMARY KEY, x TEXT",
        "a INTEGER PRIMARY KEY, x NOT NULL",
        "a INTEGER PRIMARY KEY, x, CHECK (x)",
    ] {
        let to = format!("CREATE TABLE t({body})");
        let generated = between(table, &to);
        for script in [&generated.up, &generated.down] {
            let rebuilt = script.contains("new_t") || script.contains("DROP COLUMN b");
            assert!(rebuilt, "{script}");
        }
        let connection = after(&format!("{table}; INSERT INTO t VALUES (5, '1')"), &generated.up, &to);
        assert_eq!(rows(&connection, "SELECT a, x FROM t"), "5 1", "{body}");
    }
}

#[test]
fn a_rebuild_keeps_rowids_indexes_views_triggers_and_the_sequence() {
    let rest =
        "CREATE INDEX i ON t(b) WHERE b > 'a'; CREATE VIEW v AS SELECT b FROM t; CREATE VIEW w AS SELECT * FROM v;
        CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO other VALUES (new.b || ';'); END;
        CREATE TRIGGER h AFTER INSERT ON other BEGIN DELETE FROM t WHERE b = 'none'; END;";
    let tables = |id: &str, b: &str| {
        format!(
            "CREATE TABLE other(x REFERENCES t(id)); CREATE TABLE n(x {b}); CREATE TABLE t({id}, b {b}, up REFERENCES t(id)); {rest}"
        )
    };
    let counted = "id INTEGER PRIMARY KEY AUTOINCREMENT";
    let (from, to) = (tables(counted, ""), tables(counted, "TEXT COLLATE nocase"));
    let data = "INSERT INTO t(id, b) VALUES (3, 'x'), (90, 'y'); DELETE FROM t WHERE id = 90; DELETE FROM other;
        INSERT INTO n(rowid, x) VALUES (7, 'r');";
    let generated = between(&from, &to);
    let connection = after(&format!("{from} {data}"), &generated.up, &to);
    assert_eq!(rows(&connection, "SELECT rowid, x FROM n"), "7 r", "other tables may refer to it");
    connection.exec("INSERT INTO t(b) VALUES ('z')").unwrap();
    assert_eq!(rows(&connection, "SELECT id, b FROM t"), "3 x, 91 z");
    assert_eq!(rows(&connection, "SELECT x FROM other"), "z;");
    assert_eq!(rows(&connection, "SELECT name, seq FROM sqlite_sequence"), "t 91");
    assert_eq!(rows(&connection, "SELECT b FROM w"), "x, z");
    assert_eq!(generated.destructive, Vec::<String>::new());
}

#[test]
fn an_empty_table_keeps_its_sequence_too() {
    let from = "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, b)";
    let to = "CREATE TABLE t(id INTEGER PRIMARY KEY AUTOINCREMENT, b TEXT)";
    let data = "INSERT INTO t(b) VALUES (1), (2); DELETE FROM t";
    let connection = after(&format!("{from}; {data}"), &between(from, to).up, to);
    connection.exec("INSERT INTO t(b) VALUES (3)").unwrap();
    assert_eq!(rows(&connection, "SELECT id FROM t"), "3");
}

#[test]
fn existing_rows_fit_a_column_that_becomes_not_null() {
    let from = "CREATE TABLE t(a, b, c)";
    let to = "CREATE TABLE t(a TEXT NOT NULL, b NOT NULL DEFAULT 7, c, d INTEGER NOT NULL, e VARCHAR(3) NOT NULL)";
    let generated = between(from, to);
    let connection =
        after(&format!("{from}; INSERT INTO t VALUES (NULL, NULL, NULL), ('a', 'b', 'c')"), &generated.up, to);
    assert_eq!(rows(&connection, "SELECT * FROM t"), " 7 - 0 , a b c 0 ");
    assert_eq!(generated.destructive, ["NULL in t.a becomes ''", "NULL in t.b becomes 7"]);
}

#[test]
fn duplicates_fail_a_rebuild_whatever_the_new_table_does_on_conflict() {
    let from = "CREATE TABLE t(id INTEGER PRIMARY KEY, a)";
    for to in [
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE ON CONFLICT REPLACE)",
        "CREATE TABLE t(id INTEGER PRIMARY KEY, a UNIQUE ON CONFLICT IGNORE)",
        "CREATE TABLE t(id INTEGER, a PRIMARY KEY ON CONFLICT REPLACE)",
    ] {
        let connection = database(&format!("{from}; INSERT INTO t VALUES (1, 'a'), (2, 'a'), (3, 'b')"));
        let script = between(from, to).up;
        let failed = connection.atomically(|connection| connection.exec(&script)).unwrap_err();
        assert_eq!(failed.code, ErrorCode::SqliteConstraint, "{script}");
        assert_eq!(rows(&connection, "SELECT * FROM t"), "1 a, 2 a, 3 b");
    }
}

#[test]
fn a_column_that_becomes_generated_loses_its_values() {
    let (from, to) = ("CREATE TABLE t(a, b, c AS (a))", "CREATE TABLE t(a, b AS (a * 2), c)");
    let generated = between(from, to);
    let connection = after(&format!("{from}; INSERT INTO t(a, b) VALUES (1, 42)"), &generated.up, to);
    assert_eq!(rows(&connection, "SELECT a, b FROM t"), "1 2");
    assert_eq!(generated.destructive, ["the column t.b becomes a generated one, without its values"]);
}

#[test]
fn tables_of_all_kinds_change_into_each_other() {
    let from = "CREATE TABLE a(id INTEGER PRIMARY KEY, x); CREATE TABLE b(k PRIMARY KEY, x) WITHOUT ROWID; CREATE TABLE c(x INT, y);
        CREATE VIRTUAL TABLE f USING fts5(x); CREATE VIEW d AS SELECT 1; CREATE TABLE z(q)";
    let to = "CREATE TABLE a(id INTEGER PRIMARY KEY, x) STRICT;".replace("x)", "x ANY)")
        + "CREATE TABLE b(k PRIMARY KEY, x); CREATE TABLE c(id INTEGER PRIMARY KEY, x INT, y);
        CREATE VIRTUAL TABLE f USING fts5(x, y); CREATE TABLE d(e); CREATE INDEX z ON d(e)";
    let data = "INSERT INTO a VALUES (4, 'a'); INSERT INTO b VALUES ('k', 'b'); INSERT INTO c(rowid, x) VALUES (9, 5); INSERT INTO f VALUES ('lost')";
    let generated = between(from, &to);
    let connection = after(&format!("{from}; {data}"), &generated.up, &to);
    assert_eq!(rows(&connection, "SELECT * FROM a"), "4 a");
    assert_eq!(rows(&connection, "SELECT * FROM b"), "k b");
    assert_eq!(rows(&connection, "SELECT * FROM c"), "9 5 -", "the new key takes the numbers of the rows");
    assert_eq!(
        generated.destructive,
        ["the table f is created again, without its rows", "the table z is dropped, with its rows"]
    );
    connection.atomically(|connection| connection.exec(&generated.down)).unwrap();
    assert!(drift(&schema(from), &Schema::read(&connection, &[]).unwrap()).is_empty());
}

#[test]
fn renames_are_given_and_work_both_ways() {
    let from = "CREATE TABLE people(id INTEGER PRIMARY KEY, mail TEXT, gone); CREATE TABLE \"a.b\"(\"c.d\");
        CREATE TABLE posts(author REFERENCES people(id)); CREATE INDEX by_mail ON people(mail);
        CREATE VIEW mails AS SELECT mail FROM people; CREATE TRIGGER g AFTER UPDATE OF mail ON people BEGIN SELECT old.mail; END";
    let to = "CREATE TABLE users(id INTEGER PRIMARY KEY, email TEXT NOT NULL); CREATE TABLE \"a.b\"(\"e.f\");
        CREATE TABLE posts(author REFERENCES users(id)); CREATE INDEX by_mail ON users(email);
        CREATE VIEW mails AS SELECT email FROM users; CREATE TRIGGER g AFTER UPDATE OF email ON users BEGIN SELECT old.email; END";
    let pair = |old: &str, new: &str| (old.to_owned(), new.to_owned());
    let pairs = [pair("people", "users"), pair("People.Mail", "users.email"), pair("a.b.c.d", "a.b.e.f")];
    let (today, wanted) = (schema(from), schema(to));
    let renames = Renames::read(&pairs, &today, &wanted).unwrap();
    let generated = generate(&today, &wanted, &renames).unwrap();
    let connection = after(
        &format!("{from}; INSERT INTO people VALUES (1, 'a@b', 2); INSERT INTO \"a.b\" VALUES (3)"),
        &generated.up,
        to,
    );
    assert_eq!(rows(&connection, "SELECT id, email FROM users"), "1 a@b");
    assert_eq!(rows(&connection, "SELECT \"e.f\" FROM \"a.b\""), "3");
    connection.atomically(|connection| connection.exec(&generated.down)).unwrap();
    assert!(drift(&today, &Schema::read(&connection, &[]).unwrap()).is_empty(), "{}", generated.down);
    assert_eq!(rows(&connection, "SELECT id, mail FROM people"), "1 a@b");

    for (old, new) in [
        ("nobody", "users"),
        ("people.nothing", "users.email"),
        ("people.mail", "users.mail"),
        ("people", "users.email"),
        ("people.mail", "posts.author"),
    ] {
        let error = Renames::read(&[pair(old, new)], &today, &wanted).unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{old} {new}");
        assert!(error.message.contains(old) && error.hint.is_some(), "{error}");
    }
}

#[test]
fn hostile_names_stay_names() {
    let name = "x\"y\n; DROP TABLE t; --";
    let quoted = format!("\"{}\"", name.replace('"', "\"\""));
    let from = format!("CREATE TABLE {quoted}(a, {quoted} INT); CREATE TABLE t(a)");
    let to = format!("CREATE TABLE {quoted}(a TEXT, b NOT NULL); CREATE TABLE t(a)");
    let generated = between(&from, &to);
    let connection = after(&format!("{from}; INSERT INTO {quoted} VALUES (1, 2)"), &generated.up, &to);
    assert_eq!(rows(&connection, &format!("SELECT a FROM {quoted}")), "1");
    connection.atomically(|connection| connection.exec(&generated.down)).unwrap();
}

#[test]
fn a_taken_name_is_not_used_for_the_temporary_table() {
    let from = "CREATE TABLE t(a); CREATE TABLE new_t(b); CREATE VIEW new_new_t AS SELECT 1";
    let to = "CREATE TABLE t(a TEXT); CREATE TABLE new_t(b); CREATE VIEW new_new_t AS SELECT 1";
    after(from, &between(from, to).up, to);
}

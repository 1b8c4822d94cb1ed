//! SQL dumps: running a dump restores the same database, in tidelock and in plain SQLite.

use proptest::prelude::*;
use tidelock::{
    ErrorCode, Result, Value,
    error::Detail,
    sqlite::{Connection, ExternalFile, Image, PageFile, quote},
};

use crate::files::{made_by, rows_of};

fn open(script: &str) -> Connection {
    let connection = Connection::open(&PageFile::default()).unwrap();
    connection.exec(script).unwrap();
    connection
}

fn dump(connection: &Connection) -> String {
    let mut text = Vec::new();
    let mut sink = |piece: &[u8]| -> Result<()> {
        text.extend_from_slice(piece);
        Ok(())
    };
    connection.dump(&mut sink).unwrap();
    String::from_utf8(text).unwrap()
}

/// Returns the schema of a database, and each table's rows with their rowids and exact values.
fn contents(connection: &Connection) -> Vec<String> {
    let schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY 1, 2";
    let mut all: Vec<_> = connection.rows(schema, &[]).unwrap().iter().map(|row| format!("{row:?}")).collect();
    let tables = connection
        .rows("SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') ORDER BY name", &[])
        .unwrap();
    for row in tables {
        let name = row[0].as_text().unwrap();
        if name == "sqlite_schema" || name.starts_with("sqlite_stat") {
            continue;
        }
        let columns = connection.rows("SELECT name FROM pragma_table_xinfo(?1)", &[Value::from(name)]).unwrap();
        let columns: Vec<_> = columns.iter().map(|column| quote(column[0].as_text().unwrap())).collect();
        // Texts as bytes: not all of them are UTF-8.
        let exact: Vec<_> = columns
            .iter()
            .map(|column| format!("CASE typeof({column}) WHEN 'text' THEN 't' || hex({column}) ELSE {column} END"))
            .collect();
        let rowid = if row[1] == Value::Integer(0) { "_rowid_" } else { "0" };
        let sql = format!("SELECT {rowid}, {} FROM {} ORDER BY 1, 2", exact.join(","), quote(name));
        for row in connection.rows(&sql, &[]).unwrap() {
            let bits = |value: &Value| match value {
                Value::Real(real) => format!("{:x}", real.to_bits()),
                value => format!("{value:?}"),
            };
            all.push(format!("{name}: {}", row.iter().map(bits).collect::<Vec<_>>().join(" ")));
        }
    }
    all
}

fn same(one: &Connection, other: &Connection) {
    let (one, other) = (contents(one), contents(other));
    assert_eq!(one.len(), other.len(), "{one:#?} {other:#?}");
    let differ = one.iter().zip(&other).filter(|(one, other)| one != other);
    assert_eq!(differ.collect::<Vec<_>>(), []);
}

/// Checks that the dump restores the same database, in a scratch database and in plain SQLite. Returns the dump.
fn comes_back(connection: &Connection) -> String {
    let text = dump(connection);
    let (again, _) = Connection::open_sql(&text, u64::MAX, None)
        .and_then(ExternalFile::check)
        .unwrap_or_else(|error| panic!("{error:?}\n{text}"));
    same(&again, connection);
    assert_eq!(dump(&again), text);
    let plain = made_by(&text);
    assert_eq!(rows_of(&plain, "PRAGMA integrity_check"), ["ok"]);
    let plain = Connection::open(&PageFile::new(Image::from_bytes(&plain))).unwrap();
    same(&plain, connection);
    text
}

#[test]
fn a_dump_looks_like_that_of_sqlites_shell() {
    let text = dump(&open(
        "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, \"order\" REAL, b BLOB);
         CREATE INDEX by_name ON t(name);
         CREATE TABLE log(what);
         CREATE TRIGGER note AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.name); END;
         CREATE VIEW names AS SELECT name FROM t;
         INSERT INTO t VALUES (1, 'it''s', 2.5, x'00ff'), (3, NULL, -1e300, x'');",
    ));
    let expected = "PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT, \"order\" REAL, b BLOB);
INSERT INTO t VALUES(1,'it''s',2.5,X'00ff');
INSERT INTO t VALUES(3,NULL,-1.0e+300,X'');
CREATE TABLE log(what);
INSERT INTO log VALUES('it''s');
INSERT INTO log VALUES(NULL);
CREATE INDEX by_name ON t(name);
CREATE VIEW names AS SELECT name FROM t;
CREATE TRIGGER note AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.name); END;
COMMIT;
PRAGMA foreign_keys=ON;
";
    assert_eq!(text, expected);
}

#[test]
fn everything_that_a_schema_can_have_comes_back() {
    for script in [
        "",
        "PRAGMA user_version = 7; PRAGMA application_id = -5; CREATE TABLE a(x)",
        "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, x); INSERT INTO a(x) VALUES (1), (2); DELETE FROM a WHERE id = 2",
        "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO a VALUES (9); DROP TABLE a; CREATE TABLE b(x)",
        "CREATE TABLE a(x, y AS (x * 2), z AS (x + 1) STORED, w); INSERT INTO a(x, w) VALUES (1, 'w')",
        "CREATE TABLE a(k TEXT, n INT, v, PRIMARY KEY (k, n)) WITHOUT ROWID; INSERT INTO a VALUES ('b', 1, 2), ('a', 2, 1)",
        "CREATE TABLE a(x); INSERT INTO a(rowid, x) VALUES (5, 'five'), (-1, 'before'), (9223372036854775807, 'last')",
        "CREATE TABLE a(rowid, oid); INSERT INTO a(_rowid_, rowid, oid) VALUES (3, 'r', 'o')",
        "CREATE TABLE a(id INTEGER PRIMARY KEY DESC, x); INSERT INTO a(rowid, id) VALUES (7, 1)",
        "CREATE TABLE \"a \"\" b; --\"(\"c '' d\", \"select\", [e f], \"ü\"); INSERT INTO \"a \"\" b; --\" VALUES (1, 2, 3, 4)",
        "CREATE TABLE a(x -- the last\n); CREATE VIEW v AS SELECT x FROM a -- no end",
        "CREATE TABLE a(x INT, y TEXT) STRICT; INSERT INTO a VALUES (1, 'x'); CREATE TABLE w(k ANY PRIMARY KEY) STRICT, WITHOUT ROWID",
        "CREATE TABLE p(id PRIMARY KEY); CREATE TABLE c(p REFERENCES p(id)); PRAGMA foreign_keys = OFF; INSERT INTO c VALUES (1)",
        "CREATE TABLE child(p REFERENCES parent(id)); CREATE TABLE parent(id PRIMARY KEY); INSERT INTO parent VALUES (1);
         INSERT INTO child VALUES (1)",
        "CREATE TABLE a(x UNIQUE, y); CREATE UNIQUE INDEX i ON a(y) WHERE x > 1; CREATE INDEX e ON a(lower(y)); INSERT INTO a VALUES (1, 'A')",
        "CREATE TABLE a(x, y); CREATE INDEX covering ON a(y, x); INSERT INTO a VALUES (1, 9), (2, 8), (3, 7)",
        "CREATE TABLE a(x); INSERT INTO a VALUES (1), (2), (2); CREATE INDEX i ON a(x); ANALYZE",
        "CREATE VIEW v AS SELECT * FROM w; CREATE VIEW w AS SELECT 1 AS one;
         CREATE TRIGGER t INSTEAD OF INSERT ON v BEGIN SELECT CASE WHEN 1 THEN 'END;' END; SELECT 2; END",
        "CREATE VIRTUAL TABLE f USING fts5(a, b, prefix='2'); INSERT INTO f VALUES ('some text', 'more; ''of'' it'), ('b', NULL);
         INSERT INTO f(f, rank) VALUES ('rank', 'bm25(10.0)'); DELETE FROM f WHERE rowid = 2",
        "CREATE VIRTUAL TABLE f USING fts5(a, content=''); INSERT INTO f(rowid, a) VALUES (4, 'nowhere else')",
        "CREATE TABLE d(a); INSERT INTO d(rowid, a) VALUES (10, 'x'); CREATE VIRTUAL TABLE f USING fts5(a, content='d', content_rowid='rowid');
         INSERT INTO f(f) VALUES ('rebuild')",
        "CREATE VIRTUAL TABLE \"odd ' name\" USING fts5(a); INSERT INTO \"odd ' name\" VALUES ('x')",
        "CREATE TABLE a(x); INSERT INTO a VALUES (CAST(x'610062' AS TEXT)), (CAST(x'fffe41' AS TEXT)), (char(10, 13, 9)), ('💡'), ('')",
    ] {
        let text = comes_back(&open(script));
        assert!(text.len() > 60, "{script}");
    }
}

#[test]
fn a_text_that_never_ends_is_interrupted() {
    let endless = "CREATE TABLE a(x);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO a SELECT i FROM n WHERE i < 0";
    let mut asked = 0;
    let soon = Box::new(move || {
        asked += 1;
        if asked > 100 { 0.0 } else { 1000.0 }
    });
    let error = Connection::open_sql(endless, u64::MAX, Some(soon)).map(drop).unwrap_err();
    assert_eq!(error.code, ErrorCode::Timeout, "{error}");
    assert_eq!(error.message, "The file takes too long to check");
}

#[test]
fn a_statement_that_would_take_minutes_to_read_is_refused() {
    let expressions: Vec<String> = (0..100_000).map(|at| format!("c{at} AS (VALUES (1))")).collect();
    let script = format!("CREATE TABLE t(a);\nINSERT INTO t WITH {} SELECT 1;", expressions.join(","));
    let error = Connection::open_sql(&script, u64::MAX, None).map(drop).unwrap_err();
    assert_eq!((error.code, &error.details["line"]), (ErrorCode::InvalidArgument, &Detail::Int(2)));
    // A text may contain the word, and be of any length.
    let long = "with ".repeat(100_000);
    let script = format!("CREATE TABLE t(a); INSERT INTO t VALUES ('{long}');");
    let again = Connection::open_sql(&script, u64::MAX, None).and_then(ExternalFile::check).unwrap().0;
    assert_eq!(again.value("SELECT a FROM t", &[]).unwrap(), Some(Value::from(long.as_str())));
}

#[test]
fn a_comment_that_never_ends_hides_nothing_else() {
    let text = dump(&open("CREATE VIEW v AS SELECT 1 AS one /* open; CREATE TABLE a(x)"));
    let again = Connection::open_sql(&text, u64::MAX, None).and_then(ExternalFile::check).unwrap().0;
    assert_eq!(again.value("SELECT one FROM v", &[]).unwrap(), Some(Value::Integer(1)));
    assert_eq!(dump(&again), text);
}

#[test]
fn a_full_text_index_works_after_a_restore_from_text() {
    let text = dump(&open("CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('find me'), ('and me')"));
    let again = Connection::open_sql(&text, u64::MAX, None).and_then(ExternalFile::check).unwrap().0;
    again.exec("INSERT INTO f VALUES ('me too'); INSERT INTO f(f) VALUES ('integrity-check')").unwrap();
    let found = again.value("SELECT count(*) FROM f WHERE f MATCH 'me'", &[]).unwrap();
    assert_eq!(found, Some(Value::Integer(3)));
}

#[test]
fn large_values_are_passed_on_in_pieces() {
    let connection = open(
        "CREATE TABLE a(x); INSERT INTO a VALUES (zeroblob(3000000)), (replace(hex(zeroblob(800000)), '0', 'q'''))",
    );
    let mut largest = 0;
    let mut total = 0;
    let mut sink = |piece: &[u8]| -> Result<()> {
        largest = largest.max(piece.len());
        total += piece.len();
        Ok(())
    };
    connection.dump(&mut sink).unwrap();
    assert!(total > 6_000_000 + 4_800_000 && largest <= 1 << 20, "{total} {largest}");
    comes_back(&connection);
}

#[test]
fn texts_that_give_no_valid_database_are_refused() {
    for (script, code) in [
        ("this is no SQL", ErrorCode::SqliteError),
        ("", ErrorCode::InvalidArgument),
        ("BEGIN; CREATE TABLE a(x); INSERT INTO a VALUES (1)", ErrorCode::InvalidArgument),
        ("CREATE TABLE a(x); INSERT INTO a VALUES ('cut off", ErrorCode::SqliteError),
        ("CREATE TABLE a(x); ATTACH 'other.sqlite' AS other", ErrorCode::InvalidArgument),
        ("CREATE TABLE a(x); ATTACH '' AS other", ErrorCode::InvalidArgument),
        ("CREATE TABLE a(x); VACUUM INTO 'other.sqlite'", ErrorCode::InvalidArgument),
        ("CREATE TABLE a(x); PRAGMA hard_heap_limit = 1000000000", ErrorCode::InvalidArgument),
        ("CREATE TABLE a(x); PRAGMA main.Soft_Heap_Limit(1000000000)", ErrorCode::InvalidArgument),
        ("CREATE TABLE a(x); SELECT load_extension('x')", ErrorCode::SqliteError),
        ("CREATE TABLE a(x); CREATE VIEW v AS SELECT readfile('x')", ErrorCode::InvalidArgument),
        (
            "CREATE TABLE a(x); PRAGMA writable_schema = ON; PRAGMA schema_version = 7;
             UPDATE sqlite_schema SET sql = 'CREATE TABLE a(x COLLATE nosuch)'",
            ErrorCode::InvalidArgument,
        ),
        (
            "CREATE TABLE a(x); PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 1",
            ErrorCode::DatabaseCorrupt,
        ),
        // A value with more bytes than the text.
        ("CREATE TABLE a(x); INSERT INTO a VALUES (zeroblob(2000000))", ErrorCode::SqliteError),
        (
            "CREATE TABLE a(x); WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100)
             INSERT INTO a SELECT zeroblob(90000) FROM n",
            ErrorCode::DatabaseTooLarge,
        ),
    ] {
        let opened = Connection::open_sql(script, 1_000_000, None).and_then(ExternalFile::check);
        let error = opened.err().unwrap_or_else(|| panic!("{script}"));
        assert_eq!(error.code, code, "{script}: {error:?}");
    }
    let error = Connection::open_sql("CREATE TABLE a(x);\n\nINSERT INTO b VALUES (1);", u64::MAX, None).err().unwrap();
    assert_eq!(serde_json::to_value(&error.details).unwrap()["line"], 3);
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-3..3_i64).prop_map(Value::Integer),
        any::<u64>().prop_map(|bits| Value::Real(f64::from_bits(bits))),
        any::<f64>().prop_map(Value::Real),
        (-100_000..100_000_i64).prop_map(|n| Value::Real(n as f64 / 100.0)),
        any::<String>().prop_map(Value::Text),
        "['\";\\-/*\n\0a]{0,6}".prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Blob),
    ]
}

/// Returns the number of cases; the environment variable CASES sets it.
fn cases() -> u32 {
    std::env::var("CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_value_comes_back_exactly(rows in proptest::collection::vec((value(), value(), value()), 1..40)) {
        let connection = open("CREATE TABLE t(a, b TEXT, c REAL); CREATE TABLE w(k, a, PRIMARY KEY (k, a)) WITHOUT ROWID");
        for (a, b, c) in rows {
            connection.run("INSERT INTO t VALUES (?1, ?2, ?3)", &[a.clone(), b.clone(), c]).unwrap();
            connection.run("INSERT OR IGNORE INTO w VALUES (?1, ?2)", &[a, b]).ok();
        }
        comes_back(&connection);
    }
}

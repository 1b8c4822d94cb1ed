use proptest::prelude::*;

use super::{
    flat::{decode, encode},
    fresh,
};
use crate::{
    Error, Result, Value,
    error::{Detail, ErrorCode},
    sqlite::{Authority, Connection, FlatParams, FlatRows, Integers, Op, Outcome, Step, tag},
};

fn run_as(db: &Connection, op: Op, sql: &str, rows: &[Vec<Value>], names: &str) -> Result<(Outcome, FlatRows)> {
    let mut out = FlatRows::default();
    let buffer = encode(rows);
    let params = if rows.is_empty() { None } else { Some(FlatParams::parse(&buffer)?) };
    let outcome = db.execute(op, sql, Authority::User, params.as_ref(), names, Integers::Auto, &mut out)?;
    Ok((outcome, out))
}

fn query(db: &Connection, sql: &str, params: &[Value]) -> Result<Vec<Vec<Value>>> {
    let rows = if params.is_empty() { vec![] } else { vec![params.to_vec()] };
    run_as(db, Op::Query, sql, &rows, "").map(|(_, out)| decode(&out))
}

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-9i64..9).prop_map(Value::Integer),
        prop::sample::select(vec![(1i64 << 53) - 1, 1 << 53, -(1 << 53), i64::MIN, i64::MAX]).prop_map(Value::Integer),
        any::<f64>().prop_filter("NaN is NULL", |value| !value.is_nan()).prop_map(Value::Real),
        "[ -~]{0,20}".prop_map(Value::Text),
        any::<String>().prop_map(Value::Text),
        "(a|é|€|😀|\0|\u{feff}){0,8}".prop_map(Value::Text),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Blob),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn values_come_back_as_they_went_in(
        rows in (1usize..6).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(any_value(), n), 1..12))
    ) {
        let (_file, db) = fresh();
        let columns: Vec<String> = (0..rows[0].len()).map(|index| format!("c{index}")).collect();
        db.exec(&format!("CREATE TABLE t({})", columns.join(","))).unwrap();
        let sql = format!("INSERT INTO t VALUES ({})", vec!["?"; columns.len()].join(","));
        let (outcome, _) = run_as(&db, Op::RunMany, &sql, &rows, "").unwrap();
        prop_assert_eq!(outcome.changes as usize, rows.len());
        prop_assert_eq!(&query(&db, "SELECT * FROM t", &[]).unwrap(), &rows);
        // Directly, without a table in between.
        let sql = format!("SELECT {}", vec!["?"; columns.len()].join(","));
        prop_assert_eq!(query(&db, &sql, &rows[0]).unwrap(), rows[..1].to_vec());
        // The engine's own API returns the same.
        prop_assert_eq!(db.rows("SELECT * FROM t", &[]).unwrap(), rows);
    }

    #[test]
    fn a_bad_buffer_is_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80), small in any::<bool>()) {
        let mut bytes = bytes;
        if small && bytes.len() > 16 {
            // A head that may be valid.
            for (index, byte) in bytes[..16].iter_mut().enumerate() {
                *byte = if index % 4 == 0 { *byte % 4 } else { 0 };
            }
        }
        let (_file, db) = fresh();
        if let Ok(params) = FlatParams::parse(&bytes) {
            let sql = format!("SELECT 1{}", ", ?".repeat(params.columns().min(9)));
            let mut out = FlatRows::default();
            let _ = db.execute(Op::Query, &sql, Authority::User, Some(&params), "", Integers::Auto, &mut out);
        }
    }
}

/// Returns how many large results are drawn: more in a long run (`./build.sh test --all`).
fn large_draws() -> u32 {
    if std::env::var_os("TIDELOCK_ALL").is_some() { 256 } else { 48 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: large_draws(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn repeated_texts_are_returned_exactly(
        (texts, rows) in prop::collection::vec(
            prop_oneof![any::<String>(), "[a-c]{0,3}", "(a|é|😀){7,9}", "[a-b]{62,66}"].prop_map(Value::Text), 1..60,
        ).prop_flat_map(|texts| {
            let cell = prop_oneof![9 => prop::sample::select(texts.clone()), 1 => any_value()];
            (Just(texts), prop::collection::vec(prop::collection::vec(cell, 3), 1..400))
        }),
        rare in any::<bool>(),
    ) {
        let (_file, db) = fresh();
        db.exec("CREATE TABLE t(a, b, c, d, e)").unwrap();
        let other = |n: usize| Value::Text(if rare { format!("only {n}") } else { format!("état {}", n % 3) });
        let of = |n: usize, row: &[Value]| [row, &[other(n), texts[n % texts.len()].clone()]].concat();
        let rows: Vec<_> = rows.iter().enumerate().map(|(n, row)| of(n, row)).collect();
        run_as(&db, Op::RunMany, "INSERT INTO t VALUES (?, ?, ?, ?, ?)", &rows, "").unwrap();
        // Results reuse the same areas, where the texts lie elsewhere each time.
        let mut out = FlatRows::default();
        for order in ["rowid", "rowid DESC", "rowid"] {
            let sql = format!("SELECT * FROM t ORDER BY {order}");
            db.execute(Op::Query, &sql, Authority::User, None, "", Integers::Auto, &mut out).unwrap();
            prop_assert_eq!(&decode(&out), &db.rows(&sql, &[]).unwrap());
        }
        if rows.len() > 200 && !rare {
            prop_assert!(out.tags.chunks(5).filter(|tags| tags[3] == tag::AGAIN).count() > 100);
        }
    }
}

fn parameter_of(result: Result<Vec<Vec<Value>>>) -> (ErrorCode, Detail) {
    let error = result.unwrap_err();
    (error.code, error.details["parameter"].clone())
}

#[test]
fn missing_and_superfluous_parameters_are_named() {
    let (_file, db) = fresh();
    let invalid = ErrorCode::InvalidArgument;
    assert_eq!(parameter_of(query(&db, "SELECT ?, ?", &[])), (invalid, Detail::Int(1)));
    assert_eq!(parameter_of(query(&db, "SELECT ?, ?", &[1.into()])), (invalid, Detail::Int(2)));
    assert_eq!(parameter_of(query(&db, "SELECT ?", &[1.into(), 2.into()])), (invalid, Detail::Int(2)));
    assert_eq!(parameter_of(query(&db, "SELECT ?5", &[1.into()])), (invalid, Detail::Int(2)));
    let named = |sql: &str, names: &str, values: &[i64]| {
        let row = values.iter().map(|value| Value::Integer(*value)).collect();
        run_as(&db, Op::Query, sql, &[row], names).map(|(_, out)| decode(&out))
    };
    let row = |values: &[i64]| Ok(vec![values.iter().map(|value| Value::Integer(*value)).collect::<Vec<_>>()]);
    assert_eq!(named("SELECT :b, @a, $c, :a, :b", "a\0b\0c", &[1, 2, 3]), row(&[2, 1, 3, 1, 2]));
    db.exec("CREATE TABLE t(x, y)").unwrap();
    let many = vec![vec![1.into(), "é".into()], vec![2.into(), Value::Null]];
    assert_eq!(run_as(&db, Op::RunMany, "INSERT INTO t VALUES (:y, :x)", &many, "x\0y").unwrap().0.changes, 2);
    let expected = vec![vec!["é".into(), Value::Integer(1)], vec![Value::Null, Value::Integer(2)]];
    assert_eq!(query(&db, "SELECT * FROM t", &[]).unwrap(), expected);
    assert_eq!(parameter_of(named("SELECT :a, :b", "a", &[1])), (invalid, "b".into()));
    assert_eq!(parameter_of(named("SELECT :a", "a\0b", &[1, 2])), (invalid, "b".into()));
    assert_eq!(parameter_of(named("SELECT :a, ?", "a", &[1])), (invalid, Detail::Int(2)));
}

#[test]
fn a_statement_is_found_by_its_id_while_it_is_cached() {
    let (_file, db) = fresh();
    let sql = "SELECT :a, :b";
    let (outcome, _) = run_as(&db, Op::Query, sql, &[vec![1.into(), 2.into()]], "b\0a").unwrap();
    let id = outcome.statement;
    let again = |values: &[Value]| {
        let mut out = FlatRows::default();
        let buffer = encode(&[values.to_vec()]);
        let params = FlatParams::parse(&buffer)?;
        let statement = db.statement_known(id, Authority::User).ok_or_else(|| Error::internal("gone"))?;
        assert!(db.statement_known(id, Authority::User).is_none(), "it is in use");
        db.place(&statement, Some(&params), None)?;
        let outcome = db.execute_statement(Op::Query, &statement, Some(&params), Integers::Auto, &mut out)?;
        assert_eq!((statement.sql(), outcome.statement), (sql, id));
        Ok::<_, Error>(decode(&out))
    };
    assert_eq!(again(&["x".into(), "y".into()]).unwrap(), [vec!["y".into(), "x".into()]], "the names of before");
    assert!(again(&["x".into()]).unwrap_err().is(ErrorCode::InvalidArgument));
    assert!(db.statement_known(id, Authority::Engine).is_none());
    assert!(db.statement_known(0, Authority::User).is_none());
    db.exec("CREATE TABLE t(a)").unwrap();
    assert_eq!(again(&[1.into(), 2.into()]).unwrap(), [vec![Value::Integer(2), Value::Integer(1)]], "recompiled");
    let others: Vec<u32> =
        (0..300).map(|n| run_as(&db, Op::Query, &format!("SELECT {n}"), &[], "").unwrap().0.statement).collect();
    assert!(again(&[1.into(), 2.into()]).unwrap_err().message == "gone");
    assert!(others.iter().all(|other| *other != id), "no id is used twice");
    assert_eq!(others.iter().filter(|id| db.statement_known(**id, Authority::User).is_some()).count(), 128);
    assert_eq!(run_as(&db, Op::Run, "CREATE TABLE u(a)", &[], "").unwrap().0.statement, 0, "not cached");
}

#[test]
fn one_statement_is_one_statement() {
    let (_file, db) = fresh();
    assert_eq!(query(&db, " /* x */ SELECT 1 ; -- y\n ; ", &[]).unwrap(), vec![vec![Value::Integer(1)]]);
    for sql in ["", " ; -- nothing", "SELECT 1; SELECT 2", "SELECT 1\0"] {
        let error = query(&db, sql, &[]).unwrap_err();
        assert!(matches!(error.code, ErrorCode::InvalidArgument | ErrorCode::SqliteError), "{sql:?}: {error}");
    }
    assert!(query(&db, "SELECT 1; SELECT 2", &[]).unwrap_err().hint.is_some());
    assert!(query(&db, "PRAGMA foreign_keys = OFF; SELECT 2", &[]).is_err());
    assert_eq!(query(&db, "PRAGMA foreign_keys", &[]).unwrap(), vec![vec![Value::Integer(1)]]);
}

#[test]
fn changes_are_those_of_the_statement() {
    let (_file, db) = fresh();
    let changes = |sql: &str| run_as(&db, Op::Run, sql, &[], "").map(|(outcome, _)| (outcome.changes, outcome.wrote));
    db.exec("CREATE TABLE t(a); CREATE TABLE log(a); CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1); END")
        .unwrap();
    assert_eq!(changes("INSERT INTO t VALUES (1), (2), (3)").unwrap(), (3, true));
    for (sql, expected) in [
        ("SELECT * FROM t", (0, false)),
        ("CREATE TABLE c AS SELECT * FROM t", (0, true)),
        ("EXPLAIN DELETE FROM t", (0, false)),
        ("UPDATE t SET a = 0 WHERE a > 1", (2, true)),
        ("ANALYZE", (0, true)),
        ("PRAGMA user_version = 3", (0, true)),
        ("UPDATE t SET a = 0 WHERE a > 100", (0, true)),
        ("ALTER TABLE t ADD COLUMN b", (0, true)),
        ("DELETE FROM t", (3, true)),
        ("DROP TABLE c", (0, true)),
    ] {
        assert_eq!(changes(sql).unwrap(), expected, "{sql}");
    }
    let (outcome, _) = run_as(&db, Op::Run, "INSERT INTO t(rowid, a) VALUES (77, 1)", &[], "").unwrap();
    assert_eq!(outcome.last_insert_rowid, 77);
}

#[test]
fn get_gives_one_row_and_writes_all() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a)").unwrap();
    let (outcome, out) = run_as(&db, Op::Get, "INSERT INTO t VALUES (1), (2), (3) RETURNING a", &[], "").unwrap();
    assert_eq!((outcome.changes, decode(&out)), (3, vec![vec![Value::Integer(1)]]));
    let (_, out) = run_as(&db, Op::Get, "SELECT a FROM t ORDER BY a DESC", &[], "").unwrap();
    assert_eq!(decode(&out), vec![vec![Value::Integer(3)]]);
    let (_, out) = run_as(&db, Op::Get, "SELECT a FROM t WHERE a > 9", &[], "").unwrap();
    assert_eq!((out.rows, out.columns), (0, 1));
}

#[test]
fn integers_are_given_as_asked() {
    let (_file, db) = fresh();
    let tags = |sql: &str, integers| {
        let mut out = FlatRows::default();
        db.execute(Op::Query, sql, Authority::User, None, "", integers, &mut out).map(|_| out.tags.clone())
    };
    let sql = "SELECT 9007199254740991 a, 9007199254740992 b, -9007199254740992 c";
    assert_eq!(tags(sql, Integers::Auto).unwrap(), [1, 6, 6]);
    assert_eq!(tags(sql, Integers::Bigint).unwrap(), [6, 6, 6]);
    let error = tags(sql, Integers::Number).unwrap_err();
    assert_eq!((error.code, error.details["column"].clone()), (ErrorCode::IntegerOutOfRange, "b".into()));
    // A write whose result can't be returned has no effect, also inside a transaction.
    db.exec("CREATE TABLE t(a)").unwrap();
    let insert = "INSERT INTO t VALUES (1), (9007199254740992) RETURNING a";
    assert!(tags(insert, Integers::Number).is_err() && !db.in_transaction());
    let inside: Result<()> = db.atomically(|db| {
        db.run("INSERT INTO t VALUES (5)", &[])?;
        assert!(tags(insert, Integers::Number).is_err() && db.in_transaction());
        Ok(())
    });
    inside.unwrap();
    assert_eq!(query(&db, "SELECT a FROM t", &[]).unwrap(), vec![vec![Value::Integer(5)]]);
}

#[test]
fn shapes_name_the_columns_of_today() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a, b); INSERT INTO t VALUES (1, 2)").unwrap();
    let shape = |sql: &str| run_as(&db, Op::Query, sql, &[], "").unwrap().1.shape;
    let names = |shape: u32| db.shape_columns(shape).map(|names| names.to_vec()).unwrap();
    let first = shape("SELECT * FROM t");
    assert_eq!(names(first), ["a", "b"]);
    assert_eq!((shape("SELECT a, b FROM t"), shape("SELECT * FROM t")), (first, first));
    assert_eq!(names(shape("SELECT 1 x, 2 x")), ["x", "x"]);
    db.exec("ALTER TABLE t ADD COLUMN c DEFAULT 3").unwrap();
    let second = shape("SELECT * FROM t");
    assert_eq!(names(second), ["a", "b", "c"]);
    assert_eq!(query(&db, "SELECT * FROM t", &[]).unwrap()[0].len(), 3);
    assert_eq!((db.shape_columns(0), db.shape_columns(999)), (None, None));
    assert_eq!(run_as(&db, Op::Run, "DELETE FROM t", &[], "").unwrap().1.shape, 0);
}

#[test]
fn text_that_is_not_utf8_keeps_its_neighbours_right() {
    let (_file, db) = fresh();
    let rows = query(&db, "SELECT CAST(x'61ff62' AS TEXT), 'é', CAST(x'f09f98' AS TEXT), 'z'", &[]).unwrap();
    let texts: Vec<_> = rows[0].iter().filter_map(Value::as_text).collect();
    assert_eq!(texts, ["a\u{fffd}b", "é", "\u{fffd}", "z"]);
}

#[test]
fn a_database_in_utf16_reads_the_same() {
    let (_file, db) = fresh();
    db.exec("PRAGMA encoding = 'UTF-16'; CREATE TABLE t(a, b, c)").unwrap();
    let row = vec!["a€😀".into(), vec![0u8, 255].into(), "".into()];
    run_as(&db, Op::Run, "INSERT INTO t VALUES (?, ?, ?)", std::slice::from_ref(&row), "").unwrap();
    assert_eq!(db.value("PRAGMA encoding", &[]).unwrap(), Some("UTF-16le".into()));
    assert_eq!(query(&db, "SELECT * FROM t", &[]).unwrap(), vec![row]);
}

#[test]
fn errors_have_codes_and_positions_but_no_values() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a UNIQUE, b CHECK (b > 0)); INSERT INTO t VALUES ('secret', 1); CREATE VIRTUAL TABLE f USING fts5(a)")
        .unwrap();
    let effects = |error: Error| (error.code, error.details["sqliteCode"].clone());
    let (constraint, plain) = (ErrorCode::SqliteConstraint, ErrorCode::SqliteError);
    let insert = "INSERT INTO t VALUES (?, ?)";
    let error = query(&db, insert, &["secret".into(), 1.into()]).unwrap_err();
    assert!(!error.message.contains("secret"));
    assert_eq!(effects(error), (constraint, "SQLITE_CONSTRAINT_UNIQUE".into()));
    let error = query(&db, insert, &["other".into(), 0.into()]).unwrap_err();
    assert_eq!(effects(error), (constraint, "SQLITE_CONSTRAINT_CHECK".into()));
    let error = query(&db, insert, &["secret".into(), "t.a".into()]).unwrap_err();
    assert!(error.message.ends_with("t.a"), "{error}");
    let error = query(&db, "SELECT é, nope FROM t", &[]).unwrap_err();
    assert_eq!(error.details["offset"], Detail::Int(7));
    assert_eq!(effects(error), (plain, "SQLITE_ERROR".into()));
    for (sql, value) in [
        ("SELECT * FROM f WHERE f MATCH ?", "hush \"hush"),
        ("SELECT * FROM f WHERE f MATCH ?", "hush:x"),
        ("SELECT json_extract('{}', ?)", "hush"),
    ] {
        let error = query(&db, sql, &[value.into()]).unwrap_err();
        assert!(!format!("{error:?}").contains("hush"), "{error:?}");
        assert_eq!(error.code, plain);
    }
}

#[test]
fn a_pattern_that_would_exhaust_the_stack_is_an_error() {
    let (_file, db) = fresh();
    for sql in ["SELECT ?2 LIKE ?1", "SELECT ?2 GLOB replace(?1, '%', '*')"] {
        let ask = |wildcards: usize| query(&db, sql, &["%a".repeat(wildcards).into(), "a".repeat(1000).into()]);
        assert_eq!(ask(500).unwrap(), vec![vec![Value::Integer(1)]], "{sql}");
        let error = ask(501).unwrap_err();
        assert_eq!((error.code, &*error.message), (ErrorCode::SqliteError, "LIKE or GLOB pattern too complex"));
        assert!(error.hint.as_deref().unwrap().contains("FTS5"));
    }
}

#[test]
fn a_full_text_query_of_too_many_phrases_is_an_error() {
    let (_file, db) = fresh();
    db.exec("CREATE VIRTUAL TABLE f USING fts5(x); INSERT INTO f VALUES ('tide and moon')").unwrap();
    db.exec("CREATE VIRTUAL TABLE g USING fts5(x, tokenize = 'trigram'); INSERT INTO g VALUES ('tide')").unwrap();
    for (table, operator) in [("f", " AND "), ("f", " OR "), ("f", " "), ("g", " OR ")] {
        let sql = format!("SELECT count(*) FROM {table} WHERE {table} MATCH ?1");
        let ask = |phrases: usize| query(&db, &sql, &[vec!["tide"; phrases].join(operator).into()]);
        assert_eq!(ask(4000).unwrap(), vec![vec![Value::Integer(1)]], "{operator}");
        for phrases in [4001, 1_000_000] {
            let error = ask(phrases).unwrap_err();
            assert_eq!((error.code, &*error.message), (ErrorCode::SqliteError, "fts5: the query has too many phrases"));
            assert!(error.hint.as_deref().unwrap().contains("4,000"));
        }
    }
    let nested = |depth: usize| format!("{}tide{}", "(tide NOT ".repeat(depth), ")".repeat(depth));
    let error = query(&db, "SELECT * FROM f WHERE f MATCH ?1", &[nested(300).into()]).unwrap_err();
    assert!(error.message.starts_with("fts5: parser stack overflow"), "{error}");
    let chain = vec!["tide"; 300].join(" NOT ");
    let error = query(&db, "SELECT * FROM f WHERE f MATCH ?1", &[chain.into()]).unwrap_err();
    assert_eq!(error.message, "fts5 expression tree is too large (maximum depth 256)");
}

#[test]
fn a_deadline_stops_a_statement() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a)").unwrap();
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let mut asked = 0u8;
    db.set_deadline(Some(Box::new(move || {
        asked += 1;
        3.0 - f64::from(asked)
    })));
    let error = query(&db, endless, &[]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Timeout);
    db.set_deadline(None);
    let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) SELECT count(*) FROM n";
    assert_eq!(query(&db, long, &[]).unwrap(), vec![vec![Value::Integer(100_000)]]);
}

#[test]
fn a_statement_that_a_deadline_stops_has_changed_nothing() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a, b UNIQUE)").unwrap();
    let many =
        "INSERT INTO t WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 40) SELECT i, i FROM n";
    let returning = format!("{many} RETURNING a");
    let count = || query(&db, "SELECT count(*) FROM t", &[]).unwrap()[0][0].clone();
    for in_transaction in [false, true] {
        for change in [many, returning.as_str(), "INSERT INTO t VALUES (1, 1)"] {
            let (mut stopped, mut done) = (0, false);
            for calls in 1.. {
                db.exec("DELETE FROM t").unwrap();
                if in_transaction {
                    db.exec("BEGIN").unwrap();
                }
                let mut left = calls;
                db.set_deadline(Some(Box::new(move || {
                    left -= 1;
                    f64::from(left)
                })));
                let changed = query(&db, change, &[]);
                db.set_deadline(None);
                if in_transaction && db.in_transaction() {
                    db.exec("COMMIT").unwrap();
                }
                done = match &changed {
                    Ok(_) => true,
                    Err(error) => {
                        assert_eq!(error.code, ErrorCode::Timeout);
                        assert_eq!(count(), Value::Integer(0), "{change}, {in_transaction}, {calls} calls");
                        stopped += 1;
                        false
                    }
                };
                if calls > 200 {
                    break;
                }
            }
            assert!(done && (stopped > 3 || change.len() < 40), "{change}: stopped {stopped} times");
        }
    }
}

/// A search for many phrases near each other takes long in each step, and a step is one instruction.
#[test]
fn a_deadline_holds_when_single_instructions_are_slow() {
    let (_file, db) = fresh();
    db.exec("CREATE VIRTUAL TABLE t USING fts5(a)").unwrap();
    let text = vec!["tide"; 300].join(" ");
    for _ in 0..200 {
        db.run("INSERT INTO t VALUES (?1)", &[text.as_str().into()]).unwrap();
    }
    let near = format!("NEAR({}, 10)", vec!["tide"; 50].join(" "));
    let started = std::time::Instant::now();
    let calls = std::rc::Rc::new(std::cell::Cell::new(0));
    let counted = calls.clone();
    db.set_deadline(Some(Box::new(move || {
        counted.set(counted.get() + 1);
        60_000.0 - started.elapsed().as_secs_f64() * 1000.0
    })));
    assert_eq!(
        query(&db, "SELECT count(*) FROM t WHERE t MATCH ?1", &[near.into()]).unwrap()[0][0],
        Value::Integer(200)
    );
    assert!(calls.get() > 10, "called {} times for 200 slow rows", calls.get());
}

#[test]
fn values_read_in_place_equal_those_of_sqlites_functions() {
    let (_file, db) = fresh();
    assert!(db.reads_values(), "the bundled SQLite has the expected layout");
    let (_other, wide) = fresh();
    wide.exec("PRAGMA encoding = 'UTF-16'").unwrap();
    for db in [&db, &wide] {
        db.exec(
            "CREATE TABLE t(i INTEGER, r REAL, s TEXT, b BLOB, n NUMERIC, x);
             INSERT INTO t VALUES (1, 2, 'three', x'04', 5.0, NULL), (-9223372036854775808, 1e300, '', x'', '6.50', 'é'),
               (NULL, 9007199254740993, 'z' || char(0) || 'y', zeroblob(3), 'seven', zeroblob(0)),
               (CAST('8' AS TEXT), -0.0, 9, x'00ff' || 'q', 1e3, CAST(x'ff41' AS TEXT));
             CREATE INDEX ti ON t(r, s)",
        )
        .unwrap();
        for sql in [
            "SELECT * FROM t",
            "SELECT r, s FROM t INDEXED BY ti WHERE r > -1",
            "SELECT * FROM t UNION SELECT i + r, s || b, b, typeof(n), 1, hex(x) FROM t ORDER BY 1, 2, 3",
            "SELECT DISTINCT n, i || '', CAST(i AS REAL), CAST(r AS TEXT), 0.5 * i, randomblob(0), zeroblob(i IS 1) FROM t",
            "SELECT group_concat(s), sum(r), avg(i), max(b), min(x), count(*), json_array(1, 'é'), json('[2]') FROM t",
            "SELECT upper(s), substr(b, 2), coalesce(x, s), CASE i WHEN 1 THEN 1 ELSE 'no' END, 9e999, -9e999 FROM t",
            "PRAGMA table_info(t)",
        ] {
            let mut statement = db.statement(sql).unwrap();
            let (mut direct, mut asked) = (FlatRows::default(), FlatRows::default());
            while statement.step().unwrap() == Step::Row {
                let (raw, columns) = (statement.prepared.raw, statement.column_count());
                // SAFETY: the statement has a current row of that many columns.
                unsafe {
                    direct.push(raw, columns, Integers::Auto, true).unwrap();
                    asked.push(raw, columns, Integers::Auto, false).unwrap();
                }
            }
            let areas = |rows: &FlatRows| {
                (
                    rows.rows,
                    rows.tags.clone(),
                    rows.slots.clone(),
                    rows.text.clone(),
                    rows.wide.clone(),
                    rows.blobs.clone(),
                )
            };
            assert!(direct.rows > 0);
            assert_eq!(areas(&direct), areas(&asked), "{sql}");
        }
    }
}

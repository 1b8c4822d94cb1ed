//! Statements, their parameters and rows.

use std::collections::BTreeMap;

use serde::Deserialize;
use tidelock::{Error, ErrorCode, ImportOptions, Params, Row, Statement, Timestamp, Value, named_params, params};

use super::{block_on, code, in_memory, memory};

#[derive(Debug, Deserialize, PartialEq)]
struct Everything {
    id: u8,
    big: i64,
    real: f64,
    text: String,
    bytes: Vec<u8>,
    yes: bool,
    missing: Option<String>,
    kind: Kind,
    at: Timestamp,
}

/// A struct with all other columns in a map.
#[derive(Debug, Deserialize, PartialEq)]
struct Rest {
    id: i64,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Tea,
    Coffee,
}

#[test]
fn every_value_goes_in_and_comes_out_exactly() {
    block_on(async {
        let db = in_memory("CREATE TABLE t(id, big, real, text, bytes, yes, missing, kind, at)").await?;
        let at = Timestamp::parse("2026-11-20T07:19:57.123Z").unwrap();
        let text = "naïve 🌊 日本語 ".repeat(300);
        let row = params![7_u8, i64::MIN, -0.1, &text, vec![0_u8, 255], true, None::<String>, "tea", at,];
        db.run("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row).await?;
        let everything = Everything {
            id: 7,
            big: i64::MIN,
            real: -0.1,
            text: text.clone(),
            bytes: vec![0, 255],
            yes: true,
            missing: None,
            kind: Kind::Tea,
            at,
        };
        assert_eq!(db.query_as::<Everything>("SELECT * FROM t", ()).await?, [everything]);
        // Many rows whose texts repeat, ASCII and others, in a result of several areas.
        let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
            SELECT i, CASE i % 3 WHEN 0 THEN 'plain' WHEN 1 THEN 'ünïcode 🌊' END AS text, x'00ff' AS bytes FROM n";
        for (index, row) in db.query(many, ()).await?.iter().enumerate() {
            let text = [Some("plain"), Some("ünïcode 🌊"), None][(index + 1) % 3];
            assert_eq!(row.get::<usize>(0)?, index + 1);
            assert_eq!(row.get::<Option<String>>("text")?.as_deref(), text);
            assert_eq!(row["bytes"], Value::Blob(vec![0, 255]));
        }
        Ok(())
    });
}

#[test]
fn an_iterator_has_the_rows_of_one_point_in_time_in_a_loop_that_writes() {
    block_on(async {
        let db = in_memory("CREATE TABLE t(id INTEGER PRIMARY KEY, text)").await?;
        let texts = (1..=500).map(|id| params![id, ["plain", "ünïcode 🌊"][id as usize % 2]]);
        db.run_many("INSERT INTO t VALUES (?, ?)", texts).await?;
        let mut rows = db.iterate("SELECT id, text FROM t ORDER BY id", ()).await?;
        assert_eq!((rows.len(), rows.columns()), (500, &["id".to_owned(), "text".to_owned()][..]));
        for id in 1..=500 {
            let row = rows.next().unwrap()?;
            assert_eq!((row.get::<i64>(0)?, row[1].as_text()), (id, Some(["plain", "ünïcode 🌊"][id as usize % 2])));
            db.run("DELETE FROM t WHERE id >= ?", params![id]).await?;
        }
        assert!(rows.next().is_none() && rows.next().is_none());
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM t", ()).await?, Some(0));

        // A row that can't be read doesn't end it, and neither does the end of the transaction or the database.
        let of_types = "SELECT 1 UNION ALL SELECT 'x' UNION ALL SELECT 3";
        let mut numbers = db.transaction(async |tx| tx.iterate_as::<u8>(of_types, ()).await).await?;
        assert_eq!(numbers.next().unwrap()?, 1);
        db.close().await?;
        assert_eq!(code(numbers.next().unwrap()), Some(ErrorCode::InvalidArgument));
        assert_eq!(numbers.next().unwrap()?, 3);
        assert_eq!(numbers.size_hint(), (0, Some(0)));
        assert_eq!(code(db.iterate("SELECT 1", ()).await), Some(ErrorCode::Closed));
        Ok(())
    });
}

#[test]
fn rows_are_read_by_position_by_name_and_by_serde() {
    block_on(async {
        let db = in_memory("").await?;
        let row = db.get("SELECT 1 AS a, 'x' AS b, 2 AS a", ()).await?.unwrap();
        assert_eq!(row.columns(), ["a", "b", "a"]);
        assert_eq!((&row["a"], &row[0]), (&Value::Integer(2), &Value::Integer(1)));
        assert_eq!(row.value("c"), None);
        assert_eq!(row.to::<(i64, String, i64)>()?, (1, "x".into(), 2));
        let pair = db.get("SELECT 'k' AS k, 'v' AS v", ()).await?.unwrap();
        assert_eq!(
            pair.to::<BTreeMap<String, String>>()?,
            [("k", "k"), ("v", "v")].map(|(a, b)| (a.into(), b.into())).into()
        );
        let all = "SELECT 1 AS id, NULL AS a, 0.5 AS b, 'x' AS c, x'00ff' AS d";
        let rest = [("a", Value::Null), ("b", Value::Real(0.5)), ("c", "x".into()), ("d", vec![0, 255_u8].into())];
        let rest: BTreeMap<String, Value> = rest.map(|(name, value)| (name.to_owned(), value)).into();
        assert_eq!(db.get_as::<Rest>(all, ()).await?, Some(Rest { id: 1, rest }));
        assert_eq!(db.query_as::<Value>("SELECT 'x' UNION ALL SELECT NULL", ()).await?, ["x".into(), Value::Null]);
        assert_eq!(db.get_as::<Vec<Value>>("SELECT x'00', 2", ()).await?.unwrap()[1], Value::Integer(2));
        assert_eq!(db.get_as::<Option<i64>>("SELECT NULL", ()).await?, Some(None));
        assert_eq!(db.get_as::<i64>("SELECT 1 WHERE 0", ()).await?, None);
        assert_eq!(db.query("CREATE TABLE u(x)", ()).await?, Vec::<Row>::new());
        let inserted = db.query("INSERT INTO u VALUES (3), (4) RETURNING x * 2", ()).await?;
        assert_eq!(inserted.iter().map(|row| row.get::<i64>(0)).collect::<Result<Vec<_>, _>>()?, [6, 8]);
        Ok(())
    });
}

#[test]
fn what_cannot_be_read_names_the_column_and_never_the_value() {
    block_on(async {
        let db = in_memory("").await?;
        let row = db.get("SELECT 'sécret' AS name, 300 AS size, 2 AS flag", ()).await?.unwrap();
        let refusals: [(Error, ErrorCode, &str); 5] = [
            (row.get::<i64>("name").unwrap_err(), ErrorCode::InvalidArgument, "name"),
            (row.get::<u8>("size").unwrap_err(), ErrorCode::IntegerOutOfRange, "size"),
            (row.get::<bool>("flag").unwrap_err(), ErrorCode::InvalidArgument, "flag"),
            (row.get::<Kind>("name").unwrap_err(), ErrorCode::InvalidArgument, "name"),
            (row.get::<i64>("none").unwrap_err(), ErrorCode::InvalidArgument, "none"),
        ];
        for (error, code, column) in refusals {
            assert_eq!(error.code, code, "{error}");
            assert_eq!(error.details["column"], column.into());
            let shown = format!("{error} {error:?}");
            assert!(!shown.contains("cret") && !shown.contains("300"), "{shown}");
        }
        let error = row.to::<Everything>().unwrap_err();
        assert!(error.is(ErrorCode::InvalidArgument) && error.message.contains("no column id"), "{error}");
        let error = row.to::<(i64,)>().unwrap_err();
        assert!(error.message.contains("3 columns, not 1"), "{error}");
        Ok(())
    });
}

#[test]
fn wrong_parameters_are_refused_as_in_typescript() {
    block_on(async {
        let db = in_memory("CREATE TABLE t(a, b)").await?;
        let wrong: [(&str, Params); 9] = [
            ("SELECT ?", ().into()),
            ("SELECT ?", params![1, 2]),
            ("SELECT :a", params![]),
            ("SELECT ?", named_params! { "a": 1 }),
            ("SELECT :a", named_params! { "a": 1, "b": 2 }),
            ("SELECT :a", named_params! { ":a": 1, "$a": 2 }),
            ("SELECT :a", named_params! { ":": 1 }),
            ("SELECT ?", params![f64::NAN]),
            ("SELECT ?", params![f64::NEG_INFINITY]),
        ];
        for (sql, params) in wrong {
            let error = db.query(sql, params.clone()).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{sql} {params:?}: {error}");
        }
        let rows = [params![1, 2], params![1]];
        assert_eq!(code(db.run_many("INSERT INTO t VALUES (?, ?)", rows).await), Some(ErrorCode::InvalidArgument));
        let rows = [[1.0, 2.0], [1.0, f64::INFINITY]];
        let error = db.run_many("INSERT INTO t VALUES (?, ?)", rows).await.unwrap_err();
        assert_eq!((error.code, &error.details["row"]), (ErrorCode::InvalidArgument, &2.into()));
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM t", ()).await?, Some(0));
        let named = [named_params! { "a": 1, ":b": 2 }, named_params! { "a": 3, ":b": 4 }];
        assert_eq!(db.run_many("INSERT INTO t VALUES (@a, $b)", named).await?, 2);
        assert_eq!(db.run_many::<[i64; 2]>("INSERT INTO t VALUES (?, ?)", []).await?, 0);
        Ok(())
    });
}

#[test]
fn errors_have_code_details_and_hint() {
    block_on(async {
        let db = in_memory("CREATE TABLE t(a UNIQUE); INSERT INTO t VALUES (1)").await?;
        let error: Box<dyn std::error::Error> = db.run("INSERT INTO t VALUES (1)", ()).await.unwrap_err().into();
        let error = error.downcast::<Error>().unwrap();
        assert_eq!(error.code, ErrorCode::SqliteConstraint);
        assert_eq!(error.details["sqliteCode"], "SQLITE_CONSTRAINT_UNIQUE".into());
        assert_eq!(error.details["sql"], "INSERT INTO t VALUES (1)".into());
        assert_eq!(code(db.query("SELECT * FROM missing", ()).await), Some(ErrorCode::SqliteError));
        for refused in ["BEGIN", "SELECT 1; SELECT 2", "", "PRAGMA journal_mode = wal", "ATTACH 'x' AS x"] {
            let error = db.query(refused, ()).await.unwrap_err();
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{refused}: {error}");
        }
        let statements =
            [Statement::new("INSERT INTO t VALUES (2)", ()), Statement::new("INSERT INTO t VALUES (1)", ())];
        let error = db.batch(statements).await.unwrap_err();
        assert_eq!((error.code, &error.details["statement"]), (ErrorCode::SqliteConstraint, &2.into()));
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM t", ()).await?, Some(1), "the batch left nothing");
        assert_eq!(db.explain("SELECT * FROM t WHERE a = ?").await?.len(), 1);
        Ok(())
    });
}

#[test]
fn a_closed_database_says_so_and_closes_again() {
    block_on(async {
        let db = in_memory("CREATE TABLE t(a)").await?;
        let other = db.clone();
        assert!(!db.is_closed());
        db.close().await?;
        assert!(other.is_closed());
        assert_eq!(code(other.query("SELECT 1", ()).await), Some(ErrorCode::Closed));
        assert_eq!(code(other.begin(Default::default()).await), Some(ErrorCode::Closed));
        assert_eq!(code(other.snapshots().list().await), Some(ErrorCode::Closed));
        assert_eq!(code(other.snapshots().status().await), Some(ErrorCode::Closed));
        assert_eq!(code(other.snapshots().history(10).await), Some(ErrorCode::Closed));
        assert_eq!(code(other.migrations().lint().await), Some(ErrorCode::Closed));
        assert_eq!(code(other.events().await), Some(ErrorCode::Closed));
        assert_eq!(other.health().await?.status, tidelock::HealthStatus::Failed);
        other.close().await
    });
}

#[test]
fn databases_are_exported_imported_and_seeded() {
    block_on(async {
        let db = in_memory("CREATE TABLE t(a); INSERT INTO t VALUES (1)").await?;
        let (file, text) = (db.export().await?, db.export_sql().await?);
        assert!(file.starts_with(b"SQLite format 3\0") && text.contains("CREATE TABLE t(a)"));
        db.exec("DELETE FROM t").await?;
        db.import(file.clone(), ImportOptions::default()).await?;
        let seeded = tidelock::open(memory().seed(file)).await?;
        for db in [&db, &seeded] {
            assert_eq!(db.query_as::<i64>("SELECT a FROM t", ()).await?, [1]);
        }
        assert_eq!(code(db.import(*b"no database", ImportOptions::default()).await), Some(ErrorCode::DatabaseCorrupt));
        assert_eq!(code(tidelock::open(memory().seed(*b"no database")).await), Some(ErrorCode::DatabaseCorrupt));
        assert!(db.maintain().await?.ok);
        Ok(())
    });
}

#[test]
fn calls_run_from_any_thread_in_their_order() {
    block_on(async {
        let db = in_memory("CREATE TABLE t(a INTEGER PRIMARY KEY)").await?;
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let db = db.clone();
                std::thread::spawn(move || {
                    block_on(async {
                        for n in 0..50 {
                            db.run("INSERT INTO t VALUES (?)", params![thread * 50 + n]).await?;
                        }
                        Ok(())
                    });
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(db.get_as::<i64>("SELECT count(*) FROM t", ()).await?, Some(200));
        Ok(())
    });
    fn is_send<T: Send>(_: T) {}
    fn is_shared<T: Send + Sync>() {}
    is_shared::<tidelock::Database>();
    is_shared::<tidelock::Transaction>();
    is_send(|live: tidelock::LiveQuery, events: tidelock::Events| (live, events));
    is_send(async {
        let db = tidelock::open(memory()).await?;
        db.run("SELECT ?", params![1]).await?;
        let work = async |tx: tidelock::Transaction| tx.query("SELECT 1", ()).await;
        db.transaction(work).await
    });
}

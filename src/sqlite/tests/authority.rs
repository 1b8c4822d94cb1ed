use std::rc::Rc;

use super::fresh;
use crate::{
    Result, Value,
    error::{Detail, ErrorCode},
    sqlite::{Authority, Connection, ScriptOutline, StatementEffects, TransactionMode},
};

fn run(db: &Connection, sql: &str, authority: Authority) -> Result<u64> {
    db.statement_for(sql, authority)?.finish()
}

fn script(db: &Connection, sql: &str) -> Result<()> {
    db.for_each_statement(sql, Authority::Script, &mut |statement, _| statement.run())
}

#[test]
fn users_may_not_run_statements_that_endanger_the_storage() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a)").unwrap();
    for sql in [
        "BEGIN",
        "COMMIT",
        "ROLLBACK",
        "END",
        "SAVEPOINT x",
        "RELEASE x",
        "ATTACH ':memory:' AS other",
        "ATTACH '' AS other",
        "DETACH other",
        "VACUUM",
        "VACUUM INTO 'copy'",
        "PRAGMA journal_mode = WAL",
        "PRAGMA main.journal_mode(delete)",
        "PRAGMA locking_mode = NORMAL",
        "PRAGMA Synchronous = FULL",
        "PRAGMA cache_spill = ON",
        "PRAGMA page_size = 512",
        "PRAGMA max_page_count = 3",
        "PRAGMA writable_schema = ON",
        "PRAGMA temp_store = MEMORY",
        "PRAGMA temp_store_directory = '/tmp'",
        "PRAGMA encoding = 'UTF-16le'",
        "PRAGMA main.encoding = utf16",
    ] {
        let error = run(&db, sql, Authority::User).expect_err(sql);
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{sql}: {error}");
        assert!(error.hint.is_some(), "{sql}");
    }
    for sql in [
        "PRAGMA journal_mode",
        "PRAGMA page_size",
        "PRAGMA synchronous",
        "PRAGMA temp_store",
        "PRAGMA encoding",
        "PRAGMA encoding = 'utf-8'",
        "PRAGMA foreign_keys = OFF",
    ] {
        run(&db, sql, Authority::User).expect(sql);
    }
    assert_eq!(db.value("PRAGMA foreign_keys", &[]).unwrap(), Some(Value::Integer(0)));
    db.exec("BEGIN").unwrap();
    assert!(run(&db, "PRAGMA foreign_keys = ON", Authority::User).is_err_and(|e| e.is(ErrorCode::InvalidArgument)));
    run(&db, "PRAGMA foreign_keys", Authority::User).unwrap();
    db.exec("COMMIT; VACUUM; PRAGMA foreign_keys = ON").unwrap();
    assert_eq!(db.value("PRAGMA journal_mode", &[]).unwrap(), Some("memory".into()));
}

#[test]
fn a_pragma_is_never_cached() {
    let (_file, db) = fresh();
    for on in [0, 1, 0, 1] {
        run(&db, &format!("PRAGMA foreign_keys = {on}"), Authority::User).unwrap();
        assert_eq!(db.value("PRAGMA foreign_keys", &[]).unwrap(), Some(Value::Integer(on)));
    }
}

#[test]
fn a_script_may_have_its_own_transaction_and_a_vacuum() {
    let (file, db) = fresh();
    let commits = file.commits();
    script(&db, "BEGIN; CREATE TABLE t(a); SAVEPOINT s; INSERT INTO t VALUES (1); ROLLBACK TO s; RELEASE s; COMMIT")
        .unwrap();
    assert_eq!((file.commits(), db.in_transaction()), (commits + 1, false));
    script(&db, " -- tidy up\n VACUUM").unwrap();
    for sql in ["VACUUM INTO 'copy'", "ATTACH '' AS x", "ATTACH 'file' AS x", "PRAGMA synchronous = FULL"] {
        let error = script(&db, sql).expect_err(sql);
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{sql}: {error}");
    }
    assert!(script(&db, "BEGIN; VACUUM").is_err());
    db.exec("ROLLBACK").unwrap();
}

#[test]
fn a_script_reports_where_it_failed() {
    let (_file, db) = fresh();
    let text = "CREATE TABLE t(a UNIQUE);\n-- é; comment\nCREATE TRIGGER g AFTER INSERT ON t BEGIN\n  SELECT 1; SELECT 2;\nEND;\nINSERT INTO t VALUES (1);\n\n  INSERT INTO t\n VALUES (nope);";
    let error = script(&db, text).unwrap_err();
    assert_eq!(error.details["line"], Detail::Int(9));
    assert_eq!(error.details["offset"], Detail::Int(text.find("nope").unwrap() as i64));
    let error = script(&db, "SELECT 1;\n\nINSERT INTO t VALUES (2);\n INSERT INTO t\nVALUES (1)").unwrap_err();
    assert_eq!((error.code, error.details["line"].clone()), (ErrorCode::SqliteConstraint, Detail::Int(4)));
    for open in
        ["SELECT 1;\nSELECT 1 FROM", "SELECT 1;\nCREATE TRIGGER h AFTER INSERT ON t BEGIN SELECT 1;", "\nSELECT 'x"]
    {
        let error = script(&db, open).expect_err(open);
        assert_eq!((error.code, error.details["line"].clone()), (ErrorCode::SqliteError, Detail::Int(2)), "{open}");
    }
    assert_eq!(db.value("SELECT count(*) FROM t", &[]).unwrap(), Some(Value::Integer(2)));
    let mut places = vec![];
    let two = " SELECT 'é;' ; /* x */ SELECT 2 -- end";
    db.for_each_statement(two, Authority::User, &mut |_, range| {
        places.push(&two[range]);
        Ok(())
    })
    .unwrap();
    assert_eq!(places, ["SELECT 'é;' ;", "SELECT 2 -- end"]);
}

#[test]
fn an_outline_shows_how_a_script_must_run() {
    let outline = ScriptOutline::of("BEGIN; INSERT INTO t VALUES ('COMMIT;'); COMMIT;");
    assert!(outline.has_own_transaction() && outline.statements == 3);
    assert!(
        !ScriptOutline::of("CREATE TRIGGER t AFTER INSERT ON t BEGIN SELECT 1; END; SELECT 1").has_own_transaction()
    );
    assert!(ScriptOutline::of("-- x\nVACUUM;").vacuum);
    assert!(!ScriptOutline::of("VACUUM; SELECT 1").vacuum && !ScriptOutline::of("SELECT 1; VACUUM").vacuum);
}

#[test]
fn a_script_runs_whole_as_written_or_as_a_vacuum() {
    for (script, manner) in [
        ("", TransactionMode::Whole),
        ("INSERT INTO t VALUES (1); UPDATE t SET a = 2", TransactionMode::Whole),
        ("CREATE TRIGGER t AFTER INSERT ON t BEGIN SELECT 1; END; SELECT 1", TransactionMode::Whole),
        ("INSERT INTO t VALUES ('begin; commit')", TransactionMode::Whole),
        ("SELECT 1; BEGIN; SELECT 2", TransactionMode::Whole),
        (" /* x */ begin; SELECT 1; COMMIT", TransactionMode::AsWritten),
        ("BEGIN; SELECT 1", TransactionMode::AsWritten),
        ("PRAGMA foreign_keys = OFF; Begin Immediate; SELECT 1; end", TransactionMode::AsWritten),
        ("-- x\nVACUUM;", TransactionMode::Vacuum),
        ("VACUUM; SELECT 1", TransactionMode::Whole),
        ("VACUUM; BEGIN; COMMIT", TransactionMode::AsWritten),
    ] {
        assert_eq!(TransactionMode::of(script), manner, "{script}");
    }
}

#[test]
fn each_statement_of_a_script_has_effects_of_its_own() {
    let (_file, db) = fresh();
    let script = "CREATE TABLE a(x); CREATE TABLE b(x); INSERT INTO a VALUES (1); SELECT x FROM a; PRAGMA user_version; DELETE FROM b;
        BEGIN; COMMIT; DROP TABLE b";
    let mut seen = Vec::new();
    let mut kept = None;
    db.for_each_statement(script, Authority::Engine, &mut |statement, _| {
        let effects = statement.effects();
        let flags = [effects.schema, effects.transaction, effects.pragma, effects.changes_rows].map(u8::from);
        // Every change of the schema also reads the schema's own table.
        let reads = if effects.schema { String::new() } else { effects.reads.join(" ") };
        seen.push((flags, reads, effects.writes.join(" ")));
        // Another owner keeps its own copy.
        if effects.changes_rows && kept.is_none() {
            kept = Some(effects);
        }
        statement.run()
    })
    .unwrap();
    let seen: Vec<_> = seen.iter().map(|(flags, reads, writes)| (*flags, reads.as_str(), writes.as_str())).collect();
    let (schema, transaction, pragma, rows) = ([1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]);
    assert_eq!(
        seen,
        [
            (schema, "", ""),
            (schema, "", ""),
            (rows, "", "a"),
            ([0; 4], "a", ""),
            (pragma, "", ""),
            (rows, "", "b"),
            (transaction, "", ""),
            (transaction, "", ""),
            (schema, "", "b"),
        ]
    );
    assert_eq!(kept.unwrap().writes.join(" "), "a");
}

#[test]
fn a_script_ends_at_its_end() {
    let (_file, db) = fresh();
    // The last statement needs no semicolon.
    for script in ["SELECT 1; SELECT 2", "SELECT 1; SELECT 2;\n"] {
        let mut count = 0;
        db.for_each_statement(script, Authority::User, &mut |statement, range| {
            count += 1;
            assert!(range.end <= script.len());
            statement.run()
        })
        .unwrap();
        assert_eq!(count, 2, "{script:?}");
    }
    // A NUL would end it for SQLite.
    for script in ["SELECT 1;\n SELECT 2;\0SELECT 3", "SELECT 1;\nSELECT 2\0; SELECT 3", "SELECT 1;\n--\0"] {
        let error = db.for_each_statement(script, Authority::User, &mut |_, _| panic!("it ran")).unwrap_err();
        assert_eq!((error.code, &error.details["line"]), (ErrorCode::InvalidArgument, &Detail::Int(2)), "{script:?}");
    }
}

#[test]
fn effects_name_what_a_statement_touches() {
    let (_file, db) = fresh();
    db.exec(
        "CREATE TABLE parent(id INTEGER PRIMARY KEY);
         CREATE TABLE child(id INTEGER PRIMARY KEY, parent REFERENCES parent ON DELETE CASCADE);
         CREATE TABLE log(a);
         CREATE TRIGGER g AFTER DELETE ON child BEGIN INSERT INTO log VALUES (old.id); END;
         CREATE VIEW v AS SELECT c.id FROM child c JOIN parent p ON p.id = c.parent;
         CREATE TEMP TABLE scratch(a);",
    )
    .unwrap();
    let effects = |sql: &str| {
        let mut effects = StatementEffects::clone(&db.statement_for(sql, Authority::User).unwrap().effects());
        effects.reads.sort();
        effects.writes.sort();
        effects
    };
    let names = |tables: Vec<Rc<str>>| tables.iter().map(|table| table.to_string()).collect::<Vec<_>>();
    let reads = |sql: &str| names(effects(sql).reads);
    assert_eq!(reads("SELECT * FROM v"), ["child", "parent", "v"]);
    assert_eq!(reads("SELECT count(*) FROM log"), ["log"]);
    assert_eq!(
        reads("WITH x AS (SELECT 1) SELECT * FROM x, log WHERE a IN (SELECT id FROM parent)"),
        ["log", "parent"]
    );
    assert_eq!(reads("SELECT name FROM sqlite_master"), ["sqlite_schema"]);
    let deletion = effects("DELETE FROM parent");
    assert_eq!(names(deletion.writes.clone()), ["child", "log", "parent"]);
    assert!(deletion.changes_rows && !deletion.schema);
    assert_eq!(names(effects("DELETE FROM log").writes), ["log"]);
    assert!(effects("CREATE INDEX i ON log(a)").schema && effects("DROP TABLE log").schema);
    let real =
        ["TABLE IF NOT EXISTS t(a)", "TABLE t AS SELECT 1", "VIEW w AS SELECT 1", "VIRTUAL TABLE f USING fts5(a)"];
    assert!(real.iter().all(|what| effects(&format!("CREATE {what}")).schema));
    let idle = [
        "TABLE IF NOT EXISTS log(a)",
        "VIEW IF NOT EXISTS v AS SELECT 1",
        "TRIGGER IF NOT EXISTS g INSERT ON log BEGIN SELECT 1; END",
    ];
    assert!(idle.iter().all(|what| !effects(&format!("CREATE {what}")).schema));
    assert_eq!(names(effects("ALTER TABLE log RENAME TO log2").writes), ["log"]);
    let temp = effects("CREATE TEMP TRIGGER x AFTER INSERT ON log BEGIN SELECT 1; END");
    assert!(temp.temp_schema && !temp.schema);
    let temp = effects("DROP TABLE scratch");
    assert!(temp.temp_schema && !temp.schema);
    assert!(!effects("SELECT 1").changes_rows && effects("PRAGMA user_version").pragma);
    // A recompiled statement reports its effects again.
    let mut statement = db.statement("SELECT * FROM v").unwrap();
    db.exec("DROP VIEW v; CREATE VIEW v AS SELECT a FROM log").unwrap();
    statement.step().unwrap();
    let mut tables = statement.effects().reads.clone();
    tables.sort();
    assert_eq!(names(tables), ["log", "v"]);
}

#[test]
fn full_text_search_works_for_users() {
    let (_file, db) = fresh();
    run(&db, "CREATE VIRTUAL TABLE f USING fts5(body)", Authority::User).unwrap();
    run(&db, "INSERT INTO f VALUES ('the quick fox')", Authority::User).unwrap();
    let matching = db.statement_for("SELECT * FROM f WHERE f MATCH 'quick'", Authority::User).unwrap();
    assert_eq!(*matching.effects().reads, ["f".into()]);
    assert_eq!(db.value("SELECT body FROM f WHERE f MATCH 'fox'", &[]).unwrap(), Some("the quick fox".into()));
}

#[test]
fn a_plan_is_returned_without_running_the_statement() {
    let (_file, db) = fresh();
    db.exec("CREATE TABLE t(a PRIMARY KEY)").unwrap();
    let plan = db.explain_query_plan("SELECT * FROM t WHERE a = ?").unwrap();
    assert!(plan[0].detail.contains("SEARCH t"), "{plan:?}");
    assert_eq!(db.explain_query_plan("SELECT nope FROM t").unwrap_err().details["offset"], Detail::Int(7));
    assert!(db.explain_query_plan("PRAGMA foreign_keys = OFF").unwrap().is_empty());
    db.exec("DROP TABLE t").unwrap();
    assert!(db.explain_query_plan("SELECT * FROM t WHERE a = ?").unwrap_err().message.contains("no such table"));
    assert_eq!(db.value("PRAGMA foreign_keys", &[]).unwrap(), Some(Value::Integer(1)));
}

//! Imports of files: accepted and refused files. A refusal changes nothing.

use std::{cell::Cell, rc::Rc};

use tidelock::{
    ErrorCode,
    engine::ImportOptions,
    ports::{Clock, LocalFuture},
    snapshot::Reason,
    sqlite::functions::{self, ColumnKeys},
    time::Timestamp,
};

use crate::{
    files::{image, made_by, rows_of},
    world::{World, run, text},
};

const REMOTE: &str = r#"{ "remote": { "url": "http://127.0.0.1:1", "key": "anon", "tables": [{ "table": "t" }] } }"#;
const ALL: &str = "SELECT coalesce(group_concat(a, ' '), '') FROM t";

#[test]
fn an_import_replaces_everything_and_the_replaced_data_is_a_snapshot() {
    let file = made_by("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('new'), ('too');");
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(a TEXT); CREATE TABLE other(b); INSERT INTO t VALUES ('old')").await;
        let id = database.watch("SELECT a FROM t", None, "").unwrap();
        tab.heard.borrow_mut().clear();
        database.import(image(&file), ImportOptions::default()).await.unwrap();
        assert_eq!(text(&database, ALL).await, "new too");
        assert_eq!(text(&database, "SELECT group_concat(name) FROM sqlite_schema").await, "t");
        tab.ports.platform.clock.sleep(1).await;
        assert!(tab.heard.borrow().iter().any(|event| event.contains(&format!(r#""ids":[{id}]"#))));
        run(&database, "INSERT INTO t VALUES ('after')").await;
        let before = database.snapshots().list().into_iter().find(|one| one.reason.as_str() == "safety").unwrap();
        database.close().await.unwrap();

        let database = tab.open("{}").await.unwrap();
        assert_eq!(text(&database, ALL).await, "new too after");
        database.restore(&before.id, false).await.unwrap();
        assert_eq!(text(&database, ALL).await, "old");
        database.close().await.unwrap();
    });
}

#[test]
fn files_of_every_page_size_encoding_and_journal_mode_are_accepted() {
    for (pragma, page_size) in [
        ("PRAGMA page_size = 512", "512"),
        ("PRAGMA page_size = 65536", "65536"),
        ("PRAGMA encoding = 'UTF-16le'", "4096"),
        ("PRAGMA encoding = 'UTF-16be'", "4096"),
        ("PRAGMA journal_mode = WAL", "4096"),
        ("PRAGMA auto_vacuum = FULL", "4096"),
    ] {
        let file = made_by(&format!(
            "{pragma}; CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('für'), ('💡');
             CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('find me');"
        ));
        let mut world = World::new();
        world.run(|tab| async move {
            let database = tab.open(r#"{ "maxBytes": 8388608 }"#).await.unwrap();
            run(&database, "CREATE TABLE was(a)").await;
            database.import(image(&file), ImportOptions::default()).await.expect(pragma);
            assert_eq!(text(&database, "SELECT CAST(page_size AS TEXT) FROM pragma_page_size").await, page_size);
            // `maxBytes` applies with the new page size.
            run(&database, "CREATE TABLE big(b); INSERT INTO big VALUES (zeroblob(5000000)); DROP TABLE big").await;
            run(&database, "INSERT INTO t VALUES ('after'); INSERT INTO f VALUES ('find it')").await;
            database.close().await.unwrap();
            let database = tab.open("{}").await.unwrap();
            assert_eq!(text(&database, ALL).await, "für 💡 after", "{pragma}");
            assert_eq!(text(&database, "SELECT group_concat(a) FROM f WHERE f MATCH 'find'").await, "find me,find it");
            let exported = database.export().unwrap();
            let bytes: Vec<u8> = (0..exported.chunk_count()).flat_map(|index| exported.chunk(index).unwrap()).collect();
            assert_eq!(rows_of(&bytes, "PRAGMA integrity_check"), ["ok"], "{pragma}");
            database.close().await.unwrap();
        });
    }
}

/// Returns a table `t`, and `count` views, each on the one before.
fn nested_views(count: usize, select: &str) -> String {
    let view = |at: usize| if at == 0 { "t".to_owned() } else { format!("v{at}") };
    let views = (1..=count).map(|at| format!("CREATE VIEW v{at} AS {};", select.replace("{}", &view(at - 1))));
    format!("CREATE TABLE t(a);{}", views.collect::<String>())
}

/// Returns files with a single defect each, and the code that they are refused with.
fn hostile_files() -> Vec<(&'static str, Vec<u8>, ErrorCode)> {
    use ErrorCode::{DatabaseCorrupt, DatabaseTooLarge, InvalidArgument, SnapshotIncompatible};
    let sound = made_by(
        "CREATE TABLE t(a TEXT, b); CREATE INDEX i ON t(b);
         WITH n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 500) INSERT INTO t SELECT 'text ' || x, x FROM n;",
    );
    let changed = |at: usize, bytes: &[u8]| {
        let mut file = sound.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        file
    };
    let written = |script: &str| {
        made_by(&format!(
            "CREATE TABLE t(a TEXT); PRAGMA writable_schema = ON; {script}; PRAGMA writable_schema = OFF;"
        ))
    };
    let unplain = |change: &str| {
        written(&format!(
            "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO tidelock_outbox VALUES (1); END;
             UPDATE sqlite_schema SET {change} WHERE name = 'g'"
        ))
    };
    vec![
        ("nothing", Vec::new(), DatabaseCorrupt),
        ("text", b"id,name\n1,tea\n".repeat(50), DatabaseCorrupt),
        ("half a header", sound[..50].to_vec(), DatabaseCorrupt),
        ("cut off", sound[..sound.len() - 4096].to_vec(), DatabaseCorrupt),
        ("cut within a page", sound[..sound.len() - 100].to_vec(), DatabaseCorrupt),
        ("cut by a byte, which would be zero", sound[..sound.len() - 1].to_vec(), DatabaseCorrupt),
        ("a page overwritten", changed(2 * 4096, &[0xff; 4096]), DatabaseCorrupt),
        ("the schema overwritten", changed(3800, &[0xff; 290]), DatabaseCorrupt),
        ("a page size that is none", changed(16, &[0x12, 0x34]), DatabaseCorrupt),
        ("a newer format", changed(18, &[3, 3]), SnapshotIncompatible),
        ("a newer schema format", changed(44, &[0, 0, 0, 9]), DatabaseCorrupt),
        ("a text encoding that is none", changed(56, &[0, 0, 0, 4]), DatabaseCorrupt),
        ("UTF-16 by a number that is no encoding", changed(56, &[0, 0, 0, 6]), DatabaseCorrupt),
        ("two tables on one page", written(
            "CREATE TABLE u(a); UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 't')
             WHERE name = 'u'"), DatabaseCorrupt),
        ("a table on the schema's page", written("UPDATE sqlite_schema SET rootpage = 1 WHERE name = 't'"), DatabaseCorrupt),
        ("a table beyond the end", written("UPDATE sqlite_schema SET rootpage = 99 WHERE name = 't'"), DatabaseCorrupt),
        ("a schema that is no SQL", written("UPDATE sqlite_schema SET sql = 'CREATE TABLE t(' WHERE name = 't'"), DatabaseCorrupt),
        ("an index of another table's rows", made_by(
            "CREATE TABLE t(a TEXT); CREATE INDEX i ON t(a); INSERT INTO t VALUES ('x'), ('y'), ('z');
             PRAGMA writable_schema = ON; UPDATE sqlite_schema SET rootpage = 5 - rootpage WHERE name IN ('t', 'i');
             PRAGMA writable_schema = OFF;"), DatabaseCorrupt),
        ("a view that calls what isn't there", made_by(
            "CREATE TABLE t(a TEXT); CREATE VIEW v AS SELECT writefile('x', a) FROM t;"), InvalidArgument),
        ("a view that calls what views may not", made_by(
            "CREATE TABLE t(a TEXT); CREATE VIEW v AS SELECT load_extension('x');"), InvalidArgument),
        ("a trigger that calls what isn't there", made_by(
            "CREATE TABLE t(a TEXT);
             CREATE TRIGGER g AFTER UPDATE OF a ON t BEGIN SELECT edit(NEW.a); END;"), InvalidArgument),
        ("a trigger on a view", made_by(
            "CREATE TABLE t(a TEXT); CREATE VIEW v AS SELECT a FROM t;
             CREATE TRIGGER g INSTEAD OF INSERT ON v BEGIN SELECT readfile(NEW.a); END;"), InvalidArgument),
        ("a check by a function", written(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a TEXT CHECK (strange(a)))' WHERE name = 't'"), InvalidArgument),
        ("a default by a function", written(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a TEXT DEFAULT (strange()), b AS (odd(a)))' WHERE name = 't'"),
            InvalidArgument),
        ("a module that isn't there", written(
            "INSERT INTO sqlite_schema VALUES ('table', 'm', 'm', 0, 'CREATE VIRTUAL TABLE m USING geo(x)')"), InvalidArgument),
        ("a collation that isn't there", written(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a TEXT COLLATE german)' WHERE name = 't'; CREATE INDEX i ON t(a)"), InvalidArgument),
        ("a trigger on an own table", made_by(
            "CREATE TABLE tidelock_outbox(id); CREATE TABLE t(a TEXT);
             CREATE TRIGGER g AFTER INSERT ON tidelock_outbox BEGIN DELETE FROM t; END;"), InvalidArgument),
        ("a trigger that writes into an own table", made_by(
            "CREATE TABLE tidelock_outbox(id); CREATE TABLE t(a TEXT);
             CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO TideLock_outbox VALUES (1); END;"), InvalidArgument),
        ("a trigger that writes into an own table to come", made_by(
            "CREATE TABLE t(a TEXT); CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO tidelock_outbox VALUES (1); END;"),
            InvalidArgument),
        ("a trigger that comes to an own table when more is there", made_by(
            "CREATE TABLE t(a TEXT); CREATE TRIGGER g AFTER INSERT ON t BEGIN
               INSERT INTO later VALUES (1); INSERT INTO \"tidelock_outbox\" VALUES (1); END;"), InvalidArgument),
        ("a foreign key to an own table", made_by(
            "CREATE TABLE t(a TEXT REFERENCES tidelock_known(key) ON DELETE CASCADE);"), InvalidArgument),
        ("a view on an own table", made_by(
            "CREATE TABLE tidelock_tables(x); CREATE VIEW v AS SELECT * FROM tidelock_tables;"), InvalidArgument),
        ("a view in the place of an own table", made_by("CREATE TABLE t(a); CREATE VIEW tidelock_tables AS SELECT a FROM t;"),
            InvalidArgument),
        ("a trigger by an own name", made_by(
            "CREATE TABLE t(a); CREATE TRIGGER tidelock_capture_t AFTER INSERT ON t BEGIN SELECT 1; END;"), InvalidArgument),
        ("a trigger that keeps the history of migrations from being written", made_by(
            "CREATE TABLE t(a TEXT); CREATE TABLE schema_migrations(version TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
               checksum TEXT NOT NULL, applied_at TEXT NOT NULL, execution_ms INTEGER NOT NULL);
             CREATE TRIGGER g BEFORE INSERT ON Schema_Migrations BEGIN SELECT RAISE(IGNORE); END;"), InvalidArgument),
        ("a history of migrations that ignores rows", made_by(
            "CREATE TABLE t(a TEXT); CREATE TABLE Schema_migrations(version TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
               checksum TEXT NOT NULL, applied_at TEXT NOT NULL, execution_ms INTEGER NOT NULL UNIQUE ON CONFLICT IGNORE);"),
            InvalidArgument),
        ("a history of migrations whose rows can be removed", made_by(
            "CREATE TABLE t(a TEXT PRIMARY KEY); CREATE TABLE schema_migrations(version TEXT NOT NULL PRIMARY KEY,
               name TEXT NOT NULL REFERENCES t ON DELETE CASCADE, checksum TEXT NOT NULL, applied_at TEXT NOT NULL,
               execution_ms INTEGER NOT NULL);"), InvalidArgument),
        ("a check by a pattern that would need all of the stack", made_by(&format!(
            "CREATE TABLE t(a TEXT CHECK (a LIKE '{}')); INSERT INTO t VALUES ('{}');", "%a".repeat(600), "a".repeat(600))),
            DatabaseCorrupt),
        ("an index by such a pattern, in UTF-16", made_by(&format!(
            "PRAGMA encoding = 'UTF-16'; CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('a');
             PRAGMA writable_schema = ON; CREATE INDEX i ON t(a LIKE 'x');
             UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t(a LIKE ''{}'')' WHERE name = 'i';
             PRAGMA writable_schema = OFF;", "%a".repeat(600))), DatabaseCorrupt),
        ("a check that makes large values", made_by(
            "CREATE TABLE t(a TEXT CHECK (length(hex(zeroblob(5000000))) > 0)); INSERT INTO t VALUES ('x');"), DatabaseCorrupt),
        ("views that stand for too much", made_by(&nested_views(40, "SELECT x.a FROM {} x, {} y")), InvalidArgument),
        ("views that seem to be in a circle and stand for too much", made_by(&nested_views(40,
            "SELECT x.a FROM {} x, {} y, (WITH v39 AS (SELECT 1) SELECT * FROM v39)")), InvalidArgument),
        ("views too deep in others", made_by(&nested_views(200, "SELECT a FROM {}")), InvalidArgument),
        ("a trigger whose text is a blob", unplain("sql = CAST(sql AS BLOB)"), InvalidArgument),
        ("a trigger whose type is a blob", unplain("type = CAST(type AS BLOB)"), InvalidArgument),
        ("a trigger whose type is in capitals", unplain("type = 'TRIGGER'"), InvalidArgument),
        ("a trigger whose name is a blob", unplain("name = CAST(name AS BLOB)"), InvalidArgument),
        ("a trigger whose table is followed by a NUL", unplain("tbl_name = 't' || char(0)"), InvalidArgument),
        ("a temporary trigger", unplain("sql = replace(sql, 'CREATE', 'CREATE TEMP')"), InvalidArgument),
        ("an own table that seems to belong to another one", written(
            "CREATE TABLE tidelock_outbox(id CHECK (id > 0)); UPDATE sqlite_schema SET tbl_name = 'TIDELOCK_OUTBOX'
             WHERE name = 'tidelock_outbox'"), InvalidArgument),
        ("a trigger that is called a table", written(
            "INSERT INTO sqlite_schema VALUES ('table', 'g', 't', 0,
               'CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO tidelock_outbox VALUES (1); END')"), DatabaseCorrupt),
        ("a trigger of another name", written(
            "INSERT INTO sqlite_schema VALUES ('trigger', 'h', 't', 0, 'CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END')"),
            DatabaseCorrupt),
        ("views that are called otherwise, and stand for too much", made_by(&format!(
            "{} PRAGMA writable_schema = ON; UPDATE sqlite_schema SET name = 'w' || rowid WHERE type = 'view'",
            nested_views(40, "SELECT x.a FROM {} x, {} y"))), DatabaseCorrupt),
        ("views that stand for too much by names behind marks of byte order", made_by(
            &nested_views(40, "SELECT x.a FROM \u{feff}{} x, \u{feff}{} y")), InvalidArgument),
        ("a trigger that writes into an own table behind a mark of byte order", made_by(
            "CREATE TABLE t(a TEXT); CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO \u{feff}tidelock_outbox VALUES (1); END;"),
            InvalidArgument),
        ("a view with so many table expressions that reading it would take minutes", made_by(&format!(
            "CREATE TABLE t(a); PRAGMA writable_schema = ON;
             INSERT INTO sqlite_schema VALUES ('view', 'v', 'v', 0, 'CREATE VIEW v AS WITH {} SELECT 1');",
            (0..100_000).map(|at| format!("c{at} AS(VALUES(1))")).collect::<Vec<_>>().join(","))), InvalidArgument),
        ("generated columns that double each other", written(&format!(
            "UPDATE sqlite_schema SET sql = 'CREATE TABLE t(a TEXT, g0 AS (a), {})' WHERE name = 't'",
            (1..40).map(|at| format!("g{at} AS (g{0} + g{0})", at - 1)).collect::<Vec<_>>().join(", "))), InvalidArgument),
        ("more than maxBytes", made_by("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(3000000));"), DatabaseTooLarge),
    ]
}

#[test]
fn names_match_as_whole_words_only() {
    let file = made_by(
        "CREATE TABLE t(a TEXT); CREATE TABLE my_tidelock_notes(a);
         CREATE TRIGGER migrated AFTER INSERT ON t BEGIN INSERT INTO my_tidelock_notes VALUES ('m in the log'); END;
         CREATE VIEW v AS SELECT a AS tidelock FROM my_tidelock_notes;",
    );
    let named = made_by(
        "CREATE TABLE t(a TEXT); CREATE TABLE m(version TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,
           applied_at TEXT NOT NULL, execution_ms INTEGER NOT NULL);
         CREATE TRIGGER migrated AFTER INSERT ON t BEGIN DELETE FROM [M]; END;",
    );
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open(r#"{ "migrationsTable": "m" }"#).await.unwrap();
        database.import(image(&file), ImportOptions::default()).await.unwrap();
        run(&database, "INSERT INTO t VALUES ('x')").await;
        assert_eq!(text(&database, "SELECT tidelock FROM v").await, "m in the log");
        let error = database.import(image(&named), ImportOptions::default()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
    });
}

#[test]
fn hostile_files_are_refused_and_nothing_changes() {
    for (what, file, code) in hostile_files() {
        let mut world = World::new();
        world.run(|tab| async move {
            let database = tab.open(r#"{ "maxBytes": 2097152 }"#).await.unwrap();
            run(&database, "CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('mine')").await;
            let before = database.export().unwrap();
            let error = database.import(image(&file), ImportOptions::default()).await.expect_err(what);
            assert_eq!(error.code, code, "{what}: {error:?}");
            let after = database.export().unwrap();
            assert_eq!(before.chunk(0), after.chunk(0), "{what}");
            assert!(database.snapshots().list().is_empty(), "{what}");
            run(&database, "INSERT INTO t VALUES ('still')").await;
            assert_eq!(text(&database, ALL).await, "mine still", "{what}");
            database.close().await.unwrap();

            let seeded = tab.open(r#"{ "name": "seeded", "maxBytes": 2097152 }"#).await.unwrap();
            assert_eq!(seeded.seed(image(&file)).await.expect_err(what).code, code, "{what}");
            assert!(seeded.wants_seed().unwrap(), "{what}");
            seeded.close().await.unwrap();
        });
    }
}

#[test]
fn the_schema_cannot_call_functions_for_statements_only() {
    for (what, schema) in [
        ("a generated column", "CREATE TABLE t(a TEXT, b TEXT AS (decrypt(a)))"),
        ("a stored one", "CREATE TABLE t(a TEXT, b TEXT AS (decrypt(a)) STORED)"),
        ("a check", "CREATE TABLE t(a TEXT CHECK (decrypt(a) <> ''x''))"),
        ("a default", "CREATE TABLE t(a TEXT, b TEXT DEFAULT (decrypt(x''00'')))"),
        ("a stored value that is never the same", "CREATE TABLE t(a TEXT, b BLOB AS (encrypt(a)) STORED)"),
    ] {
        let file = made_by(&format!(
            "CREATE TABLE t(a TEXT); CREATE TABLE u(a); CREATE TRIGGER g AFTER INSERT ON u BEGIN INSERT INTO t(a) VALUES (NEW.a); END;
             PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = '{schema}' WHERE name = 't'; PRAGMA writable_schema = OFF;"
        ));
        refused_with_column_keys(what, file);
    }
    for (what, index) in [
        ("an index", "CREATE INDEX i ON t(decrypt(a))"),
        ("a part of one", "CREATE INDEX i ON t(a) WHERE decrypt(a) = ''x''"),
        ("an index of what is never the same", "CREATE INDEX i ON t(encrypt(a))"),
    ] {
        let file = made_by(&format!(
            "CREATE TABLE t(a TEXT); CREATE INDEX i ON t(a);
             PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = '{index}' WHERE name = 'i'; PRAGMA writable_schema = OFF;"
        ));
        refused_with_column_keys(what, file);
    }
}

fn refused_with_column_keys(what: &'static str, file: Vec<u8>) {
    let mut world = World::new();
    world.run(|tab| async move {
        let keys = ColumnKeys::new(&[[1; 32]], Box::new(|bytes: &mut [u8]| bytes.fill(7))).unwrap();
        functions::add_column_keys(keys);
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('mine')").await;
        let error = database.import(image(&file), ImportOptions::default()).await.expect_err(what);
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{what}: {error:?}");
        let error = database.snapshot_import(image(&file), None).await.expect_err(what);
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{what}: {error:?}");
        assert!(database.snapshots().list().is_empty(), "{what}");
        assert_eq!(text(&database, ALL).await, "mine", "{what}");
        database.close().await.unwrap();
    });
}

#[test]
fn a_restore_refuses_triggers_that_write_synced_data() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open(REMOTE).await.unwrap();
        run(&database, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)").await;
        run(&database, "CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM tidelock_outbox; END").await;
        let before = database.snapshots().create(None, Reason::Manual).await.unwrap();
        run(&database, "DROP TRIGGER g; INSERT INTO t VALUES (1, 'mine')").await;
        let error = database.restore(&before.id, true).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
        assert_eq!(text(&database, ALL).await, "mine");
        assert_eq!(database.sync_pending().await.unwrap().len(), 1);
        database.close().await.unwrap();
    });
}

#[test]
fn a_restored_file_of_another_page_size_may_grow_to_the_limit() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open(r#"{ "maxBytes": 2097152 }"#).await.unwrap();
        run(&database, "CREATE TABLE t(a)").await;
        let file = made_by("PRAGMA page_size = 512; CREATE TABLE t(a);");
        let snapshot = database.snapshot_import(image(&file), None).await.unwrap();
        database.restore(&snapshot.id, false).await.unwrap();
        run(&database, "INSERT INTO t VALUES (zeroblob(1500000))").await;
        database.close().await.unwrap();
    });
}

/// A clock on which each look takes some time.
struct Jumping {
    clock: Rc<dyn Clock>,
    look_ms: Rc<Cell<f64>>,
    jumped_ms: Cell<f64>,
}

impl Clock for Jumping {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic_ms(&self) -> f64 {
        self.jumped_ms.set(self.jumped_ms.get() + self.look_ms.get());
        self.clock.monotonic_ms() + self.jumped_ms.get()
    }

    fn sleep(&self, ms: u64) -> LocalFuture<'static, ()> {
        self.clock.sleep(ms)
    }
}

#[test]
fn a_restore_that_takes_too_long_to_check_changes_nothing() {
    let mut world = World::new();
    world.run(|mut tab| async move {
        let look_ms = Rc::new(Cell::new(0.0));
        let clock = tab.ports.platform.clock.clone();
        tab.ports.platform.clock = Rc::new(Jumping { clock, look_ms: look_ms.clone(), jumped_ms: Cell::default() });
        let database = tab.open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(a TEXT); CREATE INDEX i ON t(a)").await;
        run(
            &database,
            "WITH n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 5000) INSERT INTO t SELECT x FROM n",
        )
        .await;
        let before = database.snapshots().create(None, Reason::Manual).await.unwrap();
        run(&database, "DELETE FROM t; INSERT INTO t VALUES ('mine')").await;
        let at = tab.ports.platform.clock.now();
        look_ms.set(4_000.0);
        for (what, error) in [
            (format!("Snapshot {}", before.id), database.restore(&before.id, false).await.unwrap_err()),
            (format!("The state of {at}"), database.restore_at(at.into(), false).await.unwrap_err()),
        ] {
            assert_eq!(error.code, ErrorCode::Timeout, "{error}");
            assert_eq!(error.message, format!("{what} takes too long to check"));
        }
        look_ms.set(0.0);
        assert_eq!(text(&database, ALL).await, "mine");
        assert_eq!(database.snapshots().list().len(), 1, "no safety snapshot of a refused restore");
        database.restore(&before.id, false).await.unwrap();
        assert_eq!(text(&database, "SELECT CAST(count(*) AS TEXT) FROM t").await, "5000");
        database.close().await.unwrap();
    });
}

#[test]
fn an_external_text_decrypts_nothing() {
    let keys = || ColumnKeys::new(&[[7; 32]], Box::new(|bytes: &mut [u8]| bytes.fill(1))).unwrap();
    let sealed = keys().encrypt("secret").unwrap();
    let hex: String = sealed.iter().map(|byte| format!("{byte:02x}")).collect();
    for sql in [
        format!("CREATE TABLE t(a); INSERT INTO t VALUES (decrypt(x'{hex}'))"),
        format!(
            "CREATE TABLE t(a); CREATE TEMP VIEW v AS SELECT Decrypt(x'{hex}') AS a; INSERT INTO t SELECT a FROM v"
        ),
        format!("CREATE TABLE t AS SELECT \"DECRYPT\"(x'{hex}') AS a"),
    ] {
        let mut world = World::new();
        world.run(|tab| async move {
            functions::add_column_keys(keys());
            let database = tab.open("{}").await.unwrap();
            let error = database.snapshot_import(image(sql.as_bytes()), None).await.expect_err(&sql);
            assert_eq!(error.code, ErrorCode::InvalidArgument, "{sql}: {error}");
            assert!(database.snapshots().list().is_empty());
            database.close().await.unwrap();
        });
    }
}

#[test]
fn unusual_but_valid_files_are_accepted() {
    for script in [
        "CREATE VIEW v AS SELECT * FROM dropped",
        "CREATE TABLE u(a); CREATE TRIGGER g AFTER INSERT ON u BEGIN INSERT INTO dropped VALUES (1); END",
        "CREATE TABLE w(k TEXT PRIMARY KEY, g AS (upper(k)) STORED, h AS (lower(k))) WITHOUT ROWID; INSERT INTO w VALUES ('x')",
        "CREATE VIRTUAL TABLE f USING fts5(a, content=''); INSERT INTO f(rowid, a) VALUES (1, 'x')",
        "PRAGMA foreign_keys = OFF; CREATE TABLE child(p REFERENCES parent(id)); INSERT INTO child VALUES (7)",
        "CREATE TABLE \"a \"\" b\"(\"c \"\" d\"); CREATE TABLE s(a) STRICT_ISNT",
        "CREATE TABLE r(i INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO r VALUES (5); ANALYZE",
        "CREATE TABLE tidelock_tables(x); CREATE INDEX strange ON tidelock_tables(x); CREATE TABLE tidelock_more(x)",
    ] {
        let script = script.replace("; CREATE TABLE s(a) STRICT_ISNT", "; CREATE TABLE s(a INT) STRICT");
        let file = made_by(&format!("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('x'); {script};"));
        let mut world = World::new();
        world.run(|tab| async move {
            let database = tab.open("{}").await.unwrap();
            database.import(image(&file), ImportOptions::default()).await.expect(&script);
            assert_eq!(text(&database, ALL).await, "x");
            database.close().await.unwrap();
        });
    }
}

fn migrations(list: &[(&str, &str)]) -> String {
    let list: Vec<_> = list
        .iter()
        .map(|(version, up)| format!(r#"{{ "version": "{version}", "name": "n", "up": "{up}", "transaction": true }}"#))
        .collect();
    format!(r#""migrations": [{}]"#, list.join(","))
}

const ONE: (&str, &str) = ("1", "CREATE TABLE t(a TEXT)");
const TWO: (&str, &str) = ("2", "ALTER TABLE t ADD COLUMN b DEFAULT 'two'");

#[test]
fn an_imported_file_gets_its_missing_migrations() {
    let plain = made_by("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('x');");
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open(&format!("{{ {} }}", migrations(&[ONE, TWO]))).await.unwrap();
        run(&database, "INSERT INTO t(a) VALUES ('old')").await;
        // Without a tracking table all migrations are pending, and the first one fails: nothing changes.
        let error = database.import(image(&plain), ImportOptions::default()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::MigrationFailed, "{error:?}");
        assert_eq!(text(&database, "SELECT a || b FROM t").await, "oldtwo");
        assert_eq!(text(&database, "SELECT group_concat(version) FROM schema_migrations").await, "1,2");
        run(&database, "INSERT INTO t(a) VALUES ('on')").await;
        let unknown = ImportOptions { baseline: Some("7".into()), ..ImportOptions::default() };
        assert_eq!(database.import(image(&plain), unknown).await.unwrap_err().code, ErrorCode::InvalidArgument);
        let at_one = ImportOptions { baseline: Some("1".into()), ..ImportOptions::default() };
        database.import(image(&plain), at_one).await.unwrap();
        assert_eq!(text(&database, "SELECT a || b FROM t").await, "xtwo");
        let status = database.migrations_status().await.unwrap();
        assert_eq!(serde_json::to_value(&status).unwrap()[1]["state"], "applied");
        database.close().await.unwrap();

        let newer = made_by(
            "CREATE TABLE t(a TEXT); CREATE TABLE schema_migrations(version TEXT PRIMARY KEY, name TEXT, checksum TEXT,
             applied_at TEXT, execution_ms INTEGER); INSERT INTO schema_migrations VALUES ('9', 'n', 'c', '', 0);",
        );
        let database = tab.open(&format!("{{ {} }}", migrations(&[ONE, TWO]))).await.unwrap();
        let error = database.import(image(&newer), ImportOptions::default()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SnapshotIncompatible);
        assert_eq!(text(&database, "SELECT a || b FROM t").await, "xtwo");
        database.close().await.unwrap();
    });
}

#[test]
fn unpushed_changes_stop_an_import_and_those_of_the_file_are_dropped() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open(REMOTE).await.unwrap();
        run(&database, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT); INSERT INTO t VALUES (1, 'local')").await;
        let exported = database.export().unwrap();
        let file: Vec<u8> = (0..exported.chunk_count()).flat_map(|index| exported.chunk(index).unwrap()).collect();
        let error = database.import(image(&file), ImportOptions::default()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::UnpushedChanges);
        let force = ImportOptions { force: true, ..ImportOptions::default() };
        database.import(image(&file), force.clone()).await.unwrap();
        assert!(database.sync_pending().await.unwrap().is_empty());
        assert!(database.sync_rejected().await.unwrap().is_empty());
        // Changes are still captured, even in a file without sync tables.
        run(&database, "UPDATE t SET a = 'again'").await;
        assert_eq!(database.sync_pending().await.unwrap().len(), 1);
        let plain = made_by("CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT);");
        database.import(image(&plain), force).await.unwrap();
        run(&database, "INSERT INTO t VALUES (2, 'b')").await;
        assert_eq!(database.sync_pending().await.unwrap().len(), 1);
        database.close().await.unwrap();
    });
}

#[test]
fn a_file_forges_no_write_that_arrives_late() {
    let mut world = World::new();
    world.run(|tab| async move {
        let made = tab.open(&REMOTE.replacen('{', r#"{ "name": "made","#, 1)).await.unwrap();
        run(&made, "CREATE TABLE t(id INTEGER PRIMARY KEY, a TEXT)").await;
        // A row of the remote that looks like it would be deleted there.
        run(&made, r#"INSERT INTO tidelock_late VALUES ('t', '["number 1e0"]', 'insert', '{"id":1}', 1, 'now', NULL)"#)
            .await;
        let exported = made.export().unwrap();
        let file: Vec<u8> = (0..exported.chunk_count()).flat_map(|index| exported.chunk(index).unwrap()).collect();
        const LATE: &str = "SELECT CAST(count(*) AS TEXT) FROM tidelock_late";
        assert_eq!(text(&made, LATE).await, "1");
        made.close().await.unwrap();

        let database = tab.acquire(REMOTE).await.unwrap();
        assert!(database.seed(image(&file)).await.unwrap());
        database.start().await.unwrap();
        assert_eq!(text(&database, LATE).await, "0", "seed");
        database.import(image(&file), ImportOptions::default()).await.unwrap();
        assert_eq!(text(&database, LATE).await, "0", "import");
        let snapshot = database.snapshot_import(image(&file), None).await.unwrap();
        database.restore(&snapshot.id, false).await.unwrap();
        assert_eq!(text(&database, LATE).await, "0", "restore");
        database.close().await.unwrap();
    });
}

#[test]
fn a_seed_is_used_only_for_an_empty_database() {
    let file = made_by("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('seed');");
    let mut world = World::new();
    world.run(|tab| async move {
        let options = tidelock_options(&migrations(&[ONE, TWO]));
        let open = async || {
            let database = tab.acquire(&options).await.unwrap();
            let used = database.seed(image(&file)).await.unwrap();
            database.start().await.unwrap();
            (database, used)
        };
        let (database, used) = open().await;
        assert!(used);
        assert_eq!(text(&database, "SELECT a || b FROM t").await, "seedtwo");
        run(&database, "UPDATE t SET a = 'mine'").await;
        // The replaced database was empty, so only the migration took a safety snapshot.
        assert_eq!(database.snapshots().list().len(), 1);
        database.close().await.unwrap();
        let (database, used) = open().await;
        assert!(!used && !database.wants_seed().unwrap());
        assert_eq!(text(&database, "SELECT a || b FROM t").await, "minetwo");
        database.close().await.unwrap();
    });
}

fn tidelock_options(changes: &str) -> String {
    format!(r#"{{ "baseline": "1", {changes} }}"#)
}

#[test]
fn a_tab_that_dies_while_seeding_leaves_all_of_the_seed_or_nothing() {
    let file = made_by("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('seed');");
    let mut world = World::new();
    let second = file.clone();
    world.run(|tab| async move {
        let database = tab.acquire("{}").await.unwrap();
        database.seed(image(&file)).await.unwrap();
        std::mem::forget(database);
    });
    world.kill();
    world.run(|tab| async move {
        let database = tab.acquire("{}").await.unwrap();
        database.seed(image(&second)).await.unwrap();
        database.start().await.unwrap();
        assert_eq!(text(&database, ALL).await, "seed");
        let taken = database.snapshots().create(None, Reason::Manual).await.unwrap();
        assert!(database.snapshots().verify(&taken.id).await.unwrap().ok);
        database.close().await.unwrap();
    });
}

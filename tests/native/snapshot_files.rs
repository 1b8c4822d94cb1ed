//! Snapshots as files: what they restore, and which files are refused. Imported snapshots are no states of the log.

use tidelock::{
    ErrorCode, Result,
    engine::Database,
    snapshot::{Reason, SnapshotInfo},
    sqlite::Image,
};

use crate::{
    files::{image, made_by, rows_of},
    world::{World, run, text},
};

async fn exported(database: &Database, id: &str, sql: bool) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut sink = |piece: &[u8]| -> Result<()> {
        bytes.extend_from_slice(piece);
        Ok(())
    };
    database.snapshot_export(id, sql, &mut sink).await?;
    Ok(bytes)
}

async fn taken(database: &Database) -> SnapshotInfo {
    database.snapshots().create(None, Reason::Manual).await.unwrap()
}

const ALL: &str = "SELECT group_concat(a, ' ') FROM t";

#[test]
fn an_exported_snapshot_comes_back_byte_for_byte_in_another_database() {
    let mut world = World::new();
    world.run(|tab| async move {
        let first = tab.open("{}").await.unwrap();
        run(&first, "CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('kept'), (hex(randomblob(100000)))").await;
        let snapshot = taken(&first).await;
        run(&first, "DELETE FROM t").await;
        let file = exported(&first, &snapshot.id, false).await.unwrap();
        assert_eq!(rows_of(&file, "SELECT a FROM t LIMIT 1"), ["kept"]);
        assert_eq!(exported(&first, "99", false).await.unwrap_err().code, ErrorCode::SnapshotNotFound);
        first.close().await.unwrap();

        let other = tab.open(r#"{ "name": "other", "snapshots": { "enabled": true, "keep": 1 } }"#).await.unwrap();
        run(&other, "CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('own')").await;
        taken(&other).await;
        let imported = other.snapshot_import(image(&file), None).await.unwrap();
        assert_eq!((&imported.sha256, imported.bytes), (&snapshot.sha256, snapshot.bytes));
        assert_eq!((imported.reason.as_str(), imported.label.as_deref()), ("manual", Some("imported")));
        assert!(imported.verified && other.snapshots().verify(&imported.id).await.unwrap().ok);
        // The imported snapshot is no state of this database's log: later openings and restores ignore it.
        run(&other, "INSERT INTO t VALUES ('more')").await;
        for _ in 0..4 {
            run(&other, "INSERT INTO t VALUES ('x')").await;
            taken(&other).await;
        }
        other.close().await.unwrap();
        let other = tab.open(r#"{ "name": "other", "snapshots": { "enabled": true, "keep": 1 } }"#).await.unwrap();
        assert_eq!(text(&other, ALL).await, "own more x x x x");
        let list = other.snapshots().list();
        assert!(list.contains(&imported) && list.len() == 2, "{list:?}");
        other.restore(&imported.id, false).await.unwrap();
        assert!(text(&other, ALL).await.starts_with("kept "));
        other.close().await.unwrap();
        let other = tab.open(r#"{ "name": "other" }"#).await.unwrap();
        assert!(text(&other, ALL).await.starts_with("kept "));
        other.snapshots().delete(&imported.id).await.unwrap();
        assert!(!other.snapshots().list().contains(&imported));
        other.close().await.unwrap();
    });
}

#[test]
fn an_imported_snapshot_alone_opens_as_an_empty_database() {
    let file = made_by("CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('theirs');");
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        let imported = database.snapshot_import(image(&file), Some("from my phone".into())).await.unwrap();
        std::mem::forget(database);
        assert_eq!(imported.label.as_deref(), Some("from my phone"));
    });
    world.kill();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        assert!(database.wants_seed().unwrap());
        assert_eq!(database.snapshots().list().len(), 1);
        let id = database.snapshots().list()[0].id.clone();
        database.restore(&id, false).await.unwrap();
        assert_eq!(text(&database, ALL).await, "theirs");
        database.close().await.unwrap();
    });
}

#[test]
fn a_damaged_imported_snapshot_is_reported_and_stays_until_it_is_deleted() {
    let file = made_by("CREATE TABLE t(a TEXT); INSERT INTO t VALUES (hex(zeroblob(200000)));");
    let mut world = World::new();
    let store = {
        let tab = world.tab();
        world.sim.run(async move {
            let database = tab.open("{}").await.unwrap();
            run(&database, "CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('own')").await;
            taken(&database).await;
            database.snapshot_import(image(&file), None).await.unwrap();
            database.close().await.unwrap();
        });
        world.stores.by_name.borrow()["shop"].clone()
    };
    let imported = {
        let contents = store.contents().borrow();
        crate::store::stored::manifests(&contents).pop().unwrap()
    };
    store.contents().borrow_mut().chunks.insert(imported.chunks[1].id, vec![7; 20]);
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        assert_eq!(text(&database, ALL).await, "own");
        let id = imported.generation.to_string();
        assert!(!database.snapshots().verify(&id).await.unwrap().ok);
        assert_eq!(database.restore(&id, false).await.unwrap_err().code, ErrorCode::SnapshotCorrupt);
        for _ in 0..3 {
            run(&database, "INSERT INTO t VALUES ('x')").await;
            taken(&database).await;
        }
        assert!(database.snapshots().list().iter().any(|one| one.id == id));
        database.snapshots().delete(&id).await.unwrap();
        assert!(tab.heard.borrow().iter().all(|event| !event.contains("snapshot_corrupt")));
        database.close().await.unwrap();
    });
}

#[test]
fn sql_text_is_exported_and_imported() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        run(
            &database,
            "CREATE TABLE t(a TEXT); INSERT INTO t VALUES ('it''s'), ('ü');
             CREATE VIRTUAL TABLE f USING fts5(a); INSERT INTO f VALUES ('find me');",
        )
        .await;
        let snapshot = taken(&database).await;
        let sql = exported(&database, &snapshot.id, true).await.unwrap();
        assert!(sql.starts_with(b"PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE t(a TEXT);\n"));
        run(&database, "DROP TABLE t; DROP TABLE f").await;
        let imported = database.snapshot_import(Image::from_bytes(&sql), None).await.unwrap();
        database.restore(&imported.id, false).await.unwrap();
        assert_eq!(text(&database, ALL).await, "it's ü");
        assert_eq!(text(&database, "SELECT a FROM f WHERE f MATCH 'find'").await, "find me");
        let mut live = Vec::new();
        let mut sink = |piece: &[u8]| -> Result<()> {
            live.extend_from_slice(piece);
            Ok(())
        };
        database.export_sql(&mut sink).await.unwrap();
        assert_eq!(live, sql);
        database.close().await.unwrap();
    });
}

#[test]
fn the_version_of_a_file_is_shown_and_newer_ones_are_not_restored() {
    let file = made_by(
        "CREATE TABLE t(a TEXT); CREATE TABLE schema_migrations(version TEXT PRIMARY KEY, name TEXT, checksum TEXT,
         applied_at TEXT, execution_ms INTEGER); INSERT INTO schema_migrations VALUES ('9', 'n', 'c', '', 0);",
    );
    let mut world = World::new();
    world.run(|tab| async move {
        let migrations = r#"{ "migrations": [{ "version": "1", "name": "n", "up": "CREATE TABLE t(a TEXT)", "transaction": true }] }"#;
        let database = tab.open(migrations).await.unwrap();
        let imported = database.snapshot_import(image(&file), None).await.unwrap();
        assert_eq!(imported.schema_version.as_deref(), Some("9"));
        let error = database.restore(&imported.id, false).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::SnapshotIncompatible);
        database.close().await.unwrap();
    });
}

#[test]
fn invalid_files_are_refused_and_nothing_is_kept() {
    let sound = made_by("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(50000));");
    let mut torn = sound.clone();
    torn[4096..8192].fill(0xff);
    let view = made_by("CREATE TABLE t(a TEXT); CREATE VIEW v AS SELECT readfile('x');");
    let big = made_by("CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(3000000));");
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open(r#"{ "maxBytes": 1048576 }"#).await.unwrap();
        for (what, bytes, code) in [
            ("nothing", Vec::new(), ErrorCode::InvalidArgument),
            ("torn", torn, ErrorCode::SnapshotCorrupt),
            ("cut", sound[..20_000].to_vec(), ErrorCode::SnapshotCorrupt),
            ("no text", vec![0xfe, 0xed], ErrorCode::SnapshotCorrupt),
            ("zeros", vec![0; 20_000], ErrorCode::SnapshotCorrupt),
            ("zeros in SQL", b"CREATE TABLE t(a);\0 INSERT INTO t VALUES (1);".to_vec(), ErrorCode::SnapshotCorrupt),
            ("no SQL", b"hello there".to_vec(), ErrorCode::SnapshotCorrupt),
            ("cut SQL", b"BEGIN; CREATE TABLE t(a);".to_vec(), ErrorCode::InvalidArgument),
            ("a view", view, ErrorCode::InvalidArgument),
            ("too big", big, ErrorCode::DatabaseTooLarge),
            (
                "SQL that makes a value larger than itself",
                b"CREATE TABLE t(a); INSERT INTO t VALUES (zeroblob(3000000));".to_vec(),
                ErrorCode::SnapshotCorrupt,
            ),
            (
                "too big SQL",
                b"CREATE TABLE t(a); WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 40)
                  INSERT INTO t SELECT zeroblob(90000) FROM n;"
                    .to_vec(),
                ErrorCode::DatabaseTooLarge,
            ),
        ] {
            let error = database.snapshot_import(image(&bytes), None).await.expect_err(what);
            assert_eq!(error.code, code, "{what}: {error:?}");
        }
        assert!(database.snapshots().list().is_empty());
        database.close().await.unwrap();
    });
}

//! Databases in folders: durable, locked, encrypted, recovered.

use std::{fs, process::Command, time::Duration};

use tidelock::{
    Durability, Encryption, ErrorCode, LockOptions, OnBusy, OpenOptions, Storage, Timestamp, TransactionMode, params,
};

use super::{Scratch, block_on, code};

async fn numbers(db: &tidelock::Database) -> tidelock::Result<Vec<i64>> {
    db.query_as("SELECT n FROM t ORDER BY n", ()).await
}

#[test]
fn a_database_dropped_without_close_loses_nothing_acknowledged_and_frees_the_lock() {
    let scratch = Scratch::new();
    for (round, durability) in
        [Durability::Strict, Durability::Relaxed, Durability::Deferred, Durability::Snapshot].into_iter().enumerate()
    {
        block_on(async {
            let db = tidelock::open(scratch.options().durability(durability)).await?;
            db.exec("CREATE TABLE IF NOT EXISTS t(n)").await?;
            db.run("INSERT INTO t VALUES (?)", params![round as i64]).await?;
            let tx = db.begin(TransactionMode::Immediate).await?;
            tx.run("INSERT INTO t VALUES (99)", ()).await?;
            let live = db.live("SELECT * FROM t", ());
            drop((db, live, tx));
            // At once, without waiting for anything.
            let db = tidelock::open(scratch.options()).await?;
            assert_eq!(numbers(&db).await?, (0..=round as i64).collect::<Vec<_>>());
            Ok(())
        });
    }
}

/// In a process of its own: other tests have relative paths, too.
#[test]
fn a_relative_path_stays_the_same_when_the_program_changes_its_directory() {
    const NAME: &str = "api::folders::a_relative_path_stays_the_same_when_the_program_changes_its_directory";
    const FOLDER: &str = "TIDELOCK_TEST_FOLDER";
    let Some(folder) = std::env::var_os(FOLDER) else {
        let scratch = Scratch::new();
        fs::create_dir_all(scratch.path().join("elsewhere")).unwrap();
        let program = std::env::current_exe().unwrap();
        let child = Command::new(program).args([NAME, "--exact"]).env(FOLDER, scratch.path()).output().unwrap();
        let output = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && output.contains("1 passed"), "{output}");
        return;
    };
    std::env::set_current_dir(folder).unwrap();
    let relative = || OpenOptions::new("shop").storage(Storage::File).path("db");
    block_on(async {
        let db = tidelock::open(relative()).await?;
        db.exec("CREATE TABLE t(n)").await?;
        std::env::set_current_dir("elsewhere").unwrap();
        db.run("INSERT INTO t VALUES (1)", ()).await?;
        db.close().await?;
        assert_eq!(fs::read_dir(".").unwrap().count(), 0);
        std::env::set_current_dir("..").unwrap();
        let again = tidelock::open(relative()).await?;
        assert_eq!(numbers(&again).await?, [1]);
        Ok(())
    });
}

#[test]
fn what_is_acknowledged_is_in_the_files() {
    let scratch = Scratch::new();
    block_on(async {
        let db = tidelock::open(scratch.options()).await?;
        db.exec("CREATE TABLE t(n)").await?;
        db.run("INSERT INTO t VALUES (1)", ()).await?;
        // A copy of the folder is what a killed process leaves.
        let copy = Scratch::new();
        fs::create_dir(copy.path()).unwrap();
        for entry in fs::read_dir(scratch.path()).unwrap() {
            let entry = entry.unwrap();
            if !entry.file_name().to_str().unwrap().starts_with("lock.") {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        assert_eq!(numbers(&tidelock::open(copy.options()).await?).await?, [1]);
        Ok(())
    });
}

#[test]
fn deferred_commits_are_stored_soon_without_any_call() {
    let scratch = Scratch::new();
    block_on(async {
        let db = tidelock::open(scratch.options().durability(Durability::Deferred)).await?;
        db.exec("CREATE TABLE t(n)").await?;
        let size = || -> u64 {
            let journals = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap());
            journals
                .filter(|entry| entry.file_name().to_str().unwrap().starts_with("journal."))
                .map(|entry| entry.metadata().unwrap().len())
                .sum()
        };
        std::thread::sleep(Duration::from_millis(100));
        let before = size();
        db.run("INSERT INTO t VALUES (1)", ()).await?;
        let stored = (0..100).any(|_| {
            std::thread::sleep(Duration::from_millis(10));
            size() > before
        });
        assert!(stored, "nothing was stored within a second");
        Ok(())
    });
}

#[test]
fn a_folder_has_one_holder() {
    let scratch = Scratch::new();
    block_on(async {
        let db = tidelock::open(scratch.options()).await?;
        let error = tidelock::open(scratch.options()).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::DatabaseInUse);
        assert!(error.message.contains("by this process") && error.details.contains_key("holder"), "{error}");
        let wait = |timeout_ms| scratch.options().lock(LockOptions { on_busy: OnBusy::Wait, timeout_ms });
        assert_eq!(code(tidelock::open(wait(60)).await), Some(ErrorCode::LockTimeout));
        let steal = LockOptions { on_busy: OnBusy::Steal, ..LockOptions::default() };
        let refused = tidelock::open(scratch.options().lock(steal)).await;
        assert_eq!(code(refused), Some(ErrorCode::UnsupportedEnvironment));
        assert_eq!(code(tidelock::delete_database(scratch.options()).await), Some(ErrorCode::DatabaseInUse));
        let waiting = std::thread::spawn({
            let options = wait(10_000);
            move || block_on(tidelock::open(options))
        });
        std::thread::sleep(Duration::from_millis(100));
        db.close().await?;
        let second = waiting.join().unwrap();
        let found = tidelock::databases(scratch.path()).await?;
        assert!(found.len() == 1 && found[0].stored.in_use && found[0].stored.opened_at.is_some(), "{found:?}");
        drop(second);
        assert!(!tidelock::databases(scratch.path().parent().unwrap()).await?.is_empty());
        tidelock::delete_database(scratch.options()).await?;
        assert!(!scratch.path().exists());
        tidelock::delete_database(scratch.options()).await
    });
}

#[test]
fn snapshots_are_taken_listed_and_restored() {
    let scratch = Scratch::new();
    block_on(async {
        let db = tidelock::open(scratch.options()).await?;
        db.exec("CREATE TABLE t(n); INSERT INTO t VALUES (1)").await?;
        let snapshots = db.snapshots();
        let first = snapshots.create(Some("one row")).await?;
        let at = Timestamp::parse(&db.health().await?.timestamp.to_string()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
        db.exec("INSERT INTO t VALUES (2)").await?;
        assert!(snapshots.verify(&first.id).await?.ok);
        snapshots.restore(&first.id, false).await?;
        assert_eq!(numbers(&db).await?, [1]);
        db.exec("INSERT INTO t VALUES (3)").await?;
        snapshots.restore_at(at, false).await?;
        assert_eq!(numbers(&db).await?, [1]);
        let history = snapshots.history(1000).await?;
        let (before, after) = (history.points.first().unwrap().at, history.points.last().unwrap().at);
        assert!(before <= at && at < after && history.oldest <= Some(at), "{history:?}");
        assert_eq!(history.snapshots, snapshots.list().await?);
        let then = snapshots.export_at(at).await?;
        let point = history.points.iter().rfind(|point| point.at <= at).unwrap();
        assert_eq!(then.len() as u64, point.bytes);
        let file = snapshots.export(&first.id).await?;
        let imported = snapshots.import(file, Some("from a file")).await?;
        let labels: Vec<_> = snapshots.list().await?.into_iter().filter_map(|snapshot| snapshot.label).collect();
        assert_eq!(labels, ["from a file", "one row"]);
        snapshots.delete(&imported.id).await?;
        assert_eq!(code(snapshots.restore(&imported.id, false).await), Some(ErrorCode::SnapshotNotFound));
        assert!(snapshots.export_sql(&first.id).await?.starts_with(b"PRAGMA"));
        assert!(snapshots.status().await?.count >= 1);
        Ok(())
    });
}

#[test]
fn an_encrypted_folder_opens_with_its_secret_only() {
    let scratch = Scratch::new();
    let with = |encryption| scratch.options().encryption(encryption);
    block_on(async {
        let db = tidelock::open(with(Encryption::key([7; 32]))).await?;
        db.exec("CREATE TABLE t(n); INSERT INTO t VALUES (1)").await?;
        drop(db);
        assert_eq!(code(tidelock::open(scratch.options()).await), Some(ErrorCode::DecryptionFailed));
        let other = with(Encryption::key([8; 32]));
        assert_eq!(code(tidelock::open(other).await), Some(ErrorCode::DecryptionFailed));
        let db = tidelock::open(with(Encryption::key([7; 32]))).await?;
        assert_eq!(numbers(&db).await?, [1]);
        db.rekey(None).await?;
        drop(db);
        assert_eq!(numbers(&tidelock::open(scratch.options()).await?).await?, [1]);
        Ok(())
    });
}

#[test]
fn a_damaged_folder_is_refused_and_recovered() {
    let scratch = Scratch::new();
    block_on(async {
        let db = tidelock::open(scratch.options()).await?;
        db.exec("CREATE TABLE t(n); INSERT INTO t VALUES (1)").await?;
        db.snapshots().create(None).await?;
        for n in 2..6 {
            db.run("INSERT INTO t VALUES (?)", params![n]).await?;
        }
        drop(db);
        let journal = fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path());
        let journal = journal.filter(|path| path.to_str().unwrap().contains("journal.")).max().unwrap();
        let mut bytes = fs::read(&journal).unwrap();
        let at = bytes.len() - 6000;
        bytes[at] ^= 1;
        fs::write(&journal, bytes).unwrap();
        assert_eq!(code(tidelock::open(scratch.options()).await), Some(ErrorCode::DatabaseCorrupt));
        let report = tidelock::recover(scratch.options(), None).await?;
        assert!(report.changed && report.lost_batches > 0, "{report:?}");
        assert!(numbers(&tidelock::open(scratch.options()).await?).await?.starts_with(&[1]));
        Ok(())
    });
}

#[test]
fn a_database_larger_than_its_cache_is_read_page_by_page() {
    let scratch = Scratch::new();
    block_on(async {
        let options = || scratch.options().cache_bytes(1024 * 1024);
        let db = tidelock::open(options()).await?;
        db.exec("CREATE TABLE t(n INTEGER PRIMARY KEY, x BLOB)").await?;
        db.run_many("INSERT INTO t VALUES (?, randomblob(4000))", (0..1000).map(|n| [n])).await?;
        db.snapshots().create(None).await?;
        drop(db);
        let db = tidelock::open(options()).await?;
        assert_eq!(db.get_as::<i64>("SELECT sum(length(x)) FROM t", ()).await?, Some(4_000_000));
        let cache = db.health().await?.storage.cache.unwrap();
        assert!(cache.bytes <= 2 * 1024 * 1024, "{cache:?}");
        Ok(())
    });
}

#[test]
fn the_default_folder_is_named_as_in_node() {
    // Only the place is checked: nothing is made in the working directory.
    let missing = OpenOptions::new("läden/eu: \"*\"").storage(Storage::File);
    block_on(async {
        tidelock::delete_database(missing).await?;
        let scratch = Scratch::new();
        let folder = scratch.path().join("eu%2fwest%25.tidelock");
        drop(tidelock::open(OpenOptions::new("any").storage(Storage::File).path(&folder)).await?);
        assert_eq!(tidelock::databases(scratch.path()).await?[0].name, "eu/west%");
        Ok(())
    });
}

#[test]
fn calls_that_take_the_connection_themselves_wait_for_it_as_long_as_they_may() {
    let scratch = Scratch::new();
    block_on(async {
        let options = scratch.options().encryption(Encryption::key([1; 32]));
        let db = tidelock::open(options).await?;
        db.exec("CREATE TABLE t(n)").await?;
        let id = db.snapshots().create(None).await?.id;
        let tx = db.begin(TransactionMode::Immediate).await?;
        let limited = db.with_timeout_ms(20);
        let now = db.snapshots().history(1).await?.points[0].at;
        for (name, ended) in [
            ("restore", limited.snapshots().restore(&id, false).await),
            ("restore_at", limited.snapshots().restore_at(now, false).await),
            ("rekey", limited.rekey(Some(Encryption::key([2; 32]))).await),
            ("rotate_key", limited.rotate_key().await),
            ("run", limited.migrations().run(Default::default()).await.map(drop)),
        ] {
            assert_eq!(code(ended), Some(ErrorCode::Timeout), "{name}");
        }
        tx.rollback();
        db.with_timeout_ms(60_000).snapshots().restore(&id, false).await
    });
}

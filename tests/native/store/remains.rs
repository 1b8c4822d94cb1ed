//! Chunks that all snapshots share, and that rotted while the database was closed: recovery returns everything but their rows.

use tidelock::{
    ErrorCode,
    engine::storage::flush::FlushPolicy,
    format::Truncation,
    ports::Durability,
    snapshot::SnapshotOptions,
    store::{RecoveryReport, faulty::Crash},
};

use super::{
    bench::{Machine, insert, snapshot},
    last_good,
    page::{Page, by_call_only},
    stored,
};
use crate::sample::Sample;

fn recover(machine: &mut Machine) -> RecoveryReport {
    last_good::recover(machine, None).expect("recovers")
}

/// 2,000 rows of a kilobyte, a table without rowids, and a long value, in snapshots that share their chunks; the log before them is
/// truncated.
pub fn cold() -> (Machine, Page) {
    cold_in_pages(4096)
}

fn cold_in_pages(page_size: u32) -> (Machine, Page) {
    let mut machine = Machine::new();
    let page = machine.open().unwrap();
    page.connection.exec(&format!("PRAGMA page_size = {page_size}; VACUUM")).unwrap();
    machine
        .commit(
            &page,
            "CREATE TABLE t(id INTEGER PRIMARY KEY, v, big); CREATE INDEX by_v ON t(v); CREATE VIEW w AS SELECT v FROM t;
             CREATE TABLE pair(a, b, PRIMARY KEY (a, b)) WITHOUT ROWID; CREATE TABLE other(x); PRAGMA user_version = 7;
             WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
             INSERT INTO t SELECT i * 3, i, randomblob(1000) FROM n;
             INSERT INTO pair SELECT v, -v FROM t WHERE v <= 500;
             INSERT INTO t VALUES (9000, 9000, randomblob(200000)), (9001, 9001, 'the last');
             INSERT INTO other VALUES ('the only one');",
        )
        .unwrap();
    for _ in 0..3 {
        machine.commit(&page, "PRAGMA user_version = 8; UPDATE other SET x = x").unwrap();
        snapshot(&mut machine, &page).unwrap();
    }
    let newest = page.storage.manifests().last().unwrap().clone();
    assert!(newest.chunks.len() > 30);
    truncate_to_oldest(&mut machine, &page);
    machine.kill(Crash::Process);
    (machine, page)
}

/// Truncates the log to the oldest snapshot, so that it can't replace what all of them share.
fn truncate_to_oldest(machine: &mut Machine, page: &Page) {
    let oldest = page.storage.manifests()[0].clone();
    let (storage, to) = (page.storage.clone(), Truncation { lsn: oldest.lsn, logged: oldest.logged });
    machine.sim.run(async move { storage.remove(&[], &[], Some(to)).await }).unwrap();
}

/// Flips a bit of a chunk of the newest snapshot.
pub fn flip(machine: &Machine, index: usize) {
    machine.damage(|contents| {
        let id = stored::manifests(contents).pop().unwrap().chunks[index].id;
        *contents.chunks.get_mut(&id).unwrap().last_mut().unwrap() ^= 1;
    });
}

#[test]
fn each_damaged_chunk_costs_its_own_rows_only() {
    let (mut machine, page) = cold();
    let whole = machine.contents();
    let manifest = stored::manifests(&whole).pop().unwrap();
    drop(page);
    let (mut refused, mut lost_rows, mut sample) = (0, 0, Sample::every(2));
    for (index, chunk) in manifest.chunks.iter().enumerate().filter(|_| sample.takes()) {
        machine.damage(|contents| {
            *contents = whole.clone();
            *contents.chunks.get_mut(&chunk.id).unwrap().last_mut().unwrap() ^= 1;
        });
        let error = match machine.recover() {
            // Only the newest snapshot has the first chunk in this form, which the log replaces.
            Ok(_) => continue,
            Err(error) => error,
        };
        refused += 1;
        assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
        assert_eq!(error.message, "Snapshot 3 is damaged, and the page log can't replace it");
        let report = recover(&mut machine);
        assert!(report.changed && report.lost_batches == 0, "{report:?}");
        assert!(report.problems.contains(&format!("Chunk {index} of snapshot 3 is damaged")), "{report:?}");
        let page = machine.open().expect("opens");
        page.assert_whole();
        let (rows, pairs) = (page.number("SELECT count(*) FROM t"), page.number("SELECT count(*) FROM pair"));
        // At most 64 KiB of rows, or the one whose long value was there.
        assert!(rows >= 2002 - 66, "chunk {index}: {rows} rows, {:?}", report.problems);
        assert!(pairs == 500 || report.problems.iter().any(|problem| problem.contains("Table pair lacks")));
        assert!(rows == 2002 || report.problems.iter().any(|problem| problem.contains("Table t lacks")), "{report:?}");
        assert_eq!(page.number("SELECT count(*) FROM t WHERE id = v * 3 OR id >= 9000"), rows);
        assert_eq!(page.number("SELECT count(*) FROM w"), rows);
        assert_eq!(page.number("PRAGMA user_version"), 8);
        lost_rows += 2002 - rows;
        insert(&mut machine, &page, 1);
        snapshot(&mut machine, &page).unwrap();
        machine.kill(Crash::Process);
        assert_eq!(machine.open().expect("opens again").warnings, []);
        machine.kill(Crash::Process);
    }
    println!("{refused} of {} chunks refused the opening; {lost_rows} rows lost in all", manifest.chunks.len());
    assert!(refused > sample.part_of(25), "{refused}");
}

#[test]
fn a_damaged_chunk_of_a_full_text_index_costs_the_index_nothing_and_the_table_its_rows() {
    let mut machine = Machine::new();
    let page = machine.open().unwrap();
    machine
        .commit(
            &page,
            "CREATE TABLE pad(x); CREATE TABLE note(id INTEGER PRIMARY KEY, text);
             WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 100)
             INSERT INTO pad SELECT randomblob(1000) FROM n;
             CREATE VIRTUAL TABLE own USING fts5(text); CREATE VIRTUAL TABLE of_note USING fts5(text, content = 'note');
             CREATE VIRTUAL TABLE bare USING fts5(text, content = '');
             WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 600)
             INSERT INTO note SELECT i, 'all word' || i || ' ' || hex(randomblob(200)) FROM n;
             INSERT INTO own(rowid, text) SELECT * FROM note; INSERT INTO of_note(rowid, text) SELECT * FROM note;
             INSERT INTO bare(rowid, text) SELECT * FROM note; CREATE TABLE other(x); INSERT INTO other VALUES (1)",
        )
        .unwrap();
    for _ in 0..2 {
        machine.commit(&page, "UPDATE other SET x = x + 1").unwrap();
        snapshot(&mut machine, &page).unwrap();
    }
    truncate_to_oldest(&mut machine, &page);
    drop(page);
    machine.kill(Crash::Process);
    let whole = machine.contents();
    let (mut refused, mut rebuilt, mut sample) = (0, 0, Sample::every(2));
    for index in (0..stored::manifests(&whole).pop().unwrap().chunks.len()).filter(|_| sample.takes()) {
        machine.damage(|contents| *contents = whole.clone());
        flip(&machine, index);
        if machine.recover().is_ok() {
            continue;
        }
        refused += 1;
        let report = recover(&mut machine);
        let problems = report.problems.join("\n");
        rebuilt += usize::from(problems.contains("was built again"));
        let page = machine.open().expect("opens");
        let number = |sql: &str| page.number(sql);
        for (table, content) in [("own", "own_content"), ("of_note", "note")] {
            let rows = number(&format!("SELECT count(*) FROM {content}"));
            assert!(rows >= 600 - 200, "chunk {index}: {rows} rows of {table}, {problems}");
            let found = |word: &str| number(&format!("SELECT count(*) FROM {table}('{word}')"));
            assert_eq!(found("all"), rows, "chunk {index}: {table}, {problems}");
            assert_eq!((1..=600).map(|i| found(&format!("word{i}"))).sum::<i64>(), rows);
        }
        let bare = page.connection.value("SELECT count(*) FROM bare('all')", &[]).ok().flatten();
        assert!(bare == Some(600.into()) || problems.contains("bare"), "chunk {index}: {bare:?}, {problems}");
        machine.kill(Crash::Process);
    }
    assert!(refused > sample.part_of(10) && rebuilt > sample.part_of(3), "{refused} refused, {rebuilt} built again");
}

#[test]
fn a_log_that_changed_the_damaged_pages_since_replaces_them() {
    let (mut machine, _) = cold();
    let page = machine.open().unwrap();
    machine.commit(&page, "UPDATE t SET big = randomblob(1000) WHERE id < 9000").unwrap();
    machine.kill(Crash::Process);
    flip(&machine, 12);
    assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt);
    let report = recover(&mut machine);
    assert_eq!((report.changed, report.lost_batches, report.problems), (true, 0, vec![]));
    assert_eq!(machine.open().unwrap().number("SELECT count(*) FROM t"), 2002);
}

#[test]
fn a_log_that_changed_some_pages_of_the_damaged_chunk_costs_no_others() {
    for page_size in [512, 1024, 2048, 4096, 8192] {
        let (mut machine, _) = cold_in_pages(page_size);
        let page = machine.open().unwrap();
        assert_eq!(page.number("PRAGMA page_size"), i64::from(page_size));
        machine.commit(&page, "UPDATE t SET big = 'changed' WHERE id % 90 = 0").unwrap();
        machine.kill(Crash::Process);
        let whole = machine.contents();
        let (mut refused, mut changed, mut sample) = (0, 0, Sample::every(4));
        for index in (1..stored::manifests(&whole).pop().unwrap().chunks.len()).filter(|_| sample.takes()) {
            machine.damage(|contents| *contents = whole.clone());
            flip(&machine, index);
            if machine.recover().is_ok() {
                continue;
            }
            refused += 1;
            let (report, case) = (recover(&mut machine), format!("pages of {page_size}, chunk {index}"));
            assert_eq!(report.lost_batches, 0, "{case}");
            let page = machine.open().expect("opens");
            page.assert_whole();
            let rows = page.number("SELECT count(*) FROM t");
            assert!(rows >= 2002 - 200, "{case}: {rows} rows, {:?}", report.problems);
            assert!(rows == 2002 || report.problems.iter().any(|problem| problem.contains("Table t lacks")), "{case}");
            // No row is as it was before the commit.
            assert_eq!(
                page.number("SELECT count(*) FROM t WHERE id % 90 = 0 AND id < 9000 AND big IS NOT 'changed'"),
                0
            );
            changed += page.number("SELECT count(*) FROM t WHERE big = 'changed'");
            machine.kill(Crash::Process);
        }
        assert!(
            refused > sample.part_of(20) && changed > 0,
            "pages of {page_size}: {refused} refused, {changed} changed rows"
        );
    }
}

/// Many tables with an index, and a long statement now and then, in snapshots that share their chunks: the schema is everywhere.
fn with_many_tables(page_size: u32, tables: usize) -> Machine {
    let mut machine = Machine::new();
    let page = machine.open().unwrap();
    page.connection.exec(&format!("PRAGMA page_size = {page_size}; VACUUM")).unwrap();
    let mut script = String::new();
    for table in 0..tables {
        let long = if table % 10 == 0 { "x".repeat(page_size as usize) } else { String::new() };
        script += &format!(
            "CREATE TABLE t{table}(id INTEGER PRIMARY KEY, v /* {long} */); CREATE INDEX i{table} ON t{table}(v);
             INSERT INTO t{table}(v) VALUES ({table}), ('{table} a'), ('{table} b');"
        );
    }
    machine.commit(&page, &script).unwrap();
    for _ in 0..2 {
        machine.commit(&page, "PRAGMA user_version = 8; UPDATE t0 SET v = v").unwrap();
        snapshot(&mut machine, &page).unwrap();
    }
    truncate_to_oldest(&mut machine, &page);
    machine.kill(Crash::Process);
    machine
}

#[test]
fn a_damaged_chunk_with_a_part_of_the_schema_costs_no_other_part() {
    const TABLES: usize = 300;
    for page_size in [512, 1024, 4096] {
        let mut machine = with_many_tables(page_size, TABLES);
        let whole = machine.contents();
        let count = stored::manifests(&whole).pop().unwrap().chunks.len();
        assert!(count > 5, "{count} chunks");
        let (mut lost, mut schemas, mut sample) = (0, 0, Sample::every(2));
        for index in (1..count).filter(|_| sample.takes()) {
            machine.damage(|contents| *contents = whole.clone());
            flip(&machine, index);
            assert_eq!(machine.open().map(drop).unwrap_err().code, ErrorCode::DatabaseCorrupt, "chunk {index}");
            let report = recover(&mut machine);
            assert!(report.changed && !report.problems.is_empty(), "chunk {index}: {report:?}");
            schemas += usize::from(report.problems.iter().any(|problem| problem.contains("part of the schema")));
            let page = machine.open().unwrap();
            let rows = |table: usize| {
                let sql = format!("SELECT count(*) FROM t{table} NOT INDEXED");
                page.connection.value(&sql, &[]).ok().flatten().and_then(|count| count.as_integer())
            };
            lost += (0..TABLES).filter(|table| rows(*table) != Some(3)).count();
            page.assert_whole();
            machine.kill(Crash::Process);
        }
        println!("pages of {page_size} bytes: {count} chunks, {lost} tables lost, {schemas} with a part of the schema");
        assert!(schemas > 0, "none of {count} chunks has a part of the schema");
        // What makes up a table is in at most three places: its row in the schema, the rest of a long one, and its rows.
        assert!(lost > 0 && lost <= 2 * TABLES + TABLES / 10, "{lost}");
    }
}

#[test]
fn a_damaged_first_chunk_costs_nothing_though_no_commit_changed_it() {
    for paged in [false, true] {
        let mut machine = Machine::new();
        let (store, platform) = (machine.store(), machine.platform());
        let options = SnapshotOptions { log_max_bytes: Some(0), ..by_call_only() };
        let policy = FlushPolicy::Immediate(Durability::Relaxed);
        let cache_bytes = paged.then_some(1);
        let opening = async move { Page::open_paged(store, &platform, policy, options, cache_bytes).await };
        let page = machine.sim.run(opening).unwrap();
        machine
            .commit(
                &page,
                "CREATE TABLE t(id INTEGER PRIMARY KEY, v, pad);
                 WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
                 INSERT INTO t SELECT i, 0, randomblob(1000) FROM n",
            )
            .unwrap();
        for _ in 0..4 {
            machine.commit(&page, "UPDATE t SET v = v + 1 WHERE id = 400").unwrap();
            snapshot(&mut machine, &page).unwrap();
        }
        machine.commit(&page, "UPDATE t SET v = v + 1 WHERE id = 400").unwrap();
        assert!(page.storage.truncated().lsn > 0);
        machine.kill(Crash::Process);
        flip(&machine, 0);
        let page = machine.open().expect("opens");
        page.assert_whole();
        assert_eq!(page.number("SELECT sum(v) FROM t"), 5);
        assert_eq!(page.number("SELECT count(*) FROM t"), 500);
    }
}

#[test]
fn a_manifest_of_another_size_than_its_chunks_is_not_believed() {
    for (db_bytes, page_size) in [(1 << 50, 4096), (1, 0), (0, 1)] {
        let (mut machine, _) = cold();
        machine.damage(|contents| {
            for mut manifest in stored::manifests(contents) {
                (manifest.db_bytes, manifest.page_size) = (db_bytes, page_size);
                contents.snapshots.insert(manifest.generation, manifest.encode());
            }
        });
        assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt);
        assert_eq!(last_good::recover(&mut machine, None).unwrap_err().code, ErrorCode::DatabaseCorrupt);
    }
}

//! Databases without any snapshot whose log is damaged before any state: recovery returns what the log wrote after it.

use std::collections::BTreeMap;

use tidelock::{ErrorCode, Value, ports::LogKey, store::faulty::Crash};

use super::{bench::Machine, folder::Chance, last_good, page::Page};
use crate::sample::Sample;

/// The lsn of the commit with the schema: an opening and an empty file come before it.
const SCHEMA: u64 = 3;

/// The rows of the table `t`, by rowid.
fn rows(page: &Page) -> BTreeMap<i64, Value> {
    let rows = page.connection.rows("SELECT id, v || ' ' || pad FROM t", &[]).unwrap();
    rows.into_iter().map(|mut row| (row[0].as_integer().unwrap(), row.remove(1))).collect()
}

fn fill(first: u64, count: u64, value: u64) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n LIMIT {count})
         INSERT OR REPLACE INTO t SELECT i, {value}, printf('%0400d', i) FROM n;"
    )
}

/// A database whose first commit has the schema and some rows, and whose later ones change a part of them.
fn history(seed: u64) -> (Machine, Page) {
    let mut chance = Chance(seed);
    let mut machine = if chance.below(3) == 0 { Machine::encrypted() } else { Machine::new() };
    let mut page = machine.open().unwrap();
    let page_size = 512 << chance.below(6);
    page.connection.exec(&format!("PRAGMA page_size = {page_size}")).unwrap();
    let count = 1 + chance.below(3000);
    let schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v, pad); CREATE INDEX by_v ON t(v); CREATE TABLE other(x);";
    machine.commit(&page, &format!("{schema}{}", fill(0, count, 0))).unwrap();
    for value in 1..=1 + chance.below(8) {
        let first = chance.below(count);
        let script = match chance.below(6) {
            0 => format!("DELETE FROM t WHERE id BETWEEN {first} AND {first} + 30"),
            1 => "INSERT INTO other VALUES (1)".to_owned(),
            2 => fill(count + value * 100, 50, value),
            3 => fill(0, count, value),
            _ => fill(first, 1 + chance.below(40), value),
        };
        machine.commit(&page, &script).unwrap();
        if chance.below(8) == 0 {
            machine.kill(Crash::Process);
            page = machine.open().unwrap();
        }
    }
    (machine, page)
}

#[test]
fn what_the_log_wrote_after_its_damaged_first_commit_is_left() {
    let (mut empty, mut returned, mut lost, mut sample) = (0, 0, 0, Sample::every(3));
    for seed in (0..60).filter(|_| sample.takes()) {
        let mut chance = Chance(seed + 1000);
        let (mut machine, page) = history(seed);
        let before = rows(&page);
        drop(page);
        machine.kill(Crash::Process);
        let lsn = SCHEMA - chance.below(2);
        let parts: Vec<LogKey> = machine.contents().log.keys().copied().filter(|(of, _)| *of == lsn).collect();
        let part = parts[chance.below(parts.len() as u64) as usize];
        machine.damage(|contents| {
            if chance.below(3) == 0 {
                contents.log.remove(&part);
                return;
            }
            let bytes = contents.log.get_mut(&part).unwrap();
            let at = chance.below(bytes.len() as u64) as usize;
            bytes[at] ^= 1;
        });
        let error = machine.refused();
        assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "seed {seed}");
        let (what_follows, state) = ("recover(name) opens what the log after it has", "opens the last good state");
        let hint = error.hint.as_ref().expect("a hint");
        assert!(hint.contains(if lsn == SCHEMA { state } else { what_follows }), "seed {seed}: {hint}");
        let report = last_good::recover(&mut machine, None).unwrap();
        if report.bytes == 4096 {
            // No later commit wrote the page with the schema.
            empty += 1;
            continue;
        }
        assert!(report.changed && report.lost_batches == 1 && report.snapshot_id.is_none(), "seed {seed}: {report:?}");
        assert_eq!(report.quarantined.unwrap().from, lsn, "seed {seed}");
        let page = machine.open().unwrap();
        page.assert_whole();
        let after = rows(&page);
        for (id, row) in &after {
            assert_eq!(before.get(id), Some(row), "seed {seed}: row {id} is as it was last");
        }
        let told = report.problems.iter().any(|problem| problem.contains("Table t lacks"));
        assert!(after.len() == before.len() || told, "seed {seed}: {} of {}, {report:?}", after.len(), before.len());
        returned += after.len();
        lost += before.len() - after.len();
        machine.commit(&page, "INSERT INTO other VALUES (2)").unwrap();
        machine.kill(Crash::Process);
        assert_eq!(rows(&machine.open().unwrap()), after, "seed {seed}");
    }
    println!("{empty} empty; {returned} rows returned, {lost} lost");
    assert!(
        empty < 20 && returned > sample.part_of(10_000) && lost > sample.part_of(1_000),
        "{empty}, {returned}, {lost}"
    );
}

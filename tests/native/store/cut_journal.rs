//! Journals that are cut short, missing, or replaced by an older copy: what that costs is reported, and `recover` returns the rest.

use tidelock::{
    ErrorCode, Result,
    error::WarningCode,
    ports::{Files, Holder, sim::Sim},
    snapshot::Reason,
    store::{RecoveryReport, Rekeyed, Storage, moving::move_database, sealed::Secret},
};

use super::{
    bench::key,
    damaged_segment::{bytes, code, connect, connect_older, frames, opened, recovered, sealed, segments},
    folder::SimDisk,
    hostile_folder::HEADER,
    key_changes::{CHANGES, Change},
    page::Page,
};
use crate::sample::Sample;

pub fn recovered_older(disk: &SimDisk, secret: Option<Secret>) -> Result<RecoveryReport> {
    let (mut sim, on) = (Sim::new(2), disk.clone());
    let platform = sim.platform();
    sim.run(async move {
        let store = connect_older(&on, &platform, secret).await?;
        let report = Storage::recover_older(store.clone(), &platform, Holder::default(), None).await;
        store.close().await.unwrap();
        report
    })
}

/// The rows in the newest segment of [`sealed_before`].
const AFTER: i64 = 2;

/// A database whose newest segment has rows, and one before it that was sealed; the rows in that one.
fn sealed_before(secret: &Option<Secret>, closes: bool) -> (SimDisk, String, i64) {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (platform, on, secret) = (sim.platform(), disk.clone(), secret.clone());
    let rows = sim.run(async move {
        let store = connect(&on, &platform, secret).await.unwrap();
        let page = Page::open(store.clone(), &platform).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        page.snapshots.create(None, Reason::Manual).await.unwrap();
        let (mut sealed, mut rows, mut newest) = (0, 0, segments(&on).pop());
        while newest == Some(1) || rows < sealed + AFTER {
            page.commit("INSERT INTO t VALUES (hex(randomblob(300)))").await.unwrap();
            rows += 1;
            let last = segments(&on).pop();
            if last != newest {
                // The commit that sealed one is in it.
                (sealed, newest) = (rows, last);
            }
        }
        if closes {
            store.close().await.unwrap();
        }
        sealed
    });
    let name = format!("journal.{}", segments(&disk).last().unwrap());
    (disk, name, rows)
}

#[test]
fn a_newest_segment_that_is_missing_or_cut_or_foreign_costs_what_it_had_and_recover_says_so() {
    for secret in [None, Some(key(1))] {
        let (disk, name, rows) = sealed_before(&secret, true);
        let newest = bytes(&disk, &name);
        let start = frames(&newest)[2].0;
        let change = |work: &dyn Fn(&mut Vec<u8>)| {
            let damaged = disk.copied();
            damaged.change(&name, |bytes| work(bytes));
            damaged
        };
        let (killed, ..) = sealed_before(&secret, false);
        killed.change(&name, |bytes| bytes.truncate(start - 1));
        let warnings = vec![WarningCode::StorageDamaged];
        assert_eq!(opened(&killed, secret.clone()).unwrap(), (rows, 1, warnings), "one copy of the state is left");
        assert_eq!(opened(&killed, secret.clone()).unwrap(), (rows + 1, 1, vec![]));
        let mut damaged: Vec<_> = [0, 1, HEADER, HEADER + 1, start / 2]
            .map(|length| change(&|bytes: &mut Vec<u8>| bytes.truncate(length)))
            .into();
        damaged.push(change(&|bytes: &mut Vec<u8>| bytes.fill(0x55)));
        damaged.push(change(&|bytes: &mut Vec<u8>| bytes.fill(0)));
        damaged.push(disk.copied());
        damaged.last().unwrap().remove(&name).unwrap();
        for (number, damaged) in damaged.into_iter().enumerate() {
            let case = format!("encrypted {}, {number}", secret.is_some());
            let files = |disk: &SimDisk| disk.list().unwrap().iter().map(|name| bytes(disk, name)).collect::<Vec<_>>();
            let before = files(&damaged);
            let error = opened(&damaged, secret.clone()).unwrap_err();
            assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{case}");
            assert!(error.hint.as_deref().unwrap_or_default().contains("recover(name)"), "{case}: {error:?}");
            assert_eq!(recovered(&damaged, secret.clone()).map_err(code), Err(ErrorCode::DatabaseCorrupt), "{case}");
            assert!(before == files(&damaged), "{case}: nothing was written");
            let report = recovered_older(&damaged, secret.clone()).unwrap();
            assert!(
                report.changed
                    && report.lost_batches > 0
                    && report.problems.iter().any(|problem| problem.contains(&name)),
                "{case}: {report:?}"
            );
            assert_eq!(opened(&damaged, secret.clone()).unwrap(), (rows, 1, vec![]), "{case}");
            assert_eq!(opened(&damaged, secret.clone()).unwrap(), (rows + 1, 1, vec![]), "{case}");
            assert!(
                segments(&damaged).iter().all(|segment| format!("journal.{segment}") != name),
                "{case}: it is swept"
            );
        }
        // With an intact one, nothing is lost.
        assert_eq!(recovered_older(&disk, secret.clone()).unwrap().problems, Vec::<String>::new());
        assert_eq!(opened(&disk, secret.clone()).unwrap(), (rows + AFTER, 1, vec![]));
    }
}

/// A closed database with a snapshot after the second of five rows; the rows after each commit, by the length of the journal.
fn closed(secret: &Option<Secret>) -> (SimDisk, Vec<(usize, i64)>) {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(1));
    let (platform, on, secret) = (sim.platform(), disk.clone(), secret.clone());
    let lengths = sim.run(async move {
        let store = sealed(on.store_of(1 << 20), &platform, secret).await.unwrap();
        let page = Page::open(store.clone(), &platform).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        let mut lengths = Vec::new();
        for row in 1..=5 {
            page.commit("INSERT INTO t VALUES (hex(randomblob(100)))").await.unwrap();
            lengths.push((bytes(&on, "journal.1").len(), row));
            if row == 2 {
                page.snapshots.create(None, Reason::Manual).await.unwrap();
            }
        }
        store.close().await.unwrap();
        lengths
    });
    assert_eq!(segments(&disk), [1]);
    (disk, lengths)
}

#[test]
fn a_closed_journal_that_is_cut_at_any_length_is_told() {
    for secret in [None, Some(key(1))] {
        let (disk, lengths) = closed(&secret);
        let whole = bytes(&disk, "journal.1");
        let ends: Vec<usize> = frames(&whole).into_iter().map(|(at, ..)| at).collect();
        let mut cuts: Vec<usize> = (0..whole.len()).step_by(61).chain(ends.iter().copied()).collect();
        cuts.sort_unstable();
        let (mut refused, mut warned, mut sample) = (0, 0, Sample::every(2));
        for length in cuts.into_iter().filter(|_| sample.takes()) {
            let cut = disk.copied();
            cut.change("journal.1", |bytes| bytes.truncate(length));
            let rows = lengths.iter().rfind(|(end, _)| *end <= length).map_or(0, |(_, rows)| *rows);
            let case = format!("encrypted {}, {length} of {}, {rows} rows", secret.is_some(), whole.len());
            match opened(&cut, secret.clone()) {
                Err(error) => {
                    assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{case}: {error}");
                    refused += 1;
                    match recovered(&cut, secret.clone()) {
                        Ok(report) => assert!(report.lost_batches > 0 && report.changed, "{case}: {report:?}"),
                        Err(error) => {
                            assert_eq!((error.code, rows), (ErrorCode::DatabaseCorrupt, 0), "{case}: {error}");
                            continue;
                        }
                    }
                    if rows == 0 {
                        continue;
                    }
                    let found = opened(&cut, secret.clone()).unwrap();
                    assert_eq!((found.0, found.2), (rows, vec![]), "{case}: recovered");
                }
                // All commits are there: the last frame says that the database was closed, and the one before may store a snapshot.
                Ok(found) if rows == 5 && length >= ends[ends.len() - 1] => {
                    assert_eq!((found.0, found.2), (rows, vec![]), "{case}");
                }
                Ok(found) => {
                    assert_eq!((found.0, found.2), (rows, vec![WarningCode::StorageDamaged]), "{case}");
                    warned += 1;
                }
            }
            let again = opened(&cut, secret.clone()).unwrap();
            assert_eq!((again.0, again.2), (rows + 1, vec![]), "{case}: told once");
        }
        assert!(refused > sample.part_of(20), "{refused} refused, {warned} with a warning");
    }
}

#[test]
fn a_process_that_is_killed_after_the_recovery_of_a_cut_journal_leaves_it_recovered() {
    let (base, lengths) = closed(&None);
    // Of the first ones, the journal is shorter than before also after the recovery.
    for (length, rows) in &lengths[..4] {
        let disk = base.copied();
        disk.change("journal.1", |bytes| bytes.truncate(*length));
        assert_eq!(opened(&disk, None).map_err(code), Err(ErrorCode::DatabaseCorrupt));
        let (mut sim, on) = (Sim::new(2), disk.clone());
        let platform = sim.platform();
        let report = sim.run(async move {
            let store = sealed(on.store_of(1 << 20), &platform, None).await.unwrap();
            Storage::recover(store, &platform, Holder::default(), None).await.unwrap()
        });
        assert!(report.changed && report.lost_batches > 0, "{rows} rows: {report:?}");
        let snapshots = usize::from(*rows > 2);
        assert_eq!(opened(&disk, None).unwrap(), (*rows, snapshots, vec![]), "{rows} rows");
    }
}

#[test]
fn a_journal_that_becomes_shorter_while_it_is_open_takes_no_more_commits() {
    for secret in [None, Some(key(1))] {
        let (base, _) = closed(&secret);
        let length = bytes(&base, "journal.1").len();
        for (cut, restart) in [(length / 3, false), (length / 2, true), (length - 40, false)] {
            let (disk, mut sim) = (base.copied(), Sim::new(3));
            let (platform, on, secret) = (sim.platform(), disk.clone(), secret.clone());
            sim.run(async move {
                let store = sealed(on.store_of(1 << 20), &platform, secret).await.unwrap();
                let page = Page::open(store.clone(), &platform).await.unwrap();
                page.commit("INSERT INTO t VALUES (1)").await.unwrap();
                on.change("journal.1", |bytes| bytes.truncate(cut));
                if restart {
                    let _ = store.reopen().await;
                }
                for _ in 0..3 {
                    let error = page.commit("INSERT INTO t VALUES (2)").await.unwrap_err();
                    assert_eq!(error.code, ErrorCode::LockLost, "{cut}: {error}");
                }
            });
        }
    }
}

/// What becomes of a journal, of what it was before the commits and after them.
type Cut = dyn Fn(&[u8], &[u8]) -> Vec<u8>;

#[test]
fn a_journal_that_was_cut_or_older_while_it_was_open_is_told_at_the_next_opening() {
    for (secret, is_new) in [(None, true), (None, false), (Some(key(1)), true), (Some(key(1)), false)] {
        // Opens, commits, changes the journal and closes.
        let used = |cut: &Cut| {
            let (disk, mut sim) = (if is_new { SimDisk::default() } else { closed(&secret).0 }, Sim::new(8));
            let (platform, on, secret) = (sim.platform(), disk.clone(), secret.clone());
            let (store, page, before) = sim.run(async move {
                let store = sealed(on.store_of(1 << 20), &platform, secret).await.unwrap();
                let page = Page::open(store.clone(), &platform).await.unwrap();
                page.commit("CREATE TABLE IF NOT EXISTS t(v)").await.unwrap();
                let before = bytes(&on, "journal.1");
                for _ in 0..3 {
                    page.commit("INSERT INTO t VALUES (hex(randomblob(100)))").await.unwrap();
                }
                (store, page, before)
            });
            let after = bytes(&disk, "journal.1");
            disk.change("journal.1", |bytes| *bytes = cut(&before, &after));
            let _ = sim.run(async move { store.close().await });
            drop(page);
            (disk, before, after)
        };
        let is_told = |disk: &SimDisk, case: &str| match opened(disk, secret.clone()) {
            Ok(found) => assert_eq!(found.2, [WarningCode::StorageDamaged], "{case}, new {is_new}"),
            Err(error) => assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{case}, new {is_new}: {error}"),
        };
        let rows = if is_new { 3 } else { 8 };
        let (whole, before, after) = used(&|_, after| after.to_vec());
        assert_eq!(opened(&whole, secret.clone()).unwrap().0, rows);
        let lengths = (0..after.len()).step_by(after.len() / 40).chain([before.len(), after.len() - 1]);
        for length in lengths {
            let (cut, ..) = used(&move |_, after| after[..length].to_vec());
            is_told(&cut, &format!("{length} of {}", after.len()));
        }
        let (older, ..) = used(&|before, _| before.to_vec());
        is_told(&older, "an older copy");
    }
}

/// Rows of [`rewritten`], and its snapshots.
const ROWS: i64 = 11;
const SNAPSHOTS: usize = 2;

/// A closed database after a change of its key; `None`: after a move.
fn rewritten(change: Option<Change>) -> (SimDisk, Option<Secret>) {
    let (disk, mut sim) = (SimDisk::default(), Sim::new(4));
    let (platform, on) = (sim.platform(), disk.clone());
    let (before, after) = change.map_or((Some(key(1)), Some(key(1))), Change::secrets);
    sim.run(async move {
        let from = if change.is_none() { SimDisk::default() } else { on.clone() };
        let store = sealed(from.store_of(1 << 20), &platform, before).await.unwrap();
        let page = Page::open(store.clone(), &platform).await.unwrap();
        page.commit("CREATE TABLE t(v)").await.unwrap();
        for row in 1..=ROWS {
            page.commit("INSERT INTO t VALUES (hex(randomblob(2000)))").await.unwrap();
            if row % 4 == 0 {
                page.snapshots.create(Some(row.to_string()), Reason::Manual).await.unwrap();
            }
        }
        if let Some(change) = change {
            assert_eq!(change.make(&page.storage, &platform).await, Rekeyed::Done);
        }
        store.close().await.unwrap();
        if change.is_none() {
            let to = on.store_of(1 << 20);
            move_database(&*from.store_of(1 << 20), &*to).await.unwrap();
            to.close().await.unwrap();
        }
    });
    (disk, after)
}

/// Returns whether the data of all snapshots is there.
fn verified(disk: &SimDisk, secret: Option<Secret>) -> bool {
    let (mut sim, on) = (Sim::new(2), disk.copied());
    let platform = sim.platform();
    sim.run(async move {
        let store = connect(&on, &platform, secret).await.unwrap();
        let page = Page::open(store, &platform).await.unwrap();
        let mut is_ok = true;
        for info in page.snapshots.list() {
            is_ok = is_ok && page.snapshots.verify(&info.id).await.unwrap().ok;
        }
        is_ok
    })
}

#[test]
fn after_a_change_of_the_key_or_a_move_no_cut_of_the_journal_costs_a_snapshot() {
    for how in CHANGES.map(Some).into_iter().chain([None]) {
        let (disk, secret) = rewritten(how);
        assert_eq!(opened(&disk.copied(), secret.clone()).unwrap(), (ROWS, SNAPSHOTS, vec![]), "{how:?}");
        assert!(segments(&disk).len() > 1, "{how:?}");
        let (mut told, mut sample) = (0, Sample::every(3));
        for name in segments(&disk).iter().map(|segment| format!("journal.{segment}")) {
            let whole = bytes(&disk, &name);
            for length in (0..whole.len()).step_by(whole.len().div_ceil(60)).filter(|_| sample.takes()) {
                let cut = disk.copied();
                cut.change(&name, |bytes| bytes.truncate(length));
                let case = format!("{how:?}, {name}, {length} of {}", whole.len());
                match opened(&cut, secret.clone()) {
                    Err(error) => {
                        assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{case}: {error}");
                        let hint = error.hint.as_deref().unwrap_or_default();
                        assert!(hint.contains("recover(name)"), "{case}: {error:?}");
                        let report = match recovered(&cut, secret.clone()) {
                            Ok(report) => report,
                            Err(error) => {
                                assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{case}: {error}");
                                let older = recovered_older(&cut, secret.clone());
                                older.unwrap_or_else(|error| panic!("{case}: {error:?}"))
                            }
                        };
                        assert!(report.changed, "{case}: {report:?}");
                        told += 1;
                    }
                    Ok(found) => assert!(found.0 == ROWS || !found.2.is_empty(), "{case}: {found:?}"),
                }
                let found = opened(&cut, secret.clone()).unwrap();
                assert_eq!((found.1, &found.2[..]), (SNAPSHOTS, &[][..]), "{case}");
                // Those of the newest snapshot are the least that is left.
                assert!((8..=ROWS + 1).contains(&found.0), "{case}: {} rows", found.0);
                assert!(verified(&cut, secret.clone()), "{case}: the data of the snapshots is there");
            }
        }
        assert!(told > sample.part_of(30), "{how:?}: {told}");
    }
}

#[test]
fn the_reserve_of_another_database_says_nothing_about_this_one() {
    let (short, _) = closed(&None);
    let (long, name, rows) = sealed_before(&None, true);
    assert_ne!(name, "journal.1");
    for secret in [None, Some(key(1))] {
        let (disk, _) = closed(&secret);
        let other = SimDisk::default();
        let (mut sim, on) = (Sim::new(5), other.clone());
        let platform = sim.platform();
        sim.run(async move {
            let store = sealed(on.store_of(1 << 20), &platform, None).await.unwrap();
            let page = Page::open(store.clone(), &platform).await.unwrap();
            page.commit("CREATE TABLE t(v)").await.unwrap();
            for _ in 0..20 {
                page.commit("INSERT INTO t VALUES (hex(randomblob(1000)))").await.unwrap();
            }
            store.close().await.unwrap();
        });
        assert!(bytes(&other, "journal.1").len() > bytes(&disk, "journal.1").len());
        disk.change("reserve", |reserve| *reserve = bytes(&other, "reserve"));
        assert_eq!(opened(&disk, secret).unwrap(), (5, 1, vec![]));
    }
    long.change("reserve", |reserve| *reserve = bytes(&short, "reserve"));
    assert_eq!(opened(&long, None).unwrap(), (rows + AFTER, 1, vec![]));
}

#[test]
fn a_sealed_segment_of_a_copy_that_was_worked_on_stops_neither_the_history_nor_a_change_of_the_key() {
    let (base, rows_before) = (SimDisk::default(), 3);
    let work = |disk: &SimDisk, row: &'static str, begins: bool, snapshot: bool| {
        let (mut sim, on) = (Sim::new(6), disk.clone());
        let platform = sim.platform();
        sim.run(async move {
            let store = sealed(on.store_of(1 << 16), &platform, Some(key(1))).await.unwrap();
            let page = Page::open(store.clone(), &platform).await.unwrap();
            let mut rows = 0;
            if begins {
                page.commit("CREATE TABLE t(v)").await.unwrap();
            }
            while if begins { rows < rows_before } else { segments(&on).last() == Some(&1) } {
                page.commit(row).await.unwrap();
                rows += 1;
            }
            if snapshot {
                page.snapshots.create(None, Reason::Manual).await.unwrap();
            }
            store.close().await.unwrap();
            rows
        })
    };
    work(&base, "INSERT INTO t VALUES (1)", true, false);
    let copy = base.copied();
    let rows = rows_before + work(&base, "INSERT INTO t VALUES (hex(randomblob(20000)))", false, true);
    // More commits than in the database's own, and other ones.
    let others = rows_before + work(&copy, "INSERT INTO t VALUES (1)", false, false);
    assert!(others > rows, "{others} commits, {rows} in the database");
    base.change("journal.1", |own| *own = bytes(&copy, "journal.1"));
    for change in CHANGES.map(Some).into_iter().skip(1).chain([None]) {
        let (mut sim, on) = (Sim::new(7), base.copied());
        let platform = sim.platform();
        let found = sim.run(async move {
            let store = connect(&on, &platform, Some(key(1))).await.unwrap();
            let page = Page::open(store.clone(), &platform).await.unwrap();
            assert_eq!(page.number("SELECT count(*) FROM t"), rows, "{change:?}");
            let points = page.snapshots.history(1000).await.unwrap().points;
            assert!(points.is_sorted_by(|point, next| point.lsn < next.lsn), "{change:?}: {points:?}");
            if let Some(change) = change {
                let _paused = page.snapshots.pause().await.unwrap();
                assert_eq!(change.make(&page.storage, &platform).await, Rekeyed::Done, "{change:?}");
            }
            page.commit("INSERT INTO t VALUES (1)").await.unwrap();
            store.close().await.unwrap();
            on
        });
        let secret = change.map_or(Some(key(1)), |change| change.secrets().1);
        assert_eq!(opened(&found, secret).unwrap().0, rows + 1, "{change:?}");
    }
}

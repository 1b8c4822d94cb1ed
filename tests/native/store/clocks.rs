//! Wall clocks that are set ahead and back: history, retention and the schedule keep working.

use tidelock::{
    Error, ErrorCode, Timestamp,
    error::Detail,
    ports::{Durability, sim::START},
    snapshot::{Reason, SnapshotOptions},
    sqlite::{Connection, Image, PageFile},
    store::{PointInTime, faulty::Crash},
};

use super::{
    bench::{Machine, insert, sum, with_table},
    folder::Chance,
    page::{Page, by_call_only},
};

const DAY: i64 = 86_400_000;

fn load(machine: &mut Machine, page: &Page, point: PointInTime) -> Result<Image, Error> {
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move { snapshots.load_at(point).await.and_then(|file| file.image()) })
}

fn sum_at(machine: &mut Machine, page: &Page, point: PointInTime) -> i64 {
    let image = load(machine, page, point).expect("can be restored");
    match Connection::open(&PageFile::new(image)).unwrap().value("SELECT coalesce(sum(v), 0) FROM t", &[]) {
        Ok(Some(tidelock::Value::Integer(sum))) => sum,
        other => panic!("{other:?}"),
    }
}

/// Commits a number a minute after the last commit; returns the time by the wall clock.
fn commit(machine: &mut Machine, page: &Page, value: i64) -> Timestamp {
    machine.sim.advance(60_000);
    insert(machine, page, value);
    machine.platform().clock.now()
}

/// Returns the lsns and times that an error lists.
fn candidates(error: &Error) -> Vec<(u64, String)> {
    assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
    let Some(Detail::List(list)) = error.details.get("candidates") else { panic!("{error:?}") };
    let candidate = |candidate: &Detail| match candidate {
        Detail::Object(details) => match (details.get("lsn"), details.get("at")) {
            (Some(Detail::Int(lsn)), Some(Detail::Text(at))) => (*lsn as u64, at.clone()),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    list.iter().map(candidate).collect()
}

#[test]
fn a_commit_while_the_clock_was_a_day_ahead_is_never_taken_for_later_ones() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    let before = commit(&mut machine, &page, 1);
    machine.sim.set_clock_ahead(DAY);
    let ahead = commit(&mut machine, &page, 10);
    machine.sim.set_clock_ahead(-DAY);
    let after = commit(&mut machine, &page, 100);
    let last = commit(&mut machine, &page, 1000);
    for reopened in [false, true] {
        let page = if reopened {
            machine.kill(Crash::Process);
            machine.open().unwrap()
        } else {
            page.clone()
        };
        assert_eq!(sum_at(&mut machine, &page, before.into()), 1);
        // Two states match the time of the third commit: the first one until the clock was set ahead, and its own.
        let error = load(&mut machine, &page, after.into()).unwrap_err();
        let found = candidates(&error);
        assert_eq!(found.iter().map(|(_, at)| at.clone()).collect::<Vec<_>>(), [after.to_string(), before.to_string()]);
        let sums: Vec<i64> = found
            .iter()
            .map(|(lsn, _)| sum_at(&mut machine, &page, PointInTime { at: after, lsn: Some(*lsn) }))
            .collect();
        assert_eq!(sums, [111, 1]);
        let other = PointInTime { at: after, lsn: Some(found[0].0 + 1) };
        assert_eq!(candidates(&load(&mut machine, &page, other).unwrap_err()), found);
        // The clock showed that time once only.
        assert_eq!(sum_at(&mut machine, &page, before.plus_ms(-1).into()), 0);
        assert_eq!(candidates(&load(&mut machine, &page, last.into()).unwrap_err()).len(), 2);
        // The clock may have shown this time before it was set back, and will show it again.
        let tomorrow = ahead.plus_ms(DAY);
        let found = candidates(&load(&mut machine, &page, tomorrow.into()).unwrap_err());
        let sums: Vec<i64> = found
            .iter()
            .map(|(lsn, _)| sum_at(&mut machine, &page, PointInTime { at: tomorrow, lsn: Some(*lsn) }))
            .collect();
        assert_eq!(sums, [1111, 11]);
    }
}

#[test]
fn a_time_noted_before_the_clock_was_set_back_is_never_taken_for_a_later_state() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    machine.sim.set_clock_ahead(DAY);
    commit(&mut machine, &page, 1);
    machine.sim.advance(600_000);
    let noted = machine.platform().clock.now();
    machine.sim.set_clock_ahead(-DAY);
    commit(&mut machine, &page, 10);
    let found = candidates(&load(&mut machine, &page, noted.into()).unwrap_err());
    let sums: Vec<i64> =
        found.iter().map(|(lsn, _)| sum_at(&mut machine, &page, PointInTime { at: noted, lsn: Some(*lsn) })).collect();
    assert_eq!(sums, [11, 1]);
    // Also once the clock has passed it again, and after a commit of a later time.
    machine.sim.advance(2 * DAY as u64);
    assert_eq!(candidates(&load(&mut machine, &page, noted.into()).unwrap_err()), found);
    let later = commit(&mut machine, &page, 100);
    assert_eq!(candidates(&load(&mut machine, &page, noted.into()).unwrap_err()), found);
    // What was stored later ends both.
    assert_eq!(sum_at(&mut machine, &page, later.into()), 111);
}

/// A user notes times, changes the clock, and commits: the state of each noted time is found, or is one of the candidates.
#[test]
fn a_noted_time_is_never_taken_for_another_state() {
    for seed in 0..40 {
        let mut chance = Chance(seed);
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        let (mut sum, mut notes, mut value) = (0, Vec::new(), 1);
        for _ in 0..12 {
            match chance.below(4) {
                0 => {
                    let by = [1000, 3_600_000, DAY][chance.below(3) as usize] + chance.below(90_000) as i64;
                    // Commits before and after: nothing else shows when the clock was set.
                    insert(&mut machine, &page, 0);
                    notes.push((machine.platform().clock.now(), sum));
                    machine.sim.set_clock_ahead(if chance.below(2) == 0 { by } else { -by });
                    insert(&mut machine, &page, 0);
                }
                1 => {
                    machine.sim.advance(chance.below(90_000));
                    notes.push((machine.platform().clock.now(), sum));
                }
                _ => {
                    machine.sim.advance(chance.below(90_000));
                    insert(&mut machine, &page, value);
                    sum += value;
                    value *= 2;
                }
            }
        }
        for (at, sum) in notes {
            let found = match load(&mut machine, &page, at.into()) {
                Ok(_) => vec![sum_at(&mut machine, &page, at.into())],
                Err(error) => candidates(&error)
                    .iter()
                    .map(|(lsn, _)| sum_at(&mut machine, &page, PointInTime { at, lsn: Some(*lsn) }))
                    .collect(),
            };
            assert!(found.contains(&sum), "seed {seed}, {at}: {found:?} instead of {sum}");
        }
    }
}

#[test]
fn a_commit_while_the_clock_was_a_day_behind_takes_no_time_from_others() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    let before = commit(&mut machine, &page, 1);
    machine.sim.set_clock_ahead(-DAY);
    let behind = commit(&mut machine, &page, 10);
    machine.sim.set_clock_ahead(DAY);
    let after = commit(&mut machine, &page, 100);
    assert_eq!(sum_at(&mut machine, &page, after.into()), 111);
    assert_eq!(sum_at(&mut machine, &page, behind.into()), 11);
    assert_eq!(sum_at(&mut machine, &page, behind.plus_ms(30_000).into()), 11);
    // It is unknown when the clock was set back.
    for at in [before, before.plus_ms(30_000), after.plus_ms(-1)] {
        assert_eq!(candidates(&load(&mut machine, &page, at.into()).unwrap_err()).len(), 2);
    }
}

#[test]
fn each_commit_within_a_millisecond_can_be_restored_by_its_lsn() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    let at = commit(&mut machine, &page, 1);
    machine.sim.set_clock_ahead(-60_000);
    commit(&mut machine, &page, 10);
    let before = machine.platform().clock.now();
    insert(&mut machine, &page, 100);
    assert_eq!((machine.platform().clock.now(), before), (at, at), "all three have one time");
    let snapshots = page.snapshots.clone();
    let points = machine.sim.run(async move { snapshots.history(3).await }).unwrap().points;
    assert_eq!(points.iter().map(|point| point.at).collect::<Vec<_>>(), [at; 3]);
    let sum_of = |lsn| sum_at(&mut machine, &page, PointInTime { at, lsn });
    let sums: Vec<i64> = points.iter().map(|point| Some(point.lsn)).chain([None]).map(sum_of).collect();
    assert_eq!(sums, [1, 11, 111, 111]);
}

#[test]
fn the_oldest_kept_snapshot_may_be_from_a_clock_that_was_ahead() {
    let mut machine = Machine::new();
    let (store, platform) = (machine.store(), machine.platform());
    let options = SnapshotOptions { keep: 1, log_max_bytes: Some(0), ..by_call_only() };
    let opening = async move { Page::open_with(store, &platform, Durability::Relaxed, options).await };
    let page = machine.sim.run(opening).unwrap();
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    machine.sim.set_clock_ahead(DAY);
    for value in [1, 10, 100] {
        commit(&mut machine, &page, value);
        let snapshots = page.snapshots.clone();
        machine.sim.run(async move { snapshots.create(None, Reason::Manual).await }).unwrap();
    }
    assert!(page.storage.truncated().lsn > 0);
    machine.sim.set_clock_ahead(-DAY);
    let after = commit(&mut machine, &page, 1000);
    commit(&mut machine, &page, 10_000);
    assert_eq!(sum_at(&mut machine, &page, after.into()), 1111);
    assert_eq!(sum(&page), 11_111);
    // Of a commit that was listed before it was deleted.
    let error = load(&mut machine, &page, PointInTime { at: after, lsn: Some(1) }).unwrap_err();
    assert_eq!(error.code, ErrorCode::SnapshotNotFound, "{error}");
}

#[test]
fn scheduled_snapshots_continue_when_the_clock_is_set() {
    // The last one is 1970.
    for ms in [-DAY, DAY, -30 * DAY, 30 * DAY, -START.0] {
        let mut machine = Machine::new();
        let (store, platform) = (machine.store(), machine.platform());
        let options = SnapshotOptions { interval_ms: 3_600_000, ..SnapshotOptions::default() };
        let opening = async move { Page::open_with(store, &platform, Durability::Relaxed, options).await };
        let page = machine.sim.run(opening).unwrap();
        machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
        machine.sim.advance(3_700_000);
        assert_eq!(page.snapshots.list().len(), 1);
        machine.sim.set_clock_ahead(ms);
        for round in 2..=3 {
            insert(&mut machine, &page, 1);
            machine.sim.advance(3_700_000);
            assert_eq!(page.snapshots.list().len(), round, "{ms}");
        }
    }
}

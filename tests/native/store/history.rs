//! Point-in-time restore: any time that `keep`, `logRetentionMs` and `logMaxBytes` allow.

use tidelock::{
    Error, ErrorCode, Timestamp,
    error::Detail,
    ports::{Durability, LogKey},
    snapshot::{Reason, SnapshotOptions},
    sqlite::{Connection, Image, PageFile},
    store::{
        PointInTime,
        faulty::{Crash, Faults},
    },
};

use super::{
    bench::{Machine, insert, sum, with_table},
    page::{Page, by_call_only},
};

fn open(machine: &mut Machine, options: SnapshotOptions) -> Page {
    let (store, platform) = (machine.store(), machine.platform());
    let opening = async move { Page::open_with(store, &platform, Durability::Relaxed, options).await };
    machine.sim.run(opening).expect("opens")
}

fn take(machine: &mut Machine, page: &Page, label: Option<&str>, reason: Reason) {
    let (snapshots, label) = (page.snapshots.clone(), label.map(str::to_owned));
    machine.sim.run(async move { snapshots.create(label, reason).await }).expect("taken");
}

fn load_at(machine: &mut Machine, page: &Page, at: Timestamp) -> Result<Image, Error> {
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move { snapshots.load_at(at.into()).await.and_then(|file| file.image()) })
}

fn sum_of(image: Image) -> i64 {
    let scratch = Connection::open(&PageFile::new(image)).expect("a database");
    assert_eq!(scratch.quick_check(), Ok(Vec::new()));
    match scratch.value("SELECT coalesce(sum(v), 0) FROM t", &[]) {
        Ok(Some(tidelock::Value::Integer(sum))) => sum,
        other => panic!("{other:?}"),
    }
}

/// Commits 1, 2, 4... a second apart; returns when each was stored.
fn commits(machine: &mut Machine, page: &Page, values: std::ops::Range<u32>) -> Vec<Timestamp> {
    let one = |value: u32| {
        machine.sim.advance(1000);
        insert(machine, page, 1 << value);
        machine.platform().clock.now()
    };
    values.map(one).collect()
}

fn oldest(error: &Error) -> Timestamp {
    assert_eq!(error.code, ErrorCode::SnapshotNotFound, "{error}");
    let Some(Detail::Text(text)) = error.details.get("oldest") else { panic!("{error:?}") };
    Timestamp::parse(text).expect("a moment")
}

#[test]
fn every_moment_can_be_restored_without_any_snapshot_and_across_them() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    let made = machine.platform().clock.now();
    let mut times = commits(&mut machine, &page, 0..5);
    take(&mut machine, &page, None, Reason::Manual);
    times.extend(commits(&mut machine, &page, 5..8));
    take(&mut machine, &page, Some("kept"), Reason::Manual);
    times.extend(commits(&mut machine, &page, 8..10));
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    for (index, at) in times.iter().enumerate() {
        let before = (1 << index) - 1;
        let states = [at.plus_ms(-1), *at, at.plus_ms(999)].map(|at| sum_of(load_at(&mut machine, &page, at).unwrap()));
        assert_eq!(states, [before, 2 * before + 1, 2 * before + 1]);
    }
    assert_eq!(sum_of(load_at(&mut machine, &page, times[9].plus_ms(1 << 40)).unwrap()), 1023);
    let error = load_at(&mut machine, &page, made.plus_ms(-1)).unwrap_err();
    assert_eq!(oldest(&error), made);
    assert_eq!(sum_of(load_at(&mut machine, &page, made).unwrap()), 0);
}

#[test]
fn a_broken_connection_is_restored_by_any_read_or_snapshot() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    let at = commits(&mut machine, &page, 0..3)[2];
    let broken = |machine: &Machine| machine.store.break_connection();
    broken(&machine);
    take(&mut machine, &page, None, Reason::Manual);
    broken(&machine);
    assert_eq!(sum_of(load_at(&mut machine, &page, at).unwrap()), 7);
    let id = page.snapshots.list()[0].id.clone();
    broken(&machine);
    let (snapshots, of) = (page.snapshots.clone(), id.clone());
    assert_eq!(sum_of(machine.sim.run(async move { snapshots.load(&of).await.unwrap().image() }).unwrap()), 7);
    broken(&machine);
    let snapshots = page.snapshots.clone();
    assert!(machine.sim.run(async move { snapshots.verify(&id).await }).unwrap().ok);
}

#[test]
fn many_commits_of_one_millisecond_are_not_later_than_it() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    for _ in 0..100 {
        insert(&mut machine, &page, 1);
    }
    let now = machine.platform().clock.now();
    assert_eq!(sum_of(load_at(&mut machine, &page, now).unwrap()), 100);
}

#[test]
fn moments_before_the_oldest_kept_snapshot_cannot_be_restored() {
    let mut machine = Machine::new();
    let page = open(&mut machine, SnapshotOptions { keep: 2, ..by_call_only() });
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    let mut times = Vec::new();
    for round in 0..5 {
        times.extend(commits(&mut machine, &page, round..round + 1));
        take(&mut machine, &page, (round == 1).then_some("kept"), Reason::Manual);
        take(&mut machine, &page, None, Reason::Safety);
    }
    // The snapshots of rounds 0, 2, 3 and 4 count; 3 and 4 are kept.
    for (round, at) in times.iter().enumerate().skip(3) {
        assert_eq!(sum_of(load_at(&mut machine, &page, *at).unwrap()), (2 << round) - 1);
    }
    for at in [times[0], times[1], times[2], times[3].plus_ms(-1)] {
        let error = load_at(&mut machine, &page, at).unwrap_err();
        assert_eq!(oldest(&error), times[3], "the labelled one and the safety ones are points only");
    }
}

#[test]
fn the_log_stays_through_compaction_until_it_is_too_long() {
    let mut machine = Machine::new();
    let page = open(&mut machine, SnapshotOptions { log_max_bytes: Some(20 << 20), ..by_call_only() });
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v); CREATE TABLE big(b)").unwrap();
    let mut times = Vec::new();
    for round in 0..30 {
        times.extend(commits(&mut machine, &page, round..round + 1));
        machine.commit(&page, "DELETE FROM big; INSERT INTO big VALUES (randomblob(1000000))").unwrap();
        if round == 14 {
            assert_eq!(page.storage.truncated().lsn, 0, "15 MB are within the limit, though the log was compacted");
            assert!(page.storage.manifests().len() >= 2);
            assert_eq!(sum_of(load_at(&mut machine, &page, times[0]).unwrap()), 1);
        }
    }
    machine.sim.advance(1000);
    let kept = page.storage.usage().log_bytes;
    assert!(kept <= 21 << 20, "{kept} bytes of log");
    assert!(load_at(&mut machine, &page, times[0]).is_err());
    let from = oldest(&load_at(&mut machine, &page, times[0]).unwrap_err());
    let first = times.iter().position(|at| *at >= from).unwrap();
    assert!(first > 5 && first < 29, "{first}");
    for (round, at) in times.iter().enumerate().skip(first) {
        assert_eq!(sum_of(load_at(&mut machine, &page, *at).unwrap()), (2 << round) - 1);
    }
}

#[test]
fn moments_older_than_the_retention_cannot_be_restored() {
    let mut machine = Machine::new();
    let page = open(&mut machine, SnapshotOptions { log_retention_ms: 2_500, ..by_call_only() });
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    let times = commits(&mut machine, &page, 0..5);
    assert_eq!(sum_of(load_at(&mut machine, &page, times[2]).unwrap()), 7);
    let error = load_at(&mut machine, &page, times[1]).unwrap_err();
    assert_eq!(oldest(&error), machine.platform().clock.now().plus_ms(-2_500));
}

/// Three commits before each of two snapshots, in a database with a table.
fn with_two_snapshots(machine: &mut Machine) -> (Page, Vec<Timestamp>) {
    let page = with_table(machine);
    let mut times = commits(machine, &page, 0..3);
    take(machine, &page, None, Reason::Manual);
    times.extend(commits(machine, &page, 3..6));
    take(machine, &page, None, Reason::Manual);
    (page, times)
}

#[test]
fn a_damaged_snapshot_is_skipped_and_a_damaged_log_is_reported() {
    let mut machine = Machine::new();
    let (page, mut times) = with_two_snapshots(&mut machine);
    times.extend(commits(&mut machine, &page, 6..8));
    machine.damage_generation(1);
    assert_eq!(sum_of(load_at(&mut machine, &page, times[4]).unwrap()), 31, "from the beginning of the log");
    let lsn = page.storage.manifests()[0].lsn;
    machine.damage(|contents| contents.log.insert((lsn + 2, 0), vec![]));
    assert_eq!(sum_of(load_at(&mut machine, &page, times[3]).unwrap()), 15);
    let error = load_at(&mut machine, &page, times[4]).unwrap_err();
    assert_eq!(error.code, ErrorCode::SnapshotCorrupt);
    assert_eq!(error.details.get("lastGoodAt"), Some(&times[3].to_string().into()));
    assert_eq!(sum_of(load_at(&mut machine, &page, times[7]).unwrap()), 255, "from the second snapshot");
    assert_eq!(sum(&page), 255);
}

#[test]
fn the_time_that_an_error_offers_can_be_restored_also_between_two_damaged_records() {
    let mut machine = Machine::new();
    let (page, times) = with_two_snapshots(&mut machine);
    let lsn = page.storage.manifests()[0].lsn;
    for damaged in [lsn + 1, lsn + 3] {
        machine.damage(|contents| contents.log.insert((damaged, 0), vec![]));
    }
    for at in [times[4], Timestamp(times[4].0 + 1)] {
        let error = load_at(&mut machine, &page, at).unwrap_err();
        assert_eq!(error.details.get("lastGoodAt"), Some(&times[2].to_string().into()), "{at}");
    }
    assert_eq!(sum_of(load_at(&mut machine, &page, times[2]).unwrap()), 7);
}

#[test]
fn the_history_has_no_states_behind_a_damaged_record() {
    let mut machine = Machine::new();
    let (page, times) = with_two_snapshots(&mut machine);
    let (sound, lsn) = (machine.contents(), page.storage.manifests()[0].lsn);
    let history = |machine: &mut Machine| {
        let snapshots = page.snapshots.clone();
        machine.sim.run(async move { snapshots.history(1000).await }).unwrap()
    };
    let whole = history(&mut machine);
    assert_eq!(whole.errors, Vec::<String>::new());
    for (damaged, lost) in (1..=lsn + 3).flat_map(|lsn| [(lsn, false), (lsn, true)]) {
        machine.damage(|contents| {
            *contents = sound.clone();
            let record = contents.log.insert((damaged, 0), vec![]).filter(|_| lost);
            record.inspect(|_| drop(contents.log.remove(&(damaged, 0))));
        });
        let case = format!("record {damaged}, {}", if lost { "missing" } else { "damaged" });
        let found = history(&mut machine);
        let listed: Vec<Timestamp> = found.points.iter().map(|point| point.at).collect();
        if damaged == lsn + 1 {
            let without = |at: &&Timestamp| !times[3..5].contains(at);
            let expected = whole.points.iter().map(|point| point.at);
            assert!(
                expected.clone().filter(|at| without(&at)).eq(listed.iter().copied()),
                "with the second snapshot's"
            );
        }
        assert!(found.points.len() < whole.points.len() || damaged <= 2, "{case}");
        assert!(!listed.is_empty(), "{case}");
        assert!(
            found.errors.len() == 1 && found.errors[0].contains("page log is damaged"),
            "{case}: {:?}",
            found.errors
        );
        for at in listed.into_iter().chain(found.oldest) {
            load_at(&mut machine, &page, at).unwrap_or_else(|error| panic!("{case}: {at}: {error}"));
        }
    }
}

#[test]
fn the_history_has_no_states_behind_a_commit_of_which_a_part_is_damaged() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    machine.commit(&page, "CREATE TABLE large AS SELECT randomblob(1300000) v").unwrap();
    insert(&mut machine, &page, 2);
    insert(&mut machine, &page, 4);
    let history = |machine: &mut Machine| {
        let snapshots = page.snapshots.clone();
        machine.sim.run(async move { snapshots.history(1000).await }).unwrap()
    };
    let (sound, whole) = (machine.contents(), history(&mut machine));
    let large: Vec<LogKey> = sound.log.keys().filter(|(lsn, _)| sound.log.contains_key(&(*lsn, 1))).copied().collect();
    assert!(large.len() > 2 && whole.errors.is_empty(), "{large:?}");
    let before = whole.points.iter().filter(|point| point.lsn < large[0].0).count();
    for damaged in large {
        for lost in [false, true] {
            machine.damage(|contents| {
                *contents = sound.clone();
                let record = contents.log.insert(damaged, vec![]).filter(|_| lost);
                record.inspect(|_| drop(contents.log.remove(&damaged)));
            });
            let found = history(&mut machine);
            assert_eq!(
                (found.points.len(), found.errors.len()),
                (before, 1),
                "{damaged:?}, {lost}: {:?}",
                found.errors
            );
        }
    }
}

#[test]
fn a_damaged_snapshot_does_not_shorten_history() {
    let mut machine = Machine::new();
    let (page, times) = with_two_snapshots(&mut machine);
    machine.damage_generation(1);
    assert_eq!(sum_of(load_at(&mut machine, &page, times[4]).unwrap()), 31);
    take(&mut machine, &page, None, Reason::Manual);
    assert_eq!(sum_of(load_at(&mut machine, &page, times[4]).unwrap()), 31, "two good ones are less than `keep`");
    assert_eq!(sum_of(load_at(&mut machine, &page, times[0]).unwrap()), 1);
}

#[test]
fn a_time_whose_only_snapshot_is_damaged_says_so() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    let mut times = Vec::new();
    for round in 0..4 {
        take(&mut machine, &page, None, Reason::Manual);
        times.extend(commits(&mut machine, &page, round..round + 1));
    }
    assert_eq!(page.storage.truncated().lsn, page.storage.manifests()[0].lsn);
    machine.damage_generation(2);
    let error = load_at(&mut machine, &page, times[0]).map(drop).unwrap_err();
    assert_eq!((error.code, error.details.get("snapshotId")), (ErrorCode::SnapshotCorrupt, Some(&"2".into())));
    assert_eq!(sum_of(load_at(&mut machine, &page, times[1]).unwrap()), 3, "from the third");
}

#[test]
fn a_truncation_whose_result_was_lost_never_shortens_history_silently() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    let mut times = commits(&mut machine, &page, 0..1);
    take(&mut machine, &page, None, Reason::Manual);
    times.extend(commits(&mut machine, &page, 1..4));
    take(&mut machine, &page, None, Reason::Manual);
    times.extend(commits(&mut machine, &page, 4..5));
    let newest = page.storage.manifests()[1].clone();
    let to = tidelock::format::Truncation { lsn: newest.lsn, logged: newest.logged };
    machine.faults(Faults { doubt: 1000, ..Faults::default() });
    let storage = page.storage.clone();
    assert!(machine.sim.run(async move { storage.remove(&[], &[], Some(to)).await }).is_err());
    machine.faults(Faults::default());
    assert_eq!(super::stored::head(&machine.contents()).truncated, to, "it was made all the same");
    assert_eq!(oldest(&load_at(&mut machine, &page, times[2]).unwrap_err()), times[3]);
    assert_eq!(sum_of(load_at(&mut machine, &page, times[3]).unwrap()), 15);
}

#[test]
fn snapshots_older_than_the_retention_are_deleted_but_never_the_last_good_one() {
    let mut machine = Machine::new();
    let day = 86_400_000;
    let options =
        SnapshotOptions { keep: 9, retention_days: Some(1.5), interval_ms: day, ..SnapshotOptions::default() };
    let page = open(&mut machine, options);
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    let ids = |page: &Page| page.snapshots.list().into_iter().map(|info| info.id).collect::<Vec<_>>();
    for label in [None, Some("kept"), None, None] {
        insert(&mut machine, &page, 1);
        take(&mut machine, &page, label, Reason::Manual);
    }
    assert_eq!(ids(&page), ["4", "3", "2", "1"]);
    machine.sim.advance(day + day / 4);
    assert_eq!(ids(&page), ["4", "3", "2", "1"]);
    // Without new commits, the schedule takes no snapshot, but still deletes expired ones.
    machine.sim.advance(day);
    assert_eq!(ids(&page), ["4", "2"]);
    machine.sim.advance(9 * day);
    assert_eq!(ids(&page), ["4", "2"], "the last good one stays");
}

#[test]
fn keep_counts_visible_snapshots() {
    let mut machine = Machine::new();
    let page = open(&mut machine, SnapshotOptions { keep: 1, ..by_call_only() });
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    for _ in 0..3 {
        insert(&mut machine, &page, 1);
        take(&mut machine, &page, None, Reason::Manual);
    }
    assert_eq!(page.snapshots.list().into_iter().map(|info| info.id).collect::<Vec<_>>(), ["3"]);
    machine.kill(Crash::Process);
    machine.damage_generation(3);
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), page.warnings.len()), (3, 1), "the one before still stands in for it");
}

#[test]
fn each_point_of_the_history_can_be_loaded_also_where_the_clock_was_set_back() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    commits(&mut machine, &page, 0..3);
    take(&mut machine, &page, Some("kept"), Reason::Manual);
    machine.sim.set_clock_ahead(-2_000);
    commits(&mut machine, &page, 3..6);
    let (snapshots, all) = (page.snapshots.clone(), 1000);
    let history = machine.sim.run(async move { snapshots.history(all).await }).unwrap();
    assert_eq!((history.omitted, history.snapshots.len()), (0, 1));
    let mut sums = Vec::new();
    // The first one is the state before the table was made, which has the same time.
    for point in &history.points[1..] {
        let (snapshots, wanted) = (page.snapshots.clone(), PointInTime { at: point.at, lsn: Some(point.lsn) });
        let file = machine.sim.run(async move { snapshots.load_at(wanted).await }).unwrap();
        assert_eq!(file.bytes(), point.bytes);
        sums.push(sum_of(file.image().unwrap()));
    }
    assert_eq!(sums, [0, 1, 3, 7, 15, 31, 63]);
    let oldest = history.points.iter().map(|point| point.at).min();
    assert_eq!(history.oldest, oldest);
    let snapshots = page.snapshots.clone();
    let newest = machine.sim.run(async move { snapshots.history(2).await }).unwrap();
    assert_eq!((newest.omitted, &newest.points[..]), (6, &history.points[6..]));
}

#[test]
fn the_history_has_no_states_before_the_retention() {
    let mut machine = Machine::new();
    let page = open(&mut machine, SnapshotOptions { log_retention_ms: 2_500, ..by_call_only() });
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    let times = commits(&mut machine, &page, 0..5);
    let snapshots = page.snapshots.clone();
    let history = machine.sim.run(async move { snapshots.history(1000).await }).unwrap();
    assert_eq!(history.points.iter().map(|point| point.at).collect::<Vec<_>>(), times[2..]);
    assert_eq!(history.oldest, Some(machine.platform().clock.now().plus_ms(-2_500)));
}

#[test]
fn what_was_stored_while_the_clock_was_back_stays_in_reach() {
    let mut machine = Machine::new();
    let page = open(&mut machine, SnapshotOptions { log_retention_ms: 60_000, ..by_call_only() });
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    commits(&mut machine, &page, 0..2);
    machine.sim.set_clock_ahead(-8 * 86_400_000);
    let back = commits(&mut machine, &page, 2..4);
    machine.sim.set_clock_ahead(8 * 86_400_000);
    let later = commits(&mut machine, &page, 4..6);
    let snapshots = page.snapshots.clone();
    let history = machine.sim.run(async move { snapshots.history(1000).await }).unwrap();
    let listed: Vec<_> = history.points.iter().map(|point| point.at).collect();
    assert_eq!(listed[listed.len() - 4..], [&back[..], &later[..]].concat());
    for (index, at) in back.into_iter().enumerate() {
        assert_eq!(sum_of(load_at(&mut machine, &page, at).unwrap()), (8 << index) - 1);
    }
}

#[test]
fn a_clock_that_is_ahead_for_a_while_expires_nothing() {
    let mut machine = Machine::new();
    let options = SnapshotOptions { log_retention_ms: 60_000, retention_days: Some(1.0), keep: 9, ..by_call_only() };
    let page = open(&mut machine, options);
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").unwrap();
    let times = commits(&mut machine, &page, 0..4);
    take(&mut machine, &page, None, Reason::Manual);
    machine.sim.set_clock_ahead(10 * 86_400_000);
    insert(&mut machine, &page, 1 << 4);
    take(&mut machine, &page, None, Reason::Manual);
    machine.sim.set_clock_ahead(-10 * 86_400_000);
    insert(&mut machine, &page, 1 << 5);
    take(&mut machine, &page, None, Reason::Manual);
    assert_eq!(page.snapshots.list().len(), 3);
    // The last one may have been there before the clock was set back, too.
    for (round, at) in times.into_iter().take(3).enumerate() {
        assert_eq!(sum_of(load_at(&mut machine, &page, at).unwrap()), (2 << round) - 1);
    }
}

//! Recovery from damage: the last intact state opens again, and the damaged part is quarantined.

use std::{cmp::Ordering, rc::Rc};

use tidelock::{
    Error, ErrorCode, Value,
    format::FORMAT,
    ports::Holder,
    sqlite::functions::{self, Arguments, CallPhase, FunctionDefinition, FunctionKind, Functions},
    store::{
        RecoveryReport, Storage,
        faulty::{Crash, Faults},
    },
};

use super::{
    bench::{Machine, insert, snapshot, sum, with_table},
    stored,
};

pub fn recover(machine: &mut Machine, from: Option<&str>) -> Result<RecoveryReport, Error> {
    let (store, platform, from) = (machine.store(), machine.platform(), from.map(str::to_owned));
    let secret = machine.secret.clone();
    machine.sim.run(async move {
        let store = Machine::connect(store, platform.clone(), secret).await?;
        Storage::recover(store, &platform, Holder::default(), from.as_deref()).await
    })
}

/// Commits 1 with a snapshot at lsn 4, then 10, 100, 1000 and 10000. The batch of 100 is damaged.
fn damaged() -> Machine {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    for value in [10, 100, 1000, 10_000] {
        insert(&mut machine, &page, value);
        machine.sim.advance(1000);
    }
    assert_eq!(page.storage.position().lsn, 8);
    machine.kill(Crash::Process);
    machine.damage(|contents| stored::flip(contents, 6));
    machine
}

#[test]
fn the_last_good_time_is_that_of_a_commit_and_not_of_the_opening_after_it() {
    let mut machine = Machine::new();
    let page = machine.open().unwrap();
    machine.commit(&page, "CREATE TABLE t(v)").unwrap();
    insert(&mut machine, &page, 1);
    let committed = page.storage.position().time.to_string();
    machine.kill(Crash::Process);
    machine.sim.advance(5000);
    let page = machine.open().unwrap();
    insert(&mut machine, &page, 2);
    let lsn = page.storage.position().lsn;
    insert(&mut machine, &page, 3);
    machine.kill(Crash::Process);
    machine.damage(|contents| stored::flip(contents, lsn));
    assert_eq!(machine.refused().details.get("lastGoodAt"), Some(&committed.clone().into()));
    assert_eq!(recover(&mut machine, None).unwrap().recovered_to.unwrap().to_string(), committed);
}

#[test]
fn the_last_good_state_opens_again_and_the_damaged_part_stays() {
    let mut machine = damaged();
    let error = machine.refused();
    assert_eq!(error.code, ErrorCode::DatabaseCorrupt);
    let mut aside = machine.contents().log;
    aside.retain(|(lsn, _), _| *lsn > 5);
    let report = recover(&mut machine, None).unwrap();
    assert_eq!((report.changed, report.lost_batches, report.snapshot_id.as_deref()), (true, 3, Some("1")));
    assert_eq!(Some(&report.recovered_to.unwrap().to_string().into()), error.details.get("lastGoodAt"));
    assert_eq!(report.quarantined.map(|aside| (aside.from, aside.to)), Some((6, 8)));
    assert_eq!(report.problems, Vec::<String>::new());
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), page.warnings.len()), (11, 0));
    page.assert_whole();
    // The database is used and snapshotted as usual, and the damaged part stays quarantined meanwhile.
    for value in [100_000, 200_000, 300_000, 400_000] {
        insert(&mut machine, &page, value);
        snapshot(&mut machine, &page).unwrap();
    }
    let contents = machine.contents();
    assert!(
        aside.len() == 3 && aside.iter().all(|(key, record)| contents.log.get(key) == Some(record)),
        "nothing of it was destroyed"
    );
    assert!(page.snapshots.list().iter().all(|info| info.reason.as_str() == "manual"), "users see no checkpoint");
    machine.kill(Crash::Process);
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), page.warnings.len()), (1_000_011, 0));
    // A week later it is deleted.
    machine.sim.advance(8 * 86_400_000);
    for _ in 0..4 {
        insert(&mut machine, &page, 0);
        snapshot(&mut machine, &page).unwrap();
    }
    machine.sim.advance(8 * 86_400_000);
    insert(&mut machine, &page, 0);
    snapshot(&mut machine, &page).unwrap();
    assert!(!machine.contents().log.contains_key(&(6, 0)));
}

#[test]
fn an_intact_database_is_not_changed() {
    let mut machine = Machine::new();
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    let before = format!("{:?}", machine.contents());
    let report = recover(&mut machine, None).unwrap();
    assert_eq!((report.changed, report.lost_batches, report.quarantined), (false, 0, None));
    assert!(format!("{:?}", machine.contents()) == before);
    insert(&mut machine, &page, 2);
    assert_eq!(sum(&page), 3, "its holder wasn't fenced out");
}

#[test]
fn a_snapshot_may_be_named() {
    let mut machine = damaged();
    for (id, code) in [("2", ErrorCode::SnapshotNotFound), ("x", ErrorCode::SnapshotNotFound)] {
        assert_eq!(recover(&mut machine, Some(id)).unwrap_err().code, code);
    }
    let report = recover(&mut machine, Some("1")).unwrap();
    assert_eq!((report.lost_batches, report.snapshot_id.as_deref()), (4, Some("1")));
    assert_eq!(report.quarantined.map(|aside| aside.from), Some(5));
    assert_eq!(sum(&machine.open().unwrap()), 1);
    // `from` applies to an intact database, too.
    assert_eq!(recover(&mut machine, Some("1")).unwrap().lost_batches, 4, "those that it leaves out again");
    assert_eq!(sum(&machine.open().unwrap()), 1);
    machine.damage_chunks();
    let before = format!("{:?}", machine.contents());
    assert_eq!(recover(&mut machine, Some("1")).unwrap_err().code, ErrorCode::SnapshotCorrupt);
    assert!(format!("{:?}", machine.contents()) == before);
}

#[test]
fn a_missing_head_is_rebuilt() {
    let mut machine = Machine::new();
    let fenced_out = with_table(&mut machine);
    let page = machine.open().unwrap();
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 10);
    let id = stored::head(&machine.contents()).database_id;
    machine.damage(|contents| (contents.head, contents.head_copy) = (None, None));
    assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt);
    let report = recover(&mut machine, None).unwrap();
    assert_eq!((report.changed, report.lost_batches, report.quarantined), (true, 0, None));
    let head = stored::head(&machine.contents());
    assert_ne!(head.database_id, id);
    assert_eq!((head.epoch, &head.epochs[..]), (3, &[1, 4, 7][..]));
    for old in [&page, &fenced_out] {
        let error = machine.commit(old, "INSERT INTO t(v) VALUES (100)").unwrap_err();
        assert_eq!(error.code, ErrorCode::LockLost, "earlier holders are fenced out");
    }
    assert_eq!(sum(&machine.open().unwrap()), 11);
}

#[test]
fn where_nothing_usable_is_left_nothing_is_changed() {
    let mut machine = damaged();
    machine.damage_chunks();
    // The log after the snapshot has the schema, too.
    machine.damage(|contents| [2, 5].map(|lsn| contents.log.insert((lsn, 0), vec![])));
    let before = format!("{:?}", machine.contents());
    assert_eq!(recover(&mut machine, None).unwrap_err().code, ErrorCode::DatabaseCorrupt);
    assert!(format!("{:?}", machine.contents()) == before);
    let mut machine = Machine::new();
    assert_eq!(recover(&mut machine, None).unwrap_err().code, ErrorCode::DatabaseCorrupt);
    assert!(machine.contents().head.is_none());
}

#[test]
fn a_page_may_die_anywhere_in_a_recovery() {
    let mut finished = false;
    for transactions in 0..6 {
        let mut machine = damaged();
        machine.faults(Faults { stall_after: Some(transactions), ..Faults::default() });
        let (store, platform) = (machine.store(), machine.platform());
        let done = machine.sim.run(async move {
            let clock = platform.clock.clone();
            let recover = Box::pin(Storage::recover(store, &platform, Holder::default(), None));
            matches!(
                futures_util::future::select(recover, clock.sleep(1000)).await,
                futures_util::future::Either::Left((Ok(_), _))
            )
        });
        machine.kill(Crash::Process);
        if !done && machine.recover().is_err() {
            let error = machine.refused();
            assert_eq!(error.details.get("lostBatches"), Some(&3.into()));
            assert_eq!(recover(&mut machine, None).unwrap().lost_batches, 3);
        }
        finished |= done;
        assert_eq!(sum(&machine.open().unwrap()), 11);
    }
    assert!(finished);
}

#[test]
fn a_page_may_die_anywhere_in_the_return_of_an_intact_database_to_a_snapshot() {
    let mut finished = false;
    for transactions in 0..6 {
        let mut machine = Machine::new();
        let page = with_table(&mut machine);
        insert(&mut machine, &page, 1);
        snapshot(&mut machine, &page).unwrap();
        insert(&mut machine, &page, 10);
        machine.kill(Crash::Process);
        machine.faults(Faults { stall_after: Some(transactions), ..Faults::default() });
        let (store, platform) = (machine.store(), machine.platform());
        let done = machine.sim.run(async move {
            let clock = platform.clock.clone();
            let recover = Box::pin(Storage::recover(store, &platform, Holder::default(), Some("1")));
            matches!(
                futures_util::future::select(recover, clock.sleep(1000)).await,
                futures_util::future::Either::Left((Ok(_), _))
            )
        });
        machine.kill(Crash::Process);
        let page = machine.open().expect("it was intact, and is");
        assert!(sum(&page) == 1 || !done && sum(&page) == 11);
        insert(&mut machine, &page, 100);
        machine.kill(Crash::Process);
        assert!(sum(&machine.open().unwrap()) > 100);
        finished |= done;
    }
    assert!(finished);
}

#[test]
fn a_recovery_leaves_a_newer_format_unchanged() {
    let mut machine = damaged();
    machine.damage(|contents| stored::change_head(contents, |head| head.format = FORMAT + 1));
    let before = format!("{:?}", machine.contents());
    assert_eq!(recover(&mut machine, None).unwrap_err().code, ErrorCode::SnapshotIncompatible);
    assert!(format!("{:?}", machine.contents()) == before);
}

/// A function that returns its argument, and a collation by bytes.
struct Same;

impl Functions for Same {
    fn call(&self, _: usize, _: CallPhase, _: u32, arguments: &Arguments<'_>) -> tidelock::Result<Value> {
        Ok(arguments.values().remove(0))
    }

    fn compare(&self, _: usize, one: &str, other: &str) -> tidelock::Result<Ordering> {
        Ok(one.cmp(other))
    }
}

#[test]
fn a_schema_that_needs_functions_is_checked_with_them_and_recovered_without() {
    let definition =
        |name: &str, kind| FunctionDefinition { name: name.to_owned(), kind, deterministic: true, direct_only: false };
    let give = |definitions| functions::add(definitions, Rc::new(Same)).unwrap();
    let all = || vec![definition("same", FunctionKind::Scalar), definition("own", FunctionKind::Collation)];
    for (script, needs) in [
        ("CREATE TABLE n(x, CHECK (same(x) = x)); INSERT INTO n VALUES (1)", "unknown function: same()"),
        ("CREATE TABLE n(x COLLATE own PRIMARY KEY); INSERT INTO n VALUES (1)", "no such collation sequence: own"),
    ] {
        for given in [true, false] {
            give(all());
            let mut machine = Machine::new();
            let page = with_table(&mut machine);
            machine.commit(&page, script).unwrap();
            insert(&mut machine, &page, 1);
            let last = page.storage.position().lsn;
            machine.kill(Crash::Process);
            machine.damage(|contents| stored::flip(contents, last));
            if !given {
                give(vec![]);
            }
            let report = recover(&mut machine, None).unwrap();
            assert_eq!((report.changed, report.lost_batches), (true, 1));
            let expected = format!("SQLite's quick_check can't run here: {needs}");
            assert_eq!(report.problems, if given { vec![] } else { vec![expected] });
            give(all());
            assert_eq!(sum(&machine.open().unwrap()), 0);
        }
    }
}

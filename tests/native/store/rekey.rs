//! Changes of the key: from plain to encrypted, to another secret, and back; and the state after a page died meanwhile.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    store::{
        Rekeyed,
        faulty::{Crash, Faults},
        sealed::Secret,
    },
};

use super::{
    bench::{Contested, Machine, ROWS, Read, insert, key, snapshot, vault},
    page::Page,
    sealed::{MARKER, contains, everything, marked},
    stored::head,
};
use crate::sample::Sample;

/// Returns the changes: plain to encrypted, to another secret, and back.
fn changes() -> [(Option<Secret>, Option<Secret>); 3] {
    [(None, Some(key(1))), (Some(key(1)), Some(Secret::Passphrase("words".into()))), (Some(key(1)), None)]
}

fn machine(secret: Option<Secret>) -> (Machine, Page) {
    let mut machine = Machine { secret, ..Machine::new() };
    let page = marked(&mut machine);
    machine.commit(&page, ROWS).unwrap();
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 7);
    (machine, page)
}

fn rekey(machine: &mut Machine, page: &Page, to: Option<Secret>) -> Rekeyed {
    let (storage, platform) = (page.storage.clone(), machine.platform());
    machine.sim.run(async move {
        let vault = to.map(|secret| vault(&platform, secret));
        storage.rekey(vault.as_ref()).await
    })
}

fn whole(machine: &mut Machine, page: &Page) {
    page.assert_whole();
    assert_eq!(page.warnings, []);
    assert_eq!(page.number("SELECT count(*) FROM t"), 2003);
    let snapshots = page.snapshots.clone();
    assert_eq!(snapshots.list().len(), 2);
    assert_eq!(snapshots.list()[1].label.as_deref(), Some(MARKER));
    let checked = machine.sim.run(async move {
        let mut checked = Vec::new();
        for info in snapshots.list() {
            checked.push(snapshots.verify(&info.id).await.unwrap());
        }
        checked
    });
    assert!(checked.iter().all(|verification| verification.ok), "{checked:?}");
}

#[test]
fn all_data_is_rekeyed_and_the_old_secret_no_longer_opens() {
    for (from, to) in changes() {
        let (mut machine, page) = machine(from.clone());
        let keys = machine.contents().log.len();
        assert_eq!(rekey(&mut machine, &page, to.clone()), Rekeyed::Done);
        assert_eq!(machine.contents().log.len(), keys, "the log is as long as it was: every moment stays");
        assert_eq!(contains(&everything(&machine.contents()), MARKER), to.is_none());
        whole(&mut machine, &page);
        // The page continues to work, and a later page finds its writes.
        insert(&mut machine, &page, 8);
        machine.commit(&page, "DELETE FROM t WHERE v = 8").unwrap();
        machine.kill(Crash::Process);
        machine.secret = from;
        let refused = machine.refused().code;
        let expected = if to.is_some() { ErrorCode::DecryptionFailed } else { ErrorCode::InvalidArgument };
        assert_eq!(refused, expected);
        machine.secret = to.clone();
        let page = machine.open().unwrap();
        whole(&mut machine, &page);
        let contents = machine.contents();
        assert_eq!(head(&contents).features.is_empty(), to.is_none());
        assert_eq!(contains(&everything(&contents), MARKER), to.is_none());
    }
}

#[test]
fn a_page_may_die_anywhere_and_the_old_or_the_new_secret_opens() {
    for (from, to) in changes() {
        let (mut before, mut after) = (0, 0);
        for transactions in (0..).step_by(Sample::every(2).step()) {
            let (mut machine, page) = machine(from.clone());
            machine.faults(Faults { stall_after: Some(transactions), delay_ms: 2, ..Faults::default() });
            let (storage, platform, to) = (page.storage.clone(), machine.platform(), to.clone());
            let secret = to.clone();
            let done = machine.sim.run(async move {
                let clock = platform.clock.clone();
                let vault = secret.map(|secret| vault(&platform, secret));
                let rekey = Box::pin(storage.rekey(vault.as_ref()));
                let done = futures_util::future::select(rekey, clock.sleep(10_000)).await;
                matches!(done, futures_util::future::Either::Left((Rekeyed::Done, _)))
            });
            machine.kill(Crash::Process);
            let changed = {
                machine.secret = to.clone();
                let new = machine.recover().is_ok();
                machine.kill(Crash::Process);
                machine.secret = from.clone();
                let old = machine.recover().is_ok();
                machine.kill(Crash::Process);
                assert!(new != old, "exactly one of them opens");
                new
            };
            machine.secret = if changed { to.clone() } else { from.clone() };
            let page = machine.open().unwrap();
            // Lets the sweep run.
            machine.sim.advance(10);
            whole(&mut machine, &page);
            let plain = machine.secret.is_none();
            assert_eq!(contains(&everything(&machine.contents()), MARKER), plain, "after {transactions}");
            if changed {
                after += 1
            } else {
                before += 1
            }
            if done {
                break;
            }
        }
        // A new secret for the same data key is one transaction, which a crash either completes or not.
        let one = from.is_some() && to.is_some();
        assert!((before > 0 || one) && after > 0, "{before} before, {after} after");
    }
}

#[test]
fn a_lost_result_is_checked_again_and_nothing_is_written_while_it_is_unknown() {
    let small = || {
        let mut machine = Machine::new();
        let page = super::bench::with_table(&mut machine);
        (machine, page)
    };
    // Without snapshots there is only the deciding transaction.
    let (mut machine, page) = small();
    machine.doubt_once();
    assert_eq!(rekey(&mut machine, &page, Some(key(1))), Rekeyed::Done);
    insert(&mut machine, &page, 1);
    assert!(contains(&everything(&machine.contents()), "encryption"));

    let (mut machine, page) = small();
    machine.faults(Faults { refuse: 1000, ..Faults::default() });
    assert!(matches!(rekey(&mut machine, &page, Some(key(1))), Rekeyed::Unchanged(_)));
    machine.faults(Faults::default());
    insert(&mut machine, &page, 1);
    machine.kill(Crash::Process);
    machine.open().unwrap();

    let (mut machine, page) = small();
    machine.faults(Faults { delay_ms: 1000, ..Faults::default() });
    let (store, platform) = (machine.store.clone(), machine.platform());
    let clock = platform.clock.clone();
    platform.spawner.spawn(Box::pin(async move {
        // Waits until the deciding transaction is in flight.
        let before = store.transactions();
        while store.transactions() == before {
            clock.sleep(1).await;
        }
        store.set(Faults { refuse_reads: 1000, doubt: 1000, ..Faults::default() });
    }));
    assert!(matches!(rekey(&mut machine, &page, Some(key(1))), Rekeyed::Unknown(_)));
}

#[test]
fn a_fenced_out_holder_changes_no_key() {
    let (mut machine, page) = machine(None);
    let holder = machine.open().unwrap();
    let Rekeyed::Unchanged(error) = rekey(&mut machine, &page, Some(key(1))) else { panic!("it may not") };
    assert_eq!(error.code, ErrorCode::LockLost);
    insert(&mut machine, &holder, 1);
    assert!(head(&machine.contents()).features.is_empty());
}

#[test]
fn a_holder_that_loses_its_lock_meanwhile_changes_no_key() {
    for (from, to) in [(None, Some(key(1))), (Some(key(1)), None)] {
        let (mut machine, _) = machine(from.clone());
        let (contested, platform) = (Rc::new(Contested::new(&machine, Read::Log)), machine.platform());
        let opened = contested.clone();
        let page = machine.sim.run(async move {
            let store = Machine::connect(opened, platform.clone(), from).await.unwrap();
            Page::open(store, &platform).await.unwrap()
        });
        let before = machine.contents();
        let holder = machine.open().unwrap();
        insert(&mut machine, &holder, 8);
        let then = machine.contents();
        machine.damage(|contents| *contents = before);
        // It reads the log when the chunks are copied, and has the head since the beginning.
        contested.then.replace(Some(then.clone()));
        let changed = rekey(&mut machine, &page, to);
        assert!(matches!(&changed, Rekeyed::Unknown(error) if error.code == ErrorCode::LockLost), "{changed:?}");
        assert!(contested.then.take().is_none(), "the log was read");
        assert!(machine.contents() == then);
    }
}

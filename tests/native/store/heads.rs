//! The head and its copy: damage of one of them costs nothing, is reported, and lets no fenced-out holder write.

use std::rc::Rc;

use tidelock::{
    ErrorCode,
    error::WarningCode,
    ports::{Holder, Store, sim::Sim},
    store::{
        Contents, MemoryStore, RecoveryReport, Rekeyed, Storage, faulty::Crash, moving::move_database,
        proxy::ProxyStore, sealed::Secret,
    },
};

use super::{
    bench::{Contested, Machine, Read, insert, key, snapshot, sum, vault, with_table},
    key_changes::CHANGES,
    page::Page,
    serving::Serving,
    stored::head,
};

/// A closed database with a snapshot, and commits before and after it: their sum is 3.
fn closed(secret: Option<Secret>) -> Machine {
    let mut machine = Machine { secret, ..Machine::new() };
    let page = with_table(&mut machine);
    insert(&mut machine, &page, 1);
    snapshot(&mut machine, &page).unwrap();
    insert(&mut machine, &page, 2);
    machine.kill(Crash::Process);
    machine
}

/// What can happen to a record: each of its bytes flips, it becomes shorter, unreadable, or missing.
fn damages(record: &[u8]) -> Vec<Option<Vec<u8>>> {
    let flipped = (0..record.len()).map(|at| {
        let mut flipped = record.to_vec();
        flipped[at] ^= 0x41;
        Some(flipped)
    });
    flipped.chain([Some(record[..record.len() / 2].to_vec()), Some(Vec::new()), None]).collect()
}

fn recovered(machine: &mut Machine) -> RecoveryReport {
    let (store, platform, secret) = (machine.store(), machine.platform(), machine.secret.clone());
    machine.sim.run(async move {
        let store = Machine::connect(store, platform.clone(), secret).await.unwrap();
        Storage::recover(store, &platform, Holder::default(), None).await.unwrap()
    })
}

fn codes(page: &Page) -> Vec<WarningCode> {
    page.warnings.iter().map(|warning| warning.code).collect()
}

#[test]
fn a_damaged_head_is_restored_from_its_copy_and_told_once() {
    for secret in [None, Some(key(1))] {
        let mut machine = closed(secret);
        let before = machine.contents();
        for (case, damaged) in damages(before.head.as_ref().unwrap()).into_iter().enumerate() {
            machine.damage(|contents| *contents = Contents { head: damaged.clone(), ..before.clone() });
            if case % 4 == 3 {
                let report = recovered(&mut machine);
                assert_eq!((report.changed, report.lost_batches, report.problems.len()), (true, 0, 1), "{report:?}");
                assert!(machine.contents() == before, "the same bytes as before");
                let page = machine.open().unwrap();
                assert_eq!((sum(&page), codes(&page)), (3, vec![]), "case {case}");
            } else {
                let page = machine.open().unwrap();
                assert_eq!((sum(&page), codes(&page)), (3, vec![WarningCode::StorageDamaged]), "case {case}");
                assert_eq!(page.snapshots.list().len(), 1);
            }
            machine.kill(Crash::Process);
            let after = machine.contents();
            assert!(after.head.is_some() && after.head == after.head_copy);
            let page = machine.open().unwrap();
            assert_eq!((sum(&page), codes(&page)), (3, vec![]), "case {case}");
            machine.kill(Crash::Process);
        }
    }
}

#[test]
fn an_older_head_is_replaced_by_its_copy() {
    for secret in [None, Some(key(1))] {
        for recovers in [false, true] {
            let mut machine = closed(secret.clone());
            let older = machine.contents().head;
            let page = machine.open().unwrap();
            insert(&mut machine, &page, 4);
            machine.kill(Crash::Process);
            machine.damage(|contents| contents.head.clone_from(&older));
            if recovers {
                let report = recovered(&mut machine);
                assert_eq!((report.changed, report.lost_batches, report.problems.len()), (true, 0, 1), "{report:?}");
            }
            let page = machine.open().unwrap();
            let told = if recovers { vec![] } else { vec![WarningCode::StorageDamaged] };
            assert_eq!((sum(&page), codes(&page)), (7, told));
            machine.kill(Crash::Process);
            let page = machine.open().unwrap();
            assert_eq!((sum(&page), codes(&page)), (7, vec![]));
        }
    }
}

#[test]
fn an_older_copy_of_the_head_is_not_taken() {
    for secret in [None, Some(key(1))] {
        let mut machine = closed(secret);
        let older = machine.contents().head_copy;
        let page = machine.open().unwrap();
        insert(&mut machine, &page, 4);
        machine.kill(Crash::Process);
        machine.damage(|contents| contents.head_copy.clone_from(&older));
        let page = machine.open().unwrap();
        assert_eq!((sum(&page), codes(&page)), (7, vec![]));
    }
}

#[test]
fn a_head_from_before_another_secret_is_replaced_by_its_copy() {
    let mut machine = closed(Some(key(1)));
    let older = machine.contents().head;
    let page = machine.open().unwrap();
    let vault = vault(&machine.platform(), key(2));
    let storage = page.storage.clone();
    assert_eq!(machine.sim.run(async move { storage.rekey(Some(&vault)).await }), Rekeyed::Done);
    machine.kill(Crash::Process);
    machine.damage(|contents| contents.head.clone_from(&older));
    machine.secret = Some(key(2));
    let page = machine.open().unwrap();
    assert_eq!((sum(&page), codes(&page)), (3, vec![WarningCode::StorageDamaged]));
}

#[test]
fn the_same_holds_behind_a_proxy() {
    for secret in [None, Some(key(1))] {
        let mut machine = closed(secret.clone());
        machine.damage(|contents| contents.head.as_mut().unwrap()[20] ^= 1);
        let (lower, platform) = (machine.store(), machine.platform());
        let connection = Serving::new(&platform, move || lower.clone());
        let page = machine.sim.run(async move {
            let store: Rc<dyn Store> = Rc::new(ProxyStore::open(connection).await.unwrap());
            let store = Machine::connect(store, platform.clone(), secret).await.unwrap();
            Page::open(store, &platform).await.unwrap()
        });
        assert_eq!((sum(&page), codes(&page)), (3, vec![WarningCode::StorageDamaged]));
    }
}

#[test]
fn a_damaged_copy_is_not_needed_and_is_written_again_by_the_next_holder() {
    for secret in [None, Some(key(1))] {
        let mut machine = closed(secret);
        let before = machine.contents();
        // Databases of earlier builds have none.
        for damaged in damages(before.head.as_ref().unwrap()).into_iter().rev().step_by(50) {
            machine.damage(|contents| *contents = Contents { head_copy: damaged, ..before.clone() });
            let page = machine.open().unwrap();
            assert_eq!((sum(&page), codes(&page)), (3, vec![]));
            let after = machine.contents();
            assert!(after.head.is_some() && after.head == after.head_copy);
            machine.kill(Crash::Process);
        }
    }
}

#[test]
fn without_both_a_plain_database_is_rebuilt_and_an_encrypted_one_refused() {
    for secret in [None, Some(key(1))] {
        let mut machine = closed(secret.clone());
        let id = if secret.is_none() { Some(head(&machine.contents()).database_id) } else { None };
        machine.damage(|contents| {
            contents.head.as_mut().unwrap()[9] ^= 1;
            contents.head_copy.as_mut().unwrap()[10] ^= 1;
        });
        assert_eq!(machine.refused().code, ErrorCode::DatabaseCorrupt);
        if let Some(id) = id {
            assert!(recovered(&mut machine).changed);
            assert_eq!(sum(&machine.open().unwrap()), 3);
            assert_ne!(head(&machine.contents()).database_id, id);
        }
    }
}

#[test]
fn the_fence_stays_what_it_was() {
    for secret in [None, Some(key(1))] {
        let mut machine = Machine { secret, ..Machine::new() };
        let fenced_out = with_table(&mut machine);
        let holder = machine.open().unwrap();
        insert(&mut machine, &holder, 1);
        for lost in [false, true] {
            machine.damage(|contents| match lost {
                true => contents.head = None,
                false => contents.head.as_mut().unwrap()[30] ^= 1,
            });
            let damaged = machine.contents();
            for page in [&fenced_out, &holder] {
                // The holder, too, since it can't know that no other one was there.
                let storage = page.storage.clone();
                let error = machine.sim.run(async move { storage.remove(&[9], &[], None).await }).unwrap_err();
                assert_eq!(error.code, ErrorCode::LockLost);
            }
            assert!(machine.commit(&fenced_out, "INSERT INTO t(v) VALUES (50)").is_err());
            assert!(machine.contents() == damaged, "nothing was written");
        }
        let next = machine.open().unwrap();
        assert_eq!((sum(&next), codes(&next)), (1, vec![WarningCode::StorageDamaged]));
        for page in [&fenced_out, &holder] {
            assert!(machine.commit(page, "INSERT INTO t(v) VALUES (50)").is_err());
            assert_eq!(snapshot(&mut machine, page).unwrap_err().code, ErrorCode::LockLost);
        }
        insert(&mut machine, &next, 1);
        assert_eq!(sum(&next), 2);
    }
}

#[test]
fn a_head_that_is_stored_meanwhile_is_not_replaced_by_an_older_copy() {
    for secret in [None, Some(key(1))] {
        let mut machine = closed(secret.clone());
        let before = machine.contents();
        let other = machine.open().unwrap();
        insert(&mut machine, &other, 4);
        let then = machine.contents();
        let platform = machine.platform();
        machine.damage(|contents| *contents = Contents { head: Some(Vec::new()), ..before });
        let contested = Rc::new(Contested::new(&machine, Read::HeadCopy));
        contested.then.replace(Some(then));
        let page = machine.sim.run(async move {
            let store = Machine::connect(contested, platform.clone(), secret).await.unwrap();
            Page::open(store, &platform).await.unwrap()
        });
        assert_eq!((sum(&page), codes(&page)), (7, vec![]));
        assert!(page.storage.epoch() > other.storage.epoch());
    }
}

#[test]
fn a_head_with_another_key_that_is_stored_meanwhile_is_not_replaced_by_an_older_copy() {
    let mut machine = closed(Some(key(1)));
    let before = machine.contents();
    let other = machine.open().unwrap();
    let (storage, platform) = (other.storage.clone(), machine.platform());
    let changed = machine.sim.run(async move { storage.rekey(Some(&vault(&platform, key(2)))).await });
    assert_eq!(changed, Rekeyed::Done);
    let then = machine.contents();
    machine.damage(|contents| *contents = Contents { head: Some(Vec::new()), ..before });
    let (contested, platform) = (Rc::new(Contested::new(&machine, Read::HeadCopy)), machine.platform());
    contested.then.replace(Some(then.clone()));
    let opened = machine.sim.run(async move { Machine::connect(contested, platform, Some(key(1))).await.map(drop) });
    assert_eq!(opened.unwrap_err().code, ErrorCode::DecryptionFailed);
    assert!(machine.contents() == then, "the head of the new key stays");
}

#[test]
fn the_copy_opens_with_the_newest_secret_only() {
    let mut machine = closed(Some(key(1)));
    let page = machine.open().unwrap();
    let (storage, platform) = (page.storage.clone(), machine.platform());
    let old = machine.contents();
    let rekeyed = machine.sim.run(async move {
        let changed = storage.rekey(Some(&vault(&platform, key(2)))).await;
        (changed, storage.begin_rotation().await)
    });
    assert_eq!(rekeyed, (Rekeyed::Done, Rekeyed::Done));
    machine.kill(Crash::Process);
    let before = machine.contents();
    assert!(before.head_copy == before.head && before.head != old.head);
    for damaged in damages(before.head.as_ref().unwrap()).into_iter().step_by(9) {
        machine.damage(|contents| *contents = Contents { head: damaged, ..before.clone() });
        machine.secret = Some(key(1));
        assert_eq!(machine.recover().map(drop).unwrap_err().code, ErrorCode::DecryptionFailed);
        machine.secret = Some(key(2));
        let page = machine.open().unwrap();
        assert_eq!((sum(&page), page.storage.is_rotating()), (3, true));
        machine.kill(Crash::Process);
    }
    // Made plain: no wrapped key is left.
    let page = machine.open().unwrap();
    let storage = page.storage.clone();
    assert_eq!(machine.sim.run(async move { storage.rekey(None).await }), Rekeyed::Done);
    let plain = machine.contents();
    assert!(plain.head_copy == plain.head && head(&plain).features.is_empty());
}

#[test]
fn a_head_from_before_a_change_of_the_key_in_the_same_session_is_replaced_by_its_copy() {
    for change in CHANGES {
        let (before, after) = change.secrets();
        let mut machine = closed(before);
        let page = machine.open().unwrap();
        let old = machine.contents().head;
        let (storage, platform) = (page.storage.clone(), machine.platform());
        let changed = machine.sim.run(async move { change.make(&storage, &platform).await });
        assert_eq!(changed, Rekeyed::Done);
        insert(&mut machine, &page, 4);
        machine.kill(Crash::Process);
        machine.damage(|contents| contents.head = old);
        machine.secret = after;
        let page = machine.open().unwrap();
        assert_eq!((sum(&page), codes(&page)), (7, vec![WarningCode::StorageDamaged]), "{change:?}");
        page.assert_whole();
        machine.kill(Crash::Process);
        let page = machine.open().unwrap();
        assert_eq!((sum(&page), codes(&page)), (7, vec![]), "{change:?}");
        machine.kill(Crash::Process);
    }
}

#[test]
fn a_database_with_a_damaged_head_can_be_moved() {
    for secret in [None, Some(key(1))] {
        let mut machine = closed(secret.clone());
        machine.damage(|contents| contents.head.as_mut().unwrap()[12] ^= 1);
        let (from, to) = (machine.store(), MemoryStore::new());
        let target = to.clone();
        Sim::new(1).run(async move { move_database(&*from, &target).await }).unwrap();
        let moved = to.contents().borrow().clone();
        assert_eq!(moved.head, moved.head_copy);
        let left = machine.contents();
        assert_eq!((left.head.clone(), head(&left).features), (left.head_copy.clone(), vec!["elsewhere".to_owned()]));
        machine.damage(|contents| *contents = moved);
        assert_eq!(sum(&machine.open().unwrap()), 3);
    }
}

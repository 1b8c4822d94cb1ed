//! Rotations of the data key in an open database: calls that run meanwhile, the death of its tab, and refusals.

use std::{cell::RefCell, future::ready, rc::Rc};

use futures_util::future::join3;
use tidelock::{
    ErrorCode, Result,
    engine::Database,
    format::Head,
    ports::{Estimate, LocalFuture, Platform, Store, Stores},
    snapshot::Reason,
    store::{
        faulty::{Faults, FaultyStore},
        sealed::{SealedStores, Vault},
    },
};

use crate::{
    engine::{numbers, run},
    memory::allow,
    store::bench::{key, vault},
    world::{Tab, World},
};

/// Returns the tab with encrypted storage.
fn sealed(mut tab: Tab) -> Tab {
    let vault = vault(&tab.ports.platform, key(1));
    tab.ports.stores = Rc::new(SealedStores { stores: tab.ports.stores.clone(), vault });
    tab
}

async fn rotate_key(database: &Database) -> Result<()> {
    database.begin_rotation().await?;
    database.end_rotation(database.copy_ahead().await).await
}

/// Fills a database with two snapshots, and a log after them.
async fn filled(database: &Database) {
    run(database, "CREATE TABLE t(a INTEGER PRIMARY KEY, b)").await.unwrap();
    for round in 0..2 {
        let rows = "WITH n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 1500)";
        let values = format!("SELECT i + {}, randomblob(1000) FROM n", 10_000 * round);
        run(database, &format!("INSERT INTO t {rows} {values}")).await.unwrap();
        database.snapshots().create(None, Reason::Manual).await.unwrap();
    }
}

/// Opens what [`filled`] made, for long enough to end a rotation.
fn used_for_a_second(world: &mut World) {
    world.run(|tab| async move {
        let clock = tab.ports.platform.clock.clone();
        let database = sealed(tab).open("{}").await.unwrap();
        clock.sleep(1000).await;
        assert_eq!(numbers(&database, "SELECT count(*) FROM t").await, [3000]);
        database.close().await.unwrap();
    });
}

fn features(world: &World) -> Vec<String> {
    let stores = world.stores.by_name.borrow();
    let contents = stores["shop"].contents().borrow();
    Head::decode(contents.head.as_deref().unwrap()).unwrap().features
}

#[test]
fn calls_run_during_a_rotation_and_two_at_once_are_one() {
    let mut world = World::new();
    world.run(|tab| async move {
        let tab = sealed(tab);
        let database = tab.open("{}").await.unwrap();
        filled(&database).await;
        let writes = async {
            for a in 20_000..20_020 {
                run(&database, &format!("INSERT INTO t VALUES ({a}, NULL)")).await.unwrap();
                database.snapshots().create(None, Reason::Manual).await.unwrap();
            }
        };
        let (first, second, ()) = join3(rotate_key(&database), rotate_key(&database), writes).await;
        assert_eq!((first, second), (Ok(()), Ok(())));
        for info in database.snapshots().list() {
            assert!(database.snapshots().verify(&info.id).await.unwrap().ok);
        }
        database.close().await.unwrap();
        let database = tab.open("{}").await.unwrap();
        assert_eq!(numbers(&database, "SELECT count(*) FROM t").await, [3020]);
        database.close().await.unwrap();
    });
    assert_eq!(features(&world), ["encryption"]);
}

#[test]
fn the_next_opening_continues_and_a_closed_database_does_not() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = sealed(tab).open("{}").await.unwrap();
        filled(&database).await;
        database.begin_rotation().await.unwrap();
        std::mem::forget(database);
    });
    world.kill();
    assert_eq!(features(&world), ["encryption", "rotation"]);
    world.run(|tab| async move {
        let database = sealed(tab).open("{}").await.unwrap();
        database.close().await.unwrap();
    });
    world.sim.advance(1000);
    assert_eq!(features(&world), ["encryption", "rotation"]);
    used_for_a_second(&mut world);
    assert_eq!(features(&world), ["encryption"]);
}

#[test]
fn a_worn_key_is_replaced_by_the_opening_after_its_count_was_stored() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = sealed(tab).open("{}").await.unwrap();
        filled(&database).await;
        database.wear_key();
        database.snapshots().create(None, Reason::Manual).await.unwrap();
        database.close().await.unwrap();
    });
    let chunks = |world: &World| {
        let contents = world.stores.by_name.borrow()["shop"].contents().borrow().clone();
        contents.chunks.keys().cloned().collect::<Vec<_>>()
    };
    let before = chunks(&world);
    used_for_a_second(&mut world);
    let rotated = chunks(&world);
    assert!(before.iter().all(|id| !rotated.contains(id)));
    // The next key is a new one.
    used_for_a_second(&mut world);
    assert_eq!(chunks(&world), rotated);
    assert_eq!(features(&world), ["encryption"]);
}

#[test]
fn only_stored_encrypted_data_has_a_key_to_rotate() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = tab.open("{}").await.unwrap();
        let error = rotate_key(&database).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::InvalidArgument);
        assert!(error.hint.as_deref().unwrap().contains("rekey"));
        database.close().await.unwrap();
        assert_eq!(rotate_key(&database).await.unwrap_err().code, ErrorCode::Closed);
        let database = tab.open(r#"{ "name": "other", "storage": "memory" }"#).await.unwrap();
        rotate_key(&database).await.unwrap();
        database.close().await.unwrap();
    });
}

#[test]
fn a_log_that_does_not_fit_into_memory_twice_is_refused_before_anything_changes() {
    for encrypted in [false, true] {
        let mut world = World::new();
        let before = |world: &World| world.stores.by_name.borrow()["shop"].contents().borrow().clone();
        let database = world.run(|tab| async move {
            let tab = if encrypted { sealed(tab) } else { tab };
            let database = tab.open("{}").await.unwrap();
            run(&database, "CREATE TABLE t(a)").await.unwrap();
            run(&database, "INSERT INTO t VALUES (zeroblob(3000000))").await.unwrap();
            database
        });
        let (stored, vault, refused) = (before(&world), vault(&world.sim.platform(), key(2)), database.clone());
        let error = world.sim.run(async move {
            allow(4_000_000);
            let refused = if encrypted { rotate_key(&refused).await } else { refused.rekey(Some(vault)).await };
            allow(usize::MAX);
            refused.unwrap_err()
        });
        assert_eq!(error.code, ErrorCode::OutOfMemory);
        assert!(before(&world) == stored);
        world.sim.run(async move {
            run(&database, "INSERT INTO t VALUES (1)").await.unwrap();
            database.close().await.unwrap();
        });
    }
}

/// One store, for each database.
struct OneStore(FaultyStore);

impl Stores for OneStore {
    fn open(&self, _: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        Box::pin(ready(Ok(Rc::new(self.0.clone()) as Rc<dyn Store>)))
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(ready(Estimate { usage: None, quota: None, persisted: false }))
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(ready(false))
    }
}

fn over(mut tab: Tab, store: &FaultyStore, vault: &dyn Fn(&Platform) -> Vault) -> Tab {
    let vault = vault(&tab.ports.platform);
    tab.ports.stores = Rc::new(SealedStores { stores: Rc::new(OneStore(store.clone())), vault });
    tab
}

/// Stores of which something happens once, as soon as one was opened.
struct Meanwhile(Rc<dyn Stores>, RefCell<Option<Box<dyn FnOnce()>>>);

impl Stores for Meanwhile {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let (opening, meanwhile) = (self.0.open(name), self.1.take());
        Box::pin(async move {
            let opened = opening.await;
            meanwhile.into_iter().for_each(|happen| happen());
            opened
        })
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        self.0.estimate()
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        self.0.persist()
    }
}

#[test]
fn a_holder_that_still_changes_the_keys_does_not_stop_the_next_one() {
    let mut world = World::new();
    world.run(|tab| async move {
        let database = sealed(tab).open("{}").await.unwrap();
        run(&database, "CREATE TABLE t(a)").await.unwrap();
        database.close().await.unwrap();
    });
    let store = world.stores.by_name.borrow()["shop"].clone();
    let before = store.contents().borrow().clone();
    world.run(|tab| async move {
        let database = sealed(tab).open("{}").await.unwrap();
        run(&database, "INSERT INTO t VALUES (7)").await.unwrap();
        rotate_key(&database).await.unwrap();
        database.close().await.unwrap();
    });
    let after = store.contents().replace(before);
    world.run(|tab| async move {
        let mut tab = sealed(tab);
        let rotated = Box::new(move || _ = store.contents().replace(after));
        tab.ports.stores = Rc::new(Meanwhile(tab.ports.stores.clone(), RefCell::new(Some(rotated))));
        let database = tab.open("{}").await.unwrap();
        assert_eq!(numbers(&database, "SELECT a FROM t").await, [7]);
        database.close().await.unwrap();
    });
}

#[test]
fn without_space_for_the_copies_the_key_stays_and_the_space_is_free_again() {
    let mut world = World::new();
    let store = FaultyStore::new(&world.sim.platform());
    let disk = store.clone();
    world.run(|tab| async move {
        let database = over(tab, &disk, &|platform| vault(platform, key(1))).open("{}").await.unwrap();
        filled(&database).await;
        let size = |store: &FaultyStore| store.disk().contents().borrow().chunks.values().map(Vec::len).sum::<usize>();
        let before = size(&disk);
        let log: usize = disk.disk().contents().borrow().log.values().map(Vec::len).sum();
        disk.set(Faults { capacity: Some(log + before + before / 2), ..Faults::default() });
        let error = rotate_key(&database).await.unwrap_err();
        assert_eq!(error.code, ErrorCode::StorageQuotaExceeded);
        let head = disk.disk().contents().borrow().head.clone();
        assert_eq!(Head::decode(&head.unwrap()).unwrap().features, ["encryption"]);
        assert_eq!(size(&disk), before);
        run(&database, "INSERT INTO t VALUES (-1, randomblob(100000))").await.unwrap();
        database.close().await.unwrap();
    });
}

#[test]
fn the_loss_of_the_lock_ends_a_rotation() {
    let mut world = World::new();
    let first = world.run(|tab| async move {
        let database = sealed(tab).open("{}").await.unwrap();
        filled(&database).await;
        database.begin_rotation().await.unwrap();
        database
    });
    world.run(|tab| async move {
        let tab = sealed(tab);
        let second = tab.open(r#"{ "onBusy": "steal" }"#).await.unwrap();
        let copied = first.copy_ahead().await;
        assert_eq!(first.end_rotation(copied).await.unwrap_err().code, ErrorCode::LockLost);
        tab.ports.platform.clock.sleep(1000).await;
        assert_eq!(numbers(&second, "SELECT count(*) FROM t").await, [3000]);
        second.close().await.unwrap();
    });
    assert_eq!(features(&world), ["encryption"]);
}

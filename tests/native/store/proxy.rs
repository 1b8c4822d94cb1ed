//! A store that runs elsewhere: over memory and over a folder, with deaths of what serves it.

use std::{cell::Cell, rc::Rc};

use tidelock::{
    Error, ErrorCode, Result,
    ports::{
        ChunkId, Durability, Guard, HeadInfo, Key, LocalFuture, Platform, Store, StoreConnection, Transaction, Write,
        sim::Sim,
    },
    store::{
        MemoryStore,
        conformance::{CASES, Handles},
        faulty::{Crash, FaultyStore},
        folder::{Disk, FolderStore},
        proxy::ProxyStore,
        sealed::SealedStore,
    },
};

use super::{
    bench::{Machine, key, vault},
    page::Page,
    serving::Serving,
};

async fn proxied(connection: &Rc<Serving>) -> Rc<dyn Store> {
    Rc::new(ProxyStore::open(connection.clone()).await.expect("opens"))
}

#[test]
fn a_served_memory_conforms() {
    for (name, case) in CASES {
        println!("{name}");
        let (mut sim, store) = (Sim::new(1), MemoryStore::new());
        let connection = Serving::new(&sim.platform(), move || Rc::new(store.clone()));
        sim.run(async move { case(Handles { a: proxied(&connection).await, b: proxied(&connection).await }).await });
    }
}

#[test]
fn a_served_folder_conforms() {
    for (number, (name, case)) in CASES.iter().enumerate() {
        println!("{name}");
        let folder = std::env::temp_dir().join(format!("tidelock-{}-served-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let (mut sim, opened) = (Sim::new(1), folder.clone());
        let serve = move |platform: &Platform| {
            let folder = opened.clone();
            Serving::new(platform, move || Rc::new(FolderStore::new(Rc::new(Disk::new(&folder)))))
        };
        let (a, b) = (serve(&sim.platform()), serve(&sim.platform()));
        sim.run(async move { case(Handles { a: proxied(&a).await, b: proxied(&b).await }).await });
        let _ = std::fs::remove_dir_all(&folder);
    }
}

#[test]
fn an_encrypted_store_over_a_served_one_conforms() {
    for (name, case) in CASES {
        println!("{name}");
        let (mut sim, store) = (Sim::new(1), MemoryStore::new());
        let vault = vault(&sim.platform(), key(1));
        let connection = Serving::new(&sim.platform(), move || Rc::new(store.clone()));
        sim.run(async move {
            let store = SealedStore::open(proxied(&connection).await, &vault).await.unwrap();
            case(Handles { a: Rc::new(store.clone()), b: Rc::new(store) }).await;
        });
    }
}

/// A database whose store is served, and that connection.
fn opened(machine: &mut Machine) -> (Page, Rc<Serving>) {
    let (platform, disk) = (machine.platform(), machine.store.clone());
    let connection = Serving::new(&platform, move || Rc::new(disk.clone()));
    let disk = machine.store.clone();
    *connection.on_death.borrow_mut() = Box::new(move || disk.end_in_flight());
    let served = connection.clone();
    let page = machine.sim.run(async move {
        let page = Page::open(proxied(&served).await, &platform).await.expect("opens");
        page.commit("CREATE TABLE t(id INTEGER PRIMARY KEY, v)").await.expect("stored");
        page
    });
    (page, connection)
}

#[test]
fn a_database_goes_on_when_what_serves_its_store_dies() {
    let mut machine = Machine::new();
    let (page, connection) = opened(&mut machine);
    for number in 0..20 {
        connection.deadly.set(if number % 3 == 0 { 1000 } else { 0 });
        // Its result is unknown at first; what a retry finds out makes it whole.
        let failed = machine.commit(&page, &format!("INSERT INTO t(v) VALUES ({number})")).err();
        assert!(failed.is_none_or(|error| error.is(ErrorCode::StorageUnavailable)), "a typed error");
        connection.deadly.set(0);
        let flusher = page.flusher.clone();
        machine.sim.run(async move { flusher.flush().await }).expect("another server stores it");
    }
    assert_eq!(connection.deaths.get(), 7);
    drop(page);
    let again = machine.open().expect("opens");
    assert_eq!(again.number("SELECT count(*) FROM t"), 20);
}

#[test]
fn closing_makes_what_a_dead_server_wrote_survive_a_power_cut() {
    let mut machine = Machine { store: FaultyStore::new_powerless(&Machine::new().platform()), ..Machine::new() };
    let (page, connection) = opened(&mut machine);
    for number in 0..30 {
        machine.commit(&page, &format!("INSERT INTO t(v) VALUES ({number})")).expect("stored");
    }
    connection.die();
    let storage = page.storage.clone();
    machine.sim.run(async move { storage.close().await }).expect("another server syncs it");
    assert!(!connection.is_running());
    machine.kill(Crash::Power);
    let again = machine.open().expect("opens");
    assert_eq!(again.number("SELECT count(*) FROM t"), 30);
}

#[test]
fn a_holder_without_its_lock_starts_no_server() {
    let mut machine = Machine::new();
    let (page, connection) = opened(&mut machine);
    page.storage.yield_to_holder();
    assert!(!connection.is_running());
    let storage = page.storage.clone();
    let found = machine.sim.run(async move { (storage.revive().await, storage.close().await) });
    assert_eq!(found.0.expect_err("must fail").code, ErrorCode::StorageUnavailable);
    found.1.expect("there is nothing to close");
    assert!(!connection.is_running());
}

#[test]
fn a_damaged_reply_is_an_error_and_ends_the_connection() {
    let mut machine = Machine::new();
    let (page, connection) = opened(&mut machine);
    let whole: Rc<Cell<usize>> = Rc::default();
    for cut in 0.. {
        let (platform, disk, seen) = (machine.platform(), machine.store.clone(), whole.clone());
        let other = Serving::new(&platform, move || Rc::new(disk.clone()));
        let found = machine.sim.run(async move {
            let store = proxied(&other).await;
            *other.damage.borrow_mut() = Box::new(move |reply| {
                seen.set(reply.len());
                reply.truncate(cut);
            });
            let failed = store.log((0, u32::MAX), usize::MAX).await.err();
            assert!(failed.is_none() == other.is_running());
            failed
        });
        match found {
            Some(error) => assert_eq!(error.code, ErrorCode::StorageUnavailable),
            None => break,
        }
    }
    assert!(whole.get() > 100);
    drop((page, connection));
}

/// Returns bytes that only look like requests and replies.
fn noise(platform: &Platform) -> Vec<u8> {
    let mut bytes = vec![0; 64];
    platform.entropy.fill(&mut bytes);
    let length = usize::from(bytes[0]) % 60;
    // Small numbers are tags, flags and lengths.
    bytes.iter_mut().enumerate().for_each(|(at, byte)| *byte = if at % 4 == 0 { *byte % 6 } else { 0 });
    bytes.truncate(length);
    bytes
}

#[test]
fn no_bytes_make_a_server_or_a_proxy_panic() {
    let mut sim = Sim::new(1);
    let platform = sim.platform();
    let store = MemoryStore::new();
    let connection = Serving::new(&platform, move || Rc::new(store.clone()));
    sim.run(async move {
        for _ in 0..20_000 {
            let store = proxied(&connection).await;
            let reply = noise(&platform);
            *connection.damage.borrow_mut() = Box::new(move |bytes| *bytes = reply.clone());
            let _ = store.get(Vec::new()).await;
            let _ = connection.ask(&noise(&platform)).await;
        }
    });
}

#[test]
fn errors_come_whole() {
    let details = || {
        Error::new(ErrorCode::StorageQuotaExceeded, "The disk ☂ is full")
            .hint("Delete something")
            .cause("ENOSPC")
            .detail("bytes", -7_i64)
            .detail("names", vec!["a".into(), true.into()])
    };
    struct Failing(fn() -> Error);
    impl Store for Failing {
        fn write(&self, _: Transaction) -> LocalFuture<'static, Result<()>> {
            let error = (self.0)();
            Box::pin(async move { Err(error) })
        }
        fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
            Box::pin(async { Ok(None) })
        }
        fn get(&self, _: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn log(&self, _: (u64, u32), _: usize) -> LocalFuture<'_, Result<Vec<((u64, u32), Vec<u8>)>>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn reopen(&self) -> LocalFuture<'_, Result<()>> {
            Box::pin(async { Ok(()) })
        }
    }
    let mut sim = Sim::new(1);
    let connection = Serving::new(&sim.platform(), move || Rc::new(Failing(details)));
    let (guard, durability) = (Guard::Head(Some(vec![1])), Durability::Strict);
    let writes = vec![Write::PutHead(vec![2], HeadInfo::default())];
    let transaction = Transaction { guard, require: vec![ChunkId::default()], writes, durability };
    let found = sim.run(async move { proxied(&connection).await.write(transaction).await });
    assert_eq!(found, Err(details()));
}

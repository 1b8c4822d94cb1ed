//! A machine for tests: a faulty disk, virtual time, and pages that open a database on it.

use std::{cell::RefCell, rc::Rc};

use tidelock::{
    Error, Result,
    ports::{ChunkId, Holder, Key, LocalFuture, LogKey, Platform, Store, StoredRecord, Transaction, sim::Sim},
    snapshot::{Reason, SnapshotInfo},
    store::{
        Contents, Opened, Storage,
        faulty::{Crash, Faults, FaultyStore},
        sealed::{SealedStore, Secret, SoftCipher, SoftCrypto, Vault},
    },
};

use super::{page::Page, stored};

pub struct Machine {
    pub sim: Sim,
    pub store: FaultyStore,
    /// The secret that its databases are encrypted with.
    pub secret: Option<Secret>,
}

impl Machine {
    pub fn new() -> Self {
        let sim = Sim::new(7);
        let store = FaultyStore::new(&sim.platform());
        Self { sim, store, secret: None }
    }

    /// Creates a machine whose databases are encrypted.
    pub fn encrypted() -> Self {
        Self { secret: Some(key(1)), ..Self::new() }
    }

    pub fn platform(&self) -> Platform {
        self.sim.platform()
    }

    pub fn store(&self) -> Rc<dyn Store> {
        Rc::new(self.store.clone())
    }

    /// Returns the store that a database uses, encrypted if there is a secret.
    pub async fn connect(store: Rc<dyn Store>, platform: Platform, secret: Option<Secret>) -> Result<Rc<dyn Store>> {
        let Some(secret) = secret else { return Ok(store) };
        let sealed = SealedStore::open(store, &vault(&platform, secret)).await?;
        Ok(Rc::new(sealed))
    }

    /// Opens a page. An earlier one isn't closed: it is fenced out, as by a stolen lock.
    pub fn open(&mut self) -> Result<Page> {
        let (store, platform, secret) = (self.store(), self.platform(), self.secret.clone());
        self.sim.run(async move {
            let store = Self::connect(store, platform.clone(), secret).await?;
            Page::open(store, &platform).await
        })
    }

    /// Opens only the storage.
    pub fn recover(&mut self) -> Result<Opened> {
        let (store, platform, secret) = (self.store(), self.platform(), self.secret.clone());
        self.sim.run(async move {
            let store = Self::connect(store, platform.clone(), secret).await?;
            Storage::open(store, &platform, Holder::default()).await
        })
    }

    /// Returns the error of an open that must fail; checks that it wrote nothing.
    pub fn refused(&mut self) -> Error {
        let before = self.contents();
        let error = self.recover().err().expect("opening must fail");
        assert!(self.contents() == before, "a refused opening writes nothing");
        error
    }

    pub fn commit(&mut self, page: &Page, script: &str) -> Result<()> {
        let (page, script) = (page.clone(), script.to_owned());
        self.sim.run(async move { page.commit(&script).await })
    }

    /// Kills the page with its background work.
    pub fn kill(&mut self, crash: Crash) {
        self.sim.kill();
        self.store.crash(crash);
    }

    pub fn faults(&self, faults: Faults) {
        self.store.set(faults);
    }

    /// Loses the result of the next transaction, but not of the one after it.
    pub fn doubt_once(&self) {
        self.faults(Faults { delay_ms: 1000, doubt: 1000, ..Faults::default() });
        let (store, platform) = (self.store.clone(), self.platform());
        let (before, clock) = (store.transactions(), platform.clock.clone());
        platform.spawner.spawn(Box::pin(async move {
            while store.transactions() < before + 2 {
                clock.sleep(1).await;
            }
            store.set(Faults::default());
        }));
    }

    /// Returns a copy of the stored content.
    pub fn contents(&self) -> Contents {
        self.store.disk().contents().borrow().clone()
    }

    /// Changes the stored content directly.
    pub fn damage<T>(&self, change: impl FnOnce(&mut Contents) -> T) -> T {
        self.store.damage(change)
    }

    /// Flips a byte in every chunk.
    pub fn damage_chunks(&self) {
        self.damage(|contents| {
            let ids: Vec<_> = contents.chunks.keys().cloned().collect();
            for id in ids {
                *contents.chunks.get_mut(&id).expect("stored").last_mut().expect("not empty") ^= 1;
            }
        });
    }

    /// Flips a byte in each chunk that only this generation has.
    pub fn damage_generation(&self, generation: u64) {
        self.damage(|contents| {
            let others = stored::manifests(contents).into_iter().filter(|manifest| manifest.generation != generation);
            let shared: Vec<_> =
                others.flat_map(|m| m.stored_chunks().into_iter().map(|chunk| chunk.id).collect::<Vec<_>>()).collect();
            let manifest = stored::manifest(contents, generation);
            let own: Vec<_> =
                manifest.stored_chunks().into_iter().filter(|chunk| !shared.contains(&chunk.id)).collect();
            assert!(!own.is_empty(), "generation {generation} has a chunk of its own");
            for chunk in own {
                *contents.chunks.get_mut(&chunk.id).expect("stored").last_mut().expect("not empty") ^= 1;
            }
        });
    }
}

/// What is read when another holder writes.
#[derive(PartialEq)]
pub enum Read {
    HeadCopy,
    Log,
}

/// A store in which another holder writes just before something is read.
pub struct Contested {
    store: FaultyStore,
    read: Read,
    /// What is stored once the other holder wrote.
    pub then: RefCell<Option<Contents>>,
}

impl Contested {
    pub fn new(machine: &Machine, read: Read) -> Self {
        Self { store: machine.store.clone(), read, then: RefCell::default() }
    }

    fn before(&self, read: &Read) {
        if self.read == *read
            && let Some(then) = self.then.take()
        {
            self.store.damage(|contents| *contents = then);
            self.store.set(Faults::default());
        }
    }
}

impl Store for Contested {
    fn head_copy(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        let copy = self.store.disk().contents().borrow().head_copy.clone();
        // When it is awaited: the head, which is read beside it, is the one from before.
        Box::pin(async {
            self.before(&Read::HeadCopy);
            Ok(copy)
        })
    }

    fn write(&self, transaction: Transaction) -> LocalFuture<'static, Result<()>> {
        self.store.write(transaction)
    }

    fn head(&self) -> LocalFuture<'_, Result<Option<Vec<u8>>>> {
        self.store.head()
    }

    fn get(&self, keys: Vec<Key>) -> LocalFuture<'_, Result<Vec<Option<Vec<u8>>>>> {
        self.store.get(keys)
    }

    fn log(&self, after: LogKey, max_bytes: usize) -> LocalFuture<'_, Result<Vec<StoredRecord>>> {
        self.before(&Read::Log);
        self.store.log(after, max_bytes)
    }

    fn generations(&self) -> LocalFuture<'_, Result<Vec<u64>>> {
        self.store.generations()
    }

    fn chunk_ids(&self) -> LocalFuture<'_, Result<Vec<ChunkId>>> {
        self.store.chunk_ids()
    }

    fn reopen(&self) -> LocalFuture<'_, Result<()>> {
        self.store.reopen()
    }
}

/// Returns a user's own key; the byte distinguishes several.
pub fn key(byte: u8) -> Secret {
    Secret::Key(Rc::new(SoftCipher::new(&[byte; 32])))
}

pub fn vault(platform: &Platform, secret: Secret) -> Vault {
    Vault { secret, crypto: Rc::new(SoftCrypto), entropy: platform.entropy.clone() }
}

/// Two thousand rows with a kilobyte of random bytes each.
pub const ROWS: &str = "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)
    INSERT INTO t(v) SELECT randomblob(1000) FROM n;";

/// Returns a page with an empty table.
pub fn with_table(machine: &mut Machine) -> Page {
    let page = machine.open().expect("opens");
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, v)").expect("stored");
    page
}

pub fn insert(machine: &mut Machine, page: &Page, value: i64) {
    machine.commit(page, &format!("INSERT INTO t(v) VALUES ({value})")).expect("stored");
}

pub fn snapshot(machine: &mut Machine, page: &Page) -> Result<SnapshotInfo> {
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move { snapshots.create(None, Reason::Manual).await })
}

pub fn sum(page: &Page) -> i64 {
    page.number("SELECT coalesce(sum(v), 0) FROM t")
}

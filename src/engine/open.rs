//! Opens and closes databases.

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use futures_util::future::join;

use super::{
    Callbacks, Database, Event,
    connection::{fts5, mutex::closed},
    database::{Events, Inner, OpenTransaction, SyncTrigger},
    drivers::scheduler,
    event::{CloseReason, EngineCloseEvent, FlushEvent},
    lock,
    migrations::driver::Migrations,
    operations::continue_rotation,
    options::{Mode, OpenOptions, StorageKind},
    storage::{
        flush::{FlushPolicy, Flusher},
        snapshots::Snapshots,
    },
    sync::driver::Sync,
};
use crate::{
    error::{Error, ErrorCode, Result},
    health::QueryStats,
    live,
    lock::check_name,
    migrate,
    ports::{Part, Ports, Store},
    sqlite::Connection,
    store::{self, Opened, Storage},
    sync::{
        config::{
            checked::Config,
            options::{ConflictPolicy, RemoteOptions},
        },
        state::tables,
    },
};

/// The limit in bytes of a database that is in memory, unless the option sets it.
pub(super) const MOST_IN_MEMORY: u64 = 1024 * 1024 * 1024;

/// How many more times a database is opened whose former holder changes it meanwhile.
const AGAIN: u32 = 3;

impl Database {
    /// Opens a database: [`acquire`](Self::acquire), with a remote [`connect`](Self::connect), then
    /// [`start`](Self::start).
    pub async fn open(options: OpenOptions, ports: Ports, callbacks: Rc<dyn Callbacks>) -> Result<Database> {
        let remote = options.remote.clone();
        if options.mode == Mode::Cloud && remote.is_none() {
            return Err(Error::invalid("mode 'cloud' needs a remote").hint("Pass remote: { url, key, tables }"));
        }
        let database = Self::acquire(options, ports, callbacks).await?;
        if let Some(remote) = remote {
            database.connect(remote).await?;
        }
        database.start().await?;
        Ok(database)
    }

    /// Acquires the database's lock and reads the stored data. Every failure releases the lock.
    ///
    /// Fails with `invalid_argument`, `migration_invalid`, `database_in_use`, `lock_timeout`,
    /// `unsupported_environment`, `storage_*`, `database_corrupt` and `snapshot_incompatible`.
    pub async fn acquire(options: OpenOptions, ports: Ports, callbacks: Rc<dyn Callbacks>) -> Result<Database> {
        check_name(&options.name)?;
        options.check()?;
        let supplied = options.migrations.clone().map(migrate::SuppliedMigrations::new).transpose()?;
        let clock = ports.platform.clock.clone();
        let migrations = Migrations::new(supplied, &options.migrations_table, options.out_of_order, clock)?;

        let held_lock = lock::take(&options, &ports).await?;
        match lock::while_held(held_lock.as_deref(), recover(options, ports, callbacks, migrations)).await {
            Ok(database) => {
                database.keep_lock(held_lock);
                Ok(database)
            }
            Err(error) => {
                lock::release(held_lock).await;
                Err(error)
            }
        }
    }

    /// Sets the remote: at most once, before [`start`](Self::start). Fails with `invalid_argument`, which closes the
    /// database.
    pub async fn connect(&self, remote: RemoteOptions) -> Result<()> {
        let inner = &*self.inner;
        match Config::new(remote) {
            Ok(mut config) => {
                if inner.options.mode == Mode::Cloud {
                    config.prefer(ConflictPolicy::RemoteWins);
                }
                inner.sync.get_or_init(|| Sync::new(config, inner.ports.http.clone(), &inner.ports.platform));
                inner.automatic_sync.get_or_init(|| scheduler::automatic_sync(&self.inner));
                Ok(())
            }
            Err(error) => {
                inner.close_after_failure().await;
                Err(error)
            }
        }
    }

    /// Starts the database: captures local changes, checks the migrations, runs the pending ones, and schedules
    /// snapshots. A failure closes the database.
    ///
    /// Fails with the errors of the migrations and of the storage.
    pub async fn start(&self) -> Result<()> {
        let inner = &*self.inner;
        let result = self.begin_service().await;
        // Also after a failure, since the migrations before the failed one stay applied.
        let stored = inner.flusher.flush().await;
        let result = result.and(stored);
        match result {
            Ok(()) => {
                inner.begin_audit_warnings();
                self.listen_for_takeovers();
                inner.notify_automatic_sync(SyncTrigger::Opened);
                if inner.storage.needs_rotation() {
                    inner.ports.platform.spawner.spawn(continue_rotation(self.clone()));
                }
            }
            Err(_) => inner.close_after_failure().await,
        }
        result
    }

    async fn begin_service(&self) -> Result<()> {
        let inner = &*self.inner;
        let recovered = inner.storage.recovered_version();
        {
            let _guard = inner.acquire().await?;
            let connection = inner.connection()?;
            let platform = &inner.ports.platform;
            if inner.migrations.mentions("fts5") {
                fts5::load(platform, &connection).await?;
            }
            fts5::load_if_used(platform, &connection).await?;
            inner.start_capture(&connection).await?;
        }
        inner.snapshots.start();
        inner.snapshots.take_first_checkpoint();
        self.inner.watch_lifecycle();
        let baseline = inner.options.baseline.as_deref();
        inner.migrations.open(inner, inner.options.migrate, baseline, recovered.as_deref()).await?;
        Ok(())
    }

    /// Closes the database: waits for the connection, stores all commits and releases the resources. Idempotent;
    /// resolves when everything is closed.
    ///
    /// Fails if the last commits could not be stored: they are lost, and the database is closed nevertheless. A lost lock is
    /// not a failure of `close`, since the callers of the last commits got the error.
    pub async fn close(&self) -> Result<()> {
        let inner = &*self.inner;
        let first = !inner.closing.replace(true);
        inner.notify_automatic_sync(SyncTrigger::Stop);
        if let Some(sync) = inner.sync.get() {
            sync.close();
        }
        let _closing = inner.close_mutex.acquire().await;
        if !first {
            return Ok(());
        }
        let guard = inner.acquire().await;
        inner.mutex.close(closed());
        let stored = inner.flusher.flush().await.map_err(never_stored);
        if stored.is_ok() {
            inner.snapshots.take_last_checkpoint().await;
        }
        let stored = stored.and(inner.release_resources().await);
        drop(guard);
        inner.events.emit(Event::Close(EngineCloseEvent { reason: CloseReason::Closed }));
        if inner.lost.borrow().is_some() { Ok(()) } else { stored }
    }
}

/// Returns the error of commits that wait to be stored when the database is closed: nothing tries again.
fn never_stored(error: Error) -> Error {
    error.detail("applied", false).hint(
        "The database is closed, and what could not be stored is lost: before close(), call flush() until it resolves",
    )
}

pub(super) async fn open_store(options: &OpenOptions, ports: &Ports) -> Result<Rc<dyn Store>> {
    match options.storage {
        StorageKind::Indexeddb | StorageKind::Opfs | StorageKind::File => ports.stores.open(&options.name).await,
        StorageKind::Memory => {
            ports.platform.parts.load(Part::Stores).await?;
            Ok(store::in_memory())
        }
    }
}

/// Reads the stored database and assembles its parts. The caller must hold the lock.
async fn recover(
    options: OpenOptions,
    ports: Ports,
    callbacks: Rc<dyn Callbacks>,
    migrations: Migrations,
) -> Result<Database> {
    // What isn't stored can't leave the memory.
    let cache_bytes = options.cache_bytes.filter(|_| options.storage != StorageKind::Memory);
    let platform = ports.platform.clone();
    let mut again = AGAIN;
    let (store, opened) = loop {
        let (store, holder) = join(open_store(&options, &ports), lock::holder(&options, &ports)).await;
        let store = store?;
        let opened = Storage::open_paged(store.clone(), &platform, holder, cache_bytes).await;
        // The lock is held, so it is the former holder that still writes: after its keys changed, a store knows old ones.
        if again == 0 || !opened.as_ref().is_err_and(|error| error.is(ErrorCode::LockLost)) {
            break (store, opened);
        }
        again -= 1;
        store.settled().await;
        let _ = store.close().await;
    };
    let database = opened.and_then(|opened| assemble(options, ports, callbacks, opened, migrations));
    if let Err(error) = &database {
        if error.is(ErrorCode::DatabaseCorrupt) {
            // `recover` may need it, perhaps without a network.
            let loading = platform.parts.load(Part::Stores);
            platform.spawner.spawn(Box::pin(async { drop(loading.await) }));
        }
        store.settled().await;
        let _ = store.close().await;
    }
    database
}

fn assemble(
    options: OpenOptions,
    ports: Ports,
    callbacks: Rc<dyn Callbacks>,
    opened: Opened,
    migrations: Migrations,
) -> Result<Database> {
    let Opened { storage, file, warnings, .. } = opened;
    let max_bytes = options.max_bytes.unwrap_or(if file.is_paged() { u64::MAX } else { MOST_IN_MEMORY });
    if file.bytes() > max_bytes {
        let message = format!("The database has {} bytes, more than maxBytes allows", file.bytes());
        return Err(Error::new(ErrorCode::DatabaseTooLarge, message)
            .hint("Open it with a larger maxBytes")
            .detail("bytes", file.bytes())
            .detail("maxBytes", max_bytes));
    }
    file.set_max_bytes(max_bytes);
    let connection = Rc::new(Connection::open(&file)?);
    let platform = &ports.platform;
    let policy =
        if options.storage == StorageKind::Memory { FlushPolicy::Never } else { options.durability.flush_policy() };
    let flusher = Flusher::new(file.clone(), storage.clone(), platform, policy);
    let events = Events::new(&callbacks, &ports);
    {
        let events = events.clone();
        flusher.on_failure(Rc::new(move |error| events.emit(Event::Health(FlushEvent { error: error.cloned() }))));
    }
    for warning in warnings {
        events.emit(Event::Warning(warning));
    }
    let migrations = Rc::new(migrations);
    let snapshots = {
        let (migrations, events) = (migrations.clone(), events.clone());
        let version = Rc::new(move || migrations.summary().current);
        let emit = Rc::new(move |event| events.emit(Event::Snapshot(event)));
        Snapshots::new(&flusher, &storage, platform, options.snapshots.clone(), version, emit)
    };
    if options.snapshots.timed_by_user {
        let asked = callbacks.clone();
        snapshots.set_timetable(Rc::new(move |after| asked.next_snapshot(after)));
    }
    let inner = Inner {
        opened_at: platform.clock.now(),
        mutex: Rc::default(),
        connection: RefCell::new(Some(connection)),
        file,
        storage,
        flusher,
        snapshots,
        migrations,
        sync: OnceCell::new(),
        audit: OnceCell::new(),
        audit_missing: RefCell::default(),
        audit_warns: Cell::new(false),
        maintenance_findings: RefCell::default(),
        automatic_sync: OnceCell::new(),
        held_lock: RefCell::default(),
        live: RefCell::new(live::Registry::default()),
        refining: Cell::new(false),
        stats: RefCell::new(QueryStats::default()),
        transaction: OpenTransaction::default(),
        events,
        emits_changes: Cell::new(true),
        capturing: Cell::new(false),
        triggers_suspended: Cell::new(false),
        lifecycle_subscription: RefCell::default(),
        page_leaving: Cell::new(false),
        closing: Cell::new(false),
        close_mutex: Rc::default(),
        broadcast: RefCell::default(),
        handing_over: Cell::new(false),
        lost: RefCell::default(),
        options,
        ports,
        callbacks,
    };
    Ok(Database::of(Rc::new(inner)))
}

impl Inner {
    /// Starts the audit, and the capture of local changes to the tables of the option `remote`, or to those registered
    /// by an earlier opening.
    pub(super) async fn start_capture(&self, connection: &Connection) -> Result<()> {
        // Loaded even if nothing is captured any more: a restore must keep the state of sync, and may run offline.
        // Later readers report an unreadable state.
        let may_capture = self.sync.get().is_some() || tables::exists(connection).unwrap_or(true);
        if may_capture {
            self.ports.platform.parts.load(Part::Sync).await?;
        }
        if let Some(sync) = self.sync.get() {
            tables::register(connection, &sync.config().options.tables)?;
        }
        self.capturing.set(may_capture && tables::captures(connection)?);
        self.resume_triggers(connection)
    }

    /// Releases the resources of a database that could not be opened.
    pub(super) async fn close_after_failure(&self) {
        self.closing.set(true);
        let _ = self.release_resources().await;
    }

    /// Releases timers, connection, storage and lock. Fails if the storage may have lost what it stored.
    pub(super) async fn release_resources(&self) -> Result<()> {
        self.notify_automatic_sync(SyncTrigger::Stop);
        self.broadcast.take();
        self.lifecycle_subscription.take();
        self.mutex.close(closed());
        self.snapshots.stop().await;
        self.flusher.stop().await;
        self.connection.take();
        self.storage.settled().await;
        let closed = self.storage.close().await;
        // The lock is released last, so the next holder finds everything stored.
        let held_lock = self.held_lock.take();
        lock::release(held_lock).await;
        closed
    }
}

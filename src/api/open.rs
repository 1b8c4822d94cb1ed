//! The ways in: opening a database, and what works without opening it.

use std::{collections::HashMap, rc::Rc};

#[cfg(not(target_arch = "wasm32"))]
use super::functions::add_functions;
use super::{
    Database, Encryption, Transaction,
    database::DatabaseSettings,
    engine_handle::{Caller, EngineHandle, LaterEngine},
    migration::{Migration, MigrationFn},
    options::OpenOptions,
    platform::{self, Place, alone, until_closed, with_holder},
    session::{LevelFn, LevelId, ProgramFunctions, ThreadState},
};
#[cfg(feature = "sync")]
use super::{per_user::of_its_user, remote::RemoteOptions};
use crate::{
    engine::{self, Database as Core, connection::mutex::closed},
    error::{Error, Result},
    lock::check_name,
    ports::{LocalFuture, Platform, Ports},
    sqlite::Image,
    store::RecoveryReport,
    sync::config::options::RemoteOptions as CoreRemoteOptions,
};

/// Opens a database: takes its lock, loads its data, recovers it after a crash, and runs pending migrations. Dropping
/// the future gives it up.
///
/// Fails with `invalid_argument` (a wrong option), `unsupported_environment`, `storage_unavailable`, `database_in_use`
/// (`details.holder` is the holder of the lock), `lock_timeout`, `database_corrupt`, `decryption_failed` (a wrong or
/// missing secret), `sync_unauthorized` (`per_user` while no user is signed in), and with the codes of migrations. After
/// any failure the lock is released.
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{Migration, OpenOptions, Storage, params};
///
/// # let folder = std::env::temp_dir().join(format!("tidelock-doc-{}.tidelock", std::process::id()));
/// let options = OpenOptions::new("shop")
///     .storage(Storage::File)
///     .path(&folder)
///     .migrations([Migration::new("1", "products", "CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT)")]);
/// let db = tidelock::open(options).await?;
/// db.run("INSERT INTO products(name) VALUES (?)", params!["tea"]).await?;
/// db.close().await?;
/// # std::fs::remove_dir_all(&folder).unwrap();
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
pub async fn open(options: OpenOptions) -> Result<Database> {
    #[cfg(feature = "sync")]
    let options = of_its_user(options).await?;
    let (storage, place) = options.place()?;
    check_name(&options.name)?;
    let mut core_options = options.core(storage)?;
    let remote = core_options.remote.take();
    #[cfg(feature = "sync")]
    let with_client = options.remote.as_ref().map(RemoteOptions::client).transpose()?;
    until_closed(&options.name).await;
    let later = LaterEngine::default();
    let functions = functions_of(&options, &later);
    #[cfg(not(target_arch = "wasm32"))]
    let sql_functions = (options.functions.clone(), later.clone());
    let engine = EngineHandle::start(options.name.clone(), functions, &later)?;
    let settings = DatabaseSettings { expires: options.expires.clone(), health: options.health };
    let (audit, seed, encryption) = (options.core_audit()?, options.seed, options.encryption);
    let begin = async move |session: Rc<ThreadState>, _limit| {
        #[cfg(not(target_arch = "wasm32"))]
        add_functions(sql_functions.0, sql_functions.1)?;
        let ports = ports(session.platform.clone(), place.as_ref(), encryption.as_ref());
        #[cfg(feature = "sync")]
        let ports = match with_client {
            Some(with_client) => with_client(ports),
            None => ports,
        };
        let core = Core::acquire(core_options, ports, session.reports.clone()).await?;
        let core = session.core.get_or_init(|| core);
        core.emit_changes(false);
        let result = start(core, remote, audit, seed).await;
        if result.is_err() {
            let _ = core.close().await;
        }
        result
    };
    let opened = engine.ask(Caller { level: None, timeout_ms: None }, begin).await;
    opened.map_err(with_holder)?;
    Ok(Database::new(engine, settings))
}

async fn start(
    core: &Core,
    #[cfg_attr(not(feature = "sync"), expect(unused_variables))] remote: Option<CoreRemoteOptions>,
    audit: Option<crate::audit::AuditOptions>,
    seed: Option<Vec<u8>>,
) -> Result<()> {
    // Without the feature nothing else needs the code of sync, and the linker leaves it out.
    #[cfg(feature = "sync")]
    if let Some(remote) = remote {
        core.connect(remote).await?;
    }
    if let Some(audit) = audit {
        core.audit(audit).await?;
    }
    if let Some(seed) = seed
        && core.wants_seed()?
    {
        let image = Image::from_bytes(&seed);
        drop(seed);
        core.seed(image).await?;
    }
    core.start().await
}

/// Returns what the engine calls.
fn functions_of(options: &OpenOptions, later: &LaterEngine) -> ProgramFunctions {
    let of = |migration: &Migration| {
        let version = migration.version().to_owned();
        let directions = [("up", migration.up.clone()), ("down", migration.down.clone())];
        directions.map(|(direction, function)| {
            function.map(|function| ((version.clone(), direction), level_function(function, later.clone())))
        })
    };
    let migrations: HashMap<_, _> = options.migrations.iter().flatten().flat_map(of).flatten().collect();
    ProgramFunctions {
        on_warning: options.on_warning.clone(),
        migrations,
        #[cfg(feature = "sync")]
        remote: options.remote.as_ref().map(RemoteOptions::functions).unwrap_or_default(),
        ..ProgramFunctions::default()
    }
}

fn level_function(function: MigrationFn, later: LaterEngine) -> LevelFn {
    Box::new(move |level: LevelId| -> LocalFuture<'static, Result<()>> {
        match later.get().and_then(std::sync::Weak::upgrade) {
            Some(engine) => function(Transaction::new(engine, level)),
            None => Box::pin(std::future::ready(Err(closed()))),
        }
    })
}

fn ports(platform: Platform, place: Option<&Place>, encryption: Option<&Encryption>) -> Ports {
    let mut ports = platform::ports(platform, place);
    if let (Some(encryption), Some(_)) = (encryption, place) {
        encryption.seal(&mut ports);
    }
    ports
}

/// Sets a stored database that no longer opens to its last intact state, or to exactly the snapshot `from`, and
/// quarantines the damaged part. Of the options the name, `storage`, `path`, `lock`, `encryption` and the SQL functions are
/// used.
///
/// Fails with `database_in_use` while it is open, `snapshot_not_found` for an unknown `from`, and with
/// `database_corrupt` when nothing intact is left.
///
/// ```no_run
/// # futures_executor::block_on(async {
/// use tidelock::{OpenOptions, Storage};
///
/// let report = tidelock::recover(OpenOptions::new("shop").storage(Storage::File), None).await?;
/// println!("{} batches of commits were lost", report.lost_batches);
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
pub async fn recover(options: OpenOptions, from: Option<&str>) -> Result<RecoveryReport> {
    let (core, place) = stored(&options)?;
    until_closed(&options.name).await;
    let (encryption, from) = (options.encryption, from.map(str::to_owned));
    #[cfg(not(target_arch = "wasm32"))]
    let functions = options.functions;
    let recovered = alone(async move |platform| {
        #[cfg(not(target_arch = "wasm32"))]
        add_functions(functions, LaterEngine::default())?;
        engine::recover(core, ports(platform, Some(&place), encryption.as_ref()), from).await
    });
    recovered.await.map_err(with_holder)
}

/// Deletes a stored database with its snapshots, and its folder when nothing else is in it. A missing one is no error.
/// Of the options the name, `storage`, `path` and `lock` are used.
///
/// Fails with `database_in_use` while another tab or process has it open, and with `storage_blocked` when a tab's
/// connection stays open for 10 s.
///
/// ```no_run
/// # futures_executor::block_on(async {
/// use tidelock::{OpenOptions, Storage};
///
/// tidelock::delete_database(OpenOptions::new("shop").storage(Storage::File)).await?;
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
pub async fn delete_database(options: OpenOptions) -> Result<()> {
    let (core, place) = stored(&options)?;
    until_closed(&options.name).await;
    if !platform::exists(&place) {
        return Ok(());
    }
    let deleted = alone(async move |platform| platform::delete(core, platform, &place).await);
    deleted.await.map_err(with_holder)
}

/// Returns the options as the engine takes them, and the place. Fails with `invalid_argument` for a database in memory.
fn stored(options: &OpenOptions) -> Result<(engine::OpenOptions, Place)> {
    let (storage, place) = options.place()?;
    check_name(&options.name)?;
    let place = place.ok_or_else(|| {
        Error::invalid("A database in memory needs no such call: it ends when it is closed")
            .hint(platform::HINT_TO_STORE)
            .detail("option", "storage")
    })?;
    Ok((options.core(storage)?, place))
}

//! The ways in: opening a database, and what works without opening it.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use super::{
    Database, Encryption, Transaction,
    database::DatabaseSettings,
    engine_handle::{Caller, EngineHandle, LaterEngine},
    migration::{Migration, MigrationFn},
    options::OpenOptions,
    session::{LevelFn, ProgramFunctions, ThreadState},
};
use crate::{
    engine::{self, Database as Core, StoredDatabase, connection::mutex::closed},
    error::{Detail, Error, ErrorCode, Result},
    lock::check_name,
    native::{self, Worker},
    ports::{Platform, Ports},
    sqlite::Image,
    store::{RecoveryReport, folder::Disk},
};

/// The ending of a database's default folder.
const ENDING: &str = ".tidelock";

/// Opens a database: takes its lock, loads its data, recovers it after a crash, and runs pending migrations. Dropping
/// the future gives it up.
///
/// Fails with `invalid_argument` (a wrong option), `unsupported_environment`, `storage_unavailable`, `database_in_use`
/// (`details.holder` is the holder of the lock), `lock_timeout`, `database_corrupt`, `decryption_failed` (a wrong or
/// missing secret), and with the codes of migrations. After any failure the lock is released.
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
    let (storage, folder) = options.place()?;
    check_name(&options.name)?;
    let core_options = options.core(storage)?;
    let later = LaterEngine::default();
    let functions = functions_of(&options, &later);
    let engine = EngineHandle::start(options.name.clone(), functions, &later)?;
    let settings = DatabaseSettings { expires: options.expires.clone(), health: options.health };
    let (audit, seed, encryption) = (options.core_audit(), options.seed, options.encryption);
    let begin = async move |session: Rc<ThreadState>, _limit| {
        let ports = ports(session.platform.clone(), folder.as_deref(), encryption.as_ref());
        let core = Core::acquire(core_options, ports, session.reports.clone()).await?;
        let core = session.core.get_or_init(|| core);
        core.emit_changes(false);
        let result = start(core, audit, seed).await;
        if result.is_err() {
            let _ = core.close().await;
        }
        result
    };
    let opened = engine.ask(Caller { level: None, timeout_ms: None }, begin).await;
    opened.map_err(with_holder)?;
    Ok(Database::new(engine, settings))
}

async fn start(core: &Core, audit: Option<crate::audit::AuditOptions>, seed: Option<Vec<u8>>) -> Result<()> {
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
    ProgramFunctions { on_warning: options.on_warning.clone(), migrations, ..ProgramFunctions::default() }
}

fn level_function(function: MigrationFn, later: LaterEngine) -> LevelFn {
    Box::new(move |level| match later.get().and_then(std::sync::Weak::upgrade) {
        Some(engine) => function(Transaction::new(engine, level)),
        None => Box::pin(std::future::ready(Err(closed()))),
    })
}

fn ports(platform: Platform, folder: Option<&Path>, encryption: Option<&Encryption>) -> Ports {
    // Nothing of the folder is used in memory.
    let mut ports = native::ports(platform, folder.unwrap_or(Path::new("")));
    if let (Some(encryption), Some(_)) = (encryption, folder) {
        encryption.seal(&mut ports);
    }
    ports
}

/// Names the holder of the lock in the message.
fn with_holder(mut error: Error) -> Error {
    if !error.is(ErrorCode::DatabaseInUse) {
        return error;
    }
    let Some(Detail::Object(holder)) = error.details.get("holder") else { return error };
    let text = |name: &str| match holder.get(name) {
        Some(Detail::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let (id, since) = (text("id"), text("since"));
    let process = id.split('-').next().unwrap_or_default();
    if process == std::process::id().to_string() {
        error.message = "Database already in use by this process".to_owned();
        return error.hint("Keep the database of the first open() and use it everywhere, or close it first");
    }
    error.message = format!("Database already in use by process {process} since {since}");
    error.hint("End the other process, or wait for it with lock: OnBusy::Wait")
}

/// Runs a job on a thread of its own.
async fn alone<T, F, Fut>(job: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce(Platform) -> Fut + Send + 'static,
    Fut: Future<Output = Result<T>> + 'static,
{
    let worker = Arc::new(Worker::start("alone", |platform| platform)?);
    worker.call(|platform: Rc<Platform>| job((*platform).clone())).await
}

/// Sets a database in a folder that no longer opens to its last intact state, or to exactly the snapshot `from`, and
/// quarantines the damaged part. Of the options the name, `path`, `lock` and `encryption` are used.
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
    let (core, folder) = in_folder(&options)?;
    let (encryption, from) = (options.encryption, from.map(str::to_owned));
    let recovered = alone(async move |platform| {
        engine::recover(core, ports(platform, Some(&folder), encryption.as_ref()), from).await
    });
    recovered.await.map_err(with_holder)
}

/// Deletes the database in a folder with its snapshots, and the folder when nothing else is in it. A missing one is no
/// error. Of the options the name, `path` and `lock` are used.
///
/// Fails with `database_in_use` while a process has it open.
///
/// ```no_run
/// # futures_executor::block_on(async {
/// use tidelock::{OpenOptions, Storage};
///
/// tidelock::delete_database(OpenOptions::new("shop").storage(Storage::File)).await?;
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
pub async fn delete_database(options: OpenOptions) -> Result<()> {
    let (core, folder) = in_folder(&options)?;
    if !holds_database(&folder) {
        return Ok(());
    }
    let deleted = alone(async move |platform| {
        let files = Disk::new(&folder);
        engine::delete(core, ports(platform, Some(&folder), None), &files).await?;
        // It may have files that aren't the database's.
        let _ = fs::remove_dir(&folder);
        Ok(())
    });
    deleted.await.map_err(with_holder)
}

/// Returns the options as the engine takes them, and the folder. Fails with `invalid_argument` for a database in memory.
fn in_folder(options: &OpenOptions) -> Result<(engine::OpenOptions, PathBuf)> {
    let (storage, folder) = options.place()?;
    check_name(&options.name)?;
    let folder = folder.ok_or_else(|| {
        Error::invalid("A database in memory needs no such call: it ends when it is closed")
            .hint("Pass storage: Storage::File")
            .detail("option", "storage")
    })?;
    Ok((options.core(storage)?, folder))
}

/// A database in a folder: see [`databases`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DatabaseInfo {
    /// Its name, where the folder is the default folder of a name; otherwise the folder's own name.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// What is known of it without opening it.
    pub stored: StoredDatabase,
}

/// Returns the database in a folder, or else those in its direct subfolders, sorted by path. Opens none of them, and
/// writes nothing.
///
/// ```
/// # futures_executor::block_on(async {
/// # let folder = std::env::temp_dir().join("tidelock-doc-no-databases");
/// for database in tidelock::databases(&folder).await? {
///     println!("{} in {}", database.name, database.path.display());
/// }
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
pub async fn databases(folder: impl AsRef<Path>) -> Result<Vec<DatabaseInfo>> {
    let folder = folder.as_ref().to_owned();
    alone(async move |platform: Platform| {
        let found = if holds_database(&folder) {
            vec![folder]
        } else {
            let mut folders: Vec<PathBuf> = entries(&folder).filter(|path| holds_database(path)).collect();
            folders.sort();
            folders
        };
        let mut infos = Vec::new();
        for path in found {
            let stored = engine::stored("", &ports(platform.clone(), Some(&path), None)).await;
            infos.push(DatabaseInfo { name: name_of(&path), path, stored });
        }
        Ok(infos)
    })
    .await
}

/// Returns the entries of a folder that aren't links; none where it can't be read.
fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| !kind.is_symlink())).map(|entry| entry.path())
}

fn holds_database(folder: &Path) -> bool {
    let is_journal = |path: PathBuf| {
        let number = path.file_name().and_then(|name| name.to_str()?.strip_prefix("journal."));
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    entries(folder).any(is_journal)
}

/// Returns the name of the database in a folder.
fn name_of(folder: &Path) -> String {
    let own = folder.canonicalize().ok().and_then(|folder| folder.file_name().map(|name| name.to_owned()));
    let own = own.unwrap_or_default().to_string_lossy().into_owned();
    let Some(escaped) = own.strip_suffix(ENDING) else { return own };
    let mut name = String::new();
    let mut rest = escaped;
    while let Some((before, after)) = rest.split_once('%') {
        name.push_str(before);
        let code = after.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        name.push(code.map_or('%', char::from));
        rest = if code.is_some() { &after[2..] } else { after };
    }
    name + rest
}

//! Native programs: a database is a folder, and the engine has a thread of its own.

use std::{
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

pub use crate::native::{Poster, Worker, alone};
use crate::{
    engine::{self, HolderOptions, StorageKind, StoredDatabase},
    error::{Error, ErrorCode, Result},
    native::{self, SystemEntropy},
    ports::{Crypto, Entropy, Platform, Ports},
    store::{folder::Disk, sealed::SoftCrypto},
};

/// The ending of a database's default folder.
const ENDING: &str = ".tidelock";

/// What to pass for a database that is stored.
pub const HINT_TO_STORE: &str = "Pass storage: Storage::File";

/// Natively a drop waits until the database is closed.
pub struct Closing;

/// Has [`until_closed`] wait for a database that was dropped.
pub fn begin_closing(_name: &str) -> Closing {
    Closing
}

/// Waits until databases that were dropped are closed.
pub async fn until_closed(_name: &str) {}

/// Where a stored database is: its folder.
pub type Place = PathBuf;

/// Checks the options about the place of a database. Returns its folder; `None` in memory.
///
/// Fails with `invalid_argument` and `unsupported_environment`.
pub fn place(name: &str, storage: Option<StorageKind>, path: Option<&Path>) -> Result<(StorageKind, Option<Place>)> {
    let Some(storage) = storage.filter(|storage| matches!(storage, StorageKind::File | StorageKind::Memory)) else {
        let hint = "Pass storage: Storage::File with path, or Storage::Memory";
        return Err(Error::new(ErrorCode::UnsupportedEnvironment, "This is a program, which has no browser storage")
            .hint(hint)
            .detail("option", "storage"));
    };
    match (storage, path) {
        (StorageKind::Memory, Some(_)) => Err(Error::invalid("path needs Storage::File").detail("option", "path")),
        (StorageKind::Memory, None) => Ok((storage, None)),
        (_, Some(path)) if path.as_os_str().is_empty() => {
            Err(Error::invalid("path must not be empty").detail("option", "path"))
        }
        (_, path) => Ok((storage, Some(path.map_or_else(|| default_folder(name), Path::to_owned)))),
    }
}

/// Returns the default folder of a database, in the working directory. Characters that file names can't have are escaped
/// as in URLs.
fn default_folder(name: &str) -> PathBuf {
    let mut file = String::from("./");
    for character in name.chars() {
        match character {
            '%' | '/' | '\\' | ':' | '*' | '?' | '"' | '<' | '>' | '|' => {
                file.push_str(&format!("%{:02x}", u32::from(character)));
            }
            _ => file.push(character),
        }
    }
    PathBuf::from(file + ENDING)
}

/// Returns the ports of a database.
pub fn ports(platform: Platform, place: Option<&Place>) -> Ports {
    // Nothing of the folder is used in memory.
    native::ports(platform, place.map_or(Path::new(""), PathBuf::as_path))
}

/// Returns what gives a database an HTTP client, and sockets for `realtime`, which trust these certificates in PEM form in
/// the place of the public authorities'. Fails with `invalid_argument`, and with `unsupported_environment` for sockets
/// without their feature.
#[cfg(feature = "sync")]
pub fn client(certificates: Option<&[u8]>, realtime: bool) -> Result<impl FnOnce(Ports) -> Ports + Send + use<>> {
    let client = native::HttpClient::new(certificates)?;
    #[cfg(feature = "realtime")]
    let tls = realtime.then(|| native::tls_trusting(certificates)).transpose()?;
    #[cfg(not(feature = "realtime"))]
    if realtime {
        return Err(Error::new(
            ErrorCode::UnsupportedEnvironment,
            "remote.realtime needs the feature realtime of tidelock",
        )
        .hint("Add the feature in Cargo.toml, or leave realtime out: changes are then found by the interval")
        .detail("option", "remote.realtime"));
    }
    Ok(move |ports: Ports| Ports {
        http: Rc::new(client),
        #[cfg(feature = "realtime")]
        sockets: match tls {
            Some(tls) => Rc::new(native::NativeSockets { spawner: ports.platform.spawner.clone(), tls }),
            None => ports.sockets.clone(),
        },
        ..ports
    })
}

/// Returns what encrypts a database.
pub fn crypto() -> (Rc<dyn Crypto>, Rc<dyn Entropy>) {
    (Rc::new(SoftCrypto), Rc::new(SystemEntropy))
}

/// Returns the path of this program, which stands in for a page's title.
pub fn holder() -> HolderOptions {
    let program = std::env::args_os().next().map(|name| name.to_string_lossy().into_owned());
    HolderOptions { title: program.unwrap_or_default(), url: String::new() }
}

/// Shows a warning that the program doesn't handle.
pub fn show_warning(message: &str) {
    eprintln!("tidelock: {message}");
}

/// Returns message and hint of `database_in_use`; `holder` returns what is known of the holder.
pub fn in_use_by(holder: &dyn Fn(&str) -> String) -> (String, &'static str) {
    let (id, since) = (holder("id"), holder("since"));
    let process = id.split('-').next().unwrap_or_default();
    if process == std::process::id().to_string() {
        let hint = "Keep the database of the first open() and use it everywhere, or close it first";
        return ("Database already in use by this process".to_owned(), hint);
    }
    let hint = "End the other process, or wait for it with lock: OnBusy::Wait. In a copy of a folder in use, remove its lock files (lock.*)";
    (format!("Database already in use by process {process} since {since}"), hint)
}

/// Returns whether there is anything to delete.
pub fn exists(place: &Place) -> bool {
    holds_database(place)
}

/// Deletes a stored database.
pub async fn delete(options: engine::OpenOptions, platform: Platform, place: &Place) -> Result<()> {
    let files = Disk::new(place);
    engine::delete(options, ports(platform, Some(place)), &files).await?;
    // It may have files that aren't the database's.
    let _ = fs::remove_dir(place);
    Ok(())
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
            let stored = engine::stored("", &ports(platform.clone(), Some(&path))).await;
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

/// Returns whether a folder contains a database, or what is left of one.
fn holds_database(folder: &Path) -> bool {
    let is_of_one = |path: PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()?.split_once('.'));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        name.is_some_and(|(kind, number)| matches!(kind, "journal" | "pack") && is_number(number))
    };
    entries(folder).any(is_of_one)
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

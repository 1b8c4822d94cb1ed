//! Files and processes for native programs, through `std`.

use std::{
    cell::RefCell,
    collections::HashMap,
    fs::{self, DirEntry, File, Metadata, OpenOptions},
    future::ready,
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Files, LocalFuture, LockFiles, Process, Processes},
    store::failure::{DISK_FULL, FOLDER_UNUSABLE, not_plain},
};

/// The files of one folder of a disk.
pub struct Disk {
    folder: PathBuf,
    /// Which file each name of the database's files stands for.
    known: RefCell<HashMap<String, FileIdentity>>,
}

/// What distinguishes a file from others that have its name later: device and inode.
type FileIdentity = (u64, u64);

impl Disk {
    /// Creates access to the files of `folder`, which need not exist. A relative path stays the same when the program changes its
    /// working directory.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { folder: std::path::absolute(&folder).unwrap_or(folder), known: RefCell::default() }
    }

    /// Fails with `lock_lost` when the name of a file of the database has become another file's: writing on would damage the one
    /// that was moved, or the one that replaced it.
    fn must_be_same(&self, name: &str, about: &Metadata) -> Result<()> {
        let Some(identity) = identity(about).filter(|_| name.starts_with("journal.") || name.starts_with("pack."))
        else {
            return Ok(());
        };
        if *self.known.borrow_mut().entry(name.to_owned()).or_insert(identity) == identity {
            return Ok(());
        }
        let message = "The database's folder was replaced while the database was open";
        Err(Error::new(ErrorCode::LockLost, message)
            .hint("Close the database before its folder is moved or restored from a copy, then open it again"))
    }

    /// Returns the path of a name: always in the folder, and never behind a symbolic link.
    fn path(&self, name: &str) -> Result<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
            return Err(Error::internal("A file outside of the database's folder was named"));
        }
        let path = self.folder.join(name);
        match found(fs::symlink_metadata(&path))? {
            Some(about) if !about.is_file() => Err(not_plain(&path.to_string_lossy())),
            _ => Ok(path),
        }
    }

    /// Makes the names in the folder, and its own name, survive a power cut.
    fn sync_names(&self) -> Result<()> {
        // Only where folders can be opened as files.
        if cfg!(unix) {
            let sync = |path: &Path| File::open(path).and_then(|folder| folder.sync_all()).map_err(failure);
            sync(&self.folder)?;
            sync(&self.folder.join(".."))?;
        }
        Ok(())
    }

    fn make(&self, names: &[String]) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder).map_err(failure)?;
        let mut made = false;
        for name in names {
            if self.size(name)?.is_none() {
                File::create(self.path(name)?).map_err(failure)?;
                made = true;
            }
        }
        if made { self.sync_names() } else { Ok(()) }
    }

    /// Opens a file for changes. One that has another name, too, is refused: that may be outside of the folder.
    fn changeable(&self, name: &str) -> Result<File> {
        let path = self.path(name)?;
        let file = OpenOptions::new().write(true).open(&path).map_err(failure)?;
        let about = file.metadata().map_err(failure)?;
        #[cfg(unix)]
        if std::os::unix::fs::MetadataExt::nlink(&about) > 1 {
            return Err(not_plain(&path.to_string_lossy()));
        }
        self.must_be_same(name, &about)?;
        Ok(file)
    }

    fn open(&self, name: &str) -> Result<Option<File>> {
        let file = found(File::open(self.path(name)?))?;
        if let Some(file) = &file {
            self.must_be_same(name, &file.metadata().map_err(failure)?)?;
        }
        Ok(file)
    }
}

/// Returns `None` where it can't be known.
fn identity(about: &Metadata) -> Option<FileIdentity> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        Some((about.dev(), about.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = about;
        None
    }
}

fn failure(error: std::io::Error) -> Error {
    let code = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ErrorCode::StorageQuotaExceeded,
        _ => ErrorCode::StorageUnavailable,
    };
    let (message, hint) = if code == ErrorCode::StorageQuotaExceeded { DISK_FULL } else { FOLDER_UNUSABLE };
    Error::new(code, message).hint(hint).cause(error)
}

fn found<T>(result: std::io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

impl Files for Disk {
    fn prepare(&self, names: Vec<String>) -> LocalFuture<'static, Result<()>> {
        Box::pin(ready(self.make(&names)))
    }

    fn list(&self) -> Result<Vec<String>> {
        let Some(entries) = found(fs::read_dir(&self.folder))? else { return Ok(Vec::new()) };
        let name = |entry: std::io::Result<DirEntry>| {
            let entry = entry.map_err(failure)?;
            let kind = entry.file_type().map_err(failure)?;
            if !kind.is_file() && !kind.is_dir() {
                return Err(not_plain(&entry.path().to_string_lossy()));
            }
            Ok(kind.is_file().then(|| entry.file_name().to_string_lossy().into_owned()))
        };
        entries.filter_map(|entry| name(entry).transpose()).collect()
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        let Some(about) = found(fs::symlink_metadata(self.path(name)?))? else { return Ok(None) };
        self.must_be_same(name, &about)?;
        Ok(Some(about.len()))
    }

    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open(name)? else { return Ok(None) };
        file.seek(SeekFrom::Start(at)).map_err(failure)?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes).map_err(failure)?;
        Ok(Some(bytes))
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        let mut file = self.changeable(name)?;
        file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes)).map_err(failure)
    }

    fn truncate(&self, name: &str, bytes: u64) -> Result<()> {
        self.changeable(name)?.set_len(bytes).map_err(failure)
    }

    fn sync(&self, name: &str) -> Result<()> {
        self.changeable(name)?.sync_all().map_err(failure)
    }

    fn remove(&self, name: &str) -> Result<()> {
        self.known.borrow_mut().remove(name);
        found(fs::remove_file(self.path(name)?)).map(drop)
    }

    fn close(&self) {}
}

/// Threads of one process would use the same unfinished file.
static CREATING: Mutex<()> = Mutex::new(());

impl LockFiles for Disk {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool> {
        let _creating = CREATING.lock();
        fs::create_dir_all(&self.folder).map_err(failure)?;
        let (unfinished, path) = (self.path(&format!("{name}.{}.tmp", std::process::id()))?, self.path(name)?);
        // A file of that name may have another one outside of the folder.
        found(fs::remove_file(&unfinished))?;
        let made = OpenOptions::new().write(true).create_new(true).open(&unfinished);
        let written = made.and_then(|mut file| file.write_all(bytes));
        let linked = written.map(|()| fs::hard_link(&unfinished, &path));
        found(fs::remove_file(&unfinished))?;
        match linked.map_err(failure)? {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            // Some disks have no hard links.
            Err(_) => match OpenOptions::new().write(true).create_new(true).open(path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
                made => made.and_then(|mut file| file.write_all(bytes)).map(|()| true).map_err(failure),
            },
        }
    }
}

/// The processes that Linux lists under `/proc`; on other systems none can be looked up.
pub struct OwnProcess;

fn proc_text(name: &str) -> String {
    fs::read_to_string(format!("/proc/{name}")).unwrap_or_default().trim().to_owned()
}

impl Processes for OwnProcess {
    fn me(&self) -> Process {
        let pid = std::process::id();
        // Two containers may have the same name.
        let ids = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        let host = format!("{} {}", proc_text("sys/kernel/hostname"), ids.to_string_lossy());
        Process { pid, thread: pid, host, began: self.began(pid).unwrap_or_default() }
    }

    fn began(&self, pid: u32) -> Option<String> {
        if proc_text("self/stat").is_empty() {
            return Some(String::new());
        }
        let stat = proc_text(&format!("{pid}/stat"));
        // The name, in parentheses, may contain any characters; after it the state is the first field, the start time
        // the 20th.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let ended = matches!(*fields.first()?, "Z" | "X");
        (!ended).then_some(format!("{} {}", proc_text("sys/kernel/random/boot_id"), fields.get(19)?))
    }
}

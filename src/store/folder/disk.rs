//! Files and processes for native programs, through `std`.

use std::{
    fs::{self, DirEntry, File, OpenOptions},
    io::{ErrorKind, Read, Seek, SeekFrom, Write},
    path::PathBuf,
};

use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Files, Process, Processes},
    store::failure::not_plain,
};

/// The files below one folder of a disk.
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Creates access to the files below `folder`, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Returns the path of a name: always below the folder, and never behind a symbolic link.
    fn path(&self, name: &str) -> Result<PathBuf> {
        let mut path = self.folder.clone();
        if name.is_empty() {
            return Ok(path);
        }
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
        for part in name.split('/') {
            if part.is_empty() || part.starts_with('.') || !part.bytes().all(plain) {
                return Err(Error::internal("A file outside of the database's folder was named"));
            }
            path.push(part);
            if let Some(about) = found(fs::symlink_metadata(&path))?
                && !about.is_file()
                && !about.is_dir()
            {
                return Err(not_plain(&path.to_string_lossy()));
            }
        }
        Ok(path)
    }

    fn open(&self, name: &str) -> Result<Option<File>> {
        found(File::open(self.path(name)?))
    }
}

fn failure(error: std::io::Error) -> Error {
    let code = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ErrorCode::StorageQuotaExceeded,
        _ => ErrorCode::StorageUnavailable,
    };
    Error::new(code, "The database's folder can't be used")
        .hint("The cause says why: check the folder's path, its permissions, and the free disk space")
        .cause(error)
}

fn found<T>(result: std::io::Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failure(error)),
    }
}

impl Files for Disk {
    fn list(&self, folder: &str) -> Result<Vec<String>> {
        let Some(entries) = found(fs::read_dir(self.path(folder)?))? else { return Ok(Vec::new()) };
        let name = |entry: std::io::Result<DirEntry>| {
            let entry = entry.map_err(failure)?;
            let kind = entry.file_type().map_err(failure)?;
            if kind.is_file() || kind.is_dir() {
                Ok(entry.file_name().to_string_lossy().into_owned())
            } else {
                Err(not_plain(&entry.path().to_string_lossy()))
            }
        };
        entries.map(name).collect()
    }

    fn make_folder(&self, folder: &str) -> Result<()> {
        fs::create_dir_all(self.path(folder)?).map_err(failure)
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok(found(fs::symlink_metadata(self.path(name)?))?.map(|about| about.len()))
    }

    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let Some(mut file) = self.open(name)? else { return Ok(None) };
        file.seek(SeekFrom::Start(at)).map_err(failure)?;
        let mut bytes = Vec::new();
        file.take(length as u64).read_to_end(&mut bytes).map_err(failure)?;
        Ok(Some(bytes))
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()> {
        let opened = OpenOptions::new().write(true).create(true).truncate(false).open(self.path(name)?);
        let mut file = opened.map_err(failure)?;
        file.seek(SeekFrom::Start(at)).and_then(|_| file.write_all(bytes)).map_err(failure)
    }

    fn truncate(&self, name: &str, bytes: u64) -> Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(name)?).map_err(failure)?;
        file.set_len(bytes).map_err(failure)
    }

    fn sync(&self, name: &str) -> Result<()> {
        let file = OpenOptions::new().write(true).open(self.path(name)?).map_err(failure)?;
        file.sync_all().map_err(failure)
    }

    fn sync_folder(&self, folder: &str) -> Result<()> {
        // Only where folders can be opened as files.
        if cfg!(unix) {
            let path = if folder == ".." { self.folder.join(folder) } else { self.path(folder)? };
            File::open(path).and_then(|folder| folder.sync_all()).map_err(failure)
        } else {
            Ok(())
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        fs::rename(self.path(from)?, self.path(to)?).map_err(failure)
    }

    fn link(&self, from: &str, to: &str) -> Result<bool> {
        match fs::hard_link(self.path(from)?, self.path(to)?) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(failure(error)),
        }
    }

    fn remove(&self, name: &str) -> Result<()> {
        found(fs::remove_file(self.path(name)?)).map(drop)
    }

    fn close(&self) {}
}

/// The processes that Linux lists under `/proc`; on other systems no process is ever reported as ended.
pub struct OwnProcess;

fn proc_text(name: &str) -> String {
    fs::read_to_string(format!("/proc/{name}")).unwrap_or_default().trim().to_owned()
}

impl Processes for OwnProcess {
    fn me(&self) -> Process {
        let pid = std::process::id();
        Process { pid, host: proc_text("sys/kernel/hostname"), began: self.began(pid).unwrap_or_default() }
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

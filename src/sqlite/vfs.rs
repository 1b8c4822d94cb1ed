//! The file system that SQLite sees: one database file, passed in by a [`PageFile`], and nothing else.
//!
//! Journals and temporary files are in memory and end with their handle. The [`System`] provides clock, randomness and sleep.

use std::{
    cell::Cell,
    ffi::{CStr, c_int, c_void},
    sync::OnceLock,
};

use rsqlite_vfs::{
    AccessMode, DeviceCharacteristics, FileKind, LockLevel, MemChunksFile, OpenOptions, OpenRequest, OpenedFile,
    SQLiteIoMethods, SQLiteVfs, SQLiteVfsFile, SyncOptions, VfsError, VfsErrorCode, VfsFile, VfsResult, VfsStore,
    ffi as vfs_ffi,
};
use rusqlite::ffi;

use super::{
    PageFile,
    pages::Refused,
    system::{self, System},
};
use crate::error::{Error, Result};

const VFS_NAME: &CStr = c"tidelock";
const FILE_NAME: &CStr = c"main.sqlite";

static REGISTERED: OnceLock<bool> = OnceLock::new();

thread_local! {
    /// The file for the connection that is being opened on this thread: SQLite opens a database's file once, inside
    /// `sqlite3_open_v2`, so that no table of names is needed.
    static HANDOVER: Cell<Option<PageFile>> = const { Cell::new(None) };
}

/// Opens SQLite over the file. The caller closes the returned pointer.
///
/// Fails with `internal` when the file already has a connection, and with `out_of_memory`.
pub(super) fn open(file: &PageFile) -> Result<*mut ffi::sqlite3> {
    let registered = REGISTERED.get_or_init(|| {
        // SAFETY: only this crate uses the name, the once-cell serializes registration, and the callbacks below agree on file
        // and data types. Registered for the life of the process.
        unsafe { rsqlite_vfs::register_vfs::<Io, Vfs>("tidelock", System, system::ONLY_VFS) }
            .map(|vfs| vfs.into_raw())
            .is_ok()
    });
    if !registered {
        return Err(Error::internal("SQLite refused tidelock's file system"));
    }
    if file.pages().open {
        return Err(Error::internal("This database file already has a connection"));
    }
    file.pages().leave_wal().map_err(super::failure::of_write)?;
    file.pages().open = true;
    HANDOVER.set(Some(file.clone()));
    let mut db = std::ptr::null_mut();
    let flags = ffi::SQLITE_OPEN_READWRITE | ffi::SQLITE_OPEN_CREATE | ffi::SQLITE_OPEN_NOMUTEX;
    // SAFETY: both names are NUL-terminated and static; `db` outlives the call. NOMUTEX is sound because a connection
    // never leaves its thread (it is neither Send nor Sync).
    let code = unsafe { ffi::sqlite3_open_v2(FILE_NAME.as_ptr(), &mut db, flags, VFS_NAME.as_ptr()) };
    let unused = HANDOVER.take();
    if code == ffi::SQLITE_OK && !db.is_null() {
        return Ok(db);
    }
    // SAFETY: SQLite requires closing the handle of a failed open; null is a no-op.
    unsafe { ffi::sqlite3_close(db) };
    drop(unused);
    file.pages().open = false;
    Err(super::failure::from_code(code, "the database could not be opened"))
}

/// SQLite's handle of an open file.
enum File {
    Main(PageFile),
    /// A journal or a temporary file.
    Memory(MemChunksFile),
}

fn refused(why: Refused) -> VfsError {
    match why {
        Refused::TooLarge => VfsError::new(VfsErrorCode::Full, "the database reached its size limit".into()),
        Refused::NoMemory => VfsError::new(VfsErrorCode::NoMemory, "no memory for the database file".into()),
        Refused::Unreadable(error) => {
            super::failure::remember_unreadable(error);
            VfsError::new(VfsErrorCode::IoRead, "the stored database can't be read".into())
        }
    }
}

impl VfsFile for File {
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> VfsResult<usize> {
        match self {
            File::Main(file) => file.pages().read(buffer, offset).map_err(|error| refused(error.into())),
            File::Memory(file) => file.read(buffer, offset),
        }
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> VfsResult<()> {
        match self {
            File::Main(file) => file.pages().write(bytes, offset).map_err(refused),
            File::Memory(file) => file.write(bytes, offset),
        }
    }

    fn truncate(&mut self, size: u64) -> VfsResult<()> {
        match self {
            File::Main(file) => file.pages().truncate(size).map_err(refused),
            File::Memory(file) => file.truncate(size),
        }
    }

    fn sync(&mut self, _options: SyncOptions) -> VfsResult<()> {
        Ok(())
    }

    fn size(&self) -> VfsResult<u64> {
        match self {
            File::Main(file) => Ok(file.pages().size),
            File::Memory(file) => file.size(),
        }
    }

    // The file has a single connection, so there is nothing to lock out.
    fn lock(&mut self, _level: LockLevel) -> VfsResult<()> {
        if let File::Main(file) = self {
            file.pages().locked = true;
        }
        Ok(())
    }

    fn unlock(&mut self, level: LockLevel) -> VfsResult<()> {
        if let File::Main(file) = self {
            file.pages().locked = level != LockLevel::None;
        }
        Ok(())
    }

    fn check_reserved_lock(&self) -> VfsResult<bool> {
        Ok(false)
    }

    fn device_characteristics(&self) -> DeviceCharacteristics {
        DeviceCharacteristics::POWERSAFE_OVERWRITE
            .union(DeviceCharacteristics::SAFE_APPEND)
            .union(DeviceCharacteristics::SUBPAGE_READ)
    }
}

struct PageStore;

impl VfsStore for PageStore {
    type File = File;
    type AppData = System;

    fn open_file(_data: &System, request: OpenRequest<'_>) -> VfsResult<OpenedFile<File>> {
        let file = if request.options.kind() == Some(FileKind::MainDb) {
            let missing = || VfsError::new(VfsErrorCode::CantOpen, "there is no other database file".into());
            File::Main(HANDOVER.take().ok_or_else(missing)?)
        } else {
            File::Memory(MemChunksFile::new(4096))
        };
        Ok(OpenedFile { file, access: request.options.access() })
    }

    fn close_file(_data: &System, _name: Option<&str>, file: File, _options: OpenOptions) -> VfsResult<()> {
        if let File::Main(file) = file {
            file.pages().open = false;
        }
        Ok(())
    }

    // SQLite looks for journals that a crash left behind: there are none, because the page log holds whole commits only.
    fn access(_data: &System, _name: &str, _mode: AccessMode) -> VfsResult<bool> {
        Ok(false)
    }

    fn full_pathname(_data: &System, name: &str) -> VfsResult<String> {
        Ok(name.to_owned())
    }

    fn delete_file(_data: &System, _name: &str, _sync_dir: bool) -> VfsResult<()> {
        Ok(())
    }
}

struct Io;

impl SQLiteIoMethods for Io {
    type Store = PageStore;

    #[allow(non_snake_case)]
    unsafe extern "C" fn xFileControl(
        file: *mut vfs_ffi::sqlite3_file,
        operation: c_int,
        _argument: *mut c_void,
    ) -> c_int {
        if operation == ffi::SQLITE_FCNTL_COMMIT_PHASETWO {
            // SAFETY: SQLite passes a file that our xOpen created, and makes no other call on it meanwhile.
            let handle = unsafe { (*SQLiteVfsFile::from_file(file)).handle::<File>() };
            if let File::Main(file) = handle {
                file.pages().boundary();
            }
        }
        ffi::SQLITE_NOTFOUND
    }
}

struct Vfs;

impl SQLiteVfs<Io> for Vfs {
    type Os = System;

    fn os(data: &System) -> &System {
        data
    }
}

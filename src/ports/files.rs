//! The files of one folder: what `node:fs`, `std::fs` and the access handles of a browser's private file system have in
//! common.

use super::{HeadInfo, LocalFuture};
use crate::error::Result;

/// Raw operations on the files of one folder. Names are plain, such as `"journal.1"`; others are refused, and symbolic
/// links are not followed (`database_corrupt`), so that nothing outside of the folder can be named.
///
/// Browsers open files asynchronously, but read and write open ones at once: so a file is prepared first, and everything
/// else is synchronous. Files that exist when a browser's folder is opened are prepared then, except those that
/// [`opens_later`](crate::store::folder::opens_later) names.
///
/// Fails with `storage_quota_exceeded` when the disk is full, else `storage_unavailable`; a missing file is no failure.
pub trait Files {
    /// Opens these files; creates those that don't exist, empty, and their folder. Once this resolves, their names survive a
    /// power cut. Without names it only connects again, where a connection can break.
    fn prepare(&self, names: Vec<String>) -> LocalFuture<'static, Result<()>>;

    /// Returns the names in the folder; an empty list when it doesn't exist.
    fn list(&self) -> Result<Vec<String>>;

    /// Returns the size of a file in bytes; `None` when it doesn't exist.
    fn size(&self, name: &str) -> Result<Option<u64>>;

    /// Returns `length` bytes from `at` on, or fewer at the end of the file. `None` when the file doesn't exist.
    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>>;

    /// Does the same as [`read`](Self::read). The memory of `buffer`, whose bytes don't matter, may serve for the result.
    fn read_into(&self, name: &str, at: u64, length: usize, _buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        self.read(name, at, length)
    }

    /// Writes all the bytes at `at` of a prepared file. They survive the end of the process, not a power cut.
    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()>;

    /// Truncates a file to that many bytes.
    fn truncate(&self, name: &str, bytes: u64) -> Result<()>;

    /// Syncs a file: once this returns, everything written to it survives a power cut.
    fn sync(&self, name: &str) -> Result<()>;

    /// Removes a file, if it exists. After a power cut it may be back.
    fn remove(&self, name: &str) -> Result<()>;

    /// Returns what a long series of reads waits for now and then: its thread's other tasks, which timers and signals are.
    /// `None` while they have waited only for some milliseconds.
    fn turn(&self) -> Option<LocalFuture<'static, ()>> {
        None
    }

    /// Stores what can be shown of the database without opening it, where that needs a file of its own. What fails is
    /// not reported: nothing else depends on it.
    fn describe(&self, _info: &HeadInfo) {}

    /// Closes the file handles that are kept open between calls.
    fn close(&self);
}

/// The files of a folder on a disk, where processes exclude each other by lock files.
pub trait LockFiles: Files {
    /// Creates a file with this content, and its folder. Returns `false` when the name is taken. On a disk without hard
    /// links the file is empty while it is being created.
    fn create(&self, name: &str, bytes: &[u8]) -> Result<bool>;
}

/// A process and its thread, identified so that a later one with the same number isn't mistaken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// The number under which the system lists the thread that has the database, since a thread may end before its
    /// process; the process id where threads aren't listed.
    pub thread: u32,
    /// Where the process id is valid: a machine, or a container with its own process ids.
    pub host: String,
    /// The thread's start time, in the platform's own form; empty where unknown. Process ids are reused.
    pub began: String,
}

/// The processes of this machine.
pub trait Processes {
    /// Returns this process and thread.
    fn me(&self) -> Process;

    /// Returns the start time of the process or thread with that id on this machine; `None` when there is none.
    fn began(&self, id: u32) -> Option<String>;
}

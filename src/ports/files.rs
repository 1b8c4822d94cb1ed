//! The files of one folder: the synchronous operations that `node:fs` and `std::fs` have in common.

use crate::error::Result;

/// Raw operations on the files below one folder. Names are relative to it: `""` is the folder itself, `"journal.1"` a
/// file in it, `"chunks/ab"` a file of a folder in it. Other names are refused, and symbolic links are not followed
/// (`database_corrupt`), so that nothing outside of the folder can be named.
///
/// Fails with `storage_quota_exceeded` when the disk is full, else `storage_unavailable`; a missing file is no failure.
pub trait Files {
    /// Returns the names in a folder; an empty list when there is no such folder.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Creates a folder and its parents, unless they exist.
    fn make_folder(&self, folder: &str) -> Result<()>;

    /// Returns the size of a file in bytes; `None` when it doesn't exist.
    fn size(&self, name: &str) -> Result<Option<u64>>;

    /// Returns `length` bytes from `at` on, or fewer at the end of the file. `None` when the file doesn't exist.
    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>>;

    /// Writes all the bytes at `at`; creates the file if needed. They survive the end of the process, not a power cut.
    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()>;

    /// Truncates a file to that many bytes.
    fn truncate(&self, name: &str, bytes: u64) -> Result<()>;

    /// Syncs a file: once this returns, everything written to it survives a power cut.
    fn sync(&self, name: &str) -> Result<()>;

    /// Syncs a folder: once this returns, the names in it survive a power cut. `".."` is the parent of the root folder.
    fn sync_folder(&self, folder: &str) -> Result<()>;

    /// Renames a file atomically; an existing file of the new name is replaced.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Gives a file a second name atomically. Returns `false` when the name is taken.
    fn link(&self, from: &str, to: &str) -> Result<bool>;

    /// Removes a file, if it exists.
    fn remove(&self, name: &str) -> Result<()>;

    /// Closes the file handles that are kept open between calls.
    fn close(&self);
}

/// A process, identified so that a later one with the same number isn't mistaken for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub pid: u32,
    /// Where the process id is valid: a machine, or a container with its own process ids.
    pub host: String,
    /// Its start time, in the platform's own form; empty where unknown. Process ids are reused.
    pub began: String,
}

/// The processes of this machine.
pub trait Processes {
    /// Returns this process.
    fn me(&self) -> Process;

    /// Returns the start time of the process with that id on this machine; `None` when there is none.
    fn began(&self, pid: u32) -> Option<String>;
}

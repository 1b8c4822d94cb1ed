//! The files of one folder, as raw as they come: what `node:fs` and `std::fs` both do at once, without waiting.

use crate::error::Result;

/// Raw operations on the files below one folder. Names are relative to it: `""` is the folder itself, `"journal.1"` a file in it,
/// `"chunks/ab"` one of a folder in it. No other name is taken, and symbolic links are not followed (`database_corrupt`): nothing
/// outside of the folder can be named.
///
/// Failures: `storage_quota_exceeded` when the disk is full, else `storage_unavailable`; a file that isn't there is none.
pub trait Files {
    /// The names in a folder; nothing where there is no such folder.
    fn list(&self, folder: &str) -> Result<Vec<String>>;

    /// Makes a folder, and those around it, unless it is there.
    fn make_folder(&self, folder: &str) -> Result<()>;

    /// Bytes of a file; `None` where there is none.
    fn size(&self, name: &str) -> Result<Option<u64>>;

    /// Bytes from `at` on: `length` of them, or fewer at the end of the file. `None` where there is no such file.
    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>>;

    /// Writes all the bytes at `at`, making the file if there is none. They survive this process, not a power cut.
    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> Result<()>;

    /// Cuts a file to that many bytes.
    fn truncate(&self, name: &str, bytes: u64) -> Result<()>;

    /// Everything that was written to the file survives a power cut once this returns.
    fn sync(&self, name: &str) -> Result<()>;

    /// The names in a folder survive a power cut once this returns; `".."` is the folder around them all.
    fn sync_folder(&self, folder: &str) -> Result<()>;

    /// Gives a file another name, at once; a file of that name is replaced.
    fn rename(&self, from: &str, to: &str) -> Result<()>;

    /// Gives a file a second name, at once; `false` when that name is taken.
    fn link(&self, from: &str, to: &str) -> Result<bool>;

    /// Removes a file, if it is there.
    fn remove(&self, name: &str) -> Result<()>;

    /// Lets go of what is kept open between calls.
    fn close(&self);
}

/// A process, so that nobody takes another one for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Process {
    /// Its number.
    pub pid: u32,
    /// Where that number means something: a machine, or a part of one with processes of its own.
    pub host: String,
    /// When it began, in whatever form the platform has it; empty when it doesn't say. Numbers are used again.
    pub began: String,
}

/// The processes of this machine.
pub trait Processes {
    /// This one.
    fn me(&self) -> Process;

    /// When the process of that number on this machine began; `None` when there is none.
    fn began(&self, pid: u32) -> Option<String>;
}

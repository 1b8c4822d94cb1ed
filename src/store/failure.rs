//! The errors that all stores share.

use crate::{
    error::{Error, ErrorCode},
    ports::ChunkId,
};

/// The feature of a head that means: the database is in another storage. Readers that don't know it refuse the head.
pub const ELSEWHERE: &str = "elsewhere";

/// Returns the error of a storage that doesn't have the database, because another one has it.
pub fn elsewhere() -> Error {
    Error::invalid("The database is in another storage of this browser")
        .hint("databases() shows in which one; moveStorage moves it")
        .detail("option", "storage")
}

/// Describes a head that was damaged or missing, and had a copy.
pub const HEAD_RESTORED: &str = "the head record of the database was damaged, and was restored from its copy; nothing is \
     lost, but if it happens again, the disk may be failing";

/// The message and the hint of a folder on a full disk.
pub const DISK_FULL: (&str, &str) = (
    "The disk of the database's folder is full",
    "Free some space there: what waits is stored then. Snapshots that aren't needed can be deleted",
);

/// The message and the hint of a folder that fails in another way.
pub const FOLDER_UNUSABLE: (&str, &str) =
    ("The database's folder can't be used", "The cause says why: check the folder's path and its permissions");

/// Returns the error of a fenced-out holder.
pub fn lock_lost() -> Error {
    Error::new(
        ErrorCode::LockLost,
        "Another holder took this database, or its data was deleted: this one can't write any more",
    )
    .hint("Close this database and open it again")
}

/// Returns the error of a holder whose folder was removed, or has another name.
pub fn folder_lost() -> Error {
    Error::new(ErrorCode::LockLost, "The database's folder was removed or moved while the database was open").hint(
        "Close this database. If its folder was moved, put it back, then open the database again; in a browser, the \
             data of this site was deleted",
    )
}

/// Returns the error of a holder whose journal has less than it has written.
pub fn journal_cut() -> Error {
    Error::new(
        ErrorCode::LockLost,
        "The database's journal was cut short, or replaced by an older copy, while the database was open",
    )
    .hint("Close this database, and find out what changes its files; recover(name) opens what is left of it")
}

/// Returns the error of a manifest whose chunk isn't stored.
pub fn missing_chunk(id: &ChunkId) -> Error {
    Error::new(ErrorCode::SnapshotCorrupt, "A chunk of the snapshot is not stored")
        .hint("Take another snapshot: this one was not stored")
        .detail("chunk", id.to_string())
}

/// Creates a `database_corrupt` error.
pub fn corrupt(message: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, message).hint("Nothing was changed; recover(name) opens the last good state")
}

/// Creates a `database_corrupt` error of files that `recover` can't read either.
pub fn beyond_recovery(message: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, message)
        .hint("Restore an exported snapshot, or a copy of the folder; deleteDatabase removes what is left")
}

/// Returns the error of a symbolic link, or of another special file, in a database's folder.
pub fn not_plain(path: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, "The database's folder contains a symbolic link or another special file")
        .hint("Nothing was changed; tidelock uses plain files and folders only: remove the link, or replace it with its target")
        .detail("path", path)
}

/// Creates a `decryption_failed` error.
pub fn refused(message: &str) -> Error {
    Error::new(ErrorCode::DecryptionFailed, message).hint("Nothing was changed; open it with the right `encryption`")
}

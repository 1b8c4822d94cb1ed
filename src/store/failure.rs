//! The failures that every store words alike.

use crate::error::{Error, ErrorCode};

/// The error of a holder that was robbed.
pub fn lock_lost() -> Error {
    Error::new(ErrorCode::LockLost, "Another holder has taken this database; nothing more can be written from here")
        .hint("Close this database and open it again")
}

/// The error of a manifest whose chunk isn't stored.
pub fn missing_chunk(id: &str) -> Error {
    Error::new(ErrorCode::SnapshotCorrupt, "A chunk of the snapshot is not stored")
        .hint("Take another one: this one was not kept")
        .detail("chunk", id)
}

/// `database_corrupt`.
pub fn corrupt(message: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, message).hint("Nothing was changed; recover(name) opens the last good state")
}

/// The error of a symbolic link, or of another special file, in a database's folder.
pub fn not_plain(path: &str) -> Error {
    Error::new(ErrorCode::DatabaseCorrupt, "The database's folder has a symbolic link or another special file in it")
        .hint("Nothing was changed; tidelock makes plain files and folders only: remove the link, or put in its place what it points to")
        .detail("path", path)
}

/// `decryption_failed`.
pub fn refused(message: &str) -> Error {
    Error::new(ErrorCode::DecryptionFailed, message).hint("Nothing was changed; open it with the right `encryption`")
}

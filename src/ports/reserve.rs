//! Space held in reserve in a database's folder: a full disk still takes the few kilobytes of an opening, and of a deletion.

use super::Files;
use crate::error::{ErrorCode, Result};

/// The file whose bytes hold the space. They mean nothing, but that a closed journal's end stands at their beginning.
pub const RESERVE: &str = "reserve";
/// More than the frames of one deletion: chunks are deleted some hundreds at a time.
const RESERVE_BYTES: usize = 64 * 1024;

/// Takes the reserve again, or as much of it as the disk has room for. The file must be prepared.
pub fn refill_reserve(files: &dyn Files) {
    if matches!(files.size(RESERVE), Ok(Some(bytes)) if bytes < RESERVE_BYTES as u64) {
        let _ = files.write(RESERVE, 0, &[0; RESERVE_BYTES]);
    }
}

/// Does `write`, which the database can't do without. On a full disk it is done again with the space of the reserve, and what
/// is left of that is taken again.
pub fn write_with_reserve<T>(files: &dyn Files, mut write: impl FnMut() -> Result<T>) -> Result<T> {
    let written = write();
    let is_full = written.as_ref().is_err_and(|error| error.is(ErrorCode::StorageQuotaExceeded));
    if !is_full || files.size(RESERVE)?.unwrap_or_default() == 0 {
        return written;
    }
    files.truncate(RESERVE, 0)?;
    let written = write();
    refill_reserve(files);
    written
}

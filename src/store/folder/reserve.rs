//! Space held in reserve, so that a full disk still takes the few kilobytes of a deletion.

use crate::{error::Result, ports::Files};

/// The file whose bytes, which mean nothing, hold the space.
pub const RESERVE: &str = "reserve";
/// More than the frames of one deletion: chunks are deleted some hundreds at a time.
const RESERVE_BYTES: usize = 64 * 1024;

/// Takes the reserve again, if the disk has room for it. The file must be prepared.
pub fn refill(files: &dyn Files) {
    if matches!(files.size(RESERVE), Ok(Some(bytes)) if bytes < RESERVE_BYTES as u64)
        && files.write(RESERVE, 0, &[0; RESERVE_BYTES]).is_err()
    {
        // A part of it would be missing where more is needed.
        let _ = files.truncate(RESERVE, 0);
    }
}

/// Gives the space back. Returns whether there was any.
pub fn release(files: &dyn Files) -> Result<bool> {
    let held = files.size(RESERVE)?.unwrap_or_default() > 0;
    if held {
        files.truncate(RESERVE, 0)?;
    }
    Ok(held)
}

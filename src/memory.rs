//! Room in memory, for what can't say that there was none.

use std::hint::black_box;

use crate::error::{Error, ErrorCode, Result};

/// Fails with `out_of_memory` unless so many bytes can be had just now. For sizes that come from data, right before what
/// allocates them in many pieces: where one of those failed, the whole instance would end.
pub fn room_for(bytes: u64) -> Result<()> {
    // For what each piece takes by itself.
    let bytes = bytes.saturating_add(bytes / 16 + 64 * 1024);
    let mut room = Vec::<u8>::new();
    let had = usize::try_from(bytes).is_ok_and(|bytes| room.try_reserve_exact(bytes).is_ok());
    // The compiler must not find out that nobody uses it.
    black_box(&room);
    if had { Ok(()) } else { Err(no_memory("for this much data").detail("bytes", bytes)) }
}

/// `out_of_memory`.
pub fn no_memory(what: &str) -> Error {
    Error::new(ErrorCode::OutOfMemory, format!("There is no memory {what}"))
        .hint("Close other databases and tabs, or work on less at once")
}

//! A check for free memory, ahead of code that can't report a failed allocation.

use std::hint::black_box;

use crate::error::{Error, ErrorCode, Result};

/// Fails with `out_of_memory` unless `bytes` bytes can be allocated now. For sizes that come from data, right before
/// code that allocates them in many pieces: a failed allocation there would end the whole instance.
pub fn room_for(bytes: u64) -> Result<()> {
    // Each piece has an overhead of its own.
    reserved(bytes.saturating_add(bytes / 16 + 64 * 1024)).map(drop)
}

/// Fails as [`room_for`] does, for bytes in pieces of up to so many each. Pieces fit between other allocations; room for all of
/// them in one place would often be a new part of the wasm's memory, which never shrinks.
pub fn room_for_pieces(bytes: u64, piece_bytes: u64) -> Result<()> {
    let mut pieces = Vec::new();
    let mut left = bytes;
    while left > 0 {
        let length = left.min(piece_bytes);
        pieces.push(reserved(length).map_err(|error| error.detail("bytes", bytes))?);
        left -= length;
    }
    Ok(())
}

/// Reserves bytes in one place until the result is dropped. Fails as [`room_for`] does.
pub fn reserved(bytes: u64) -> Result<Vec<u8>> {
    let mut piece = Vec::new();
    let had = usize::try_from(bytes).is_ok_and(|bytes| piece.try_reserve_exact(bytes).is_ok());
    if !had {
        return Err(no_memory("for this much data").detail("bytes", bytes));
    }
    // Keeps the compiler from removing the allocation as unused.
    Ok(black_box(piece))
}

/// Returns a buffer of this length, whose bytes don't matter: the given one, if its memory suffices.
pub fn resized(mut buffer: Vec<u8>, length: usize) -> Vec<u8> {
    if buffer.capacity() < length {
        // Growing would first copy what the buffer has, and set the rest byte by byte.
        return vec![0; length];
    }
    buffer.resize(length, 0);
    buffer
}

/// Creates an `out_of_memory` error.
pub fn no_memory(what: &str) -> Error {
    Error::new(ErrorCode::OutOfMemory, format!("There is no memory {what}"))
        .hint("Close other databases and tabs, or process less data at once")
}

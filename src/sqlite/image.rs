//! A whole database file in memory, split into chunks.

use std::rc::Rc;

use crate::{error::Result, memory::no_memory};

/// The size of a chunk in bytes: a multiple of every SQLite page size, so that no page spans two chunks.
pub const CHUNK_SIZE: usize = 64 * 1024;

/// The size in bytes of the parts of a chunk that change on their own: a usual page.
pub(super) const BLOCK_SIZE: usize = 4096;

/// A chunk in memory, always [`CHUNK_SIZE`] long, zero behind the end of the file, or a part of one. Shared with pins: copied
/// before the first write after a pin.
pub(super) type Chunk = Rc<Box<[u8]>>;

/// The bytes of a database file. All chunks have [`CHUNK_SIZE`] bytes, except the last one, which may be shorter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The page size in bytes; 0 when the database is empty.
    pub page_size: u32,
    /// The chunks of the file in order.
    pub chunks: Vec<Box<[u8]>>,
}

impl Image {
    /// Splits a `.sqlite` file into chunks. Doesn't check the bytes: opening the file does.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self {
            page_size: page_size_of(bytes).unwrap_or(0),
            chunks: bytes.chunks(CHUNK_SIZE).map(|chunk| chunk.to_vec().into_boxed_slice()).collect(),
        }
    }

    /// Creates an image of `length` bytes; `read` fills each chunk, given its offset. Fails with `out_of_memory`, and when
    /// `read` fails.
    pub fn read(length: u64, mut read: impl FnMut(u64, &mut [u8]) -> Result<()>) -> Result<Self> {
        let no_memory = || no_memory("for the database file").detail("bytes", length);
        let mut chunks: Vec<Box<[u8]>> = Vec::new();
        let mut at = 0;
        while at < length {
            let size = (length - at).min(CHUNK_SIZE as u64) as usize;
            let mut chunk = Vec::new();
            chunk.try_reserve_exact(size).map_err(|_| no_memory())?;
            chunk.resize(size, 0);
            read(at, &mut chunk)?;
            chunks.try_reserve(1).map_err(|_| no_memory())?;
            chunks.push(chunk.into_boxed_slice());
            at += size as u64;
        }
        let page_size = chunks.first().and_then(|first| page_size_of(first)).unwrap_or(0);
        Ok(Self { page_size, chunks })
    }

    /// Returns the file in one piece, as a user may save it as `.sqlite`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.chunks.concat()
    }

    /// Returns the file's length in bytes.
    pub fn len(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// Returns whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

/// Returns the page size from a database's header; `None` when the bytes don't begin a database.
pub(super) fn page_size_of(header: &[u8]) -> Option<u32> {
    if !header.starts_with(b"SQLite format 3\0") {
        return None;
    }
    let size = match u16::from_be_bytes([*header.get(16)?, *header.get(17)?]) {
        1 => 65536,
        size => u32::from(size),
    };
    (size >= 512 && size.is_power_of_two()).then_some(size)
}

/// Returns zeros. Fails with `out_of_memory`.
pub(super) fn zeros(length: usize) -> Result<Box<[u8]>> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(length).map_err(|_| no_memory("for the database file"))?;
    bytes.resize(length, 0);
    Ok(bytes.into_boxed_slice())
}

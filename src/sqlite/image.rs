//! A whole database file in memory, cut into chunks.

/// Bytes of a chunk: a multiple of every page size that SQLite knows, so that a page never straddles two.
pub const CHUNK_SIZE: usize = 64 * 1024;

/// The bytes of a database file. All chunks but the last are [`CHUNK_SIZE`] long; the last one may be shorter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// The page size in bytes; 0 when the database is empty.
    pub page_size: u32,
    /// The file in order.
    pub chunks: Vec<Box<[u8]>>,
}

impl Image {
    /// The file's length in bytes.
    pub fn len(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.len() as u64).sum()
    }

    /// Whether there is no data at all.
    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

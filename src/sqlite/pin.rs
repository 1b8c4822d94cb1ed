//! A frozen view of a database file.

use super::{
    image::{CHUNK_SIZE, Chunk},
    paged::PinnedBytes,
};
use crate::error::Result;

/// A frozen view of a [`PageFile`]; dropping it frees the copies.
pub struct Pin {
    pub(super) chunks: PinnedChunks,
    pub(super) size: u64,
    pub(super) page_size: u32,
}

pub(super) enum PinnedChunks {
    Whole(Vec<Chunk>),
    Paged(Box<dyn PinnedBytes>),
}

impl Pin {
    /// Returns the file's length in bytes when it was pinned.
    pub fn bytes(&self) -> u64 {
        self.size
    }

    /// Returns the page size when it was pinned.
    pub fn page_size(&self) -> u32 {
        self.page_size
    }

    /// Returns whether only a part of the file is in memory.
    pub fn is_paged(&self) -> bool {
        matches!(self.chunks, PinnedChunks::Paged(_))
    }

    /// Returns the number of chunks.
    pub fn chunk_count(&self) -> u32 {
        self.size.div_ceil(CHUNK_SIZE as u64) as u32
    }

    /// Returns a copy of a chunk as it was when pinned: [`CHUNK_SIZE`] bytes, except for the last. Panics beyond the last.
    /// Fails only if it can't be read.
    pub fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        self.with_chunk(index, |bytes| bytes.to_vec())
    }

    /// Passes a chunk as it was when pinned to `take`, if possible without a copy. Panics beyond the last. Fails only if it
    /// can't be read.
    pub fn with_chunk<T>(&self, index: u32, take: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let start = u64::from(index) * CHUNK_SIZE as u64;
        let length = (self.size - start).min(CHUNK_SIZE as u64) as usize;
        match &self.chunks {
            PinnedChunks::Whole(chunks) => Ok(take(&chunks[index as usize][..length])),
            PinnedChunks::Paged(paged) => paged.chunk(index, length).map(|bytes| take(&bytes)),
        }
    }

    /// Returns the text encoding, as `PRAGMA encoding` names it; `None` when the database is empty. Fails only if it can't be
    /// read.
    pub fn encoding(&self) -> Result<Option<&'static str>> {
        if self.size == 0 {
            return Ok(None);
        }
        // https://sqlite.org/fileformat.html#text_encoding
        let number = self.with_chunk(0, |header| header.get(59).copied())?;
        Ok(Some(match number {
            Some(2) => "UTF-16le",
            Some(3) => "UTF-16be",
            _ => "UTF-8",
        }))
    }
}

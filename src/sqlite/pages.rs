//! The bytes of one database file, and which of its pages are committed.

use std::rc::Rc;

use super::image::{CHUNK_SIZE, Image, page_size_of};
use crate::collections::Bits;

/// Why a write to the file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// The file would exceed its size limit.
    TooLarge,
    /// Memory ran out.
    NoMemory,
}

/// A chunk, always [`CHUNK_SIZE`] long, zero behind the end of the file. Shared with pins: copied before the first
/// write after a pin.
pub(super) type Chunk = Rc<Box<[u8]>>;

/// The file. SQLite writes to it only while it commits (`cache_spill=OFF`) or rolls back a failed commit, so that between
/// two calls of SQLite its bytes are always those of the last commit.
#[derive(Debug)]
pub(super) struct Pages {
    pub chunks: Vec<Chunk>,
    /// The size of the file in bytes.
    pub size: u64,
    /// The page size that `dirty` and `ready` count in; 0 while the file is empty.
    pub page_size: u32,
    /// Pages written since the last boundary, not committed yet.
    dirty: Bits,
    /// Committed pages that were not taken yet.
    pub ready: Bits,
    /// Chunks changed by commits since a snapshot took them.
    pub touched: Bits,
    /// The size of the file in bytes at the last boundary.
    committed: u64,
    pub commits: u64,
    pub max_bytes: u64,
    /// Whether the file has a connection.
    pub open: bool,
}

impl Default for Pages {
    fn default() -> Self {
        Self::new(Image::default())
    }
}

impl Pages {
    pub fn new(image: Image) -> Self {
        let size = image.len();
        let mut chunks: Vec<Chunk> = Vec::with_capacity(image.chunks.len());
        for chunk in image.chunks {
            let chunk = if chunk.len() == CHUNK_SIZE {
                chunk
            } else {
                let mut whole = chunk.into_vec();
                whole.resize(CHUNK_SIZE, 0);
                whole.into_boxed_slice()
            };
            chunks.push(Rc::new(chunk));
        }
        let header_page_size = chunks.first().and_then(|chunk| page_size_of(chunk));
        Self {
            chunks,
            size,
            page_size: header_page_size.unwrap_or(image.page_size),
            dirty: Bits::new(),
            ready: Bits::new(),
            touched: Bits::new(),
            committed: size,
            commits: 0,
            max_bytes: u64::MAX,
            open: false,
        }
    }

    /// Returns the number of pages.
    pub fn page_count(&self) -> u32 {
        if self.page_size == 0 { 0 } else { (self.size / u64::from(self.page_size)) as u32 }
    }

    /// Reads up to the end of the file; returns the number of bytes read.
    pub fn read(&self, buffer: &mut [u8], offset: u64) -> usize {
        let length = (buffer.len() as u64).min(self.size.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < length {
            let at = offset as usize + done;
            let inside = at % CHUNK_SIZE;
            let part = (CHUNK_SIZE - inside).min(length - done);
            buffer[done..done + part].copy_from_slice(&self.chunks[at / CHUNK_SIZE][inside..inside + part]);
            done += part;
        }
        length
    }

    pub fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Refused> {
        let end = offset + bytes.len() as u64;
        if end > self.size && end > self.max_bytes || usize::try_from(end).is_err() {
            return Err(Refused::TooLarge);
        }
        if self.page_size == 0 {
            // SQLite writes whole pages; the boundary checks this guess against the header.
            let whole = bytes.len().is_power_of_two() && (512..=CHUNK_SIZE).contains(&bytes.len());
            self.page_size = if whole { bytes.len() as u32 } else { 4096 };
        }
        let needed = (end as usize).div_ceil(CHUNK_SIZE);
        while self.chunks.len() < needed {
            self.chunks.try_reserve(1).map_err(|_| Refused::NoMemory)?;
            self.chunks.push(Rc::new(zeros()?));
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = offset as usize + done;
            let inside = at % CHUNK_SIZE;
            let part = (CHUNK_SIZE - inside).min(bytes.len() - done);
            let chunk = own(&mut self.chunks[at / CHUNK_SIZE])?;
            chunk[inside..inside + part].copy_from_slice(&bytes[done..done + part]);
            done += part;
        }
        // Skipped bytes are new zeros, which belong to this write.
        self.mark(offset.min(self.size), end);
        self.size = self.size.max(end);
        Ok(())
    }

    /// Truncates the file. Never grows it: SQLite doesn't need that.
    pub fn truncate(&mut self, size: u64) -> Result<(), Refused> {
        if size >= self.size {
            return Ok(());
        }
        let inside = size as usize % CHUNK_SIZE;
        if inside != 0 {
            // Growing the file again must find zeros behind the cut.
            own(&mut self.chunks[size as usize / CHUNK_SIZE])?[inside..].fill(0);
        }
        let chunks = (size as usize).div_ceil(CHUNK_SIZE);
        self.chunks.truncate(chunks);
        self.size = size;
        self.touched.truncate(chunks as u32);
        if inside != 0 {
            self.touched.insert(chunks as u32 - 1);
        }
        if self.page_size > 0 {
            let pages = size.div_ceil(u64::from(self.page_size)) as u32;
            self.dirty.truncate(pages);
            self.ready.truncate(pages);
        }
        Ok(())
    }

    /// Clears the mark of WAL mode in a file's header, as a commit: the wasm build of SQLite refuses such files, and the WAL
    /// file itself can't be here, so clearing the mark is enough.
    pub fn leave_wal(&mut self) -> Result<(), Refused> {
        let marked = |header: &Chunk| page_size_of(header).is_some() && header[18..20] == [2, 2];
        if self.chunks.first().is_some_and(marked) {
            self.write(&[1, 1], 18)?;
            self.boundary();
        }
        Ok(())
    }

    /// Records that SQLite finished a commit: the dirty pages become part of it.
    pub fn boundary(&mut self) {
        if self.dirty.is_empty() && self.size == self.committed {
            return;
        }
        let header_page_size = self.chunks.first().and_then(|chunk| page_size_of(chunk));
        match header_page_size {
            Some(page_size) if page_size != self.page_size => {
                // VACUUM or a restore changed the page size, so earlier page numbers mean other pages.
                self.page_size = page_size;
                self.touched = Bits::below(self.chunks.len() as u32);
                self.make_all_ready();
            }
            _ => {
                let pages_per_chunk = (CHUNK_SIZE as u32 / self.page_size.max(512)).max(1);
                for page in self.dirty.to_vec() {
                    self.touched.insert(page / pages_per_chunk);
                }
                if self.ready.is_empty() {
                    std::mem::swap(&mut self.ready, &mut self.dirty);
                } else {
                    self.ready.add(&self.dirty);
                }
            }
        }
        if self.size == 0 {
            self.page_size = 0;
        }
        self.dirty.clear();
        self.committed = self.size;
        self.commits += 1;
    }

    pub fn make_all_ready(&mut self) {
        self.ready = Bits::below(self.page_count());
    }

    fn mark(&mut self, from: u64, to: u64) {
        let page_size = u64::from(self.page_size);
        for page in from / page_size..to.div_ceil(page_size) {
            self.dirty.insert(page as u32);
        }
    }
}

fn zeros() -> Result<Box<[u8]>, Refused> {
    let mut bytes = Vec::new();
    bytes.try_reserve_exact(CHUNK_SIZE).map_err(|_| Refused::NoMemory)?;
    bytes.resize(CHUNK_SIZE, 0);
    Ok(bytes.into_boxed_slice())
}

/// Returns the chunk for writing; copies it first if a pin shares it.
fn own(chunk: &mut Chunk) -> Result<&mut [u8], Refused> {
    if Rc::get_mut(chunk).is_none() {
        let mut copy = Vec::new();
        copy.try_reserve_exact(CHUNK_SIZE).map_err(|_| Refused::NoMemory)?;
        copy.extend_from_slice(chunk);
        *chunk = Rc::new(copy.into_boxed_slice());
    }
    Rc::get_mut(chunk).map(|chunk| &mut **chunk).ok_or(Refused::NoMemory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_bytes_never_come_back() {
        let mut pages = Pages::default();
        let last = 3 * CHUNK_SIZE as u64 + 4096;
        for offset in [0, last] {
            pages.write(&[7; 4096], offset).unwrap();
        }
        pages.truncate(CHUNK_SIZE as u64 + 100).unwrap();
        pages.truncate(50).unwrap();
        pages.write(&[8; 4096], last).unwrap();
        let mut bytes = vec![9; last as usize + 5000];
        assert_eq!(pages.read(&mut bytes, 0), last as usize + 4096);
        assert!(bytes[..50] == [7; 50] && bytes[50..last as usize].iter().all(|byte| *byte == 0));
        // The skipped pages are new, so they are in the batch.
        pages.boundary();
        assert_eq!(pages.ready.len(), pages.page_count() as usize);
        assert_eq!(pages.read(&mut bytes, last + 4096), 0);
    }
}

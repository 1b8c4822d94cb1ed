//! The bytes of one database file, and which of its pages are committed.

use std::rc::Rc;

use super::{
    contents::FileContents,
    image::{CHUNK_SIZE, Chunk, page_size_of, zeros},
    paged::PagedBytes,
    pin::{Pin, PinnedChunks},
};
use crate::{
    collections::Bits,
    error::{Error, ErrorCode, Result},
    memory::room_for,
};

/// Free memory that a growing file leaves for everything that can't report a failed allocation: results, errors, requests.
const HEADROOM: u64 = 256 * 1024;

/// Where the header has its version, and the version for which the size in it is valid.
const CHANGE_COUNTER: usize = 24;
const VERSION_VALID_FOR: usize = 92;
/// Larger than the steps in which SQLite counts, so that the two never give a header the same version.
const VERSION_STEP: u32 = 1 << 16;

/// Why a write to the file was refused.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Refused {
    /// The file would exceed its size limit.
    TooLarge,
    /// Memory ran out.
    NoMemory,
    /// The stored state can't be read.
    Unreadable(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        if error.is(ErrorCode::OutOfMemory) { Self::NoMemory } else { Self::Unreadable(error) }
    }
}

/// The file. SQLite writes to it only while it commits (`cache_spill=OFF`) or rolls back a failed commit, so that between
/// two calls of SQLite its bytes are always those of the last commit.
pub(super) struct Pages {
    /// Its bytes, unless it is `paged`.
    pub chunks: Vec<Chunk>,
    /// Its bytes, if only a part of it is in memory.
    pub paged: Option<Box<dyn PagedBytes>>,
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
    /// Whether SQLite holds its lock on the file, and trusts its cached pages.
    pub locked: bool,
}

impl Default for Pages {
    fn default() -> Self {
        Self::new(FileContents::default())
    }
}

impl Pages {
    pub fn new(contents: FileContents) -> Self {
        let (size, page_size) = (contents.bytes(), contents.page_size());
        let (chunks, paged) = match contents {
            FileContents::Whole(image) => (image.chunks.into_iter().map(whole_chunk).collect(), None),
            FileContents::Paged(paged) => (Vec::new(), Some(paged)),
        };
        let mut pages = Self {
            chunks,
            paged,
            size,
            page_size,
            dirty: Bits::new(),
            ready: Bits::new(),
            touched: Bits::new(),
            committed: size,
            commits: 0,
            max_bytes: u64::MAX,
            open: false,
            locked: false,
        };
        pages.page_size = pages.header_page_size().unwrap_or(page_size);
        pages
    }

    /// Returns the page size in the file's header, if it can be read.
    fn header_page_size(&mut self) -> Option<u32> {
        let mut header = [0; 100];
        let length = self.read(&mut header, 0).unwrap_or_default();
        page_size_of(&header[..length])
    }

    /// Returns the number of chunks.
    pub fn chunk_count(&self) -> u32 {
        self.size.div_ceil(CHUNK_SIZE as u64) as u32
    }

    /// Returns the number of pages.
    pub fn page_count(&self) -> u32 {
        if self.page_size == 0 { 0 } else { (self.size / u64::from(self.page_size)) as u32 }
    }

    /// Reads up to the end of the file; returns the number of bytes read. Fails only if it is paged.
    pub fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        if let Some(paged) = &mut self.paged {
            return paged.read(buffer, offset);
        }
        let length = (buffer.len() as u64).min(self.size.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < length {
            let at = offset as usize + done;
            let inside = at % CHUNK_SIZE;
            let part = (CHUNK_SIZE - inside).min(length - done);
            buffer[done..done + part].copy_from_slice(&self.chunks[at / CHUNK_SIZE][inside..inside + part]);
            done += part;
        }
        Ok(length)
    }

    pub fn write(&mut self, bytes: &[u8], offset: u64) -> Result<(), Refused> {
        let end = offset + bytes.len() as u64;
        if end > self.size && end > self.max_bytes || self.paged.is_none() && usize::try_from(end).is_err() {
            return Err(Refused::TooLarge);
        }
        if self.page_size == 0 {
            // SQLite writes whole pages; the boundary checks this guess against the header.
            let whole = bytes.len().is_power_of_two() && (512..=CHUNK_SIZE).contains(&bytes.len());
            self.page_size = if whole { bytes.len() as u32 } else { 4096 };
        }
        match &mut self.paged {
            Some(paged) => paged.write(bytes, offset)?,
            None => self.write_in_memory(bytes, offset, end)?,
        }
        // Skipped bytes are new zeros, which belong to this write.
        self.mark(offset.min(self.size), end);
        self.size = self.size.max(end);
        Ok(())
    }

    fn write_in_memory(&mut self, bytes: &[u8], offset: u64, end: u64) -> Result<(), Refused> {
        let needed = (end as usize).div_ceil(CHUNK_SIZE);
        while self.chunks.len() < needed {
            self.chunks.try_reserve(1).map_err(|_| Refused::NoMemory)?;
            let chunk = zeros(CHUNK_SIZE)?;
            room_for(HEADROOM)?;
            self.chunks.push(Rc::new(chunk));
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
        Ok(())
    }

    /// Truncates the file. Never grows it: SQLite doesn't need that.
    pub fn truncate(&mut self, size: u64) -> Result<(), Refused> {
        if size >= self.size {
            return Ok(());
        }
        let inside = (size % CHUNK_SIZE as u64) as usize;
        let chunks = size.div_ceil(CHUNK_SIZE as u64) as u32;
        if let Some(paged) = &mut self.paged {
            paged.truncate(size)?;
        } else {
            if inside != 0 {
                // Growing the file again must find zeros behind the cut.
                own(&mut self.chunks[chunks as usize - 1])?[inside..].fill(0);
            }
            self.chunks.truncate(chunks as usize);
        }
        self.size = size;
        self.touched.truncate(chunks);
        if inside != 0 {
            self.touched.insert(chunks - 1);
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
        let mut header = [0; 100];
        let length = self.read(&mut header, 0)?;
        if page_size_of(&header[..length]).is_some() && header[18..20] == [2, 2] {
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
        self.renew_header();
        // The header is read where it is in memory: in what was just written.
        let header_page_size = if self.dirty.contains(0) { self.header_page_size() } else { None };
        match header_page_size {
            Some(page_size) if page_size != self.page_size => {
                // VACUUM or a restore changed the page size, so earlier page numbers mean other pages.
                self.page_size = page_size;
                self.touched = Bits::below(self.chunk_count());
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

    /// Gives the header another version, unless a commit since the last snapshot has: if two snapshots shared the first chunk, with
    /// the schema, one damaged byte would cost everything. SQLite itself, which holds its lock, counts only what changes the header.
    fn renew_header(&mut self) {
        let mut header = [0; 100];
        if self.touched.contains(0) || self.dirty.contains(0) || !matches!(self.read(&mut header, 0), Ok(100)) {
            return;
        }
        let number = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (counter, valid_for) = (number(CHANGE_COUNTER), number(VERSION_VALID_FOR));
        let next = counter.wrapping_add(VERSION_STEP);
        header[CHANGE_COUNTER..][..4].copy_from_slice(&next.to_be_bytes());
        if valid_for == counter {
            header[VERSION_VALID_FOR..][..4].copy_from_slice(&next.to_be_bytes());
        }
        // A page that can't be written stays as it was.
        let _ = self.write(&header[CHANGE_COUNTER..VERSION_VALID_FOR + 4], CHANGE_COUNTER as u64);
    }

    /// Undoes what was written since the last boundary, when the file had this content.
    pub fn revert(&mut self, before: &Pin) {
        match (&mut self.paged, &before.chunks) {
            (Some(paged), PinnedChunks::Paged(pin)) => paged.revert(before.size, &**pin),
            (_, PinnedChunks::Whole(chunks)) => self.chunks.clone_from(chunks),
            (None, PinnedChunks::Paged(_)) => {}
        }
        self.size = before.size;
        self.page_size = before.page_size;
        self.dirty.clear();
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

/// Returns the chunk of an image with zeros behind its end.
fn whole_chunk(chunk: Box<[u8]>) -> Chunk {
    if chunk.len() == CHUNK_SIZE {
        return Rc::new(chunk);
    }
    let mut whole = chunk.into_vec();
    whole.resize(CHUNK_SIZE, 0);
    Rc::new(whole.into_boxed_slice())
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
        assert_eq!(pages.read(&mut bytes, 0).unwrap(), last as usize + 4096);
        assert!(bytes[..50] == [7; 50] && bytes[50..last as usize].iter().all(|byte| *byte == 0));
        // The skipped pages are new, so they are in the batch.
        pages.boundary();
        assert_eq!(pages.ready.len(), pages.page_count() as usize);
        assert_eq!(pages.read(&mut bytes, last + 4096).unwrap(), 0);
    }
}

//! A file some of whose stored chunks are damaged. Each of their pages can be read once it was written whole: a chunk, or a block
//! of it, may have several, of which the log has only some.

use std::{hint::black_box, rc::Rc};

use super::{
    image::CHUNK_SIZE,
    paged::{CacheUsage, ChangedBlocks, PagedBytes, PinnedBytes, StoredPages},
};
use crate::error::{Error, ErrorCode, Result};

/// Makes the pages of damaged chunks unreadable until they are written; the stored state may have any bytes there. An entry of
/// the part `stores`, like [`paged`](super::paged).
#[inline(never)]
pub fn lacking(contents: Box<dyn PagedBytes>, is_damaged: impl Fn(u32) -> bool) -> Box<dyn PagedBytes> {
    // A forged state may have pages of any size.
    let page_size = u64::from(contents.page_size().max(512));
    let pages = 0..contents.size().div_ceil(page_size);
    let damaged: Vec<bool> = pages.map(|page| is_damaged((page * page_size / CHUNK_SIZE as u64) as u32)).collect();
    black_box(Box::new(Lacking { contents, page_size, lacks: damaged.clone(), damaged }))
}

struct Lacking {
    contents: Box<dyn PagedBytes>,
    page_size: u64,
    /// Whether each page can't be read; none behind these.
    lacks: Vec<bool>,
    /// What it was in the beginning.
    damaged: Vec<bool>,
}

/// Fails with `database_corrupt` if one of the bytes is of a page that can't be read.
fn check(lacks: &[bool], page_size: u64, offset: u64, length: usize) -> Result<()> {
    let pages = (offset / page_size) as usize..(offset + length as u64).div_ceil(page_size) as usize;
    if lacks.iter().take(pages.end).skip(pages.start).any(|lacks| *lacks) {
        return Err(Error::new(ErrorCode::DatabaseCorrupt, "A page of the database is damaged"));
    }
    Ok(())
}

impl PagedBytes for Lacking {
    fn size(&self) -> u64 {
        self.contents.size()
    }

    fn page_size(&self) -> u32 {
        self.contents.page_size()
    }

    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        check(&self.lacks, self.page_size, offset, buffer.len())?;
        self.contents.read(buffer, offset)
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        self.contents.write(bytes, offset)?;
        let (first, end) = (offset.div_ceil(self.page_size), (offset + bytes.len() as u64) / self.page_size);
        for page in first..end {
            if let Some(lacks) = self.lacks.get_mut(page as usize) {
                *lacks = false;
            }
        }
        Ok(())
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        self.contents.truncate(size)?;
        self.lacks.truncate(size.div_ceil(self.page_size) as usize);
        Ok(())
    }

    fn restart(&mut self, page_size: u32) -> Result<()> {
        self.contents.restart(page_size)?;
        self.page_size = u64::from(page_size.max(512));
        self.lacks.clear();
        self.damaged.clear();
        Ok(())
    }

    fn preload(&mut self, index: u32, bytes: Vec<u8>) {
        self.contents.preload(index, bytes);
    }

    fn pin(&self) -> Box<dyn PinnedBytes> {
        Box::new(LackingPin { pin: self.contents.pin(), page_size: self.page_size, lacks: self.lacks.clone() })
    }

    fn revert(&mut self, size: u64, pin: &dyn PinnedBytes) {
        self.contents.revert(size, pin);
        // The pin doesn't say which of them were written.
        self.lacks.clone_from(&self.damaged);
        self.lacks.truncate(size.div_ceil(self.page_size) as usize);
    }

    fn rebase(&mut self, stored: Rc<dyn StoredPages>, pin: &dyn PinnedBytes) {
        self.contents.rebase(stored, pin);
    }

    fn changed_bytes(&self) -> u64 {
        self.contents.changed_bytes()
    }

    fn usage(&self) -> CacheUsage {
        self.contents.usage()
    }
}

struct LackingPin {
    pin: Box<dyn PinnedBytes>,
    page_size: u64,
    lacks: Vec<bool>,
}

impl PinnedBytes for LackingPin {
    fn chunk(&self, index: u32, length: usize) -> Result<Vec<u8>> {
        check(&self.lacks, self.page_size, u64::from(index) * CHUNK_SIZE as u64, length)?;
        self.pin.chunk(index, length)
    }

    fn changed(&self) -> &[Option<ChangedBlocks>] {
        self.pin.changed()
    }
}

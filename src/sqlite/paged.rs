//! A database file of which only a part is in memory: what is stored is read when SQLite asks for it, and kept in a bounded
//! cache. What was changed stays in memory until it is stored, too.

use std::rc::Rc;

use serde::Serialize;

use super::image::{BLOCK_SIZE, CHUNK_SIZE, Chunk, zeros};
use crate::{error::Result, memory::room_for};

/// Changes are kept in blocks, so that a small one keeps no whole chunk in memory.
const BLOCKS: usize = CHUNK_SIZE / BLOCK_SIZE;

/// Which share of the cache chunks have that were read once, as a divisor.
const PASSING_SHARE: usize = 8;

/// The stored state of a file.
pub trait StoredPages {
    /// Returns the number of chunks.
    fn chunk_count(&self) -> u32;

    /// Reads a chunk: [`CHUNK_SIZE`] bytes, except for the last. Fails with `database_corrupt` if it is missing or damaged, and
    /// as the storage does.
    fn chunk(&self, index: u32) -> Result<Vec<u8>>;

    /// Does the same as [`chunk`](Self::chunk), in the memory of a buffer that isn't needed any more, if that is possible.
    fn chunk_into(&self, index: u32, _buffer: Vec<u8>) -> Result<Vec<u8>> {
        self.chunk(index)
    }
}

/// How the page cache was used since the database was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS), ts(rename = "CacheHealth"))]
pub struct CacheUsage {
    /// The bytes in memory: the cache, and what was changed.
    pub bytes: u64,
    /// The limit of the cache in bytes.
    pub limit: u64,
    /// Reads of a chunk that was in the cache.
    pub hits: u64,
    /// Reads of a chunk that was not.
    pub misses: u64,
    /// Chunks that left the cache for others.
    pub evictions: u64,
}

/// The bytes of a file of which only a part is in memory.
pub trait PagedBytes {
    /// Returns the file's length in bytes.
    fn size(&self) -> u64;

    /// Returns the page size of the content that it was made with.
    fn page_size(&self) -> u32;

    /// Reads up to the end of the file; returns the number of bytes read. Fails as [`StoredPages::chunk`] does.
    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize>;

    /// Writes, and grows the file where needed; bytes that are skipped become zeros. Fails as [`read`](Self::read) does, and
    /// with `out_of_memory`.
    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Truncates the file. Never grows it. Fails as [`write`](Self::write) does.
    fn truncate(&mut self, size: u64) -> Result<()>;

    /// Empties the file, whose next content has pages of another size.
    fn restart(&mut self, page_size: u32) -> Result<()>;

    /// Puts a stored chunk that was read for another reason into the cache, while there is room.
    fn preload(&mut self, index: u32, bytes: Vec<u8>);

    /// Freezes the content.
    fn pin(&self) -> Box<dyn PinnedBytes>;

    /// Sets the content to the pinned one, of this size. Only for a file that has grown since, or has the same size.
    fn revert(&mut self, size: u64, pin: &dyn PinnedBytes);

    /// Continues over a newer stored state: the content that was pinned. What hasn't changed since then need not stay in
    /// memory, except in the cache.
    fn rebase(&mut self, stored: Rc<dyn StoredPages>, pin: &dyn PinnedBytes);

    /// Returns how many bytes differ from the stored state, in whole blocks.
    fn changed_bytes(&self) -> u64;

    /// Returns how the cache was used.
    fn usage(&self) -> CacheUsage;
}

/// A frozen view of [`PagedBytes`].
pub trait PinnedBytes {
    /// Returns the first `length` bytes of a chunk as it was when pinned. Fails as [`StoredPages::chunk`] does.
    fn chunk(&self, index: u32, length: usize) -> Result<Vec<u8>>;

    /// Returns the blocks of each chunk that differ from the stored state.
    fn changed(&self) -> &[Option<ChangedBlocks>];
}

/// Creates a file with the stored content; `cache_bytes` limits the cache. An entry of the part `stores`: never inlined, and the
/// optimizer must not know the type, so that the part can be split off here.
#[inline(never)]
pub fn paged(stored: Rc<dyn StoredPages>, size: u64, page_size: u32, cache_bytes: u64) -> Box<dyn PagedBytes> {
    std::hint::black_box(Box::new(Paged::new(stored, size, page_size, cache_bytes)))
}

/// The blocks of a chunk that differ from the stored state.
pub type ChangedBlocks = Rc<[Option<Chunk>; BLOCKS]>;

#[derive(Default)]
struct Slot {
    /// The stored chunk, [`CHUNK_SIZE`] bytes, if it is in the cache.
    cached: Option<Vec<u8>>,
    /// Whether the cached chunk was used since the clock's hand passed it.
    used: bool,
    /// Whether the chunk was in the cache before: a scan reads each chunk once only.
    known: bool,
    /// Whether the cached chunk was read for the first time, and not used again since.
    passing: bool,
    changed: Option<ChangedBlocks>,
}

/// The only kind of [`PagedBytes`].
struct Paged {
    stored: Rc<dyn StoredPages>,
    slots: Vec<Slot>,
    size: u64,
    page_size: u32,
    /// The chunks in the cache, in no order, and where the search for one to evict continues (the clock algorithm).
    cached: Vec<u32>,
    hand: usize,
    most_cached: usize,
    /// The chunk that was read last.
    last: usize,
    changed_blocks: usize,
    usage: CacheUsage,
}

impl Paged {
    fn new(stored: Rc<dyn StoredPages>, size: u64, page_size: u32, cache_bytes: u64) -> Self {
        let most_cached = (cache_bytes / CHUNK_SIZE as u64).max(1);
        let most_cached = usize::try_from(most_cached).unwrap_or(usize::MAX);
        let mut slots = Vec::new();
        slots.resize_with(size.div_ceil(CHUNK_SIZE as u64) as usize, Slot::default);
        Self {
            stored,
            slots,
            size,
            page_size,
            cached: Vec::new(),
            hand: 0,
            most_cached,
            last: usize::MAX,
            changed_blocks: 0,
            usage: CacheUsage { limit: most_cached as u64 * CHUNK_SIZE as u64, ..CacheUsage::default() },
        }
    }

    fn write_blocks(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let end = offset + bytes.len() as u64;
        let old_size = self.size;
        if end > old_size {
            self.slots.resize_with(end.div_ceil(CHUNK_SIZE as u64) as usize, Slot::default);
            self.size = end;
            // The stored state may have other bytes there, from before the file was truncated.
            let mut at = old_size.next_multiple_of(BLOCK_SIZE as u64);
            while at < offset {
                self.put_block(at, block()?);
                at += BLOCK_SIZE as u64;
            }
        }
        let mut done = 0;
        while done < bytes.len() {
            let at = offset + done as u64;
            let inside = (at % BLOCK_SIZE as u64) as usize;
            let part = (BLOCK_SIZE - inside).min(bytes.len() - done);
            let start = at - inside as u64;
            let mut changed = block()?;
            if part < BLOCK_SIZE && start < old_size {
                let known = (old_size - start).min(BLOCK_SIZE as u64) as usize;
                self.read(&mut changed[..known], start)?;
            }
            changed[inside..inside + part].copy_from_slice(&bytes[done..done + part]);
            self.put_block(start, changed);
            done += part;
        }
        Ok(())
    }

    fn put_block(&mut self, offset: u64, bytes: Box<[u8]>) {
        let (index, inside) = place(offset);
        let slot = &mut self.slots[index];
        let changed = Rc::make_mut(slot.changed.get_or_insert_with(Rc::default));
        let before = changed[inside / BLOCK_SIZE].replace(Rc::new(bytes));
        self.changed_blocks += usize::from(before.is_none());
    }

    /// Returns a chunk of the stored state, with zeros behind its end.
    fn stored_chunk(&mut self, index: u32) -> Result<&[u8]> {
        let at = index as usize;
        if self.slots[at].cached.is_some() {
            self.usage.hits += 1;
            // The pages of a chunk that is read one after the other are one use.
            let again = self.last != at;
            let slot = &mut self.slots[at];
            slot.used |= again;
            slot.passing &= !again;
        } else {
            self.usage.misses += 1;
            // For its stored form, and its plain one.
            room_for(4 * CHUNK_SIZE as u64)?;
            let passing = !self.slots[at].known;
            let evicted = self.make_room(passing);
            let is_stored = index < self.stored.chunk_count();
            let mut bytes = if is_stored { self.stored.chunk_into(index, evicted)? } else { Vec::new() };
            bytes.resize(CHUNK_SIZE, 0);
            self.keep(index, bytes);
            self.slots[at].passing = passing;
        }
        self.last = at;
        Ok(self.slots[at].cached.as_ref().map_or(&[], |chunk| &chunk[..]))
    }

    /// Evicts a chunk if there is no room for another one; returns its memory. What is read for the first time has a share of the
    /// cache only, so that a scan neither fills it nor evicts what is used more often.
    fn make_room(&mut self, passing: bool) -> Vec<u8> {
        let passing = passing && {
            let count = self.cached.iter().filter(|index| self.slots[**index as usize].passing).count();
            count >= (self.most_cached / PASSING_SHARE).max(1)
        };
        if passing || self.cached.len() >= self.most_cached { self.evict(passing) } else { Vec::new() }
    }

    fn keep(&mut self, index: u32, chunk: Vec<u8>) {
        let slot = &mut self.slots[index as usize];
        slot.cached = Some(chunk);
        slot.known = true;
        slot.used = true;
        self.cached.push(index);
    }

    /// Removes the next chunk from the cache that wasn't used since the hand passed it last; or the next one that is `passing`.
    /// Returns its memory.
    fn evict(&mut self, passing: bool) -> Vec<u8> {
        while !self.cached.is_empty() {
            self.hand %= self.cached.len();
            let slot = &mut self.slots[self.cached[self.hand] as usize];
            let goes = if passing { slot.passing } else { !std::mem::take(&mut slot.used) };
            if goes {
                let evicted = slot.cached.take().unwrap_or_default();
                self.cached.swap_remove(self.hand);
                self.usage.evictions += 1;
                return evicted;
            }
            self.hand += 1;
        }
        Vec::new()
    }
}

impl PagedBytes for Paged {
    fn size(&self) -> u64 {
        self.size
    }

    fn page_size(&self) -> u32 {
        self.page_size
    }

    fn usage(&self) -> CacheUsage {
        CacheUsage { bytes: (self.cached.len() * CHUNK_SIZE) as u64 + self.changed_bytes(), ..self.usage }
    }

    fn changed_bytes(&self) -> u64 {
        (self.changed_blocks * BLOCK_SIZE) as u64
    }

    fn preload(&mut self, index: u32, mut bytes: Vec<u8>) {
        if self.cached.len() < self.most_cached
            && self.slots.get(index as usize).is_some_and(|slot| slot.cached.is_none())
        {
            bytes.resize(CHUNK_SIZE, 0);
            self.keep(index, bytes);
        }
    }

    fn read(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize> {
        let length = (buffer.len() as u64).min(self.size.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < length {
            let (index, inside) = place(offset + done as u64);
            let slot = &self.slots[index];
            let part = match &slot.changed {
                Some(_) => (BLOCK_SIZE - inside % BLOCK_SIZE).min(length - done),
                None => (CHUNK_SIZE - inside).min(length - done),
            };
            let into = &mut buffer[done..done + part];
            match slot.block(inside / BLOCK_SIZE) {
                Some(block) => into.copy_from_slice(&block[inside % BLOCK_SIZE..][..part]),
                None => into.copy_from_slice(&self.stored_chunk(index as u32)?[inside..inside + part]),
            }
            done += part;
        }
        Ok(length)
    }

    fn write(&mut self, bytes: &[u8], offset: u64) -> Result<()> {
        let old_size = self.size;
        self.write_blocks(bytes, offset).inspect_err(|_| drop(self.truncate(old_size)))
    }

    fn truncate(&mut self, size: u64) -> Result<()> {
        if size >= self.size {
            return Ok(());
        }
        let inside = (size % BLOCK_SIZE as u64) as usize;
        if inside != 0 {
            // Growing the file again must find zeros behind the cut.
            let start = size - inside as u64;
            let mut cut = block()?;
            self.read(&mut cut[..inside], start)?;
            self.put_block(start, cut);
        }
        let count = size.div_ceil(CHUNK_SIZE as u64) as usize;
        for slot in self.slots.drain(count..) {
            self.changed_blocks -= slot.changed_count();
        }
        self.cached.retain(|index| (*index as usize) < count);
        let (last, first_cut) = place(size.next_multiple_of(BLOCK_SIZE as u64));
        if let Some(slot) = self.slots.get_mut(last) {
            self.changed_blocks -= slot.changed_count();
            slot.forget(|block, _| block >= first_cut / BLOCK_SIZE);
            self.changed_blocks += slot.changed_count();
        }
        self.size = size;
        Ok(())
    }

    fn restart(&mut self, page_size: u32) -> Result<()> {
        self.page_size = page_size;
        self.truncate(0)
    }

    fn pin(&self) -> Box<dyn PinnedBytes> {
        let changed = self.slots.iter().map(|slot| slot.changed.clone()).collect();
        Box::new(PagedPin { stored: self.stored.clone(), changed })
    }

    fn revert(&mut self, size: u64, pin: &dyn PinnedBytes) {
        let count = pin.changed().len();
        self.slots.truncate(count);
        self.cached.retain(|index| (*index as usize) < count);
        for (slot, changed) in self.slots.iter_mut().zip(pin.changed()) {
            slot.changed.clone_from(changed);
        }
        self.changed_blocks = self.slots.iter().map(Slot::changed_count).sum();
        self.size = size;
    }

    fn rebase(&mut self, stored: Rc<dyn StoredPages>, pin: &dyn PinnedBytes) {
        self.stored = stored;
        for (slot, pinned) in self.slots.iter_mut().zip(pin.changed()) {
            let Some(pinned) = pinned else { continue };
            if let Some(cached) = &mut slot.cached {
                overlay(cached, pinned);
            }
            self.changed_blocks -= slot.changed_count();
            slot.forget(|block, bytes| pinned[block].as_ref().is_some_and(|pinned| Rc::ptr_eq(pinned, bytes)));
            self.changed_blocks += slot.changed_count();
        }
    }
}

impl Slot {
    fn block(&self, block: usize) -> Option<&Chunk> {
        self.changed.as_ref().and_then(|changed| changed[block].as_ref())
    }

    fn changed_count(&self) -> usize {
        self.changed.as_ref().map_or(0, |changed| changed.iter().flatten().count())
    }

    /// Forgets the changed blocks for which `is_unneeded` returns `true`.
    fn forget(&mut self, is_unneeded: impl Fn(usize, &Chunk) -> bool) {
        let Some(changed) = &mut self.changed else { return };
        for (block, slot) in Rc::make_mut(changed).iter_mut().enumerate() {
            if slot.as_ref().is_some_and(|bytes| is_unneeded(block, bytes)) {
                *slot = None;
            }
        }
        if changed.iter().all(Option::is_none) {
            self.changed = None;
        }
    }
}

/// The only kind of [`PinnedBytes`].
struct PagedPin {
    stored: Rc<dyn StoredPages>,
    changed: Vec<Option<ChangedBlocks>>,
}

impl PinnedBytes for PagedPin {
    fn changed(&self) -> &[Option<ChangedBlocks>] {
        &self.changed
    }

    fn chunk(&self, index: u32, length: usize) -> Result<Vec<u8>> {
        let changed = &self.changed[index as usize];
        let blocks = length.div_ceil(BLOCK_SIZE);
        let is_new = changed.as_ref().is_some_and(|changed| changed[..blocks].iter().all(Option::is_some));
        room_for(4 * CHUNK_SIZE as u64)?;
        let mut bytes =
            if is_new || index >= self.stored.chunk_count() { Vec::new() } else { self.stored.chunk(index)? };
        bytes.resize(CHUNK_SIZE, 0);
        if let Some(changed) = changed {
            overlay(&mut bytes, changed);
        }
        bytes.truncate(length);
        Ok(bytes)
    }
}

/// Writes changed blocks over the bytes of their chunk.
fn overlay(chunk: &mut [u8], changed: &ChangedBlocks) {
    for (block, bytes) in changed.iter().enumerate() {
        if let Some(bytes) = bytes {
            chunk[block * BLOCK_SIZE..][..BLOCK_SIZE].copy_from_slice(bytes);
        }
    }
}

/// Returns the chunk of an offset, and where it is in the chunk.
fn place(offset: u64) -> (usize, usize) {
    ((offset / CHUNK_SIZE as u64) as usize, (offset % CHUNK_SIZE as u64) as usize)
}

fn block() -> Result<Box<[u8]>> {
    zeros(BLOCK_SIZE)
}

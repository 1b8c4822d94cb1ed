//! The packs of a folder: files of chunks, one after the other. New ones are added at the end.
//!
//! A deleted chunk leaves its bytes behind. A pack with none but such bytes is removed; of one with too many, the
//! chunks move to another pack first. Where a full disk has no room for that, its last chunks move into such bytes before
//! them, and the pack is cut short.

use std::rc::Rc;

use super::state::{Extent, State};
use crate::{
    collections::Map,
    error::Result,
    ports::{ChunkId, Files},
    sqlite::CHUNK_SIZE,
};

/// How much is read of a chunk: more than any chunk has, so that a longer one turns out to be damaged.
const MOST_CHUNK_BYTES: u32 = 2 * CHUNK_SIZE as u32;
/// A pack is worth moving when this share of it is unused, as a divisor.
const UNUSED_SHARE: u64 = 2;

/// Returns the file name of a pack.
pub fn pack_name(number: u64) -> String {
    format!("pack.{number}")
}

/// Returns the pack's number from its file name.
pub fn pack_number(name: &str) -> Option<u64> {
    name.strip_prefix("pack.")?.parse().ok()
}

/// How a pack is used.
struct PackUsage {
    /// The bytes of its chunks.
    used: u64,
    /// Where its last chunk ends.
    end: u64,
    /// The size of its file.
    size: u64,
}

/// A pack with too many unused bytes.
pub struct SparsePack {
    pub number: u64,
    /// What is in use of it.
    pub chunks: Vec<(ChunkId, Extent)>,
}

/// The packs of a folder.
pub struct Packs {
    pub files: Rc<dyn Files>,
    /// The size at which a pack is full, unless there are many.
    pub pack_bytes: u64,
}

/// About how many packs there are at most, as long as they are small. Each is a file that stays open, and that a browser takes
/// 0.4 ms to open.
const FEW_PACKS: u64 = 12;
/// The largest size of a small pack, as a multiple of `pack_bytes`: other calls wait while the chunks of one are moved.
const SMALL_PACK: u64 = 4;
/// About how many packs there are at most, of any size.
const MOST_PACKS: u64 = 32;

impl Packs {
    /// Returns the pack to which chunks are added.
    pub fn current(&self, state: &State) -> Result<u64> {
        let (mut newest, mut total) = (state.cleaned + 1, 0);
        for extent in state.chunks.values() {
            newest = newest.max(extent.pack);
            total += u64::from(extent.length);
        }
        let small = (total / FEW_PACKS).min(SMALL_PACK * self.pack_bytes);
        let full = self.pack_bytes.max(small).max(total / MOST_PACKS);
        let is_full = self.files.size(&pack_name(newest))?.is_some_and(|bytes| bytes >= full);
        Ok(newest + u64::from(is_full))
    }

    /// Adds chunks to a pack, synced. Returns where each is. After a failure the pack is as it was, so that a full disk has room for
    /// what frees some.
    pub fn add<'a>(&self, pack: u64, chunks: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Extent>> {
        let name = pack_name(pack);
        let end = self.files.size(&name)?.unwrap_or_default();
        self.write(&name, pack, end, chunks).inspect_err(|_| drop(self.files.truncate(&name, end)))
    }

    /// Writes chunks one by one: together they might not fit into memory once more.
    fn write<'a>(
        &self,
        name: &str,
        pack: u64,
        mut at: u64,
        chunks: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Vec<Extent>> {
        let mut extents = Vec::new();
        for chunk in chunks {
            self.files.write(name, at, chunk)?;
            extents.push(Extent { pack, at, length: chunk.len() as u32 });
            at += chunk.len() as u64;
        }
        if !extents.is_empty() {
            self.files.sync(name)?;
        }
        Ok(extents)
    }

    /// Returns the bytes of a chunk, in the memory of `buffer` if that is possible; `None` when its pack is missing.
    pub fn read(&self, extent: Extent, buffer: Vec<u8>) -> Result<Option<Vec<u8>>> {
        let length = extent.length.min(MOST_CHUNK_BYTES) as usize;
        self.files.read_into(&pack_name(extent.pack), extent.at, length, buffer)
    }

    /// Returns the usage of the packs in the folder.
    fn usage(&self, state: &State) -> Result<Map<u64, PackUsage>> {
        let mut packs = Map::default();
        for number in self.files.list()?.iter().filter_map(|name| pack_number(name)) {
            let size = self.files.size(&pack_name(number))?.unwrap_or_default();
            packs.insert(number, PackUsage { used: 0, end: 0, size });
        }
        for extent in state.chunks.values() {
            if let Some(usage) = packs.get_mut(&extent.pack) {
                usage.used += u64::from(extent.length);
                usage.end = usage.end.max(extent.at.saturating_add(extent.length.into()));
            }
        }
        Ok(packs)
    }

    /// Removes the packs without chunks, and what is behind the last chunk of the others, as far as that can be done now: it
    /// needs no space. An empty pack is prepared for what comes.
    pub fn remove_unused(&self, state: &State) {
        for (number, PackUsage { used, end, size }) in self.usage(state).unwrap_or_default().iter() {
            let name = pack_name(*number);
            if *used == 0 && *size > 0 {
                let _ = self.files.remove(&name);
            } else if *used > 0 && size > end {
                let _ = self.files.truncate(&name, *end);
            }
        }
    }

    /// Returns the last chunks of the packs that fit into unused bytes before them, and where: at most `most` chunks, each from
    /// its extent to another one.
    pub fn foldable(&self, state: &State, most: usize) -> Vec<(ChunkId, Extent, Extent)> {
        let mut chunks: Vec<_> = state.chunks.iter().collect();
        chunks.sort_unstable_by_key(|(_, extent)| (extent.pack, extent.at));
        let mut moves = Vec::new();
        for pack in chunks.chunk_by(|(_, one), (_, next)| one.pack == next.pack) {
            // The unused bytes: where, and how many.
            let (mut unused, mut end) = (Vec::with_capacity(pack.len()), 0);
            for (_, extent) in pack {
                unused.push((end, extent.at.saturating_sub(end)));
                end = end.max(extent.at.saturating_add(extent.length.into()));
            }
            for (id, from) in pack.iter().rev() {
                let length = u64::from(from.length);
                let fits = |(at, room): &&mut (u64, u64)| length > 0 && *room >= length && *at + length <= from.at;
                let Some((at, room)) = unused.iter_mut().find(fits).filter(|_| moves.len() < most) else { break };
                moves.push((*(*id), **from, Extent { at: *at, ..**from }));
                (*at, *room) = (*at + length, *room - length);
            }
        }
        moves
    }

    /// Returns a pack whose chunks should move to another one: that with the least to move, since a full disk may have room for
    /// it only.
    pub fn sparse(&self, state: &State) -> Result<Option<SparsePack>> {
        let is_sparse = |(pack, PackUsage { used, size, .. }): &(&u64, &PackUsage)| {
            let unused = size.saturating_sub(*used);
            *used > 0 && unused > 0 && (unused > size / UNUSED_SHARE || **pack <= state.cleaned)
        };
        let usage = self.usage(state)?;
        let sparse = usage.iter().filter(is_sparse).min_by_key(|(_, usage)| usage.used);
        let Some((number, _)) = sparse else { return Ok(None) };
        let chunks = state.chunks.iter().filter(|(_, extent)| extent.pack == *number);
        let chunks = chunks.map(|(id, extent)| (*id, *extent)).collect();
        Ok(Some(SparsePack { number: *number, chunks }))
    }
}

//! The packs of a folder: files of chunks, one after the other, to which bytes are only added.
//!
//! A deleted chunk leaves its bytes behind. A pack with none but such bytes is removed; of one with too many, the
//! chunks move to another pack first.

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

/// A pack with too many unused bytes.
pub struct SparsePack {
    pub number: u64,
    /// What is in use of it.
    pub chunks: Vec<(ChunkId, Extent)>,
}

/// The packs of a folder.
pub struct Packs {
    pub files: Rc<dyn Files>,
    /// The size at which a pack is full.
    pub pack_bytes: u64,
}

impl Packs {
    /// Returns the pack to which chunks are added.
    pub fn current(&self, state: &State) -> Result<u64> {
        let newest = state.chunks.values().map(|extent| extent.pack).max().unwrap_or_default();
        let newest = newest.max(state.cleaned + 1);
        let is_full = self.files.size(&pack_name(newest))?.is_some_and(|bytes| bytes >= self.pack_bytes);
        Ok(newest + u64::from(is_full))
    }

    /// Adds chunks to a pack, synced. Returns where each is.
    pub fn add<'a>(&self, pack: u64, chunks: impl Iterator<Item = &'a [u8]>) -> Result<Vec<Extent>> {
        let name = pack_name(pack);
        let start = self.files.size(&name)?.unwrap_or_default();
        let (mut bytes, mut extents) = (Vec::new(), Vec::new());
        for chunk in chunks {
            extents.push(Extent { pack, at: start + bytes.len() as u64, length: chunk.len() as u32 });
            bytes.extend_from_slice(chunk);
        }
        if !bytes.is_empty() {
            self.files.write(&name, start, &bytes)?;
            self.files.sync(&name)?;
        }
        Ok(extents)
    }

    /// Returns the bytes of a chunk; `None` when its pack is missing.
    pub fn read(&self, extent: Extent) -> Result<Option<Vec<u8>>> {
        self.files.read(&pack_name(extent.pack), extent.at, extent.length.min(MOST_CHUNK_BYTES) as usize)
    }

    /// Returns the packs in the folder with the bytes of their chunks, and their sizes.
    fn usage(&self, state: &State) -> Result<Map<u64, (u64, u64)>> {
        let mut packs = Map::default();
        for number in self.files.list()?.iter().filter_map(|name| pack_number(name)) {
            packs.insert(number, (0, self.files.size(&pack_name(number))?.unwrap_or_default()));
        }
        for extent in state.chunks.values() {
            if let Some((used, _)) = packs.get_mut(&extent.pack) {
                *used += u64::from(extent.length);
            }
        }
        Ok(packs)
    }

    /// Removes the packs without chunks, as far as they can be removed now. An empty one is prepared for what comes.
    pub fn remove_unused(&self, state: &State) {
        for (number, (used, size)) in self.usage(state).unwrap_or_default().iter() {
            if *used == 0 && *size > 0 {
                let _ = self.files.remove(&pack_name(*number));
            }
        }
    }

    /// Returns a pack whose chunks should move to another one.
    pub fn sparse(&self, state: &State) -> Result<Option<SparsePack>> {
        let is_sparse = |(pack, (used, size)): &(&u64, &(u64, u64))| {
            let unused = size.saturating_sub(*used);
            *used > 0 && unused > 0 && (unused > size / UNUSED_SHARE || **pack <= state.cleaned)
        };
        let usage = self.usage(state)?;
        let Some((number, _)) = usage.iter().find(is_sparse) else { return Ok(None) };
        let chunks = state.chunks.iter().filter(|(_, extent)| extent.pack == *number);
        let chunks = chunks.map(|(id, extent)| (id.clone(), *extent)).collect();
        Ok(Some(SparsePack { number: *number, chunks }))
    }
}

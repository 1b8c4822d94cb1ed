//! Chunks that no snapshot writes again: damaged ones are found by reading them in rotation, and before the log that could
//! replace them is truncated. An open database stores them again from its own contents.

use super::{
    ChunkSource, Storage, chunk,
    log::chunk_length,
    records,
    recovery::{CHUNK_SLICE, from_other},
};
use crate::{
    error::Result,
    format::{ChunkRef, Manifest, Truncation, checksum},
    ports::Write,
};

/// Within this many manifests, each reused chunk is read once.
const ROTATION: u64 = 16;

impl Storage {
    /// Returns whether the next manifest reads this chunk again, although it reuses it.
    pub(super) fn is_due(&self, index: usize) -> bool {
        (index as u64 + self.0.generation.get()).is_multiple_of(ROTATION)
    }

    /// Stores the damaged chunks of a generation again, as far as `source` still has them at the same place. Returns whether the
    /// generation is intact then. Must not run concurrently with a snapshot, a prune or a sweep. Fails as
    /// [`stage`](Self::stage) does.
    pub async fn repair(&self, generation: u64, source: &dyn ChunkSource) -> Result<bool> {
        let Some(manifest) = self.manifests().into_iter().find(|manifest| manifest.generation == generation) else {
            return Ok(false);
        };
        let repaired = self.repair_chunks(&manifest, &mut |_| true, source).await?;
        if repaired {
            self.0.damaged.borrow_mut().retain(|damaged| *damaged != generation);
        }
        Ok(repaired)
    }

    /// Checks, before the log is truncated at `to`, the manifest from which it continues then: the chunks that only the truncated
    /// part could replace are read, and damaged ones repaired. Returns `false`, and records the damage, when that isn't
    /// possible. Fails as [`repair`](Self::repair) does.
    pub async fn can_truncate(&self, to: Truncation, source: &dyn ChunkSource) -> Result<bool> {
        let (manifests, damaged, before) = (self.manifests(), self.damaged(), self.truncated());
        let mut usable = manifests.iter().rev().filter(|manifest| !damaged.contains(&manifest.generation));
        let Some(next) = usable.find(|manifest| manifest.lsn == to.lsn) else { return Ok(true) };
        // What that one shares with the manifest at the present start was in the log before.
        let start = usable.find(|manifest| before.lsn > 0 && manifest.lsn <= before.lsn);
        let shared = |index: usize| start.and_then(|start| start.chunks.get(index)) == next.chunks.get(index);
        let intact = self.repair_chunks(next, &mut |index| !shared(index), source).await?;
        self.note_damage(next.generation, !intact);
        Ok(intact)
    }

    /// Reads the chunks of a manifest for which `wanted` returns `true`, and stores the damaged ones again; so it does with the
    /// copy of the first one. Returns whether all of them are intact then.
    async fn repair_chunks(
        &self,
        manifest: &Manifest,
        wanted: &mut dyn FnMut(usize) -> bool,
        source: &dyn ChunkSource,
    ) -> Result<bool> {
        let mut intact = true;
        let count = manifest.chunks.len();
        // The copy is behind them.
        let all = manifest.stored_chunks();
        let places: Vec<usize> = (0..all.len()).filter(|place| wanted(place % count)).collect();
        for slice in places.chunks(CHUNK_SLICE) {
            let ids: Vec<_> = slice.iter().map(|place| all[*place].id).collect();
            let stored = records::chunks(&*self.0.store(), &ids).await?;
            let (mut writes, mut written) = (Vec::new(), Vec::new());
            for (place, stored) in slice.iter().zip(stored) {
                let (chunk, index, is_copy) = (all[*place], place % count, *place == count);
                let length = chunk_length(manifest.db_bytes, index);
                if stored.is_some_and(|stored| chunk::intact(&stored, length, chunk.check).is_some()) {
                    continue;
                }
                let mut plain = same_chunk(source, index, &manifest.chunks[index], length);
                if is_copy {
                    plain = plain.map(chunk::inverted);
                }
                if plain.is_none() && index == 0 {
                    plain = from_other(&*self.0.store(), manifest, is_copy).await?;
                }
                let Some(plain) = plain else {
                    intact = false;
                    continue;
                };
                let bytes = chunk::encode(&plain, (chunk.stored as usize) < length);
                written.push((chunk.id, checksum(&bytes)));
                writes.push(Write::Put(records::chunk_key(&*self.0.store(), &chunk.id), bytes));
            }
            self.put_chunks(writes, written, true).await?;
        }
        Ok(intact)
    }
}

/// Returns the bytes of a chunk if `source` still has them.
fn same_chunk(source: &dyn ChunkSource, index: usize, chunk: &ChunkRef, length: usize) -> Option<Vec<u8>> {
    if chunk_length(source.bytes(), index) < length {
        return None;
    }
    let mut plain = source.chunk(index as u32).ok()?;
    plain.truncate(length);
    (chunk::id(&plain) == chunk.id).then_some(plain)
}

//! Disk damage between two openings: flipped, lost or garbled records.

use tidelock::{
    Result,
    format::{LogKind, LogRecord, Manifest, ManifestKind},
    ports::{ChunkId, Key, Store},
    sqlite::CHUNK_SIZE,
    store::{Contents, chunk},
};

use super::work::Chance;
use crate::store::stored;

/// A page of this size has the whole schema.
const SCHEMA_BYTES: u32 = 1024;

/// Damages stored data at random. Returns `false` when there was nothing to damage. Where rows are `cold`, it is often a chunk
/// of theirs.
///
/// Never removes the newest record of the log, since no log can detect that loss.
pub fn damage(contents: &mut Contents, chance: &Chance, cold: bool) -> bool {
    if cold && chance.one_in(2) {
        return flip_shared_chunk(contents, chance);
    }
    match chance.below(10) {
        8 | 9 => flip_any_chunk(contents, chance),
        0 => contents.head.take().is_some(),
        1 | 2 => flip_chunks_of_newest(contents),
        3 => {
            let ids: Vec<_> = contents.chunks.keys().cloned().collect();
            let Some(id) = pick(&ids, chance) else { return false };
            contents.chunks.remove(id);
            true
        }
        4 => {
            let generations: Vec<u64> = contents.snapshots.keys().copied().collect();
            let Some(generation) = pick(&generations, chance) else { return false };
            contents.snapshots.insert(*generation, Vec::new());
            true
        }
        _ => garble_log(contents, chance),
    }
}

/// Returns whether no damage may keep a recovery from succeeding: a snapshot or checkpoint is stored whole, or the newest one
/// with its schema, or the log from its beginning to its first commit.
pub async fn must_be_recoverable(store: &dyn Store) -> Result<bool> {
    let log = store.log((0, u32::MAX), 1 << 20).await?;
    for ((key, stored), lsn) in log.into_iter().zip(1..) {
        let record = LogRecord::decode(key, stored).filter(|record| key == (lsn, 0) && record.header.lsn == lsn);
        match record.map(|record| (record.header.kind, record.header.parts)) {
            Some((LogKind::Commit, 1)) => return Ok(true),
            Some((LogKind::Epoch, _)) => {}
            _ => break,
        }
    }
    let generations = store.generations().await?;
    let stored = store.get(generations.iter().copied().map(Key::Manifest).collect()).await?;
    let decoded = generations.into_iter().zip(stored).filter_map(|(number, stored)| Manifest::decode(number, &stored?));
    let manifests: Vec<Manifest> = decoded.filter(|manifest| manifest.kind != ManifestKind::Imported).collect();
    for manifest in &manifests {
        let keys = manifest.chunks.iter().map(|chunk| Key::Chunk(store.stored_id(&chunk.id))).collect();
        let mut left = manifest.db_bytes as usize;
        let found = store.get(keys).await?;
        let mut intact = found.into_iter().zip(manifest.chunks.iter()).map(|(stored, expected)| {
            let length = left.min(CHUNK_SIZE);
            left -= length;
            stored.is_some_and(|stored| chunk::intact(&stored, length, expected.check).is_some())
        });
        let copy = manifest.first_copy.iter().map(|copy| Key::Chunk(store.stored_id(&copy.id))).collect();
        let copy = store.get(copy).await?.pop().flatten().zip(manifest.first_copy.as_ref());
        let length = CHUNK_SIZE.min(manifest.db_bytes as usize);
        let has_copy = copy.is_some_and(|(stored, copy)| chunk::intact(&stored, length, copy.check).is_some());
        let has_first = intact.next() == Some(true) || has_copy;
        let is_newest = manifests.iter().all(|other| other.generation <= manifest.generation);
        let has_schema = is_newest && manifest.page_size >= SCHEMA_BYTES;
        if has_first && (has_schema || intact.all(|is_intact| is_intact) && left == 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn pick<'a, T>(of: &'a [T], chance: &Chance) -> Option<&'a T> {
    if of.is_empty() { None } else { of.get(chance.below(of.len() as u64) as usize) }
}

/// Flips a byte of each chunk that only the newest manifest references.
fn flip_chunks_of_newest(contents: &mut Contents) -> bool {
    let mut manifests = stored::manifests(contents);
    let Some(newest) = manifests.pop() else { return false };
    let shared = |id: &ChunkId| {
        manifests.iter().any(|manifest| manifest.stored_chunks().into_iter().any(|chunk| chunk.id == *id))
    };
    let own: Vec<_> = newest.stored_chunks().into_iter().map(|chunk| chunk.id).filter(|id| !shared(id)).collect();
    for id in &own {
        if let Some(byte) = contents.chunks.get_mut(id).and_then(|chunk| chunk.last_mut()) {
            *byte ^= 1;
        }
    }
    !own.is_empty()
}

/// Flips a byte of a chunk, which several manifests may share.
fn flip_any_chunk(contents: &mut Contents, chance: &Chance) -> bool {
    let ids: Vec<_> = contents.chunks.keys().cloned().collect();
    let Some(chunk) = pick(&ids, chance).and_then(|id| contents.chunks.get_mut(id)) else { return false };
    let at = chance.below(chunk.len() as u64) as usize;
    chunk[at] ^= 1 << chance.below(8);
    true
}

/// Flips a byte of a chunk that all manifests share, so that no older one replaces it.
fn flip_shared_chunk(contents: &mut Contents, chance: &Chance) -> bool {
    let manifests = stored::manifests(contents);
    let Some((newest, others)) = manifests.split_last() else { return false };
    let is_shared =
        |id: &ChunkId| others.iter().all(|other| other.stored_chunks().into_iter().any(|chunk| chunk.id == *id));
    let shared: Vec<_> = newest.stored_chunks().into_iter().map(|chunk| chunk.id).filter(is_shared).collect();
    let chunk = pick(&shared, chance).and_then(|id| contents.chunks.get_mut(id));
    let Some(byte) = chunk.and_then(|chunk| chunk.last_mut()) else { return false };
    *byte ^= 1;
    true
}

fn garble_log(contents: &mut Contents, chance: &Chance) -> bool {
    let keys: Vec<_> = contents.log.keys().copied().collect();
    let Some(key) = pick(&keys, chance) else { return false };
    let last = keys.last() == Some(key);
    match chance.below(4) {
        0 if !last => drop(contents.log.remove(key)),
        1 if !last => {
            // Duplicates one record over the next, which is lost.
            let copy = contents.log[key].clone();
            let next = keys[keys.iter().position(|other| other == key).unwrap_or(0) + 1];
            contents.log.insert(next, copy);
        }
        2 => drop(contents.log.insert(*key, Vec::new())),
        _ => match contents.log.get_mut(key) {
            Some(record) if !record.is_empty() => {
                let at = chance.below(record.len() as u64) as usize;
                record[at] ^= 1 << chance.below(8);
            }
            _ => return false,
        },
    }
    true
}

//! Reads a stored database: the newest usable manifest, then the log after it. Writes nothing.

use std::ops::ControlFlow;

use super::{
    chunk,
    failure::{ELSEWHERE, HEAD_RESTORED, corrupt, elsewhere, refused},
    log::{Position, Replay, chunk_length},
    manifests::part,
    paging::{Paging, chunk_damage, first_missing},
    records,
    sealed::{ENCRYPTION, is_of_encryption},
};
use crate::{
    collections::{Bits, Set},
    error::{Error, ErrorCode, Result, Warning, WarningCode},
    format::{FORMAT, Head, LogKind, LogRecord, Manifest},
    memory::room_for,
    ports::{ChunkId, LogKey, Store},
    sqlite::{CHUNK_SIZE, FileContents, Image, PageFile},
    time::Timestamp,
};

/// The limit of chunks that are in memory in their stored form.
pub(super) const CHUNK_SLICE: usize = 64;

/// A database that was read.
pub(super) struct Recovered {
    /// The head as it was stored.
    pub stored: Option<Vec<u8>>,
    /// The head.
    pub head: Option<Head>,
    pub state: Rebuilt,
    /// All readable manifests with a position in the log, oldest first.
    pub manifests: Vec<Manifest>,
    /// The other manifests.
    pub imported: Vec<Manifest>,
    /// The generations whose manifests are unusable.
    pub damaged: Set<u64>,
    /// Whether the contents differ from the log, so that the next manifest must be a barrier and is needed at once.
    pub needs_barrier: bool,
    pub warnings: Vec<Warning>,
}

impl Recovered {
    /// Returns what is read where nothing is stored.
    fn nothing(paging: &Paging) -> Self {
        let state = Rebuilt {
            base: None,
            file: PageFile::new(paging.empty()),
            stale: Bits::new(),
            end: Position::default(),
            committed: Timestamp::default(),
            damaged: Vec::new(),
            lacks_copy: false,
            lacks: false,
            skipped: 0,
            broken: None,
        };
        Self {
            stored: None,
            head: None,
            state,
            manifests: Vec::new(),
            imported: Vec::new(),
            damaged: Set::new(),
            needs_barrier: false,
            warnings: Vec::new(),
        }
    }
}

/// The point up to which a state is rebuilt.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// The end of the log.
    End,
    /// The batch with this lsn.
    Lsn(u64),
    /// The manifest itself, with all chunks verified by their hashes. The log after it is read, but not applied.
    Manifest,
}

/// A state of the database, rebuilt from a manifest and the log after it.
pub(super) struct Rebuilt {
    /// The manifest that the contents are based on; `None` if it is built from the log alone.
    pub base: Option<Manifest>,
    pub file: PageFile,
    /// Chunks of the file that differ from the base.
    pub stale: Bits,
    /// The end of the log, or the position before the batch where the replay stopped.
    pub end: Position,
    /// The time of the last commit in the contents.
    pub committed: Timestamp,
    /// The generations of newer manifests that are damaged and could not serve as the base.
    pub damaged: Vec<u64>,
    /// Whether the base has only one of its first chunk and that one's copy.
    pub lacks_copy: bool,
    /// Whether one of the damaged manifests was a barrier, so that the contents lack the batches after it.
    pub lacks: bool,
    /// The number of valid batches that the contents lack.
    pub skipped: u64,
    /// Where the log is damaged; the contents are the state before it.
    pub broken: Option<Broken>,
}

/// The log after the damage. None of it can be applied.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Broken {
    /// Its first lsn.
    pub from: u64,
    /// The number of batches of pages, by their lsns.
    pub lost: u64,
    /// The newest lsn and the highest values of the valid records, from which new records continue.
    pub lsn: u64,
    pub time: Timestamp,
    pub logged: u64,
}

/// Reads the database for opening.
///
/// Fails with `database_corrupt` if the log is damaged after the newest usable manifest, with `snapshot_incompatible`
/// for a newer format, and with the errors of the store.
pub(super) async fn recover(paging: &Paging) -> Result<Recovered> {
    let store = &*paging.store();
    if store.is_new() {
        let warnings = damage_met(store, false).await?.into_iter().collect();
        return Ok(Recovered { warnings, ..Recovered::nothing(paging) });
    }
    let (stored, restored) = records::restored_head(store).await?;
    let head = records::head_of(stored.as_deref())?;
    let headless = head.is_none();
    let mut found = read_valid(paging, stored, head, None).await?;
    found.warnings.extend(damage_met(store, restored).await?);
    let Recovered { state, stored, .. } = &found;
    let in_log = state.end.lsn > 0 || state.broken.is_some();
    let missing = headless && (in_log || !found.manifests.is_empty() || !found.damaged.is_empty());
    // A holder whose lock is being stolen may have written between the reads; the claim detects that.
    if (missing || state.broken.is_some()) && store.head().await? != *stored {
        return Ok(found);
    }
    if missing {
        return Err(corrupt("The head record of the database is missing")
            .hint("Nothing was changed; recover(name) opens the last good state"));
    }
    let Some(Broken { lost, .. }) = state.broken else { return Ok(found) };
    let mut error = match newest_damaged(state) {
        Some(generation) => corrupt(&format!("Snapshot {generation} is damaged, and the page log can't replace it"))
            .hint("Nothing was changed; recover(name) opens what is left, and reports what is missing"),
        None if state.file.bytes() == 0 => corrupt(&format!("The page log is damaged: {lost} stored batches can't be read"))
            .hint("Nothing was changed. No state from before the damage is stored: recover(name) opens what the log after it has, if that is enough. An exported file or the remote may have more"),
        None => corrupt(&format!("The page log is damaged: {lost} stored batches can't be read"))
            .hint("Nothing was changed; recover(name) opens the last good state and quarantines the damaged part"),
    };
    error = error.detail("lostBatches", lost);
    if let Some(base) = &state.base {
        error = error.detail("snapshotId", base.generation.to_string());
    }
    // A log without any pages before the damage has no state.
    if state.end.lsn > 0 && state.file.bytes() > 0 {
        error = error.detail("lastGoodAt", state.committed.to_string());
    }
    Err(error)
}

/// Returns the warning about damage that cost nothing, if the store met any, or if the head was restored.
pub(super) async fn damage_met(store: &dyn Store, restored: bool) -> Result<Option<Warning>> {
    let met = if restored { Some(HEAD_RESTORED.to_owned()) } else { store.damage().await? };
    Ok(met.map(|message| Warning { code: WarningCode::StorageDamaged, message }))
}

/// Returns the generation of the newest damaged manifest, if a state could not be rebuilt for its damage: newer than the base.
fn newest_damaged(state: &Rebuilt) -> Option<u64> {
    state.damaged.first().copied()
}

/// Reads the valid part: the newest usable manifest and the log after it up to its first damage, or the manifest of
/// generation `from` alone.
///
/// Fails with `snapshot_incompatible` for a newer format, with `snapshot_not_found` and `snapshot_corrupt` for `from`,
/// and with the errors of the store.
pub(super) async fn read_valid(
    paging: &Paging,
    stored: Option<Vec<u8>>,
    head: Option<Head>,
    from: Option<u64>,
) -> Result<Recovered> {
    if let Some(head) = &head {
        check_format(head)?;
    }
    let (manifests, unreadable) = records::manifests(&*paging.store()).await?;
    let (manifests, imported) = part(manifests);
    let mut damaged: Set<u64> = unreadable.into_iter().collect();
    if let Some(from) = from.filter(|from| manifests.iter().all(|manifest| manifest.generation != *from)) {
        return Err(if damaged.contains(&from) { unreadable_manifest(from) } else { no_snapshot(from) });
    }
    // The lsn that the log must reach: that of the holder's epoch record, of its truncation, and of every manifest.
    let mut least = Broken::default();
    let head_epoch = head.as_ref().map_or(u64::MAX, |head| head.epoch);
    if let Some(head) = &head {
        least.lsn = head.lsn.max(head.truncated.lsn);
        least.logged = head.truncated.logged;
    }
    for manifest in &manifests {
        least.lsn = least.lsn.max(manifest.lsn);
        least.logged = least.logged.max(manifest.logged);
        least.time = least.time.max(manifest.time);
    }
    let until = if from.is_some() { Until::Manifest } else { Until::End };
    let mut bases = manifests.iter().rev().filter(|manifest| from.is_none_or(|from| manifest.generation == from));
    let state = rebuild(paging, &mut bases, until, least, head_epoch).await?;
    damaged.extend(state.damaged.iter().copied());
    let used = state.base.as_ref().map_or(0, |base| base.generation);
    if state.lacks_copy {
        damaged.insert(used);
    }
    let reported = damaged.iter().filter(|_| from.is_none());
    let warnings = reported.map(|generation| Warning {
        code: WarningCode::SnapshotCorrupt,
        message: if *generation == used {
            format!("the first chunk of snapshot {generation} is damaged; its copy was read, and the data is complete")
        } else if *generation < used {
            format!("snapshot {generation} is damaged, and isn't listed any more; the data is complete. Take another snapshot")
        } else if state.lacks {
            format!("snapshot {generation} is damaged; data stored only in it is lost")
        } else {
            format!("snapshot {generation} is damaged; the data was read from the previous one and the log")
        },
    });
    let warnings = warnings.collect();
    let needs_barrier = state.lacks || from.is_some();
    Ok(Recovered { stored, head, state, manifests, imported, damaged, needs_barrier, warnings })
}

/// Checks that this build can read a head. Fails with `snapshot_incompatible` for a newer format, `invalid_argument`
/// when the database is in another storage, and `decryption_failed` for the head of an encrypted database: with a known
/// key, it is decrypted before this check.
pub(super) fn check_format(head: &Head) -> Result<()> {
    if head.features.iter().any(|feature| feature == ELSEWHERE) {
        return Err(elsewhere());
    }
    let encrypted = head.features.iter().any(|feature| feature == ENCRYPTION);
    let known = head.features.is_empty() || encrypted && head.features.iter().all(|name| is_of_encryption(name));
    if head.format <= FORMAT && known {
        return if encrypted { Err(refused("The database is encrypted, and no key was given")) } else { Ok(()) };
    }
    // A forged head may name a million.
    let features: String = head.features.join(" ").chars().take(400).collect();
    Err(Error::new(ErrorCode::SnapshotIncompatible, "The database was stored by a newer version of tidelock")
        .hint("Load the newest version of the app; nothing was changed")
        .detail("format", head.format)
        .detail("features", features))
}

/// Creates the `snapshot_not_found` error of a generation.
pub(super) fn no_snapshot(generation: u64) -> Error {
    Error::new(ErrorCode::SnapshotNotFound, format!("There is no snapshot {generation}"))
        .hint("snapshots.list() shows which exist")
        .detail("snapshotId", generation.to_string())
}

/// Creates the `snapshot_corrupt` error of an unreadable manifest.
pub(super) fn unreadable_manifest(generation: u64) -> Error {
    Error::new(ErrorCode::SnapshotCorrupt, format!("The manifest of snapshot {generation} can't be read"))
        .hint("Restore another snapshot")
        .detail("snapshotId", generation.to_string())
}

/// Returns the position of a manifest in the log.
pub(super) fn at(manifest: &Manifest) -> Position {
    Position { lsn: manifest.lsn, chain: manifest.chain, time: manifest.time, logged: manifest.logged }
}

/// Rebuilds a state from the first usable manifest of `bases` (newest first) and the log after it, which is read to its
/// end even behind damage. The log also counts as damaged if it doesn't reach `least`, or continues in a newer epoch
/// than that of the head, which means that the log or the head was replaced by an older copy.
///
/// Fails with `out_of_memory`, with the errors of the store, and for [`Until::Manifest`] with `snapshot_corrupt`.
pub(super) async fn rebuild(
    paging: &Paging,
    bases: &mut dyn Iterator<Item = &Manifest>,
    until: Until,
    least: Broken,
    head_epoch: u64,
) -> Result<Rebuilt> {
    let exact = matches!(until, Until::Manifest);
    let mut start = ReplayStart {
        base: None,
        from: Position::default(),
        contents: paging.empty(),
        damaged: Vec::new(),
        lacks_copy: false,
        barrier: u64::MAX,
    };
    for manifest in bases {
        match load(paging, manifest, if exact { ChunkCheck::Full } else { ChunkCheck::Quick }).await {
            Ok(loaded) => {
                (start.base, start.from, start.contents) = (Some(manifest.clone()), at(manifest), loaded.contents);
                start.lacks_copy = loaded.lacks_copy;
                break;
            }
            Err(error) if error.is(ErrorCode::SnapshotCorrupt) && !exact => {
                start.damaged.push(manifest.generation);
                start.barrier = if manifest.barrier { start.barrier.min(manifest.lsn) } else { start.barrier };
            }
            Err(error) => return Err(error),
        }
    }
    replay(&*paging.store(), start, until, least, head_epoch).await
}

/// Where a replay starts.
pub(super) struct ReplayStart {
    pub base: Option<Manifest>,
    /// The position of the contents.
    pub from: Position,
    pub contents: FileContents,
    /// The newer manifests that are damaged.
    pub damaged: Vec<u64>,
    /// Whether the base has only one of its first chunk and that one's copy.
    pub lacks_copy: bool,
    /// The lsn of the first barrier among those, which a replay never crosses.
    pub barrier: u64,
}

/// Applies the log to contents; see [`rebuild`].
pub(super) async fn replay(
    store: &dyn Store,
    start: ReplayStart,
    until: Until,
    least: Broken,
    head_epoch: u64,
) -> Result<Rebuilt> {
    let ReplayStart { base, from, contents, damaged, lacks_copy, barrier } = start;
    let (apply_through, stop_after, last) = match until {
        Until::End => (barrier, u64::MAX, u64::MAX),
        Until::Lsn(lsn) => (u64::MAX, barrier, lsn),
        Until::Manifest => (from.lsn, u64::MAX, u64::MAX),
    };
    let mut replay = Replay::new(contents, from, apply_through);
    let (mut breaks, mut seen, mut epochs) = (false, least, 0);
    let mut take = |key: LogKey, bytes| {
        let record = LogRecord::decode(key, bytes);
        let header = record.as_ref().map(|record| record.header);
        seen.lsn = seen.lsn.max(key.0);
        if !breaks {
            if replay.end().lsn == last {
                return Ok(ControlFlow::Break(()));
            }
            let newer = header.is_some_and(|header| header.epoch > head_epoch);
            let crosses = key.0 > stop_after && header.is_none_or(|header| header.kind == LogKind::Commit);
            breaks = newer || crosses || !replay.take(record)?;
        } else if let Some(header) = header {
            seen.time = seen.time.max(header.time);
            seen.logged = seen.logged.max(header.logged);
        }
        epochs += u64::from(breaks && header.is_some_and(|header| header.kind == LogKind::Epoch));
        Ok(ControlFlow::Continue(()))
    };
    let reached = records::each_of_log(store, (from.lsn, u32::MAX), &mut take).await?;
    let (end, committed) = (replay.end(), replay.committed());
    let sound = reached || !breaks && replay.is_whole() && end.lsn >= least.lsn;
    seen.from = end.lsn.saturating_add(1);
    seen.lost = seen.lsn.saturating_sub(end.lsn).saturating_sub(epochs).max(1);
    let (contents, stale, skipped) = replay.finish();
    let broken = (!sound).then_some(seen);
    Ok(Rebuilt {
        base,
        file: PageFile::new(contents),
        stale,
        end,
        committed,
        damaged,
        lacks_copy,
        lacks: barrier != u64::MAX,
        skipped,
        broken,
    })
}

/// How thoroughly chunks are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkCheck {
    /// By xxh3, like an opening.
    Quick,
    /// Also by SHA-256.
    Full,
}

/// The contents of a manifest.
#[derive(Default)]
pub(super) struct Loaded {
    pub contents: FileContents,
    /// Whether only one of the first chunk and its copy is intact, as far as they were read. The contents are complete.
    pub lacks_copy: bool,
}

/// Returns a manifest's contents. Those that are larger than the cache are read when they are needed: only
/// [`ChunkCheck::Full`] reads all of it now. Fails with `snapshot_corrupt` if the manifest or a chunk is damaged.
pub(super) async fn load(paging: &Paging, manifest: &Manifest, check: ChunkCheck) -> Result<Loaded> {
    let mut damage = Vec::new();
    let loaded = read(paging, manifest, check, &mut damage).await?;
    match damage.into_iter().next() {
        None => Ok(loaded),
        Some(first) => Err(Error::new(ErrorCode::SnapshotCorrupt, first)
            .detail("snapshotId", manifest.generation.to_string())
            .hint("Restore another snapshot")),
    }
}

/// Returns whether a manifest has as many chunks as its size says: a forged size must not be believed.
pub(super) fn is_consistent(manifest: &Manifest) -> bool {
    let count = manifest.db_bytes.div_ceil(CHUNK_SIZE as u64);
    manifest.format <= FORMAT && manifest.chunk_size as usize == CHUNK_SIZE && manifest.chunks.len() as u64 == count
}

/// Returns a manifest's contents, and reports every defect.
pub(super) async fn read(
    paging: &Paging,
    manifest: &Manifest,
    check: ChunkCheck,
    damage: &mut Vec<String>,
) -> Result<Loaded> {
    if !is_consistent(manifest) {
        damage.push(format!("The manifest of snapshot {} is damaged", manifest.generation));
        return Ok(Loaded::default());
    }
    let store = &*paging.store();
    let Some(cache_bytes) = paging.cache_bytes().filter(|cache_bytes| manifest.db_bytes > *cache_bytes) else {
        let mut image = Image { page_size: manifest.page_size, chunks: Vec::with_capacity(manifest.chunks.len()) };
        let take = &mut |chunk| image.chunks.push(chunk);
        let lacks_copy = check_chunks(store, manifest, check, damage, take).await?;
        return Ok(Loaded { contents: paging.preloaded(manifest, image), lacks_copy });
    };
    let lacks_copy = if paging.verifies() || check == ChunkCheck::Full {
        check_chunks(store, manifest, ChunkCheck::Full, damage, &mut drop).await?
    } else {
        let (missing, needs_copy) = first_missing(store, manifest, store.chunk_ids().await?);
        damage.extend(missing);
        needs_copy
    };
    Ok(Loaded { contents: FileContents::Paged(paging.contents(manifest, cache_bytes)), lacks_copy })
}

/// Reads the first chunk of a manifest from its copy, or the copy from the chunk; `None` if the other one is missing or damaged.
pub(super) async fn from_other(store: &dyn Store, manifest: &Manifest, is_copy: bool) -> Result<Option<Vec<u8>>> {
    let (Some(mut other), Some(mut this)) = (manifest.first_copy.as_ref(), manifest.chunks.first()) else {
        return Ok(None);
    };
    if is_copy {
        (other, this) = (this, other);
    }
    let stored = records::chunks(store, std::slice::from_ref(&other.id)).await?.pop().flatten();
    let length = chunk_length(manifest.db_bytes, 0);
    Ok(stored.and_then(|stored| chunk::from_other(&stored, length, other, this)))
}

/// Reads all chunks of a manifest, and passes the intact ones to `take`, the first one from its copy if it is damaged. Returns
/// whether only one of the two is intact; the copy is read for that only by [`ChunkCheck::Full`]. [`ChunkCheck::Quick`] stops
/// after some with a defect.
async fn check_chunks(
    store: &dyn Store,
    manifest: &Manifest,
    check: ChunkCheck,
    damage: &mut Vec<String>,
    take: &mut dyn FnMut(Box<[u8]>),
) -> Result<bool> {
    let is_full = check == ChunkCheck::Full;
    let mut lacks_copy = false;
    // Where a request costs nothing, less memory does.
    let slice_length = if store.reads_now() { CHUNK_SLICE / 8 } else { CHUNK_SLICE };
    for (slice, refs) in manifest.chunks.chunks(slice_length).enumerate() {
        // Slice by slice: the manifest's size counts only as far as its chunks exist.
        room_for(2 * (refs.len() * CHUNK_SIZE) as u64)?;
        let ids: Vec<ChunkId> = refs.iter().map(|chunk| chunk.id).collect();
        for (offset, (stored, expected)) in records::chunks(store, &ids).await?.into_iter().zip(refs).enumerate() {
            let index = slice * slice_length + offset;
            let length = chunk_length(manifest.db_bytes, index);
            let plain = stored.as_deref().and_then(|stored| chunk::intact(stored, length, expected.check));
            let is_same = |plain: &Vec<u8>| !is_full || chunk::id(plain) == expected.id;
            let mut good = plain.filter(is_same);
            if index == 0 && (is_full || good.is_none()) {
                let copy = from_other(store, manifest, false).await?.filter(is_same);
                lacks_copy = manifest.first_copy.is_some() && good.is_some() != copy.is_some();
                good = good.or(copy);
            }
            match good {
                Some(plain) => take(plain.into_boxed_slice()),
                None => damage.push(chunk_damage(manifest, index, stored.is_none())),
            }
        }
        if !is_full && !damage.is_empty() {
            break;
        }
    }
    if is_full && chunk::digest(&manifest.chunks) != manifest.sha256 {
        damage.push(format!("The SHA-256 of snapshot {} doesn't match its chunks", manifest.generation));
    }
    Ok(lacks_copy)
}

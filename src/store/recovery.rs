//! Reading a database back: the newest usable manifest, then the log after it. Writes nothing.

use super::{
    FORMAT, checksum, chunk,
    failure::{corrupt, refused},
    log::{Position, Replay, chunk_length},
};
use crate::{
    collections::{Bits, Set},
    error::{Error, ErrorCode, Result},
    ports::{ChunkId, ENCRYPTION, Head, LogKind, Manifest, Store},
    sqlite::{CHUNK_SIZE, Image},
};

/// How many bytes of the log are in memory at a time while it is replayed.
const LOG_SLICE: usize = 16 * 1024 * 1024;
/// How many chunks are in memory in their stored form at a time.
const CHUNK_SLICE: usize = 64;

/// Something that went well in the end, but that the user should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// What programs compare.
    pub code: &'static str,
    /// One sentence for people.
    pub message: String,
}

/// A database as it was read.
pub(super) struct Recovered {
    pub head: Option<Head>,
    pub newest: Option<(u64, u32)>,
    pub image: Image,
    pub end: Position,
    /// All readable manifests, oldest first.
    pub manifests: Vec<Manifest>,
    /// The generations that can't be used.
    pub damaged: Set<u64>,
    /// The manifest under the image; `None`: the log alone.
    pub base: Option<Manifest>,
    /// Chunks of the image that differ from the base.
    pub stale: Bits,
    /// The image is not what the log says, so that the next manifest must be a barrier, at once.
    pub needs_barrier: bool,
    pub warnings: Vec<Warning>,
}

/// Reads everything that opening needs.
///
/// Fails with `database_corrupt` when the log is damaged after the newest usable manifest, `snapshot_incompatible` for
/// a newer format, and what the store fails with.
pub(super) async fn recover(store: &dyn Store) -> Result<Recovered> {
    let head = store.head().await?;
    let newest = store.newest_log().await?;
    let (manifests, unreadable) = store.manifests().await?;
    let mut damaged: Set<u64> = unreadable.into_iter().collect();
    let Some(head) = head else {
        if newest.is_some() || !manifests.is_empty() || !damaged.is_empty() {
            return Err(corrupt("the head record of the database is missing"));
        }
        return Ok(Recovered {
            head: None,
            newest,
            image: Image::default(),
            end: Position::default(),
            manifests,
            damaged,
            base: None,
            stale: Bits::new(),
            needs_barrier: false,
            warnings: Vec::new(),
        });
    };
    check_format(&head)?;

    let mut warnings = Vec::new();
    let mut apply_through = u64::MAX;
    let mut base = None;
    for manifest in manifests.iter().rev() {
        match load(store, manifest, Check::Quick).await {
            Ok(image) => {
                base = Some((manifest, image));
                break;
            }
            Err(error) if error.is(ErrorCode::SnapshotCorrupt) => {
                damaged.insert(manifest.generation);
                if manifest.barrier {
                    apply_through = apply_through.min(manifest.lsn);
                }
            }
            Err(error) => return Err(error),
        }
    }
    let used = base.as_ref().map_or(0, |(manifest, _)| manifest.generation);
    warnings.extend(damaged.iter().filter(|generation| **generation > used).map(|generation| Warning {
        code: ErrorCode::SnapshotCorrupt.as_str(),
        message: if apply_through == u64::MAX {
            format!("snapshot {generation} is damaged; the data was read from the one before and the log")
        } else {
            format!("snapshot {generation} is damaged; what was stored only in it is lost")
        },
    }));

    let (base, image) = base.map_or((None, Image::default()), |(manifest, image)| (Some(manifest.clone()), image));
    let from = base.as_ref().map_or(Position::default(), at);
    let replay = replay(store, &head, base.as_ref(), Replay::new(image, from, apply_through)).await?;
    let end = replay.end();
    let (image, stale, _) = replay.finish();
    Ok(Recovered {
        head: Some(head),
        newest,
        image,
        end,
        manifests,
        damaged,
        base,
        stale,
        needs_barrier: apply_through != u64::MAX,
        warnings,
    })
}

/// Fails with `snapshot_incompatible` for a newer format, and with `decryption_failed` for an encrypted database, whose
/// head never comes here as it is stored when its key is at hand.
pub(super) fn check_format(head: &Head) -> Result<()> {
    let encrypted = head.features.iter().any(|feature| feature == ENCRYPTION);
    if head.format <= FORMAT && head.features.len() == usize::from(encrypted) {
        return if encrypted { Err(refused("the database is encrypted, and no key was given")) } else { Ok(()) };
    }
    Err(Error::new(ErrorCode::SnapshotIncompatible, "the database was stored by a newer version of tidelock")
        .hint("load the newest version of the app; nothing was changed")
        .detail("format", head.format)
        .detail("features", head.features.join(" ")))
}

/// The place in the log that a manifest stands at.
pub(super) fn at(manifest: &Manifest) -> Position {
    Position { lsn: manifest.lsn, chain: manifest.chain, time: manifest.time, logged: manifest.logged }
}

async fn replay(store: &dyn Store, head: &Head, base: Option<&Manifest>, mut replay: Replay) -> Result<Replay> {
    let mut key = (replay.end().lsn, u32::MAX);
    let mut broken = false;
    // After a break: which batches can't be reached any more.
    let (mut last, mut epochs) = (head.lsn, 0);
    loop {
        let entries = store.log(key, LOG_SLICE).await?;
        if entries.is_empty() {
            break;
        }
        for entry in entries {
            key = (entry.lsn, entry.part);
            last = last.max(entry.lsn);
            let epoch = entry.record.as_ref().is_some_and(|record| record.kind == LogKind::Epoch);
            // A head that is older than the log was put back in the place of a newer one.
            let newer = entry.record.as_ref().is_some_and(|record| record.epoch > head.epoch);
            if !broken && (newer || !replay.take(entry)) {
                broken = true;
            }
            epochs += u64::from(broken && epoch);
        }
    }
    let end = replay.end();
    if !broken && replay.is_whole() && end.lsn >= head.lsn {
        return Ok(replay);
    }
    let lost = (last - end.lsn).saturating_sub(epochs).max(1);
    let mut error = corrupt(&format!("the page log is damaged: {lost} stored batches can't be read"))
        .hint("nothing was changed; recover(name) opens the last good state and keeps the damaged part aside")
        .detail("lostBatches", lost);
    if let Some(base) = base {
        error = error.detail("snapshotId", base.generation.to_string());
    }
    if end.lsn > 0 {
        error = error.detail("lastGoodAt", end.time.to_string());
    }
    Err(error)
}

/// How thoroughly chunks are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// By xxh3, as at open.
    Quick,
    /// By SHA-256, too.
    Full,
}

/// Reads a manifest's chunks into an image; `snapshot_corrupt` when it or one of them is damaged.
pub(super) async fn load(store: &dyn Store, manifest: &Manifest, check: Check) -> Result<Image> {
    let mut damage = Vec::new();
    let image = read(store, manifest, check, &mut damage).await?;
    match damage.into_iter().next() {
        None => Ok(image),
        Some(first) => Err(Error::new(ErrorCode::SnapshotCorrupt, first)
            .detail("snapshotId", manifest.generation.to_string())
            .hint("restore another snapshot")),
    }
}

/// Reads a manifest's chunks, noting everything that is wrong with them.
pub(super) async fn read(
    store: &dyn Store,
    manifest: &Manifest,
    check: Check,
    damage: &mut Vec<String>,
) -> Result<Image> {
    let mut image = Image { page_size: manifest.page_size, chunks: Vec::with_capacity(manifest.chunks.len()) };
    let count = manifest.db_bytes.div_ceil(CHUNK_SIZE as u64);
    if checksum::of_manifest(manifest) != manifest.checksum
        || manifest.format > FORMAT
        || manifest.chunk_size as usize != CHUNK_SIZE
        || manifest.chunks.len() as u64 != count
    {
        damage.push(format!("the manifest of snapshot {} is damaged", manifest.generation));
        return Ok(image);
    }
    for (slice, refs) in manifest.chunks.chunks(CHUNK_SLICE).enumerate() {
        let ids: Vec<ChunkId> = refs.iter().map(|chunk| chunk.id.clone()).collect();
        for (offset, (stored, expected)) in store.chunks(&ids).await?.into_iter().zip(refs).enumerate() {
            let index = slice * CHUNK_SLICE + offset;
            let plain =
                stored.as_deref().and_then(|stored| chunk::decode(stored, chunk_length(manifest.db_bytes, index)));
            let good = plain.filter(|plain| {
                checksum::of_bytes(plain) == expected.check
                    && (check == Check::Quick || chunk::id(plain) == expected.id)
            });
            match (good, stored) {
                (Some(plain), _) => image.chunks.push(plain.into_boxed_slice()),
                (None, None) => damage.push(format!("chunk {index} of snapshot {} is missing", manifest.generation)),
                (None, Some(_)) => damage.push(format!("chunk {index} of snapshot {} is damaged", manifest.generation)),
            }
        }
        if check == Check::Quick && !damage.is_empty() {
            break;
        }
    }
    if check == Check::Full && chunk::digest(&manifest.chunks) != manifest.sha256 {
        damage.push(format!("the SHA-256 of snapshot {} doesn't match its chunks", manifest.generation));
    }
    Ok(image)
}

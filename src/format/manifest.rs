//! The manifests: the content of the database at one lsn.

use std::rc::Rc;

use super::{FORMAT, LayoutWriter, Reader, begin, body, finish};
use crate::{collections::Set, ports::ChunkId, time::Timestamp};

/// Whether users see the manifest as a snapshot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ManifestKind {
    /// A compaction of the log: never listed, never counted.
    #[default]
    Checkpoint,
    /// A snapshot.
    Snapshot,
    /// Content that came from outside: shown as a snapshot, but not a state of this log. Its lsn means nothing.
    Imported,
}

/// A chunk as referenced by a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// SHA-256 of its plain bytes.
    pub id: ChunkId,
    /// xxh3 of its plain bytes: the quick check at open. (Of the plain bytes, because another compressor may store the
    /// same chunk in another form.)
    pub check: u64,
    /// How many bytes were stored.
    pub stored: u32,
}

/// How many bytes a chunk takes in a manifest.
const CHUNK_BYTES: usize = 44;

/// The reason of the checkpoint that a recovery writes. The log before it, the damaged part, is kept while it is
/// recent.
pub const RECOVERY: &str = "recovery";

/// The content of the database at one lsn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Its key; only grows.
    pub generation: u64,
    /// The version of the storage format.
    pub format: u32,
    /// Its lsn: the manifest is the state after this record of the log.
    pub lsn: u64,
    /// The checksum of that record, to verify the next one.
    pub chain: u64,
    /// The time of that record: the earliest time that can be restored from here.
    pub time: Timestamp,
    /// Bytes of pages logged up to that record.
    pub logged: u64,
    /// Pages were changed without being logged before this manifest: replay from an older manifest never crosses it.
    pub barrier: bool,
    /// When it was created.
    pub created_at: Timestamp,
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The database's size in bytes.
    pub db_bytes: u64,
    /// The size of a chunk in bytes; the last one may be shorter.
    pub chunk_size: u32,
    /// The chunks in order. Shared, since manifests are copied often and may have thousands.
    pub chunks: Rc<[ChunkRef]>,
    /// The first chunk with its bits inverted, so that it has a record of its own: without the schema in the first chunk, no row
    /// of the others can be read. `None` for an empty database.
    pub first_copy: Option<ChunkRef>,
    /// SHA-256 over the chunks' SHA-256 (32 bytes each) in order, 64 hex digits.
    pub sha256: String,
    /// Bytes of the chunks that this manifest stored first, without the copy.
    pub stored_bytes: u64,
    /// Checkpoint or snapshot.
    pub kind: ManifestKind,
    /// `manual`, `scheduled`, `hidden` or `safety`; empty for a checkpoint.
    pub reason: String,
    /// The user's label.
    pub label: Option<String>,
    /// The newest applied migration, if any.
    pub schema_version: Option<String>,
    /// `lz4` or `none`: how its new chunks were stored; each chunk states it, too.
    pub compression: String,
    /// Whether its chunks were read back and compared.
    pub verified: bool,
}

/// Returns the ids of all chunks that must be stored for these manifests. As one function: the iterators of the places that
/// need the ids would cost the core a kilobyte.
#[inline(never)]
pub fn stored_ids(manifests: &mut dyn Iterator<Item = &Manifest>) -> Set<ChunkId> {
    let (mut ids, mut previous) = (Vec::new(), [].as_slice());
    for manifest in manifests {
        for (index, chunk) in manifest.chunks.iter().enumerate() {
            // Most manifests differ from the one before in a few chunks only, and sorting takes long.
            if previous.get(index) != Some(chunk) {
                ids.push(chunk.id);
            }
        }
        ids.extend(manifest.first_copy.as_ref().map(|copy| copy.id));
        previous = &manifest.chunks;
    }
    ids.into_iter().collect()
}

impl Manifest {
    /// Returns all chunks that must be stored: the chunks, and the copy of the first one.
    pub fn stored_chunks(&self) -> Vec<&ChunkRef> {
        self.chunks.iter().chain(&self.first_copy).collect()
    }

    /// Encodes the manifest for storage.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = begin(256 + CHUNK_BYTES * (self.chunks.len() + 1));
        writer.u64(self.generation);
        writer.u32(self.format);
        writer.u64(self.lsn);
        writer.u64(self.chain);
        writer.time(self.time);
        writer.u64(self.logged);
        writer.u32(self.barrier.into());
        writer.time(self.created_at);
        writer.u32(self.page_size);
        writer.u64(self.db_bytes);
        writer.u32(self.chunk_size);
        writer.text(&self.sha256);
        writer.u64(self.stored_bytes);
        writer.u32(match self.kind {
            ManifestKind::Checkpoint => 0,
            ManifestKind::Snapshot => 1,
            ManifestKind::Imported => 2,
        });
        writer.text(&self.reason);
        writer.optional(self.label.as_ref());
        writer.optional(self.schema_version.as_ref());
        writer.text(&self.compression);
        writer.u32(self.verified.into());
        writer.list(self.chunks.iter(), write_chunk);
        writer.list(self.first_copy.iter(), write_chunk);
        finish(writer)
    }

    /// Decodes the manifest stored under that generation; `None` when it is damaged, belongs to
    /// another generation, or has a format before the first release.
    pub fn decode(generation: u64, stored: &[u8]) -> Option<Self> {
        let mut reader = body(stored)?;
        let manifest = Self {
            generation: reader.counter()?,
            format: reader.u32()?,
            lsn: reader.counter()?,
            chain: reader.u64()?,
            time: reader.time()?,
            logged: reader.counter()?,
            barrier: reader.flag()?,
            created_at: reader.time()?,
            page_size: reader.u32()?,
            db_bytes: reader.counter()?,
            chunk_size: reader.u32()?,
            sha256: reader.text()?,
            stored_bytes: reader.counter()?,
            kind: match reader.u32()? {
                0 => ManifestKind::Checkpoint,
                1 => ManifestKind::Snapshot,
                2 => ManifestKind::Imported,
                _ => return None,
            },
            reason: reader.text()?,
            label: reader.optional()?,
            schema_version: reader.optional()?,
            compression: reader.text()?,
            verified: reader.flag()?,
            chunks: reader.list(read_chunk)?.into(),
            first_copy: reader.list(read_chunk)?.pop(),
        };
        let is_sound = manifest.first_copy.is_none() || !manifest.chunks.is_empty();
        (manifest.generation == generation && manifest.format >= FORMAT && is_sound).then_some(manifest)
    }
}

fn write_chunk(writer: &mut LayoutWriter, chunk: &ChunkRef) {
    writer.id(&chunk.id);
    writer.u64(chunk.check);
    writer.u32(chunk.stored);
}

fn read_chunk(reader: &mut Reader<'_>) -> Option<ChunkRef> {
    Some(ChunkRef { id: reader.id()?, check: reader.u64()?, stored: reader.u32()? })
}

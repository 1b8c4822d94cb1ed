//! The checksums of format version 1: xxh3 (64 bits) over a fixed little-endian layout.
//!
//! They tell damage from data, not malice: whoever can write to the storage can also write checksums. (Encryption notices those: [`super::sealed`].)

use xxhash_rust::xxh3::xxh3_64;

use super::layout::Writer;
use crate::ports::{LogKind, LogRecord, Manifest, ManifestKind};

/// The quick check over a chunk's stored bytes.
pub fn of_bytes(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The checksum that a log record must carry; it covers `prev`, which makes the log a chain.
pub fn of_record(record: &LogRecord) -> u64 {
    let mut layout = Writer::with_capacity(96 + 4 * record.pages.len());
    layout.u64(record.prev);
    layout.u64(record.lsn);
    layout.u32(record.part);
    layout.u32(record.parts);
    layout.u32(match record.kind {
        LogKind::Epoch => 0,
        LogKind::Commit => 1,
    });
    layout.u64(record.epoch);
    layout.time(record.time);
    layout.u32(record.page_size);
    layout.u32(record.db_pages);
    layout.u64(record.logged);
    layout.u64(record.pages.len() as u64);
    for page in &record.pages {
        layout.u32(*page);
    }
    // The pages' bytes enter by their own hash: the largest part is never copied.
    layout.u64(xxh3_64(&record.bytes));
    xxh3_64(&layout.0)
}

/// The checksum that a manifest must carry.
pub fn of_manifest(manifest: &Manifest) -> u64 {
    let mut layout = Writer::with_capacity(256 + 80 * manifest.chunks.len());
    layout.u64(manifest.generation);
    layout.u32(manifest.format);
    layout.u64(manifest.lsn);
    layout.u64(manifest.chain);
    layout.time(manifest.time);
    layout.u64(manifest.logged);
    layout.u32(manifest.barrier.into());
    layout.time(manifest.created_at);
    layout.u32(manifest.page_size);
    layout.u64(manifest.db_bytes);
    layout.u32(manifest.chunk_size);
    layout.u64(manifest.chunks.len() as u64);
    for chunk in manifest.chunks.iter() {
        layout.text(&chunk.id);
        layout.u64(chunk.check);
        layout.u32(chunk.stored);
    }
    layout.text(&manifest.sha256);
    layout.u64(manifest.stored_bytes);
    layout.u32(match manifest.kind {
        ManifestKind::Checkpoint => 0,
        ManifestKind::Snapshot => 1,
        ManifestKind::Imported => 2,
    });
    layout.text(&manifest.reason);
    layout.optional(manifest.label.as_deref());
    layout.optional(manifest.schema_version.as_deref());
    layout.text(&manifest.compression);
    layout.u32(manifest.verified.into());
    xxh3_64(&layout.0)
}

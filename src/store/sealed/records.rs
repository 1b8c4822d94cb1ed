//! Records as the bytes that are encrypted, and back.

use super::super::layout::{Reader, Writer};
use crate::ports::{ChunkRef, LogKind, LogRecord, Manifest, ManifestKind};

/// Writes a record of the log behind what the writer has already.
pub fn write_log(writer: &mut Writer, record: &LogRecord) {
    writer.0.reserve(96 + 4 * record.pages.len() + record.bytes.len());
    writer.u64(record.lsn);
    writer.u32(record.part);
    writer.u32(record.parts);
    writer.u32(match record.kind {
        LogKind::Epoch => 0,
        LogKind::Commit => 1,
    });
    writer.u64(record.epoch);
    writer.time(record.time);
    writer.u32(record.page_size);
    writer.u32(record.db_pages);
    writer.u64(record.logged);
    writer.u64(record.checksum);
    writer.u64(record.prev);
    writer.u32(record.pages.len() as u32);
    record.pages.iter().for_each(|page| writer.u32(*page));
    writer.0.extend_from_slice(&record.bytes);
}

/// Reads [`write_log`].
pub fn read_log(bytes: &[u8]) -> Option<LogRecord> {
    let mut reader = Reader(bytes);
    let mut record = LogRecord {
        lsn: reader.u64()?,
        part: reader.u32()?,
        parts: reader.u32()?,
        kind: if reader.flag()? { LogKind::Commit } else { LogKind::Epoch },
        epoch: reader.u64()?,
        time: reader.time()?,
        page_size: reader.u32()?,
        db_pages: reader.u32()?,
        logged: reader.u64()?,
        checksum: reader.u64()?,
        prev: reader.u64()?,
        pages: Vec::new(),
        bytes: Vec::new(),
    };
    let count = reader.u32()? as usize;
    let pages = reader.bytes(count.checked_mul(4)?)?;
    record.pages = pages.chunks_exact(4).map(|page| u32::from_le_bytes([page[0], page[1], page[2], page[3]])).collect();
    record.bytes = reader.0.to_vec();
    Some(record)
}

/// Writes a manifest behind what the writer has already.
pub fn write_manifest(writer: &mut Writer, manifest: &Manifest) {
    writer.0.reserve(256 + 84 * manifest.chunks.len());
    writer.u64(manifest.generation);
    writer.u32(manifest.format);
    writer.u64(manifest.lsn);
    writer.u64(manifest.chain);
    writer.time(manifest.time);
    writer.u64(manifest.logged);
    writer.u32(manifest.barrier.into());
    writer.time(manifest.created_at);
    writer.u32(manifest.page_size);
    writer.u64(manifest.db_bytes);
    writer.u32(manifest.chunk_size);
    writer.text(&manifest.sha256);
    writer.u64(manifest.stored_bytes);
    writer.u32(match manifest.kind {
        ManifestKind::Checkpoint => 0,
        ManifestKind::Snapshot => 1,
        ManifestKind::Imported => 2,
    });
    writer.text(&manifest.reason);
    writer.optional(manifest.label.as_deref());
    writer.optional(manifest.schema_version.as_deref());
    writer.text(&manifest.compression);
    writer.u32(manifest.verified.into());
    writer.u64(manifest.checksum);
    for chunk in manifest.chunks.iter() {
        writer.text(&chunk.id);
        writer.u64(chunk.check);
        writer.u32(chunk.stored);
    }
}

/// Reads [`write_manifest`].
pub fn read_manifest(bytes: &[u8]) -> Option<Manifest> {
    let mut reader = Reader(bytes);
    let mut manifest = Manifest {
        generation: reader.u64()?,
        format: reader.u32()?,
        lsn: reader.u64()?,
        chain: reader.u64()?,
        time: reader.time()?,
        logged: reader.u64()?,
        barrier: reader.flag()?,
        created_at: reader.time()?,
        page_size: reader.u32()?,
        db_bytes: reader.u64()?,
        chunk_size: reader.u32()?,
        sha256: reader.text()?,
        stored_bytes: reader.u64()?,
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
        checksum: reader.u64()?,
        ..Manifest::default()
    };
    let mut chunks = Vec::new();
    while !reader.0.is_empty() {
        chunks.push(ChunkRef { id: reader.text()?, check: reader.u64()?, stored: reader.u32()? });
    }
    manifest.chunks = chunks.into();
    Some(manifest)
}

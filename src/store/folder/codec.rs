//! The records as bytes: little-endian numbers, texts and lists with their length before them.

use crate::{
    ports::{ChunkId, ChunkRef, Encryption, Head, Holder, LogKind, LogRecord, Manifest, ManifestKind, Truncation},
    store::chunk,
    time::Timestamp,
};

/// Bytes that grow.
#[derive(Default)]
pub struct Out(pub Vec<u8>);

impl Out {
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        self.u32(text.is_some().into());
        self.text(text.unwrap_or_default());
    }

    /// A list: its length, then each.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut put: impl FnMut(&mut Self, T)) {
        self.u32(items.len() as u32);
        items.for_each(|item| put(self, item));
    }

    pub fn head(&mut self, head: &Head) {
        self.u32(head.format);
        self.list(head.features.iter(), |out, feature| out.text(feature));
        self.text(&head.database_id);
        self.u64(head.epoch);
        self.text(&head.holder.id);
        self.text(&head.holder.title);
        self.text(&head.holder.url);
        self.u64(head.holder.since.0 as u64);
        self.u64(head.generation);
        self.u64(head.lsn);
        self.list(head.epochs.iter(), |out, lsn| out.u64(*lsn));
        self.u64(head.truncated.lsn);
        self.u64(head.truncated.logged);
        self.list(head.encryption.iter(), |out, encryption| {
            out.text(&encryption.method);
            out.u32(encryption.iterations);
            out.text(&encryption.salt);
            out.text(&encryption.wrapped);
            out.text(&encryption.mac);
        });
    }

    pub fn log_record(&mut self, record: &LogRecord) {
        self.u64(record.lsn);
        self.u32(record.part);
        self.u32(record.parts);
        self.u32(match record.kind {
            LogKind::Epoch => 0,
            LogKind::Commit => 1,
        });
        self.u64(record.epoch);
        self.u64(record.time.0 as u64);
        self.u32(record.page_size);
        self.u32(record.db_pages);
        self.u64(record.logged);
        self.u64(record.checksum);
        self.u64(record.prev);
        self.list(record.pages.iter(), |out, page| out.u32(*page));
        self.bytes(&record.bytes);
    }

    pub fn manifest(&mut self, manifest: &Manifest) {
        self.u64(manifest.generation);
        self.u32(manifest.format);
        self.u64(manifest.lsn);
        self.u64(manifest.chain);
        self.u64(manifest.time.0 as u64);
        self.u64(manifest.logged);
        self.u32(manifest.barrier.into());
        self.u64(manifest.created_at.0 as u64);
        self.u32(manifest.page_size);
        self.u64(manifest.db_bytes);
        self.u32(manifest.chunk_size);
        self.list(manifest.chunks.iter(), |out, chunk| {
            out.text(&chunk.id);
            out.u64(chunk.check);
            out.u32(chunk.stored);
        });
        self.text(&manifest.sha256);
        self.u64(manifest.stored_bytes);
        self.u32(match manifest.kind {
            ManifestKind::Checkpoint => 0,
            ManifestKind::Snapshot => 1,
            ManifestKind::Imported => 2,
        });
        self.text(&manifest.reason);
        self.optional(manifest.label.as_deref());
        self.optional(manifest.schema_version.as_deref());
        self.text(&manifest.compression);
        self.u32(manifest.verified.into());
        self.u64(manifest.checksum);
        self.list(manifest.sealed.iter(), |out, sealed| out.bytes(sealed));
    }
}

/// Bytes that are read; `None` wherever they are not what they should be.
pub struct In<'a>(pub &'a [u8]);

impl<'a> In<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    pub fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    /// A chunk's id: it becomes the name of a file, so anything else is refused.
    pub fn chunk_id(&mut self) -> Option<ChunkId> {
        self.text().filter(|id| chunk::is_id(id))
    }

    fn optional(&mut self) -> Option<Option<String>> {
        let is_there = self.u32()? == 1;
        let text = self.text()?;
        Some(is_there.then_some(text))
    }

    fn moment(&mut self) -> Option<Timestamp> {
        self.u64().map(|ms| Timestamp(ms as i64))
    }

    pub fn list<T>(&mut self, mut get: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.u32()?;
        // No room is made for a length that nothing has confirmed.
        (0..length).map(|_| get(self)).collect()
    }

    pub fn head(&mut self) -> Option<Head> {
        Some(Head {
            format: self.u32()?,
            features: self.list(Self::text)?,
            database_id: self.text()?,
            epoch: self.u64()?,
            holder: Holder { id: self.text()?, title: self.text()?, url: self.text()?, since: self.moment()? },
            generation: self.u64()?,
            lsn: self.u64()?,
            epochs: self.list(Self::u64)?,
            truncated: Truncation { lsn: self.u64()?, logged: self.u64()? },
            encryption: self.list(Self::encryption)?.pop().map(Box::new),
        })
    }

    fn encryption(&mut self) -> Option<Encryption> {
        Some(Encryption {
            method: self.text()?,
            iterations: self.u32()?,
            salt: self.text()?,
            wrapped: self.text()?,
            mac: self.text()?,
        })
    }

    pub fn log_record(&mut self) -> Option<LogRecord> {
        let (lsn, part, parts) = (self.u64()?, self.u32()?, self.u32()?);
        let kind = match self.u32()? {
            0 => LogKind::Epoch,
            1 => LogKind::Commit,
            _ => return None,
        };
        Some(LogRecord {
            lsn,
            part,
            parts,
            kind,
            epoch: self.u64()?,
            time: self.moment()?,
            page_size: self.u32()?,
            db_pages: self.u32()?,
            logged: self.u64()?,
            checksum: self.u64()?,
            prev: self.u64()?,
            pages: self.list(Self::u32)?,
            bytes: self.bytes()?.to_vec(),
        })
    }

    pub fn manifest(&mut self) -> Option<Manifest> {
        Some(Manifest {
            generation: self.u64()?,
            format: self.u32()?,
            lsn: self.u64()?,
            chain: self.u64()?,
            time: self.moment()?,
            logged: self.u64()?,
            barrier: self.u32()? == 1,
            created_at: self.moment()?,
            page_size: self.u32()?,
            db_bytes: self.u64()?,
            chunk_size: self.u32()?,
            chunks: self
                .list(|bytes| Some(ChunkRef { id: bytes.chunk_id()?, check: bytes.u64()?, stored: bytes.u32()? }))?
                .into(),
            sha256: self.text()?,
            stored_bytes: self.u64()?,
            kind: match self.u32()? {
                0 => ManifestKind::Checkpoint,
                1 => ManifestKind::Snapshot,
                2 => ManifestKind::Imported,
                _ => return None,
            },
            reason: self.text()?,
            label: self.optional()?,
            schema_version: self.optional()?,
            compression: self.text()?,
            verified: self.u32()? == 1,
            checksum: self.u64()?,
            sealed: self.list(|bytes| bytes.bytes().map(Into::into))?.pop(),
        })
    }
}

//! The head: the database's identity, its holder, and where its log begins and ends.

use super::{FORMAT, LayoutWriter, Reader, begin, body, finish};
use crate::ports::Holder;

/// The head of a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The version of the storage format.
    pub format: u32,
    /// What a reader must support beyond this version, by name: a reader refuses unknown features.
    pub features: Vec<String>,
    /// The last tab that took the lock.
    pub holder: Holder,
    /// Random, created once, 32 hex digits: distinguishes a database from a deleted one of the same name.
    pub database_id: String,
    /// Grows by one each time the lock is acquired: the fence.
    pub epoch: u64,
    /// The highest generation ever given to a manifest.
    pub generation: u64,
    /// The lsn of this epoch's record: the log, or a manifest, reaches at least here.
    pub lsn: u64,
    /// The lsns of the newest epoch records. Truncation keeps them, so that the next `add` of a fenced-out holder finds
    /// its key taken.
    pub epochs: Vec<u64>,
    /// Where the log begins.
    pub truncated: Truncation,
}

/// Where the log begins: how much was truncated from its front.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Truncation {
    /// Batches up to this lsn are deleted.
    pub lsn: u64,
    /// Bytes of pages logged up to that lsn.
    pub logged: u64,
}

impl Head {
    /// Encodes the head for storage.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = begin(256 + 8 * self.epochs.len());
        self.write_start(&mut writer);
        writer.text(&self.database_id);
        writer.u64(self.epoch);
        writer.u64(self.generation);
        writer.u64(self.lsn);
        writer.list(self.epochs.iter(), |writer, lsn| writer.u64(*lsn));
        writer.u64(self.truncated.lsn);
        writer.u64(self.truncated.logged);
        finish(writer)
    }

    /// Decodes a stored head; of one in a newer format, or with features, only the fields that every format begins
    /// with. `None` when it can't be read, and in a format before the first release.
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let mut reader = body(stored)?;
        let head = Self::read_start(&mut reader)?;
        if head.format > FORMAT || !head.features.is_empty() {
            return Some(head);
        } else if head.format < FORMAT {
            return None;
        }
        Some(Self {
            database_id: reader.text()?,
            epoch: reader.counter()?,
            generation: reader.counter()?,
            lsn: reader.counter()?,
            epochs: reader.list(Reader::counter)?,
            truncated: Truncation { lsn: reader.counter()?, logged: reader.counter()? },
            ..head
        })
    }

    /// Writes the fields that a head begins with in every format.
    pub fn write_start(&self, writer: &mut LayoutWriter) {
        writer.u32(self.format);
        writer.list(self.features.iter(), |writer, feature| writer.text(feature));
        writer.text(&self.holder.id);
        writer.text(&self.holder.title);
        writer.text(&self.holder.url);
        writer.time(self.holder.since);
    }

    /// Reads the fields of [`Head::write_start`].
    pub fn read_start(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            format: reader.u32()?,
            features: reader.list(Reader::text)?,
            holder: Holder { id: reader.text()?, title: reader.text()?, url: reader.text()?, since: reader.time()? },
            ..Self::default()
        })
    }
}

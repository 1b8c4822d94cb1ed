//! The records of the log.

use super::{Reader, begin, body, checksum_of, finish};
use crate::{ports::LogKey, time::Timestamp};

/// The kind of a log record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogKind {
    /// A holder acquired the lock: uses an lsn, changes no page.
    #[default]
    Epoch,
    /// Pages of one or more whole commits.
    Commit,
}

/// The header of a log record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHeader {
    /// The checksum of the previous record (or part): the chain.
    pub prev: u64,
    /// The log sequence number: consecutive, from 1.
    pub lsn: u64,
    /// The index of this part of the batch, from 0.
    pub part: u32,
    /// How many parts the batch has.
    pub parts: u32,
    /// The kind of record.
    pub kind: LogKind,
    /// The epoch of its writer.
    pub epoch: u64,
    /// The wall clock of the writer, which may jump; the same in all parts.
    pub time: Timestamp,
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The database's size in pages after the batch.
    pub db_pages: u32,
    /// Bytes of pages logged since the database was created, up to and including this batch.
    pub logged: u64,
}

impl LogHeader {
    /// Encodes the record for storage: with the numbers of its pages, from 0, ascending, and their bytes in that order.
    pub fn encode(&self, pages: &[u32], bytes: &[u8]) -> Vec<u8> {
        let mut writer = begin(68 + 4 * pages.len() + bytes.len());
        writer.u64(self.prev);
        writer.u64(self.lsn);
        writer.u32(self.part);
        writer.u32(self.parts);
        writer.u32(match self.kind {
            LogKind::Epoch => 0,
            LogKind::Commit => 1,
        });
        writer.u64(self.epoch);
        writer.time(self.time);
        writer.u32(self.page_size);
        writer.u32(self.db_pages);
        writer.u64(self.logged);
        writer.list(pages.iter(), |writer, page| writer.u32(*page));
        writer.0.extend_from_slice(bytes);
        finish(writer)
    }

    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            prev: reader.u64()?,
            lsn: reader.counter()?,
            part: reader.u32()?,
            parts: reader.u32()?,
            kind: if reader.flag()? { LogKind::Commit } else { LogKind::Epoch },
            epoch: reader.counter()?,
            time: reader.time()?,
            page_size: reader.u32()?,
            db_pages: reader.u32()?,
            logged: reader.counter()?,
        })
    }
}

/// One record of the log as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRecord {
    /// The header.
    pub header: LogHeader,
    /// The numbers of the pages in this part.
    pub pages: Vec<u32>,
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Its checksum: the `prev` of the next record.
    pub checksum: u64,
}

impl LogRecord {
    /// Decodes the record stored under a key of the log; `None` when it is damaged or belongs to another key.
    pub fn decode(key: LogKey, mut stored: Vec<u8>) -> Option<Self> {
        let mut reader = body(&stored)?;
        let header = LogHeader::read(&mut reader)?;
        let pages = reader.list(Reader::u32)?;
        let (checksum, length) = (checksum_of(&stored), reader.0.len());
        stored.drain(..stored.len() - length);
        ((header.lsn, header.part) == key).then_some(Self { header, pages, bytes: stored, checksum })
    }
}

//! The records of the log.

use super::{Reader, begin, body, checksum_of, finish};
use crate::{ports::LogKey, time::Timestamp};

/// What a record of the log says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogKind {
    /// A holder took the lock: takes an lsn, changes no page.
    #[default]
    Epoch,
    /// Pages of one or more whole commits.
    Commit,
}

/// What a record of the log says of its pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogHeader {
    /// The checksum of the record (or part) before: the chain.
    pub prev: u64,
    /// The log sequence number: consecutive, from 1.
    pub lsn: u64,
    /// The index of this part of the batch, from 0.
    pub part: u32,
    /// How many parts the batch has.
    pub parts: u32,
    /// What it says.
    pub kind: LogKind,
    /// The epoch of its writer.
    pub epoch: u64,
    /// `max(previous, now)` of its writer; the same in all parts.
    pub time: Timestamp,
    /// The database's page size in bytes.
    pub page_size: u32,
    /// The database's size in pages after the batch.
    pub db_pages: u32,
    /// Bytes of pages logged since the database was made, up to and including this batch.
    pub logged: u64,
}

impl LogHeader {
    /// The record as it is stored: with the numbers of its pages, from 0, ascending, and their bytes in that order.
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
            lsn: reader.u64()?,
            part: reader.u32()?,
            parts: reader.u32()?,
            kind: if reader.flag()? { LogKind::Commit } else { LogKind::Epoch },
            epoch: reader.u64()?,
            time: reader.time()?,
            page_size: reader.u32()?,
            db_pages: reader.u32()?,
            logged: reader.u64()?,
        })
    }
}

/// One record of the log as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRecord {
    /// What it says of its pages.
    pub header: LogHeader,
    /// The numbers of the pages in this part.
    pub pages: Vec<u32>,
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Its checksum: what the record after it has as `prev`.
    pub checksum: u64,
}

impl LogRecord {
    /// What is stored under a key of the log; `None` when that is no such record, or another one's.
    pub fn decode(key: LogKey, mut stored: Vec<u8>) -> Option<Self> {
        let mut reader = body(&stored)?;
        let header = LogHeader::read(&mut reader)?;
        let pages = reader.list(Reader::u32)?;
        let (checksum, length) = (checksum_of(&stored), reader.0.len());
        stored.drain(..stored.len() - length);
        ((header.lsn, header.part) == key).then_some(Self { header, pages, bytes: stored, checksum })
    }
}

//! The page log: batches to records, and records back to a database's contents.

use crate::{
    collections::Bits,
    error::Result,
    format::{LogHeader, LogKind, LogRecord, checksum_of},
    memory::room_for,
    ports::StoredRecord,
    sqlite::{Batch, CHUNK_SIZE, FileContents, Image},
    time::Timestamp,
};

/// The maximum of page bytes in one record. A record is in memory a few times while it is written and read.
pub const PART_BYTES: usize = 512 * 1024;

/// The maximum for a batch that must survive the end of its page: browsers lose large values there.
pub const SMALL_PART_BYTES: usize = 64 * 1024;

/// A position in the log: after one of its batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The batch's lsn; 0 before the first one.
    pub lsn: u64,
    /// The checksum of its last part: the next record's `prev`.
    pub chain: u64,
    /// The wall clock of its writer. It may have been set back since: only the lsn orders batches.
    pub time: Timestamp,
    /// Bytes of pages logged up to it.
    pub logged: u64,
}

/// Creates the record that a new holder adds to the log, and the position after it.
pub fn epoch_record(from: Position, epoch: u64, now: Timestamp) -> (StoredRecord, Position) {
    let header = LogHeader {
        prev: from.chain,
        lsn: from.lsn + 1,
        parts: 1,
        kind: LogKind::Epoch,
        epoch,
        time: now,
        logged: from.logged,
        ..LogHeader::default()
    };
    let record = header.encode(&[], &[]);
    let end = Position { lsn: header.lsn, chain: checksum_of(&record), time: header.time, logged: header.logged };
    (((header.lsn, 0), record), end)
}

/// Encodes a batch as a record for each of its parts; also returns the position after it.
pub fn batch_records(from: Position, epoch: u64, batch: Batch, now: Timestamp) -> (Vec<StoredRecord>, Position) {
    let Batch { pages, parts } = batch;
    let mut header = LogHeader {
        prev: from.chain,
        lsn: from.lsn + 1,
        part: 0,
        parts: parts.len() as u32,
        kind: LogKind::Commit,
        epoch,
        time: now,
        page_size: pages.page_size,
        db_pages: pages.db_pages,
        logged: from.logged + parts.iter().map(|part| part.len() as u64).sum::<u64>(),
    };
    let mut numbers = &pages.numbers[..];
    let mut records = Vec::with_capacity(parts.len());
    for (part, bytes) in (0..).zip(parts) {
        header.part = part;
        let (these, later) = numbers.split_at(bytes.len() / pages.page_size as usize);
        let record = header.encode(these, &bytes);
        header.prev = checksum_of(&record);
        records.push(((header.lsn, part), record));
        numbers = later;
    }
    (records, Position { lsn: header.lsn, chain: header.prev, time: header.time, logged: header.logged })
}

/// Applies the log to contents, record by record, and refuses any record but the next one.
pub struct Replay {
    contents: FileContents,
    touched: Bits,
    end: Position,
    /// The time of the contents: that of their last commit, which an opening after it does not change.
    committed: Timestamp,
    apply_through: u64,
    skipped: u64,
    parts: Vec<LogRecord>,
}

impl Replay {
    /// Starts from contents with the state of the position `from`. Batches after `apply_through` are checked but not applied.
    pub fn new(contents: FileContents, from: Position, apply_through: u64) -> Self {
        Self {
            contents,
            touched: Bits::new(),
            end: from,
            committed: from.time,
            apply_through,
            skipped: 0,
            parts: Vec::new(),
        }
    }

    /// Returns the position after the last complete batch.
    pub fn end(&self) -> Position {
        self.end
    }

    /// Returns the time of the last commit in the contents.
    pub fn committed(&self) -> Timestamp {
        self.committed
    }

    /// Returns whether no batch is partially read.
    pub fn is_whole(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the contents, the chunks that replay changed, and how many batches of pages were not applied.
    pub fn finish(self) -> (FileContents, Bits, u64) {
        (self.contents, self.touched, self.skipped)
    }

    /// Takes the next record of the log, `None` for an unreadable one. Returns `false` when the chain breaks there; no
    /// part of that batch is applied.
    ///
    /// Fails with `out_of_memory` when the record would make them larger than memory allows.
    pub fn take(&mut self, record: Option<LogRecord>) -> Result<bool> {
        let Some(record) = record else { return Ok(false) };
        let header = record.header;
        let (prev, part) = match self.parts.last() {
            Some(before) => (before.checksum, before.header.part + 1),
            None => (self.end.chain, 0),
        };
        // The parts of a batch agree in all other fields.
        let expected = self.parts.last().map_or(header, |before| before.header);
        if header != (LogHeader { prev, part, lsn: self.end.lsn + 1, ..expected }) || part >= header.parts {
            return Ok(false);
        }
        self.parts.push(record);
        if part + 1 < header.parts { Ok(true) } else { self.apply() }
    }

    fn apply(&mut self) -> Result<bool> {
        let parts = std::mem::take(&mut self.parts);
        let [LogRecord { header: first, .. }, ..] = parts.as_slice() else { return Ok(false) };
        if first.kind == LogKind::Commit {
            if first.lsn > self.apply_through {
                self.skipped += 1;
            } else if is_sound(&self.contents, &parts) {
                apply_pages(&mut self.contents, &mut self.touched, &parts)?;
                self.committed = first.time;
            } else {
                return Ok(false);
            }
        }
        let last = &parts[parts.len() - 1];
        self.end = Position { lsn: first.lsn, chain: last.checksum, time: first.time, logged: first.logged };
        Ok(true)
    }
}

/// Returns whether a batch fits the contents: it has the bytes of its pages, and every page by which the file grows, so that no size
/// is believed without its bytes.
fn is_sound(contents: &FileContents, parts: &[LogRecord]) -> bool {
    let LogHeader { page_size, db_pages, .. } = parts[0].header;
    if !(page_size.is_power_of_two() && (512..=65536).contains(&page_size)) {
        return false;
    }
    // Pages of different sizes can't be mixed: such a batch holds the whole file.
    let known = if contents.page_size() == page_size { contents.bytes() / u64::from(page_size) } else { 0 };
    let whole = |part: &LogRecord| part.bytes.len() == part.pages.len() * page_size as usize;
    let pages = || parts.iter().flat_map(|part| part.pages.iter().copied());
    let ascending = pages().zip(pages().skip(1)).all(|(page, next)| page < next);
    let added = pages().filter(|page| u64::from(*page) >= known).count() as u64;
    parts.iter().all(whole)
        && ascending
        && pages().all(|page| page < db_pages)
        && added == u64::from(db_pages).saturating_sub(known)
}

/// Applies a sound batch. Fails with `out_of_memory`, and if a part of the contents can't be read.
fn apply_pages(contents: &mut FileContents, touched: &mut Bits, parts: &[LogRecord]) -> Result<()> {
    let LogHeader { page_size, db_pages, .. } = parts[0].header;
    let is_new = contents.page_size() != page_size;
    let bytes = u64::from(db_pages) * u64::from(page_size);
    match contents {
        FileContents::Whole(image) => {
            if is_new {
                *image = Image { page_size, chunks: Vec::new() };
            }
            let more = bytes.saturating_sub(image.len());
            if more > 0 {
                room_for(more)?;
            }
            resize(image, bytes);
        }
        FileContents::Paged(paged) => {
            if is_new {
                paged.restart(page_size)?;
            }
            paged.truncate(bytes)?;
        }
    }
    for part in parts {
        for (page, bytes) in part.pages.iter().zip(part.bytes.chunks_exact(page_size as usize)) {
            let at = u64::from(*page) * u64::from(page_size);
            match contents {
                FileContents::Whole(image) => {
                    let at = at as usize;
                    image.chunks[at / CHUNK_SIZE][at % CHUNK_SIZE..][..bytes.len()].copy_from_slice(bytes);
                }
                FileContents::Paged(paged) => paged.write(bytes, at)?,
            }
            touched.insert((at / CHUNK_SIZE as u64) as u32);
        }
    }
    Ok(())
}

/// Truncates or extends (with zeros) the image.
fn resize(image: &mut Image, bytes: u64) {
    let count = bytes.div_ceil(CHUNK_SIZE as u64) as usize;
    image.chunks.truncate(count);
    for index in image.chunks.len().saturating_sub(1)..count {
        let length = chunk_length(bytes, index);
        match image.chunks.get_mut(index) {
            Some(chunk) if chunk.len() == length => {}
            Some(chunk) => {
                let mut longer = std::mem::take(chunk).into_vec();
                longer.resize(length, 0);
                *chunk = longer.into_boxed_slice();
            }
            None => image.chunks.push(vec![0; length].into_boxed_slice()),
        }
    }
}

/// Returns the length of the chunk at `index` of a file of `bytes` bytes.
pub fn chunk_length(bytes: u64, index: usize) -> usize {
    let start = index as u64 * CHUNK_SIZE as u64;
    bytes.saturating_sub(start).min(CHUNK_SIZE as u64) as usize
}

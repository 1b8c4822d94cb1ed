//! The journal of a folder: segments of frames; new frames go to the newest segment.

use std::rc::Rc;

use super::{
    frames::{Frame, FrameKind, Frames, Place, segment_name, segment_number},
    state::{State, bytes, get_key, put_key},
};
use crate::{
    collections::Map,
    error::Result,
    format::{LayoutWriter, Reader},
    ports::{Files, LogKey, StoredRecord},
    store::failure::corrupt,
};

/// A segment is sealed only when it has this many times the bytes of its first frame, which repeats the whole state
/// except the log.
const START_SHARE: u64 = 4;
/// Frames are written in pieces of about this size.
const PIECE_BYTES: usize = 8 * 1024 * 1024;

/// The suffix of a file that is being written.
pub const UNFINISHED: &str = ".tmp";

fn unfinished(name: &str) -> String {
    format!("{name}{UNFINISHED}")
}

/// Writes a file atomically: under its name it is complete or missing, also after a power cut. The name is durable once
/// the folder is synced.
pub fn write_whole(files: &dyn Files, name: &str, bytes: &[u8]) -> Result<()> {
    let unfinished = unfinished(name);
    // A longer file may remain from an earlier attempt.
    files.remove(&unfinished)?;
    files.write(&unfinished, 0, bytes)?;
    files.sync(&unfinished)?;
    files.rename(&unfinished, name)
}

/// One frame that a transaction adds to the journal.
pub type JournalEntry = (FrameKind, Vec<u8>);

/// The journal, read so far.
pub struct Journal {
    files: Rc<dyn Files>,
    /// A segment is sealed at this size.
    segment_bytes: u64,
    /// Where the next frame goes: after the last complete transaction.
    place: Place,
    /// How many bytes of the segment are synced.
    synced: u64,
    /// Bytes of the segment's first frame.
    start_bytes: u64,
    /// The size of the segment's file when it was last read or written.
    seen: u64,
    /// Whether the segment's name may not be synced yet.
    unnamed: bool,
    /// Whether a transaction was appended since the journal was read or finished.
    appended: bool,
    pub state: State,
}

impl Journal {
    /// Reads the newest segment; `None` when there is no journal.
    ///
    /// Fails with `database_corrupt` when its first frame is damaged, and as the files do.
    pub fn load(files: Rc<dyn Files>, segment_bytes: u64) -> Result<Option<Self>> {
        let Some(segment) = files.list("")?.iter().filter_map(|name| segment_number(name)).max() else {
            return Ok(None);
        };
        let mut journal = Self::empty(files, segment_bytes, segment);
        journal.read()?;
        // A segment without a possible successor counts as damaged.
        if journal.start_bytes == 0 || segment == u64::MAX {
            return Err(corrupt("The beginning of the database's journal is damaged")
                .hint("Restore the folder from a backup")
                .detail("file", segment_name(segment)));
        }
        Ok(Some(journal))
    }

    /// Creates an empty journal.
    pub fn create(files: Rc<dyn Files>, segment_bytes: u64) -> Result<Self> {
        let mut journal = Self::empty(files, segment_bytes, 0);
        journal.begin_segment()?;
        Ok(journal)
    }

    fn empty(files: Rc<dyn Files>, segment_bytes: u64, segment: u64) -> Self {
        Self {
            files,
            segment_bytes,
            place: Place::start(segment),
            synced: 0,
            start_bytes: 0,
            seen: 0,
            unnamed: false,
            appended: false,
            state: State::default(),
        }
    }

    /// Returns whether another process wrote to the journal or removed it.
    pub fn has_changed(&self) -> Result<bool> {
        Ok(self.files.size(&segment_name(self.place.segment))? != Some(self.seen))
    }

    /// Applies the complete transactions of the segment.
    fn read(&mut self) -> Result<()> {
        let files = self.files.clone();
        self.seen = files.size(&segment_name(self.place.segment))?.unwrap_or(0);
        let mut frames = Frames::from(&*files, self.place);
        let mut transaction = Vec::new();
        while let Some(frame) = frames.next()? {
            let is_first = self.start_bytes == 0;
            if is_first != (frame.kind == FrameKind::Start) {
                return Ok(());
            }
            let last = frame.last;
            transaction.push(frame);
            if !last {
                continue;
            }
            for frame in transaction.drain(..) {
                if self.state.apply(&frame) {
                    continue;
                }
                // Any other undecodable frame counts as damaged: readers that need its content notice.
                match frame.kind {
                    FrameKind::Start => return Ok(()),
                    FrameKind::PutChunk | FrameKind::DeleteChunk => {
                        return Err(corrupt("The database's journal has an invalid chunk id")
                            .hint("Restore the folder from a backup")
                            .detail("file", segment_name(self.place.segment)));
                    }
                    _ => {}
                }
            }
            self.place = frames.place();
            if is_first {
                self.start_bytes = self.place.at;
            }
        }
        Ok(())
    }

    /// Appends one transaction atomically. `sync`: it survives a power cut.
    pub fn append(&mut self, entries: Vec<JournalEntry>, sync: bool) -> Result<()> {
        let name = segment_name(self.place.segment);
        let end = match self.write_frames(&name, &entries, sync) {
            Ok(end) => end,
            Err(error) => {
                // Removes the partial transaction, so that it can't take effect later. If this fails too: without its
                // last frame it has no effect, and the next reader of the file determines whether that was written.
                let _ = self.files.truncate(&name, self.place.at);
                return Err(error);
            }
        };
        (self.place, self.seen, self.appended) = (end, end.at, true);
        if sync {
            self.synced = end.at;
        }
        for (kind, body) in entries {
            self.state.apply(&Frame { kind, last: true, body });
        }
        Ok(())
    }

    /// Records at the end that everything before is synced: a later break there is then damage, and not the unfinished
    /// last write of a killed process. Fails if the sync does: the disk may then have lost what was written before.
    pub fn finish(&mut self) -> Result<()> {
        let Some(head) = self.state.head.clone().filter(|_| self.appended) else { return Ok(()) };
        if self.synced == self.place.at || self.has_changed()? {
            return Ok(());
        }
        self.files.sync(&segment_name(self.place.segment))?;
        self.synced = self.place.at;
        let mut body = LayoutWriter::default();
        body.bytes(&head);
        // Without the record, everything is stored all the same.
        let _ = self.append(vec![(FrameKind::Head, body.0)], false);
        self.appended = false;
        Ok(())
    }

    fn write_frames(&mut self, name: &str, entries: &[JournalEntry], sync: bool) -> Result<Place> {
        if self.seen > self.place.at {
            // A killed process left a partial frame: later frames must not join with it.
            self.files.truncate(name, self.place.at)?;
            self.seen = self.place.at;
        }
        let (mut place, mut piece, mut piece_at) = (self.place, Vec::new(), self.place.at);
        for (index, (kind, body)) in entries.iter().enumerate() {
            place = place.put(&mut piece, *kind, index + 1 == entries.len(), self.synced, body);
            if piece.len() >= PIECE_BYTES || index + 1 == entries.len() {
                self.files.write(name, piece_at, &piece)?;
                piece.clear();
                piece_at = place.at;
            }
        }
        if sync {
            self.files.sync(name)?;
            self.sync_name()?;
        }
        Ok(place)
    }

    /// Seals the segment and begins the next one, once it is long enough.
    pub fn roll(&mut self) -> Result<()> {
        if self.place.at < self.segment_bytes.max(self.start_bytes * START_SHARE) {
            return Ok(());
        }
        let old = self.place;
        let Some(newest) = self.state.newest else { return Ok(()) };
        // The end of a sealed segment is never searched, so all of it must be synced.
        self.files.sync(&segment_name(old.segment))?;
        self.synced = old.at;
        self.state.sealed.push((old.segment, newest));
        if let Err(error) = self.begin_segment() {
            self.state.sealed.pop();
            return Err(error);
        }
        // Another process with this folder open notices the grown file, and looks for the next segment.
        let mut seal = Vec::new();
        old.put(&mut seal, FrameKind::Seal, true, old.at, &[]);
        self.files.write(&segment_name(old.segment), old.at, &seal)
    }

    /// Does the same as [`Journal::append`] and replaces records of the log: writes the whole log into one new segment,
    /// which takes effect when it gets its name. No old record remains: a new key may have to protect them.
    pub fn rewrite(&mut self, entries: Vec<JournalEntry>, replaced: &Map<LogKey, Vec<u8>>) -> Result<()> {
        let start = Place::start(self.place.segment + 1);
        let mut state = self.state.clone();
        for (kind, body) in entries {
            state.apply(&Frame { kind, last: true, body });
        }
        state.sealed.clear();
        for (key, record) in replaced.iter().filter(|((lsn, _), _)| *lsn <= state.cut) {
            state.spared.insert(*key, record.clone());
        }
        let (name, unfinished) = (segment_name(start.segment), unfinished(&segment_name(start.segment)));
        self.files.remove(&unfinished)?;
        let mut piece = Vec::new();
        let place = start.put(&mut piece, FrameKind::Start, true, 0, &state.encode());
        self.files.write(&unfinished, 0, &piece)?;
        let (mut end, mut key) = (place, (state.cut, u32::MAX));
        loop {
            let records = self.log(key, PIECE_BYTES)?;
            let Some((last, _)) = records.last() else { break };
            (key, piece) = (*last, Vec::new());
            let at = end.at;
            for (key, record) in &records {
                let mut body = LayoutWriter::default();
                put_key(&mut body, *key);
                body.bytes(replaced.get(key).unwrap_or(record));
                end = end.put(&mut piece, FrameKind::Log, true, 0, &body.0);
            }
            self.files.write(&unfinished, at, &piece)?;
        }
        self.files.sync(&unfinished)?;
        self.files.rename(&unfinished, &name)?;
        (self.state, self.place) = (state, end);
        (self.synced, self.start_bytes, self.seen) = (end.at, place.at, end.at);
        self.unnamed = true;
        self.sync_name()
    }

    /// Writes the next segment's first frame. The file gets its name after it is synced, so a segment is never
    /// incomplete.
    fn begin_segment(&mut self) -> Result<()> {
        let start = Place::start(self.place.segment + 1);
        let (name, mut bytes) = (segment_name(start.segment), Vec::new());
        let place = start.put(&mut bytes, FrameKind::Start, true, 0, &self.state.encode());
        write_whole(&*self.files, &name, &bytes)?;
        self.place = place;
        (self.synced, self.start_bytes, self.seen) = (place.at, place.at, place.at);
        self.unnamed = true;
        // If this fails, the next transaction that must survive a power cut retries it.
        let _ = self.sync_name();
        Ok(())
    }

    fn sync_name(&mut self) -> Result<()> {
        if self.unnamed {
            self.files.sync_folder("")?;
            self.unnamed = false;
        }
        Ok(())
    }

    /// Returns whether a file of the folder is a segment that is no longer needed.
    pub fn is_obsolete(&self, name: &str) -> bool {
        segment_number(name).is_some_and(|number| {
            number < self.place.segment && !self.state.sealed.iter().any(|(sealed, _)| *sealed == number)
        })
    }

    /// Returns the segments that hold parts of the log, oldest first.
    pub fn segments(&self) -> Vec<u64> {
        let sealed = self.state.sealed.iter().map(|(segment, _)| *segment);
        sealed.chain([self.place.segment]).collect()
    }

    /// Returns the records of the log after `after`: about `max_bytes` of them and at least one.
    pub fn log(&self, after: LogKey, max_bytes: usize) -> Result<Vec<StoredRecord>> {
        let (mut records, mut length) = (Vec::new(), 0);
        let mut add = |key: LogKey, record: Vec<u8>| {
            length += record.len().max(1);
            records.push((key, record));
            length < max_bytes
        };
        // The records after these are in the segments.
        for (key, record) in self.state.spared.from(&after) {
            if *key > after && !add(*key, record.clone()) {
                return Ok(records);
            }
        }
        for segment in self.segments() {
            let newest = self.state.sealed.iter().find(|(sealed, _)| *sealed == segment);
            if newest.is_some_and(|(_, newest)| *newest <= after) {
                continue;
            }
            let mut frames = Frames::from(&*self.files, Place::start(segment));
            while let Some(frame) = frames.next()? {
                let here = segment != self.place.segment || frames.place().at <= self.place.at;
                let mut body = Reader(&frame.body);
                if frame.kind != FrameKind::Log || !here {
                    continue;
                }
                // The key comes first, so that most of a long log is skipped cheaply.
                let Some(key) = get_key(&mut body).filter(|key| *key > after && key.0 > self.state.cut) else {
                    continue;
                };
                let Some(record) = bytes(&mut body) else { continue };
                if !add(key, record) {
                    return Ok(records);
                }
            }
        }
        Ok(records)
    }

    /// Returns the records that remain of the log's front after a cut through `through` that spares `lsns`.
    pub fn spared_records(&self, through: u64, lsns: &[u64]) -> Result<Map<LogKey, Vec<u8>>> {
        let mut spared = self.state.spared.clone();
        spared.retain(|(lsn, _), _| *lsn > through || lsns.contains(lsn));
        for lsn in lsns.iter().copied().filter(|lsn| (self.state.cut + 1..=through).contains(lsn)) {
            let mut key = (lsn - 1, u32::MAX);
            while let Some((found, record)) = self.log(key, 1)?.pop().filter(|((found, _), _)| *found == lsn) {
                key = found;
                spared.insert(found, record);
            }
        }
        Ok(spared)
    }
}

//! The journal of a folder: segments of frames; new frames go to the newest segment.

mod loading;
mod mark;
mod notes;
mod segments;

use std::{ops::Bound, rc::Rc};

use super::{
    frames::{FrameKind, Frames, Place, segment_name, segment_number},
    state::{Records, State, bytes, get_key, put_key},
};
use crate::{
    collections::Set,
    error::Result,
    format::{LayoutWriter, Reader},
    ports::{Files, LogKey, StoredRecord, write_with_reserve},
};

use mark::Mark;
use notes::Notes;

/// A segment is sealed only when it has this many times the bytes of its first two frames without padding, each of which
/// has the whole state except the log.
const START_SHARE: u64 = 4;
/// The number of the first segment.
const FIRST_SEGMENT: u64 = 1;
/// Frames are written in pieces of about this size.
const PIECE_BYTES: usize = 1024 * 1024;

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
    /// Whether the segment was read with a part behind those that was not synced when it was written.
    begins_unsynced: bool,
    /// Bytes of the segment's first two frames.
    start_bytes: u64,
    /// Whether the segment was read with the first of them only.
    lacks_second_start: bool,
    /// The checksum of the segment's third frame, the first one that no other database has; `None` until it is read.
    identity: Option<u64>,
    /// The size of the segment's file when it was last read or written.
    seen: u64,
    /// Whether a transaction was appended since the journal was read or finished.
    appended: bool,
    /// Whether the next segment soon has the state in a file of its own: this one begins with the whole log, or has a head with
    /// another key, and what cuts it short must not cost the state.
    is_due: bool,
    /// Whether a frame of the segment is damaged, and others follow it. The next segment soon has the state without it.
    is_damaged: bool,
    /// Whether the segment was read up to a damaged place only: bytes follow that are no whole frame.
    is_cut: bool,
    /// Whether the journal ends before its mark.
    lacks_marked: bool,
    /// The number of the newest segment, if that can't be read: this one before it is read instead, and the next one comes after
    /// both.
    unread: Option<u64>,
    notes: Notes,
    pub state: State,
}

/// Returns whether a transaction may use the reserve: neither commits nor the chunks of snapshots do, since they can be refused
/// while the database stays usable.
fn may_use_reserve(entries: &[JournalEntry]) -> bool {
    let has = |wanted| entries.iter().any(|(kind, _)| wanted == *kind);
    !has(FrameKind::PutChunk) && entries.iter().any(|(kind, _)| *kind != FrameKind::Log)
}

impl Journal {
    /// Creates an empty journal. Its first segment must be prepared.
    pub fn create(files: Rc<dyn Files>, segment_bytes: u64) -> Result<Self> {
        let mut journal = Self::empty(files, segment_bytes, FIRST_SEGMENT - 1);
        journal.begin_segment(State::default(), None)?;
        Ok(journal)
    }

    /// Returns the file of the next segment. It must be prepared before a segment begins.
    pub fn next_segment(&self) -> String {
        segment_name(self.next_number())
    }

    fn next_number(&self) -> u64 {
        self.unread.unwrap_or(self.place.segment) + 1
    }

    /// Returns whether the next transaction must begin a segment, whose file must be prepared.
    pub fn must_begin_segment(&self) -> bool {
        self.unread.is_some()
    }

    fn empty(files: Rc<dyn Files>, segment_bytes: u64, segment: u64) -> Self {
        Self {
            files,
            segment_bytes,
            place: Place::start(segment),
            synced: 0,
            begins_unsynced: false,
            start_bytes: 0,
            lacks_second_start: false,
            identity: None,
            seen: 0,
            appended: false,
            is_due: false,
            is_damaged: false,
            is_cut: false,
            lacks_marked: false,
            unread: None,
            notes: Notes::default(),
            state: State::default(),
        }
    }

    /// Returns whether another process wrote to the journal or removed it.
    pub fn has_changed(&self) -> Result<bool> {
        Ok(self.files.size(&segment_name(self.place.segment))? != Some(self.seen))
    }

    /// Appends one transaction atomically, and takes its entries. `sync`: it survives a power cut.
    pub fn append(&mut self, entries: &mut Vec<JournalEntry>, sync: bool) -> Result<()> {
        let uses_reserve = sync && may_use_reserve(entries);
        self.append_with(entries, sync, uses_reserve)
    }

    /// Does the same, with the reserve on a full disk or without.
    pub fn append_with(&mut self, entries: &mut Vec<JournalEntry>, sync: bool, uses_reserve: bool) -> Result<()> {
        if self.must_begin_segment() {
            let state = self.next_state().unwrap_or_else(|| self.state.clone());
            self.begin_segment(state, None)?;
        }
        let name = segment_name(self.place.segment);
        let files = self.files.clone();
        let written = match uses_reserve {
            true => write_with_reserve(&*files, || self.write_frames(&name, entries, sync)),
            false => self.write_frames(&name, entries, sync),
        };
        let end = match written {
            Ok(end) => end,
            Err(error) => {
                // Removes the partial transaction, so that it can't take effect later. If this fails too: without its
                // last frame it has no effect, and the next reader of the file determines whether that was written.
                let _ = self.files.truncate(&name, self.place.at);
                return Err(error);
            }
        };
        (self.place, self.seen, self.appended) = (end, end.at, true);
        if std::mem::take(&mut self.lacks_marked) {
            Mark::clear(&*self.files);
        }
        if sync {
            self.synced = end.at;
        }
        for (kind, body) in entries.drain(..) {
            self.state.apply(kind, &body);
        }
        // While it can be read: the segment may be cut before the database is closed.
        let _ = self.identity();
        Ok(())
    }

    /// Returns whether a transaction was appended since the journal was read or finished.
    pub fn is_unfinished(&self) -> bool {
        self.appended
    }

    /// Records at the end that everything before is synced, and the newest key of the log: a later break there is then
    /// damage, and not the unfinished last write of a killed process. Fails if the sync does: the disk may then have lost
    /// what was written before.
    pub fn finish(&mut self) -> Result<()> {
        let Some(head) = self.state.head.clone() else { return Ok(()) };
        let name = segment_name(self.place.segment);
        let size = self.files.size(&name)?;
        if size != Some(self.seen) {
            // Another holder only adds to it: it was cut, or an older copy took its place, which the next opening has to say.
            if size.is_some_and(|size| size < self.place.at) {
                self.mark();
            }
            return Ok(());
        }
        if self.synced != self.place.at {
            self.files.sync(&name)?;
            self.synced = self.place.at;
        }
        self.mark();
        let mut body = LayoutWriter::default();
        body.bytes(&head);
        if let Some(newest) = self.state.newest {
            put_key(&mut body, newest);
        }
        // Without the record, everything is stored all the same.
        let _ = self.append(&mut vec![(FrameKind::Head, body.0)], false);
        self.appended = false;
        Ok(())
    }

    /// Notes how far the journal reaches.
    fn mark(&mut self) {
        if let Ok(Some(identity)) = self.identity() {
            Mark::new(self.place, identity, self.state.newest.unwrap_or_default()).write(&*self.files);
        }
    }

    /// Returns what distinguishes the segment from those of other databases.
    fn identity(&mut self) -> Result<Option<u64>> {
        if self.identity.is_none() {
            let mut frames = Frames::from(&*self.files, Place::start(self.place.segment));
            for _ in 0..2 {
                frames.next()?;
            }
            self.identity = frames.next()?.map(|frame| frame.end.chain);
        }
        Ok(self.identity)
    }

    fn write_frames(&mut self, name: &str, entries: &[JournalEntry], sync: bool) -> Result<Place> {
        if self.seen > self.place.at {
            // A killed process left a partial frame: later frames must not join with it.
            self.files.truncate(name, self.place.at)?;
            self.seen = self.place.at;
        }
        if sync && self.begins_unsynced {
            // So that the next frame says so: damage of what a killed process left then differs from a torn write.
            self.files.sync(name)?;
            (self.synced, self.begins_unsynced) = (self.place.at, false);
        }
        let (mut place, mut piece, mut piece_at) = (self.place, Vec::new(), self.place.at);
        // Where a chunk is stands twice: without it, all snapshots that share the chunk would be lost to one flipped bit.
        let copies = entries.iter().filter(|(kind, _)| *kind == FrameKind::PutChunk);
        let mut frames = entries.iter().chain(copies).peekable();
        while let Some((kind, body)) = frames.next() {
            let is_last = frames.peek().is_none();
            place = place.put(&mut piece, *kind, is_last, self.synced, body);
            if piece.len() >= PIECE_BYTES || is_last {
                self.files.write(name, piece_at, &piece)?;
                piece.clear();
                piece_at = place.at;
            }
        }
        if sync {
            self.files.sync(name)?;
        }
        Ok(place)
    }

    /// Describes damage that was passed over.
    pub fn damage(&self) -> Option<String> {
        let name = segment_name(self.place.segment);
        if let Some(unread) = self.unread {
            let unread = segment_name(unread);
            return Some(format!(
                "{unread} is missing or damaged: the database is as it was when {name} ended, and what {unread} had is lost"
            ));
        }
        if self.lacks_marked {
            return Some(format!(
                "{name} is shorter than when the database was closed: it was cut, or an older copy took its place, and what came \
                 last is lost"
            ));
        }
        if self.is_cut {
            return Some(format!(
                "{name} was damaged, or not written whole before a crash: the last commits in it are lost"
            ));
        }
        self.is_damaged.then(|| {
            format!("{name} was damaged, and was read without the damaged place: a snapshot or a point in time that only this \
                place had is missing. Take another snapshot")
        })
    }

    /// Asks for the next segment.
    pub fn end_soon(&mut self) {
        self.is_due = true;
    }

    /// Returns whether the segment should be sealed: it is long, or damaged, or the next one is due.
    pub fn is_long(&self) -> bool {
        let is_long = self.place.at >= self.segment_bytes.max(self.start_bytes * START_SHARE);
        (is_long || self.is_damaged || self.is_due) && self.state.newest.is_some()
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
        let (mut newest, mut records, mut length) = (after, Vec::new(), 0);
        // Returns whether there is room for more.
        let mut add = |key: LogKey, record: Vec<u8>| {
            length += record.len().max(1);
            records.push((key, record));
            length < max_bytes
        };
        // The records after these are in the segments.
        for (key, record) in self.state.spared.range((Bound::Excluded(after), Bound::Unbounded)) {
            newest = *key;
            if !add(*key, record.clone()) {
                return Ok(records);
            }
        }
        let sealed = self.state.sealed.iter().copied();
        for (segment, end) in sealed.chain([(self.place.segment, (u64::MAX, u32::MAX))]) {
            if end <= after {
                continue;
            }
            let mut frames = Frames::from(&*self.files, self.notes.before(after, segment));
            while let Some(frame) = frames.next()? {
                let here = segment != self.place.segment || frame.end.at <= self.place.at;
                let mut body = Reader(frame.body);
                if frame.kind != FrameKind::Log || !here {
                    continue;
                }
                // The key comes first, so that most of a long log is skipped cheaply. Records of another place of the log are another
                // copy's of the database: readers continue after the last record, and would read those before it again.
                let is_due = |key: &LogKey| *key > newest && *key <= end && key.0 > self.state.cut;
                let Some(key) = get_key(&mut body).filter(is_due) else {
                    continue;
                };
                let Some(record) = bytes(&mut body) else { continue };
                newest = key;
                if !add(key, record) {
                    self.notes.keep(key, frame.end);
                    return Ok(records);
                }
                self.notes.note(key, frame.end);
            }
        }
        // The last record was damaged: no later one shows that it is missing.
        if let Some(key) = self.state.newest.filter(|key| *key > newest && key.0 > self.state.cut) {
            records.push((key, Vec::new()));
        }
        Ok(records)
    }

    /// Returns the records that remain of the log's front after a cut through `through` that spares `lsns`.
    pub fn spared_records(&self, through: u64, lsns: &[u64]) -> Result<Records> {
        let lsns: Set<u64> = lsns.iter().copied().collect();
        let mut spared = self.state.spared.clone();
        spared.retain(|(lsn, _), _| *lsn > through || lsns.contains(lsn));
        let mut left = lsns.iter().copied().filter(|lsn| (self.state.cut + 1..=through).contains(lsn));
        let Some(first) = left.next() else { return Ok(spared) };
        let (mut key, last) = ((first - 1, u32::MAX), left.next_back().unwrap_or(first));
        // One pass, however many there are.
        while key.0 <= last {
            let records = self.log(key, PIECE_BYTES)?;
            let Some((found, _)) = records.last() else { break };
            key = *found;
            spared.extend(records.into_iter().filter(|((lsn, _), _)| *lsn <= last && lsns.contains(lsn)));
        }
        Ok(spared)
    }
}

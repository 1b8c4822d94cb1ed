//! The journal of a folder: segments of frames; new frames go to the newest segment.

use std::{cell::Cell, ops::Bound, rc::Rc};

use super::{
    frames::{Frame, FrameKind, Frames, HEADER, MAGIC_BYTES, Place, segment_name, segment_number},
    packs::pack_number,
    state::{Records, State, bytes, get_key, put_key},
};
use crate::{
    collections::{Map, Set},
    error::{Error, Result},
    format::{LayoutWriter, Reader},
    ports::{Files, LogKey, RESERVE, StoredRecord, write_with_reserve},
    store::failure::{beyond_recovery, lock_lost},
};

/// The size of a disk's sector in bytes, or more.
const SECTOR_BYTES: usize = 4096;
/// A segment is sealed only when it has this many times the bytes of its first two frames without padding, each of which
/// has the whole state except the log.
const START_SHARE: u64 = 4;
/// The number of the first segment.
const FIRST_SEGMENT: u64 = 1;
/// How many times the newest segment is looked for while another process writes.
const MOST_LOADS: u32 = 10;
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
    /// The size of the segment's file when it was last read or written.
    seen: u64,
    /// Whether a transaction was appended since the journal was read or finished.
    appended: bool,
    /// Whether a frame of the segment is damaged, and others follow it. The next segment soon has the state without it.
    is_damaged: bool,
    /// Whether the segment was read up to a damaged place only: bytes follow that are no whole frame.
    is_cut: bool,
    /// The number of the newest segment, if that can't be read: this one before it is read instead, and the next one comes after
    /// both.
    unread: Option<u64>,
    /// The record of the log that was read last, and where the next one is.
    read_last: Cell<Option<(LogKey, Place)>>,
    pub state: State,
}

/// What a segment's file turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// The valid segment.
    Newest,
    /// A segment that has a successor.
    Sealed,
    /// No segment: its first transaction never became complete.
    Unfinished,
    /// A segment whose beginning was damaged.
    Damaged,
}

/// Returns whether a transaction may use the reserve: neither commits nor the chunks of snapshots do, since they can be refused
/// while the database stays usable.
fn may_use_reserve(entries: &[JournalEntry]) -> bool {
    let has = |wanted| entries.iter().any(|(kind, _)| wanted == *kind);
    !has(FrameKind::PutChunk) && entries.iter().any(|(kind, _)| *kind != FrameKind::Log)
}

impl Journal {
    /// Reads the newest complete segment; `None` when there is no journal. `may_be_older`: when that one can't be read, the
    /// newest one that can.
    ///
    /// Fails with `database_corrupt` when its first two frames are damaged, and as the files do.
    pub fn load(files: Rc<dyn Files>, segment_bytes: u64, may_be_older: bool) -> Result<Option<Self>> {
        let mut names = files.list()?;
        for _ in 0..MOST_LOADS {
            let loaded = Self::load_newest(&files, segment_bytes, &names, may_be_older);
            if matches!(loaded, Ok(Some(_))) {
                return loaded;
            }
            // A holder that lost its lock, and doesn't know it yet, may have begun another segment meanwhile.
            let newer = files.list()?;
            if newer == names {
                return loaded;
            }
            names = newer;
        }
        Err(lock_lost())
    }

    fn load_newest(
        files: &Rc<dyn Files>,
        segment_bytes: u64,
        names: &[String],
        may_be_older: bool,
    ) -> Result<Option<Self>> {
        let mut segments: Vec<u64> = names.iter().filter_map(|name| segment_number(name)).collect();
        segments.sort_unstable_by(|a, b| b.cmp(a));
        let mut is_passed = false;
        for segment in &segments {
            let mut journal = Self::empty(files.clone(), segment_bytes, *segment);
            match journal.read()? {
                Found::Unfinished => {}
                // A segment without a possible successor counts as damaged.
                Found::Newest if *segment < u64::MAX && !is_passed => {
                    // The one before says that it has a successor once both copies of the state were written.
                    if journal.lacks_second_start && *segment > FIRST_SEGMENT {
                        let mut before = Self::empty(files.clone(), segment_bytes, *segment - 1);
                        journal.is_cut |= before.read()? == Found::Sealed;
                    }
                    return Ok(Some(journal));
                }
                Found::Newest | Found::Sealed if may_be_older && segments[0] < u64::MAX => {
                    // The successor of a sealed segment was complete.
                    journal.unread = Some(segments[0].max(*segment + 1));
                    return Ok(Some(journal));
                }
                Found::Damaged if may_be_older => is_passed = true,
                _ if may_be_older || segments.len() == 1 => return Err(damaged(segments[0])),
                _ => return Err(damaged(segments[0]).hint("Nothing was changed; recover(name) opens the state before")),
            }
        }
        // The first segment may be what a killed process left; later ones, chunks and a filled reserve are of a database.
        let is_past = segments.iter().any(|segment| *segment > FIRST_SEGMENT);
        match is_past || has_bytes(&**files, names)? {
            true => Err(segments.first().map_or_else(missing, |newest| damaged(*newest))),
            false => Ok(None),
        }
    }

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
            seen: 0,
            appended: false,
            is_damaged: false,
            is_cut: false,
            unread: None,
            read_last: Cell::default(),
            state: State::default(),
        }
    }

    /// Returns whether another process wrote to the journal or removed it.
    pub fn has_changed(&self) -> Result<bool> {
        Ok(self.files.size(&segment_name(self.place.segment))? != Some(self.seen))
    }

    /// Applies the complete transactions of the segment.
    fn read(&mut self) -> Result<Found> {
        let files = self.files.clone();
        let name = segment_name(self.place.segment);
        self.seen = files.size(&name)?.unwrap_or(0);
        let mut frames = Frames::from(&*files, self.place);
        let (mut found, mut transaction, mut count) = (Found::Unfinished, Vec::new(), 0_u64);
        let (mut begin, mut end) = (0, 0);
        while let Some(frame) = frames.next()? {
            begin = std::mem::replace(&mut end, frames.place().at);
            let is_start = frame.kind == FrameKind::Start;
            // The second frame repeats the first one.
            if count != 1 && is_start != (count == 0) {
                return Ok(Found::Damaged);
            }
            count += 1;
            if is_start {
                self.start_bytes = 2 * (end - begin);
            }
            let last = frame.last;
            if found == Found::Unfinished {
                // It may hold the whole log, and counts for nothing until it is complete.
                self.apply(&frame)?;
            } else {
                transaction.push(frame);
            }
            if !last {
                continue;
            }
            found = Found::Newest;
            for frame in transaction.drain(..) {
                self.apply(&frame)?;
                if frame.kind == FrameKind::Seal {
                    found = Found::Sealed;
                }
            }
            self.place = frames.place();
        }
        (self.is_damaged, self.is_cut) = (frames.skipped(), frames.dropped());
        self.lacks_second_start = count == 1;
        // The last frame of a closed journal says that all before it was synced.
        self.begins_unsynced = frames.stated() < begin;
        // What a killed process leaves begins like a segment, or was never written.
        let begins = files.read(&name, 0, MAGIC_BYTES)?.unwrap_or_default();
        let is_short = self.seen < HEADER as u64 && self.place.segment > FIRST_SEGMENT;
        let is_torn = is_short || Frames::may_begin_with(&begins);
        Ok(if found == Found::Unfinished && !is_torn { Found::Damaged } else { found })
    }

    /// Applies a frame. Of those that can't be decoded, most count as damaged: readers that need their content notice.
    fn apply(&mut self, frame: &Frame) -> Result<()> {
        // A segment that is named twice would be read twice.
        let fits = |journal: &Self| journal.segments().is_sorted_by(|segment, next| segment < next);
        if self.state.apply(frame) && (frame.kind != FrameKind::Start || fits(self)) {
            return Ok(());
        }
        match frame.kind {
            FrameKind::Start => Err(damaged(self.place.segment)),
            FrameKind::PutChunk | FrameKind::DeleteChunk => {
                Err(beyond_recovery("The database's journal has an invalid chunk id")
                    .detail("file", segment_name(self.place.segment)))
            }
            _ => Ok(()),
        }
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
        if sync {
            self.synced = end.at;
        }
        for (kind, body) in entries.drain(..) {
            self.state.apply(&Frame { kind, last: true, body });
        }
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
        if self.has_changed()? {
            return Ok(());
        }
        if self.synced != self.place.at {
            self.files.sync(&segment_name(self.place.segment))?;
            self.synced = self.place.at;
        }
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

    /// Returns whether the segment should be sealed: it is long, or damaged.
    pub fn is_long(&self) -> bool {
        let is_long = self.place.at >= self.segment_bytes.max(self.start_bytes * START_SHARE);
        (is_long || self.is_damaged) && self.state.newest.is_some()
    }

    /// Seals the segment and begins the next one, whose file must be prepared.
    pub fn roll(&mut self) -> Result<()> {
        let Some(state) = self.next_state() else { return Ok(()) };
        // The end of a sealed segment is never searched, so all of it must be synced.
        self.files.sync(&segment_name(self.place.segment))?;
        self.begin_segment(state, None)
    }

    /// Returns the state with which the next segment begins; `None` while there is no log.
    fn next_state(&self) -> Option<State> {
        let mut state = self.state.clone();
        state.sealed.push((self.place.segment, state.newest?));
        Some(state)
    }

    /// Does the same as [`Journal::append`] and replaces records of the log: writes the whole log into one new segment,
    /// whose file must be prepared. No old record remains: a new key may have to protect them.
    pub fn rewrite(&mut self, entries: Vec<JournalEntry>, replaced: &Map<LogKey, Vec<u8>>) -> Result<()> {
        let mut state = self.state.clone();
        for (kind, body) in entries {
            state.apply(&Frame { kind, last: true, body });
        }
        state.cleaned = state.chunks.values().map(|extent| extent.pack).max().unwrap_or_default().max(state.cleaned);
        state.sealed.clear();
        for (key, record) in replaced.iter().filter(|((lsn, _), _)| *lsn <= state.cut) {
            state.spared.insert(*key, record.clone());
        }
        self.begin_segment(state, Some(replaced))
    }

    /// Writes the next segment's first transaction: the state, and with `replaced` the whole log, too. It takes effect
    /// when it is complete, and the old segment is sealed then.
    fn begin_segment(&mut self, state: State, replaced: Option<&Map<LogKey, Vec<u8>>>) -> Result<()> {
        // After a failure the next call reads which segment counts.
        self.seen = u64::MAX;
        let name = self.next_segment();
        let written = self.write_segment(&name, state, replaced);
        if written.is_err() {
            // For a full disk, what was written of it is in the way. Synced: after a power cut, it must not come back and replace the
            // old segment, in which the log goes on.
            let _ = self.files.truncate(&name, 0).and_then(|()| self.files.sync(&name));
        }
        written
    }

    /// Does the same, and leaves what a failure wrote.
    fn write_segment(&mut self, name: &str, state: State, replaced: Option<&Map<LogKey, Vec<u8>>>) -> Result<()> {
        let (old, start) = (self.place, Place::start(self.next_number()));
        if self.files.size(name)?.is_some_and(|bytes| bytes > 0) {
            // A killed process left it, and its frames must not join with these.
            self.files.truncate(name, 0)?;
            self.files.sync(name)?;
        }
        let (mut piece, mut begun, mut body) = (Vec::new(), start, state.encode());
        let length = body.len();
        // No sector of a disk has both copies: it may become unreadable as a whole.
        body.resize(length.max(SECTOR_BYTES - HEADER), 0);
        // Twice: when the segments before are removed, the state is nowhere else. The second one says that the first was synced: one
        // that a power cut tore isn't damage.
        for _ in 0..2 {
            let at = begun.at;
            piece.clear();
            begun = begun.put(&mut piece, FrameKind::Start, replaced.is_none(), at, &body);
            self.files.write(name, at, &piece)?;
            if at == 0 {
                self.files.sync(name)?;
            }
            body.truncate(length);
        }
        drop((piece, body));
        let mut end = begun;
        if let Some(replaced) = replaced {
            end = self.copy_log(name, begun, &state, replaced)?;
        }
        self.files.sync(name)?;
        if replaced.is_some() {
            let mut head = LayoutWriter::default();
            head.bytes(state.head.as_deref().unwrap_or_default());
            // Twice, too: each completes the transaction, and says that what is before it was synced.
            for _ in 0..2 {
                let (at, mut piece) = (end.at, Vec::new());
                end = end.put(&mut piece, FrameKind::Head, true, at, &head.0);
                self.files.write(name, at, &piece)?;
                self.files.sync(name)?;
            }
        }
        (self.state, self.place) = (state, end);
        (self.synced, self.start_bytes, self.seen) = (end.at, 2 * (HEADER + length) as u64, end.at);
        (self.is_damaged, self.unread) = (false, None);
        if old.segment >= FIRST_SEGMENT {
            // Another process with this folder open notices the grown file, and looks for the next segment.
            let mut seal = Vec::new();
            old.put(&mut seal, FrameKind::Seal, true, old.at, &[]);
            let _ = self.files.write(&segment_name(old.segment), old.at, &seal);
        }
        Ok(())
    }

    /// Copies the log after the cut into a new segment. Returns the position after it.
    fn copy_log(&self, name: &str, from: Place, state: &State, replaced: &Map<LogKey, Vec<u8>>) -> Result<Place> {
        let (mut end, mut key) = (from, (state.cut, u32::MAX));
        loop {
            let records = self.log(key, PIECE_BYTES)?;
            let Some((last, _)) = records.last() else { return Ok(end) };
            key = *last;
            let (at, mut piece) = (end.at, Vec::new());
            for (key, record) in &records {
                let mut body = LayoutWriter::default();
                put_key(&mut body, *key);
                body.bytes(replaced.get(key).unwrap_or(record));
                end = end.put(&mut piece, FrameKind::Log, false, 0, &body.0);
            }
            self.files.write(name, at, &piece)?;
        }
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
        let mut add = |key: LogKey, record: Vec<u8>| {
            // Readers continue after the last record, and would read the others before it again.
            if key <= newest {
                return Err(beyond_recovery("The database's journal has records out of order"));
            }
            newest = key;
            length += record.len().max(1);
            records.push((key, record));
            Ok(length < max_bytes)
        };
        // The records after these are in the segments.
        for (key, record) in self.state.spared.range((Bound::Excluded(after), Bound::Unbounded)) {
            if !add(*key, record.clone())? {
                return Ok(records);
            }
        }
        let next = self.read_last.get().filter(|(key, _)| *key == after).map(|(_, next)| next);
        for segment in self.segments() {
            let newest = self.state.sealed.iter().find(|(sealed, _)| *sealed == segment);
            if newest.is_some_and(|(_, newest)| *newest <= after) {
                continue;
            }
            let next = next.filter(|next| next.segment == segment);
            let mut frames = Frames::from(&*self.files, next.unwrap_or(Place::start(segment)));
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
                if !add(key, record)? {
                    self.read_last.set(Some((key, frames.place())));
                    return Ok(records);
                }
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

fn damaged(segment: u64) -> Error {
    beyond_recovery("The beginning of the database's journal is damaged").detail("file", segment_name(segment))
}

fn missing() -> Error {
    beyond_recovery("The database's journal is missing: without it, the rest of its folder can't be read")
}

/// Returns whether these files have bytes that are written only when there is a journal: chunks, or the reserve.
fn has_bytes(files: &dyn Files, names: &[String]) -> Result<bool> {
    for name in names.iter().filter(|name| pack_number(name).is_some() || *name == RESERVE) {
        if files.size(name)?.is_some_and(|bytes| bytes > 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

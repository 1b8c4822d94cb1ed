//! The journal of a folder: segments of frames, the newest of which is appended to.

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

/// A segment isn't sealed before it has so many times the bytes of its first frame, which repeats all that is not in the log.
const START_SHARE: u64 = 4;
/// Frames are written in pieces of about this size.
const PIECE_BYTES: usize = 8 * 1024 * 1024;

/// What the name of a file ends with while it is written.
pub const UNFINISHED: &str = ".tmp";

fn unfinished(name: &str) -> String {
    format!("{name}{UNFINISHED}")
}

/// Writes a file of which only all or nothing is ever seen under its name, also after a power cut. The name itself is on the disk
/// once the folder is synced.
pub fn write_whole(files: &dyn Files, name: &str, bytes: &[u8]) -> Result<()> {
    let unfinished = unfinished(name);
    // What an earlier try left may be longer.
    files.remove(&unfinished)?;
    files.write(&unfinished, 0, bytes)?;
    files.sync(&unfinished)?;
    files.rename(&unfinished, name)
}

/// What one transaction adds to the journal.
pub type JournalEntry = (FrameKind, Vec<u8>);

/// The journal as far as it was read.
pub struct Journal {
    files: Rc<dyn Files>,
    /// A segment is sealed at this size.
    segment_bytes: u64,
    /// Where the next frame goes: after the last whole transaction.
    place: Place,
    /// So much of the segment is on the disk for certain.
    synced: u64,
    /// Bytes of the segment's first frame.
    start_bytes: u64,
    /// Bytes of the segment's file when it was read or written last.
    seen: u64,
    /// The segment's name may not be on the disk yet.
    unnamed: bool,
    /// Something was appended since it was read.
    appended: bool,
    pub state: State,
}

impl Journal {
    /// Reads the newest segment; `None` where there is no journal.
    ///
    /// Fails with `database_corrupt` when its first frame is damaged, and as the files do.
    pub fn load(files: Rc<dyn Files>, segment_bytes: u64) -> Result<Option<Self>> {
        let Some(segment) = files.list("")?.iter().filter_map(|name| segment_number(name)).max() else {
            return Ok(None);
        };
        let mut journal = Self::empty(files, segment_bytes, segment);
        journal.read()?;
        // The next segment needs a number, too.
        if journal.start_bytes == 0 || segment == u64::MAX {
            return Err(corrupt("The journal of the database is damaged where it begins")
                .hint("Restore the folder from a backup")
                .detail("file", segment_name(segment)));
        }
        Ok(Some(journal))
    }

    /// Begins a journal that says nothing yet.
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

    /// Whether somebody else has written to it, or removed it.
    pub fn has_changed(&self) -> Result<bool> {
        Ok(self.files.size(&segment_name(self.place.segment))? != Some(self.seen))
    }

    /// Takes in the whole transactions of the segment.
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
                // Any other frame that can't be decoded is as good as damaged: whoever needs it will miss it.
                match frame.kind {
                    FrameKind::Start => return Ok(()),
                    FrameKind::PutChunk | FrameKind::DeleteChunk => {
                        return Err(corrupt("The journal of the database names a chunk by something else than its id")
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

    /// Appends one transaction: all of it counts, or nothing. `sync`: it survives a power cut.
    pub fn append(&mut self, entries: Vec<JournalEntry>, sync: bool) -> Result<()> {
        let name = segment_name(self.place.segment);
        let end = match self.write_frames(&name, &entries, sync) {
            Ok(end) => end,
            Err(error) => {
                // Nothing of it must come to count later. Should this fail, too: without its last frame it doesn't, and whether
                // that was written, whoever reads the file next finds out.
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

    /// Says at the end that all before it is on the disk: what is broken there later was damaged, and isn't taken for the unfinished
    /// last write of a killed process.
    pub fn finish(&mut self) -> Result<()> {
        let Some(head) = self.state.head.clone().filter(|_| self.appended) else { return Ok(()) };
        if self.synced == self.place.at || self.has_changed()? {
            return Ok(());
        }
        self.files.sync(&segment_name(self.place.segment))?;
        self.synced = self.place.at;
        let mut body = LayoutWriter::default();
        body.bytes(&head);
        self.append(vec![(FrameKind::Head, body.0)], false)
    }

    fn write_frames(&mut self, name: &str, entries: &[JournalEntry], sync: bool) -> Result<Place> {
        if self.seen > self.place.at {
            // What a killed process left half written: later frames must not join with it.
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

    /// Seals the segment and begins the next one, if it has become long.
    pub fn roll(&mut self) -> Result<()> {
        if self.place.at < self.segment_bytes.max(self.start_bytes * START_SHARE) {
            return Ok(());
        }
        let old = self.place;
        let Some(newest) = self.state.newest else { return Ok(()) };
        // Nobody looks for the end of a sealed segment: all of it must be there.
        self.files.sync(&segment_name(old.segment))?;
        self.synced = old.at;
        self.state.sealed.push((old.segment, newest));
        if let Err(error) = self.begin_segment() {
            self.state.sealed.pop();
            return Err(error);
        }
        // Whoever has this folder open, too, sees that the file has grown, and looks for the next one.
        let mut seal = Vec::new();
        old.put(&mut seal, FrameKind::Seal, true, old.at, &[]);
        self.files.write(&segment_name(old.segment), old.at, &seal)
    }

    /// The same as [`Journal::append`], and replaces records of the log: the whole log is written again, into one new segment that
    /// counts from the moment it gets its name. Nothing of the old records is left: they may be what a new key is to protect.
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

    /// Writes the next segment's first frame. The file gets its name when that is on the disk: a segment is never half begun.
    fn begin_segment(&mut self) -> Result<()> {
        let start = Place::start(self.place.segment + 1);
        let (name, mut bytes) = (segment_name(start.segment), Vec::new());
        let place = start.put(&mut bytes, FrameKind::Start, true, 0, &self.state.encode());
        write_whole(&*self.files, &name, &bytes)?;
        self.place = place;
        (self.synced, self.start_bytes, self.seen) = (place.at, place.at, place.at);
        self.unnamed = true;
        // Where this fails, the next transaction that is to survive a power cut tries again.
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

    /// Whether a file of the folder is a segment that nothing needs any more.
    pub fn is_obsolete(&self, name: &str) -> bool {
        segment_number(name).is_some_and(|number| {
            number < self.place.segment && !self.state.sealed.iter().any(|(sealed, _)| *sealed == number)
        })
    }

    /// The segments that the log reaches into, oldest first.
    pub fn segments(&self) -> Vec<u64> {
        let sealed = self.state.sealed.iter().map(|(segment, _)| *segment);
        sealed.chain([self.place.segment]).collect()
    }

    /// What the log holds after `after`, about `max_bytes` of it and at least one record.
    pub fn log(&self, after: LogKey, max_bytes: usize) -> Result<Vec<StoredRecord>> {
        let (mut records, mut length) = (Vec::new(), 0);
        let mut add = |key: LogKey, record: Vec<u8>| {
            length += record.len().max(1);
            records.push((key, record));
            length < max_bytes
        };
        // What follows them is in the segments.
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
                // The key comes first: most of a long log is passed over.
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

    /// What is left of the log's beginning after a cut through that lsn that spares the records of these.
    pub fn spared(&self, through: u64, lsns: &[u64]) -> Result<Map<LogKey, Vec<u8>>> {
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

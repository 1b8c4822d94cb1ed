//! Finds the segment that counts, and reads its state.

use std::rc::Rc;

use super::{
    super::{
        frames::{FrameKind, Frames, HEADER, MAGIC_BYTES, Place, segment_name, segment_number},
        packs::pack_number,
        state::{KEY_BYTES, get_key},
    },
    FIRST_SEGMENT, Journal,
    mark::Mark,
    segments::STARTS,
};
use crate::{
    error::{Error, Result},
    format::Reader,
    ports::{Files, RESERVE},
    store::failure::{beyond_recovery, lock_lost},
};

/// How many times the newest segment is looked for while another process writes.
const MOST_LOADS: u32 = 10;

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

impl Journal {
    /// Reads the newest complete segment; `None` when there is no journal. `may_be_older`: when that one can't be read, the
    /// newest one that can.
    ///
    /// Fails with `database_corrupt` when its first two frames are damaged, and as the files do.
    pub fn load(files: Rc<dyn Files>, segment_bytes: u64, may_be_older: bool) -> Result<Option<Self>> {
        let mut names = files.list()?;
        for _ in 0..MOST_LOADS {
            let mut loaded = Self::load_newest(&files, segment_bytes, &names, may_be_older);
            if let Ok(Some(journal)) = &mut loaded {
                journal.compare_with_mark();
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

    /// Compares the end with that of the journal when it was closed. A record of the log that is missing counts as damaged.
    fn compare_with_mark(&mut self) {
        let Some(mark) = Mark::read(&*self.files).filter(|mark| mark.is_after(self.place, self.identity)) else {
            return;
        };
        self.lacks_marked = true;
        self.state.newest = self.state.newest.max(Some(mark.newest).filter(|(lsn, _)| *lsn > 0));
    }

    /// Applies the complete transactions of the segment.
    fn read(&mut self) -> Result<Found> {
        let files = self.files.clone();
        let name = segment_name(self.place.segment);
        self.seen = files.size(&name)?.unwrap_or(0);
        let mut frames = Frames::from(&*files, self.place);
        let (mut found, mut transaction, mut count) = (Found::Unfinished, Vec::new(), 0_u64);
        let (mut begin, mut end) = (0, Place::start(self.place.segment));
        while let Some(frame) = frames.next()? {
            begin = std::mem::replace(&mut end, frame.end).at;
            let is_start = frame.kind == FrameKind::Start;
            // The second frame repeats the first one.
            if count != 1 && is_start != (count == 0) {
                return Ok(Found::Damaged);
            }
            count += 1;
            if is_start {
                self.start_bytes = STARTS as u64 * (end.at - begin);
            }
            if count == 3 {
                self.identity = Some(end.chain);
            }
            let repeats = is_start && count > 1;
            let mut body = frame.body;
            if frame.kind == FrameKind::Log {
                body = &body[..body.len().min(KEY_BYTES)];
                if let Some(key) = get_key(&mut Reader(body)) {
                    self.notes.note(key, end);
                }
            }
            if found == Found::Unfinished {
                // It may hold the whole log, and counts for nothing until it is complete.
                if !repeats {
                    self.apply(frame.kind, body)?;
                }
                self.is_due = count > 2;
            } else if !repeats {
                transaction.push((frame.kind, body.to_vec()));
            }
            if !frame.last {
                continue;
            }
            found = Found::Newest;
            for (kind, body) in transaction.drain(..) {
                self.apply(kind, &body)?;
                if kind == FrameKind::Seal {
                    found = Found::Sealed;
                }
            }
            self.place = end;
        }
        self.notes.cut(self.place);
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
    fn apply(&mut self, kind: FrameKind, body: &[u8]) -> Result<()> {
        // A segment that is named twice would be read twice.
        let fits = |journal: &Self| journal.segments().is_sorted_by(|segment, next| segment < next);
        if self.state.apply(kind, body) && (kind != FrameKind::Start || fits(self)) {
            return Ok(());
        }
        match kind {
            FrameKind::Start => Err(damaged(self.place.segment)),
            FrameKind::PutChunk | FrameKind::DeleteChunk => {
                Err(beyond_recovery("The database's journal has an invalid chunk id")
                    .detail("file", segment_name(self.place.segment)))
            }
            _ => Ok(()),
        }
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

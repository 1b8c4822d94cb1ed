//! Begins segments.

use super::{
    super::{
        frames::{FrameKind, HEADER, Place, segment_name},
        state::{State, put_key},
    },
    FIRST_SEGMENT, Journal, JournalEntry, PIECE_BYTES,
};
use crate::{collections::Map, error::Result, format::LayoutWriter, ports::LogKey};

/// The size of a disk's sector in bytes, or more.
const SECTOR_BYTES: usize = 4096;

/// With how many copies of the state a segment begins.
pub(super) const STARTS: usize = 2;

impl Journal {
    /// Seals the segment and begins the next one, whose file must be prepared.
    pub fn roll(&mut self) -> Result<()> {
        let Some(state) = self.next_state() else { return Ok(()) };
        // The end of a sealed segment is never searched, so all of it must be synced.
        self.files.sync(&segment_name(self.place.segment))?;
        self.begin_segment(state, None)
    }

    /// Returns the state with which the next segment begins; `None` while there is no log.
    pub(super) fn next_state(&self) -> Option<State> {
        let mut state = self.state.clone();
        state.sealed.push((self.place.segment, state.newest?));
        Some(state)
    }

    /// Does the same as [`Journal::append`] and replaces records of the log: writes the whole log into one new segment,
    /// whose file must be prepared. No old record remains: a new key may have to protect them.
    pub fn rewrite(&mut self, entries: Vec<JournalEntry>, replaced: &Map<LogKey, Vec<u8>>) -> Result<()> {
        let mut state = self.state.clone();
        for (kind, body) in entries {
            state.apply(kind, &body);
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
    pub(super) fn begin_segment(&mut self, state: State, replaced: Option<&Map<LogKey, Vec<u8>>>) -> Result<()> {
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
        let (mut begun, mut body) = (start, state.encode());
        let length = body.len();
        // No sector of a disk has both copies: it may become unreadable as a whole.
        body.resize(length.max(SECTOR_BYTES - HEADER), 0);
        // Twice: when the segments before are removed, the state is nowhere else. The second one says that the first was synced: one
        // that a power cut tore isn't damage.
        for _ in 0..STARTS {
            let at = begun.at;
            let (header, end) = begun.header(FrameKind::Start, replaced.is_none(), at, &body);
            self.files.write(name, at, &header)?;
            self.files.write(name, at + HEADER as u64, &body)?;
            begun = end;
            if at == 0 {
                self.files.sync(name)?;
            }
            body.truncate(length);
        }
        drop(body);
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
        (self.synced, self.start_bytes, self.seen) = (end.at, (STARTS * (HEADER + length)) as u64, end.at);
        (self.is_damaged, self.unread, self.identity) = (false, None, None);
        self.is_due = replaced.is_some();
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
}

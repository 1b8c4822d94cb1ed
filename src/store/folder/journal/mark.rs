//! How far a journal reached when it was closed, in the file of the reserve. A journal that is shorter later was cut, or an
//! older copy took its place: its own frames can't show that.

use super::super::{
    frames::Place,
    state::{get_key, put_key},
};
use crate::{
    format::{begin, body, finish},
    ports::{Files, LogKey, RESERVE},
};

/// The length of a mark.
const MARK_BYTES: usize = 44;

/// The end of a closed journal.
pub struct Mark {
    segment: u64,
    at: u64,
    /// What distinguishes the segment from those of other databases.
    identity: u64,
    /// The newest key of the log.
    pub newest: LogKey,
}

impl Mark {
    /// Returns the mark of a journal that ends there.
    pub fn new(end: Place, identity: u64, newest: LogKey) -> Self {
        Self { segment: end.segment, at: end.at, identity, newest }
    }

    /// Reads the mark, if there is one.
    pub fn read(files: &dyn Files) -> Option<Self> {
        let stored = files.read(RESERVE, 0, MARK_BYTES).ok()??;
        let mut reader = body(&stored)?;
        let (segment, at, identity) = (reader.u64()?, reader.u64()?, reader.u64()?);
        Some(Self { segment, at, identity, newest: get_key(&mut reader)? })
    }

    /// Writes the mark. Without it, nothing is lost: so it takes no space that isn't there, and its failure doesn't matter.
    pub fn write(&self, files: &dyn Files) {
        let mut mark = begin(MARK_BYTES);
        mark.u64(self.segment);
        mark.u64(self.at);
        mark.u64(self.identity);
        put_key(&mut mark, self.newest);
        put(files, &finish(mark));
    }

    /// Removes the mark: what was cut off is known now, and the journal goes on without it.
    pub fn clear(files: &dyn Files) {
        put(files, &[0; MARK_BYTES]);
    }

    /// Returns whether a journal ends before the mark, which is its own, as far as that is known: a missing segment may be the
    /// mark's.
    pub fn is_after(&self, end: Place, identity: Option<u64>) -> bool {
        let is_own = self.segment != end.segment || identity.is_none_or(|identity| identity == self.identity);
        is_own && (self.segment, self.at) > (end.segment, end.at)
    }
}

fn put(files: &dyn Files, mark: &[u8]) {
    if matches!(files.size(RESERVE), Ok(Some(bytes)) if bytes >= MARK_BYTES as u64) {
        let _ = files.write(RESERVE, 0, mark);
    }
}

//! Where records of the log are, so that reading the log from one of them on doesn't read all before it.

use std::cell::RefCell;

use super::super::frames::Place;
use crate::ports::LogKey;

/// About how many bytes of a segment are between two notes.
const DISTANCE: u64 = 1024 * 1024;

/// Some of the records that were read, by key, and the place after each.
#[derive(Default)]
pub struct Notes(RefCell<Vec<(LogKey, Place)>>);

impl Notes {
    /// Notes the place after a record, unless one shortly before it is known.
    pub fn note(&self, key: LogKey, place: Place) {
        let before = self.before(key, place.segment);
        if place.at >= before.at + DISTANCE {
            self.keep(key, place);
        }
    }

    /// Notes the place after a record.
    pub fn keep(&self, key: LogKey, place: Place) {
        let mut notes = self.0.borrow_mut();
        match notes.binary_search_by(|(noted, _)| noted.cmp(&key)) {
            Ok(at) => notes[at].1 = place,
            Err(at) => notes.insert(at, (key, place)),
        }
    }

    /// Returns a place in a segment with all its records after `key` behind it.
    pub fn before(&self, key: LogKey, segment: u64) -> Place {
        let notes = self.0.borrow();
        let count = notes.partition_point(|(noted, _)| *noted <= key);
        let last = notes[..count].last().map(|(_, place)| *place);
        last.filter(|place| place.segment == segment).unwrap_or(Place::start(segment))
    }

    /// Forgets what is behind the end of its segment.
    pub fn cut(&self, end: Place) {
        self.0.borrow_mut().retain(|(_, place)| place.segment != end.segment || place.at <= end.at);
    }
}

#[cfg(test)]
mod tests {
    use super::{DISTANCE, LogKey, Notes, Place};

    fn place(segment: u64, at: u64) -> Place {
        Place { segment, at, chain: at }
    }

    const KEYS: [LogKey; 4] = [(1, 0), (2, 0), (2, 1), (3, 0)];

    #[test]
    fn reading_begins_at_the_last_note_up_to_the_key() {
        let notes = Notes::default();
        notes.note(KEYS[0], place(1, DISTANCE - 1));
        notes.note(KEYS[1], place(1, DISTANCE));
        notes.note(KEYS[2], place(1, DISTANCE + 1));
        notes.keep(KEYS[3], place(1, DISTANCE + 2));
        let begins = KEYS.map(|key| notes.before(key, 1).at);
        assert_eq!(begins, [0, DISTANCE, DISTANCE, DISTANCE + 2]);
        assert_eq!(notes.before(KEYS[3], 2), Place::start(2));
    }

    #[test]
    fn what_a_torn_transaction_had_is_forgotten() {
        let notes = Notes::default();
        notes.keep(KEYS[0], place(1, 7 * DISTANCE));
        notes.keep(KEYS[1], place(2, DISTANCE));
        notes.keep(KEYS[2], place(2, 3 * DISTANCE));
        notes.cut(place(2, 2 * DISTANCE));
        assert_eq!(notes.before(KEYS[3], 2), place(2, DISTANCE));
        assert_eq!(notes.before(KEYS[0], 1), place(1, 7 * DISTANCE));
    }
}

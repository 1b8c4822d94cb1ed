//! The statements compiled last, kept for the next time.

use std::{
    collections::HashMap,
    ffi::c_uint,
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

use rusqlite::ffi;

use super::{Authority, prepared::Prepared};

/// Statements kept compiled.
const CAPACITY: usize = 128;

/// How SQLite is to compile a statement that is kept.
pub(super) const PERSISTENT: c_uint = ffi::SQLITE_PREPARE_PERSISTENT as c_uint;

/// The statements compiled last, by their text and authority, and by the number that each got when it was kept.
#[derive(Default)]
pub(super) struct Cache {
    slots: Vec<Rc<Prepared>>,
    /// The slots by text and authority.
    by_text: HashMap<u64, usize, BuildHasherDefault<Identity>>,
    clock: u64,
    /// How many statements were ever kept.
    kept: u32,
}

impl Cache {
    /// A statement that nobody uses at present, for the caller alone until it releases it.
    pub fn take(&mut self, sql: &str, authority: Authority) -> Option<Rc<Prepared>> {
        let slot = *self.by_text.get(&key(sql, authority))?;
        let found = &self.slots[slot];
        if found.authority != authority || *found.sql != *sql {
            return None;
        }
        self.lend(slot)
    }

    /// The same by the number that it got: none when it isn't kept any more, or is in use.
    pub fn take_known(&mut self, id: u32, authority: Authority) -> Option<Rc<Prepared>> {
        let slot = id as usize % CAPACITY;
        let found = self.slots.get(slot)?;
        if found.id.get() != id || found.authority != authority {
            return None;
        }
        self.lend(slot)
    }

    fn lend(&mut self, slot: usize) -> Option<Rc<Prepared>> {
        let found = &self.slots[slot];
        if found.in_use.get() {
            return None;
        }
        self.clock += 1;
        found.taken.set(self.clock);
        found.in_use.set(true);
        Some(found.clone())
    }

    /// Keeps a statement that is in use, for when it is released.
    pub fn keep(&mut self, statement: &Rc<Prepared>) {
        let key = key(&statement.sql, statement.authority);
        let slot = match self.by_text.get(&key) {
            Some(slot) => *slot,
            None if self.slots.len() < CAPACITY => self.slots.len(),
            None => {
                let free = self.slots.iter().enumerate().filter(|(_, known)| !known.in_use.get());
                let Some((oldest, _)) = free.min_by_key(|(_, known)| known.taken.get()) else { return };
                self.by_text.retain(|_, slot| *slot != oldest);
                oldest
            }
        };
        self.clock += 1;
        statement.taken.set(self.clock);
        self.kept = self.kept.saturating_add(1);
        // A number is never given twice: when there are no more, statements are found by their text alone.
        let id = self.kept.checked_mul(CAPACITY as u32).and_then(|id| id.checked_add(slot as u32));
        statement.id.set(id.unwrap_or(0));
        self.by_text.insert(key, slot);
        match self.slots.get_mut(slot) {
            Some(place) => *place = statement.clone(),
            None => self.slots.push(statement.clone()),
        }
    }

    pub fn clear(&mut self) {
        self.by_text.clear();
        self.slots.clear();
    }
}

fn key(sql: &str, authority: Authority) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(sql.as_bytes(), authority as u64)
}

/// The keys are hashes already.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _bytes: &[u8]) {}

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

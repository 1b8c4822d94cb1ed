//! The cache of compiled statements.

use std::{ffi::c_uint, rc::Rc};

use rusqlite::ffi;

use crate::{
    collections::Map,
    sqlite::{Authority, statement::prepared::PreparedStatement},
};

/// The limit of cached statements.
const CAPACITY: usize = 128;

/// The flag for compiling a statement that will be cached.
pub(in crate::sqlite) const PERSISTENT: c_uint = ffi::SQLITE_PREPARE_PERSISTENT as c_uint;

/// The most recently used compiled statements, by text and authority, and by the id that each got when it was cached.
#[derive(Default)]
pub(in crate::sqlite) struct Cache {
    slots: Vec<Rc<PreparedStatement>>,
    /// The slots by text and authority.
    by_text: Map<u64, usize>,
    clock: u64,
    /// How many statements were ever cached.
    kept: u32,
}

impl Cache {
    /// Returns a cached statement that is not in use; the caller owns it until it is released.
    pub fn take(&mut self, sql: &str, authority: Authority) -> Option<Rc<PreparedStatement>> {
        let slot = *self.by_text.get(&key(sql, authority))?;
        let found = &self.slots[slot];
        if found.authority != authority || *found.sql != *sql {
            return None;
        }
        self.lend(slot)
    }

    /// Returns a cached statement by its id; `None` when it was evicted or is in use.
    pub fn take_known(&mut self, id: u32, authority: Authority) -> Option<Rc<PreparedStatement>> {
        let slot = id as usize % CAPACITY;
        let found = self.slots.get(slot)?;
        if found.id.get() != id || found.authority != authority {
            return None;
        }
        self.lend(slot)
    }

    fn lend(&mut self, slot: usize) -> Option<Rc<PreparedStatement>> {
        let found = &self.slots[slot];
        if found.in_use.get() {
            return None;
        }
        self.clock += 1;
        found.taken.set(self.clock);
        found.in_use.set(true);
        Some(found.clone())
    }

    /// Caches a statement that is in use, for reuse after its release.
    pub fn keep(&mut self, statement: &Rc<PreparedStatement>) {
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
        // Ids are never reused: when they run out, statements are found by their text alone.
        let id = self.kept.checked_mul(CAPACITY as u32).and_then(|id| id.checked_add(slot as u32));
        statement.id.set(id.unwrap_or(0));
        self.by_text.insert(key, slot);
        match self.slots.get_mut(slot) {
            Some(place) => *place = statement.clone(),
            None => self.slots.push(statement.clone()),
        }
    }

    pub fn clear(&mut self) {
        self.by_text = Map::default();
        self.slots.clear();
    }
}

fn key(sql: &str, authority: Authority) -> u64 {
    xxhash_rust::xxh3::xxh3_64(sql.as_bytes()) ^ authority as u64
}

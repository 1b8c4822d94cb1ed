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

/// The statements compiled last, by their text and authority.
#[derive(Default)]
pub(super) struct Cache {
    statements: HashMap<u64, Rc<Prepared>, BuildHasherDefault<Identity>>,
    clock: u64,
}

impl Cache {
    /// A statement that nobody uses at present, for the caller alone until it releases it.
    pub fn take(&mut self, sql: &str, authority: Authority) -> Option<Rc<Prepared>> {
        let found = self.statements.get(&key(sql, authority))?;
        if found.in_use.get() || found.authority != authority || *found.sql != *sql {
            return None;
        }
        self.clock += 1;
        found.taken.set(self.clock);
        found.in_use.set(true);
        Some(found.clone())
    }

    /// Keeps a statement that is in use, for when it is released.
    pub fn keep(&mut self, statement: &Rc<Prepared>) {
        if self.statements.len() >= CAPACITY {
            let free = self.statements.iter().filter(|(_, known)| !known.in_use.get());
            let Some(oldest) = free.min_by_key(|(_, known)| known.taken.get()).map(|(key, _)| *key) else { return };
            self.statements.remove(&oldest);
        }
        self.clock += 1;
        statement.taken.set(self.clock);
        self.statements.insert(key(&statement.sql, statement.authority), statement.clone());
    }

    pub fn clear(&mut self) {
        self.statements.clear();
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

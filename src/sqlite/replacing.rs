//! Replaces the content of a database file beneath SQLite.

use super::{
    PageFile,
    image::{BLOCK_SIZE, CHUNK_SIZE, zeros},
    pages::{Pages, Refused},
    pin::Pin,
};
use crate::error::Error;

/// Places in the header, each of four bytes, big-endian: https://sqlite.org/fileformat.html#the_database_header
const CHANGE_COUNTER: usize = 24;
const SCHEMA_COOKIE: usize = 40;
const VERSION_VALID_FOR: usize = 92;
const HEADER_SIZE: usize = 100;

impl PageFile {
    /// Replaces the content, as one commit. Only blocks that differ are written, so that the memory that it takes depends on what
    /// differs. The file is unchanged after a failure.
    pub(super) fn replace(&self, content: &Pin) -> Result<(), Refused> {
        let before = self.pin();
        let mut file = self.pages();
        if file.locked {
            return Err(Refused::Unreadable(Error::internal("SQLite didn't release the database file")));
        }
        if content.bytes() > file.max_bytes && content.bytes() > file.size {
            return Err(Refused::TooLarge);
        }
        let replaced = write(&mut file, content);
        if replaced.is_err() {
            file.revert(&before);
        } else {
            file.boundary();
        }
        replaced
    }
}

fn write(file: &mut Pages, content: &Pin) -> Result<(), Refused> {
    let mut old = zeros(CHUNK_SIZE)?;
    let known = file.read(&mut old[..HEADER_SIZE], 0)?;
    let old_header = if known == HEADER_SIZE { old[..HEADER_SIZE].to_vec() } else { vec![0; HEADER_SIZE] };
    for index in 0..content.chunk_count() {
        let start = u64::from(index) * CHUNK_SIZE as u64;
        let mut new = content.chunk(index)?;
        if index == 0 && new.len() >= HEADER_SIZE {
            follow(&mut new, &old_header);
        }
        let known = file.read(&mut old, start)?;
        for at in (0..new.len()).step_by(BLOCK_SIZE) {
            let block = &new[at..new.len().min(at + BLOCK_SIZE)];
            if old[..known].get(at..at + block.len()) != Some(block) {
                file.write(block, start + at as u64)?;
            }
        }
    }
    file.truncate(content.bytes())
}

/// Makes it the header of a later version of the file than `old`: SQLite then reads pages and schema again.
fn follow(header: &mut [u8], old: &[u8]) {
    let number =
        |header: &[u8], at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let counts = number(header, VERSION_VALID_FOR) == number(header, CHANGE_COUNTER);
    let mut put = |at: usize, number: u32| header[at..at + 4].copy_from_slice(&number.to_be_bytes());
    let counter = number(old, CHANGE_COUNTER).wrapping_add(1);
    put(CHANGE_COUNTER, counter);
    put(SCHEMA_COOKIE, number(old, SCHEMA_COOKIE).wrapping_add(1));
    // Otherwise the size in the header is not valid, and must not become so.
    put(VERSION_VALID_FOR, if counts { counter } else { counter.wrapping_sub(1) });
}

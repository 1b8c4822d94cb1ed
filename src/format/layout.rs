//! Values as bytes: little-endian numbers; texts and lists with their length before them.

use crate::{ports::ChunkId, time::Timestamp};

/// Writes values one after the other.
#[derive(Default)]
pub struct LayoutWriter(pub Vec<u8>);

impl LayoutWriter {
    /// Creates a writer with capacity for that many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// Writes a number.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a number.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes a time.
    pub fn time(&mut self, time: Timestamp) {
        self.u64(time.0 as u64);
    }

    /// Writes bytes, preceded by their count.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    /// Writes a text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Writes the id of a chunk.
    pub fn id(&mut self, id: &ChunkId) {
        self.0.extend_from_slice(&id.bytes());
    }

    /// Writes a list: its length, then each item.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.u32(items.len() as u32);
        items.for_each(|item| write(self, item));
    }

    /// Writes a text, or none.
    pub fn optional(&mut self, text: Option<&String>) {
        self.list(text.into_iter(), |writer, text| writer.text(text));
    }
}

/// Reads what a [`LayoutWriter`] wrote; `None` where the bytes end too early or are invalid.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// Reads `count` bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a number.
    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// Reads a number.
    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// Reads a counter, such as an lsn: a number that JavaScript has exactly, and that never overflows.
    pub fn counter(&mut self) -> Option<u64> {
        self.u64().filter(|count| *count < 1 << 53)
    }

    /// Reads a flag.
    pub fn flag(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// Reads a time.
    pub fn time(&mut self) -> Option<Timestamp> {
        self.u64().map(|ms| Timestamp(ms as i64))
    }

    /// Reads bytes, preceded by their count.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    /// Reads a text.
    pub fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    /// Reads the id of a chunk.
    pub fn id(&mut self) -> Option<ChunkId> {
        self.take(32)?.try_into().ok().map(ChunkId::new)
    }

    /// Reads a list.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.u32()?;
        // No capacity is reserved for an unverified length.
        (0..length).map(|_| read(self)).collect()
    }

    /// Reads a text, or none.
    pub fn optional(&mut self) -> Option<Option<String>> {
        self.list(Self::text).map(|mut list| list.pop())
    }
}

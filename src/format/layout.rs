//! Values as bytes: little-endian numbers; texts and lists with their length before them.

use crate::time::Timestamp;

/// Writes values one after the other.
#[derive(Default)]
pub struct LayoutWriter(pub Vec<u8>);

impl LayoutWriter {
    /// With room for that many bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// A number.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A number.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// A time.
    pub fn time(&mut self, time: Timestamp) {
        self.u64(time.0 as u64);
    }

    /// Bytes, with their number.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.0.extend_from_slice(bytes);
    }

    /// A text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A list: its length, then each.
    pub fn list<T>(&mut self, items: impl ExactSizeIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        self.u32(items.len() as u32);
        items.for_each(|item| write(self, item));
    }

    /// A text, or none.
    pub fn optional(&mut self, text: Option<&String>) {
        self.list(text.into_iter(), |writer, text| writer.text(text));
    }
}

/// Reads what a [`LayoutWriter`] wrote; `None` where the bytes end too early, or are not what is asked for.
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// So many bytes.
    pub fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number.
    pub fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// A number.
    pub fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// A flag.
    pub fn flag(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    /// A time.
    pub fn time(&mut self) -> Option<Timestamp> {
        self.u64().map(|ms| Timestamp(ms as i64))
    }

    /// Bytes with their number before them.
    pub fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    /// A text.
    pub fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.bytes()?).ok().map(str::to_owned)
    }

    /// A list.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let length = self.u32()?;
        // No room is made for a length that nothing has confirmed.
        (0..length).map(|_| read(self)).collect()
    }

    /// A text, or none.
    pub fn optional(&mut self) -> Option<Option<String>> {
        self.list(Self::text).map(|mut list| list.pop())
    }
}

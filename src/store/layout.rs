//! Values as bytes in a fixed, little-endian order: what checksums are taken of, and what is encrypted.

use crate::time::Timestamp;

/// Writes values one after the other; texts carry their length, so that no two sequences share a layout.
#[derive(Default)]
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    pub fn time(&mut self, time: Timestamp) {
        self.u64(time.0 as u64);
    }

    pub fn text(&mut self, text: &str) {
        self.u64(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    pub fn optional(&mut self, text: Option<&str>) {
        self.u32(text.is_some().into());
        self.text(text.unwrap_or_default());
    }
}

/// Reads what a [`Writer`] wrote; `None` where the bytes end too early, or are not what is asked for.
pub(super) struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    pub fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    pub fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    pub fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes(8)?.try_into().ok()?))
    }

    pub fn flag(&mut self) -> Option<bool> {
        match self.u32()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub fn time(&mut self) -> Option<Timestamp> {
        Some(Timestamp(self.u64()? as i64))
    }

    pub fn text(&mut self) -> Option<String> {
        let length = usize::try_from(self.u64()?).ok()?;
        String::from_utf8(self.bytes(length)?.to_vec()).ok()
    }

    pub fn optional(&mut self) -> Option<Option<String>> {
        let is_some = self.flag()?;
        let text = self.text()?;
        Some(is_some.then_some(text))
    }
}

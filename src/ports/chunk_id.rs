//! The ids of chunks.

use std::{cmp::Ordering, fmt};

use crate::value::hex;

/// The id of a chunk: SHA-256 of its plain bytes, or where chunks are encrypted an HMAC of that. As text, 64 hex digits.
///
/// In words, since a large database compares and sorts hundreds of thousands of them. The order is that of the texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct ChunkId([u64; 4]);

impl ChunkId {
    /// Creates the id with these bytes.
    pub fn new(bytes: &[u8; 32]) -> Self {
        let mut id = Self::default();
        for (word, bytes) in id.0.iter_mut().zip(bytes.as_chunks().0) {
            *word = u64::from_be_bytes(*bytes);
        }
        id
    }

    /// Returns the bytes of the id.
    pub fn bytes(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(self.0) {
            *bytes = word.to_be_bytes();
        }
        bytes
    }

    /// Reads the text of an id; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        let (digits, rest) = text.as_bytes().as_chunks::<2>();
        if digits.len() != bytes.len() || !rest.is_empty() {
            return None;
        }
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Some(digit - b'0'),
            b'a'..=b'f' => Some(digit - b'a' + 10),
            _ => None,
        };
        for (byte, [high, low]) in bytes.iter_mut().zip(digits) {
            *byte = value(*high)? << 4 | value(*low)?;
        }
        Some(Self::new(&bytes))
    }
}

impl Ord for ChunkId {
    /// Compares the first words first: hashes hardly ever share them. (A comparison of arrays is a loop, which takes several
    /// times as long.)
    fn cmp(&self, other: &Self) -> Ordering {
        match self.0[0].cmp(&other.0[0]) {
            Ordering::Equal => self.0[1..].cmp(&other.0[1..]),
            unequal => unequal,
        }
    }
}

impl PartialOrd for ChunkId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&hex(&self.bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::ChunkId;

    #[test]
    fn an_id_is_its_bytes_and_its_text() {
        let bytes = std::array::from_fn(|at| at as u8 * 7);
        let id = ChunkId::new(&bytes);
        assert_eq!(id.bytes(), bytes);
        assert_eq!(ChunkId::parse(&id.to_string()), Some(id));
    }

    #[test]
    fn any_other_text_is_none() {
        for text in ["", "../x", &"AB".repeat(32), &"ab".repeat(33), &"a".repeat(63), &"ä".repeat(32), &"0g".repeat(32)]
        {
            assert_eq!(ChunkId::parse(text), None, "{text}");
        }
    }

    #[test]
    fn ids_are_ordered_as_their_texts() {
        let (begins, ends) = (["ff", "0a", "a0", "00"], ["6", "4", "5"]);
        let mut texts: Vec<String> = begins.map(|begin| begin.to_owned() + &"5".repeat(62)).into();
        texts.extend(ends.map(|end| "5".repeat(63) + end));
        let mut ids: Vec<ChunkId> = texts.iter().filter_map(|text| ChunkId::parse(text)).collect();
        ids.sort();
        texts.sort();
        assert_eq!(ids.iter().map(ChunkId::to_string).collect::<Vec<_>>(), texts);
    }
}

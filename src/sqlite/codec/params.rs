//! Parameters, as JavaScript lays them out in wasm memory.

use super::{tag, words::HIGH};
use crate::{
    error::{Error, Result},
    value::Value,
};

/// Rows of parameters in one buffer, little-endian:
/// `u32 rows, u32 columns, u32 textBytes, u32 blobBytes, f64 slots[rows*columns], u8 tags[rows*columns]`, then the UTF-8
/// bytes of all texts joined, then the bytes of all blobs joined.
#[derive(Clone, Debug)]
pub struct FlatParams<'a> {
    rows: usize,
    columns: usize,
    slots: &'a [u8],
    tags: &'a [u8],
    text: &'a str,
    blobs: &'a [u8],
    ascii: bool,
}

/// One value for a parameter, or of an argument of a function, borrowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Param<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
    Blob(&'a [u8]),
}

impl<'a> From<&'a Value> for Param<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Integer(value) => Self::Integer(*value),
            Value::Real(value) => Self::Real(*value),
            Value::Text(value) => Self::Text(value),
            Value::Blob(value) => Self::Blob(value),
        }
    }
}

impl From<Param<'_>> for Value {
    fn from(param: Param<'_>) -> Self {
        match param {
            Param::Null => Self::Null,
            Param::Integer(value) => Self::Integer(value),
            Param::Real(value) => Self::Real(value),
            Param::Text(value) => Self::from(value),
            Param::Blob(value) => Self::Blob(value.to_vec()),
        }
    }
}

impl<'a> FlatParams<'a> {
    /// Parses the buffer's head and checks that its areas fit. Fails with `invalid_argument`; running a statement with a buffer
    /// whose single lengths don't fit fails so, too.
    pub fn parse(buffer: &'a [u8]) -> Result<Self> {
        let head = |index: usize| {
            let bytes = buffer.get(4 * index..4 * index + 4)?;
            Some(u32::from_le_bytes(bytes.try_into().ok()?) as usize)
        };
        let parts = || {
            let (rows, columns) = (head(0)?, head(1)?);
            let count = rows.checked_mul(columns)?;
            let (slots, rest) = buffer.get(16..)?.split_at_checked(count.checked_mul(8)?)?;
            let (tags, rest) = rest.split_at_checked(count)?;
            let (text, rest) = rest.split_at_checked(head(2)?)?;
            let blobs = (rest.len() == head(3)?).then_some(rest)?;
            Some(Self {
                rows,
                columns,
                slots,
                tags,
                text: std::str::from_utf8(text).ok()?,
                blobs,
                ascii: text.is_ascii(),
            })
        };
        parts().ok_or_else(|| malformed("the areas don't fit"))
    }

    /// Returns the number of rows of parameters.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Returns the number of parameters in a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Iterates over the values, row by row.
    pub(in crate::sqlite) fn values(&self) -> ParamReader<'a> {
        ParamReader { params: self.clone(), next: 0, text: 0, blobs: 0 }
    }
}

/// A position in a buffer: the values before it were read.
#[derive(Clone, Debug)]
pub(in crate::sqlite) struct ParamReader<'a> {
    params: FlatParams<'a>,
    next: usize,
    text: usize,
    blobs: usize,
}

impl<'a> ParamReader<'a> {
    /// Returns the next value. Fails with `invalid_argument` when its tag or length is invalid.
    #[inline(always)]
    pub(in crate::sqlite) fn next(&mut self) -> Result<Param<'a>> {
        let at = self.next;
        let (Some(tag), Some(slot)) = (self.params.tags.get(at), self.params.slots.get(8 * at..8 * at + 8)) else {
            return Err(malformed("there are too few values"));
        };
        self.next = at + 1;
        let mut bits = [0; 8];
        bits.copy_from_slice(slot);
        let bits = u64::from_le_bytes(bits);
        let number = f64::from_bits(bits);
        Ok(match *tag {
            tag::INTEGER => Param::Integer(number as i64),
            tag::REAL => Param::Real(number),
            tag::BIGINT => Param::Integer(bits as i64),
            tag::NULL => Param::Null,
            tag::TEXT => Param::Text(self.cut_text(number as usize)?),
            tag::BLOB => {
                let end = self.blobs.saturating_add(number as usize);
                let bytes = self.params.blobs.get(self.blobs..end).ok_or_else(|| malformed("a blob is too long"))?;
                self.blobs = end;
                Param::Blob(bytes)
            }
            _ => return Err(malformed("a value has no known type")),
        })
    }

    /// Takes the next text of `units` UTF-16 units.
    #[inline(always)]
    fn cut_text(&mut self, units: usize) -> Result<&'a str> {
        let all = self.params.text;
        let length = if self.params.ascii { units } else { bytes_of(all.as_bytes(), self.text, units) };
        let end = self.text.saturating_add(length);
        let text = all.get(self.text..end).ok_or_else(|| malformed("a text's length doesn't fit"))?;
        self.text = end;
        Ok(text)
    }
}

/// Returns how many bytes of UTF-8 `units` UTF-16 units span from `start` on; `usize::MAX` when the text is shorter.
fn bytes_of(text: &[u8], start: usize, units: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let (mut seen, mut length) = (0, 0);
    while seen < units && length < rest.len() {
        if units - seen >= 8
            && let Some(word) = rest[length..].first_chunk::<8>()
            && u64::from_le_bytes(*word) & HIGH == 0
        {
            length += 8;
            seen += 8;
            continue;
        }
        let (bytes, more) = match rest[length] {
            0..0x80 => (1, 1),
            0x80..0xe0 => (2, 1),
            0xe0..0xf0 => (3, 1),
            _ => (4, 2),
        };
        length += bytes;
        seen += more;
    }
    if seen == units { length } else { usize::MAX }
}

/// Returns the error of a buffer that this version of the package doesn't produce. Only another tab, perhaps of another version, can send one.
pub(in crate::sqlite) fn malformed(what: &str) -> Error {
    Error::invalid(format!("Malformed parameter buffer: {what}"))
        .hint("Reload all tabs of this app, so that they run the same version")
}

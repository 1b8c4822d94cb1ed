//! The grammar of JSON.

use std::borrow::Cow;

/// Why a text is not the JSON that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// The text ends in the middle: the body was cut.
    Truncated,
    /// The text breaks the grammar at this byte.
    Malformed(usize),
    /// The text is JSON, but not an array of objects.
    NotRows,
    /// An object lacks the column with this index.
    MissingColumn(usize),
}

/// The deepest accepted nesting: the scanner recurses, and wasm's stack is small.
pub(super) const MAX_DEPTH: usize = 256;

/// Returns the text that a raw string stands for; `None` when it is no string, or holds half of a surrogate pair.
pub fn text(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    let Some(first) = inner.bytes().position(|byte| byte == b'\\') else { return Some(Cow::Borrowed(inner)) };
    let mut out = String::with_capacity(inner.len());
    out.push_str(&inner[..first]);
    let mut rest = &inner[first..];
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = &rest[at + 2..];
        match escape {
            b'n' => out.push('\n'),
            b't' => out.push('\t'),
            b'r' => out.push('\r'),
            b'b' => out.push('\u{8}'),
            b'f' => out.push('\u{c}'),
            b'u' => {
                let mut code = hex4(rest)?;
                rest = &rest[4..];
                if (0xd800..0xdc00).contains(&code) {
                    let low = hex4(rest.strip_prefix("\\u")?)?;
                    if !(0xdc00..0xe000).contains(&low) {
                        return None;
                    }
                    code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    rest = &rest[6..];
                }
                out.push(char::from_u32(code)?);
            }
            other => out.push(char::from(other)),
        }
    }
    out.push_str(rest);
    Some(Cow::Owned(out))
}

fn hex4(text: &str) -> Option<u32> {
    let digits = text.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Scans the text once; `at` is always on a character boundary.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// Returns an error for the text under the scanner.
    pub(super) fn malformed(&self) -> JsonError {
        JsonError::Malformed(self.at)
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    pub(super) fn peek(&self) -> Result<u8, JsonError> {
        self.byte().ok_or(JsonError::Truncated)
    }

    pub(super) fn blank(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        self.blank();
        if self.at == self.text.len() { Ok(()) } else { Err(self.malformed()) }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek()? != byte {
            return Err(self.malformed());
        }
        self.at += 1;
        Ok(())
    }

    /// Moves past the opening bracket under the scanner. Returns whether an item follows, rather than `close`.
    pub(super) fn enter(&mut self, close: u8) -> Result<bool, JsonError> {
        self.at += 1;
        self.blank();
        let empty = self.peek()? == close;
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Moves past what follows an item. Returns whether another item comes.
    pub(super) fn more(&mut self, close: u8) -> Result<bool, JsonError> {
        self.blank();
        let byte = self.peek()?;
        if byte != b',' && byte != close {
            return Err(self.malformed());
        }
        self.at += 1;
        if byte == b',' {
            self.blank();
        }
        Ok(byte == b',')
    }

    /// Returns the name of the member under the scanner, and moves to its value.
    pub(super) fn key(&mut self) -> Result<Cow<'a, str>, JsonError> {
        let at = self.at;
        if self.peek()? != b'"' {
            return Err(JsonError::Malformed(at));
        }
        let key = text(self.string()?).ok_or(JsonError::Malformed(at))?;
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok(key)
    }

    pub(super) fn pair(&mut self, depth: usize) -> Result<(Cow<'a, str>, &'a str), JsonError> {
        Ok((self.key()?, self.value(depth)?))
    }

    pub(super) fn value(&mut self, depth: usize) -> Result<&'a str, JsonError> {
        let from = self.at;
        if depth > MAX_DEPTH {
            return Err(JsonError::Malformed(from));
        }
        match self.peek()? {
            b'"' => return self.string(),
            b'[' => {
                let mut more = self.enter(b']')?;
                while more {
                    self.value(depth + 1)?;
                    more = self.more(b']')?;
                }
            }
            b'{' => {
                let mut more = self.enter(b'}')?;
                while more {
                    self.pair(depth + 1)?;
                    more = self.more(b'}')?;
                }
            }
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.number()?,
        }
        Ok(&self.text[from..self.at])
    }

    fn string(&mut self) -> Result<&'a str, JsonError> {
        let from = self.at;
        self.at += 1;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    self.at += 1;
                    match self.peek()? {
                        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {}
                        b'u' => {
                            for _ in 0..4 {
                                self.at += 1;
                                if !self.peek()?.is_ascii_hexdigit() {
                                    return Err(self.malformed());
                                }
                            }
                        }
                        _ => return Err(self.malformed()),
                    }
                    self.at += 1;
                }
                0..0x20 => return Err(self.malformed()),
                _ => self.at += 1,
            }
        }
        self.at += 1;
        Ok(&self.text[from..self.at])
    }

    fn word(&mut self, word: &str) -> Result<(), JsonError> {
        for byte in word.bytes() {
            self.expect(byte)?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek()?.is_ascii_digit() {
            return Err(self.malformed());
        }
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.byte() == Some(b'-') {
            self.at += 1;
        }
        if self.byte() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.byte(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }
}

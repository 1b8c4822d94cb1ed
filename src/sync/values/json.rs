//! JSON as it came over the wire: values stay slices of the body, so that no number is ever rounded.

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

/// The kind of a JSON value, determined by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonKind {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool,
    /// A number.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

/// Returns the kind of a valid JSON value without surrounding whitespace.
pub fn kind(raw: &str) -> JsonKind {
    match raw.as_bytes().first() {
        Some(b'n') => JsonKind::Null,
        Some(b't' | b'f') => JsonKind::Bool,
        Some(b'"') => JsonKind::String,
        Some(b'[') => JsonKind::Array,
        Some(b'{') => JsonKind::Object,
        _ => JsonKind::Number,
    }
}

/// The deepest accepted nesting: the scanner recurses, and wasm's stack is small.
const MAX_DEPTH: usize = 256;

/// Calls `each` with one raw value per column for every object of the array `body`. Returns the number of objects.
///
/// Skips keys that aren't in `columns`; of a repeated key the last one counts. Fails with the error type of `each`.
pub fn rows<'a, E: From<JsonError>>(
    body: &'a str,
    columns: &[String],
    each: &mut dyn FnMut(&[&'a str]) -> Result<(), E>,
) -> Result<usize, E> {
    let mut scanner = Scanner { text: body, at: 0 };
    let mut values: Vec<&'a str> = Vec::with_capacity(columns.len());
    let mut count = 0;
    scanner.blank();
    if scanner.peek()? != b'[' {
        scanner.value(0)?;
        return Err(JsonError::NotRows.into());
    }
    let mut row = scanner.enter(b']')?;
    while row {
        if scanner.peek()? != b'{' {
            return Err(JsonError::NotRows.into());
        }
        values.clear();
        values.resize(columns.len(), "");
        let mut next = 0;
        let mut member = scanner.enter(b'}')?;
        while member {
            let (key, value) = scanner.pair(1)?;
            // PostgREST sends the columns in the order of `select`, so the expected one is nearly always the next.
            let found = match columns.get(next) {
                Some(column) if *column == *key => Some(next),
                _ => columns.iter().position(|column| *column == *key),
            };
            if let Some(index) = found {
                values[index] = value;
                next = index + 1;
            }
            member = scanner.more(b'}')?;
        }
        if let Some(missing) = values.iter().position(|value| value.is_empty()) {
            return Err(JsonError::MissingColumn(missing).into());
        }
        count += 1;
        each(&values)?;
        row = scanner.more(b']')?;
    }
    scanner.end()?;
    Ok(count)
}

/// Returns the members of one object, in order.
pub fn members(text: &str) -> Result<Vec<(Cow<'_, str>, &str)>, JsonError> {
    let mut scanner = Scanner { text, at: 0 };
    let mut members = Vec::new();
    scanner.blank();
    if scanner.peek()? != b'{' {
        return Err(JsonError::Malformed(scanner.at));
    }
    let mut more = scanner.enter(b'}')?;
    while more {
        members.push(scanner.pair(1)?);
        more = scanner.more(b'}')?;
    }
    scanner.end()?;
    Ok(members)
}

/// Returns the elements of one array, in order.
pub fn elements(text: &str) -> Result<Vec<&str>, JsonError> {
    let mut scanner = Scanner { text, at: 0 };
    let mut elements = Vec::new();
    scanner.blank();
    if scanner.peek()? != b'[' {
        return Err(JsonError::Malformed(scanner.at));
    }
    let mut more = scanner.enter(b']')?;
    while more {
        elements.push(scanner.value(1)?);
        more = scanner.more(b']')?;
    }
    scanner.end()?;
    Ok(elements)
}

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

/// Appends `text` as a JSON string.
pub fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\u{0}'..='\u{1f}' => {
                out.push_str("\\u00");
                for nibble in [char as u32 >> 4, char as u32 & 15] {
                    out.push(char::from_digit(nibble, 16).unwrap_or('0'));
                }
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Returns the names as a JSON array of strings.
pub fn string_array<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::from("[");
    for (index, name) in names.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        push_string(&mut out, name);
    }
    out.push(']');
    out
}

/// Returns the strings of a JSON array; `None` when the text is something else.
pub fn parse_string_array(array: &str) -> Option<Vec<String>> {
    elements(array).ok()?.into_iter().map(|raw| text(raw).map(Cow::into_owned)).collect()
}

/// Returns whether the text is one JSON value.
pub fn is_valid(text: &str) -> bool {
    let mut scanner = Scanner { text, at: 0 };
    scanner.blank();
    scanner.value(0).is_ok() && scanner.end().is_ok()
}

/// Returns whether two JSON texts hold the same value, ignoring the order of members and the whitespace between tokens.
pub fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    match (kind(a), kind(b)) {
        (JsonKind::Object, JsonKind::Object) => match (members(a), members(b)) {
            (Ok(a), Ok(b)) => {
                let has = |(name, value): &(Cow<'_, str>, &str)| {
                    b.iter().rev().find(|(other, _)| other == name).is_some_and(|(_, other)| equal(value, other))
                };
                a.len() == b.len() && a.iter().all(has)
            }
            _ => false,
        },
        (JsonKind::Array, JsonKind::Array) => match (elements(a), elements(b)) {
            (Ok(a), Ok(b)) => a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| equal(a, b)),
            _ => false,
        },
        (JsonKind::String, JsonKind::String) => text(a) == text(b),
        (JsonKind::Number, JsonKind::Number) => {
            crate::sync::values::decimal::decimal(a) == crate::sync::values::decimal::decimal(b)
        }
        (a_kind, b_kind) => a_kind == b_kind && a == b,
    }
}

/// Returns the value without the whitespace between its tokens.
pub fn minify(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let (mut from, mut in_string, mut escaped) = (0, false, false);
    for (at, byte) in raw.bytes().enumerate() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else if byte == b'"' {
            in_string = true;
        } else if matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
            out.push_str(&raw[from..at]);
            from = at + 1;
        }
    }
    out.push_str(&raw[from..]);
    out
}

fn hex4(text: &str) -> Option<u32> {
    let digits = text.get(..4)?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u32::from_str_radix(digits, 16).ok())?
}

/// Scans the text once; `at` is always on a character boundary.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scanner<'a> {
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn peek(&self) -> Result<u8, JsonError> {
        self.byte().ok_or(JsonError::Truncated)
    }

    fn blank(&mut self) {
        while matches!(self.byte(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn end(&mut self) -> Result<(), JsonError> {
        self.blank();
        if self.at == self.text.len() { Ok(()) } else { Err(JsonError::Malformed(self.at)) }
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.peek()? != byte {
            return Err(JsonError::Malformed(self.at));
        }
        self.at += 1;
        Ok(())
    }

    /// Moves past the opening bracket under the scanner. Returns whether an item follows, rather than `close`.
    fn enter(&mut self, close: u8) -> Result<bool, JsonError> {
        self.at += 1;
        self.blank();
        let empty = self.peek()? == close;
        self.at += usize::from(empty);
        Ok(!empty)
    }

    /// Moves past what follows an item. Returns whether another item comes.
    fn more(&mut self, close: u8) -> Result<bool, JsonError> {
        self.blank();
        let byte = self.peek()?;
        if byte != b',' && byte != close {
            return Err(JsonError::Malformed(self.at));
        }
        self.at += 1;
        if byte == b',' {
            self.blank();
        }
        Ok(byte == b',')
    }

    fn pair(&mut self, depth: usize) -> Result<(Cow<'a, str>, &'a str), JsonError> {
        let at = self.at;
        if self.peek()? != b'"' {
            return Err(JsonError::Malformed(at));
        }
        let key = text(self.string()?).ok_or(JsonError::Malformed(at))?;
        self.blank();
        self.expect(b':')?;
        self.blank();
        Ok((key, self.value(depth)?))
    }

    fn value(&mut self, depth: usize) -> Result<&'a str, JsonError> {
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
                                    return Err(JsonError::Malformed(self.at));
                                }
                            }
                        }
                        _ => return Err(JsonError::Malformed(self.at)),
                    }
                    self.at += 1;
                }
                0..0x20 => return Err(JsonError::Malformed(self.at)),
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
            return Err(JsonError::Malformed(self.at));
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

#[cfg(test)]
mod tests;

//! JSON as it came over the wire: values stay slices of the body, so that no number is ever rounded.

mod equality;
mod scanner;

use std::borrow::Cow;

pub use equality::equal;
use scanner::Scanner;
pub use scanner::{JsonError, text};

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

/// Calls `each` with one raw value per column for every object of the array `body`. Returns the number of objects.
///
/// Skips keys that aren't in `columns`; of a repeated key the last one counts. Fails with the error type of `each`.
pub fn rows<'a, E: From<JsonError>>(
    body: &'a str,
    columns: &[String],
    each: &mut dyn FnMut(&[&'a str]) -> Result<(), E>,
) -> Result<usize, E> {
    let mut scanner = Scanner::new(body);
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
    let mut scanner = Scanner::new(text);
    let mut members = Vec::new();
    scanner.blank();
    if scanner.peek()? != b'{' {
        return Err(scanner.malformed());
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
    let mut scanner = Scanner::new(text);
    let mut elements = Vec::new();
    scanner.blank();
    if scanner.peek()? != b'[' {
        return Err(scanner.malformed());
    }
    let mut more = scanner.enter(b']')?;
    while more {
        elements.push(scanner.value(1)?);
        more = scanner.more(b']')?;
    }
    scanner.end()?;
    Ok(elements)
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
    let mut scanner = Scanner::new(text);
    scanner.blank();
    scanner.value(0).is_ok() && scanner.end().is_ok()
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

#[cfg(test)]
mod tests;

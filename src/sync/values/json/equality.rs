//! Whether two texts hold the same JSON value.

use std::borrow::Cow;

use super::{
    JsonError, JsonKind, kind, minify,
    scanner::{MAX_DEPTH, Scanner},
    text,
};
use crate::sync::values::decimal::decimal;

/// Longer texts, in bytes, are compared without regard to whitespace only: their values would take too much memory.
const LONGEST: usize = 1 << 20;

/// Returns whether two JSON texts hold the same value, ignoring the order of members and the whitespace between tokens.
pub fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.trim(), b.trim());
    if a.len().max(b.len()) > LONGEST {
        return minify(a) == minify(b);
    }
    matches!((Parsed::of(a), Parsed::of(b)), (Ok(a), Ok(b)) if a == b)
}

/// A value, read in one pass.
enum Parsed<'a> {
    /// The members, sorted by name; of those with one name the last.
    Object(Vec<(Cow<'a, str>, Parsed<'a>)>),
    Array(Vec<Parsed<'a>>),
    String(Cow<'a, str>),
    Number(&'a str),
    Word(&'a str),
}

impl PartialEq for Parsed<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Object(a), Self::Object(b)) => a == b,
            (Self::Array(a), Self::Array(b)) => a == b,
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b || decimal(a) == decimal(b),
            (Self::Word(a), Self::Word(b)) => a == b,
            _ => false,
        }
    }
}

impl<'a> Parsed<'a> {
    fn of(text: &'a str) -> Result<Self, JsonError> {
        let mut scanner = Scanner::new(text);
        let value = Self::read(&mut scanner, 0)?;
        scanner.end()?;
        Ok(value)
    }

    fn read(scanner: &mut Scanner<'a>, depth: usize) -> Result<Self, JsonError> {
        if depth > MAX_DEPTH {
            return Err(scanner.malformed());
        }
        Ok(match scanner.peek()? {
            b'{' => {
                let mut members = Vec::new();
                let mut more = scanner.enter(b'}')?;
                while more {
                    members.push((scanner.key()?, Self::read(scanner, depth + 1)?));
                    more = scanner.more(b'}')?;
                }
                members.reverse();
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
                members.dedup_by(|(a, _), (b, _)| a == b);
                Self::Object(members)
            }
            b'[' => {
                let mut elements = Vec::new();
                let mut more = scanner.enter(b']')?;
                while more {
                    elements.push(Self::read(scanner, depth + 1)?);
                    more = scanner.more(b']')?;
                }
                Self::Array(elements)
            }
            _ => {
                let raw = scanner.value(depth)?;
                match kind(raw) {
                    JsonKind::String => Self::String(text(raw).unwrap_or(Cow::Borrowed(raw))),
                    JsonKind::Number => Self::Number(raw),
                    _ => Self::Word(raw),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn the_order_of_members_and_the_form_of_values_are_of_no_matter() {
        for (a, b, same) in [
            (r#"{"a":1,"b":[2,{"c":null}]}"#, r#" { "b" : [ 2.0 , { "c":null } ], "a":1e0 } "#, true),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#, true),
            (r#"{"a":1,"a":2}"#, r#"{"a":1}"#, false),
            (r#""\u0041""#, r#""A""#, true),
            (r#""\ud800""#, r#""\ud801""#, false),
            ("[1,2]", "[2,1]", false),
            ("[1]", "[1,1]", false),
            ("true", "false", false),
            ("1", r#""1""#, false),
            ("{", "{", false),
        ] {
            assert_eq!(equal(a, b), same, "{a} {b}");
        }
    }

    #[test]
    fn it_takes_time_by_the_length_of_the_texts() {
        let members = |range: &mut dyn Iterator<Item = u32>| {
            let members: Vec<String> = range.map(|at| format!("\"{at}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        // By the square of the number of members this would take a minute.
        assert!(equal(&members(&mut (0..80_000)), &members(&mut (0..80_000).rev())));
        let deep = |inner: &str| format!("{}{inner}{}", "[".repeat(250), "]".repeat(250));
        let inner = format!("\"{}\"", "x".repeat(1_000_000));
        assert!(equal(&deep(&inner), &deep(&format!(" {inner}"))));
        let large = |space: &str| format!("[{}1]", format!("1,{space}").repeat(1_000_000));
        assert!(equal(&large(""), &large(" ")) && !equal(&large(""), "[1]"));
    }
}

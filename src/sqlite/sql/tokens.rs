//! SQL text as tokens: enough to compare two definitions without a parser.

use crate::sqlite::literal;

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or a bare name.
    Word,
    /// A name in double quotes, backticks or brackets.
    Quoted,
    /// A literal in single quotes.
    Text,
    /// A number.
    Number,
    /// Any other single character.
    Sign,
}

/// One token and its position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'s> {
    /// Its kind.
    pub kind: TokenKind,
    /// Its text, as written.
    pub text: &'s str,
    /// The position of its first byte.
    pub at: usize,
}

/// Words that are names only in quotes: quoted and unquoted they are different tokens.
const RESERVED: &str = "add all alter and as autoincrement between case check collate commit constraint create default \
    deferrable delete distinct drop else escape except exists foreign from group having in index insert intersect into is \
    isnull join limit not nothing notnull null on or order primary references returning select set table then to \
    transaction union unique update using values when where";

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

/// Words that are values after DEFAULT; any other word is a text.
const VALUES: [&str; 6] = ["null", "true", "false", "current_time", "current_date", "current_timestamp"];

impl Token<'_> {
    /// Returns whether the token is that keyword (lower case), not in quotes.
    pub fn is(&self, keyword: &str) -> bool {
        self.kind == TokenKind::Word && self.text.eq_ignore_ascii_case(keyword)
    }

    /// Returns whether the token is that sign.
    pub fn is_sign(&self, sign: &str) -> bool {
        self.kind == TokenKind::Sign && self.text == sign
    }

    /// Returns the position after the token.
    pub fn end(&self) -> usize {
        self.at + self.text.len()
    }

    /// Returns the name or text without its quotes.
    pub fn name(&self) -> String {
        if !matches!(self.kind, TokenKind::Quoted | TokenKind::Text) {
            return self.text.to_owned();
        }
        let mut inner = self.text.chars();
        let open = inner.next().unwrap_or_default();
        let close = if open == '[' { ']' } else { open };
        let inner = inner.as_str();
        let inner = inner.strip_suffix(close).unwrap_or(inner);
        let mut name = String::with_capacity(inner.len());
        let mut chars = inner.chars();
        while let Some(char) = chars.next() {
            name.push(char);
            if char == close {
                chars.next();
            }
        }
        name
    }

    fn normal(&self) -> String {
        match self.kind {
            TokenKind::Word | TokenKind::Number => self.text.to_ascii_lowercase(),
            TokenKind::Quoted => {
                let name = self.name().to_ascii_lowercase();
                let plain = |(at, byte): (usize, u8)| is_word(byte) && (at > 0 || !byte.is_ascii_digit());
                let bare = !name.is_empty() && name.bytes().enumerate().all(plain);
                if bare && !RESERVED.split(' ').any(|word| word == name) { name } else { format!("\"{name}\"") }
            }
            TokenKind::Text | TokenKind::Sign => self.text.to_owned(),
        }
    }
}

/// Returns the normal form of tokens, equal for equal meaning: names and keywords in lower case, names without unneeded
/// quotes, comments and white space dropped.
pub fn normal(tokens: &[Token<'_>]) -> String {
    let mut out = String::new();
    for (index, token) in tokens.iter().enumerate() {
        if index > 0 {
            out.push(' ');
        }
        // ON DELETE SET DEFAULT has no value.
        let is_default = index > 0 && tokens[index - 1].is("default") && !(index > 1 && tokens[index - 2].is("set"));
        out.push_str(&if is_default { default_value(token) } else { token.normal() });
    }
    out
}

/// Returns the value of a token after DEFAULT, as SQL: a name means a text there.
pub fn default_value(token: &Token<'_>) -> String {
    let value = |text: &str| VALUES.iter().any(|value| text.eq_ignore_ascii_case(value));
    match token.kind {
        TokenKind::Word if !value(token.text) => literal(token.text),
        TokenKind::Quoted => literal(&token.name()),
        _ => token.normal(),
    }
}

/// Returns the tokens of a text. An unclosed token extends to the end, as in SQLite.
pub fn tokens(sql: &str) -> Vec<Token<'_>> {
    each_token(sql).collect()
}

/// Iterates over the tokens, for texts of any length.
pub fn each_token(sql: &str) -> impl Iterator<Item = Token<'_>> {
    let bytes = sql.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        at = blank_end(bytes, at);
        let (byte, next) = (*bytes.get(at)?, bytes.get(at + 1).copied().unwrap_or_default());
        let (kind, end) = match byte {
            b'\'' => (TokenKind::Text, quoted(bytes, at, b'\'')),
            b'"' | b'`' => (TokenKind::Quoted, quoted(bytes, at, byte)),
            // Brackets can't contain a closing bracket.
            b'[' => (TokenKind::Quoted, until(bytes, at, b"]")),
            b'0'..=b'9' => (TokenKind::Number, number(bytes, at)),
            b'.' if next.is_ascii_digit() => (TokenKind::Number, number(bytes, at)),
            _ if is_word(byte) => {
                let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                (TokenKind::Word, at + length)
            }
            _ => (TokenKind::Sign, at + 1),
        };
        let token = Token { kind, text: &sql[at..end], at };
        at = end;
        Some(token)
    })
}

/// Returns the position after white space and comments.
fn blank_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        let rest = &bytes[at..];
        at = match byte {
            _ if byte.is_ascii_whitespace() => at + 1,
            b'-' if rest.starts_with(b"--") => until(bytes, at, b"\n"),
            b'/' if rest.starts_with(b"/*") => until(bytes, at + 2, b"*/"),
            // As in SQLite: white space where a token could begin, else part of a word.
            _ if rest.starts_with(BYTE_ORDER_MARK) => at + BYTE_ORDER_MARK.len(),
            _ => return at,
        };
    }
    at
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn number(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        let exponent = matches!(byte, b'+' | b'-')
            && matches!(bytes[at - 1], b'e' | b'E')
            && !bytes[from..].starts_with(b"0x")
            && !bytes[from..].starts_with(b"0X");
        if !(byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_') || exponent) {
            break;
        }
        at += 1;
    }
    at
}

/// Returns the position after the closing quote; doubled quotes don't close.
fn quoted(bytes: &[u8], from: usize, close: u8) -> usize {
    let mut at = from + 1;
    while at < bytes.len() {
        if bytes[at] == close {
            if bytes.get(at + 1) != Some(&close) {
                return at + 1;
            }
            at += 1;
        }
        at += 1;
    }
    bytes.len()
}

/// Returns the position after the next occurrence, or the end.
fn until(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(what.len()).position(|window| window == what).map_or(bytes.len(), |at| from + at + what.len())
}

#[cfg(test)]
mod tests {
    use super::{normal, tokens};

    fn of(sql: &str) -> String {
        normal(&tokens(sql))
    }

    #[test]
    fn equal_meaning_gives_equal_normal_forms() {
        for (a, b) in [
            ("CREATE TABLE [A b] (x)", "create  table \"a B\"(\n X -- comment, with a comma\n)"),
            ("`key` /* c */ TEXT", "KEY text"),
            ("a DEFAULT abc", "A default 'abc'"),
            ("a DEFAULT \"Abc\"", "a default 'Abc'"),
            ("DEFAULT CURRENT_TIMESTAMP", "default current_timestamp"),
            ("x'AB'", "X 'AB'"),
            ("1E-5 0X1f", "1e-5 0x1f"),
            ("\"größe\"", "größe"),
            ("a \u{feff}b \u{feff}'c'", "a b 'c'"),
        ] {
            assert_eq!(of(a), of(b), "{a} and {b}");
        }
    }

    #[test]
    fn different_meaning_gives_different_normal_forms() {
        for (a, b) in [
            ("'a'", "'A'"),
            ("a 'x y'", "a 'x  y'"),
            ("\"primary\" key", "primary key"),
            ("DEFAULT Abc", "DEFAULT abc"),
            ("\"a b\"", "a b"),
            ("\"1\"", "1"),
            ("a.b", "a b"),
        ] {
            assert_ne!(of(a), of(b), "{a} and {b}");
        }
    }

    #[test]
    fn names_lose_their_quotes() {
        let names: Vec<_> = tokens("\"a\"\"b\" `c``d` [e\"] 'f''g' h").iter().map(super::Token::name).collect();
        assert_eq!(names, ["a\"b", "c`d", "e\"", "f'g", "h"]);
    }

    #[test]
    fn an_unclosed_token_ends_with_the_text() {
        for sql in ["'abc", "\"", "[a", "/* c", "-- c", "a.", "1e", "é'"] {
            assert!(tokens(sql).iter().all(|token| token.end() <= sql.len()), "{sql}");
        }
        assert_eq!(of("a -- c"), "a");
    }
}

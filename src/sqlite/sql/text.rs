//! The few things that tidelock reads from SQL text itself.

use crate::error::{Error, Result};

// The standard library's substring search is built for long texts, and takes 2 KB of wasm: the searches here compare bytes.

/// Returns whether a text contains this ASCII word, in any case.
pub fn mentions(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    // Scripts are long: the first byte rules out most positions.
    let Some(first) = word.first().map(|byte| byte | 0x20) else { return true };
    (0..text.len().saturating_sub(word.len() - 1))
        .any(|at| text[at] | 0x20 == first && text[at..at + word.len()].eq_ignore_ascii_case(word))
}

/// Fails with `invalid_argument` (`details.offset`) for a text with a NUL: SQLite would compile what stands before it.
pub(in crate::sqlite) fn must_be_whole(sql: &str) -> Result<()> {
    let Some(at) = sql.bytes().position(|byte| byte == 0) else { return Ok(()) };
    Err(Error::invalid("The SQL text has a NUL character, at which SQLite stops reading")
        .hint("Remove it; a value that has one can be a parameter")
        .detail("offset", at))
}

/// Returns the text after leading white space, semicolons and comments.
pub(in crate::sqlite) fn skip_blank(sql: &str) -> &str {
    let bytes = sql.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b';' => at += 1,
            b'-' if bytes.get(at + 1) == Some(&b'-') => at = find(bytes, at, b"\n"),
            b'/' if bytes.get(at + 1) == Some(&b'*') => at = find(bytes, at + 2, b"*/"),
            _ => break,
        }
    }
    &sql[at..]
}

/// Returns whether a name is reserved for SQLite or tidelock.
pub fn is_reserved(name: &str) -> bool {
    let begins = |with: &str| name.get(..with.len()).is_some_and(|start| start.eq_ignore_ascii_case(with));
    begins("sqlite_") || begins("tidelock_")
}

/// Returns an SQL identifier in double quotes.
pub fn quote(name: &str) -> String {
    enclosed(name, '"')
}

/// Returns an SQL string literal.
pub fn literal(text: &str) -> String {
    enclosed(text, '\'')
}

fn enclosed(text: &str, mark: char) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(mark);
    for char in text.chars() {
        if char == mark {
            out.push(mark);
        }
        out.push(char);
    }
    out.push(mark);
    out
}

/// Returns the line of a byte in a text, from 1.
pub fn line_of(text: &str, offset: usize) -> usize {
    1 + text.as_bytes()[..offset.min(text.len())].iter().filter(|byte| **byte == b'\n').count()
}

/// Returns the first word of a statement, after white space and comments; empty when it begins with something else.
pub(in crate::sqlite) fn first_word(sql: &str) -> &str {
    let sql = skip_blank(sql);
    &sql[..sql.bytes().take_while(u8::is_ascii_alphabetic).count()]
}

pub(in crate::sqlite) fn is_vacuum(sql: &str) -> bool {
    first_word(sql).eq_ignore_ascii_case("VACUUM")
}

pub(in crate::sqlite) fn is_begin(sql: &str) -> bool {
    first_word(sql).eq_ignore_ascii_case("BEGIN")
}

/// Returns the statements of a script, each with its semicolon. Follows `sqlite3_complete()`: a trigger ends with `; END ;`.
pub fn statements(script: &str) -> impl Iterator<Item = &str> {
    let mut rest = skip_blank(script);
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (statement, after) = rest.split_at(statement_length(rest));
        rest = skip_blank(after);
        Some(statement)
    })
}

/// Returns the text that ends a statement of the schema, which has no semicolon, but may end with a comment.
pub fn statement_end(sql: &str) -> &'static str {
    let ends = |end: &&str| statements(&format!("{sql}{end}\nSELECT 1")).count() == 2;
    [";", "\n;", "*/;"].into_iter().find(ends).unwrap_or(";")
}

/// Returns the first statement of a text, without leading white space and comments; empty when there is none.
pub fn first_statement(sql: &str) -> &str {
    statements(sql).next().unwrap_or_default()
}

/// Returns the length of the first statement, which begins at the text's first byte.
pub(in crate::sqlite) fn statement_length(sql: &str) -> usize {
    let bytes = sql.as_bytes();
    let mut at = 0;
    // Counts words until they identify a trigger: CREATE [TEMP|TEMPORARY] TRIGGER.
    let mut create = false;
    let mut trigger = false;
    let mut words = 0;
    // Inside a trigger: 1 after `;`, 2 after `; END`.
    let mut ending = 0;
    while at < bytes.len() {
        let byte = bytes[at];
        if byte == b';' {
            if !trigger || ending == 2 {
                return at + 1;
            }
            ending = 1;
            at += 1;
        } else if byte.is_ascii_whitespace() {
            at += 1;
        } else if sql[at..].starts_with("--") {
            at = find(bytes, at, b"\n");
        } else if sql[at..].starts_with("/*") {
            at = find(bytes, at + 2, b"*/");
        } else if let Some(close) = closing_quote(byte) {
            // A doubled quote ends one text and begins the next.
            at = find(bytes, at + 1, &[close]);
            ending = 0;
        } else if byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80 {
            let length = bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
            let word = &bytes[at..at + length];
            let is = |keyword: &str| word.eq_ignore_ascii_case(keyword.as_bytes());
            words += 1;
            match words {
                1 => create = is("CREATE"),
                2 | 3 if create => {
                    trigger = is("TRIGGER");
                    create = words == 2 && (is("TEMP") || is("TEMPORARY"));
                }
                _ => ending = if ending == 1 && is("END") { 2 } else { 0 },
            }
            at += length;
        } else {
            ending = 0;
            at += 1;
            // A multi-byte character never begins with an ASCII byte, so `at` stays at a boundary.
        }
    }
    bytes.len()
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn closing_quote(byte: u8) -> Option<u8> {
    match byte {
        b'\'' | b'"' | b'`' => Some(byte),
        b'[' => Some(b']'),
        _ => None,
    }
}

/// Returns the position after the next occurrence, or the end.
fn find(bytes: &[u8], from: usize, what: &[u8]) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.windows(what.len()).position(|window| window == what).map_or(bytes.len(), |at| from + at + what.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_split_as_sqlite_splits_them() {
        let script = "
            -- a comment; with a semicolon
            CREATE TABLE a(b TEXT DEFAULT 'x;y'); /* ; */
            create temp trigger t after insert on a begin
              select case when 1 then 'END;' end; -- end;
              delete from a where b = \";\" ; END;
            ;; INSERT INTO [a;b] VALUES ('it''s;') ;
            SELECT 1";
        let words: Vec<_> = statements(script).map(first_word).collect();
        assert_eq!(words, ["CREATE", "create", "INSERT", "SELECT"]);
        assert!(statements(script).nth(1).unwrap().ends_with("END;"));
        assert_eq!(statements(" -- nothing\n ; /* open").count(), 0);
        assert_eq!(statements("SELECT 'é' ; SELECT é").count(), 2);
        assert!(is_vacuum("/* x */ -- y\n vacuum;") && !is_vacuum("VACUUMS"));
    }

    #[test]
    fn words_are_found_in_any_case() {
        for (text, word, found) in [
            ("CREATE VIRTUAL TABLE t USING Fts5(a)", "fts5", true),
            ("ft fts fts4", "fts5", false),
            ("a->b", "->", true),
            ("a-b>c-", "->", false),
            ("-", "->", false),
            ("JSON", "json", true),
            ("", "json", false),
        ] {
            assert_eq!(mentions(text, word), found, "{word} in {text}");
        }
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!([line_of("a\nb", 0), line_of("a\nb", 2), line_of("a\n", 99)], [1, 2, 2]);
    }
}

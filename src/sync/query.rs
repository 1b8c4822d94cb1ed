//! The URLs that read a table from PostgREST, page by page.

use std::fmt::Write;

use super::state::Position;

/// What is read of one remote table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The remote table.
    pub table: String,
    /// The columns; empty for all of them.
    pub columns: Vec<String>,
    /// The key's columns.
    pub key: Vec<String>,
    /// The cursor column.
    pub cursor: Option<String>,
    /// Filters by column, in PostgREST's words.
    pub filter: Vec<(String, String)>,
}

/// Which rows a request asks for. All ranges are open at their end: pages are read until an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// All rows in the order of the key, behind a key.
    Keys(Option<Vec<String>>),
    /// The rows whose cursor is NULL, in the order of the key, behind a key.
    Nulls(Option<Vec<String>>),
    /// The rows with a cursor, in the order of cursor and key: all, ...
    Cursors,
    /// ... those from a cursor value on, ...
    From(String),
    /// ... or those behind a row.
    Behind(Position),
}

impl Selection {
    /// The URL of one page.
    pub fn url(&self, root: &str, range: &Range, limit: u32) -> String {
        let mut url = format!("{root}/{}?select=", percent(&self.table));
        match self.columns.as_slice() {
            [] => url.push('*'),
            columns => push_list(&mut url, columns.iter().map(|column| name(column))),
        }
        for (column, filter) in &self.filter {
            push_pair(&mut url, &name(column), filter);
        }
        let cursor = self.cursor.as_deref().map(name);
        let cursor = cursor.as_deref();
        match (range, cursor) {
            (Range::Keys(after), _) => self.push_behind(&mut url, None, after.as_deref()),
            (Range::Nulls(after), Some(cursor)) => {
                push_pair(&mut url, cursor, "is.null");
                self.push_behind(&mut url, None, after.as_deref());
            }
            (Range::Cursors, Some(cursor)) => push_pair(&mut url, cursor, "not.is.null"),
            (Range::From(value), Some(cursor)) => push_pair(&mut url, cursor, &format!("gte.{value}")),
            (Range::Behind(Position { cursor: value, key }), Some(cursor)) => {
                self.push_behind(&mut url, value.as_deref().map(|value| (cursor, value)), Some(key));
            }
            _ => {}
        }
        let ordered = !matches!(range, Range::Keys(_) | Range::Nulls(_));
        url.push_str("&order=");
        let columns = cursor.filter(|_| ordered).map(str::to_owned).into_iter();
        push_list(&mut url, columns.chain(self.key.iter().map(|column| name(column))).map(|column| column + ".asc"));
        // Writing into a String can't fail.
        let _ = write!(url, "&limit={limit}");
        url
    }

    /// Appends the condition "behind this row" in the order of the cursor, if any, and the key: for `(a, b) > (x, y)`,
    /// `a=gte.x&or=(a.gt.x,and(a.eq.x,b.gt.y))`. The first part is implied, but it is what lets the server use an index.
    fn push_behind(&self, url: &mut String, cursor: Option<(&str, &str)>, key: Option<&[String]>) {
        let Some(key) = key else { return };
        let names: Vec<String> = self.key.iter().map(|column| name(column)).collect();
        let keys = names.iter().map(String::as_str).zip(key.iter().map(String::as_str));
        let terms: Vec<(&str, &str)> = cursor.into_iter().chain(keys).collect();
        if let [(column, value), _, ..] = terms.as_slice() {
            push_pair(url, column, &format!("gte.{value}"));
        }
        let mut condition = String::from("(");
        for (index, (column, value)) in terms.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            if index == 0 {
                let _ = write!(condition, "{comma}{column}.gt.{}", quoted(value));
                continue;
            }
            let _ = write!(condition, "{comma}and(");
            for (equal, value) in &terms[..index] {
                let _ = write!(condition, "{equal}.eq.{},", quoted(value));
            }
            let _ = write!(condition, "{column}.gt.{})", quoted(value));
        }
        condition.push(')');
        push_pair(url, "or", &condition);
    }
}

/// A column as PostgREST reads it: in double quotes unless it is a plain word.
pub(super) fn name(column: &str) -> String {
    let plain = column.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if plain { column.to_owned() } else { quoted(column) }
}

/// A value inside `or=(...)`, where `,.:()` have a meaning.
pub(super) fn quoted(value: &str) -> String {
    let mut out = String::from("\"");
    for char in value.chars() {
        if matches!(char, '"' | '\\') {
            out.push('\\');
        }
        out.push(char);
    }
    out.push('"');
    out
}

pub(super) fn push_pair(url: &mut String, key: &str, value: &str) {
    url.push('&');
    url.push_str(&percent(key));
    url.push('=');
    url.push_str(&percent(value));
}

pub(super) fn push_list(url: &mut String, items: impl Iterator<Item = String>) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            url.push(',');
        }
        url.push_str(&percent(&item));
    }
}

/// Escapes everything that isn't plain in a query. `+` above all: servers read it as a blank.
pub(super) fn percent(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'(' | b')' | b',' | b':' | b'*' => {
                out.push(char::from(byte));
            }
            _ => {
                out.push('%');
                for nibble in [byte >> 4, byte & 15] {
                    out.push(char::from(b"0123456789ABCDEF"[usize::from(nibble)]));
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selection(key: &[&str], cursor: Option<&str>) -> Selection {
        Selection {
            table: "orders".to_owned(),
            columns: vec!["id".to_owned(), "the name".to_owned()],
            key: key.iter().map(|name| (*name).to_owned()).collect(),
            cursor: cursor.map(str::to_owned),
            filter: vec![("status".to_owned(), "in.(open,\"a b\")".to_owned())],
        }
    }

    fn query(selection: &Selection, range: Range) -> String {
        let url = selection.url("http://h/rest/v1", &range, 1000);
        url.strip_prefix("http://h/rest/v1/orders?select=id,%22the%20name%22&status=in.(open,%22a%20b%22)")
            .expect("the common part")
            .replace("%22", "'")
    }

    #[test]
    fn pages_by_key() {
        let single = selection(&["id"], None);
        assert_eq!(query(&single, Range::Keys(None)), "&order=id.asc&limit=1000");
        let after = Range::Keys(Some(vec!["9007199254740993".to_owned()]));
        assert_eq!(query(&single, after), "&or=(id.gt.'9007199254740993')&order=id.asc&limit=1000");
        let composite = selection(&["a", "b", "c"], None);
        let after = Range::Keys(Some(vec!["1".to_owned(), "2".to_owned(), "3".to_owned()]));
        assert_eq!(
            query(&composite, after),
            "&a=gte.1&or=(a.gt.'1',and(a.eq.'1',b.gt.'2'),and(a.eq.'1',b.eq.'2',c.gt.'3'))&order=a.asc,b.asc,c.asc&limit=1000"
        );
    }

    #[test]
    fn pages_by_cursor_and_key() {
        let cursor = selection(&["id"], Some("updated_at"));
        assert_eq!(query(&cursor, Range::Nulls(None)), "&updated_at=is.null&order=id.asc&limit=1000");
        assert_eq!(query(&cursor, Range::Cursors), "&updated_at=not.is.null&order=updated_at.asc,id.asc&limit=1000");
        let from = Range::From("2026-01-02T03:04:05.000Z".to_owned());
        assert_eq!(
            query(&cursor, from),
            "&updated_at=gte.2026-01-02T03:04:05.000Z&order=updated_at.asc,id.asc&limit=1000"
        );
        let position =
            Position { cursor: Some("2026-01-02T03:04:05.678901+00:00".to_owned()), key: vec!["7".to_owned()] };
        assert_eq!(
            query(&cursor, Range::Behind(position)),
            "&updated_at=gte.2026-01-02T03:04:05.678901%2B00:00\
             &or=(updated_at.gt.'2026-01-02T03:04:05.678901%2B00:00',and(updated_at.eq.'2026-01-02T03:04:05.678901%2B00:00',id.gt.'7'))\
             &order=updated_at.asc,id.asc&limit=1000"
        );
    }

    #[test]
    fn values_with_a_meaning_are_quoted_and_escaped() {
        let single = selection(&["i,d"], None);
        let after = Range::Keys(Some(vec![r#"a,b)."c"\ &é"#.to_owned()]));
        assert_eq!(
            query(&single, after),
            "&or=('i,d'.gt.'a,b).%5C'c%5C'%5C%5C%20%26%C3%A9')&order='i,d'.asc&limit=1000"
        );
        let all = Selection { table: "odd/näme".to_owned(), ..Selection::default() };
        assert!(all.url("http://h", &Range::Keys(None), 1).starts_with("http://h/odd%2Fn%C3%A4me?select=*&order="));
    }
}

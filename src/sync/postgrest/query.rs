//! The URLs that read a table from PostgREST, page by page.

use std::fmt::Write;

use crate::sync::state::{
    progress::ReadPosition,
    spans::{RemoteKey, Span},
};

/// The part of a remote table that is read.
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
    /// Filters by column, in PostgREST's syntax.
    pub filter: Vec<(String, String)>,
}

/// Which rows a request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Range {
    /// The rows of a span, in the order of the key.
    Keys(Span),
    /// One row: the one at this offset behind a key, in the order of the key.
    Beyond(Option<RemoteKey>, u64),
    /// One row: the one with the greatest cursor, or one without a cursor if no row has one.
    Newest,
    /// The rows whose cursor is NULL, in the order of the key, behind a key.
    Nulls(Option<RemoteKey>),
    /// All rows with a cursor, in the order of cursor and key.
    Cursors,
    /// The rows from a cursor value on, in the order of cursor and key.
    From(String),
    /// The rows behind a position, in the order of cursor and key.
    Behind(ReadPosition),
    /// The rows whose cursor is NULL, followed by this range.
    WithNulls(Box<Range>),
}

impl Selection {
    /// Returns the URL of one page of at most `limit` rows.
    pub fn url(&self, root: &str, range: &Range, limit: u32) -> String {
        let mut url = format!("{root}/{}?select=", percent(&self.table));
        match self.columns.as_slice() {
            [] => url.push('*'),
            columns => push_list(&mut url, columns.iter().map(|column| name(column))),
        }
        for (column, filter) in &self.filter {
            // A combined condition, as `or=(a.eq.1,b.eq.2)`: no filter of a column begins with a parenthesis.
            let combines = matches!(column.as_str(), "and" | "or" | "not.and" | "not.or") && filter.starts_with('(');
            let column = if combines { column.clone() } else { name(column) };
            push_pair(&mut url, &column, filter);
        }
        let cursor = self.cursor.as_deref().map(name);
        let cursor = cursor.as_deref();
        match (range, cursor) {
            (Range::Keys(Span { after, upto }), _) => {
                self.push_place(&mut url, Side::Behind, None, after.as_deref());
                self.push_place(&mut url, Side::UpTo, None, upto.as_deref());
            }
            (Range::Beyond(after, _), _) => self.push_place(&mut url, Side::Behind, None, after.as_deref()),
            (Range::Nulls(after), Some(cursor)) => {
                push_pair(&mut url, cursor, "is.null");
                self.push_place(&mut url, Side::Behind, None, after.as_deref());
            }
            (Range::Cursors, Some(cursor)) => push_pair(&mut url, cursor, "not.is.null"),
            (Range::From(value), Some(cursor)) => push_pair(&mut url, cursor, &format!("gte.{value}")),
            (Range::Behind(ReadPosition { cursor: value, key }), Some(cursor)) => {
                let cursor = value.as_deref().map(|value| (cursor, value));
                self.push_place(&mut url, Side::Behind, cursor, Some(key));
            }
            (Range::WithNulls(rows), Some(cursor)) => {
                let rows = match &**rows {
                    Range::From(value) => Some(format!("{cursor}.gte.{}", quoted(value))),
                    Range::Behind(ReadPosition { cursor: Some(value), key }) => {
                        Some(condition(Side::Behind, &self.terms(Some((cursor, value)), key)))
                    }
                    // All rows.
                    _ => None,
                };
                if let Some(rows) = rows {
                    push_pair(&mut url, "or", &format!("({cursor}.is.null,{rows})"));
                }
            }
            _ => {}
        }
        let (by_cursor, by_key) = match range {
            // An index is usually ascending with NULLs last: this order reads it from its end, without the NULLs.
            Range::Newest => (Some(".desc.nullslast"), ".desc"),
            Range::Cursors | Range::From(_) | Range::Behind(_) => (Some(".asc"), ".asc"),
            Range::WithNulls(_) => (Some(".asc.nullsfirst"), ".asc"),
            Range::Keys(_) | Range::Beyond(..) | Range::Nulls(_) => (None, ".asc"),
        };
        url.push_str("&order=");
        let first = by_cursor.and_then(|order| Some(cursor?.to_owned() + order));
        push_list(&mut url, first.into_iter().chain(self.key.iter().map(|column| name(column) + by_key)));
        // Writing into a String can't fail.
        let _ = write!(url, "&limit={limit}");
        if let Range::Beyond(_, rows) = range {
            let _ = write!(url, "&offset={rows}");
        }
        url
    }

    /// Appends the condition for the rows on one side of a row, in the order of the cursor, if any, and the key.
    ///
    /// For `(a, b) > (x, y)`: `a=gte.x&or=(a.gt.x,and(a.eq.x,b.gt.y))`. The first part is implied, but lets the server
    /// use an index.
    fn push_place(&self, url: &mut String, side: Side, cursor: Option<(&str, &str)>, key: Option<&[String]>) {
        let Some(key) = key else { return };
        let terms = self.terms(cursor, key);
        let outer = match side {
            Side::Behind => "gte",
            Side::UpTo => "lte",
        };
        if let [(column, value), _, ..] = terms.as_slice() {
            push_pair(url, column, &format!("{outer}.{value}"));
        }
        push_pair(url, "or", &format!("({})", condition(side, &terms)));
    }

    /// Returns the columns of cursor and key, each with its value.
    fn terms<'a>(&self, cursor: Option<(&str, &'a str)>, key: &'a [String]) -> Vec<(String, &'a str)> {
        let keys = self.key.iter().map(|column| name(column)).zip(key.iter().map(String::as_str));
        cursor.map(|(column, value)| (column.to_owned(), value)).into_iter().chain(keys).collect()
    }
}

/// Returns the alternatives, separated by commas, of which one holds for each row on this side of the values.
fn condition(side: Side, terms: &[(String, &str)]) -> String {
    let (inner, last) = match side {
        Side::Behind => ("gt", "gt"),
        Side::UpTo => ("lt", "lte"),
    };
    let mut condition = String::new();
    for (index, (column, value)) in terms.iter().enumerate() {
        let operator = if index + 1 == terms.len() { last } else { inner };
        // Writing into a String can't fail.
        if index == 0 {
            let _ = write!(condition, "{column}.{operator}.{}", quoted(value));
            continue;
        }
        condition.push_str(",and(");
        for (equal, value) in &terms[..index] {
            let _ = write!(condition, "{equal}.eq.{},", quoted(value));
        }
        let _ = write!(condition, "{column}.{operator}.{})", quoted(value));
    }
    condition
}

/// The side of a row on which the wanted rows are.
#[derive(Clone, Copy)]
enum Side {
    Behind,
    /// The row itself and the rows before it.
    UpTo,
}

/// Parameter names that aren't columns unless they are in double quotes.
///
/// PostgREST reserves most of them (`QueryParams.hs`, the same from 12 to 16). `not` negates conditions, and gateways
/// remove `apikey` from the query.
const RESERVED: &[&str] =
    &["select", "columns", "on_conflict", "order", "limit", "offset", "and", "or", "not", "apikey"];

/// Returns a column's name in PostgREST's syntax: in double quotes unless it is a plain, unreserved word.
pub(crate) fn name(column: &str) -> String {
    let plain = !column.is_empty() && column.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let reserved = RESERVED.iter().any(|word| word.eq_ignore_ascii_case(column));
    if plain && !reserved { column.to_owned() } else { quoted(column) }
}

/// Returns a value in double quotes, for use inside `or=(...)`, where `,.:()` are syntax.
pub(crate) fn quoted(value: &str) -> String {
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

pub(crate) fn push_pair(url: &mut String, key: &str, value: &str) {
    url.push('&');
    url.push_str(&percent(key));
    url.push('=');
    url.push_str(&percent(value));
}

pub(crate) fn push_list(url: &mut String, items: impl Iterator<Item = String>) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            url.push(',');
        }
        url.push_str(&percent(&item));
    }
}

/// Percent-encodes a part of a query. This includes `+`, which servers read as a space.
pub(crate) fn percent(text: &str) -> String {
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

    fn behind(key: RemoteKey) -> Range {
        Range::Keys(Span { after: Some(key), upto: None })
    }

    #[test]
    fn pages_by_key() {
        let single = selection(&["id"], None);
        assert_eq!(query(&single, Range::Keys(Span::default())), "&order=id.asc&limit=1000");
        let after = behind(vec!["9007199254740993".to_owned()]);
        assert_eq!(query(&single, after), "&or=(id.gt.'9007199254740993')&order=id.asc&limit=1000");
        let composite = selection(&["a", "b", "c"], None);
        let after = behind(vec!["1".to_owned(), "2".to_owned(), "3".to_owned()]);
        assert_eq!(
            query(&composite, after),
            "&a=gte.1&or=(a.gt.'1',and(a.eq.'1',b.gt.'2'),and(a.eq.'1',b.eq.'2',c.gt.'3'))&order=a.asc,b.asc,c.asc&limit=1000"
        );
    }

    #[test]
    fn spans_are_closed_by_the_server() {
        let key = |values: &[&str]| Some(values.iter().map(|value| (*value).to_owned()).collect::<RemoteKey>());
        let single = selection(&["id"], Some("updated_at"));
        let span = Range::Keys(Span { after: key(&["1"]), upto: key(&["9"]) });
        assert_eq!(query(&single, span), "&or=(id.gt.'1')&or=(id.lte.'9')&order=id.asc&limit=1000");
        let composite = selection(&["a", "b"], None);
        assert_eq!(
            query(&composite, Range::Keys(Span { after: None, upto: key(&["1", "2"]) })),
            "&a=lte.1&or=(a.lt.'1',and(a.eq.'1',b.lte.'2'))&order=a.asc,b.asc&limit=1000"
        );
        let beyond = Range::Beyond(key(&["1"]), 4999);
        assert_eq!(query(&single, beyond), "&or=(id.gt.'1')&order=id.asc&limit=1000&offset=4999");
        assert_eq!(query(&single, Range::Newest), "&order=updated_at.desc.nullslast,id.desc&limit=1000");
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
            ReadPosition { cursor: Some("2026-01-02T03:04:05.678901+00:00".to_owned()), key: vec!["7".to_owned()] };
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
        let after = behind(vec![r#"a,b)."c"\ &é"#.to_owned()]);
        assert_eq!(
            query(&single, after),
            "&or=('i,d'.gt.'a,b).%5C'c%5C'%5C%5C%20%26%C3%A9')&order='i,d'.asc&limit=1000"
        );
        let all = Selection { table: "odd/näme".to_owned(), ..Selection::default() };
        assert!(
            all.url("http://h", &Range::Keys(Span::default()), 1)
                .starts_with("http://h/odd%2Fn%C3%A4me?select=*&order=")
        );
    }
    #[test]
    fn names_of_parameters_are_columns_in_quotes() {
        let mut odd = selection(&["order", "On_Conflict"], Some("limit"));
        odd.columns = ["order", "select", "count", "a->b"].map(str::to_owned).to_vec();
        odd.filter = [
            ("apikey", "eq.1"),
            ("not", "in.(a,b)"),
            // A column named `or`, and a combined condition.
            ("or", "eq.x"),
            ("or", "(a.eq.1,b.is.null)"),
            ("not.and", "(a.eq.1,b.is.null)"),
            ("order", "(x)"),
        ]
        .map(|(column, filter)| (column.to_owned(), filter.to_owned()))
        .to_vec();
        let position = ReadPosition { cursor: Some("5".to_owned()), key: vec!["1".to_owned(), "2".to_owned()] };
        assert_eq!(
            odd.url("http://h", &Range::Behind(position), 10).replace("%22", "'"),
            "http://h/orders?select='order','select',count,'a-%3Eb'&'apikey'=eq.1&'not'=in.(a,b)&'or'=eq.x\
             &or=(a.eq.1,b.is.null)&not.and=(a.eq.1,b.is.null)&'order'=(x)&'limit'=gte.5\
             &or=('limit'.gt.'5',and('limit'.eq.'5','order'.gt.'1'),and('limit'.eq.'5','order'.eq.'1','On_Conflict'.gt.'2'))\
             &order='limit'.asc,'order'.asc,'On_Conflict'.asc&limit=10"
        );
        for word in ["order", "select", "columns", "on_conflict", "limit", "offset", "and", "or", "not", "apikey"] {
            assert_eq!(name(word), format!("\"{word}\""));
        }
        assert_eq!(["ordered", "_or", "x1", ""].map(name), ["ordered", "_or", "x1", "\"\""]);
    }
}

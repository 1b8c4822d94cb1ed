//! Spans of a table's keys that are read concurrently: where they end, and how their progress is stored.
//!
//! The bounds are keys from the remote, and only the remote compares with them. So a span that turns out to be shorter,
//! longer or empty costs a request, never a row.

use crate::sync::{config::options::AT_ONCE, values::json};

/// A key, in the server's own text.
pub type RemoteKey = Vec<String>;

/// The rows after one key, up to and including another, in the order of the key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The last key that was read; `None` starts at the first row.
    pub after: Option<RemoteKey>,
    /// The last key of the span; `None` ends at the last row.
    pub upto: Option<RemoteKey>,
}

/// Returns after how many rows each span but the last one ends, for `rows` rows in pages of `page` rows. Spans have
/// whole pages; the first ones are longer, since they begin first. Returns none where spans aren't worth it.
pub fn ends(rows: u64, page: u64) -> Vec<u64> {
    let page = page.max(1);
    let pages = rows.div_ceil(page);
    let spans = (pages / 2).min(AT_ONCE as u64);
    (1..spans).map(|span| (pages * span).div_ceil(spans) * page).collect()
}

/// Returns the spans as text: the two keys of each, as lists of strings or empty.
pub fn encode(spans: &[Span]) -> String {
    let key = |key: &Option<RemoteKey>| match key {
        Some(key) => json::string_array(key.iter().map(String::as_str)),
        None => String::new(),
    };
    let keys: Vec<String> = spans.iter().flat_map(|span| [key(&span.after), key(&span.upto)]).collect();
    json::string_array(keys.iter().map(String::as_str))
}

/// Reads the text that [`encode`] returned.
pub fn decode(text: &str) -> Option<Vec<Span>> {
    let keys = json::parse_string_array(text)?;
    let key = |text: &String| if text.is_empty() { Some(None) } else { json::parse_string_array(text).map(Some) };
    keys.chunks(2).map(|pair| Some(Span { after: key(&pair[0])?, upto: key(pair.get(1)?)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_whole_pages_of_about_the_same_number() {
        assert_eq!(ends(25_000, 1000), [5000, 9000, 13_000, 17_000, 21_000]);
        assert_eq!(ends(4000, 1000), [2000]);
        assert_eq!(ends(1_000_000, 1000).len(), 5);
        for few in [0, 1, 1000, 3000] {
            assert!(ends(few, 1000).is_empty());
        }
        assert_eq!(ends(10, 0), [2, 4, 6, 8]);
    }

    #[test]
    fn the_last_end_lies_before_the_last_row() {
        for rows in 1..3000 {
            for page in [1, 7, 100] {
                let ends = ends(rows, page);
                assert!(ends.is_sorted() && ends.last().is_none_or(|last| *last < rows), "{rows} {page} {ends:?}");
            }
        }
    }

    #[test]
    fn spans_come_back_from_their_text() {
        let key = |text: &str| Some(vec![text.to_owned(), String::new()]);
        let spans = [
            Span { after: None, upto: key("a\"b") },
            Span { after: key("a\"b"), upto: key("é") },
            Span { after: key("é"), upto: None },
            Span::default(),
        ];
        assert_eq!(decode(&encode(&spans)).as_deref(), Some(&spans[..]));
        assert_eq!(decode("[]"), Some(vec![]));
        for other in ["", "[\"\"]", "[\"x\",\"\"]", "{}"] {
            assert_eq!(decode(other), None, "{other}");
        }
    }
}

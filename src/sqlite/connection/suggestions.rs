//! What a statement may have meant by a table or column that doesn't exist.

use crate::{
    error::Error,
    sqlite::{Authority, Connection, tables::TableInfo},
};

impl Connection {
    /// Adds the table or column with the most similar name to the error of a user's statement, as its hint.
    #[cold]
    pub(super) fn with_suggestion(&self, error: Error, authority: Authority) -> Error {
        if !matches!(authority, Authority::User | Authority::Script | Authority::Migration) {
            return error;
        }
        let missing = ["no such table: ", "no such column: ", " has no column named "]
            .into_iter()
            .find_map(|text| Some((after(error.message.as_bytes(), text.as_bytes())?, text)));
        let Some((name, text)) = missing else { return error };
        let tables = TableInfo::all(self).unwrap_or_default();
        let mut candidates: Vec<&str> = Vec::new();
        for table in &tables {
            match text {
                "no such table: " => candidates.push(&table.name),
                _ => candidates.extend(table.columns.iter().map(|column| &*column.name)),
            }
        }
        match closest(name, &candidates) {
            Some(meant) => error.hint(["Did you mean '", meant, "'?"].concat()),
            None => error,
        }
    }
}

/// Returns the name behind a text in a message, without the schema or the table before it.
fn after<'a>(message: &'a [u8], text: &[u8]) -> Option<&'a [u8]> {
    let begin = message.windows(text.len()).position(|here| here == text)?;
    message[begin + text.len()..].rsplit(|byte| *byte == b'.').next()
}

/// Returns the candidate that differs least from a name: by a typo, not by another word. The rule of
/// pkg-js/src/base/closest.ts, for bytes. `None`, too, if one is that very name, which is then in another table.
fn closest<'a>(name: &[u8], candidates: &[&'a str]) -> Option<&'a str> {
    let most = if name.len() < 6 { 1 } else { 2 };
    (0..=most)
        .find_map(|edits| {
            let found = candidates.iter().find(|candidate| is_within(edits, name, candidate.as_bytes()));
            found.map(|found| (edits, *found))
        })
        .filter(|(edits, _)| *edits > 0)
        .map(|(_, found)| found)
}

/// Returns whether so many bytes, inserted, deleted, replaced, or swapped with the next one, turn one text into the other; lower
/// and upper case are the same.
fn is_within(edits: usize, mut one: &[u8], mut other: &[u8]) -> bool {
    let same = |one: u8, other: u8| one.eq_ignore_ascii_case(&other);
    while let ([a, one_rest @ ..], [b, other_rest @ ..]) = (one, other)
        && same(*a, *b)
    {
        (one, other) = (one_rest, other_rest);
    }
    if edits == 0 || one.is_empty() && other.is_empty() {
        return one.len() + other.len() == 0;
    }
    let is_swapped = matches!((one, other), ([a, b, ..], [c, d, ..]) if same(*a, *d) && same(*b, *c));
    [(0, 1), (1, 0), (1, 1), (2, 2)].into_iter().any(|(i, j)| {
        let (one, other) = (one.get(i..), other.get(j..));
        (i < 2 || is_swapped) && one.zip(other).is_some_and(|(one, other)| is_within(edits - 1, one, other))
    })
}

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
        let columns = tables.iter().flat_map(|table| &table.columns).map(|column| &*column.name);
        let meant = match text {
            "no such table: " => closest(name, tables.iter().map(|table| &*table.name)),
            _ => closest(name, columns),
        };
        match meant {
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
/// pkg-js/src/base/closest.ts, for bytes.
fn closest<'a>(name: &[u8], candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let most = if name.len() < 6 { 1 } else { 2 };
    let mut found = None;
    let mut least = most + 1;
    for candidate in candidates.filter(|candidate| candidate.len().abs_diff(name.len()) <= most) {
        let edits = distance(name, candidate.as_bytes());
        if edits < least {
            (least, found) = (edits, Some(candidate));
        }
    }
    // What has that very name is in another table.
    found.filter(|_| least > 0)
}

/// Returns the number of bytes to insert, delete, replace, or swap with the next one, to turn one text into the other; lower and
/// upper case are the same.
fn distance(one: &[u8], other: &[u8]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    let same = |one: u8, other: u8| one.eq_ignore_ascii_case(&other);
    for (i, letter) in one.iter().enumerate() {
        let mut next = vec![i + 1];
        for (j, with) in other.iter().enumerate() {
            let mut edits = row[j] + usize::from(!same(*letter, *with));
            edits = edits.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && same(one[i - 1], *with) && same(*letter, other[j - 1]) {
                edits = edits.min(before[j - 1] + 1);
            }
            next.push(edits);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[other.len()]
}

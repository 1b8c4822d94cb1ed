//! Requests for rows by their keys: how keys are named in a URL, and how many of them.

use super::{
    query::{Selection, name, percent, push_list, push_pair, quoted},
    request::Requester,
    response::is_too_long,
};
use crate::{
    error::Error,
    ports::{HttpRequest, Method},
    sync::values::outgoing::filter_text,
    value::Value,
};

/// Maximum length of a key filter, in characters. Longer ones are split into several requests, since servers accept
/// URLs of 8 KB.
pub const LONGEST_FILTER: usize = 5_500;

/// Length of a key filter up to which it can't be the reason that a server refuses a URL as too long.
const SHORT_FILTER: usize = 1_000;

/// Maximum number of keys in one filter.
pub const BULK_KEYS: usize = 200;

/// Reads the rows of these keys, whatever the table's filter.
pub fn read(requester: &Requester, selection: &Selection, keys: &[&[Value]]) -> HttpRequest {
    let mut url = format!("{}/{}?select=", requester.root(), percent(&selection.table));
    push_list(&mut url, selection.columns.iter().map(|column| name(column)));
    if same_prefix(keys) {
        push_keys(&mut url, selection, keys);
    } else {
        let mut condition = String::from("(");
        for (index, key) in keys.iter().enumerate() {
            condition.push_str(if index > 0 { ",and(" } else { "and(" });
            for (at, (column, value)) in selection.key.iter().zip(*key).enumerate() {
                let comma = if at > 0 { "," } else { "" };
                condition.push_str(&format!("{comma}{}.eq.{}", name(column), quoted(&filter_text(value))));
            }
            condition.push(')');
        }
        condition.push(')');
        push_pair(&mut url, "or", &condition);
    }
    requester.request(Method::Get, url, "", None)
}

/// Appends the condition for keys that differ in their last column only, with `&` unless the URL ends with `?`.
pub fn push_keys(url: &mut String, selection: &Selection, keys: &[&[Value]]) {
    let Some(first) = keys.first() else { return };
    let last = first.len().saturating_sub(1);
    for (at, (column, value)) in selection.key.iter().zip(*first).enumerate() {
        let filter = if at == last && keys.len() > 1 {
            let values: Vec<String> = keys.iter().filter_map(|key| key.get(last)).map(filter_text).collect();
            list(values.iter().map(String::as_str))
        } else {
            format!("eq.{}", filter_text(value))
        };
        push_pair(url, &name(column), &filter);
    }
    if let Some(at) = url.find("?&") {
        url.remove(at + 1);
    }
}

/// Returns the condition that a column has one of these values.
pub fn list<'a>(values: impl Iterator<Item = &'a str>) -> String {
    let values: Vec<String> = values.map(quoted).collect();
    format!("in.({})", values.join(","))
}

/// Returns whether one filter can name all of these keys, which may differ in their last column only.
pub fn same_prefix(keys: &[&[Value]]) -> bool {
    let prefix = |key: &&[Value]| key.split_last().map(|(_, prefix)| prefix.to_vec());
    keys.windows(2).all(|pair| prefix(&pair[0]) == prefix(&pair[1]))
}

/// Returns whether a request failed because these keys made its URL too long. Otherwise the remote's key or the token may
/// have done so in each request.
pub fn are_too_long<'a>(keys: impl Iterator<Item = &'a [Value]>, error: &Error) -> bool {
    is_too_long(error) && keys.map(filter_length).sum::<usize>() > SHORT_FILTER
}

/// Returns approximately how many characters a key takes in a filter.
pub fn filter_length(key: &[Value]) -> usize {
    key.iter().map(|value| 12 + percent(&filter_text(value)).len()).sum()
}

/// Splits rows into parts that one request can read by their keys.
pub fn readable<'k>(all: Vec<usize>, key: impl Fn(usize) -> &'k [Value]) -> Vec<Vec<usize>> {
    chunks(all, BULK_KEYS, LONGEST_FILTER, |row| filter_length(key(row)) * 2, |_, _| true)
}

/// Splits a list into parts of at most `most` items and `max_weight`, whose items belong together. An item that alone
/// is heavier gets its own part.
pub fn chunks(
    items: Vec<usize>,
    most: usize,
    max_weight: usize,
    weight: impl Fn(usize) -> usize,
    together: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut total = 0;
    for item in items {
        let own = weight(item);
        match parts.last_mut() {
            Some(part) if part.len() < most && total + own <= max_weight && together(part[0], item) => part.push(item),
            _ => {
                parts.push(vec![item]);
                total = 0;
            }
        }
        total += own;
    }
    parts
}

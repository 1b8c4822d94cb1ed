//! The SQL of a local column for a remote's: its declared type and its default.

use super::remote_schema::ColumnDefault;
use crate::sync::values::{encode::literal, json};

/// Returns the declared type that keeps a remote's values unaltered in both directions; see `types`.
pub(super) fn declared(kind: &str) -> &'static str {
    match kind {
        "smallint" | "integer" | "bigint" | "oid" => "INTEGER",
        "real" | "double precision" => "REAL",
        "numeric" => "NUMERIC TEXT",
        "boolean" => "BOOLEAN",
        "bytea" => "BLOB",
        "json" | "jsonb" => "JSON TEXT",
        "array" => "ARRAY TEXT",
        _ => "TEXT",
    }
}

/// Returns a default as SQL of SQLite; `None` where SQLite has none.
pub(super) fn default_sql(kind: &str, filling: &ColumnDefault) -> Option<String> {
    let expression = match filling {
        ColumnDefault::Text(text) => return constant(kind, text),
        ColumnDefault::Expression(text) => text.trim(),
    };
    if let Some(text) = quoted(expression) {
        return constant(kind, &text);
    }
    let bare = expression.split("::").next().unwrap_or("").trim_matches(['(', ')']);
    if json::is_valid(bare) && matches!(json::kind(bare), json::JsonKind::Number | json::JsonKind::Bool) {
        return constant(kind, bare);
    }
    let now = matches!(expression, "now()" | "CURRENT_TIMESTAMP" | "clock_timestamp()" | "transaction_timestamp()");
    let utc = expression.starts_with("timezone('utc'") || expression.ends_with("AT TIME ZONE 'utc'::text)");
    let uuid = matches!(expression.rsplit('.').next(), Some("gen_random_uuid()" | "uuid_generate_v4()"));
    match kind {
        // In PostgreSQL's format.
        "timestamp with time zone" if now => Some("(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'))".to_owned()),
        "timestamp without time zone" if now || utc => Some("(strftime('%Y-%m-%dT%H:%M:%f', 'now'))".to_owned()),
        "date" if now || expression == "CURRENT_DATE" => Some("(date('now'))".to_owned()),
        "uuid" if uuid => Some(RANDOM_UUID.to_owned()),
        "array" if expression.starts_with("ARRAY[]") => Some("'[]'".to_owned()),
        _ => None,
    }
}

/// SQL for a random UUID of version 4.
const RANDOM_UUID: &str = "(lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' || \
     substr('89ab', 1 + (random() & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6))))";

/// Returns the text of `'...'` or `'...'::type`.
fn quoted(expression: &str) -> Option<String> {
    let rest = expression.strip_prefix('\'')?;
    let mut text = String::new();
    let mut chars = rest.char_indices().peekable();
    while let Some((at, char)) = chars.next() {
        if char != '\'' {
            text.push(char);
        } else if chars.next_if(|(_, next)| *next == '\'').is_some() {
            text.push('\'');
        } else {
            let rest = &rest[at + 1..];
            let cast = rest.strip_prefix("::").is_some_and(|cast| !cast.contains(['\'', '|', '+']));
            return (rest.is_empty() || cast).then_some(text);
        }
    }
    None
}

/// Returns a constant of a kind, from its text.
fn constant(kind: &str, text: &str) -> Option<String> {
    let is = |wanted| json::is_valid(text) && json::kind(text) == wanted;
    match declared(kind) {
        "INTEGER" => text.parse::<i64>().is_ok().then(|| text.to_owned()),
        "REAL" => (is(json::JsonKind::Number)).then(|| text.to_owned()),
        "NUMERIC TEXT" => is(json::JsonKind::Number).then(|| literal(text)),
        "BOOLEAN" => match text {
            "true" | "t" => Some("1".to_owned()),
            "false" | "f" => Some("0".to_owned()),
            _ => None,
        },
        "JSON TEXT" => json::is_valid(text).then(|| literal(&json::minify(text))),
        "ARRAY TEXT" => (text == "{}").then(|| "'[]'".to_owned()),
        "BLOB" => None,
        // A word like 'now' stands for the time when the default was created, which isn't a constant.
        _ if kind.starts_with("timestamp") || kind == "date" => {
            text.starts_with(|first: char| first.is_ascii_digit()).then(|| literal(text))
        }
        _ => Some(literal(text)),
    }
}

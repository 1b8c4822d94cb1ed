//! Values as JSON text inside the database, exact: integers stay integers, reals keep 17 digits, blobs are `{"b":"hex"}`.
//!
//! SQLite itself encodes, in triggers and in statements with parameters, so that a key looks the same wherever it comes
//! from; Rust only decodes.

use super::json::{self, JsonKind};
pub use crate::sqlite::{literal, quote};
use crate::value::Value;

/// Returns SQL that encodes one value.
fn value_sql(expression: &str) -> String {
    format!("iif(typeof({expression})='blob','{{\"b\":\"'||hex({expression})||'\"}}',json_quote({expression}))")
}

/// Returns SQL that encodes the values of a key, as a JSON array.
pub fn key_sql<S: AsRef<str>>(expressions: impl IntoIterator<Item = S>) -> String {
    let mut sql = String::from("'['");
    for (index, expression) in expressions.into_iter().enumerate() {
        sql.push_str(if index == 0 { "||" } else { "||','||" });
        sql.push_str(&value_sql(expression.as_ref()));
    }
    sql.push_str("||']'");
    sql
}

/// Returns SQL that encodes a bound key, whose first value is the parameter `first`.
pub fn key_parameters(count: usize, first: usize) -> String {
    key_sql((first..first + count).map(|at| format!("?{at}")))
}

/// Returns SQL that encodes a row, as a JSON object of (column, expression) pairs.
pub fn row_sql<'a, S: AsRef<str>>(members: impl IntoIterator<Item = (&'a str, S)>) -> String {
    let mut sql = String::new();
    for (index, (column, expression)) in members.into_iter().enumerate() {
        let mut name = String::from(if index == 0 { "{" } else { "," });
        json::push_string(&mut name, column);
        name.push(':');
        if index > 0 {
            sql.push_str("||");
        }
        sql.push_str(&literal(&name));
        sql.push_str("||");
        sql.push_str(&value_sql(expression.as_ref()));
    }
    sql.push_str("||'}'");
    sql
}

/// Reads one encoded value; NULL for anything else.
fn decode_value(raw: &str) -> Value {
    match json::kind(raw) {
        JsonKind::Null | JsonKind::Array => Value::Null,
        JsonKind::Bool => Value::Integer(i64::from(raw == "true")),
        JsonKind::Number => match raw.parse() {
            Ok(integer) => Value::Integer(integer),
            Err(_) => raw.parse().map_or(Value::Null, Value::Real),
        },
        JsonKind::String => json::text(raw).map_or(Value::Null, |text| Value::Text(text.into_owned())),
        JsonKind::Object => {
            let hex = json::members(raw).ok().and_then(|members| {
                let (_, value) = members.into_iter().find(|(name, _)| name == "b")?;
                json::text(value)
            });
            hex.map_or(Value::Null, |hex| Value::Blob(decode_hex(&hex)))
        }
    }
}

fn decode_hex(hex: &str) -> Vec<u8> {
    let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or(0) as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// Reads a key that the SQL of [`key_sql`] encoded.
pub fn decode_key(encoded: &str) -> Vec<Value> {
    json::elements(encoded).unwrap_or_default().into_iter().map(decode_value).collect()
}

/// Reads a row that the SQL of [`row_sql`] encoded.
pub fn decode_row(encoded: &str) -> Vec<(String, Value)> {
    let members = json::members(encoded).unwrap_or_default();
    members.into_iter().map(|(name, raw)| (name.into_owned(), decode_value(raw))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Connection, PageFile};

    #[test]
    fn every_value_comes_back_exactly() {
        let connection = Connection::open(&PageFile::default()).unwrap();
        let values = [
            Value::Null,
            Value::Integer(i64::MAX),
            Value::Integer(i64::MIN),
            Value::Real(1.0),
            Value::Real(0.1),
            Value::Real(1.0 / 3.0),
            Value::Real(5e-324),
            Value::Real(f64::MAX),
            Value::Real(f64::INFINITY),
            Value::Real(f64::NEG_INFINITY),
            Value::from("a\"b\\c\n\u{1}é😀 'quoted'"),
            Value::from("before\u{0}after"),
            Value::from(""),
            Value::Blob(vec![0, 1, 254, 255]),
            Value::Blob(vec![]),
        ];
        for value in values {
            let key = connection.value(&format!("SELECT {}", key_sql(["?1"])), std::slice::from_ref(&value)).unwrap();
            let key = key.unwrap();
            assert_eq!(decode_key(key.as_text().unwrap()), std::slice::from_ref(&value), "{key:?}");
            let sql = format!("SELECT {}", row_sql([("a'\"b", "?1"), ("c", "7")]));
            let row = connection.value(&sql, std::slice::from_ref(&value)).unwrap().unwrap();
            let expected = [("a'\"b".to_owned(), value), ("c".to_owned(), Value::Integer(7))];
            assert_eq!(decode_row(row.as_text().unwrap()), expected);
        }
    }
}

//! What a local value becomes on the wire, exactly: digits stay digits, JSON stays JSON.

use super::{
    json::{self, JsonKind},
    plan::PlanColumn,
    types::Kind,
};
use crate::value::Value;

/// Appends the JSON of a value of this column. `false`, with nothing appended, when it is none of the column's kind: text
/// that should be JSON and isn't.
pub fn push_json(out: &mut String, column: &PlanColumn, value: &Value) -> bool {
    match (column.kind, value) {
        (_, Value::Null) => out.push_str("null"),
        (Kind::Bool, Value::Integer(value @ (0 | 1))) => out.push_str(if *value == 1 { "true" } else { "false" }),
        (_, Value::Integer(value)) => out.push_str(&value.to_string()),
        (_, Value::Real(value)) => out.push_str(&real(*value)),
        (_, Value::Blob(bytes)) => json::push_string(out, &hex(bytes)),
        (Kind::Json, Value::Text(text)) => {
            if !json::is_valid(text) {
                return false;
            }
            out.push_str(text);
        }
        (Kind::Array, Value::Text(text)) if text.trim_start().starts_with('[') => {
            if !json::is_valid(text) {
                return false;
            }
            out.push_str(text);
        }
        // Bare, as it came: the server reads the digits, not a double.
        (Kind::Numeric | Kind::Int8, Value::Text(text)) if is_number(text) => out.push_str(text),
        // What came as an object, an array or a number goes back as one; other text was a JSON string.
        (_, Value::Text(text)) if column.structured && json::is_valid(text) && !text.starts_with('"') => {
            out.push_str(text)
        }
        (_, Value::Text(text)) => json::push_string(out, text),
    }
    true
}

/// A value as filters take it.
pub fn filter_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => real(*value).trim_matches('"').to_owned(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => hex(bytes),
    }
}

/// Whether two values of a kind mean the same to the server, which may write them in another way.
pub fn same_meaning(kind: Kind, a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => {
            let moments = || Some(moment(a)? == moment(b)?);
            let numbers =
                || (is_number(a) && is_number(b)).then(|| super::types::decimal(a) == super::types::decimal(b));
            match kind {
                Kind::Json | Kind::Array => json::equal(a, b),
                Kind::Numeric => numbers().unwrap_or(false),
                Kind::Timestamptz => moments().unwrap_or(false),
                Kind::Text | Kind::Any => moments().unwrap_or(false) || a.starts_with(['{', '[']) && json::equal(a, b),
                _ => false,
            }
        }
        (Value::Integer(a), Value::Real(b)) | (Value::Real(b), Value::Integer(a)) => *a as f64 == *b,
        _ => false,
    }
}

/// Whether the server may have made `stored` of `sent`: written in another way, in lower case, without blanks around it, or rounded.
pub fn stored_as(kind: Kind, sent: &Value, stored: &Value) -> bool {
    if same_meaning(kind, sent, stored) || super::same_key::same(sent, stored) {
        return true;
    }
    let (sent, stored) = (filter_text(sent), filter_text(stored));
    if sent.trim().eq_ignore_ascii_case(stored.trim()) {
        return true;
    }
    // As many digits as are stored, of a number or of a second.
    let step = |text: &str| {
        let digits = text.rsplit_once('.').map_or("", |(_, digits)| digits);
        10_f64.powi(-(digits.bytes().take_while(u8::is_ascii_digit).count().min(15) as i32))
    };
    let seconds = |text: &str| moment(text).map(|(ms, micros)| ms as f64 / 1e3 + f64::from(micros) / 1e6);
    let numbers = || Some((sent.parse::<f64>().ok()?, stored.parse::<f64>().ok()?));
    let moments = || Some((seconds(&sent)?, seconds(&stored)?));
    numbers().or_else(moments).is_some_and(|(sent, is)| (sent - is).abs() <= step(&stored) * 0.5001)
}

/// A moment that can be compared to the microsecond; `None` for any other text. Without a time zone it counts as UTC.
pub fn moment(text: &str) -> Option<(i64, u32)> {
    let time = crate::time::Timestamp::parse(text).or_else(|| crate::time::Timestamp::parse(&format!("{text}Z")))?;
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).skip(3).chain(std::iter::repeat(b'0'));
    let micros = digits.take(3).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((time.0, micros))
}

fn is_number(text: &str) -> bool {
    json::is_valid(text) && json::kind(text) == JsonKind::Number && !text.ends_with(char::is_whitespace)
}

fn real(value: f64) -> String {
    if !value.is_finite() {
        return String::from(if value.is_nan() {
            "\"NaN\""
        } else if value > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    }
    let size = value.abs();
    // Both forms show the shortest digits that give the same double.
    if size != 0.0 && !(1e-5..1e17).contains(&size) { format!("{value:e}") } else { value.to_string() }
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 + bytes.len() * 2);
    out.push_str("\\x");
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            out.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::types::{Affinity, convert};

    fn column(declared: &str) -> PlanColumn {
        PlanColumn {
            name: "c".to_owned(),
            kind: Kind::from_declared(declared),
            affinity: Affinity::from_declared(declared),
            structured: false,
        }
    }

    fn wire(column: &PlanColumn, value: Value) -> Option<String> {
        let mut out = String::new();
        push_json(&mut out, column, &value).then_some(out)
    }

    #[test]
    fn what_came_goes_back_as_it_came() {
        for (declared, raw) in [
            ("INTEGER", "9223372036854775807"),
            ("INTEGER", "-9223372036854775808"),
            ("NUMERIC TEXT", "123456789012345678901234567890.123456789012345678900"),
            ("NUMERIC TEXT", "-0.00"),
            ("NUMERIC TEXT", "\"NaN\""),
            ("REAL", "0.1"),
            ("REAL", "-1e300"),
            ("REAL", "5e-324"),
            ("REAL", "\"Infinity\""),
            ("REAL", "\"-Infinity\""),
            ("BOOLEAN", "true"),
            ("BOOLEAN", "false"),
            ("BLOB", r#""\\xdeadbeef00""#),
            ("BLOB", r#""\\x""#),
            ("JSON TEXT", r#"{"a":[1,"é"],"n":12345678901234567890}"#),
            ("JSON TEXT", "[]"),
            ("ARRAY TEXT", r#"["x","y,\"z\"",null]"#),
            ("TEXT", r#""tab\u0009\"quote\" \\ 🌿""#),
            ("TEXT", "\"0012\""),
            ("TIMESTAMPTZ", r#""2026-01-02T03:04:05.678901+00:00""#),
            ("INTEGER", "null"),
            ("", "5"),
            ("", "\"text\""),
        ] {
            let column = column(declared);
            let value = convert(column.kind, column.affinity, raw).unwrap();
            assert_eq!(wire(&column, value).as_deref(), Some(raw), "{declared}");
        }
    }

    #[test]
    fn text_that_is_json_remotely_is_remembered() {
        let plain = column("TEXT");
        let structured = PlanColumn { structured: true, ..plain.clone() };
        let text = |text: &str| Value::from(text);
        assert_eq!(wire(&plain, text(r#"{"a":1}"#)).as_deref(), Some(r#""{\"a\":1}""#));
        assert_eq!(wire(&structured, text(r#"{"a":1}"#)).as_deref(), Some(r#"{"a":1}"#));
        assert_eq!(wire(&structured, text("[1]")).as_deref(), Some("[1]"));
        assert_eq!(wire(&structured, text("hello")).as_deref(), Some(r#""hello""#));
        assert_eq!(wire(&column("JSON TEXT"), text("{nonsense")), None);
        assert_eq!(wire(&column("ARRAY TEXT"), text("{1,2}")).as_deref(), Some(r#""{1,2}""#));
        assert_eq!(wire(&column("NUMERIC TEXT"), text("+5")).as_deref(), Some(r#""+5""#));
    }

    #[test]
    fn the_server_may_write_the_same_in_another_way() {
        let same = |kind, a: &str, b: &str| same_meaning(kind, &Value::from(a), &Value::from(b));
        assert!(same(Kind::Numeric, "1.5", "1.50"));
        assert!(!same(Kind::Numeric, "1.5", "1.51"));
        assert!(same(Kind::Json, r#"{"b":1,"a":[2]}"#, r#"{"a": [2], "b": 1}"#));
        assert!(!same(Kind::Json, r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(same(Kind::Text, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"));
        assert!(!same(Kind::Text, "2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:05+00:00"));
        assert!(!same(Kind::Text, "1.5", "1.50"));
        assert!(moment("2026-01-02T03:04:05.000002Z") > moment("2026-01-02T03:04:05.000001Z"));
        assert!(moment("2026-01-02T03:04:05.1Z") > moment("2026-01-02T03:04:05.000001Z"));
    }
}

//! Local values on the wire, exactly: digits stay digits, JSON stays JSON.

use super::{
    json::{self, JsonKind},
    types::{PlanColumn, WireKind},
};
use crate::value::Value;

/// Appends the JSON of a value of this column. Returns `false` and appends nothing when the value isn't of the column's
/// kind: text that should be JSON and isn't.
pub fn push_json(out: &mut String, column: &PlanColumn, value: &Value) -> bool {
    match (column.kind, value) {
        (_, Value::Null) => out.push_str("null"),
        (WireKind::Bool, Value::Integer(value @ (0 | 1))) => out.push_str(if *value == 1 { "true" } else { "false" }),
        (_, Value::Integer(value)) => out.push_str(&value.to_string()),
        (_, Value::Real(value)) => out.push_str(&real(*value)),
        (_, Value::Blob(bytes)) => json::push_string(out, &hex(bytes)),
        (WireKind::Json, Value::Text(text)) => {
            if !json::is_valid(text) {
                return false;
            }
            out.push_str(text);
        }
        (WireKind::Array, Value::Text(text)) if text.trim_start().starts_with('[') => {
            if !json::is_valid(text) {
                return false;
            }
            out.push_str(text);
        }
        // Without quotes, as it came: the server reads the digits, not a double.
        (WireKind::Numeric | WireKind::Int8, Value::Text(text)) if is_number(text) => out.push_str(text),
        // A value that came as an object, an array or a number is sent as one; other text was a JSON string.
        (_, Value::Text(text)) if column.structured && json::is_valid(text) && !text.starts_with('"') => {
            out.push_str(text)
        }
        (_, Value::Text(text)) => json::push_string(out, text),
    }
    true
}

/// Returns a value as filters take it.
pub fn filter_text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Integer(value) => value.to_string(),
        Value::Real(value) => real(*value).trim_matches('"').to_owned(),
        Value::Text(text) => text.clone(),
        Value::Blob(bytes) => hex(bytes),
    }
}

pub(super) fn is_number(text: &str) -> bool {
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
    // Both forms show the shortest digits that read as the same double.
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
    use crate::sync::values::types::{Affinity, convert};

    fn column(declared: &str) -> PlanColumn {
        PlanColumn {
            name: "c".to_owned(),
            kind: WireKind::from_declared(declared),
            affinity: Affinity::from_declared(declared),
            structured: false,
        }
    }

    fn wire(column: &PlanColumn, value: Value) -> Option<String> {
        let mut out = String::new();
        push_json(&mut out, column, &value).then_some(out)
    }

    #[test]
    fn pulled_values_are_sent_back_unchanged() {
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
}

//! Whether two values mean the same to the server, which may write them in another way.

use super::{
    decimal::decimal,
    json,
    outgoing::{filter_text, is_number},
    same_key,
    types::WireKind,
};
use crate::{time::Timestamp, value::Value};

/// Returns whether two values of a kind mean the same to the server, which may write them in another way.
pub fn same_meaning(kind: WireKind, a: &Value, b: &Value) -> bool {
    if a == b {
        return true;
    }
    match (a, b) {
        (Value::Text(a), Value::Text(b)) => {
            let times = || Some(point_in_time(a)? == point_in_time(b)?);
            let numbers = || (is_number(a) && is_number(b)).then(|| decimal(a) == decimal(b));
            match kind {
                WireKind::Json | WireKind::Array => json::equal(a, b),
                WireKind::Numeric => numbers().unwrap_or(false),
                WireKind::Timestamptz => times().unwrap_or(false),
                WireKind::Text | WireKind::Any => {
                    times().unwrap_or(false) || a.starts_with(['{', '[']) && json::equal(a, b)
                }
                _ => false,
            }
        }
        (Value::Integer(a), Value::Real(b)) | (Value::Real(b), Value::Integer(a)) => *a as f64 == *b,
        _ => false,
    }
}

/// Returns whether the server may have stored `sent` as `stored`: in another form, in lower case, without surrounding
/// whitespace, or rounded.
pub fn stored_as(kind: WireKind, sent: &Value, stored: &Value) -> bool {
    if same_meaning(kind, sent, stored) || same_key::same(sent, stored) {
        return true;
    }
    let (sent, stored) = (filter_text(sent), filter_text(stored));
    if sent.trim().eq_ignore_ascii_case(stored.trim()) {
        return true;
    }
    // The stored precision of a number, or of a second.
    let step = |text: &str| {
        let digits = text.rsplit_once('.').map_or("", |(_, digits)| digits);
        10_f64.powi(-(digits.bytes().take_while(u8::is_ascii_digit).count().min(15) as i32))
    };
    let seconds = |text: &str| point_in_time(text).map(|(ms, micros)| ms as f64 / 1e3 + f64::from(micros) / 1e6);
    let numbers = || Some((sent.parse::<f64>().ok()?, stored.parse::<f64>().ok()?));
    let times = || Some((seconds(&sent)?, seconds(&stored)?));
    numbers().or_else(times).is_some_and(|(sent, is)| (sent - is).abs() <= step(&stored) * 0.5001)
}

/// Returns a time as milliseconds since 1970 and microseconds, so that it can be compared; `None` for any other text.
/// Without a time zone it counts as UTC.
pub fn point_in_time(text: &str) -> Option<(i64, u32)> {
    let time = Timestamp::parse_or_utc(text)?;
    let fraction = text.split_once('.').map_or("", |(_, rest)| rest);
    let digits = fraction.bytes().take_while(u8::is_ascii_digit).skip(3).chain(std::iter::repeat(b'0'));
    let micros = digits.take(3).fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
    Some((time.0, micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_may_write_the_same_in_another_way() {
        let same = |kind, a: &str, b: &str| same_meaning(kind, &Value::from(a), &Value::from(b));
        assert!(same(WireKind::Numeric, "1.5", "1.50"));
        assert!(!same(WireKind::Numeric, "1.5", "1.51"));
        assert!(same(WireKind::Json, r#"{"b":1,"a":[2]}"#, r#"{"a": [2], "b": 1}"#));
        assert!(!same(WireKind::Json, r#"{"a":1}"#, r#"{"a":2}"#));
        assert!(same(WireKind::Text, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"));
        assert!(!same(WireKind::Text, "2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:05+00:00"));
        assert!(!same(WireKind::Text, "1.5", "1.50"));
        assert!(point_in_time("2026-01-02T03:04:05.000002Z") > point_in_time("2026-01-02T03:04:05.000001Z"));
        assert!(point_in_time("2026-01-02T03:04:05.1Z") > point_in_time("2026-01-02T03:04:05.000001Z"));
    }
}

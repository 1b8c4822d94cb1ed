//! Converts JSON values for local columns. The wire names no types, so the local column decides.

use std::borrow::Cow;

use super::{
    decimal::{decimal, looks_numeric},
    json::{self, JsonKind},
};
use crate::value::Value;

/// How a column's values look on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WireKind {
    /// Any text; a number keeps its literal, an object or array its JSON.
    Text,
    /// A 64-bit integer.
    Int8,
    /// A number of any length, kept as TEXT.
    Numeric,
    /// A double.
    Float8,
    /// 0 or 1.
    Bool,
    /// JSON, kept as TEXT without whitespace between tokens.
    Json,
    /// Bytes, `\x` and hex digits on the wire.
    Bytea,
    /// An array, kept as JSON TEXT.
    Array,
    /// A time, kept as the server's text.
    Timestamptz,
    /// No declared type: an integral literal that fits is INTEGER, any other number TEXT.
    Any,
}

impl WireKind {
    /// Returns the kind by its name in the `types` option; `None` for an unknown name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "text" => Self::Text,
            "int8" => Self::Int8,
            "numeric" => Self::Numeric,
            "float8" => Self::Float8,
            "bool" => Self::Bool,
            "json" => Self::Json,
            "bytea" => Self::Bytea,
            "array" => Self::Array,
            "timestamptz" => Self::Timestamptz,
            _ => return None,
        })
    }

    /// Returns the name, as in the `types` option; `any` for a column without a declared type.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int8 => "int8",
            Self::Numeric => "numeric",
            Self::Float8 => "float8",
            Self::Bool => "bool",
            Self::Json => "json",
            Self::Bytea => "bytea",
            Self::Array => "array",
            Self::Timestamptz => "timestamptz",
            Self::Any => "any",
        }
    }

    /// Returns the kind that a declared type stands for.
    pub fn from_declared(declared: &str) -> Self {
        let upper = declared.trim().to_ascii_uppercase();
        let word = upper.split([' ', '(', '[']).next().unwrap_or("");
        match word {
            "" | "ANY" => Self::Any,
            _ if upper.ends_with("[]") => Self::Array,
            "NUMERIC" | "DECIMAL" | "MONEY" => Self::Numeric,
            "JSON" | "JSONB" => Self::Json,
            "ARRAY" => Self::Array,
            "BOOL" | "BOOLEAN" => Self::Bool,
            "BYTEA" => Self::Bytea,
            "TIMESTAMPTZ" => Self::Timestamptz,
            "INTERVAL" => Self::Text,
            _ => match Affinity::from_declared(&upper) {
                Affinity::Integer => Self::Int8,
                Affinity::Real => Self::Float8,
                Affinity::Blob => Self::Bytea,
                Affinity::Text | Affinity::Numeric => Self::Text,
            },
        }
    }
}

/// What SQLite does to a value that is stored in a column (<https://www.sqlite.org/datatype3.html>, 3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// Numbers become text.
    Text,
    /// Text that looks like a number becomes one.
    Numeric,
    /// As numeric.
    Integer,
    /// As numeric, and integers become doubles.
    Real,
    /// Nothing changes.
    Blob,
}

impl Affinity {
    /// Returns the affinity that a declared type gives to a column of an ordinary table.
    pub fn from_declared(declared: &str) -> Self {
        let upper = declared.to_ascii_uppercase();
        let has = |part: &str| upper.contains(part);
        if has("INT") {
            Self::Integer
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            Self::Text
        } else if has("BLOB") || upper.trim().is_empty() {
            Self::Blob
        } else if has("REAL") || has("FLOA") || has("DOUB") {
            Self::Real
        } else {
            Self::Numeric
        }
    }

    /// Returns the name, as in a declaration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Numeric => "NUMERIC",
            Self::Integer => "INTEGER",
            Self::Real => "REAL",
            Self::Blob => "BLOB",
        }
    }

    /// Returns the type to which a column of this affinity converts `value`; `None` where it stores the value as it is.
    pub fn converts(self, value: &Value) -> Option<&'static str> {
        match (self, value) {
            (Self::Text, Value::Integer(_) | Value::Real(_)) => Some("TEXT"),
            (Self::Numeric | Self::Integer, Value::Text(text)) if looks_numeric(text) => Some("NUMERIC"),
            (Self::Numeric | Self::Integer, Value::Real(number)) if number.fract() == 0.0 && number.abs() < 9e15 => {
                Some("INTEGER")
            }
            (Self::Real, Value::Text(text)) if looks_numeric(text) => Some("REAL"),
            (Self::Real, Value::Integer(_)) => Some("REAL"),
            _ => None,
        }
    }

    /// Returns whether a column of this affinity would store something else than `value`.
    fn alters(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::Integer(_) | Value::Real(_)) => true,
            (Self::Numeric | Self::Integer | Self::Real, Value::Text(text)) => looks_numeric(text),
            (Self::Real, Value::Integer(value)) => value.unsigned_abs() > 1 << 53,
            _ => false,
        }
    }
}

/// Why a value can't be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misfit {
    /// The wire value isn't of the column's kind.
    Kind,
    /// An integer beyond 64 bits, or a number that no double holds exactly.
    Range,
    /// The column's affinity would change it.
    Affinity,
}

impl Misfit {
    /// Returns the description, which follows the column's name in a message.
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Kind => "holds a value of another type than the local column",
            Self::Range => "holds a number that the local column can't hold exactly",
            Self::Affinity => "holds a value that the local column's type would alter",
        }
    }
}

/// Converts a raw JSON value for a column, exactly.
pub fn convert(kind: WireKind, affinity: Affinity, raw: &str) -> Result<Value, Misfit> {
    let shape = json::kind(raw);
    if shape == JsonKind::Null {
        return Ok(Value::Null);
    }
    let value = match (kind, shape) {
        (WireKind::Int8 | WireKind::Bool | WireKind::Any, JsonKind::Bool) => Value::Integer(i64::from(raw == "true")),
        (WireKind::Int8, JsonKind::Number) => Value::Integer(integer(raw)?),
        (WireKind::Any, JsonKind::Number) => integer(raw).map_or_else(|_| Value::from(raw), Value::Integer),
        (WireKind::Float8, JsonKind::Number) => double(raw)?,
        (WireKind::Float8, JsonKind::String) => match string(raw)?.as_ref() {
            "Infinity" => Value::Real(f64::INFINITY),
            "-Infinity" => Value::Real(f64::NEG_INFINITY),
            // SQLite stores NaN as NULL, so its name is stored instead.
            "NaN" => Value::from("NaN"),
            _ => return Err(Misfit::Kind),
        },
        (WireKind::Numeric | WireKind::Text, JsonKind::Number) | (WireKind::Text, JsonKind::Bool) => Value::from(raw),
        (WireKind::Bytea, JsonKind::String) => Value::Blob(bytes(&string(raw)?).ok_or(Misfit::Kind)?),
        (WireKind::Json, _)
        | (WireKind::Array, JsonKind::Array)
        | (WireKind::Text | WireKind::Any, JsonKind::Array | JsonKind::Object) => Value::Text(json::minify(raw)),
        (WireKind::Text | WireKind::Numeric | WireKind::Timestamptz | WireKind::Any, JsonKind::String) => {
            Value::Text(string(raw)?.into_owned())
        }
        _ => return Err(Misfit::Kind),
    };
    if affinity.alters(&value) {
        return Err(Misfit::Affinity);
    }
    Ok(match (affinity, value) {
        // The value that SQLite would store anyway, so that keys with it look the same on both sides.
        (Affinity::Numeric | Affinity::Integer, Value::Real(value))
            if value == (value as i64) as f64 && value.abs() < 9.0e15 =>
        {
            Value::Integer(value as i64)
        }
        (Affinity::Real, Value::Integer(value)) => Value::Real(value as f64),
        (_, value) => value,
    })
}

fn string(raw: &str) -> Result<Cow<'_, str>, Misfit> {
    json::text(raw).ok_or(Misfit::Kind)
}

fn integer(raw: &str) -> Result<i64, Misfit> {
    if raw.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) {
        return Err(Misfit::Kind);
    }
    raw.parse().map_err(|_| Misfit::Range)
}

/// Returns the double, if it means the same number as the literal: its shortest form has the literal's digits.
fn double(raw: &str) -> Result<Value, Misfit> {
    let value: f64 = raw.parse().map_err(|_| Misfit::Kind)?;
    let digits = raw.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).filter(u8::is_ascii_digit).count();
    let exact = value.is_finite()
        && (digits <= 15 && (value == 0.0 || value.is_normal()) || decimal(raw) == decimal(&format!("{value:e}")))
        && (value != 0.0 || decimal(raw).0.is_empty());
    if exact { Ok(Value::Real(value)) } else { Err(Misfit::Range) }
}

/// Returns the bytes of `\x0a0b`.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let digits = text.strip_prefix("\\x")?.as_bytes();
    if digits.len() % 2 != 0 {
        return None;
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16);
    digits.chunks_exact(2).map(|pair| Some((nibble(pair[0])? << 4 | nibble(pair[1])?) as u8)).collect()
}

/// One stored column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanColumn {
    /// Its name, on both sides.
    pub name: String,
    /// Its kind on the wire.
    pub kind: WireKind,
    /// Its local affinity.
    pub affinity: Affinity,
    /// Whether the remote was seen to store objects or arrays in this text column: its text is sent back as JSON.
    pub structured: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(declared: &str, raw: &str) -> Result<Value, Misfit> {
        convert(WireKind::from_declared(declared), Affinity::from_declared(declared), raw)
    }

    #[test]
    fn declared_types_decide() {
        let text = |value: &str| Ok(Value::from(value));
        let table: &[(&str, &str, Result<Value, Misfit>)] = &[
            ("INTEGER", "9223372036854775807", Ok(Value::Integer(i64::MAX))),
            ("BIGINT", "-9223372036854775808", Ok(Value::Integer(i64::MIN))),
            ("INTEGER", "9223372036854775808", Err(Misfit::Range)),
            ("INTEGER", "1.5", Err(Misfit::Kind)),
            ("INTEGER", "\"12\"", Err(Misfit::Kind)),
            ("INTEGER", "true", Ok(Value::Integer(1))),
            ("INTEGER", "null", Ok(Value::Null)),
            ("NUMERIC TEXT", "12345678901234567890.1200", text("12345678901234567890.1200")),
            ("NUMERIC TEXT", "\"NaN\"", text("NaN")),
            ("NUMERIC(10,2)", "12.50", Err(Misfit::Affinity)),
            ("DECIMAL", "7", Err(Misfit::Affinity)),
            ("BOOLEAN", "false", Ok(Value::Integer(0))),
            ("BOOLEAN", "1", Err(Misfit::Kind)),
            ("REAL", "0.1", Ok(Value::Real(0.1))),
            ("REAL", "17", Ok(Value::Real(17.0))),
            ("REAL", "1.7976931348623157e+308", Ok(Value::Real(f64::MAX))),
            ("REAL", "5e-324", Ok(Value::Real(5e-324))),
            ("REAL", "9007199254740993", Err(Misfit::Range)),
            ("REAL", "0.12345678901234567890", Err(Misfit::Range)),
            ("REAL", "1e400", Err(Misfit::Range)),
            ("REAL", "1e-400", Err(Misfit::Range)),
            ("REAL", "0.000", Ok(Value::Real(0.0))),
            ("REAL", "\"-Infinity\"", Ok(Value::Real(f64::NEG_INFINITY))),
            ("REAL", "\"NaN\"", text("NaN")),
            ("BLOB", r#""\\x00fFa0""#, Ok(Value::Blob(vec![0, 255, 160]))),
            ("BLOB", r#""\\x""#, Ok(Value::Blob(vec![]))),
            ("BLOB", r#""\\x0""#, Err(Misfit::Kind)),
            ("BLOB", r#""text""#, Err(Misfit::Kind)),
            ("JSON TEXT", r#"{"b": 1, "a": [1, 2.50]}"#, text(r#"{"b":1,"a":[1,2.50]}"#)),
            ("JSON TEXT", r#""x""#, text(r#""x""#)),
            ("JSON", "12", Err(Misfit::Affinity)),
            ("ARRAY TEXT", r#"["a b", null]"#, text(r#"["a b",null]"#)),
            ("ARRAY TEXT", r#""{1,2}""#, Err(Misfit::Kind)),
            ("TEXT", r#""é\n""#, text("é\n")),
            ("TEXT", "1.2300", text("1.2300")),
            ("TEXT", r#"{"a": 1}"#, text(r#"{"a":1}"#)),
            ("TEXT", "true", text("true")),
            ("VARCHAR(20)", r#""0012""#, text("0012")),
            ("UUID", r#""0b5f""#, text("0b5f")),
            ("UUID", r#""0012""#, Err(Misfit::Affinity)),
            ("TIMESTAMPTZ", r#""2026-01-02T03:04:05.678901+00:00""#, text("2026-01-02T03:04:05.678901+00:00")),
            ("INTERVAL", r#""1 day""#, text("1 day")),
            ("", "5", Ok(Value::Integer(5))),
            ("", "5.0", text("5.0")),
            ("", "92233720368547758070", text("92233720368547758070")),
            ("", r#""5""#, text("5")),
            ("", "[1, 2]", text("[1,2]")),
        ];
        for (declared, raw, expected) in table {
            assert_eq!(column(declared, raw), *expected, "{declared} <- {raw}");
        }
    }

    #[test]
    fn every_double_that_postgres_prints_comes_back() {
        for value in [0.1, 1.0 / 3.0, 123_456_789.123_456_78, 1e21, 1e-7, f64::MIN_POSITIVE, 2f64.powi(60), -0.5] {
            assert_eq!(column("REAL", &format!("{value:e}")), Ok(Value::Real(value)));
            assert_eq!(column("REAL", &format!("{value}")), Ok(Value::Real(value)), "{value}");
        }
    }
}

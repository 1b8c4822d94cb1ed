//! Rows and values as serde reads them. Errors name the column, never the value.

use std::fmt::{self, Display};

use serde::{
    Deserializer,
    de::{
        DeserializeOwned, Expected, IntoDeserializer, Unexpected, Visitor,
        value::{MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use crate::{
    error::{Error, ErrorCode, Result},
    value::Value,
};

/// Reads a value of a column.
pub(super) fn value<T: DeserializeOwned>(value: &Value, column: &str) -> Result<T> {
    T::deserialize(Cell { value, column }).map_err(|failure| failure.into_error())
}

/// Reads a row.
pub(super) fn row<T: DeserializeOwned>(columns: &[String], values: &[Value]) -> Result<T> {
    T::deserialize(Cells { columns, values }).map_err(|failure| failure.into_error())
}

/// Why a value can't be read.
#[derive(Debug)]
struct DecodeFailure {
    code: ErrorCode,
    text: String,
    column: Option<String>,
}

impl DecodeFailure {
    fn into_error(self) -> Error {
        let Self { code, text, column } = self;
        let (message, hint) = match &column {
            Some(column) => {
                (format!("Column {column} can't be read: {text}"), "Read it as another type, or change the query")
            }
            None => (
                format!("The row can't be read: {text}"),
                "Give the columns of the query the names of the fields, with AS",
            ),
        };
        let error = Error::new(code, message).hint(hint);
        column.into_iter().fold(error, |error, column| error.detail("column", column))
    }

    fn in_column(mut self, column: &str) -> Self {
        self.column.get_or_insert_with(|| column.to_owned());
        self
    }
}

impl Display for DecodeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for DecodeFailure {}

impl serde::de::Error for DecodeFailure {
    fn custom<T: Display>(text: T) -> Self {
        Self { code: ErrorCode::InvalidArgument, text: text.to_string(), column: None }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format!("it is {}, not {expected}", kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        if matches!(found, Unexpected::Signed(_) | Unexpected::Unsigned(_)) {
            let failure = Self::custom(format!("its INTEGER doesn't fit into {expected}"));
            return Self { code: ErrorCode::IntegerOutOfRange, ..failure };
        }
        Self::custom(format!("the value of its {} is not {expected}", kind(&found)))
    }

    fn unknown_variant(_found: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format!("it is none of {}", expected.join(", ")))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("there is no column {field}"))
    }
}

/// Returns SQLite's name of a type.
fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Signed(_) | Unexpected::Unsigned(_) | Unexpected::Bool(_) => "INTEGER",
        Unexpected::Float(_) => "REAL",
        Unexpected::Str(_) | Unexpected::Char(_) => "TEXT",
        Unexpected::Bytes(_) | Unexpected::Seq => "BLOB",
        Unexpected::Unit | Unexpected::Option => "NULL",
        _ => "a value of another kind",
    }
}

/// A value of a row.
#[derive(Clone, Copy)]
struct Cell<'a> {
    value: &'a Value,
    column: &'a str,
}

impl<'de> Cell<'de> {
    fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Integer(value) => visitor.visit_i64(*value),
            Value::Real(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::Blob(value) => visitor.visit_borrowed_bytes(value),
        }
    }
}

impl<'de> Deserializer<'de> for Cell<'de> {
    type Error = DecodeFailure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        self.visit(visitor).map_err(|failure| failure.in_column(self.column))
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.value {
            Value::Integer(value @ (0 | 1)) => visitor.visit_bool(*value == 1),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        if self.value.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        match self.value {
            Value::Blob(bytes) => visitor
                .visit_seq(SeqDeserializer::new(bytes.iter().copied()))
                .map_err(|failure: DecodeFailure| failure.in_column(self.column)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        match self.value {
            Value::Text(text) => {
                let variant = IntoDeserializer::<DecodeFailure>::into_deserializer(text.as_str());
                visitor.visit_enum(variant).map_err(|failure| failure.in_column(self.column))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, DecodeFailure> for Cell<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// The values of a row.
#[derive(Clone, Copy)]
struct Cells<'a> {
    columns: &'a [String],
    values: &'a [Value],
}

impl<'de> Cells<'de> {
    fn cells(self) -> impl Iterator<Item = Cell<'de>> {
        self.columns.iter().zip(self.values).map(|(column, value)| Cell { value, column })
    }

    /// Returns the value of a row with one column.
    fn only(self) -> Result<Cell<'de>, DecodeFailure> {
        match (self.columns, self.values) {
            ([column], [value]) => Ok(Cell { value, column }),
            _ => Err(serde::de::Error::custom(format!("it has {} columns, not one", self.columns.len()))),
        }
    }
}

macro_rules! of_the_only_column {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
            self.only()?.$method(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Cells<'de> {
    type Error = DecodeFailure;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        visitor.visit_map(MapDeserializer::new(self.cells().map(|cell| (cell.column, cell))))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        visitor.visit_seq(SeqDeserializer::new(self.cells()))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, DecodeFailure> {
        if count != self.values.len() {
            let text = format!("it has {} columns, not {count}", self.values.len());
            return Err(serde::de::Error::custom(text));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        self.deserialize_tuple(count, visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        self.only()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeFailure> {
        visitor.visit_unit()
    }

    of_the_only_column! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
        deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32 deserialize_f64
        deserialize_char deserialize_str deserialize_string deserialize_bytes deserialize_byte_buf deserialize_option
        deserialize_unit deserialize_identifier
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeFailure> {
        visitor.visit_unit()
    }
}

//! `Serialize` values as plain JavaScript values. serde-wasm-bindgen does the same with several times the code for
//! each field, mostly for errors that these values never cause; here a single function sets all fields.

use std::fmt;

use js_sys::{Array, Object, Reflect, Uint8Array};
use serde::ser::{
    self, Impossible, Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, Serializer,
};
use wasm_bindgen::JsValue;

use crate::sqlite::MAX_SAFE_INTEGER;

/// Converts to a plain value: structs and maps become objects, sequences arrays, missing options `null`, integers
/// beyond exact numbers bigints.
pub fn plain<T: Serialize>(value: &T) -> JsValue {
    match value.serialize(Plain) {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

#[derive(Clone, Copy)]
struct Plain;

/// The error type: creating an object can't fail.
#[derive(Debug)]
enum Never {}

impl fmt::Display for Never {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl std::error::Error for Never {}

impl ser::Error for Never {
    fn custom<T: fmt::Display>(_message: T) -> Self {
        // serde also calls this for types that this serializer doesn't support (128 bits), which the crate doesn't
        // serialize.
        unreachable!("no type of ours refuses to be serialized")
    }
}

type PlainResult = Result<JsValue, Never>;

#[inline(never)]
fn text(text: &str) -> JsValue {
    JsValue::from_str(text)
}

#[inline(never)]
fn set(object: &Object, name: &str, value: JsValue) {
    let _ = Reflect::set(object, &text(name), &value);
}

struct PlainFields(Object);

/// The pairs of an object whose keys anyone may choose, and its next key. Set one by one, `__proto__` would be no key.
struct PlainPairs(Array, JsValue);

impl PlainFields {
    fn new() -> Self {
        Self(Object::new())
    }
}

struct List(Array);

impl Serializer for Plain {
    type Ok = JsValue;
    type Error = Never;
    type SerializeSeq = List;
    type SerializeTuple = List;
    type SerializeTupleStruct = List;
    type SerializeTupleVariant = Impossible<JsValue, Never>;
    type SerializeMap = PlainPairs;
    type SerializeStruct = PlainFields;
    type SerializeStructVariant = Variant;

    fn serialize_bool(self, value: bool) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_i8(self, value: i8) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_i16(self, value: i16) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_i32(self, value: i32) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_i64(self, value: i64) -> PlainResult {
        Ok(if value.unsigned_abs() <= MAX_SAFE_INTEGER { JsValue::from_f64(value as f64) } else { value.into() })
    }

    fn serialize_u8(self, value: u8) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_u16(self, value: u16) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_u32(self, value: u32) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_u64(self, value: u64) -> PlainResult {
        Ok(if value <= MAX_SAFE_INTEGER { JsValue::from_f64(value as f64) } else { value.into() })
    }

    fn serialize_f32(self, value: f32) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_f64(self, value: f64) -> PlainResult {
        Ok(value.into())
    }

    fn serialize_char(self, value: char) -> PlainResult {
        Ok(text(value.encode_utf8(&mut [0; 4])))
    }

    fn serialize_str(self, value: &str) -> PlainResult {
        Ok(text(value))
    }

    fn serialize_bytes(self, value: &[u8]) -> PlainResult {
        Ok(Uint8Array::from(value).into())
    }

    fn serialize_none(self) -> PlainResult {
        Ok(JsValue::NULL)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> PlainResult {
        value.serialize(self)
    }

    fn serialize_unit(self) -> PlainResult {
        Ok(JsValue::NULL)
    }

    fn serialize_unit_struct(self, _name: &'static str) -> PlainResult {
        Ok(JsValue::NULL)
    }

    fn serialize_unit_variant(self, _name: &'static str, _index: u32, variant: &'static str) -> PlainResult {
        Ok(text(variant))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _name: &'static str, value: &T) -> PlainResult {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> PlainResult {
        let object = Object::new();
        set(&object, variant, value.serialize(self)?);
        Ok(object.into())
    }

    fn serialize_seq(self, _length: Option<usize>) -> Result<List, Never> {
        Ok(List(Array::new()))
    }

    fn serialize_tuple(self, _length: usize) -> Result<List, Never> {
        Ok(List(Array::new()))
    }

    fn serialize_tuple_struct(self, _name: &'static str, _length: usize) -> Result<List, Never> {
        Ok(List(Array::new()))
    }

    fn serialize_tuple_variant(
        self,
        _name: &'static str,
        _index: u32,
        _variant: &'static str,
        _length: usize,
    ) -> Result<Self::SerializeTupleVariant, Never> {
        unreachable!("no type of ours is a tuple variant")
    }

    fn serialize_map(self, _length: Option<usize>) -> Result<PlainPairs, Never> {
        Ok(PlainPairs(Array::new(), JsValue::UNDEFINED))
    }

    fn serialize_struct(self, _name: &'static str, _length: usize) -> Result<PlainFields, Never> {
        Ok(PlainFields::new())
    }

    fn serialize_struct_variant(
        self,
        _name: &'static str,
        _index: u32,
        variant: &'static str,
        _length: usize,
    ) -> Result<Variant, Never> {
        Ok(Variant(variant, Object::new()))
    }
}

/// The fields of a variant, in an object under the variant's name.
struct Variant(&'static str, Object);

impl SerializeStructVariant for Variant {
    type Ok = JsValue;
    type Error = Never;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Never> {
        set(&self.1, name, value.serialize(Plain)?);
        Ok(())
    }

    fn end(self) -> PlainResult {
        let object = Object::new();
        set(&object, self.0, self.1.into());
        Ok(object.into())
    }
}

impl SerializeStruct for PlainFields {
    type Ok = JsValue;
    type Error = Never;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Never> {
        set(&self.0, name, value.serialize(Plain)?);
        Ok(())
    }

    fn end(self) -> PlainResult {
        Ok(self.0.into())
    }
}

impl SerializeMap for PlainPairs {
    type Ok = JsValue;
    type Error = Never;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Never> {
        self.1 = key.serialize(Plain)?;
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.0.push(&Array::of2(&self.1, &value.serialize(Plain)?));
        Ok(())
    }

    fn end(self) -> PlainResult {
        Ok(Object::from_entries(&self.0).map_or(JsValue::UNDEFINED, JsValue::from))
    }
}

impl List {
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.0.push(&value.serialize(Plain)?);
        Ok(())
    }
}

impl SerializeSeq for List {
    type Ok = JsValue;
    type Error = Never;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.add(value)
    }

    fn end(self) -> PlainResult {
        Ok(self.0.into())
    }
}

impl SerializeTuple for List {
    type Ok = JsValue;
    type Error = Never;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.add(value)
    }

    fn end(self) -> PlainResult {
        Ok(self.0.into())
    }
}

impl SerializeTupleStruct for List {
    type Ok = JsValue;
    type Error = Never;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Never> {
        self.add(value)
    }

    fn end(self) -> PlainResult {
        Ok(self.0.into())
    }
}

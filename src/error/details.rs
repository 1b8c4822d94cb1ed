//! The details of an error: named values for programs.

use std::{borrow::Cow, ops::Index};

use serde::{Serialize, Serializer, ser::SerializeMap};

/// One value in the details of an error. Never a value that the user bound to a statement.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Detail {
    /// A flag.
    Bool(bool),
    /// A count, an offset, a size.
    Int(i64),
    /// A name, an id, a code.
    Text(String),
    /// Several values.
    List(Vec<Detail>),
    /// Named values.
    Object(Details),
}

macro_rules! detail_from {
    ($($from:ty => |$v:ident| $into:expr,)*) => {
        $(impl From<$from> for Detail { fn from($v: $from) -> Self { $into } })*
    };
}
detail_from! {
    bool => |v| Detail::Bool(v),
    i32 => |v| Detail::Int(v.into()),
    u32 => |v| Detail::Int(v.into()),
    i64 => |v| Detail::Int(v),
    u64 => |v| Detail::Int(i64::try_from(v).unwrap_or(i64::MAX)),
    usize => |v| Detail::Int(i64::try_from(v).unwrap_or(i64::MAX)),
    &str => |v| Detail::Text(v.to_owned()),
    String => |v| Detail::Text(v),
    Vec<Detail> => |v| Detail::List(v),
}

/// Named values, each name once, in insertion order. A list, because there are never more than a few.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Details(Vec<(Cow<'static, str>, Detail)>);

impl Details {
    /// Returns the value of that name.
    pub fn get(&self, name: &str) -> Option<&Detail> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns the value of that name, to change it.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Detail> {
        self.0.iter_mut().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns whether there is a value of that name.
    pub fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a value; it replaces one of the same name.
    pub fn insert(&mut self, name: Cow<'static, str>, value: Detail) {
        match self.get_mut(&name) {
            Some(known) => *known = value,
            None => self.0.push((name, value)),
        }
    }

    /// Returns the names and their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Detail)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }

    /// Returns whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Index<&str> for Details {
    type Output = Detail;

    /// Returns the value of that name. Panics when there is none.
    fn index(&self, name: &str) -> &Detail {
        self.get(name).expect("no such detail")
    }
}

impl<N: Into<Cow<'static, str>>> FromIterator<(N, Detail)> for Details {
    fn from_iter<I: IntoIterator<Item = (N, Detail)>>(values: I) -> Self {
        let mut details = Self::default();
        values.into_iter().for_each(|(name, value)| details.insert(name.into(), value));
        details
    }
}

impl Serialize for Details {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

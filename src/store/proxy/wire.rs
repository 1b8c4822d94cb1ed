//! The values of requests and replies as bytes.

use std::borrow::Cow;

use crate::{
    error::{Detail, Details, Error, ErrorCode, Result},
    format::{LayoutWriter, Reader},
    ports::{ChunkId, Durability, Guard, HeadInfo, Holder, Key, Transaction, Write},
};

/// How deeply the details of an error may be nested.
const MOST_DEPTH: u32 = 8;

/// A value that both sides can write and read.
pub trait Wire: Sized {
    /// Writes the value.
    fn put(&self, out: &mut LayoutWriter);

    /// Reads a value; `None` where the bytes are none.
    fn get(from: &mut Reader<'_>) -> Option<Self>;
}

impl Wire for () {
    fn put(&self, _: &mut LayoutWriter) {}

    fn get(_: &mut Reader<'_>) -> Option<Self> {
        Some(())
    }
}

impl Wire for u32 {
    fn put(&self, out: &mut LayoutWriter) {
        out.u32(*self);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        from.u32()
    }
}

impl Wire for u64 {
    fn put(&self, out: &mut LayoutWriter) {
        out.u64(*self);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        from.u64()
    }
}

impl Wire for ChunkId {
    fn put(&self, out: &mut LayoutWriter) {
        out.id(self);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        from.id()
    }
}

impl Wire for String {
    fn put(&self, out: &mut LayoutWriter) {
        out.text(self);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        from.text()
    }
}

impl Wire for Vec<u8> {
    fn put(&self, out: &mut LayoutWriter) {
        out.bytes(self);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        from.bytes().map(<[u8]>::to_vec)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn put(&self, out: &mut LayoutWriter) {
        out.list(self.iter(), |out, item| item.put(out));
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        from.list(T::get)
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut LayoutWriter) {
        out.u32(self.is_some().into());
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        if from.flag()? { T::get(from).map(Some) } else { Some(None) }
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn put(&self, out: &mut LayoutWriter) {
        self.0.put(out);
        self.1.put(out);
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some((A::get(from)?, B::get(from)?))
    }
}

impl<T: Wire> Wire for Result<T> {
    fn put(&self, out: &mut LayoutWriter) {
        out.u32(self.is_ok().into());
        match self {
            Ok(value) => value.put(out),
            Err(error) => put_error(out, error),
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(if from.flag()? { Ok(T::get(from)?) } else { Err(get_error(from)?) })
    }
}

impl Wire for Key {
    fn put(&self, out: &mut LayoutWriter) {
        match self {
            Self::Log(key) => {
                out.u32(0);
                key.put(out);
            }
            Self::Manifest(generation) => {
                out.u32(1);
                out.u64(*generation);
            }
            Self::Chunk(id) => {
                out.u32(2);
                out.id(id);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(match from.u32()? {
            0 => Self::Log(Wire::get(from)?),
            1 => Self::Manifest(from.u64()?),
            2 => Self::Chunk(from.id()?),
            _ => return None,
        })
    }
}

impl Wire for Write {
    fn put(&self, out: &mut LayoutWriter) {
        match self {
            Self::Add(key, bytes) => {
                out.u32(0);
                key.put(out);
                out.bytes(bytes);
            }
            Self::PutHead(bytes, HeadInfo { holder: Holder { id, title, url, since }, features }) => {
                out.u32(1);
                out.bytes(bytes);
                [id, title, url].into_iter().for_each(|text| out.text(text));
                out.time(*since);
                features.put(out);
            }
            Self::Put(key, bytes) => {
                out.u32(2);
                key.put(out);
                out.bytes(bytes);
            }
            Self::Delete(key) => {
                out.u32(3);
                key.put(out);
            }
            Self::CutLog { through, spare } => {
                out.u32(4);
                out.u64(*through);
                spare.put(out);
            }
        }
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        Some(match from.u32()? {
            0 => Self::Add(Wire::get(from)?, Wire::get(from)?),
            1 => {
                let bytes = Wire::get(from)?;
                let holder = Holder { id: from.text()?, title: from.text()?, url: from.text()?, since: from.time()? };
                Self::PutHead(bytes, HeadInfo { holder, features: Wire::get(from)? })
            }
            2 => Self::Put(Wire::get(from)?, Wire::get(from)?),
            3 => Self::Delete(Wire::get(from)?),
            4 => Self::CutLog { through: from.u64()?, spare: Wire::get(from)? },
            _ => return None,
        })
    }
}

impl Wire for Transaction {
    fn put(&self, out: &mut LayoutWriter) {
        let guard = match &self.guard {
            Guard::Nothing => None,
            Guard::Head(head) => Some(head.clone()),
        };
        guard.put(out);
        self.require.put(out);
        self.writes.put(out);
        out.u32((self.durability == Durability::Strict).into());
    }

    fn get(from: &mut Reader<'_>) -> Option<Self> {
        let guard: Option<Option<Vec<u8>>> = Wire::get(from)?;
        Some(Self {
            guard: guard.map_or(Guard::Nothing, Guard::Head),
            require: Wire::get(from)?,
            writes: Wire::get(from)?,
            durability: if from.flag()? { Durability::Strict } else { Durability::Relaxed },
        })
    }
}

fn put_error(out: &mut LayoutWriter, error: &Error) {
    out.text(error.code.as_str());
    out.text(&error.message);
    out.optional(error.hint.as_ref());
    out.optional(error.cause.as_ref());
    put_details(out, &error.details);
}

fn get_error(from: &mut Reader<'_>) -> Option<Error> {
    let code = ErrorCode::from_name(&from.text()?)?;
    let mut error = Error::new(code, from.text()?);
    error.hint = from.optional()?;
    error.cause = from.optional()?;
    error.details = get_details(from, MOST_DEPTH)?;
    Some(error)
}

fn put_details(out: &mut LayoutWriter, details: &Details) {
    let details: Vec<_> = details.iter().collect();
    out.list(details.into_iter(), |out, (name, detail)| {
        out.text(name);
        put_detail(out, detail);
    });
}

fn get_details(from: &mut Reader<'_>, depth: u32) -> Option<Details> {
    let details = from.list(|from| Some((Cow::from(from.text()?), get_detail(from, depth)?)))?;
    Some(details.into_iter().collect())
}

fn put_detail(out: &mut LayoutWriter, detail: &Detail) {
    match detail {
        Detail::Bool(value) => {
            out.u32(0);
            out.u32((*value).into());
        }
        Detail::Int(value) => {
            out.u32(1);
            out.u64(*value as u64);
        }
        Detail::Text(value) => {
            out.u32(2);
            out.text(value);
        }
        Detail::List(values) => {
            out.u32(3);
            out.list(values.iter(), put_detail);
        }
        Detail::Object(values) => {
            out.u32(4);
            put_details(out, values);
        }
    }
}

fn get_detail(from: &mut Reader<'_>, depth: u32) -> Option<Detail> {
    let depth = depth.checked_sub(1)?;
    Some(match from.u32()? {
        0 => Detail::Bool(from.flag()?),
        1 => Detail::Int(from.u64()? as i64),
        2 => Detail::Text(from.text()?),
        3 => Detail::List(from.list(|from| get_detail(from, depth))?),
        4 => Detail::Object(get_details(from, depth)?),
        _ => return None,
    })
}

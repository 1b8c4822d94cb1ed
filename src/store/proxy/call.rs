//! The requests of a proxy.

use super::wire::Wire;
use crate::{
    format::{LayoutWriter, Reader},
    ports::{Key, LogKey, Transaction, Write},
};

/// What the bytes of a request take besides the values in it, at least.
const FRAME_BYTES: usize = 256;

/// A call of a store.
pub enum StoreCall {
    /// Opens the store, unless it is open.
    Open,
    /// The same, by [`Stores::open_older`](crate::ports::Stores::open_older).
    OpenOlder,
    /// [`Store::write`](crate::ports::Store::write).
    Write(Transaction),
    /// Reads.
    Read(ReadCall),
    /// [`Store::reopen`](crate::ports::Store::reopen).
    Reopen,
    /// [`Store::close`](crate::ports::Store::close).
    Close,
}

/// A call that reads; its reply has a value.
pub enum ReadCall {
    /// The head: bytes, or none.
    Head,
    /// These values: a list of bytes, or none.
    Get(Vec<Key>),
    /// The log after a key, about so many bytes: a list of records.
    Log(LogKey, u64),
    /// The generations of all manifests: a list of numbers.
    Generations,
    /// The ids of all chunks: a list of 32 bytes each.
    ChunkIds,
    /// The copy of the head: bytes, or none.
    HeadCopy,
    /// Damage that the store met: a text, or none.
    Damage,
}

impl StoreCall {
    /// Encodes the request.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = LayoutWriter::with_capacity(FRAME_BYTES + self.payload());
        match self {
            Self::Open => out.u32(0),
            Self::Write(transaction) => {
                out.u32(1);
                transaction.put(&mut out);
            }
            Self::Read(ReadCall::Head) => out.u32(2),
            Self::Read(ReadCall::Get(keys)) => {
                out.u32(3);
                keys.put(&mut out);
            }
            Self::Read(ReadCall::Log(after, max_bytes)) => {
                out.u32(4);
                after.put(&mut out);
                out.u64(*max_bytes);
            }
            Self::Read(ReadCall::Generations) => out.u32(5),
            Self::Read(ReadCall::ChunkIds) => out.u32(6),
            Self::Reopen => out.u32(7),
            Self::Close => out.u32(8),
            Self::Read(ReadCall::HeadCopy) => out.u32(9),
            Self::Read(ReadCall::Damage) => out.u32(10),
            Self::OpenOlder => out.u32(11),
        }
        out.0
    }

    /// Decodes what [`StoreCall::encode`] wrote; `None` where it is none.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut from = Reader(bytes);
        let request = match from.u32()? {
            0 => Self::Open,
            1 => Self::Write(Wire::get(&mut from)?),
            2 => Self::Read(ReadCall::Head),
            3 => Self::Read(ReadCall::Get(Wire::get(&mut from)?)),
            4 => Self::Read(ReadCall::Log(Wire::get(&mut from)?, from.u64()?)),
            5 => Self::Read(ReadCall::Generations),
            6 => Self::Read(ReadCall::ChunkIds),
            7 => Self::Reopen,
            8 => Self::Close,
            9 => Self::Read(ReadCall::HeadCopy),
            10 => Self::Read(ReadCall::Damage),
            11 => Self::OpenOlder,
            _ => return None,
        };
        from.0.is_empty().then_some(request)
    }

    /// Returns about how many bytes the values take: a batch of many megabytes must not be copied while it grows.
    fn payload(&self) -> usize {
        let Self::Write(transaction) = self else { return 0 };
        let bytes = |write: &Write| match write {
            Write::Add(_, bytes) | Write::Put(_, bytes) | Write::PutHead(bytes, _) => bytes.len() + FRAME_BYTES,
            _ => FRAME_BYTES,
        };
        transaction.writes.iter().map(bytes).sum()
    }
}

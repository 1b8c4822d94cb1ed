//! The journal's state in memory: everything except the log and the bytes of chunks.

use std::collections::BTreeMap;

use super::frames::FrameKind;
use crate::{
    format::{LayoutWriter, Reader},
    ports::{ChunkId, LogKey},
};

/// The version of the journal's layout that this build writes and reads.
const LAYOUT: u32 = 4;

/// How many bytes a chunk takes in the state.
const CHUNK_BYTES: usize = 52;

/// How many bytes a key of the log takes.
pub const KEY_BYTES: usize = 12;

/// Where a chunk is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The number of its pack.
    pub pack: u64,
    pub at: u64,
    pub length: u32,
}

/// Records of the log.
pub type Records = BTreeMap<LogKey, Vec<u8>>;

/// The combined content of the frames. In trees, because a journal may add many thousands of each, in any order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub head: Option<Vec<u8>>,
    /// The newest key of the log.
    pub newest: Option<LogKey>,
    /// The log up to this lsn is deleted, except the `spared` records, which outlive their segments.
    pub cut: u64,
    pub spared: Records,
    /// The manifests by generation.
    pub manifests: BTreeMap<u64, Vec<u8>>,
    pub chunks: BTreeMap<ChunkId, Extent>,
    /// In packs up to this number, no bytes may stay but those of chunks: a new key has to protect what they were.
    pub cleaned: u64,
    /// The earlier segments that still hold parts of the log, with the newest key in each.
    pub sealed: Vec<(u64, LogKey)>,
}

impl State {
    /// Encodes the body of a segment's first frame.
    pub fn encode(&self) -> Vec<u8> {
        // Megabytes in a large database: a writer that grows would take twice as much, and more for its copies.
        let manifests_bytes: usize = self.manifests.values().map(Vec::len).sum();
        let mut body = LayoutWriter::with_capacity(manifests_bytes + self.chunks.len() * CHUNK_BYTES + 4096);
        body.u32(LAYOUT);
        body.list(self.head.iter(), |body, head| body.bytes(head));
        body.list(self.newest.iter(), |body, key| put_key(body, *key));
        body.u64(self.cut);
        put_records(&mut body, &self.spared);
        let manifests: Vec<_> = self.manifests.iter().collect();
        body.list(manifests.into_iter(), |body, (generation, bytes)| {
            body.u64(*generation);
            body.bytes(bytes);
        });
        let chunks: Vec<_> = self.chunks.iter().collect();
        body.list(chunks.into_iter(), |body, (id, extent)| put_chunk(body, id, *extent));
        body.u64(self.cleaned);
        body.list(self.sealed.iter(), |body, (segment, newest)| {
            body.u64(*segment);
            put_key(body, *newest);
        });
        body.0
    }

    /// Decodes the body written by [`State::encode`].
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut body = Reader(body);
        if body.u32()? != LAYOUT {
            return None;
        }
        Some(Self {
            head: body.list(bytes)?.pop(),
            newest: body.list(get_key)?.pop(),
            cut: body.counter()?,
            spared: get_records(&mut body)?,
            manifests: body.list(|body| Some((body.counter()?, bytes(body)?)))?.into_iter().collect(),
            chunks: body.list(get_chunk)?.into_iter().collect(),
            cleaned: body.counter()?,
            sealed: body.list(|body| Some((body.u64()?, get_key(body)?)))?,
        })
    }

    /// Applies a frame, or of one of the log the key alone. Returns `false` when it can't be decoded.
    pub fn apply(&mut self, kind: FrameKind, body: &[u8]) -> bool {
        self.take(kind, body).is_some()
    }

    fn take(&mut self, kind: FrameKind, body: &[u8]) -> Option<()> {
        let mut reader = Reader(body);
        match kind {
            FrameKind::Start => *self = Self::decode(body)?,
            FrameKind::Log => self.newest = Some(get_key(&mut reader)?),
            FrameKind::Head => {
                self.head = Some(bytes(&mut reader)?);
                // At the end of a closed journal.
                self.newest = self.newest.max(get_key(&mut reader));
            }
            FrameKind::PutManifest => _ = self.manifests.insert(reader.counter()?, bytes(&mut reader)?),
            FrameKind::DeleteManifest => _ = self.manifests.remove(&reader.u64()?),
            FrameKind::PutChunk => {
                let (id, extent) = get_chunk(&mut reader)?;
                self.chunks.insert(id, extent);
            }
            FrameKind::DeleteChunk => _ = self.chunks.remove(&reader.id()?),
            FrameKind::CutLog => {
                let through = reader.counter()?;
                self.spared = get_records(&mut reader)?;
                self.cut = self.cut.max(through);
                self.sealed.retain(|(_, newest)| newest.0 > self.cut);
            }
            FrameKind::Seal => {}
        }
        Some(())
    }
}

/// Writes a key of the log.
pub fn put_key(body: &mut LayoutWriter, (lsn, part): LogKey) {
    body.u64(lsn);
    body.u32(part);
}

/// Reads a key written by [`put_key`].
pub fn get_key(body: &mut Reader<'_>) -> Option<LogKey> {
    Some((body.counter()?, body.u32()?))
}

/// Writes records of the log.
pub fn put_records(body: &mut LayoutWriter, records: &Records) {
    let records: Vec<_> = records.iter().collect();
    body.list(records.into_iter(), |body, (key, bytes)| {
        put_key(body, *key);
        body.bytes(bytes);
    });
}

fn get_records(body: &mut Reader<'_>) -> Option<Records> {
    Some(body.list(|body| Some((get_key(body)?, bytes(body)?)))?.into_iter().collect())
}

/// Writes a chunk's id, and where it is stored.
pub fn put_chunk(body: &mut LayoutWriter, id: &ChunkId, extent: Extent) {
    body.id(id);
    body.u64(extent.pack);
    body.u64(extent.at);
    body.u32(extent.length);
}

fn get_chunk(body: &mut Reader<'_>) -> Option<(ChunkId, Extent)> {
    Some((body.id()?, Extent { pack: body.counter()?, at: body.counter()?, length: body.u32()? }))
}

/// Reads bytes, preceded by their count.
pub fn bytes(body: &mut Reader<'_>) -> Option<Vec<u8>> {
    body.bytes().map(<[u8]>::to_vec)
}

//! What the journal says, in memory: everything but the bytes of batches and chunks.

use super::{
    codec::{In, Out},
    frames::{Frame, Kind},
};
use crate::{
    collections::{Map, Set},
    ports::{ChunkId, Head, LogKind, LogRecord, Manifest},
};

/// The layout of the journal that this build writes and reads.
const LAYOUT: u32 = 1;

/// A key of the log.
pub type Key = (u64, u32);

/// What the frames say, taken together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    pub head: Option<Head>,
    /// The newest key of the log.
    pub newest: Option<Key>,
    /// The epoch records that are there: they outlive the segments that they were written to.
    pub epochs: Map<Key, LogRecord>,
    /// By generation; `None` when it can't be read as one.
    pub manifests: Map<u64, Option<Manifest>>,
    pub chunks: Set<ChunkId>,
    /// The segments before this one that the log still reaches into, and the newest key in each.
    pub sealed: Vec<(u64, Key)>,
}

impl State {
    /// The body of a segment's first frame.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Out::default();
        out.u32(LAYOUT);
        out.list(self.head.iter(), Out::head);
        out.list(self.newest.iter(), |out, key| put_key(out, *key));
        let epochs: Vec<&LogRecord> = self.epochs.values().collect();
        out.list(epochs.into_iter(), Out::log_record);
        let manifests: Vec<&Manifest> = self.manifests.values().flatten().collect();
        out.list(manifests.into_iter(), Out::manifest);
        out.list(self.chunks.iter(), |out, id| out.text(id));
        out.list(self.sealed.iter(), |out, (segment, newest)| {
            out.u64(*segment);
            put_key(out, *newest);
        });
        out.0
    }

    /// Reads [`State::encode`].
    pub fn decode(body: &[u8]) -> Option<Self> {
        let mut bytes = In(body);
        if bytes.u32()? != LAYOUT {
            return None;
        }
        Some(Self {
            head: bytes.list(In::head)?.pop(),
            newest: bytes.list(get_key)?.pop(),
            epochs: bytes.list(In::log_record)?.into_iter().map(|record| (key_of(&record), record)).collect(),
            manifests: bytes.list(In::manifest)?.into_iter().map(|one| (one.generation, Some(one))).collect(),
            chunks: bytes.list(In::chunk_id)?.into_iter().collect(),
            sealed: bytes.list(|bytes| Some((bytes.u64()?, get_key(bytes)?)))?,
        })
    }

    /// Takes a frame in; `false` when it can't be read.
    pub fn apply(&mut self, frame: &Frame) -> bool {
        self.take(frame).is_some()
    }

    fn take(&mut self, frame: &Frame) -> Option<()> {
        let mut body = In(&frame.body);
        match frame.kind {
            Kind::Start => *self = Self::decode(&frame.body)?,
            Kind::Log => {
                let record = body.log_record()?;
                self.newest = Some(key_of(&record));
                if record.kind == LogKind::Epoch {
                    self.epochs.insert(key_of(&record), record);
                }
            }
            Kind::Head => {
                let head = body.head()?;
                self.epochs.retain(|(lsn, _), _| *lsn > head.truncated.lsn || head.epochs.contains(lsn));
                self.sealed.retain(|(_, newest)| newest.0 > head.truncated.lsn);
                self.head = Some(head);
            }
            Kind::PutManifest => {
                let generation = In(&frame.body).u64()?;
                self.manifests.insert(generation, body.manifest());
            }
            Kind::DeleteManifest => _ = self.manifests.remove(&body.u64()?),
            Kind::PutChunk => _ = self.chunks.insert(body.chunk_id()?),
            Kind::DeleteChunk => {
                let id = body.chunk_id()?;
                self.chunks.retain(|known| *known != id);
            }
            Kind::Seal => {}
        }
        Some(())
    }
}

/// A record's key.
pub fn key_of(record: &LogRecord) -> Key {
    (record.lsn, record.part)
}

fn put_key(out: &mut Out, key: Key) {
    out.u64(key.0);
    out.u32(key.1);
}

fn get_key(bytes: &mut In<'_>) -> Option<Key> {
    Some((bytes.u64()?, bytes.u32()?))
}

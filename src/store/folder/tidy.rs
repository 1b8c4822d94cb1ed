//! What keeps a folder small: sealed segments, sparse packs, and files that crashes leave.

use super::{
    FolderInner,
    frames::FrameKind,
    journal::Journal,
    packs::pack_name,
    state::{Extent, put_chunk},
};
use crate::{error::Result, format::LayoutWriter, ports::ChunkId};

/// How many chunks move from one pack to another at a time: together they are held in memory.
const MOVED_AT_ONCE: usize = 64;

impl FolderInner {
    /// Removes files left by crashes. A file that can't be removed now is removed another time.
    pub(super) fn sweep(&self, journal: &Journal) {
        for name in self.files.list().unwrap_or_default() {
            if journal.is_obsolete(&name) {
                let _ = self.files.remove(&name);
            }
        }
        self.packs.remove_unused(&journal.state);
    }

    /// Moves chunks out of packs with too many unused bytes, which frees space for the rest; seals a long segment. What fails
    /// here is done another time: the transaction before it is complete.
    pub(super) async fn tidy(&self, deletes: bool) {
        while deletes && matches!(self.move_chunks().await, Ok(true)) {}
        let _ = self.seal_long().await;
        if deletes {
            self.files.refill_reserve();
        }
    }

    async fn seal_long(&self) -> Result<()> {
        let next = self.journal.borrow().as_ref().filter(|journal| journal.is_long()).map(Journal::next_segment);
        let Some(next) = next else { return Ok(()) };
        self.prepare_files(vec![next]).await?;
        self.with(|slot| slot.as_mut().filter(|journal| journal.is_long()).map_or(Ok(()), Journal::roll))
    }

    /// Moves the chunks of one pack to another one, if it has too many unused bytes. Returns whether it did.
    async fn move_chunks(&self) -> Result<bool> {
        let target = self.with(|slot| {
            let Some(journal) = slot else { return Ok(None) };
            self.packs.remove_unused(&journal.state);
            let current = self.packs.current(&journal.state)?;
            let sparse = self.packs.sparse(&journal.state)?;
            Ok(sparse.map(|pack| current + u64::from(current == pack.number)))
        })?;
        let Some(target) = target else { return Ok(false) };
        self.prepare_files(vec![pack_name(target)]).await?;
        self.with(|slot| {
            let Some(journal) = slot else { return Ok(false) };
            // Another transaction may have come before.
            let sparse = self.packs.sparse(&journal.state)?.filter(|pack| pack.number != target);
            let Some(sparse) = sparse else { return Ok(false) };
            for chunks in sparse.chunks.chunks(MOVED_AT_ONCE) {
                let read =
                    |(_, extent): &(ChunkId, Extent)| Ok(self.packs.read(*extent, Vec::new())?.unwrap_or_default());
                let bytes: Vec<Vec<u8>> = chunks.iter().map(read).collect::<Result<_>>()?;
                let extents = self.packs.add(target, bytes.iter().map(Vec::as_slice))?;
                let entry = |((id, _), extent): (&(ChunkId, Extent), Extent)| {
                    let mut body = LayoutWriter::default();
                    put_chunk(&mut body, id, extent);
                    (FrameKind::PutChunk, body.0)
                };
                journal.append(chunks.iter().zip(extents).map(entry).collect(), true)?;
            }
            self.packs.remove_unused(&journal.state);
            Ok(true)
        })
    }
}

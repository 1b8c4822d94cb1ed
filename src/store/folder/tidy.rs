//! What keeps a folder small: sealed segments, sparse packs, and files that crashes leave.

use super::{
    FolderInner,
    frames::FrameKind,
    journal::{Journal, JournalEntry},
    packs::pack_name,
    state::{Extent, put_chunk},
};
use crate::{
    collections::Set,
    error::{ErrorCode, Result},
    format::LayoutWriter,
    ports::{ChunkId, refill_reserve},
};

/// How many chunks move from one pack to another at a time: together they are held in memory.
const MOVED_AT_ONCE: usize = 64;
/// How many times so many chunks move at once on a full disk: a large database is made smaller step by step.
const MOST_FOLDS: usize = 64;

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
        if deletes {
            let mut moved = Ok(true);
            while matches!(moved, Ok(true)) {
                moved = self.move_chunks().await;
            }
            if moved.is_err_and(|error| error.is(ErrorCode::StorageQuotaExceeded)) {
                let _ = self.with(|slot| slot.as_mut().map_or(Ok(false), |journal| self.fold_packs(journal)));
            }
        }
        let _ = self.seal_long().await;
        if deletes {
            refill_reserve(&*self.files);
        }
    }

    /// Moves chunks from the ends of packs into unused bytes before them, which needs no room but for the frames that say so,
    /// and cuts the packs short. Returns whether there were any. All chunks that are in a pack must be in the journal.
    ///
    /// What is overwritten belongs to no chunk, since deletions are synced; until a move is synced, the chunk is where it was.
    pub(super) fn fold_packs(&self, journal: &mut Journal) -> Result<bool> {
        let mut folded = false;
        for _ in 0..MOST_FOLDS {
            let moves = self.packs.foldable(&journal.state, MOVED_AT_ONCE);
            if moves.is_empty() {
                break;
            }
            let mut packs = Set::new();
            for (_, from, to) in &moves {
                let bytes = self.packs.read(*from, Vec::new())?.unwrap_or_default();
                self.files.write(&pack_name(to.pack), to.at, &bytes)?;
                packs.insert(to.pack);
            }
            packs.iter().try_for_each(|pack| self.files.sync(&pack_name(*pack)))?;
            let mut entries = moves.iter().map(|(id, _, to)| put_entry(id, *to)).collect();
            journal.append_with(&mut entries, true, true)?;
            self.packs.remove_unused(&journal.state);
            folded = true;
        }
        Ok(folded)
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
                let entries = chunks.iter().zip(extents).map(|((id, _), extent)| put_entry(id, extent));
                journal.append(&mut entries.collect(), true)?;
            }
            self.packs.remove_unused(&journal.state);
            Ok(true)
        })
    }
}

fn put_entry(id: &ChunkId, extent: Extent) -> JournalEntry {
    let mut body = LayoutWriter::default();
    put_chunk(&mut body, id, extent);
    (FrameKind::PutChunk, body.0)
}

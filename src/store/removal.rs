//! Deletes snapshots and checkpoints, truncates the log, and deletes the chunks that no manifest references.

use super::{Storage, records};
use crate::{
    collections::Set,
    error::Result,
    format::{Manifest, ManifestKind, Truncation, stored_ids},
    ports::{ChunkId, Key, Store, Write},
};

impl Storage {
    /// Deletes generations, turns others into checkpoints (still needed, but no longer shown), and then, in later
    /// transactions, truncates the log and deletes the chunks that only the deleted generations referenced.
    pub async fn remove(&self, delete: &[u64], demote: &[u64], truncate: Option<Truncation>) -> Result<()> {
        let inner = &*self.0;
        self.reload_manifests().await?;
        let demoted: Vec<Manifest> =
            inner.manifests.borrow().iter().filter(|m| demote.contains(&m.generation)).map(as_checkpoint).collect();
        let mut orphans = Vec::new();
        let mut writes: Vec<Write> =
            delete.iter().map(|generation| Write::Delete(Key::Manifest(*generation))).collect();
        writes.extend(demoted.iter().map(records::put_manifest));
        if !writes.is_empty() {
            inner.manifests_in_doubt.set(true);
            self.guarded(writes, Vec::new(), &|_| {}).await?;
            let mut manifests = inner.manifests.borrow_mut();
            let (mut deleted, kept) = manifests.drain(..).partition(|manifest| delete.contains(&manifest.generation));
            *manifests = kept;
            let mut imported = inner.imported.borrow_mut();
            let (more, kept): (Vec<_>, Vec<_>) =
                imported.drain(..).partition(|manifest| delete.contains(&manifest.generation));
            *imported = kept;
            deleted.extend(more);
            orphans = only_in(&deleted, &mut manifests.iter().chain(imported.iter()));
            let in_use = inner.paging.chunks_in_use();
            orphans.retain(|id| !in_use.contains(id));
            for manifest in manifests.iter_mut() {
                if let Some(demoted) = demoted.iter().find(|demoted| demoted.generation == manifest.generation) {
                    *manifest = demoted.clone();
                }
            }
            inner.damaged.borrow_mut().retain(|generation| !delete.contains(generation));
            inner.manifests_in_doubt.set(false);
        }
        if let Some(to) = truncate
            && to.lsn > self.truncated().lsn
        {
            let spare = inner.head.borrow().epochs.clone();
            let cut = Write::CutLog { through: to.lsn, spare };
            self.guarded(vec![cut], Vec::new(), &|head| head.truncated = to).await?;
        }
        // An unreadable manifest may reference them.
        if self.has_unreadable() {
            return Ok(());
        }
        let store = inner.store();
        self.delete_chunks(orphans.iter().map(|id| records::chunk_key(&*store, id)).collect()).await
    }

    /// Returns whether a manifest is unreadable. Damaged generations whose manifest can be read don't count.
    fn has_unreadable(&self) -> bool {
        let (damaged, manifests) = (self.0.damaged.borrow(), self.0.manifests.borrow());
        damaged.iter().any(|generation| manifests.iter().all(|manifest| manifest.generation != *generation))
    }

    async fn delete_chunks(&self, keys: Vec<Key>) -> Result<()> {
        for slice in keys.chunks(256) {
            self.guarded(slice.iter().cloned().map(Write::Delete).collect(), Vec::new(), &|_| {}).await?;
        }
        Ok(())
    }

    /// Deletes the chunks that no manifest references; returns how many. Does nothing while a manifest is unreadable.
    pub async fn sweep(&self) -> Result<usize> {
        if !self.read_manifests().await?.is_empty() {
            return Ok(0);
        }
        let mut manifests = self.manifests();
        manifests.append(&mut self.imported());
        let store = self.0.store();
        let mut orphans = store.chunk_ids().await?;
        retain_unnamed(&mut orphans, &*store, stored_ids(&mut manifests.iter()));
        // Mostly there are none.
        if !orphans.is_empty() {
            retain_unnamed(&mut orphans, &*store, self.0.paging.chunks_in_use());
        }
        let count = orphans.len();
        self.delete_chunks(orphans.into_iter().map(Key::Chunk).collect()).await?;
        Ok(count)
    }
}

/// Keeps the chunks that aren't named. Those that are stored have other ids where they are encrypted.
fn retain_unnamed(stored: &mut Vec<ChunkId>, store: &dyn Store, named: Set<ChunkId>) {
    let mut kept = Vec::with_capacity(named.len());
    // By a loop: adapters for the few copies cost the core a kilobyte.
    for id in named {
        kept.push(store.stored_id(&id));
        if let Some(copy) = store.next_stored_id(&id) {
            kept.push(copy);
        }
    }
    let kept = Set::from_mostly_sorted(kept);
    stored.retain(|id| !kept.contains(id));
}

/// Returns the chunks that only the deleted manifests reference.
fn only_in(deleted: &[Manifest], kept: &mut dyn Iterator<Item = &Manifest>) -> Vec<ChunkId> {
    let named = stored_ids(kept);
    let mut orphans = stored_ids(&mut deleted.iter());
    orphans.retain(|id| !named.contains(id));
    orphans.into_iter().collect()
}

fn as_checkpoint(manifest: &Manifest) -> Manifest {
    let mut manifest = manifest.clone();
    manifest.kind = ManifestKind::Checkpoint;
    manifest.label = None;
    manifest.reason.clear();
    manifest
}

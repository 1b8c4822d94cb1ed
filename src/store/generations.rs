//! Stores and reads snapshots and checkpoints: chunks first, manifest last.

use super::{
    Position, Storage, chunk,
    log::chunk_length,
    manifests::part,
    records,
    recovery::{self, ChunkCheck},
};
use crate::{
    collections::{Bits, Set},
    error::{Error, ErrorCode, Result},
    format::{ChunkRef, FORMAT, Head, Manifest, ManifestKind, checksum, stored_ids},
    memory::{room_for, room_for_pieces},
    ports::{ChunkId, StoredRecord, Write},
    sqlite::{CHUNK_SIZE, Image, PageFile, Pin},
};

/// How many plain bytes one transaction stores; between two, the page's event loop runs.
const SLICE_BYTES: usize = 4 * 1024 * 1024;

/// A database's content at one point in time, chunk by chunk.
pub trait ChunkSource {
    /// Returns the page size in bytes; 0 when the database is empty.
    fn page_size(&self) -> u32;
    /// Returns the file's length in bytes.
    fn bytes(&self) -> u64;
    /// Returns a copy of one chunk. Fails if it can't be read.
    fn chunk(&self, index: u32) -> Result<Vec<u8>>;
}

impl ChunkSource for Pin {
    fn page_size(&self) -> u32 {
        self.page_size()
    }

    fn bytes(&self) -> u64 {
        self.bytes()
    }

    fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        self.chunk(index)
    }
}

impl ChunkSource for Image {
    fn page_size(&self) -> u32 {
        self.page_size
    }

    fn bytes(&self) -> u64 {
        self.len()
    }

    fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        Ok(self.chunks[index as usize].to_vec())
    }
}

/// The purpose of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Checkpoint or snapshot.
    pub kind: ManifestKind,
    /// Why it was taken: `manual`, `scheduled`, `hidden`, `safety`; empty for a checkpoint.
    pub reason: &'static str,
    /// The user's label.
    pub label: Option<String>,
    /// The newest applied migration.
    pub schema_version: Option<String>,
    /// Whether pages were changed without being logged.
    pub barrier: bool,
}

impl Tag {
    /// Returns the tag of the log's own compaction.
    pub fn checkpoint() -> Self {
        Self { kind: ManifestKind::Checkpoint, reason: "", label: None, schema_version: None, barrier: false }
    }
}

/// Stored and verified chunks that wait for their manifest.
#[derive(Clone, Debug)]
pub struct Staged {
    at: Position,
    page_size: u32,
    db_bytes: u64,
    chunks: Vec<ChunkRef>,
    first_copy: Option<ChunkRef>,
    stored_bytes: u64,
    compress: bool,
    verified: bool,
}

impl Staged {
    fn add(&mut self, chunk: ChunkRef, is_copy: bool) {
        if is_copy { self.first_copy = Some(chunk) } else { self.chunks.push(chunk) }
    }
}

impl Storage {
    /// Stores a checkpoint of the contents read at open that no replay from an older manifest crosses.
    pub(super) async fn put_barrier(&self, contents: &Pin, at: Position) -> Result<()> {
        let staged = self.stage(contents, &Bits::new(), at, true, true).await?;
        self.publish(staged, Tag { barrier: true, ..Tag::checkpoint() }).await.map(drop)
    }

    /// Stores the chunks of `source` that changed since the newest manifest (`touched`, and those known from before)
    /// and, with `read_back`, verifies the stored bytes; some of the other chunks are read again, too, and damaged ones stored
    /// again. No manifest references them yet: [`Storage::publish`] writes
    /// it.
    ///
    /// Fails with `snapshot_corrupt` when the bytes read back differ, `lock_lost`, and the store's errors; the touched
    /// chunks are then remembered for the next time.
    pub async fn stage(
        &self,
        source: &dyn ChunkSource,
        touched: &Bits,
        at: Position,
        compress: bool,
        read_back: bool,
    ) -> Result<Staged> {
        let inner = &*self.0;
        inner.stale.borrow_mut().add(touched);
        self.reload_manifests().await?;
        let base = inner.base.borrow().clone().filter(|base| !inner.damaged.borrow().contains(&base.generation));
        self.stage_onto(base, source, at, compress, read_back).await
    }

    /// Stores the chunks of `source` that may differ from `base`.
    pub(super) async fn stage_onto(
        &self,
        base: Option<Manifest>,
        source: &dyn ChunkSource,
        at: Position,
        compress: bool,
        read_back: bool,
    ) -> Result<Staged> {
        let inner = &*self.0;
        let (manifests, imported) = (self.manifests(), self.imported());
        let mut in_base = stored_ids(&mut base.iter());
        let older = stored_ids(&mut manifests.iter().chain(&imported));
        let mut known = Set::default();
        let db_bytes = source.bytes();
        let mut staged = Staged {
            at,
            page_size: source.page_size(),
            db_bytes,
            chunks: Vec::new(),
            first_copy: None,
            stored_bytes: 0,
            compress,
            verified: read_back,
        };
        let mut writes = Vec::new();
        let mut written = Vec::new();
        let count = db_bytes.div_ceil(CHUNK_SIZE as u64) as usize;
        let copy = (count > 0).then_some((0, true));
        for (index, is_copy) in (0..count).map(|index| (index, false)).chain(copy) {
            let length = chunk_length(db_bytes, index);
            // Truncating a file touches no page: a shorter last chunk differs only in its length.
            let unchanged = base
                .as_ref()
                .filter(|base| chunk_length(base.db_bytes, index) == length)
                .filter(|_| !inner.stale.borrow().contains(index as u32))
                .and_then(|base| if is_copy { base.first_copy.as_ref() } else { base.chunks.get(index) });
            if let Some(unchanged) = unchanged {
                let is_read = read_back && self.is_due(index);
                if !is_read || self.is_stored(unchanged, length).await? {
                    staged.add(unchanged.clone(), is_copy);
                    continue;
                }
                in_base.retain(|id| *id != unchanged.id);
            }
            // For the rest of this slice, and for the slice as the store writes it; with less memory, slices are shorter. Again
            // for each chunk: while the store works, statements take memory.
            let needed = (2 * SLICE_BYTES).saturating_sub(writes.len() * CHUNK_SIZE) as u64;
            if room_for_pieces(needed, 2 * CHUNK_SIZE as u64).is_err() {
                self.put_chunks(std::mem::take(&mut writes), std::mem::take(&mut written), read_back).await?;
                room_for(4 * CHUNK_SIZE as u64)?;
            }
            let mut plain = source.chunk(index as u32)?;
            if is_copy {
                plain = chunk::inverted(plain);
            }
            let (id, check) = (chunk::id(&plain), checksum(&plain));
            if !known.contains(&id)
                && !in_base.contains(&id)
                && older.contains(&id)
                && let Some(stored) = self.intact_chunk(&id, plain.len(), check).await?
            {
                known.insert(id);
                staged.add(ChunkRef { id, check, stored }, is_copy);
                continue;
            }
            let bytes = chunk::encode(&plain, compress);
            let reference = ChunkRef { id, check, stored: bytes.len() as u32 };
            if !in_base.contains(&reference.id) && known.insert(reference.id) {
                staged.stored_bytes += if is_copy { 0 } else { bytes.len() as u64 };
                written.push((reference.id, checksum(&bytes)));
                writes.push(Write::Put(records::chunk_key(&*inner.store(), &reference.id), bytes));
            }
            staged.add(reference, is_copy);
            if writes.len() * CHUNK_SIZE >= SLICE_BYTES {
                self.put_chunks(std::mem::take(&mut writes), std::mem::take(&mut written), read_back).await?;
            }
        }
        self.put_chunks(writes, written, read_back).await?;
        Ok(staged)
    }

    /// Returns the stored size in bytes of a chunk that another generation may have stored, if it is intact. An intact
    /// chunk is never overwritten, since the new write may fail.
    async fn intact_chunk(&self, id: &ChunkId, length: usize, check: u64) -> Result<Option<u32>> {
        let stored = records::chunks(&*self.0.store(), std::slice::from_ref(id)).await?.pop().flatten();
        let sound = |stored: &Vec<u8>| chunk::intact(stored, length, check).is_some();
        Ok(stored.filter(sound).map(|stored| stored.len() as u32))
    }

    /// Returns whether a chunk is stored and intact.
    async fn is_stored(&self, chunk: &ChunkRef, length: usize) -> Result<bool> {
        Ok(self.intact_chunk(&chunk.id, length, chunk.check).await?.is_some())
    }

    /// Stores chunks; `written` lists them with the xxh3 of their stored bytes, to verify them.
    pub(super) async fn put_chunks(
        &self,
        writes: Vec<Write>,
        written: Vec<(ChunkId, u64)>,
        read_back: bool,
    ) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        self.guarded(writes, Vec::new(), &|_| {}).await?;
        if !read_back {
            return Ok(());
        }
        let (ids, checks): (Vec<ChunkId>, Vec<u64>) = written.into_iter().unzip();
        let stored = records::chunks(&*self.0.store(), &ids).await?;
        let same = |(stored, check): (&Option<Vec<u8>>, &u64)| {
            stored.as_deref().is_some_and(|stored| checksum(stored) == *check)
        };
        if stored.iter().zip(&checks).all(same) { Ok(()) } else { Err(unverified()) }
    }

    /// Reads staged chunks back and hashes each one: for a `quick_check` before the manifest is written.
    pub async fn assemble(&self, staged: &Staged) -> Result<PageFile> {
        let contents =
            recovery::load(&self.0.paging, &self.manifest_of(staged, Tag::checkpoint()), ChunkCheck::Full).await;
        if contents.as_ref().is_err_and(|error| error.is(ErrorCode::SnapshotCorrupt)) {
            // A reused chunk may be the damaged one, so the next attempt stores all of them.
            *self.0.base.borrow_mut() = None;
        }
        contents.map(|loaded| PageFile::new(loaded.contents))
    }

    /// Writes the manifest of staged chunks; its transaction checks that all of them are stored.
    ///
    /// Fails with `snapshot_corrupt` when one is missing (the next attempt then stores all of them), `lock_lost`, and
    /// the store's errors.
    pub async fn publish(&self, staged: Staged, tag: Tag) -> Result<Manifest> {
        self.publish_after(staged, tag, None).await
    }

    /// Does the same as [`publish`](Self::publish). The manifest is the state after a record that its transaction adds to the log.
    pub(super) async fn publish_after(
        &self,
        mut staged: Staged,
        tag: Tag,
        record: Option<(StoredRecord, Position)>,
    ) -> Result<Manifest> {
        let inner = &*self.0;
        let mut writes = Vec::new();
        if let Some(((key, record), at)) = record {
            writes.push(Write::Add(key, record));
            staged.at = at;
        }
        let manifest = self.manifest_of(&staged, tag);
        // A generation is never used twice, even when its transaction failed.
        inner.generation.set(manifest.generation);
        let store = inner.store();
        let required = manifest.stored_chunks().into_iter().map(|chunk| store.stored_id(&chunk.id)).collect();
        inner.manifests_in_doubt.set(true);
        let number = |head: &mut Head| head.generation = head.generation.max(manifest.generation);
        writes.push(records::put_manifest(&manifest));
        let put = self.guarded(writes, required, &number).await;
        if put.as_ref().is_err_and(|error| error.is(ErrorCode::SnapshotCorrupt)) {
            *inner.base.borrow_mut() = None;
        }
        put?;
        if staged.verified && records::manifest(&*store, manifest.generation).await?.as_ref() != Some(&manifest) {
            return Err(unverified());
        }
        inner.manifests_in_doubt.set(false);
        if manifest.kind == ManifestKind::Imported {
            inner.imported.borrow_mut().push(manifest.clone());
            return Ok(manifest);
        }
        inner.manifests.borrow_mut().push(manifest.clone());
        *inner.base.borrow_mut() = Some(manifest.clone());
        inner.stale.borrow_mut().clear();
        Ok(manifest)
    }

    fn manifest_of(&self, staged: &Staged, tag: Tag) -> Manifest {
        Manifest {
            generation: self.0.generation.get() + 1,
            format: FORMAT,
            lsn: staged.at.lsn,
            chain: staged.at.chain,
            time: staged.at.time,
            logged: staged.at.logged,
            barrier: tag.barrier,
            created_at: self.0.platform.clock.now(),
            page_size: staged.page_size,
            db_bytes: staged.db_bytes,
            chunk_size: CHUNK_SIZE as u32,
            chunks: staged.chunks.as_slice().into(),
            first_copy: staged.first_copy.clone(),
            sha256: chunk::digest(&staged.chunks),
            stored_bytes: staged.stored_bytes,
            kind: tag.kind,
            reason: tag.reason.to_owned(),
            label: tag.label,
            schema_version: tag.schema_version,
            compression: if staged.compress { "lz4" } else { "none" }.to_owned(),
            verified: staged.verified,
        }
    }

    /// Returns all readable manifests that are states of the log, oldest first.
    pub fn manifests(&self) -> Vec<Manifest> {
        self.0.manifests.borrow().clone()
    }

    /// Returns the generations that are known to be damaged.
    pub fn damaged(&self) -> Set<u64> {
        self.0.damaged.borrow().clone()
    }

    /// Reads one generation and hashes each chunk. Fails with `snapshot_not_found`, `snapshot_corrupt`, and the store's
    /// errors.
    pub async fn load(&self, generation: u64) -> Result<PageFile> {
        let manifest = self.stored_manifest(generation).await?;
        let loaded = recovery::load(&self.0.paging, &manifest, ChunkCheck::Full).await;
        let is_damaged = match &loaded {
            Ok(loaded) => loaded.lacks_copy,
            Err(error) => error.is(ErrorCode::SnapshotCorrupt),
        };
        self.note_damage(generation, is_damaged);
        loaded.map(|loaded| PageFile::new(loaded.contents))
    }

    /// Reads one generation and returns its contents with all defects found; none for an intact one.
    /// Fails with `snapshot_not_found`, and the store's errors.
    pub async fn verify(&self, generation: u64) -> Result<(PageFile, Vec<String>)> {
        let manifest = match self.stored_manifest(generation).await {
            Err(error) if error.is(ErrorCode::SnapshotCorrupt) => {
                self.note_damage(generation, true);
                return Ok((PageFile::default(), vec![error.into_parts().message]));
            }
            manifest => manifest?,
        };
        let mut damage = Vec::new();
        let loaded = recovery::read(&self.0.paging, &manifest, ChunkCheck::Full, &mut damage).await?;
        self.note_damage(generation, loaded.lacks_copy || !damage.is_empty());
        Ok((PageFile::new(loaded.contents), damage))
    }

    async fn stored_manifest(&self, generation: u64) -> Result<Manifest> {
        if let Some(manifest) = records::manifest(&*self.0.store(), generation).await? {
            return Ok(manifest);
        }
        let unreadable = self.read_manifests().await?;
        Err(if unreadable.contains(&generation) {
            recovery::unreadable_manifest(generation)
        } else {
            recovery::no_snapshot(generation)
        })
    }

    /// Records whether a generation is damaged: damaged ones are no base for others and don't count as good ones.
    pub(super) fn note_damage(&self, generation: u64, damaged: bool) {
        let place = || self.0.imported.borrow().iter().all(|manifest| manifest.generation != generation);
        if damaged && place() {
            self.0.damaged.borrow_mut().insert(generation);
        }
    }

    /// Reloads the manifests from the store if they are in doubt.
    pub(super) async fn reload_manifests(&self) -> Result<()> {
        let inner = &*self.0;
        if inner.manifests_in_doubt.get() {
            self.own_head().await?;
            self.read_manifests().await?;
        }
        Ok(())
    }

    /// Reloads all manifests; returns the generations of the unreadable ones.
    pub(super) async fn read_manifests(&self) -> Result<Vec<u64>> {
        let inner = &*self.0;
        let (manifests, unreadable) = records::manifests(&*inner.store()).await?;
        let (manifests, imported) = part(manifests);
        *inner.manifests.borrow_mut() = manifests;
        *inner.imported.borrow_mut() = imported;
        inner.damaged.borrow_mut().extend(unreadable.iter().copied());
        inner.manifests_in_doubt.set(false);
        Ok(unreadable)
    }
}

fn unverified() -> Error {
    Error::new(ErrorCode::SnapshotCorrupt, "The storage returned other bytes than were written to it")
        .hint("The previous snapshot is kept; check the disk")
}

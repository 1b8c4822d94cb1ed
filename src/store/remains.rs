//! What is left of a database whose newest snapshot has damaged chunks that no other snapshot and no log replaces.

use std::rc::Rc;

use super::{
    chunk,
    failure::corrupt,
    log::chunk_length,
    paging::{Paging, chunk_damage},
    records,
    recovery::{self, Broken, CHUNK_SLICE, Rebuilt, Recovered, ReplayStart, Until},
};
use crate::{
    error::{ErrorCode, Result},
    format::Manifest,
    memory::room_for,
    ports::Platform,
    sqlite::{
        CHUNK_SIZE, Connection, FileContents, Image, PageFile, StoredPages, TimeLeft, check_ms, lacking, needs_more,
        paged, salvage,
    },
};

/// The limit of the page cache in bytes; everything that is read is in memory anyway.
const CACHE_BYTES: u64 = 1024 * 1024;

/// Sets `found` to the newest stored state with damaged chunks, if that is newer than the state that it has. Returns what is
/// missing, and the findings of SQLite's check; `None` when `found` lacks nothing, or its state stays the best one.
///
/// Fails with the errors of the store.
pub(super) async fn use_remains(
    paging: &Paging,
    platform: &Platform,
    found: &mut Recovered,
) -> Result<Option<Vec<String>>> {
    let lacks = found.state.broken.is_some() || found.state.lacks;
    let is_damaged = |newest: &&Manifest| found.damaged.contains(&newest.generation) && recovery::is_consistent(newest);
    let Some(newest) = found.manifests.last().filter(|newest| lacks && is_damaged(newest)) else { return Ok(None) };
    let (head_epoch, head_lsn) = found.head.as_ref().map_or((u64::MAX, 0), |head| (head.epoch, head.lsn));
    let least = Broken { lsn: newest.lsn.max(head_lsn), ..Broken::default() };
    match remains(paging, newest, least, head_epoch, platform.time_left(check_ms(newest.db_bytes))).await {
        Ok((mut state, mut missing)) if state.end.lsn > found.state.end.lsn || found.state.lacks => {
            // Where SQLite can't use it, an older state may be better than none.
            let Ok(findings) = check(&state.file, platform) else { return Ok(None) };
            missing.extend(findings);
            if found.state.end.lsn > 0 && found.state.file.bytes() > 0 {
                let time = found.state.committed;
                // Not that time itself: a lost commit may be of the same millisecond.
                missing.push(format!(
                    "Nothing from before {time} is lost: snapshots.restore({{ at }}) returns to an earlier time"
                ));
            }
            // Of the damaged ones, the caller knows them all.
            state.damaged = std::mem::take(&mut found.state.damaged);
            found.state = state;
            found.warnings.clear();
            Ok(Some(missing))
        }
        Err(error) if error.is(ErrorCode::StorageUnavailable) => Err(error),
        // Not even its schema can be read, or memory or time doesn't suffice.
        _ => Ok(None),
    }
}

/// Runs SQLite's check on a recovered state and returns its findings. Fails with `database_corrupt` when it can't be
/// opened.
pub(super) fn check(file: &PageFile, platform: &Platform) -> Result<Vec<String>> {
    if file.bytes() == 0 {
        return Err(corrupt("No snapshot and no part of the page log can be used; nothing was changed")
            .hint("deleteDatabase(name) allows a new one; an exported file or the remote may still have the data"));
    }
    let left = platform.time_left(check_ms(file.bytes()));
    let opened = Connection::open_within(file, Box::new(move || left()));
    match opened.and_then(|scratch| scratch.quick_check()) {
        // A function, collation or module that isn't loaded is no defect of the file.
        Err(error) if error.is(ErrorCode::Timeout) => {
            Ok(vec!["SQLite's quick_check took too long, and was stopped".to_owned()])
        }
        Err(error) if needs_more(&error.message) => {
            Ok(vec![format!("SQLite's quick_check can't run here: {}", error.message)])
        }
        checked => checked.map_err(|error| {
            corrupt("The newest stored state is not a valid database; nothing was changed")
                .hint("recover(name, { from }) opens an older snapshot")
                .cause(error)
        }),
    }
}

async fn remains(
    paging: &Paging,
    newest: &Manifest,
    least: Broken,
    head_epoch: u64,
    left: TimeLeft,
) -> Result<(Rebuilt, Vec<String>)> {
    let stored = Rc::new(Kept::read(paging, newest).await?);
    let mut missing = stored.damage();
    let contents = paged(stored.clone(), newest.db_bytes, newest.page_size, CACHE_BYTES);
    let contents = lacking(contents, |index| stored.chunks[index as usize].is_none());
    let start = ReplayStart {
        base: Some(newest.clone()),
        contents: FileContents::Paged(contents),
        damaged: Vec::new(),
        barrier: u64::MAX,
    };
    let mut state = recovery::replay(&*paging.store(), start, Until::End, least, head_epoch).await?;
    // The log may have changed every page that was damaged.
    match whole(&state.file) {
        Ok(image) => {
            missing.clear();
            state.file = PageFile::new(image);
        }
        Err(_) => {
            let salvaged = salvage(&state.file, &left)?;
            missing.extend(salvaged.missing);
            state.file = salvaged.file;
        }
    }
    Ok((state, missing))
}

/// Returns the contents of a file. [`PageFile::image`] is in another part of the wasm: what both reach would be in the core.
fn whole(file: &PageFile) -> Result<Image> {
    let pin = file.pin();
    let mut chunks = Vec::new();
    for index in 0..pin.chunk_count() {
        chunks.push(pin.chunk(index)?.into_boxed_slice());
    }
    Ok(Image { page_size: pin.page_size(), chunks })
}

/// The intact chunks of a manifest; zeros in place of the others.
struct Kept {
    manifest: Manifest,
    chunks: Vec<Option<Box<[u8]>>>,
}

impl Kept {
    async fn read(paging: &Paging, manifest: &Manifest) -> Result<Self> {
        let mut chunks = Vec::with_capacity(manifest.chunks.len());
        for refs in manifest.chunks.chunks(CHUNK_SLICE) {
            room_for(2 * (refs.len() * CHUNK_SIZE) as u64)?;
            let ids: Vec<_> = refs.iter().map(|chunk| chunk.id.clone()).collect();
            for (stored, expected) in records::chunks(&*paging.store(), &ids).await?.into_iter().zip(refs) {
                let length = chunk_length(manifest.db_bytes, chunks.len());
                let plain = stored.and_then(|stored| chunk::intact(&stored, length, expected.check));
                chunks.push(plain.map(Vec::into_boxed_slice));
            }
        }
        Ok(Self { manifest: manifest.clone(), chunks })
    }

    fn damage(&self) -> Vec<String> {
        let damaged = self.chunks.iter().enumerate().filter(|(_, chunk)| chunk.is_none());
        damaged.map(|(index, _)| chunk_damage(&self.manifest, index, false)).collect()
    }
}

impl StoredPages for Kept {
    fn chunk_count(&self) -> u32 {
        self.chunks.len() as u32
    }

    fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        // Of a damaged chunk no page is read, but the log may write some.
        let length = || chunk_length(self.manifest.db_bytes, index as usize);
        Ok(self.chunks[index as usize].as_ref().map_or_else(|| vec![0; length()], |chunk| chunk.to_vec()))
    }
}

//! What is left of a database whose newest snapshot has damaged chunks that no other snapshot and no log replaces, or whose
//! log is damaged before any state that could be read.

use std::{ops::ControlFlow, rc::Rc};

use super::{
    chunk,
    failure::corrupt,
    log::{Position, chunk_length},
    paging::{Paging, chunk_damage},
    records,
    recovery::{self, Broken, CHUNK_SLICE, Rebuilt, Recovered, ReplayStart, Until},
};
use crate::{
    error::{ErrorCode, Result},
    format::{LogHeader, LogKind, LogRecord, Manifest},
    memory::room_for,
    ports::{Platform, Store},
    sqlite::{
        CHUNK_SIZE, Connection, FileContents, Image, PageFile, StoredPages, TimeLeft, check_ms, lacking, needs_more,
        paged, salvage,
    },
    value::Value,
};

/// The limit of the page cache in bytes; everything that is read is in memory anyway.
const CACHE_BYTES: u64 = 1024 * 1024;

/// The size of the largest file without a table that isn't worth more than what follows it: one page.
const EMPTY_BYTES: u64 = 65536;

/// Sets `found` to the newest stored state with damaged chunks, or without any snapshot and any state from before the damage, to what
/// the log wrote after it, if that is newer than the state that it has. Returns what is missing, and the findings of SQLite's check;
/// `None` when `found` lacks nothing, or its state stays the best one.
///
/// Fails with `invalid_argument` when a function or collation is missing, and the errors of the store.
pub(super) async fn use_remains(
    paging: &Paging,
    platform: &Platform,
    found: &mut Recovered,
) -> Result<Option<Vec<String>>> {
    if found.state.broken.is_none() && !found.state.lacks {
        return Ok(None);
    }
    let is_damaged = |newest: &&Manifest| found.damaged.contains(&newest.generation) && recovery::is_consistent(newest);
    let newest = found.manifests.last().filter(is_damaged);
    let (head_epoch, head_lsn) = found.head.as_ref().map_or((u64::MAX, 0), |head| (head.epoch, head.lsn));
    let least = Broken { lsn: newest.map_or(0, |newest| newest.lsn).max(head_lsn), ..Broken::default() };
    let time_left = |bytes| platform.time_left(check_ms(bytes));
    let remains = match newest {
        Some(newest) => of_snapshot(paging, newest, least, head_epoch, &time_left).await,
        None if found.manifests.is_empty() && found.damaged.is_empty() && has_nothing(&found.state.file) => {
            of_log(&*paging.store(), found.state.end.lsn + 1, least, head_epoch, &time_left).await
        }
        None => return Ok(None),
    };
    match remains {
        Ok((mut state, mut missing)) if state.end.lsn > found.state.end.lsn || found.state.lacks => {
            // Where SQLite can't use it, an older state may be better than none.
            let Ok(findings) = check(&state.file, platform) else { return Ok(None) };
            missing.extend(findings);
            if newest.is_some() && found.state.end.lsn > 0 && found.state.file.bytes() > 0 {
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
        Err(error) if matches!(error.code, ErrorCode::StorageUnavailable | ErrorCode::InvalidArgument) => Err(error),
        // Not even its schema can be read, or memory or time doesn't suffice.
        _ => Ok(None),
    }
}

/// Returns whether a state has no table: the first commit of a database is an empty file.
fn has_nothing(file: &PageFile) -> bool {
    let objects = || Connection::open(file)?.value("SELECT count(*) FROM sqlite_schema", &[]);
    file.bytes() == 0 || file.bytes() <= EMPTY_BYTES && objects().is_ok_and(|count| count == Some(Value::Integer(0)))
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

/// Reads the newest snapshot without its damaged chunks, and the log after it.
async fn of_snapshot(
    paging: &Paging,
    newest: &Manifest,
    least: Broken,
    head_epoch: u64,
    time_left: &dyn Fn(u64) -> TimeLeft,
) -> Result<(Rebuilt, Vec<String>)> {
    let kept = Rc::new(Kept::read(paging, newest).await?);
    let damaged = (0..kept.chunks.len()).filter(|index| kept.chunks[*index].is_none());
    let missing = damaged.map(|index| chunk_damage(newest, index, false)).collect();
    let start = kept.start(Some(newest.clone()), recovery::at(newest), newest.page_size);
    let state = recovery::replay(&*paging.store(), start, Until::End, least, head_epoch).await?;
    readable(state, missing, &time_left(newest.db_bytes))
}

/// Reads what the log wrote after its damage, which begins at the lsn `damage`, up to the next one. No other page can be read.
async fn of_log(
    store: &dyn Store,
    damage: u64,
    least: Broken,
    head_epoch: u64,
    time_left: &dyn Fn(u64) -> TimeLeft,
) -> Result<(Rebuilt, Vec<String>)> {
    let Some(first) = first_commit(store, damage).await? else { return Err(corrupt("The log has no commit")) };
    let bytes = u64::from(first.db_pages) * u64::from(first.page_size);
    room_for(bytes)?;
    let kept = Rc::new(Kept { bytes, chunks: vec![None; bytes.div_ceil(CHUNK_SIZE as u64) as usize] });
    let before = Position { lsn: first.lsn - 1, chain: first.prev, time: first.time, logged: 0 };
    let start = kept.start(None, before, first.page_size);
    let mut state = recovery::replay(store, start, Until::End, least, head_epoch).await?;
    let later = state.broken.unwrap_or(Broken { lsn: state.end.lsn, ..least });
    state.broken = Some(Broken { from: damage, lost: later.lost + first.lsn - damage, ..later });
    readable(state, vec!["Pages that only the damaged part of the log has are missing".to_owned()], &time_left(bytes))
}

/// Returns the first part of the first commit from an lsn on whose parts can all be read.
async fn first_commit(store: &dyn Store, from: u64) -> Result<Option<LogHeader>> {
    let (mut first, mut parts) = (None, 0);
    let mut look = |key, bytes| {
        let header = LogRecord::decode(key, bytes).map(|record| record.header);
        match header.filter(|header| header.kind == LogKind::Commit) {
            Some(header) if header.part == 0 => (first, parts) = (Some(header), 1),
            Some(header) if first.is_some_and(|first| first.lsn == header.lsn) && header.part == parts => parts += 1,
            _ => first = None,
        }
        let is_whole = first.is_some_and(|first| first.parts == parts);
        Ok(if is_whole { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    };
    let found = records::each_of_log(store, (from - 1, u32::MAX), &mut look).await?;
    Ok(first.filter(|_| found))
}

/// Returns a state of which some pages can't be read without them, and adds what that costs to `missing`.
fn readable(mut state: Rebuilt, mut missing: Vec<String>, left: &TimeLeft) -> Result<(Rebuilt, Vec<String>)> {
    // The log may have changed every page that was damaged.
    match whole(&state.file) {
        Ok(image) => {
            missing.clear();
            state.file = PageFile::new(image);
        }
        Err(_) => {
            let salvaged = salvage(&state.file, left)?;
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

/// The intact chunks of a file; zeros in place of the others.
struct Kept {
    bytes: u64,
    chunks: Vec<Option<Box<[u8]>>>,
}

impl Kept {
    async fn read(paging: &Paging, manifest: &Manifest) -> Result<Self> {
        let mut chunks = Vec::with_capacity(manifest.chunks.len());
        for refs in manifest.chunks.chunks(CHUNK_SLICE) {
            room_for(2 * (refs.len() * CHUNK_SIZE) as u64)?;
            let ids: Vec<_> = refs.iter().map(|chunk| chunk.id).collect();
            for (stored, expected) in records::chunks(&*paging.store(), &ids).await?.into_iter().zip(refs) {
                let length = chunk_length(manifest.db_bytes, chunks.len());
                let plain = stored.and_then(|stored| chunk::intact(&stored, length, expected.check));
                chunks.push(plain.map(Vec::into_boxed_slice));
            }
        }
        if let Some(first) = chunks.first_mut().filter(|first| first.is_none()) {
            *first = recovery::from_other(&*paging.store(), manifest, false).await?.map(Vec::into_boxed_slice);
        }
        Ok(Self { bytes: manifest.db_bytes, chunks })
    }

    /// Returns a replay's start with these contents.
    fn start(self: Rc<Self>, base: Option<Manifest>, from: Position, page_size: u32) -> ReplayStart {
        let contents = paged(self.clone(), self.bytes, page_size, CACHE_BYTES);
        let contents = lacking(contents, |index| self.chunks[index as usize].is_none());
        ReplayStart {
            base,
            from,
            contents: FileContents::Paged(contents),
            damaged: Vec::new(),
            lacks_copy: false,
            barrier: u64::MAX,
        }
    }
}

impl StoredPages for Kept {
    fn chunk_count(&self) -> u32 {
        self.chunks.len() as u32
    }

    fn chunk(&self, index: u32) -> Result<Vec<u8>> {
        // Of a damaged chunk no page is read, but the log may write some.
        let length = || chunk_length(self.bytes, index as usize);
        Ok(self.chunks[index as usize].as_ref().map_or_else(|| vec![0; length()], |chunk| chunk.to_vec()))
    }
}

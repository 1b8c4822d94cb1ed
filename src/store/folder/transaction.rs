//! A transaction of the store, written to packs and journal.

use super::{
    FolderInner,
    frames::{FrameKind, segment_name},
    journal::{Journal, JournalEntry},
    packs::pack_name,
    state::{State, put_chunk, put_key, put_records},
};
use crate::{
    collections::Map,
    error::{Error, ErrorCode, Result},
    format::LayoutWriter,
    ports::{Durability, Guard, Key, LogKey, RESERVE, Transaction, Write, refill_reserve},
    store::failure::{lock_lost, missing_chunk},
};

impl FolderInner {
    /// Returns the files to which a transaction writes first, if they must be prepared.
    pub(super) fn to_prepare(&self, transaction: &Transaction) -> Result<Vec<String>> {
        // Each commit is such a batch, which needs none.
        if transaction.writes.iter().all(|write| matches!(write, Write::Add(..))) {
            return Ok(Vec::new());
        }
        let mut names = self.with(|slot| {
            let (mut names, nothing) = (Vec::new(), State::default());
            let rewrites = has(transaction, |write| matches!(write, Write::Put(Key::Log(_), _)));
            match slot {
                Some(journal) if rewrites || journal.must_begin_segment() => {
                    names.push(journal.next_segment());
                }
                None if claims(transaction) => names.push(segment_name(1)),
                _ => {}
            }
            if claims(transaction) {
                names.push(RESERVE.to_owned());
            }
            if has(transaction, is_chunk) {
                let state = slot.as_ref().map_or(&nothing, |journal| &journal.state);
                names.push(pack_name(self.packs.current(state)?));
            }
            Ok(names)
        })?;
        let mut missing = Ok(());
        names.retain(|name| match self.files.size(name) {
            Ok(size) => size.is_none(),
            Err(error) => {
                missing = Err(error);
                false
            }
        });
        missing?;
        // What is left of a log that is cut or rewritten is read first.
        if has(transaction, |write| matches!(write, Write::CutLog { .. } | Write::Put(Key::Log(_), _))) {
            names.append(&mut self.later_segments()?);
        }
        Ok(names)
    }

    /// Writes a transaction whose files are prepared.
    pub(super) fn write(&self, transaction: Transaction) -> Result<()> {
        self.with(|slot| {
            let nothing = State::default();
            check(slot.as_ref().map_or(&nothing, |journal| &journal.state), &transaction)?;
            let claims = claims(&transaction);
            let label = transaction.writes.iter().find_map(|write| match write {
                Write::PutHead(_, label) => Some(label.clone()),
                _ => None,
            });
            let journal = match slot {
                Some(journal) => journal,
                // Only a claim may create the folder again after it was deleted.
                None if !claims => return Err(lock_lost()),
                None => slot.insert(Journal::create(self.files.clone(), self.segment_bytes)?),
            };
            // A head alone has another key, or is that of a database which was moved here.
            let changes_key = matches!(transaction.writes[..], [Write::PutHead(..)]);
            let PreparedWrites { mut entries, replaced, sync } = self.prepare(journal, transaction)?;
            // A transaction without changes may still promise that all before it survives a power cut.
            if entries.is_empty() && replaced.is_empty() && !sync {
                return Ok(());
            }
            let segments = journal.segments();
            if replaced.is_empty() {
                let mut appended = journal.append(&mut entries, sync);
                let is_full = appended.as_ref().is_err_and(|error| error.is(ErrorCode::StorageQuotaExceeded));
                // The transaction's own chunks are in a pack, but not yet in the journal.
                if is_full
                    && entries.iter().all(|(kind, _)| *kind != FrameKind::PutChunk)
                    && self.fold_packs(journal)?
                {
                    appended = journal.append(&mut entries, sync);
                }
                appended?
            } else {
                journal.rewrite(entries, &replaced)?
            }
            if changes_key {
                journal.end_soon();
            }
            if claims {
                self.sweep(journal);
                refill_reserve(&*self.files);
            }
            if let Some(label) = label {
                self.files.describe(&label);
            }
            let left = journal.segments();
            for segment in segments.into_iter().filter(|segment| !left.contains(segment)) {
                let _ = self.files.remove(&segment_name(segment));
            }
            Ok(())
        })
    }

    /// Writes the transaction's chunks; returns the remaining work for the journal. A large batch is in memory once: what is
    /// prepared is freed.
    fn prepare(&self, journal: &Journal, transaction: Transaction) -> Result<PreparedWrites> {
        let mut sync = transaction.durability == Durability::Strict;
        let mut entries = Vec::with_capacity(transaction.writes.len());
        let (mut replaced, mut head_copy) = (Map::default(), None);
        let chunks = transaction.writes.iter().filter_map(|write| match write {
            Write::Put(Key::Chunk(_), bytes) => Some(&bytes[..]),
            _ => None,
        });
        // Finding the pack looks at all chunks, so only where it is needed.
        let mut extents = match has(&transaction, is_chunk) {
            true => self.packs.add(self.packs.current(&journal.state)?, chunks)?,
            false => Vec::new(),
        }
        .into_iter();
        for write in transaction.writes {
            sync |= !matches!(write, Write::Add(..));
            let mut body = LayoutWriter::default();
            let kind = match write {
                Write::Add(key, bytes) => {
                    put_key(&mut body, key);
                    body.bytes(&bytes);
                    FrameKind::Log
                }
                Write::PutHead(bytes, _) => {
                    body.bytes(&bytes);
                    head_copy = Some(body.0.clone());
                    FrameKind::Head
                }
                Write::Put(Key::Log(key), bytes) => {
                    replaced.insert(key, bytes);
                    continue;
                }
                Write::Put(Key::Manifest(generation), bytes) => {
                    body.u64(generation);
                    body.bytes(&bytes);
                    FrameKind::PutManifest
                }
                Write::Put(Key::Chunk(id), _) => {
                    let Some(extent) = extents.next() else { continue };
                    put_chunk(&mut body, &id, extent);
                    FrameKind::PutChunk
                }
                Write::Delete(Key::Manifest(generation)) => {
                    body.u64(generation);
                    FrameKind::DeleteManifest
                }
                Write::Delete(Key::Chunk(id)) => {
                    body.id(&id);
                    FrameKind::DeleteChunk
                }
                Write::Delete(Key::Log(_)) => {
                    return Err(Error::internal("A single record of the log can't be deleted"));
                }
                Write::CutLog { through, spare } => {
                    body.u64(through);
                    put_records(&mut body, &journal.spared_records(through, &spare)?);
                    FrameKind::CutLog
                }
            };
            entries.push((kind, body.0));
        }
        entries.extend(head_copy.map(|body| (FrameKind::Head, body)));
        Ok(PreparedWrites { entries, replaced, sync })
    }
}

/// The effect of a transaction on the journal.
struct PreparedWrites {
    entries: Vec<JournalEntry>,
    /// Log records that replace those of the same keys.
    replaced: Map<LogKey, Vec<u8>>,
    /// Whether it must survive a power cut.
    sync: bool,
}

/// Checks the transaction's conditions. Fails with `lock_lost` or `snapshot_corrupt`.
fn check(state: &State, transaction: &Transaction) -> Result<()> {
    if matches!(&transaction.guard, Guard::Head(head) if *head != state.head) {
        return Err(lock_lost());
    }
    if let Some(id) = transaction.require.iter().find(|id| !state.chunks.contains_key(*id)) {
        return Err(missing_chunk(id));
    }
    let mut newest = state.newest;
    for write in &transaction.writes {
        if let Write::Add(key, _) = write {
            if newest.is_some_and(|newest| newest >= *key) {
                return Err(lock_lost());
            }
            newest = Some(*key);
        }
    }
    Ok(())
}

/// Returns whether a transaction takes the database for a holder.
fn claims(transaction: &Transaction) -> bool {
    has(transaction, |write| matches!(write, Write::PutHead(..)))
        && has(transaction, |write| matches!(write, Write::Add(..)))
}

fn has(transaction: &Transaction, wanted: fn(&Write) -> bool) -> bool {
    transaction.writes.iter().any(wanted)
}

fn is_chunk(write: &Write) -> bool {
    matches!(write, Write::Put(Key::Chunk(_), _))
}

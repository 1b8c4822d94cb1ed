//! Forged journals, each frame with valid checksums: reading one takes time by its size, not by the square of it.

use std::{cell::Cell, future::ready, rc::Rc};

use tidelock::{
    ErrorCode, Result,
    ports::{ChunkId, Durability, Files, Guard, Key, LocalFuture, Store, Transaction, Write, sim::Sim},
    store::folder::FolderStore,
};
use xxhash_rust::xxh3::xxh3_64;

use super::{
    folder::part,
    hostile_folder::{HEADER, PUT_CHUNK, START_FRAME, empty_state},
};

const LOG: u8 = 1;
const PUT_MANIFEST: u8 = 3;
const SEAL: u8 = 7;
const WRONG_CHAIN: u64 = 12345;

/// A segment under construction.
struct Segment {
    bytes: Vec<u8>,
    chain: u64,
}

impl Segment {
    /// Begins the first segment of a store without data.
    fn new() -> Self {
        Self::begun(&empty_state())
    }

    fn begun(state: &[u8]) -> Self {
        let mut segment = Self { bytes: Vec::new(), chain: 0 };
        segment.frame(START_FRAME, 0, segment.chain, state);
        segment
    }

    /// Adds a frame, a transaction of its own, that names this many bytes as synced.
    fn frame(&mut self, kind: u8, synced: u64, chain: u64, body: &[u8]) {
        let mut header = [0; HEADER];
        header[..4].copy_from_slice(b"tdlk");
        (header[4], header[5]) = (kind, 1);
        header[8..12].copy_from_slice(&(body.len() as u32).to_le_bytes());
        header[12..20].copy_from_slice(&synced.to_le_bytes());
        header[20..28].copy_from_slice(&chain.to_le_bytes());
        let (number, at) = (1_u64.to_le_bytes(), (self.bytes.len() as u64).to_le_bytes());
        let layout = [&number[..], &at, &header[..28], &xxh3_64(body).to_le_bytes()].concat();
        self.chain = xxh3_64(&layout);
        header[28..].copy_from_slice(&self.chain.to_le_bytes());
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(body);
    }

    fn log(&mut self, lsn: u64, bytes: usize) {
        let key = [&lsn.to_le_bytes()[..], &[0; 4], &(bytes as u32).to_le_bytes(), &vec![0; bytes]].concat();
        self.frame(LOG, 0, self.chain, &key);
    }
}

/// A folder with one file, which counts what is read of it.
struct OneFile {
    journal: Vec<u8>,
    read: Cell<u64>,
}

impl Files for OneFile {
    fn prepare(&self, _: Vec<String>) -> LocalFuture<'static, Result<()>> {
        Box::pin(ready(Ok(())))
    }

    fn list(&self) -> Result<Vec<String>> {
        Ok(vec!["journal.1".to_owned()])
    }

    fn size(&self, name: &str) -> Result<Option<u64>> {
        Ok((name == "journal.1").then_some(self.journal.len() as u64))
    }

    fn read(&self, name: &str, at: u64, length: usize) -> Result<Option<Vec<u8>>> {
        let bytes = part(&self.journal, at, length).to_vec();
        self.read.set(self.read.get() + bytes.len() as u64);
        Ok((name == "journal.1").then_some(bytes))
    }

    fn write(&self, _: &str, _: u64, _: &[u8]) -> Result<()> {
        Ok(())
    }

    fn truncate(&self, _: &str, _: u64) -> Result<()> {
        Ok(())
    }

    fn sync(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> Result<()> {
        Ok(())
    }

    fn close(&self) {}
}

/// Reads the whole log and cuts it, sparing the records of these lsns. Checks how much was read; returns how many records were.
fn read(segment: Segment, slice: usize, spare: Vec<u64>) -> Result<usize> {
    let files = Rc::new(OneFile { journal: segment.bytes, read: Cell::default() });
    let store = FolderStore::new(files.clone());
    let result = Sim::new(1).run(async move {
        let (mut after, mut count) = ((0, u32::MAX), 0);
        loop {
            let records = store.log(after, slice).await?;
            let Some((last, _)) = records.last() else { break };
            after = *last;
            count += records.len();
        }
        let writes = vec![Write::CutLog { through: after.0, spare }];
        let (guard, durability) = (Guard::Nothing, Durability::Relaxed);
        store.write(Transaction { guard, require: Vec::new(), writes, durability }).await?;
        Ok(count)
    });
    let (read, size) = (files.read.get(), files.journal.len() as u64);
    assert!(read <= 12 * size + (12 << 20), "{read} bytes were read of {size}");
    result
}

#[test]
fn records_out_of_order_count_as_missing() {
    let mut segment = Segment::new();
    segment.log(1, 1000);
    (0..8).for_each(|lsn| segment.log(1_000_000 + lsn, 120));
    (2..2000).for_each(|lsn| segment.log(lsn, 50));
    assert_eq!(read(segment, 1000, Vec::new()).unwrap(), 1 + 8);
}

#[test]
fn a_segment_that_is_named_many_times_is_refused() {
    // The list of sealed segments comes last.
    let sealed = [&1_u64.to_le_bytes()[..], &1_000_000_u64.to_le_bytes(), &[0; 4]].concat();
    let state = empty_state();
    for (count, numbers) in [(1000, sealed.repeat(1000)), (1, sealed)] {
        let names = [&state[..state.len() - 4], &u32::to_le_bytes(count), &numbers].concat();
        let mut segment = Segment::begun(&names);
        (1..100).for_each(|lsn| segment.log(lsn, 100));
        assert_eq!(read(segment, 1 << 20, Vec::new()).unwrap_err().code, ErrorCode::DatabaseCorrupt);
        // Without records, nothing else shows that it is read again.
        let mut segment = Segment::begun(&names);
        (0..100_u64).for_each(|number| {
            let manifest = [&number.to_le_bytes()[..], &1000_u32.to_le_bytes(), &[0; 1000]].concat();
            segment.frame(PUT_MANIFEST, 0, segment.chain, &manifest);
        });
        assert_eq!(read(segment, 1 << 20, Vec::new()).unwrap_err().code, ErrorCode::DatabaseCorrupt);
    }
}

#[test]
fn a_state_behind_the_beginning_of_a_segment_is_refused() {
    let mut segment = Segment::new();
    segment.frame(START_FRAME, 0, segment.chain, &empty_state());
    segment.log(1, 10);
    segment.frame(START_FRAME, 0, segment.chain, &empty_state());
    assert_eq!(read(segment, 1 << 20, Vec::new()).unwrap_err().code, ErrorCode::DatabaseCorrupt);
}

#[test]
fn frames_without_a_chain_are_searched_once() {
    let mut segment = Segment::new();
    segment.log(1, 10);
    (0..20_000).for_each(|_| segment.frame(SEAL + 1, 0, WRONG_CHAIN, &[0; 12]));
    segment.frame(SEAL + 1, u64::MAX, WRONG_CHAIN, &[0; 12]);
    assert_eq!(read(segment, 1 << 20, Vec::new()).unwrap(), 1);
}

#[test]
fn what_looks_like_the_beginning_of_a_frame_is_read_once() {
    let mut segment = Segment::new();
    segment.log(1, 10);
    segment.bytes.extend(b"tdlk".repeat(50_000));
    assert_eq!(read(segment, 1 << 20, Vec::new()).unwrap(), 1);
}

#[test]
fn spared_records_are_read_once() {
    let mut segment = Segment::new();
    (1..=2000).for_each(|lsn| segment.log(lsn, 2000));
    assert_eq!(read(segment, 16 << 20, (1..=2000).collect()).unwrap(), 2000);
}

/// Takes minutes where each is put in its place among those before.
#[test]
fn chunks_and_manifests_may_come_in_any_order() {
    let count = 300_000_u64;
    let mut segment = Segment::new();
    for number in (0..count).rev() {
        segment.frame(PUT_CHUNK, 0, segment.chain, &[&[0; 24][..], &number.to_be_bytes(), &[0; 20]].concat());
        segment.frame(PUT_MANIFEST, 0, segment.chain, &[&number.to_le_bytes()[..], &[0; 4]].concat());
    }
    let files = Rc::new(OneFile { journal: segment.bytes, read: Cell::default() });
    Sim::new(1).run(async move {
        let store = FolderStore::new(files);
        assert_eq!(store.generations().await.unwrap(), (0..count).collect::<Vec<_>>());
        let id = Key::Chunk(ChunkId::parse(&format!("{:064x}", 7)).unwrap());
        assert_eq!(store.chunk_ids().await.unwrap().len() as u64, count);
        assert_eq!(store.get(vec![id]).await.unwrap(), [None], "its pack is missing");
    });
}

//! What every [`Store`] must do, as one suite: run over memory natively and over IndexedDB in browsers.
//!
//! Each case gets two handles to one empty database, as two tabs have them, and panics where the store fails it.

use std::rc::Rc;

use super::{Position, batch_records, checksum, chunk, epoch_record};
use crate::{
    error::{ErrorCode, Result},
    ports::{
        ChunkRef, Claim, Durability, Fence, Head, Holder, LocalFuture, LogRecord, Manifest, ManifestKind, Store,
        Transaction, Truncation, Write,
    },
    sqlite::Batch,
    time::Timestamp,
};

/// Two handles to one database.
pub struct Handles {
    /// The first tab's.
    pub a: Rc<dyn Store>,
    /// The second tab's.
    pub b: Rc<dyn Store>,
}

type Case = fn(Handles) -> LocalFuture<'static, ()>;

/// The cases, by name.
pub const CASES: &[(&str, Case)] = &[
    ("an empty database has nothing", |h| Box::pin(empty(h))),
    ("records come back as they were", |h| Box::pin(round_trip(h))),
    ("a claim needs the head that it found", |h| Box::pin(claim_needs_its_head(h))),
    ("a claim needs the log that it found", |h| Box::pin(claim_needs_its_log(h))),
    ("fencing: a robbed holder's batch meets the epoch record", |h| Box::pin(robbed_append(h))),
    ("fencing: a robbed holder's other writes find another epoch", |h| Box::pin(robbed_write(h))),
    ("whole commits: all parts or none", |h| Box::pin(all_parts_or_none(h))),
    ("manifest last: a missing chunk refuses it", |h| Box::pin(manifest_needs_its_chunks(h))),
    ("chunks of every size come back, in the form stored last", |h| Box::pin(chunk_sizes(h))),
    ("the log is read in slices and in order", |h| Box::pin(log_in_slices(h))),
    ("truncation spares epoch records", |h| Box::pin(truncation(h))),
    ("deletion deletes", |h| Box::pin(deletion(h))),
    ("head and log can be stored in another form", |h| Box::pin(another_form(h))),
    ("a reopened store goes on", |h| Box::pin(reopened(h))),
];

fn holder(title: &str) -> Holder {
    Holder {
        id: "ab".repeat(16),
        title: title.to_owned(),
        url: "https://example.test/a?b#c".to_owned(),
        since: Timestamp(7),
    }
}

fn first_claim(title: &str) -> (Claim, Position) {
    let (record, end) = epoch_record(Position::default(), 1, Timestamp(1_000));
    let head = Head {
        format: 1,
        features: Vec::new(),
        database_id: "0123456789abcdef".repeat(2),
        epoch: 1,
        holder: holder(title),
        generation: 0,
        lsn: 1,
        epochs: vec![1],
        truncated: Truncation::default(),
        encryption: None,
    };
    (Claim { found: None, newest: None, head, record }, end)
}

fn next_claim(found: &Head, newest: (u64, u32), end: Position) -> (Claim, Position) {
    let (record, next) = epoch_record(end, found.epoch + 1, Timestamp(2_000));
    let mut head = found.clone();
    head.epoch += 1;
    head.lsn = record.lsn;
    head.epochs.push(record.lsn);
    (Claim { found: Some(found.clone()), newest: Some(newest), head, record }, next)
}

async fn made(store: &dyn Store) -> (Head, Position) {
    let (claim, end) = first_claim("one");
    let head = claim.head.clone();
    assert!(store.claim(claim).await.expect("claims"), "an empty database can be claimed");
    (head, end)
}

fn batch(first_page: u32, pages: u32) -> Batch {
    let pages: Vec<u32> = (first_page..first_page + pages).collect();
    let bytes = pages.iter().flat_map(|page| (0..512_u32).map(move |n| (page * 31 + n) as u8)).collect();
    Batch { page_size: 512, db_pages: 1000, pages, bytes }
}

fn append(from: Position, pages: u32, part_bytes: usize) -> (Transaction, Position) {
    let (records, end) = batch_records(from, 1, &batch(3, pages), Timestamp(1_500), part_bytes);
    let writes = records.into_iter().map(Write::AddLog).collect();
    (Transaction { fence: None, require: Vec::new(), writes, durability: Durability::Relaxed }, end)
}

fn fenced(head: &Head, writes: Vec<Write>) -> Transaction {
    let fence = Some(Fence { database_id: head.database_id.clone(), epoch: head.epoch });
    Transaction { fence, require: Vec::new(), writes, durability: Durability::Strict }
}

fn manifest(generation: u64, chunks: Vec<ChunkRef>) -> Manifest {
    let mut manifest = Manifest {
        generation,
        format: 1,
        lsn: 2,
        chain: u64::MAX - 5,
        time: Timestamp(1_500),
        logged: 1 << 40,
        barrier: generation.is_multiple_of(2),
        created_at: Timestamp(1_600),
        page_size: 4096,
        db_bytes: 8192,
        chunk_size: 65536,
        sha256: chunk::digest(&chunks),
        chunks: chunks.into(),
        stored_bytes: 99,
        kind: if generation == 1 { ManifestKind::Checkpoint } else { ManifestKind::Snapshot },
        reason: "manual".to_owned(),
        label: (generation == 2).then(|| "before the fair ☂".to_owned()),
        schema_version: (generation == 3).then(|| "0003".to_owned()),
        compression: "lz4".to_owned(),
        verified: true,
        checksum: 0,
        sealed: None,
    };
    manifest.checksum = checksum::of_manifest(&manifest);
    manifest
}

fn chunk_of(byte: u8) -> (ChunkRef, Vec<u8>) {
    let plain = vec![byte; 8192];
    let stored = chunk::encode(&plain, true);
    let reference = ChunkRef { id: chunk::id(&plain), check: checksum::of_bytes(&plain), stored: stored.len() as u32 };
    (reference, stored)
}

fn failed<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    result.expect_err("this must fail").code
}

async fn empty(h: Handles) {
    assert_eq!(h.a.head().await, Ok(None));
    assert_eq!(h.a.newest_log().await, Ok(None));
    assert_eq!(h.a.manifests().await, Ok((Vec::new(), Vec::new())));
    assert_eq!(h.a.manifest(1).await, Ok(None));
    assert_eq!(h.a.log((0, u32::MAX), 1000).await, Ok(Vec::new()));
    assert_eq!(h.a.chunk_ids().await, Ok(Vec::new()));
    assert_eq!(h.a.chunks(&["00".repeat(32)]).await, Ok(vec![None]));
}

async fn round_trip(h: Handles) {
    let (head, end) = made(&*h.a).await;
    assert_eq!(h.b.head().await, Ok(Some(head.clone())));
    let (transaction, end) = append(end, 5, 1024);
    let written: Vec<Write> = transaction.writes.clone();
    h.a.write(transaction).await.expect("appends");
    let entries = h.b.log((1, u32::MAX), usize::MAX).await.expect("reads");
    let read: Vec<Write> = entries.into_iter().map(|entry| Write::AddLog(entry.record.expect("readable"))).collect();
    assert_eq!(read, written);
    assert_eq!(read.len(), 3, "five pages of 512 bytes in parts of 1024");
    assert_eq!(h.b.newest_log().await, Ok(Some((end.lsn, 2))));

    let (reference, stored) = chunk_of(1);
    let manifests: Vec<Manifest> = (1..=3).map(|generation| manifest(generation, vec![reference.clone()])).collect();
    let mut writes = vec![Write::PutChunk(reference.id.clone(), stored.clone())];
    writes.extend(manifests.iter().rev().cloned().map(Box::new).map(Write::PutManifest));
    h.a.write(fenced(&head, writes)).await.expect("stores");
    assert_eq!(h.b.manifests().await, Ok((manifests.clone(), Vec::new())), "oldest first");
    assert_eq!(h.b.manifest(2).await, Ok(Some(manifests[1].clone())));
    assert_eq!(h.b.chunk_ids().await, Ok(vec![reference.id.clone()]));
    let asked = ["11".repeat(32), reference.id.clone(), reference.id];
    assert_eq!(h.b.chunks(&asked).await, Ok(vec![None, Some(stored.clone()), Some(stored)]));
    assert_eq!(h.b.head().await.expect("reads").expect("is there").generation, 3);
}

async fn claim_needs_its_head(h: Handles) {
    let (head, end) = made(&*h.a).await;
    let (again, _) = first_claim("two");
    assert_eq!(h.b.claim(again).await, Ok(false), "the database exists by now");
    let (claim, end) = next_claim(&head, (1, 0), end);
    assert_eq!(h.b.claim(claim.clone()).await, Ok(true));
    let (late, _) = next_claim(&head, (2, 0), end);
    assert_eq!(h.a.claim(late).await, Ok(false), "somebody else claimed first");
    assert_eq!(h.a.head().await, Ok(Some(claim.head)));
    assert_eq!(h.a.newest_log().await, Ok(Some((2, 0))));
}

async fn claim_needs_its_log(h: Handles) {
    let (head, end) = made(&*h.a).await;
    let (transaction, _) = append(end, 1, 1024);
    h.a.write(transaction).await.expect("appends");
    let (claim, _) = next_claim(&head, (1, 0), end);
    assert_eq!(h.b.claim(claim).await, Ok(false), "the log has grown");
    assert_eq!(h.b.head().await, Ok(Some(head)));
}

async fn robbed_append(h: Handles) {
    let (head, end) = made(&*h.a).await;
    let (claim, _) = next_claim(&head, (1, 0), end);
    assert_eq!(h.b.claim(claim).await, Ok(true));
    let (transaction, _) = append(end, 5, 1024);
    assert_eq!(failed(h.a.write(transaction).await), ErrorCode::LockLost);
    assert_eq!(h.b.newest_log().await, Ok(Some((2, 0))));
    let entries = h.b.log((0, u32::MAX), usize::MAX).await.expect("reads");
    assert_eq!(entries.len(), 2, "nothing of the robbed holder's batch");
}

async fn robbed_write(h: Handles) {
    let (head, end) = made(&*h.a).await;
    let (reference, stored) = chunk_of(2);
    let (claim, _) = next_claim(&head, (1, 0), end);
    let taken = claim.head.clone();
    assert_eq!(h.b.claim(claim).await, Ok(true));
    let put = |head: &Head| fenced(head, vec![Write::PutChunk(reference.id.clone(), stored.clone())]);
    assert_eq!(failed(h.a.write(put(&head)).await), ErrorCode::LockLost);
    let stranger = Head { database_id: "f".repeat(32), ..taken.clone() };
    assert_eq!(failed(h.a.write(put(&stranger)).await), ErrorCode::LockLost);
    assert_eq!(h.a.chunk_ids().await, Ok(Vec::new()));
    h.b.write(put(&taken)).await.expect("the new holder may");
}

async fn all_parts_or_none(h: Handles) {
    let (_, end) = made(&*h.a).await;
    let (mut transaction, _) = append(end, 6, 1024);
    // The last part meets a taken key: the ones before it must go with it.
    let Some(Write::AddLog(record)) = transaction.writes.last_mut() else { unreachable!() };
    (record.lsn, record.part) = (1, 0);
    assert_eq!(failed(h.a.write(transaction).await), ErrorCode::LockLost);
    assert_eq!(h.a.newest_log().await, Ok(Some((1, 0))));
}

async fn manifest_needs_its_chunks(h: Handles) {
    let (head, _) = made(&*h.a).await;
    let ((here, stored), (gone, _)) = (chunk_of(3), chunk_of(4));
    h.a.write(fenced(&head, vec![Write::PutChunk(here.id.clone(), stored)])).await.expect("stores");
    let put = |chunks: Vec<ChunkRef>| {
        let require = chunks.iter().map(|chunk| chunk.id.clone()).collect();
        Transaction { require, ..fenced(&head, vec![Write::PutManifest(Box::new(manifest(1, chunks)))]) }
    };
    assert_eq!(failed(h.a.write(put(vec![here.clone(), gone])).await), ErrorCode::SnapshotCorrupt);
    assert_eq!(h.a.manifests().await, Ok((Vec::new(), Vec::new())));
    h.a.write(put(vec![here])).await.expect("every chunk is there");
    assert_eq!(h.a.manifests().await.expect("reads").0.len(), 1);
}

async fn chunk_sizes(h: Handles) {
    let (head, _) = made(&*h.a).await;
    // Larger than any chunk is, and than what some stores keep in one record.
    let noise: Vec<u8> = (0..130_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let sizes = [1, 59_999, 60_000, 60_001, 65_541, 65_569, 130_000];
    let ids: Vec<String> = sizes.iter().map(|size| chunk::id(&noise[..*size])).collect();
    let put = |sizes: &[usize]| {
        let writes = ids.iter().zip(sizes).map(|(id, size)| Write::PutChunk(id.clone(), noise[..*size].to_vec()));
        fenced(&head, writes.collect())
    };
    // Each also in the place of one that was larger or smaller.
    for turn in 0..sizes.len() {
        let mut sizes = sizes;
        sizes.rotate_left(turn);
        h.a.write(put(&sizes)).await.expect("stores");
        let stored: Vec<Option<usize>> =
            h.b.chunks(&ids).await.expect("reads").into_iter().map(|bytes| bytes.map(|bytes| bytes.len())).collect();
        assert_eq!(stored, sizes.map(Some));
        // An encrypted store names those that no manifest does by what they lie under.
        assert_eq!(h.b.chunk_ids().await.expect("reads").len(), sizes.len());
    }
    h.a.write(put(&sizes)).await.expect("stores");
    let expected = sizes.map(|size| Some(noise[..size].to_vec()));
    assert!(h.b.chunks(&ids).await.expect("reads") == expected);
    let (claim, _) = next_claim(&head, (1, 0), Position { lsn: 1, ..Position::default() });
    let next = claim.head.clone();
    assert_eq!(h.b.claim(claim).await, Ok(true));
    assert_eq!(h.a.head().await, Ok(Some(next.clone())), "the head is as it was given");
    h.b.write(fenced(&next, vec![Write::PutHead(Box::new(next.clone()))])).await.expect("stores");
    assert_eq!(h.a.head().await, Ok(Some(next.clone())));
    let delete = ids[1..].iter().cloned().map(Write::DeleteChunk).collect();
    h.b.write(fenced(&next, delete)).await.expect("deletes");
    assert_eq!(h.a.chunk_ids().await.expect("reads").len(), 1);
    let mut left = vec![None; ids.len()];
    left[0] = Some(noise[..1].to_vec());
    assert!(h.a.chunks(&ids).await.expect("reads") == left);
}

async fn log_in_slices(h: Handles) {
    let (_, mut end) = made(&*h.a).await;
    for pages in [1, 7, 2, 4] {
        let (transaction, next) = append(end, pages, 1024);
        h.a.write(transaction).await.expect("appends");
        end = next;
    }
    let whole: Vec<(u64, u32)> =
        h.a.log((0, u32::MAX), usize::MAX).await.expect("reads").iter().map(|entry| (entry.lsn, entry.part)).collect();
    assert_eq!(whole, [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3), (4, 0), (5, 0), (5, 1)]);
    for max_bytes in [1, 600, 3000] {
        let (mut key, mut seen) = ((0, u32::MAX), Vec::new());
        loop {
            let entries = h.a.log(key, max_bytes).await.expect("reads");
            let Some(last) = entries.last() else { break };
            key = (last.lsn, last.part);
            seen.extend(entries.iter().map(|entry| (entry.lsn, entry.part)));
        }
        assert_eq!(seen, whole, "in slices of {max_bytes} bytes");
    }
    assert_eq!(h.a.log((3, 3), usize::MAX).await.expect("reads").len(), 3);
}

async fn truncation(h: Handles) {
    let (head, end) = made(&*h.a).await;
    let (transaction, end) = append(end, 3, 1024);
    h.a.write(transaction).await.expect("appends");
    let (claim, end) = next_claim(&head, (2, 1), end);
    let head = claim.head.clone();
    assert_eq!(h.a.claim(claim).await, Ok(true));
    let (transaction, end) = append(end, 3, 1024);
    h.a.write(transaction).await.expect("appends");
    let (transaction, _) = append(end, 1, 1024);
    h.a.write(transaction).await.expect("appends");
    let to = Truncation { lsn: 4, logged: 3072 };
    h.a.write(fenced(&head, vec![Write::TruncateLog(to)])).await.expect("truncates");
    let left: Vec<u64> = h.b.log((0, u32::MAX), usize::MAX).await.expect("reads").iter().map(|e| e.lsn).collect();
    assert_eq!(left, [1, 3, 5]);
    assert_eq!(h.b.head().await.expect("reads").expect("is there").truncated, to);
}

async fn deletion(h: Handles) {
    let (head, _) = made(&*h.a).await;
    let ((one, stored_one), (two, stored_two)) = (chunk_of(5), chunk_of(6));
    let writes = vec![
        Write::PutChunk(one.id.clone(), stored_one),
        Write::PutChunk(two.id.clone(), stored_two),
        Write::PutManifest(Box::new(manifest(1, vec![one.clone()]))),
        Write::PutManifest(Box::new(manifest(2, vec![two.clone()]))),
    ];
    h.a.write(fenced(&head, writes)).await.expect("stores");
    h.a.write(fenced(&head, vec![Write::DeleteManifest(1), Write::DeleteChunk(one.id)])).await.expect("deletes");
    assert_eq!(h.b.chunk_ids().await, Ok(vec![two.id]));
    let left: Vec<u64> = h.b.manifests().await.expect("reads").0.iter().map(|m| m.generation).collect();
    assert_eq!(left, [2]);
    assert_eq!(h.b.head().await.expect("reads").expect("is there").generation, 2, "numbers are never used again");
}

async fn another_form(h: Handles) {
    let (head, mut end) = made(&*h.a).await;
    for pages in [2, 5] {
        let (transaction, next) = append(end, pages, 1024);
        h.a.write(transaction).await.expect("appends");
        end = next;
    }
    let mut records: Vec<LogRecord> = read_log(&*h.a).await;
    assert_eq!(records.len(), 5);
    records.iter_mut().for_each(|record| record.bytes.reverse());
    let mut other = head.clone();
    other.holder.title = "another one".to_owned();
    let mut writes = vec![Write::PutHead(Box::new(other.clone()))];
    writes.extend(records.iter().cloned().map(Write::PutLog));
    let stranger = Head { epoch: head.epoch + 1, ..head.clone() };
    assert_eq!(failed(h.a.write(fenced(&stranger, writes.clone())).await), ErrorCode::LockLost);
    assert_eq!(h.a.head().await, Ok(Some(head.clone())));
    h.a.write(fenced(&head, writes)).await.expect("stores");
    assert_eq!(h.b.head().await, Ok(Some(other)));
    assert_eq!(read_log(&*h.b).await, records);
    assert_eq!(h.b.newest_log().await, Ok(Some((end.lsn, 2))));
    let (transaction, end) = append(end, 1, 1024);
    h.a.write(transaction.clone()).await.expect("appends");
    assert_eq!(failed(h.a.write(transaction).await), ErrorCode::LockLost, "the key is taken");
    assert_eq!(h.b.newest_log().await, Ok(Some((end.lsn, 0))));
    assert_eq!(read_log(&*h.b).await.len(), 6);
}

async fn read_log(store: &dyn Store) -> Vec<LogRecord> {
    let entries = store.log((0, u32::MAX), usize::MAX).await.expect("reads");
    entries.into_iter().map(|entry| entry.record.expect("readable")).collect()
}

async fn reopened(h: Handles) {
    let (_, end) = made(&*h.a).await;
    h.a.reopen().await.expect("reopens");
    let (transaction, _) = append(end, 2, 4096);
    h.a.write(transaction).await.expect("appends");
    assert_eq!(h.b.newest_log().await, Ok(Some((2, 0))));
}

//! The conformance suite of [`Store`]: run over memory natively and over IndexedDB in browsers.
//!
//! Each case gets two handles to one empty database, as two tabs would, and panics when the store fails it.

use std::rc::Rc;

use futures_util::future::join;

use super::chunk;
use crate::{
    error::{ErrorCode, Result},
    format::Head,
    ports::{
        ChunkId, Durability, Guard, HeadInfo, Holder, Key, LocalFuture, LogKey, Store, StoredRecord, Transaction, Write,
    },
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
    ("bytes come back as they were", |h| Box::pin(round_trip(h))),
    ("a claim needs the head that it found", |h| Box::pin(claim_needs_its_head(h))),
    ("a claim needs the log that it found", |h| Box::pin(claim_needs_its_log(h))),
    ("fencing: a fenced-out holder's batch finds the epoch record", |h| Box::pin(fenced_out_append(h))),
    ("fencing: a fenced-out holder's other writes find another head", |h| Box::pin(fenced_out_write(h))),
    ("whole commits: all parts or none", |h| Box::pin(all_parts_or_none(h))),
    ("manifest last: a missing chunk refuses it", |h| Box::pin(manifest_needs_its_chunks(h))),
    ("chunks of every size come back, in the form stored last", |h| Box::pin(chunk_sizes(h))),
    ("the log is read in slices and in order", |h| Box::pin(log_in_slices(h))),
    ("a cut spares the given records", |h| Box::pin(cut(h))),
    ("deletion deletes", |h| Box::pin(deletion(h))),
    ("head and log can be stored in another form", |h| Box::pin(another_form(h))),
    ("a reopened store continues", |h| Box::pin(reopened(h))),
    ("the head's copy is the head", |h| Box::pin(head_copy(h))),
    ("a head can be read while another one is being stored", |h| Box::pin(read_meanwhile(h))),
];

/// A part number above all parts of an lsn.
const LAST: u32 = u32::MAX;

fn head(epoch: u64) -> Vec<u8> {
    let holder = Holder {
        id: "ab".repeat(16),
        title: "one ☂".to_owned(),
        url: "https://example.test/a?b#c".to_owned(),
        since: Timestamp(7),
    };
    let database_id = "0123456789abcdef".repeat(2);
    Head { format: crate::format::FORMAT, holder, database_id, epoch, ..Head::default() }.encode()
}

fn put_head(head: &[u8]) -> Write {
    Write::PutHead(head.to_vec(), HeadInfo::default())
}

fn over(found: Option<&[u8]>, writes: Vec<Write>) -> Transaction {
    let guard = Guard::Head(found.map(<[u8]>::to_vec));
    Transaction { guard, require: Vec::new(), writes, durability: Durability::Strict }
}

/// Claims the fence, with an epoch record at that lsn.
fn claim(found: Option<&[u8]>, next: &[u8], lsn: u64) -> Transaction {
    over(found, vec![put_head(next), Write::Add((lsn, 0), b"epoch".to_vec())])
}

async fn made(store: &dyn Store) -> Vec<u8> {
    store.write(claim(None, &head(1), 1)).await.expect("an empty database can be claimed");
    head(1)
}

/// Returns bytes that differ between records.
fn record((lsn, part): LogKey, length: usize) -> Vec<u8> {
    (0..length).map(|at| (at as u64 * 31 + lsn * 7 + u64::from(part)) as u8).collect()
}

/// Returns a batch with parts of these lengths.
fn batch(lsn: u64, lengths: &[usize]) -> Transaction {
    let parts = lengths.iter().zip(0..);
    let writes = parts.map(|(length, part)| Write::Add((lsn, part), record((lsn, part), *length))).collect();
    Transaction { guard: Guard::Nothing, require: Vec::new(), writes, durability: Durability::Relaxed }
}

fn chunk_of(byte: u8) -> (ChunkId, Vec<u8>) {
    let plain = vec![byte; 8192];
    (chunk::id(&plain), chunk::encode(&plain, true))
}

/// Returns the key of a chunk in that store.
fn key_of(store: &dyn Store, id: &ChunkId) -> Key {
    Key::Chunk(store.stored_id(id))
}

fn failed<T: std::fmt::Debug>(result: Result<T>) -> ErrorCode {
    result.expect_err("this must fail").code
}

async fn log(store: &dyn Store) -> Vec<StoredRecord> {
    store.log((0, LAST), usize::MAX).await.expect("reads")
}

async fn log_keys(store: &dyn Store) -> Vec<LogKey> {
    log(store).await.into_iter().map(|(key, _)| key).collect()
}

async fn empty(h: Handles) {
    assert_eq!(h.a.head().await, Ok(None));
    assert_eq!(h.a.generations().await, Ok(Vec::new()));
    assert_eq!(h.a.get(vec![Key::Manifest(1)]).await, Ok(vec![None]));
    assert_eq!(h.a.log((0, LAST), 1000).await, Ok(Vec::new()));
    assert_eq!(h.a.chunk_ids().await, Ok(Vec::new()));
    assert_eq!(h.a.get(vec![Key::Chunk(ChunkId::new(&[0; 32]))]).await, Ok(vec![None]));
    assert_eq!(h.a.get(Vec::new()).await, Ok(Vec::new()));
}

async fn read_meanwhile(Handles { a, .. }: Handles) {
    let first = made(&*a).await;
    let storing = a.write(over(Some(&first), vec![put_head(&head(2))]));
    // A transaction of IndexedDB would end if nothing polled it meanwhile.
    let (read, stored) = join(a.head(), storing).await;
    let read = read.expect("reads");
    assert!(read == Some(first) || read == Some(head(2)), "neither of the two");
    stored.expect("no other head was stored");
    a.write(over(Some(&head(2)), vec![put_head(&head(3))])).await.expect("its head is the stored one");
}

async fn head_copy(h: Handles) {
    assert_eq!(h.a.head_copy().await, Ok(None));
    let first = made(&*h.a).await;
    // Stores that make use of a second head themselves, or that encrypt it, show none.
    let Some(copy) = h.b.head_copy().await.expect("reads") else { return };
    assert_eq!(copy, first);
    h.b.write(over(Some(&first), vec![put_head(&head(2))])).await.expect("writes");
    assert_eq!(h.a.head_copy().await, Ok(Some(head(2))));
    assert_eq!(failed(h.b.write(over(Some(&first), vec![put_head(&head(3))])).await), ErrorCode::LockLost);
    assert_eq!(h.a.head_copy().await, Ok(Some(head(2))));
}

async fn round_trip(h: Handles) {
    let head = made(&*h.a).await;
    assert_eq!(h.b.head().await, Ok(Some(head.clone())));
    h.a.write(batch(2, &[1024, 1024, 512])).await.expect("appends");
    let expected: Vec<_> =
        [((2, 0), 1024), ((2, 1), 1024), ((2, 2), 512)].map(|(key, length)| (key, record(key, length))).into();
    assert_eq!(h.b.log((1, LAST), usize::MAX).await, Ok(expected));

    let (id, stored) = chunk_of(1);
    let chunk = key_of(&*h.a, &id);
    let mut writes = vec![Write::Put(chunk.clone(), stored.clone())];
    writes.extend([3, 1, 2].map(|generation| Write::Put(Key::Manifest(generation), vec![generation as u8; 300])));
    let mut next = Head::decode(&head).expect("a head");
    next.generation = 3;
    writes.push(put_head(&next.encode()));
    h.a.write(over(Some(&head), writes)).await.expect("stores");
    assert_eq!(h.b.generations().await, Ok(vec![1, 2, 3]), "oldest first");
    let asked = vec![Key::Manifest(2), Key::Manifest(4), Key::Manifest(1)];
    assert_eq!(h.b.get(asked).await, Ok(vec![Some(vec![2; 300]), None, Some(vec![1; 300])]));
    assert_eq!(h.b.chunk_ids().await, Ok(vec![h.b.stored_id(&id)]));
    let asked = vec![Key::Chunk(ChunkId::new(&[0x11; 32])), chunk.clone(), chunk];
    assert_eq!(h.b.get(asked).await, Ok(vec![None, Some(stored.clone()), Some(stored)]));
    assert_eq!(h.b.head().await, Ok(Some(next.encode())));
}

async fn claim_needs_its_head(h: Handles) {
    let first = made(&*h.a).await;
    assert_eq!(failed(h.b.write(claim(None, &head(1), 2)).await), ErrorCode::LockLost, "the database exists by now");
    h.b.write(claim(Some(&first), &head(2), 2)).await.expect("claims");
    let late = claim(Some(&first), &head(3), 3);
    assert_eq!(failed(h.a.write(late).await), ErrorCode::LockLost, "another handle claimed first");
    assert_eq!(h.a.head().await, Ok(Some(head(2))));
    assert_eq!(log_keys(&*h.a).await, [(1, 0), (2, 0)]);
}

async fn claim_needs_its_log(h: Handles) {
    let first = made(&*h.a).await;
    h.a.write(batch(2, &[500])).await.expect("appends");
    let late = claim(Some(&first), &head(2), 2);
    assert_eq!(failed(h.b.write(late).await), ErrorCode::LockLost, "the log has grown");
    assert_eq!(h.b.head().await, Ok(Some(first)));
}

async fn fenced_out_append(h: Handles) {
    let first = made(&*h.a).await;
    h.b.write(claim(Some(&first), &head(2), 2)).await.expect("claims");
    assert_eq!(failed(h.a.write(batch(2, &[1024, 1024, 512])).await), ErrorCode::LockLost);
    assert_eq!(log_keys(&*h.b).await, [(1, 0), (2, 0)], "no part of the fenced-out holder's batch");
}

async fn fenced_out_write(h: Handles) {
    let first = made(&*h.a).await;
    let (id, stored) = chunk_of(2);
    h.b.write(claim(Some(&first), &head(2), 2)).await.expect("claims");
    let put = |head: &[u8]| over(Some(head), vec![Write::Put(key_of(&*h.a, &id), stored.clone())]);
    assert_eq!(failed(h.a.write(put(&first)).await), ErrorCode::LockLost);
    let absent = over(None, vec![Write::Put(key_of(&*h.a, &id), stored.clone())]);
    assert_eq!(failed(h.a.write(absent).await), ErrorCode::LockLost);
    assert_eq!(h.a.chunk_ids().await, Ok(Vec::new()));
    h.b.write(put(&head(2))).await.expect("the new holder may");
}

async fn all_parts_or_none(h: Handles) {
    made(&*h.a).await;
    let mut transaction = batch(2, &[1024, 1024]);
    // The last part finds its key taken: the earlier ones must be rolled back with it.
    transaction.writes.push(Write::Add((1, 0), record((1, 0), 10)));
    assert_eq!(failed(h.a.write(transaction).await), ErrorCode::LockLost);
    assert_eq!(log_keys(&*h.a).await, [(1, 0)]);
}

async fn manifest_needs_its_chunks(h: Handles) {
    let head = made(&*h.a).await;
    let ((here, stored), (missing, _)) = (chunk_of(3), chunk_of(4));
    h.a.write(over(Some(&head), vec![Write::Put(key_of(&*h.a, &here), stored)])).await.expect("stores");
    let put = |ids: &[&ChunkId]| {
        let require = ids.iter().map(|id| h.a.stored_id(id)).collect();
        Transaction { require, ..over(Some(&head), vec![Write::Put(Key::Manifest(1), vec![1])]) }
    };
    assert_eq!(failed(h.a.write(put(&[&here, &missing])).await), ErrorCode::SnapshotCorrupt);
    assert_eq!(h.a.generations().await, Ok(Vec::new()));
    h.a.write(put(&[&here])).await.expect("every chunk is there");
    assert_eq!(h.a.generations().await, Ok(vec![1]));
}

async fn chunk_sizes(h: Handles) {
    let first = made(&*h.a).await;
    // Larger than any chunk, and than the records of some stores.
    let noise: Vec<u8> = (0..130_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let sizes = [1, 59_999, 60_000, 60_001, 65_541, 65_569, 130_000];
    let keys: Vec<Key> = sizes.iter().map(|size| key_of(&*h.a, &chunk::id(&noise[..*size]))).collect();
    let put = |sizes: &[usize]| {
        let writes = keys.iter().zip(sizes).map(|(key, size)| Write::Put(key.clone(), noise[..*size].to_vec()));
        over(Some(&first), writes.collect())
    };
    // Each also replaces a larger and a smaller one.
    for step in 0..sizes.len() {
        let mut sizes = sizes;
        sizes.rotate_left(step);
        h.a.write(put(&sizes)).await.expect("stores");
        let stored = h.b.get(keys.clone()).await.expect("reads");
        let stored: Vec<Option<usize>> = stored.into_iter().map(|bytes| bytes.map(|bytes| bytes.len())).collect();
        assert_eq!(stored, sizes.map(Some));
        assert_eq!(h.b.chunk_ids().await.expect("reads").len(), sizes.len());
    }
    h.a.write(put(&sizes)).await.expect("stores");
    let expected = sizes.map(|size| Some(noise[..size].to_vec()));
    assert!(h.b.get(keys.clone()).await.expect("reads") == expected);
    h.b.write(claim(Some(&first), &head(2), 2)).await.expect("claims");
    let delete = keys[1..].iter().cloned().map(Write::Delete).collect();
    h.b.write(over(Some(&head(2)), delete)).await.expect("deletes");
    assert_eq!(h.a.chunk_ids().await.expect("reads").len(), 1);
    let mut left = vec![None; keys.len()];
    left[0] = Some(noise[..1].to_vec());
    assert!(h.a.get(keys).await.expect("reads") == left);
}

async fn log_in_slices(h: Handles) {
    made(&*h.a).await;
    for (lsn, lengths) in [(2, &[512][..]), (3, &[1024, 1024, 1024, 512]), (4, &[1024]), (5, &[1024, 1024])] {
        h.a.write(batch(lsn, lengths)).await.expect("appends");
    }
    let whole = log_keys(&*h.a).await;
    assert_eq!(whole, [(1, 0), (2, 0), (3, 0), (3, 1), (3, 2), (3, 3), (4, 0), (5, 0), (5, 1)]);
    for max_bytes in [1, 600, 3000] {
        let (mut key, mut seen) = ((0, LAST), Vec::new());
        loop {
            let records = h.a.log(key, max_bytes).await.expect("reads");
            let Some((last, _)) = records.last() else { break };
            key = *last;
            seen.extend(records.iter().map(|(key, _)| *key));
        }
        assert_eq!(seen, whole, "in slices of {max_bytes} bytes");
    }
    assert_eq!(h.a.log((3, 3), usize::MAX).await.expect("reads").len(), 3);
}

async fn cut(h: Handles) {
    let first = made(&*h.a).await;
    h.a.write(batch(2, &[1024, 512])).await.expect("appends");
    h.a.write(claim(Some(&first), &head(2), 3)).await.expect("claims");
    for lsn in [4, 5] {
        h.a.write(batch(lsn, &[1024, 512])).await.expect("appends");
    }
    let cut = |through, spare: &[u64]| over(Some(&head(2)), vec![Write::CutLog { through, spare: spare.to_vec() }]);
    h.a.write(cut(4, &[1, 3, 9])).await.expect("cuts");
    assert_eq!(log_keys(&*h.b).await, [(1, 0), (3, 0), (5, 0), (5, 1)]);
    assert_eq!(log(&*h.b).await[0], ((1, 0), b"epoch".to_vec()), "as it was");
    h.a.write(batch(6, &[10])).await.expect("still works");
    h.a.write(cut(5, &[3])).await.expect("cuts");
    assert_eq!(log_keys(&*h.b).await, [(3, 0), (6, 0)]);
    assert_eq!(failed(h.a.write(batch(3, &[10])).await), ErrorCode::LockLost, "a spared record is a fence");
}

async fn deletion(h: Handles) {
    let head = made(&*h.a).await;
    let ((one, stored_one), (two, stored_two)) = (chunk_of(5), chunk_of(6));
    let writes = vec![
        Write::Put(key_of(&*h.a, &one), stored_one),
        Write::Put(key_of(&*h.a, &two), stored_two),
        Write::Put(Key::Manifest(1), vec![1]),
        Write::Put(Key::Manifest(2), vec![2]),
    ];
    h.a.write(over(Some(&head), writes)).await.expect("stores");
    let delete = vec![Write::Delete(Key::Manifest(1)), Write::Delete(key_of(&*h.a, &one))];
    h.a.write(over(Some(&head), delete)).await.expect("deletes");
    assert_eq!(h.b.chunk_ids().await, Ok(vec![h.b.stored_id(&two)]));
    assert_eq!(h.b.generations().await, Ok(vec![2]));
}

async fn another_form(h: Handles) {
    let first = made(&*h.a).await;
    h.a.write(batch(2, &[1024])).await.expect("appends");
    h.a.write(claim(Some(&first), &head(2), 3)).await.expect("claims");
    h.a.write(batch(4, &[1024, 1024, 512])).await.expect("appends");
    let cut = Write::CutLog { through: 2, spare: vec![1] };
    h.a.write(over(Some(&head(2)), vec![cut])).await.expect("cuts");
    let mut records = log(&*h.a).await;
    assert_eq!(records.len(), 5);
    records.iter_mut().for_each(|(_, record)| record.reverse());
    let mut writes = vec![put_head(&head(3))];
    writes.extend(records.iter().cloned().map(|(key, record)| Write::Put(Key::Log(key), record)));
    assert_eq!(failed(h.a.write(over(Some(&first), writes.clone())).await), ErrorCode::LockLost);
    assert_eq!(h.a.head().await, Ok(Some(head(2))));
    h.a.write(over(Some(&head(2)), writes)).await.expect("stores");
    assert_eq!(h.b.head().await, Ok(Some(head(3))));
    assert_eq!(log(&*h.b).await, records);
    h.a.write(batch(5, &[512])).await.expect("appends");
    assert_eq!(failed(h.a.write(batch(5, &[512])).await), ErrorCode::LockLost, "the key is taken");
    assert_eq!(log(&*h.b).await.len(), 6);
}

async fn reopened(h: Handles) {
    made(&*h.a).await;
    // What is called meanwhile has a connection, too.
    let (reopened, head) = join(h.a.reopen(), h.a.head()).await;
    reopened.expect("reopens");
    head.expect("reads while it reopens");
    h.a.write(batch(2, &[1024])).await.expect("appends");
    assert_eq!(log_keys(&*h.b).await, [(1, 0), (2, 0)]);
}

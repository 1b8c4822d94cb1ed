//! Stored records, decoded, and changed directly.

use tidelock::{
    format::{Head, LogHeader, LogRecord, Manifest, Reader, begin, body, finish},
    store::Contents,
};

/// Returns the head.
pub fn head(contents: &Contents) -> Head {
    contents.head.as_deref().and_then(Head::decode).expect("a head")
}

/// Replaces the head.
pub fn change_head(contents: &mut Contents, change: impl FnOnce(&mut Head)) {
    let mut head = head(contents);
    change(&mut head);
    contents.head = Some(head.encode());
}

/// Returns the first part of a batch.
pub fn record(contents: &Contents, lsn: u64) -> LogRecord {
    LogRecord::decode((lsn, 0), contents.log[&(lsn, 0)].clone()).expect("readable")
}

/// Returns all readable records of the log.
pub fn records(contents: &Contents) -> Vec<LogRecord> {
    contents.log.iter().filter_map(|(key, stored)| LogRecord::decode(*key, stored.clone())).collect()
}

/// Replaces a batch of one part by a changed one with a valid checksum.
pub fn forge(contents: &mut Contents, lsn: u64, from: u64, change: impl FnOnce(&mut LogHeader)) {
    let LogRecord { mut header, pages, bytes, .. } = record(contents, from);
    header.lsn = lsn;
    change(&mut header);
    contents.log.insert((lsn, 0), header.encode(&pages, &bytes));
}

/// Flips a bit of a batch's last page.
pub fn flip(contents: &mut Contents, lsn: u64) {
    *contents.log.get_mut(&(lsn, 0)).expect("stored").last_mut().expect("not empty") ^= 1;
}

/// Returns all readable manifests.
pub fn manifests(contents: &Contents) -> Vec<Manifest> {
    contents.snapshots.iter().filter_map(|(generation, stored)| Manifest::decode(*generation, stored)).collect()
}

/// Returns one manifest.
pub fn manifest(contents: &Contents, generation: u64) -> Manifest {
    Manifest::decode(generation, &contents.snapshots[&generation]).expect("readable")
}

/// Returns the bytes of the log and of the chunks.
pub fn size(contents: &Contents) -> usize {
    contents.log.values().chain(contents.chunks.values()).map(Vec::len).sum()
}

/// The head of an encrypted database.
pub struct SealedHead {
    pub shown: Head,
    pub method: String,
    pub iterations: u32,
    pub salt: Vec<u8>,
    pub wrapped: Vec<u8>,
    pub encryptions: u64,
    pub head: Head,
    pub mac: Vec<u8>,
}

/// Returns the head of an encrypted database.
pub fn sealed_head(contents: &Contents) -> SealedHead {
    let mut reader = body(contents.head.as_deref().expect("a head")).expect("sound");
    let bytes = |reader: &mut Reader<'_>| reader.bytes().expect("there").to_vec();
    SealedHead {
        shown: Head::read_start(&mut reader).expect("readable"),
        method: reader.text().expect("there"),
        iterations: reader.u32().expect("there"),
        salt: bytes(&mut reader),
        wrapped: bytes(&mut reader),
        encryptions: reader.u64().expect("there"),
        head: Head::decode(&bytes(&mut reader)).expect("a head"),
        mac: bytes(&mut reader),
    }
}

/// Replaces the head of an encrypted database and its copy by one with a valid checksum.
pub fn change_sealed_head(contents: &mut Contents, change: impl FnOnce(&mut SealedHead)) {
    let mut head = sealed_head(contents);
    change(&mut head);
    let mut writer = begin(500);
    head.shown.write_start(&mut writer);
    writer.text(&head.method);
    writer.u32(head.iterations);
    writer.bytes(&head.salt);
    writer.bytes(&head.wrapped);
    writer.u64(head.encryptions);
    writer.bytes(&head.head.encode());
    writer.bytes(&head.mac);
    contents.head = Some(finish(writer));
    contents.head_copy.clone_from(&contents.head);
}

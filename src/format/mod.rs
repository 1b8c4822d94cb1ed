//! The storage format: the records of a database and their bytes.
//! `docs/internals/storage-format.md` describes it.
//!
//! Every record begins with xxh3 (64 bits) over all bytes after it. It detects damage, not manipulation: a writer of
//! the storage can also write checksums. (Encryption detects that: `store::sealed`.)

mod head;
mod layout;
mod log;
mod manifest;

use xxhash_rust::xxh3::xxh3_64;

pub use head::{Head, Truncation};
pub use layout::{LayoutWriter, Reader};
pub use log::{LogHeader, LogKind, LogRecord};
pub use manifest::{ChunkRef, Manifest, ManifestKind, RECOVERY, stored_ids};

/// The version of the storage format that this crate writes, and the newest that it reads.
pub const FORMAT: u32 = 3;

/// Returns the xxh3 checksum of bytes.
pub fn checksum(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// Returns the checksum that a record begins with; 0 when it is too short for one.
pub fn checksum_of(record: &[u8]) -> u64 {
    Reader(record).u64().unwrap_or(0)
}

/// Starts a record with capacity for about `bytes` bytes. [`finish`] completes it.
pub fn begin(bytes: usize) -> LayoutWriter {
    let mut writer = LayoutWriter::with_capacity(8 + bytes);
    writer.u64(0);
    writer
}

/// Completes a record with its checksum.
pub fn finish(writer: LayoutWriter) -> Vec<u8> {
    let mut record = writer.0;
    let checksum = checksum(&record[8..]);
    record[..8].copy_from_slice(&checksum.to_le_bytes());
    record
}

/// Returns the bytes after the checksum of a record; `None` when it is damaged.
pub fn body(record: &[u8]) -> Option<Reader<'_>> {
    let mut reader = Reader(record);
    (reader.u64()? == checksum(reader.0)).then_some(reader)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ports::{ChunkId, Holder},
        time::Timestamp,
    };

    fn head() -> Head {
        let holder =
            Holder { id: "ab".into(), title: "☂".into(), url: "https://a.test/".into(), since: Timestamp(-7) };
        let truncated = Truncation { lsn: 3, logged: 1 << 40 };
        let database_id = "0123".into();
        Head { format: FORMAT, holder, database_id, epoch: 5, lsn: 9, epochs: vec![1, 9], truncated, ..Head::default() }
    }

    fn manifest() -> Manifest {
        let chunk = |byte: u8| ChunkRef { id: ChunkId::new(&[byte; 32]), check: u64::MAX, stored: 7 };
        Manifest {
            generation: 2,
            format: FORMAT,
            chunks: [chunk(0xaa), chunk(0)].into(),
            first_copy: Some(chunk(0xbb)),
            kind: ManifestKind::Imported,
            label: Some(String::new()),
            verified: true,
            ..Manifest::default()
        }
    }

    fn record() -> LogRecord {
        let header = LogHeader { prev: 6, lsn: 4, part: 1, parts: 2, kind: LogKind::Commit, ..LogHeader::default() };
        let checksum = checksum_of(&header.encode(&[3, 8], b"pages"));
        LogRecord { header, pages: vec![3, 8], bytes: b"pages".to_vec(), checksum }
    }

    #[test]
    fn records_come_back_as_they_were() {
        assert_eq!(Head::decode(&head().encode()), Some(head()));
        assert_eq!(Manifest::decode(2, &manifest().encode()), Some(manifest()));
        let LogRecord { header, pages, bytes, .. } = record();
        assert_eq!(LogRecord::decode((4, 1), header.encode(&pages, &bytes)), Some(record()));
    }

    #[test]
    fn a_copy_without_a_first_chunk_is_none() {
        assert_eq!(Manifest::decode(2, &Manifest { chunks: [].into(), ..manifest() }.encode()), None);
    }

    #[test]
    fn a_record_under_another_key_is_none() {
        assert_eq!(Manifest::decode(1, &manifest().encode()), None);
        let LogRecord { header, pages, bytes, .. } = record();
        for key in [(4, 0), (5, 1)] {
            assert_eq!(LogRecord::decode(key, header.encode(&pages, &bytes)), None);
        }
    }

    type Reads = fn(Vec<u8>) -> bool;

    #[test]
    fn any_damage_is_noticed_and_never_panics() {
        let LogRecord { header, pages, bytes, .. } = record();
        let readable: [(Vec<u8>, Reads); 3] = [
            (head().encode(), |bytes| Head::decode(&bytes).is_some()),
            (manifest().encode(), |bytes| Manifest::decode(2, &bytes).is_some()),
            (header.encode(&pages, &bytes), |bytes| LogRecord::decode((4, 1), bytes).is_some()),
        ];
        for (stored, is_readable) in readable {
            for at in 0..stored.len() {
                let mut damaged = stored.clone();
                damaged[at] ^= 1;
                assert!(!is_readable(damaged.clone()) && !is_readable(stored[..at].to_vec()));
                // With a matching checksum the record may decode to another value.
                if at >= 8 {
                    let checksum = checksum(&damaged[8..]);
                    damaged[..8].copy_from_slice(&checksum.to_le_bytes());
                    let _ = is_readable(damaged);
                }
            }
        }
    }

    #[test]
    fn of_a_head_in_a_newer_format_or_with_features_only_the_start_is_read() {
        for change in [|head: &mut Head| head.format += 1, |head: &mut Head| head.features.push("x".into())] {
            let mut newer = head();
            change(&mut newer);
            let Head { format, features, holder, .. } = newer.clone();
            assert_eq!(Head::decode(&newer.encode()), Some(Head { format, features, holder, ..Head::default() }));
        }
        assert_eq!(Head::decode(&Head { format: FORMAT - 1, ..head() }.encode()), None);
        assert_eq!(Manifest::decode(2, &Manifest { format: FORMAT - 1, ..manifest() }.encode()), None);
    }
}

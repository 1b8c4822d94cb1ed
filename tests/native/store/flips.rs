//! One flipped bit in each record of a database, one at a time: what is lost is at most what that record had, and it is
//! reported.

use tidelock::{
    ErrorCode, Result,
    engine::storage::flush::FlushPolicy,
    error::WarningCode,
    ports::{ChunkId, Durability, Holder, LogKey},
    snapshot::SnapshotOptions,
    sqlite::{CHUNK_SIZE, Connection},
    store::{Contents, RecoveryReport, Storage, faulty::Crash, sealed::Secret},
};

use super::{
    bench::{Machine, key, snapshot},
    page::{Page, by_call_only},
};
use crate::sample::Sample;

/// The rows of the first commit; each later one adds a row.
const FIRST: i64 = 60;
const ALL: i64 = FIRST + 4;
/// The bytes of a row, about.
const ROW: usize = 3_000;
/// The most rows that a chunk can have a part of.
const ROWS_OF_A_CHUNK: i64 = (CHUNK_SIZE / ROW) as i64 + 2;

/// What a database is like.
#[derive(Clone, Copy, Debug)]
struct Kind {
    encrypted: bool,
    /// Whether it is larger than its page cache.
    paged: bool,
    /// Whether the log before the oldest snapshot is cut off, so that only chunks have those rows.
    cut: bool,
}

impl Kind {
    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self { encrypted: bits & 1 > 0, paged: bits & 2 > 0, cut: bits & 4 > 0 })
    }

    fn secret(self) -> Option<Secret> {
        self.encrypted.then(|| key(1))
    }

    fn open(self, machine: &mut Machine) -> Result<Page> {
        let (store, platform, secret) = (machine.store(), machine.platform(), self.secret());
        let log_max_bytes = self.cut.then_some(0);
        let options = SnapshotOptions { compress: false, log_max_bytes, ..by_call_only() };
        let (policy, cache_bytes) = (FlushPolicy::Immediate(Durability::Relaxed), self.paged.then_some(1));
        machine.sim.run(async move {
            let store = Machine::connect(store, platform.clone(), secret).await?;
            Page::open_paged(store, &platform, policy, options, cache_bytes).await
        })
    }

    fn recover(self, machine: &mut Machine) -> Result<RecoveryReport> {
        let (store, platform, secret) = (machine.store(), machine.platform(), self.secret());
        machine.sim.run(async move {
            let store = Machine::connect(store, platform.clone(), secret).await?;
            Storage::recover(store, &platform, Holder::default(), None).await
        })
    }
}

/// Returns the number of rows; fails when one can't be read. None may be wrong.
fn rows(connection: &Connection) -> Result<i64> {
    let sql = format!("SELECT count(*), coalesce(sum(pad = printf('%0{ROW}d', id)), 0) FROM t");
    let found = connection.rows(&sql, &[])?;
    let count = found[0][0].as_integer().unwrap();
    assert_eq!(found[0][1].as_integer(), Some(count), "each row is as it was written");
    Ok(count)
}

fn insert(machine: &mut Machine, page: &Page, count: i64) {
    let script = format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 + coalesce(max(id), 0) FROM t UNION ALL SELECT i + 1 FROM n)
         INSERT INTO t SELECT i, printf('%0{ROW}d', i) FROM n LIMIT {count}"
    );
    machine.commit(page, &script).unwrap();
}

/// The stored records, and the lsn and the rows of each commit.
struct Made {
    contents: Contents,
    commits: Vec<(u64, i64)>,
    /// The stored ids of the first chunks and their copies.
    firsts: Vec<ChunkId>,
}

impl Made {
    /// Returns whether a record is the first chunk of a manifest, or its copy.
    fn is_first(&self, record: &Record) -> bool {
        let Record::Chunk(id) = record else { return false };
        self.firsts.contains(id)
    }
}

/// A database with two snapshots, and commits before, between and after them.
fn made(kind: Kind) -> Made {
    let mut machine = Machine::new();
    let page = kind.open(&mut machine).unwrap();
    machine.commit(&page, "CREATE TABLE t(id INTEGER PRIMARY KEY, pad)").unwrap();
    let mut commits = vec![(page.storage.position().lsn, 0)];
    for count in [FIRST, 1, 1, 1, 1] {
        insert(&mut machine, &page, count);
        commits.push((page.storage.position().lsn, rows(&page.connection).unwrap()));
        if matches!(commits.len(), 2 | 4) {
            snapshot(&mut machine, &page).unwrap();
        }
    }
    assert_eq!(page.storage.truncated().lsn > 0, kind.cut);
    let manifests = page.storage.manifests();
    machine.kill(Crash::Process);
    let (store, platform) = (machine.store(), machine.platform());
    let store = machine.sim.run(Machine::connect(store, platform, kind.secret())).unwrap();
    let firsts = manifests.iter().flat_map(|manifest| manifest.chunks.first().into_iter().chain(&manifest.first_copy));
    let firsts = firsts.map(|chunk| store.stored_id(&chunk.id)).collect();
    Made { contents: machine.contents(), commits, firsts }
}

/// One stored record.
#[derive(Debug)]
enum Record {
    Head,
    HeadCopy,
    Log(LogKey),
    Manifest(u64),
    Chunk(ChunkId),
}

impl Record {
    fn all(contents: &Contents) -> Vec<Self> {
        let log = contents.log.keys().copied().map(Self::Log);
        let manifests = contents.snapshots.keys().copied().map(Self::Manifest);
        let chunks = contents.chunks.keys().cloned().map(Self::Chunk);
        [Self::Head, Self::HeadCopy].into_iter().chain(log).chain(manifests).chain(chunks).collect()
    }

    fn of<'a>(&self, contents: &'a mut Contents) -> &'a mut Vec<u8> {
        let stored = match self {
            Self::Head => contents.head.as_mut(),
            Self::HeadCopy => contents.head_copy.as_mut(),
            Self::Log(key) => contents.log.get_mut(key),
            Self::Manifest(generation) => contents.snapshots.get_mut(generation),
            Self::Chunk(id) => contents.chunks.get_mut(id),
        };
        stored.expect("stored")
    }
}

/// Checks the snapshots of an open database; returns how many are intact.
fn intact_snapshots(machine: &mut Machine, page: &Page, case: &str) -> usize {
    let mut intact = 0;
    for info in page.snapshots.list() {
        let (snapshots, id) = (page.snapshots.clone(), info.id.clone());
        let checked = machine.sim.run(async move { snapshots.verify(&id).await }).unwrap();
        let snapshots = page.snapshots.clone();
        let loaded = machine.sim.run(async move { snapshots.load(&info.id).await });
        match loaded.and_then(|file| rows(&Connection::open(&file)?)) {
            Ok(found) => {
                assert!(checked.ok, "{case}: {checked:?}");
                assert!([FIRST, FIRST + 2].contains(&found), "{case}: {found}");
                intact += 1;
            }
            Err(error) => {
                assert!(
                    matches!(error.code, ErrorCode::SnapshotCorrupt | ErrorCode::DatabaseCorrupt),
                    "{case}: {error}"
                );
                assert!(!checked.ok, "{case}: {error}");
            }
        }
    }
    intact
}

/// What became of a damaged database.
#[derive(Default, Debug)]
struct Seen {
    whole: usize,
    warned: usize,
    recovered: usize,
    salvaged: usize,
}

fn check(kind: Kind, made: &Made, record: &Record, contents: Contents, seen: &mut Seen, case: &str) {
    let mut machine = Machine::new();
    machine.damage(|stored| *stored = contents);
    let opened = kind.open(&mut machine).and_then(|page| Ok((rows(&page.connection)?, page)));
    let (page, expected) = match opened {
        Ok((found, page)) => {
            assert_eq!(found, ALL, "{case}");
            let told = page.warnings.iter().any(|warning| warning.code != WarningCode::StorageLost);
            let intact = intact_snapshots(&mut machine, &page, case);
            let listed = page.snapshots.list().len();
            assert!(listed == 2 || told, "{case}: a snapshot is missing");
            let (least, may_warn) = match record {
                Record::Manifest(_) => (1, true),
                Record::Chunk(_) if made.is_first(record) => (2, true),
                Record::Chunk(_) => (0, true),
                Record::Head => (2, true),
                Record::HeadCopy | Record::Log(_) => (2, false),
            };
            assert!(intact >= least && (may_warn || !told), "{case}: {intact} snapshots, {:?}", page.warnings);
            seen.whole += 1;
            seen.warned += usize::from(told);
            (page, ALL)
        }
        Err(error) => {
            assert_eq!(error.code, ErrorCode::DatabaseCorrupt, "{case}: {error}");
            machine.kill(Crash::Process);
            let report = kind.recover(&mut machine).unwrap_or_else(|error| panic!("{case}: {error}"));
            assert!(report.changed, "{case}");
            let page = kind.open(&mut machine).unwrap_or_else(|error| panic!("{case}: {error}"));
            let found = rows(&page.connection).unwrap();
            if let Record::Log((lsn, _)) = record {
                let before = made.commits.iter().rfind(|(at, _)| at < lsn).unwrap().1;
                assert_eq!(found, before, "{case}");
                assert!(report.lost_batches > 0, "{case}: {report:?}");
                seen.recovered += 1;
            } else {
                assert!(!made.is_first(record), "{case}: of the first chunk there is a copy");
                assert!(matches!(record, Record::Chunk(_)) && found >= ALL - ROWS_OF_A_CHUNK, "{case}: {found} rows");
                assert!(found == ALL || !report.problems.is_empty(), "{case}: {report:?}");
                seen.salvaged += 1;
            }
            (page, found)
        }
    };
    page.assert_whole();
    machine.commit(&page, "INSERT INTO t(id, pad) VALUES (1000, printf('%03000d', 1000))").unwrap();
    machine.kill(Crash::Process);
    assert_eq!(rows(&kind.open(&mut machine).unwrap().connection), Ok(expected + 1), "{case}");
}

#[test]
fn a_flipped_bit_costs_at_most_its_record_and_is_told() {
    for kind in Kind::all() {
        let made = made(kind);
        let (mut seen, mut sample) = (Seen::default(), Sample::every(4));
        let records = Record::all(&made.contents);
        for record in &records {
            for place in (0..5).filter(|_| sample.takes()) {
                let mut contents = made.contents.clone();
                let bytes = record.of(&mut contents);
                let last = bytes.len() - 1;
                let at = [0, 8, 30, bytes.len() / 2, last][place].min(last);
                bytes[at] ^= 0x10;
                let case = format!("{kind:?}, {record:?}, byte {at} of {}", last + 1);
                check(kind, &made, record, contents, &mut seen, &case);
            }
        }
        println!("{kind:?}: {} records, {seen:?}", records.len());
        let (whole, other) = (sample.part_of(20), sample.part_of(5));
        assert!(seen.whole > whole && seen.warned > other && seen.recovered > other, "{kind:?}: {seen:?}");
    }
}

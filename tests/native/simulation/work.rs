//! A page's random actions: statements, open transactions, snapshots, restores. Changes of the keys are in `keys`.

use std::{cell::Cell, rc::Rc};

use tidelock::{
    ErrorCode, Timestamp,
    error::Detail,
    ports::Platform,
    snapshot::{Reason, SnapshotInfo, SnapshotOptions},
    sqlite::{Connection, Image, PageFile},
    store::PointInTime,
};

use super::{
    Shared,
    model::{NOTHING, state_of},
};
use crate::store::page::Page;

pub const TABLES: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, value INTEGER, pad BLOB);
    CREATE TABLE last(n INTEGER); INSERT INTO last VALUES (0);";

/// Returns a statement that makes rows which no other statement changes.
pub fn cold_rows(chance: &Chance) -> String {
    let rows: Vec<String> = (1..=40).map(|row| format!("(-{row}, {row}, {})", chance.blob(8000))).collect();
    format!("INSERT INTO t VALUES {};", rows.join(", "))
}

/// Random numbers from the seed.
#[derive(Clone)]
pub struct Chance(pub Platform);

impl Chance {
    pub fn below(&self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes) % limit
    }

    pub fn one_in(&self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Returns a literal of random bytes. Those of `randomblob` differ in each run of a seed.
    pub fn blob(&self, length: u64) -> String {
        let mut bytes = vec![0; length as usize];
        self.0.entropy.fill(&mut bytes);
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap();
        let digits: String = bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect();
        format!("x'{digits}'")
    }
}

/// The random work of one page.
pub struct Worker {
    pub page: Page,
    pub number: u64,
    pub chance: Chance,
    pub options: SnapshotOptions,
    pub shared: Rc<Shared>,
    /// The size of the largest row in bytes.
    pub pad: u64,
    /// Whether other pages work at the same time; see `Plan`.
    pub contested: bool,
    /// Whether pages change the secret and the data key.
    pub rekeyed: bool,
    /// Whether the page must not write any more.
    pub ended: Cell<bool>,
}

/// Returns the identity of a snapshot. It is unique even if an incomplete snapshot had the same id before.
fn key(info: &SnapshotInfo) -> (String, Timestamp, String) {
    (info.id.clone(), info.created_at, info.sha256.clone())
}

impl Worker {
    pub fn now(&self) -> Timestamp {
        self.chance.0.clock.now()
    }

    async fn sleep(&self, ms: u64) {
        self.chance.0.clock.sleep(self.chance.below(ms)).await;
    }

    /// Does one random action.
    pub async fn step(&self) {
        // A fenced-out page stops at its first write to the log, whose key is taken. Without such writes, only the
        // head's fence stops the page.
        if self.contested && !self.shared.model().holds(self.number) {
            self.sleep(20).await;
            return if self.chance.one_in(2) { self.remove().await } else { self.snapshot().await };
        }
        match self.chance.below(32) {
            0..=1 => self.snapshot().await,
            2 => self.sleep(100).await,
            3 => drop(self.page.flusher.flush().await),
            4 => {
                self.page.connection.exec("VACUUM").expect("vacuums");
                self.page.flusher.committed();
            }
            5 => self.restore().await,
            6 => self.restore_at().await,
            7 => self.remove().await,
            8 => self.transaction().await,
            15 if !self.contested => self.import().await,
            16 if self.rekeyed => self.rekey().await,
            17..=18 if self.rekeyed => self.rotate_key().await,
            9..=12 if self.contested => self.snapshot().await,
            13..=14 if self.contested => self.remove().await,
            _ => self.write().await,
        }
    }

    fn statement(&self) -> String {
        let chance = &self.chance;
        let row = chance.below(60);
        match chance.below(16) {
            0..=5 => {
                let (value, pad) = (chance.below(1_000_000), chance.below(self.pad));
                format!("INSERT OR REPLACE INTO t(id, value, pad) VALUES ({row}, {value}, zeroblob({pad}));")
            }
            6..=8 => format!("UPDATE t SET value = value + {} WHERE id >= {row};", chance.below(1000)),
            9 => format!("UPDATE t SET pad = {} WHERE id = {row};", chance.blob(chance.below(self.pad))),
            10 => format!("DELETE FROM t WHERE id BETWEEN {row} AND {};", row + chance.below(20)),
            11 => format!("SAVEPOINT s; DELETE FROM t WHERE id < {row}; ROLLBACK TO s; RELEASE s;"),
            12 => "CREATE INDEX IF NOT EXISTS by_value ON t(value);".to_owned(),
            13 => "DROP INDEX IF EXISTS by_value;".to_owned(),
            14 => format!("CREATE TABLE IF NOT EXISTS extra_{0}(a, b DEFAULT {0});", row % 4),
            _ => format!("DROP TABLE IF EXISTS extra_{};", row % 4),
        }
    }

    /// Commits; some commits wait until they are stored, some don't.
    pub async fn write(&self) {
        if self.page.flusher.admit_write().is_err() {
            return self.sleep(50).await;
        }
        let work: String = (0..=self.chance.below(3)).map(|_| self.statement()).collect();
        let script = format!("{work} UPDATE last SET n = {};", self.shared.next_commit());
        self.page.connection.atomically(|connection| connection.exec(&script)).expect("commits");
        self.committed().await;
    }

    /// Runs a transaction that stays open during flushes and snapshots, which must not store any of its changes.
    async fn transaction(&self) {
        if self.page.flusher.admit_write().is_err() {
            return;
        }
        let connection = &self.page.connection;
        let script =
            format!("BEGIN IMMEDIATE; {} UPDATE last SET n = {};", self.statement(), self.shared.next_commit());
        connection.exec(&script).expect("runs");
        if self.chance.one_in(2) {
            // Earlier commits may still be in flight.
            drop(self.page.flusher.flush().await);
        }
        self.sleep(30).await;
        let more = self.statement();
        if self.chance.one_in(3) {
            return connection.exec("ROLLBACK").expect("rolls back");
        }
        connection.exec(&format!("{more} COMMIT")).expect("commits");
        self.committed().await;
    }

    /// Records a commit in memory.
    pub async fn committed(&self) {
        let now = self.now();
        let number = self.shared.model().committed(self.number, &self.page.connection, now);
        self.page.flusher.committed();
        let stored = self.page.flusher.stored();
        let (shared, page, clock) = (self.shared.clone(), self.number, self.chance.0.clock.clone());
        let acknowledged = async move {
            let Some(stored) = stored else { return };
            match stored.await {
                Ok(()) => shared.model().acknowledged(page, number, clock.now()),
                Err(_) => shared.model().met.flush_failures += 1,
            }
        };
        if self.chance.one_in(3) {
            self.chance.0.spawner.spawn(Box::pin(acknowledged));
        } else {
            acknowledged.await;
        }
    }

    pub async fn snapshot(&self) {
        let since = self.shared.model().begin();
        let label = self.chance.one_in(6).then(|| "label".to_owned());
        let reason = if self.chance.one_in(6) { Reason::Hidden } else { Reason::Manual };
        match self.page.snapshots.create(label, reason).await {
            Ok(info) => {
                let mut model = self.shared.model();
                if model.holds(self.number) {
                    model.snapshot(&key(&info), since);
                }
            }
            Err(_) => self.shared.model().met.snapshot_failures += 1,
        }
    }

    /// Imports the current contents as a snapshot.
    async fn import(&self) {
        let (pin, state) = (self.page.connection.pin(), state_of(&self.page.connection));
        match self.page.snapshots.import(&pin, "imported".to_owned(), None).await {
            Ok(info) => self.shared.model().imported(&key(&info), state),
            Err(_) => self.shared.model().met.snapshot_failures += 1,
        }
    }

    /// Deletes a snapshot, or prunes.
    pub async fn remove(&self) {
        let list = self.page.snapshots.list();
        if list.is_empty() || self.chance.one_in(2) {
            drop(self.page.snapshots.prune().await);
        } else {
            let info = &list[self.chance.below(list.len() as u64) as usize];
            drop(self.page.snapshots.delete(&info.id).await);
        }
    }

    /// Reads a snapshot, compares it with the model, and mostly restores it.
    async fn restore(&self) {
        let list = self.page.snapshots.list();
        if list.is_empty() {
            return;
        }
        let info = &list[self.chance.below(list.len() as u64) as usize];
        match self.page.snapshots.load(&info.id).await {
            Ok(image) => {
                let scratch = open_sound(image.image().unwrap());
                if self.shared.model().holds(self.number) {
                    self.shared.model().read_back(&key(info), state_of(&scratch));
                }
                self.replace(&scratch).await;
            }
            Err(error) if error.is(ErrorCode::SnapshotCorrupt) => self.must_be_damaged(&error.message),
            Err(_) => {}
        }
    }

    /// Reads the state of a point in time, compares it with the model, and sometimes restores it.
    async fn restore_at(&self) {
        let now = self.now();
        let span = 1 + now.since(tidelock::ports::sim::START).unsigned_abs();
        let ago = self.chance.below(span) as i64;
        // Near a commit, also one of a clock that was ahead or behind.
        let near =
            self.shared.model().time_of(self.chance.below(1 << 20) as usize).plus_ms(self.chance.below(20) as i64);
        // Before now: what is stored meanwhile has later times.
        let at = if self.chance.one_in(2) { near } else { now.plus_ms(-ago) }.min(now.plus_ms(-1));
        let mut found = self.page.snapshots.load_at(at.into()).await;
        if let Some(candidates) = found.as_ref().err().and_then(|error| error.details.get("candidates")) {
            let lsn = self.one_of(candidates);
            self.shared.model().met.ambiguous += 1;
            found = self.page.snapshots.load_at(PointInTime { at, lsn: Some(lsn) }).await;
        }
        if !self.shared.model().holds(self.number) {
            return;
        }
        match found {
            Ok(image) => {
                let scratch = open_sound(image.image().unwrap());
                self.shared.model().moment(at, state_of(&scratch));
                if self.chance.one_in(2) {
                    self.replace(&scratch).await;
                }
            }
            Err(error) if error.is(ErrorCode::SnapshotCorrupt) => self.must_be_damaged(&error.message),
            Err(error) if error.is(ErrorCode::SnapshotNotFound) => {
                self.shared.model().met.unreachable += 1;
                self.must_be_unreachable(at);
            }
            Err(_) => {}
        }
    }

    /// Returns the lsn of a random candidate.
    fn one_of(&self, candidates: &Detail) -> u64 {
        let Detail::List(list) = candidates else { panic!("{candidates:?}") };
        match &list[self.chance.below(list.len() as u64) as usize] {
            Detail::Object(candidate) => match candidate.get("lsn") {
                Some(Detail::Int(lsn)) => *lsn as u64,
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }

    fn must_be_damaged(&self, what: &str) {
        let fenced_out = !self.shared.model().holds(self.number);
        assert!(fenced_out || self.shared.damaged.get(), "nothing was damaged, but {what}");
    }

    /// Checks that a time is before the oldest kept snapshot if it can't be restored, unless the log had to be
    /// truncated.
    fn must_be_unreachable(&self, at: Timestamp) {
        let jumped = self.shared.model().met.jumps > 0;
        if jumped || self.shared.damaged.get() || self.shared.crowded || self.options.log_max_bytes.is_some() {
            return;
        }
        let counted =
            |info: &SnapshotInfo| info.label.is_none() && matches!(info.reason.as_str(), "manual" | "scheduled");
        let oldest = self.page.snapshots.list().into_iter().rfind(counted);
        if let Some(oldest) = oldest {
            assert!(at < oldest.created_at, "{at} can't be reached, though snapshot {} is older", oldest.id);
        }
    }

    /// Replaces the content like the engine: takes a snapshot, then replaces everything in one commit.
    async fn replace(&self, scratch: &Connection) {
        if state_of(scratch) == NOTHING || self.page.snapshots.safety().await.is_err() {
            return;
        }
        if self.page.flusher.admit_write().is_err() {
            return;
        }
        self.page.connection.replace_with(&scratch.pin()).expect("restores");
        self.shared.model().met.restores += 1;
        self.committed().await;
    }
}

/// Checks that an image is a valid database.
fn open_sound(image: Image) -> Connection {
    let scratch = Connection::open(&PageFile::new(image)).expect("a database");
    assert_eq!(scratch.quick_check(), Ok(Vec::new()));
    scratch
}

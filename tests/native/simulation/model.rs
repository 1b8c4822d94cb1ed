//! The model: the expected states of the database, in the order in which pages wrote them.

use std::collections::HashMap;

use tidelock::{Timestamp, Value, sqlite::Connection};

/// The content of a database as a hash, and the number of the commit that the content records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    pub commit: i64,
    pub contents: i64,
}

/// The state before the tables are created.
pub const NOTHING: State = State { commit: -1, contents: 0 };

/// Returns the state of a connection's database.
pub fn state_of(connection: &Connection) -> State {
    let number = |sql: &str| match connection.value(sql, &[]) {
        Ok(Some(Value::Integer(number))) => number,
        other => panic!("{sql}: {other:?}"),
    };
    let schema =
        match connection.value("SELECT group_concat(sql) FROM (SELECT sql FROM sqlite_schema ORDER BY name)", &[]) {
            Ok(Some(Value::Text(schema))) => schema,
            Ok(Some(Value::Null)) => return NOTHING,
            other => panic!("{other:?}"),
        };
    let schema = schema.bytes().fold(7_i64, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
    let rows = number("SELECT coalesce(sum(id * 1009 + value * 31 + length(pad) * 7), 0) + count(*) FROM t");
    State { commit: number("SELECT n FROM last"), contents: schema.wrapping_add(rows) }
}

/// One commit, or an event that counts as one.
#[derive(Clone, Copy, Debug)]
struct Entry {
    number: u64,
    state: State,
    /// When it was committed in memory, before which it can't be stored.
    made: Timestamp,
    /// When it was acknowledged as stored.
    acknowledged: Option<Timestamp>,
}

/// The history of one database over all its holders.
#[derive(Debug)]
pub struct Model {
    line: Vec<Entry>,
    /// The index of the last acknowledged entry.
    sure: usize,
    /// The commits that recoveries left out. They may be readable again after a snapshot has stored their damaged
    /// chunks again.
    left_out: Vec<Entry>,
    numbers: u64,
    /// The page that holds the database; all others are fenced out.
    holder: u64,
    /// Snapshots by their identity: the states that each may have.
    snapshots: HashMap<(String, Timestamp, String), Vec<State>>,
    pub met: Met,
}

/// The number of events over all seeds. A simulation without snapshots or failures would prove nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Met {
    pub commits: u64,
    pub acknowledged: u64,
    pub lost: u64,
    pub flush_failures: u64,
    pub steals: u64,
    pub fenced_out_writes: u64,
    pub snapshots: u64,
    pub snapshot_failures: u64,
    pub restores: u64,
    pub moments: u64,
    pub unreachable: u64,
    pub checkpoints: u64,
    pub truncations: u64,
    pub damages: u64,
    pub passed_over: u64,
    pub refused: u64,
    pub recoveries: u64,
    pub unrecoverable: u64,
    pub deaths: u64,
    pub salvages: u64,
    pub jumps: u64,
    pub ambiguous: u64,
    pub imports: u64,
    pub encrypted: u64,
    pub folders: u64,
    pub secrets: u64,
    pub rotations: u64,
    pub opened_rotating: u64,
}

impl Met {
    pub fn each(&self) -> [(&'static str, u64); 25] {
        [
            ("commits", self.commits),
            ("acknowledged", self.acknowledged),
            ("lost", self.lost),
            ("flush failures", self.flush_failures),
            ("steals", self.steals),
            ("writes of fenced-out pages", self.fenced_out_writes),
            ("snapshots", self.snapshots),
            ("snapshot failures", self.snapshot_failures),
            ("restores", self.restores),
            ("moments", self.moments),
            ("moments out of reach", self.unreachable),
            ("checkpoints", self.checkpoints),
            ("truncations", self.truncations),
            ("damages", self.damages),
            ("damages passed over", self.passed_over),
            ("damages that refuse opening", self.refused),
            ("recoveries", self.recoveries),
            ("deaths of what serves a store", self.deaths),
            ("jumps of the clock", self.jumps),
            ("imports", self.imports),
            ("openings of encrypted databases", self.encrypted),
            ("lives over files", self.folders),
            ("changes of the secret", self.secrets),
            ("rotations of the data key", self.rotations),
            ("openings during a rotation", self.opened_rotating),
        ]
    }

    /// The events that few seeds have.
    pub fn rare(&self) -> [(&'static str, u64); 3] {
        [
            ("points in time that match several states", self.ambiguous),
            ("recoveries that lack rows", self.salvages),
            ("damages that leave nothing to recover", self.unrecoverable),
        ]
    }

    pub fn add(&mut self, other: &Met) {
        let Met { commits, acknowledged, lost, flush_failures, steals, fenced_out_writes, snapshots, .. } = other;
        let Met { snapshot_failures, restores, moments, unreachable, checkpoints, truncations, .. } = other;
        let Met {
            damages,
            passed_over,
            refused,
            recoveries,
            deaths,
            salvages,
            jumps,
            ambiguous,
            imports,
            encrypted,
            ..
        } = other;
        let Met { folders, secrets, rotations, opened_rotating, unrecoverable, .. } = other;
        self.commits += commits;
        self.acknowledged += acknowledged;
        self.lost += lost;
        self.flush_failures += flush_failures;
        self.steals += steals;
        self.fenced_out_writes += fenced_out_writes;
        self.snapshots += snapshots;
        self.snapshot_failures += snapshot_failures;
        self.restores += restores;
        self.moments += moments;
        self.unreachable += unreachable;
        self.checkpoints += checkpoints;
        self.truncations += truncations;
        self.damages += damages;
        self.passed_over += passed_over;
        self.refused += refused;
        self.recoveries += recoveries;
        self.unrecoverable += unrecoverable;
        self.deaths += deaths;
        self.salvages += salvages;
        self.jumps += jumps;
        self.ambiguous += ambiguous;
        self.imports += imports;
        self.encrypted += encrypted;
        self.folders += folders;
        self.secrets += secrets;
        self.rotations += rotations;
        self.opened_rotating += opened_rotating;
    }
}

impl Model {
    pub fn new(now: Timestamp) -> Self {
        let nothing = Entry { number: 0, state: NOTHING, made: now, acknowledged: Some(now) };
        Self {
            line: vec![nothing],
            sure: 0,
            left_out: Vec::new(),
            numbers: 0,
            holder: 0,
            snapshots: HashMap::new(),
            met: Met::default(),
        }
    }

    /// Returns whether the page holds the database.
    pub fn holds(&self, page: u64) -> bool {
        self.holder == page
    }

    /// Records a page's commit in memory; returns its number, for the acknowledgement.
    pub fn committed(&mut self, page: u64, state: State, now: Timestamp) -> u64 {
        self.met.commits += 1;
        self.numbers += 1;
        if self.holds(page) {
            self.line.push(Entry { number: self.numbers, state, made: now, acknowledged: None });
        } else {
            self.met.fenced_out_writes += 1;
        }
        self.numbers
    }

    /// Records that the promise of a commit has resolved.
    pub fn acknowledged(&mut self, page: u64, number: u64, now: Timestamp) {
        self.met.acknowledged += 1;
        let found = self.line.iter().position(|entry| entry.number == number);
        // A write that was stored before its page was fenced out may be acknowledged afterwards.
        let Some(index) = found else { panic!("commit {number} of page {page} was acknowledged but is not stored") };
        self.line[index].acknowledged.get_or_insert(now);
        self.sure = self.sure.max(index);
    }

    /// Checks the state that an opening page found: it must be a recorded state, not older than the last acknowledged
    /// one.
    pub fn opened(&mut self, page: u64, state: State, now: Timestamp) {
        self.found(self.sure, page, state, now);
    }

    /// Does the same as [`Model::opened`] after damage that could not be repaired: any older state is acceptable, and with
    /// `salvaged` also one that lacks rows.
    pub fn recovered(&mut self, page: u64, state: State, now: Timestamp, salvaged: bool) {
        self.met.recoveries += 1;
        if salvaged && self.line.iter().all(|entry| entry.state != state) {
            self.met.salvages += 1;
            self.numbers += 1;
            self.line.push(Entry { number: self.numbers, state, made: now, acknowledged: Some(now) });
        }
        let lost = self.found(0, page, state, now);
        self.left_out.extend(lost);
    }

    /// Records that the wall clock is about to be set. What is stored was stored until now.
    pub fn clock_jumps(&mut self, now: Timestamp) {
        self.met.jumps += 1;
        for entry in &mut self.line {
            entry.acknowledged.get_or_insert(now);
        }
    }

    /// Records what an opening page found; returns the later entries, which are lost.
    fn found(&mut self, from: usize, page: u64, state: State, now: Timestamp) -> Vec<Entry> {
        let Some(index) = self.line[from..].iter().rposition(|entry| entry.state == state) else {
            let possible: Vec<State> = self.line[from..].iter().map(|entry| entry.state).collect();
            panic!("page {page} found {state:?}; possible are {possible:?}");
        };
        let index = from + index;
        self.met.lost += u64::from(index + 1 < self.line.len());
        let lost = self.line.split_off(index + 1);
        self.line[index].acknowledged.get_or_insert(now);
        if now < self.line[index].made {
            // By a clock that was set back, the state is there from now on too, before it was made.
            self.numbers += 1;
            self.line.push(Entry { number: self.numbers, state, made: now, acknowledged: Some(now) });
        }
        self.sure = self.line.len() - 1;
        self.holder = page;
        lost
    }

    /// Returns the time of an entry, counted round and round.
    pub fn time_of(&self, number: usize) -> Timestamp {
        self.line[number % self.line.len()].made
    }

    /// Returns the index of the current entry. A snapshot that begins now may have this state or a later one.
    pub fn begin(&self) -> usize {
        self.line.len() - 1
    }

    /// Records a snapshot that began at the entry `since` and ended now.
    pub fn snapshot(&mut self, id: &(String, Timestamp, String), since: usize) {
        self.met.snapshots += 1;
        let states = self.line[since.min(self.line.len() - 1)..].iter().map(|entry| entry.state).collect();
        self.snapshots.insert(id.clone(), states);
    }

    /// Records a snapshot that was imported with this state.
    pub fn imported(&mut self, id: &(String, Timestamp, String), state: State) {
        self.met.imports += 1;
        self.snapshots.insert(id.clone(), vec![state]);
    }

    /// Checks the state of a snapshot that was read back.
    pub fn read_back(&self, id: &(String, Timestamp, String), state: State) {
        if let Some(possible) = self.snapshots.get(id) {
            assert!(possible.contains(&state), "snapshot {} has {state:?}; possible are {possible:?}", id.0);
        }
    }

    /// Checks the restored state of a point in time: stored until then, and the next one possibly later.
    pub fn moment(&mut self, at: Timestamp, state: State) {
        self.met.moments += 1;
        let ends = |index: usize| {
            let next = self.line.get(index + 1..).unwrap_or_default();
            // A state is stored at the latest when a later one is.
            let rising =
                |entries: &[Entry]| entries.windows(2).take_while(|two| two[0].made <= two[1].made).count() + 1;
            let next = &next[..rising(next).min(next.len())];
            !next.iter().any(|entry| entry.acknowledged.is_some_and(|time| time <= at))
        };
        let mut possible = (0..self.line.len()).filter(|index| self.line[*index].made <= at && ends(*index));
        let left_out = self.left_out.iter().any(|entry| entry.made <= at && entry.state == state);
        assert!(
            left_out || possible.any(|index| self.line[index].state == state),
            "at {at} it was {state:?}; there were {:?}",
            self.line
        );
    }
}

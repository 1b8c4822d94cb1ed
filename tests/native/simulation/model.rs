//! The model: the expected states of the database, in the order in which pages wrote them.

use std::{
    collections::{BTreeSet, HashMap},
    rc::Rc,
};

use tidelock::{Timestamp, Value, format::checksum, sqlite::Connection, store::RecoveryReport};

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

/// What a recovery can lose one by one: each row by its id, and each part of the schema, with a checksum.
pub type Parts = BTreeSet<(Option<i64>, u64)>;

/// Returns the parts of a connection's database.
pub fn parts_of(connection: &Connection) -> Parts {
    let sql = "SELECT NULL, sql, NULL FROM sqlite_schema WHERE sql IS NOT NULL UNION ALL SELECT id, value, pad FROM t";
    let part = |row: Vec<Value>| {
        let Value::Blob(pad) = &row[2] else { return (row[0].as_integer(), checksum(format!("{row:?}").as_bytes())) };
        (row[0].as_integer(), checksum(pad).wrapping_add(checksum(format!("{:?}", row[1]).as_bytes())))
    };
    match connection.rows(sql, &[]) {
        Ok(rows) => rows.into_iter().map(part).collect(),
        // Without tables.
        Err(_) => Parts::new(),
    }
}

/// One commit, or an event that counts as one.
#[derive(Clone, Debug)]
struct Entry {
    number: u64,
    state: State,
    parts: Rc<Parts>,
    /// When it was committed in memory, before which it can't be stored.
    made: Timestamp,
    /// When it was acknowledged as stored.
    acknowledged: Option<Timestamp>,
    /// Whether an opening found it after the clock was set back, which the log doesn't record.
    only_found: bool,
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
        let parts = Rc::default();
        let nothing = Entry { number: 0, state: NOTHING, parts, made: now, acknowledged: Some(now), only_found: false };
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
    pub fn committed(&mut self, page: u64, connection: &Connection, now: Timestamp) -> u64 {
        self.met.commits += 1;
        self.numbers += 1;
        if self.holds(page) {
            let (state, parts) = (state_of(connection), Rc::new(parts_of(connection)));
            self.line.push(Entry {
                number: self.numbers,
                state,
                parts,
                made: now,
                acknowledged: None,
                only_found: false,
            });
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

    /// Checks the state that an opening page found after recoveries, by their reports: an older state than the last
    /// acknowledged one, or missing rows, must be reported. A recovery that ended without a report may have lost anything,
    /// but for every row there is a commit that wrote it.
    pub fn recovered(
        &mut self,
        page: u64,
        connection: &Connection,
        now: Timestamp,
        reports: &[Option<RecoveryReport>],
    ) {
        self.met.recoveries += 1;
        let told: Option<Vec<&RecoveryReport>> = reports.iter().map(Option::as_ref).collect();
        let is_older = told.as_ref().is_none_or(|told| told.iter().any(|report| report.lost_batches > 0));
        let from = if is_older { 0 } else { self.sure };
        let state = state_of(connection);
        let lost = if self.line[from..].iter().any(|entry| entry.state == state) {
            self.found(from, page, state, now)
        } else {
            self.met.salvages += 1;
            let parts = parts_of(connection);
            let of = |entry: &Entry| entry.state.commit == state.commit && entry.parts.is_superset(&parts);
            let Some(index) = self.line[from..].iter().rposition(of) else {
                let possible: Vec<State> = self.line[from..].iter().map(|entry| entry.state).collect();
                panic!("page {page} recovered {state:?}, not a part of {possible:?}: {reports:?}");
            };
            let index = from + index;
            if let Some(told) = &told {
                let missing = self.line[index].parts.difference(&parts).map(|(id, _)| *id);
                must_be_told(missing, told.iter().flat_map(|report| &report.problems));
            }
            let lost = self.line.split_off(index + 1);
            self.numbers += 1;
            let parts = Rc::new(parts);
            self.line.push(Entry {
                number: self.numbers,
                state,
                parts,
                made: now,
                acknowledged: Some(now),
                only_found: false,
            });
            self.found(index + 1, page, state, now);
            lost
        };
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
            let parts = self.line[index].parts.clone();
            self.line.push(Entry {
                number: self.numbers,
                state,
                parts,
                made: now,
                acknowledged: Some(now),
                only_found: true,
            });
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

    /// Checks the restored state of a point in time: stored until then, and the next one later, or, after the clock was set back, no
    /// later one of its own time or after it.
    pub fn moment(&mut self, at: Timestamp, state: State) {
        self.met.moments += 1;
        let ends = |index: usize| {
            let next = self.line.get(index + 1..).unwrap_or_default();
            let stored = self.line[index].acknowledged;
            let is_after = |entry: &Entry| stored.is_some_and(|stored| stored <= entry.made);
            let was_stored = |entry: &Entry| entry.acknowledged.is_some_and(|time| time <= at);
            !next.first().is_some_and(was_stored)
                || !next.iter().any(|entry| is_after(entry) && was_stored(entry) && !entry.only_found)
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

/// Checks that the problems of a recovery name the ranges of the missing rows, or at least count them.
fn must_be_told<'a>(missing: impl Iterator<Item = Option<i64>>, problems: impl Iterator<Item = &'a String> + Clone) {
    let after = |text: &str| problems.clone().filter_map(move |problem| problem.strip_prefix(text)).collect::<Vec<_>>();
    let ranges: Vec<(i64, i64)> = after("Table t lacks its rows with rowids from ")
        .into_iter()
        .flat_map(|list| list.split(", "))
        .filter_map(|range| range.split_once(" to "))
        .map(|(from, to)| (from.parse().unwrap_or(i64::MIN), to.parse().unwrap_or(i64::MAX)))
        .collect();
    let counted: usize =
        after("Table t lacks ").iter().filter_map(|more| more.split(' ').next()?.parse::<usize>().ok()).sum();
    if problems.clone().any(|problem| problem == "Table t lacks all its rows") {
        return;
    }
    // Of many ranges, only some are listed.
    let lists_all = problems.clone().all(|problem| !problem.ends_with(", and others"));
    let named = |id: &i64| !lists_all || ranges.iter().any(|(from, to)| (from..=to).contains(&id));
    let untold: Vec<Option<i64>> = missing.filter(|id| !id.as_ref().is_some_and(named)).collect();
    let told: Vec<&String> = problems.clone().collect();
    assert!(untold.len() <= counted && !untold.contains(&None), "missing are {untold:?}, told is {told:?}");
}

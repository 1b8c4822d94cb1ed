//! Random workloads against a misbehaving store, from a seed: real SQLite, real page file, real flusher and storage.
//!
//! A page opens the database, writes, snapshots, and dies somewhere; the next one opens what is left. The model: the
//! state after every commit, as a checksum of the table's contents. What is found must be one of these states (whole
//! commits only), none older than the last acknowledged one.
//!
//! `TIDELOCK_SEEDS=n` runs n seeds, `TIDELOCK_SEED=n` that one only.

use std::{cell::RefCell, rc::Rc};

use tidelock::{
    ErrorCode,
    ports::{Durability, ManifestKind, Platform, sim::Sim},
    snapshot::{Reason, SnapshotOptions},
    store::faulty::{Crash, Faults, FaultyStore},
};

use super::page::Page;

const DEFAULT_SEEDS: u64 = 200;
const LIVES: u64 = 5;

/// A state of the database: the number of its last commit and what the table then holds.
type State = (i64, i64, i64);

/// Before the table is made.
const NOTHING: State = (-1, 0, 0);

const TABLES: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, value INTEGER, pad BLOB);
    CREATE TABLE last(n INTEGER); INSERT INTO last VALUES (0);";

/// What all the seeds together met: a simulation that never snapshots or never fails proves nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    commits: u64,
    acknowledged: u64,
    lost: u64,
    snapshots: u64,
    snapshot_failures: u64,
    flush_failures: u64,
    checkpoints: u64,
    truncations: u64,
}

impl Met {
    fn each(self) -> [u64; 8] {
        let Met { commits, acknowledged, lost, snapshots, snapshot_failures, flush_failures, checkpoints, truncations } =
            self;
        [commits, acknowledged, lost, snapshots, snapshot_failures, flush_failures, checkpoints, truncations]
    }

    fn add(&mut self, other: Met) {
        self.commits += other.commits;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.snapshots += other.snapshots;
        self.snapshot_failures += other.snapshot_failures;
        self.flush_failures += other.flush_failures;
        self.checkpoints += other.checkpoints;
        self.truncations += other.truncations;
    }
}

struct Model {
    /// The states since the last one that is surely stored, that one first.
    possible: Vec<State>,
    last: i64,
    met: Met,
}

impl Model {
    fn acknowledged(&mut self, commit: i64) {
        self.met.acknowledged += 1;
        let index = self.possible.iter().position(|state| state.0 == commit).expect("a known commit");
        self.possible.drain(..index);
    }
}

struct Chance(Platform);

impl Chance {
    fn below(&self, limit: u64) -> u64 {
        let mut bytes = [0; 8];
        self.0.entropy.fill(&mut bytes);
        u64::from_le_bytes(bytes) % limit
    }
}

fn state(page: &Page) -> State {
    if page.number("SELECT count(*) FROM sqlite_schema WHERE name = 't'") == 0 {
        return NOTHING;
    }
    (
        page.number("SELECT n FROM last"),
        page.number("SELECT count(*) FROM t"),
        page.number("SELECT coalesce(sum(id * 31 + value * 7 + length(pad)), 0) FROM t"),
    )
}

fn statement(chance: &Chance, pad: u64) -> String {
    let row = chance.below(400);
    match chance.below(12) {
        0..=4 => {
            let (value, pad) = (chance.below(1_000_000), chance.below(pad));
            format!("INSERT OR REPLACE INTO t VALUES ({row}, {value}, zeroblob({pad}));")
        }
        5..=7 => format!("UPDATE t SET value = value + {} WHERE id >= {row};", chance.below(1000)),
        8 => format!("DELETE FROM t WHERE id BETWEEN {row} AND {};", row + chance.below(100)),
        9 => format!("SAVEPOINT s; DELETE FROM t WHERE id < {row}; ROLLBACK TO s; RELEASE s;"),
        10 => "CREATE INDEX IF NOT EXISTS by_value ON t(value);".to_owned(),
        _ => "DROP INDEX IF EXISTS by_value;".to_owned(),
    }
}

/// One life of a page: opens, compares with the model, works until something kills it or it has done enough.
async fn live(store: FaultyStore, platform: Platform, model: Rc<RefCell<Model>>, durability: Durability) {
    let chance = Chance(platform.clone());
    // Some write so much, and snapshot so rarely, that the log is compacted.
    let (pad, interval_ms) = if chance.below(6) == 0 { (500_000, 100_000) } else { (6_000, 40 + chance.below(400)) };
    let options = SnapshotOptions {
        interval_ms,
        keep: 1 + chance.below(3) as usize,
        backoff_ms: 5,
        log_max_bytes: (chance.below(3) == 0).then_some(200_000),
        ..SnapshotOptions::default()
    };
    let page = loop {
        match Page::open_with(Rc::new(store.clone()), &platform, durability, options.clone()).await {
            Ok(page) => break page,
            Err(error) if error.is(ErrorCode::StorageUnavailable) => platform.clock.sleep(5).await,
            Err(error) => panic!("opening failed: {error} {:?}", error.details),
        }
    };
    assert_eq!(page.warnings, []);
    page.assert_whole();
    let found = state(&page);
    {
        let mut model = model.borrow_mut();
        assert!(model.possible.contains(&found), "found {found:?}, possible {:?}", model.possible);
        model.met.lost += u64::from(model.possible.last() != Some(&found));
        model.met.checkpoints += checkpoints(&page);
        model.met.truncations += u64::from(page.storage.truncated().lsn > 0);
        model.possible = vec![found];
    }
    if found == NOTHING {
        model.borrow_mut().possible.push((0, 0, 0));
        if page.commit(TABLES).await.is_ok() {
            model.borrow_mut().acknowledged(0);
        }
    }
    for _ in 0..chance.below(60) {
        match chance.below(20) {
            0 => match page.snapshots.create(None, Reason::Manual).await {
                Ok(_) => model.borrow_mut().met.snapshots += 1,
                Err(_) => model.borrow_mut().met.snapshot_failures += 1,
            },
            1 => platform.clock.sleep(chance.below(100)).await,
            2 => drop(page.flusher.flush().await),
            3 => {
                let connection = page.connection.clone();
                connection.exec("VACUUM").expect("vacuums");
                page.flusher.committed();
            }
            _ => {
                if page.flusher.admit_write().is_err() {
                    platform.clock.sleep(50).await;
                    continue;
                }
                let commit = {
                    let mut model = model.borrow_mut();
                    model.last += 1;
                    model.met.commits += 1;
                    model.last
                };
                let work: String = (0..=chance.below(3)).map(|_| statement(&chance, pad)).collect();
                let script = format!("{work} UPDATE last SET n = {commit};");
                page.connection.atomically(|connection| connection.exec(&script)).expect("commits");
                model.borrow_mut().possible.push(state(&page));
                page.flusher.committed();
                let stored = page.flusher.stored();
                let (model, spawner) = (model.clone(), platform.spawner.clone());
                let acknowledged = async move {
                    let Some(stored) = stored else { return };
                    match stored.await {
                        Ok(()) => model.borrow_mut().acknowledged(commit),
                        Err(_) => model.borrow_mut().met.flush_failures += 1,
                    }
                };
                // Some wait for their write, some don't.
                if chance.below(3) == 0 { spawner.spawn(Box::pin(acknowledged)) } else { acknowledged.await }
            }
        }
    }
    // What else the page would do goes on in the background until it dies.
    platform.clock.sleep(chance.below(200)).await;
}

fn checkpoints(page: &Page) -> u64 {
    page.storage.manifests().iter().filter(|manifest| manifest.kind == ManifestKind::Checkpoint).count() as u64
}

fn run(seed: u64) -> Met {
    let mut sim = Sim::new(seed);
    let store = FaultyStore::new(&sim.platform());
    let model = Rc::new(RefCell::new(Model { possible: vec![NOTHING], last: 0, met: Met::default() }));
    let chance = Chance(sim.platform());
    // A power cut may take what only a process death spares: then everything is strict.
    let powerless = chance.below(2) == 0;
    let durability = if powerless { Durability::Strict } else { Durability::Relaxed };
    for life in 0..LIVES {
        let last = life + 1 == LIVES;
        let rough = chance.below(3) == 0 && !last;
        store.set(Faults {
            delay_ms: chance.below(8),
            refuse: if rough { chance.below(300) } else { 0 },
            doubt: if rough { chance.below(300) } else { 0 },
            refuse_reads: if rough { chance.below(100) } else { 0 },
            rot: 0,
            capacity: (rough && chance.below(2) == 0).then(|| 100_000 + chance.below(400_000) as usize),
            stall_after: (!last && chance.below(3) == 0).then(|| chance.below(60)),
        });
        let page = live(store.clone(), sim.platform(), model.clone(), durability);
        let (clock, death) = (sim.platform().clock, 1 + chance.below(600));
        sim.run(async move {
            let death = clock.sleep(if last { 10_000_000 } else { death });
            drop(futures_util::future::select(Box::pin(page), death).await);
        });
        sim.kill();
        store.crash(if powerless && chance.below(2) == 0 { Crash::Power } else { Crash::Process });
    }
    model.borrow().met
}

#[test]
fn whatever_happens_acknowledged_commits_are_found_whole() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seeds = match number("TIDELOCK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("TIDELOCK_SEEDS").unwrap_or(DEFAULT_SEEDS),
    };
    let mut all = Met::default();
    for seed in seeds.clone() {
        match std::panic::catch_unwind(|| run(seed)) {
            Ok(met) => all.add(met),
            Err(panic) => {
                eprintln!("seed {seed} fails: TIDELOCK_SEED={seed} runs it alone");
                std::panic::resume_unwind(panic);
            }
        }
    }
    println!("{all:?}");
    if seeds.count() >= 100 {
        assert!(all.each().into_iter().all(|times| times > 20), "too little happened: {all:?}");
    }
}

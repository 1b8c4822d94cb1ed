//! Golden databases: stored once, opened by every later build. `tests/fixtures` has a folder for each storage format, with
//! one file per database.
//!
//! They are created by the tool below, `TIDELOCK_WRITE_GOLDEN=1 cargo test --test native golden`, which creates missing
//! ones of the newest format and never changes an existing one: a released format stays readable forever.

mod file;

use std::path::PathBuf;

use serde_json::{Value, json};
use tidelock::{
    ErrorCode, Timestamp,
    format::{FORMAT, Head},
    ports::{Durability, Holder},
    snapshot::{Reason, SnapshotOptions},
    sqlite::{Connection, Image, PageFile},
    store::{Reach, Rekeyed, Storage, faulty::Crash},
};

use crate::store::{
    bench::Machine,
    page::{Page, by_call_only},
    stored,
};

/// The oldest format that a release stored.
const OLDEST: u32 = 3;

fn folder(format: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/format-{format}"))
}

/// Builds a database together with its expected content.
struct Maker {
    machine: Machine,
    page: Page,
    /// Points in time, and the sum at each.
    moments: Vec<Value>,
}

impl Maker {
    fn new(mut machine: Machine, options: SnapshotOptions) -> Self {
        let page = open(&mut machine, options);
        let mut maker = Self { machine, page, moments: Vec::new() };
        maker.commit("CREATE TABLE t(id INTEGER PRIMARY KEY, v, text); CREATE INDEX by_v ON t(v);");
        maker
    }

    fn commit(&mut self, script: &str) {
        self.machine.sim.advance(60_000);
        self.machine.commit(&self.page, script).expect("stored");
        let at = self.machine.platform().clock.now();
        self.moments.push(json!({ "at": at.0, "sum": sum(&self.page.connection) }));
    }

    fn insert(&mut self, value: u32) {
        self.commit(&format!("INSERT INTO t(v, text) VALUES ({value}, 'row {value} ☂')"));
    }

    fn snapshot(&mut self, label: Option<&str>) {
        self.machine.sim.advance(60_000);
        let (snapshots, label) = (self.page.snapshots.clone(), label.map(str::to_owned));
        self.machine.sim.run(async move { snapshots.create(label, Reason::Manual).await }).expect("taken");
    }

    fn reopen(&mut self, options: SnapshotOptions) {
        self.machine.kill(Crash::Process);
        self.page = open(&mut self.machine, options);
    }

    fn file(mut self) -> Value {
        let mut snapshots = Vec::new();
        for info in self.page.snapshots.list() {
            let image = load(&mut self.machine, &self.page, &info.id);
            snapshots.push(
                json!({ "id": info.id, "label": info.label, "sha256": info.sha256, "sum": sum(&scratch(image)) }),
            );
        }
        let reached = |at: &Value| load_at(&mut self.machine, &self.page, file::moment(&at["at"])).is_some();
        self.moments.retain(reached);
        let mut file = file::write(&self.machine.contents());
        file["expected"] = json!({
            "rows": self.page.number("SELECT count(*) FROM t"), "sum": sum(&self.page.connection),
            "snapshots": snapshots, "moments": self.moments,
        });
        file
    }
}

fn make(name: &str) -> Value {
    let mut maker = Maker::new(machine(name), by_call_only());
    match name {
        "fresh" => {}
        // Two holders, batches of several pages, and a large deletion as by a restore.
        "log" => {
            (1..=5).for_each(|value| maker.insert(value));
            maker.reopen(by_call_only());
            maker.commit("INSERT INTO t(v, text) SELECT v * 10, text FROM t");
            maker.commit("DELETE FROM t WHERE v < 3");
        }
        "snapshots" => {
            for round in 0..5 {
                maker.insert(round + 1);
                maker.snapshot((round == 1).then_some("before the fair"));
            }
            maker.insert(100);
        }
        // The log's front is truncated at a checkpoint, and holds epoch records of earlier holders.
        "checkpoint" => {
            let options = SnapshotOptions { log_max_bytes: Some(0), keep: 1, ..by_call_only() };
            maker.reopen(options.clone());
            (0..3).for_each(|round| {
                maker.insert(round + 1);
                maker.snapshot(None);
                maker.reopen(options.clone());
            });
            maker.insert(100);
        }
        // Several chunks, compressed and plain, and a VACUUM to another page size.
        "big" => {
            let options = SnapshotOptions { log_max_bytes: Some(0), keep: 1, ..by_call_only() };
            maker.reopen(options.clone());
            maker.commit(
                "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 6000)
                INSERT INTO t(v, text) SELECT i, 'the same words again and again, number ' || (i / 100) FROM n",
            );
            maker.page.connection.exec("PRAGMA page_size = 1024; VACUUM").expect("vacuums");
            maker.insert(1);
            maker.snapshot(None);
            maker.reopen(SnapshotOptions { compress: false, ..options });
            maker.commit("UPDATE t SET text = 'changed' WHERE id = 3000");
            maker.snapshot(None);
            maker.insert(2);
        }
        // A rotation of the data key, half done.
        "encrypted" => {
            maker.insert(1);
            maker.snapshot(Some("before the fair"));
            maker.insert(2);
            let storage = maker.page.storage.clone();
            maker.machine.sim.run(async move {
                assert_eq!(storage.begin_rotation().await, Rekeyed::Done);
                let mut rotation = storage.rotation().expect("is under way");
                storage.copy_ahead(&mut rotation).await.expect("copies");
            });
            maker.insert(3);
        }
        // Damage, and the recovery from it.
        "recovered" => {
            maker.insert(1);
            maker.snapshot(None);
            (2..=5).for_each(|value| maker.insert(value));
            maker.machine.kill(Crash::Process);
            maker.machine.damage(|contents| {
                let key = *contents.log.keys().rev().nth(1).expect("a batch");
                stored::flip(contents, key.0);
            });
            let (store, platform) = (maker.machine.store(), maker.machine.platform());
            let recover = async move { Storage::recover(store, &platform, Holder::default(), None).await };
            assert!(maker.machine.sim.run(recover).expect("recovers").changed);
            maker.page = open(&mut maker.machine, by_call_only());
            maker.moments.clear();
            maker.insert(6);
        }
        other => panic!("no golden database {other}"),
    }
    maker.file()
}

/// Returns a machine for the golden database of this name.
fn machine(name: &str) -> Machine {
    if name == "encrypted" { Machine::encrypted() } else { Machine::new() }
}

fn open(machine: &mut Machine, options: SnapshotOptions) -> Page {
    let (store, platform, secret) = (machine.store(), machine.platform(), machine.secret.clone());
    let opening = async move {
        let store = Machine::connect(store, platform.clone(), secret).await?;
        Page::open_with(store, &platform, Durability::Relaxed, options).await
    };
    machine.sim.run(opening).expect("opens")
}

fn sum(connection: &Connection) -> i64 {
    match connection.value("SELECT coalesce(sum(v), 0) FROM t", &[]) {
        Ok(Some(tidelock::Value::Integer(sum))) => sum,
        other => panic!("{other:?}"),
    }
}

fn scratch(image: Image) -> Connection {
    Connection::open(&PageFile::new(image)).expect("a database")
}

fn load(machine: &mut Machine, page: &Page, id: &str) -> Image {
    let (snapshots, id) = (page.snapshots.clone(), id.to_owned());
    machine.sim.run(async move { snapshots.load(&id).await.and_then(|file| file.image()) }).expect("reads")
}

fn load_at(machine: &mut Machine, page: &Page, at: Timestamp) -> Option<Image> {
    let storage = page.storage.clone();
    match machine.sim.run(async move { storage.load_at(at.into(), Reach { lsn: 0, time: Timestamp(0) }).await }) {
        Ok(file) => Some(file.image().expect("reads")),
        Err(error) if error.is(ErrorCode::SnapshotNotFound) => None,
        Err(error) => panic!("{error}"),
    }
}

/// Returns the file; creates a missing one on request.
fn golden(format: u32, name: &str) -> Value {
    let path = folder(format).join(format!("{name}.json"));
    if format == FORMAT && !path.exists() && std::env::var_os("TIDELOCK_WRITE_GOLDEN").is_some() {
        std::fs::create_dir_all(folder(format)).expect("makes the folder");
        std::fs::write(&path, format!("{}\n", make(name))).expect("writes");
    }
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

/// Opens the database of this name in each format that a release stored.
fn opens(name: &str) {
    (OLDEST..=FORMAT).for_each(|format| opens_in(format, name));
}

fn opens_in(format: u32, name: &str) {
    let file = golden(format, name);
    let expected = &file["expected"];
    let mut machine = machine(name);
    machine.damage(|contents| *contents = file::read(&file));
    // A day after it was stored. Nothing is pruned before the checks.
    machine.sim.advance(86_400_000);
    let page = open(&mut machine, by_call_only());
    assert_eq!(page.warnings, []);
    page.assert_whole();
    assert_eq!(page.number("SELECT count(*) FROM t") as u64, file::number(&expected["rows"]));
    assert_eq!(json!(sum(&page.connection)), expected["sum"]);

    let list = page.snapshots.list();
    assert_eq!(list.len(), file::list(&expected["snapshots"]).len());
    for (info, expected) in list.iter().zip(file::list(&expected["snapshots"])) {
        assert_eq!(json!({ "id": info.id, "label": info.label, "sha256": info.sha256 }), {
            json!({ "id": expected["id"], "label": expected["label"], "sha256": expected["sha256"] })
        });
        assert_eq!(json!(sum(&scratch(load(&mut machine, &page, &info.id)))), expected["sum"]);
        let (snapshots, id) = (page.snapshots.clone(), info.id.clone());
        let found = machine.sim.run(async move { snapshots.verify(&id).await }).expect("verifies");
        assert_eq!(found.errors, Vec::<String>::new());
    }
    for moment in file::list(&expected["moments"]) {
        let image = load_at(&mut machine, &page, file::moment(&moment["at"])).expect("reachable");
        assert_eq!(json!(sum(&scratch(image))), moment["sum"], "at {}", moment["at"]);
    }

    machine.commit(&page, "DELETE FROM t; INSERT INTO t(v) VALUES (7)").expect("still works");
    let snapshots = page.snapshots.clone();
    machine.sim.run(async move { snapshots.create(None, Reason::Manual).await }).expect("taken");
    machine.kill(Crash::Process);
    assert_eq!(sum(&open(&mut machine, by_call_only()).connection), 7);
}

#[test]
fn golden_fresh() {
    opens("fresh");
}

#[test]
fn golden_log() {
    opens("log");
}

#[test]
fn golden_snapshots() {
    opens("snapshots");
}

#[test]
fn golden_checkpoint() {
    opens("checkpoint");
}

#[test]
fn golden_big() {
    opens("big");
}

#[test]
fn golden_encrypted() {
    opens("encrypted");
}

#[test]
fn golden_recovered() {
    opens("recovered");
}

#[test]
fn golden_newer_formats_are_refused_and_not_changed() {
    let changes: [fn(&mut Head); 2] =
        [|head| head.format = FORMAT + 1, |head| head.features.push("time-travel".to_owned())];
    for change in changes {
        let mut machine = Machine::new();
        machine.damage(|contents| {
            *contents = file::read(&golden(FORMAT, "snapshots"));
            stored::change_head(contents, change);
        });
        assert_eq!(machine.refused().code, ErrorCode::SnapshotIncompatible);
    }
}

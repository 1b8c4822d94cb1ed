//! The driver of migrations with real SQLite: order, mutex, the safety snapshot, and the state after a failure.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use futures_util::future::{Either, select};
use tidelock::{
    Error, ErrorCode, Result, Value,
    engine::{
        Environment,
        connection::{
            limits::CallLimits,
            mutex::{Mutex, MutexGuard, MutexPermit},
        },
        migrations::{
            driver::Migrations,
            host::{MigrationEvent, MigrationsHost},
            options::RunOptions,
        },
        until_stored,
    },
    error::Detail,
    health::MigrationsHealth as Summary,
    migrate::{
        MigrationDirection, MigrationReport, MigrationResult, MigrationSource, MigrationState, OutOfOrder,
        SuppliedMigrations,
    },
    ports::{Clock, LocalFuture, sim::Sim},
    sqlite::{Connection, PageFile, Statement},
};

/// A fake host of the driver, which logs calls.
struct Fake {
    connection: Rc<Connection>,
    mutex: Rc<Mutex>,
    clock: Rc<dyn Clock>,
    log: RefCell<Vec<String>>,
    /// The app's functions, by version and direction.
    code: fn(&Connection, &str, MigrationDirection) -> Result<()>,
    snapshot_fails: Cell<bool>,
    storage_fails: Cell<bool>,
}

impl Fake {
    fn log(&self, line: impl Into<String>) {
        self.log.borrow_mut().push(line.into());
    }
}

impl Environment for Fake {
    fn connection(&self) -> Result<Rc<Connection>> {
        Ok(self.connection.clone())
    }

    fn lock_connection(&self) -> LocalFuture<'_, Result<MutexGuard>> {
        Box::pin(self.mutex.acquire())
    }

    fn safety_snapshot(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async {
            self.clock.sleep(10).await;
            self.log("snapshot");
            if self.snapshot_fails.get() { Err(Error::new(ErrorCode::StorageQuotaExceeded, "full")) } else { Ok(()) }
        })
    }

    fn stored(&self) -> LocalFuture<'static, Result<()>> {
        assert!(
            self.mutex.try_acquire().is_some_and(|permit| {
                self.mutex.release(permit);
                true
            }),
            "the mutex is released first"
        );
        self.log("stored");
        let fails = self.storage_fails.get();
        Box::pin(async move { if fails { Err(Error::new(ErrorCode::StorageUnavailable, "gone")) } else { Ok(()) } })
    }
}

impl MigrationsHost for Fake {
    fn run_code<'a>(
        &'a self,
        version: &'a str,
        direction: MigrationDirection,
        permit: MutexPermit,
    ) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move {
            self.mutex.check(permit)?;
            self.clock.sleep(25).await;
            (self.code)(&self.connection, version, direction)
        })
    }

    fn run_statement(&self, _: &Connection, statement: &mut Statement<'_>) -> Result<()> {
        statement.finish().map(drop)
    }

    fn resume_capture(&self, _: &Connection) -> Result<()> {
        self.log("resume capture");
        Ok(())
    }

    fn committed(&self) {
        assert!(!self.connection.in_transaction());
        self.log("committed");
    }

    fn progress(&self, progress: MigrationEvent) {
        let MigrationEvent { version, direction, done, total, .. } = progress;
        self.log(format!("{version} {} {done}/{total}", direction.as_str()));
    }
}

struct Bench {
    sim: Sim,
    host: Rc<Fake>,
}

fn bench(script: &str) -> Bench {
    let sim = Sim::new(1);
    let connection = Rc::new(Connection::open(&PageFile::default()).unwrap());
    connection.exec(script).unwrap();
    let host = Fake {
        connection,
        mutex: Rc::default(),
        clock: sim.platform().clock,
        log: RefCell::default(),
        code: |_, _, _| panic!("no function expected"),
        snapshot_fails: Cell::new(false),
        storage_fails: Cell::new(false),
    };
    Bench { sim, host: Rc::new(host) }
}

impl Bench {
    fn migrations(&self, sources: &[MigrationSource]) -> Rc<Migrations> {
        self.with(sources, OutOfOrder::Error)
    }

    fn with(&self, sources: &[MigrationSource], out_of_order: OutOfOrder) -> Rc<Migrations> {
        let supplied = SuppliedMigrations::new(sources.to_vec()).unwrap();
        let clock = self.sim.platform().clock;
        Rc::new(Migrations::new(Some(supplied), "schema_migrations", out_of_order, clock).unwrap())
    }

    fn open(
        &mut self,
        migrations: &Rc<Migrations>,
        migrate: bool,
        baseline: Option<&'static str>,
    ) -> Result<MigrationReport> {
        let (host, migrations) = (self.host.clone(), migrations.clone());
        self.sim.run(async move { migrations.open(&*host, migrate, baseline, None).await })
    }

    fn run(&mut self, migrations: &Rc<Migrations>, options: RunOptions) -> Result<MigrationReport> {
        let (host, migrations) = (self.host.clone(), migrations.clone());
        self.sim.run(async move {
            until_stored(&*host, &CallLimits::default(), Box::pin(migrations.run(&*host, options))).await
        })
    }

    fn revert(&mut self, migrations: &Rc<Migrations>, options: RunOptions) -> Result<MigrationReport> {
        let (host, migrations) = (self.host.clone(), migrations.clone());
        self.sim.run(async move {
            until_stored(&*host, &CallLimits::default(), Box::pin(migrations.revert(&*host, options))).await
        })
    }

    fn states(&mut self, migrations: &Rc<Migrations>) -> Vec<(String, MigrationState)> {
        let (host, migrations) = (self.host.clone(), migrations.clone());
        let rows = self.sim.run(async move { migrations.status(&*host).await }).unwrap();
        rows.into_iter().map(|row| (row.version, row.state)).collect()
    }

    fn log(&self) -> Vec<String> {
        self.host.log.take()
    }

    fn value(&self, sql: &str) -> Option<Value> {
        self.host.connection.value(sql, &[]).unwrap()
    }
}

fn source(version: &str, up: &str) -> MigrationSource {
    MigrationSource {
        version: version.into(),
        name: format!("m{version}"),
        up: Some(up.into()),
        ..MigrationSource::default()
    }
}

fn reversible(version: &str, up: &str, down: &str) -> MigrationSource {
    MigrationSource { down: Some(down.into()), ..source(version, up) }
}

fn three() -> [MigrationSource; 3] {
    [
        reversible("1", "CREATE TABLE a(x)", "DROP TABLE a"),
        reversible("2", "CREATE TABLE b(x)", "DROP TABLE b"),
        reversible("10", "INSERT INTO a VALUES (7)", "DELETE FROM a"),
    ]
}

fn versions(ran: &[MigrationResult]) -> Vec<&str> {
    ran.iter().map(|ran| ran.version.as_str()).collect()
}

#[test]
fn the_first_open_runs_pending_migrations_and_the_next_open_none() {
    let mut bench = bench("");
    let migrations = bench.migrations(&three());
    let report = bench.open(&migrations, true, None).unwrap();
    assert_eq!(versions(&report.applied), ["1", "2", "10"]);
    let log = [
        "1 up 0/3",
        "resume capture",
        "committed",
        "2 up 1/3",
        "resume capture",
        "committed",
        "10 up 2/3",
        "resume capture",
        "committed",
    ];
    assert_eq!(bench.log(), log, "an empty database needs no snapshot");
    let summary = Summary { current: Some("10".into()), pending: 0, modified: 0 };
    assert_eq!(migrations.summary(), summary);

    let again = bench.migrations(&three());
    assert_eq!(bench.open(&again, true, None), Ok(MigrationReport::default()));
    assert_eq!(bench.log(), [""; 0]);
    assert_eq!(again.summary(), summary);
}

#[test]
fn a_snapshot_is_taken_first_when_there_is_data() {
    let mut bench = bench("CREATE TABLE old(x)");
    let migrations = bench.migrations(&three());
    bench.host.snapshot_fails.set(true);
    assert_eq!(bench.open(&migrations, true, None).unwrap_err().code, ErrorCode::StorageQuotaExceeded);
    assert_eq!(bench.value("SELECT count(*) FROM sqlite_schema"), Some(Value::Integer(1)), "nothing ran without one");
    bench.host.snapshot_fails.set(false);
    bench.log();
    bench.run(&migrations, RunOptions { steps: Some(1), ..RunOptions::default() }).unwrap();
    assert_eq!(bench.log(), ["snapshot", "1 up 0/1", "resume capture", "committed", "stored"]);
}

#[test]
fn without_migrate_the_applied_ones_are_still_checked() {
    let mut bench = bench("");
    let all = bench.migrations(&three());
    assert_eq!(bench.open(&all, false, None), Ok(MigrationReport::default()));
    assert_eq!(all.summary().pending, 3);
    bench.open(&all, true, None).unwrap();
    let fewer = bench.migrations(&three()[..2]);
    assert_eq!(bench.open(&fewer, false, None).unwrap_err().code, ErrorCode::SchemaTooNew);
    let mut changed = three();
    changed[0].up = Some("CREATE TABLE a(x, y)".into());
    let changed = bench.migrations(&changed);
    assert_eq!(bench.open(&changed, false, None).unwrap_err().code, ErrorCode::MigrationChecksumMismatch);
    assert_eq!(changed.summary().modified, 1);
    let holed = bench.migrations(&[three()[0].clone(), three()[2].clone()]);
    assert_eq!(bench.open(&holed, true, None).unwrap_err().code, ErrorCode::MigrationMissing);
    assert!(bench.host.mutex.try_acquire().is_some(), "a refused open releases the mutex");
}

#[test]
fn migrations_before_a_failing_one_stay_and_a_fixed_one_continues() {
    let mut bench = bench("");
    let mut sources = three();
    sources[1].up = Some("CREATE TABLE b(x);\nINSERT INTO nowhere VALUES (1)".into());
    let broken = bench.migrations(&sources);
    let error = bench.run(&broken, RunOptions::default()).unwrap_err();
    assert_eq!((error.code, &error.details["version"]), (ErrorCode::MigrationFailed, &Detail::Text("2".into())));
    assert_eq!(error.details["line"], Detail::Int(2));
    assert_eq!(broken.failure().map(|failure| failure.code), Some(ErrorCode::MigrationFailed));
    assert_eq!(broken.summary(), Summary { current: Some("1".into()), pending: 2, modified: 0 });
    assert_eq!(bench.log().last().map(String::as_str), Some("stored"), "what stays is stored");

    let mended = bench.migrations(&three());
    assert_eq!(versions(&bench.run(&mended, RunOptions::default()).unwrap().applied), ["2", "10"]);
    assert_eq!(mended.failure(), None);
}

#[test]
fn a_dry_run_reports_and_changes_nothing() {
    let mut bench = bench("CREATE TABLE old(x)");
    let migrations = bench.migrations(&three());
    let dry = RunOptions { to: Some("2".into()), dry_run: true, ..RunOptions::default() };
    let report = bench.run(&migrations, dry).unwrap();
    assert_eq!(
        serde_json::to_string(&report).unwrap(),
        r#"{"planned":[{"version":"1","name":"m1","direction":"up","sql":"CREATE TABLE a(x)"},{"version":"2","name":"m2","direction":"up","sql":"CREATE TABLE b(x)"}],"applied":[],"reverted":[]}"#
    );
    assert_eq!(bench.log(), ["stored"]);
    assert_eq!(bench.value("SELECT count(*) FROM sqlite_schema"), Some(Value::Integer(1)));
}

#[test]
fn reverts_to_a_version_and_runs_again() {
    let mut bench = bench("");
    let migrations = bench.migrations(&three());
    bench.open(&migrations, true, None).unwrap();
    let to = |version: &str| RunOptions { to: Some(version.into()), ..RunOptions::default() };
    let report = bench.revert(&migrations, to("1")).unwrap();
    assert_eq!((versions(&report.reverted), versions(&report.applied)), (vec!["10", "2"], vec![]));
    assert_eq!(bench.value("SELECT group_concat(name) FROM sqlite_schema WHERE name IN ('a', 'b')"), Some("a".into()));
    let state = |version: &str, state| (version.to_owned(), state);
    let pending = MigrationState::Pending;
    assert_eq!(
        bench.states(&migrations),
        [state("1", MigrationState::Applied), state("2", pending), state("10", pending)]
    );
    assert_eq!(versions(&bench.run(&migrations, to("2")).unwrap().applied), ["2"]);

    let (host, again) = (bench.host.clone(), migrations.clone());
    let redone = bench.sim.run(async move { again.redo(&*host, None).await }).unwrap();
    assert_eq!((versions(&redone.reverted), versions(&redone.applied)), (vec!["2"], vec!["2"]));
}

#[test]
fn a_migration_without_down_stops_a_revert_before_it_starts() {
    let mut bench = bench("");
    let mut sources = three();
    sources[1].down = None;
    let migrations = bench.migrations(&sources);
    bench.open(&migrations, true, None).unwrap();
    bench.log();
    let error = bench.revert(&migrations, RunOptions { steps: Some(2), ..RunOptions::default() }).unwrap_err();
    assert_eq!((error.code, &error.details["version"]), (ErrorCode::MigrationIrreversible, &Detail::Text("2".into())));
    assert_eq!(migrations.summary().current.as_deref(), Some("10"));
    assert_eq!(bench.log(), ["stored"]);
}

#[test]
fn an_older_pending_one_is_refused_or_applied_as_the_option_says() {
    let mut bench = bench("");
    let [first, second, third] = three();
    let some = bench.migrations(&[first.clone(), third.clone()]);
    bench.open(&some, true, None).unwrap();
    let all = [first, second, third];
    let strict = bench.migrations(&all);
    let error = bench.open(&strict, true, None).unwrap_err();
    assert_eq!((error.code, &error.details["version"]), (ErrorCode::MigrationOutOfOrder, &Detail::Text("2".into())));
    assert_eq!(bench.states(&strict)[1].1, MigrationState::OutOfOrder);
    let lenient = bench.with(&all, OutOfOrder::Apply);
    assert_eq!(versions(&bench.open(&lenient, true, None).unwrap().applied), ["2"]);
}

#[test]
fn a_first_migration_that_fails_over_existing_data_names_baseline() {
    let mut seeded = bench("CREATE TABLE a(x); CREATE TABLE b(x)");
    let migrations = seeded.migrations(&three());
    let error = seeded.open(&migrations, true, None).unwrap_err();
    assert_eq!(error.code, ErrorCode::MigrationFailed);
    assert!(error.hint.as_deref().unwrap().contains("pass baseline: the version of the last one"), "{error:?}");

    // Other failures: of an empty database, and after a migration that is applied.
    for applied in [0, 1] {
        let mut other = bench("");
        let sources = [&three()[..applied], &[source("20", "CREATE TABLE broken(")][..]].concat();
        let first = other.migrations(&sources[..applied]);
        other.open(&first, true, None).unwrap();
        let migrations = other.migrations(&sources);
        let error = other.open(&migrations, true, None).unwrap_err();
        assert_eq!(error.code, ErrorCode::MigrationFailed);
        assert!(!error.hint.as_deref().unwrap().contains("baseline"), "{error:?}");
    }
}

#[test]
fn a_baseline_marks_the_versions_of_existing_data() {
    let seed = "CREATE TABLE a(x); CREATE TABLE b(x)";
    let mut bench = bench(seed);
    let migrations = bench.migrations(&three());
    let report = bench.open(&migrations, true, Some("2")).unwrap();
    assert_eq!(versions(&report.applied), ["10"]);
    assert_eq!(bench.value("SELECT x FROM a"), Some(Value::Integer(7)));
    // There is a tracking table now, so the option has no effect.
    assert_eq!(bench.open(&migrations, true, Some("1")), Ok(MigrationReport::default()));

    let mut begun = self::bench("");
    let first = begun.migrations(&three()[..1]);
    begun.open(&first, true, None).unwrap();
    let migrations = begun.migrations(&three());
    let report = begun.open(&migrations, true, Some("2")).unwrap();
    assert_eq!(versions(&report.applied), ["2", "10"], "a history is there already");

    let mut empty = self::bench("");
    let migrations = empty.migrations(&three());
    let report = empty.open(&migrations, true, Some("2")).unwrap();
    assert_eq!(versions(&report.applied), ["1", "2", "10"], "an empty database stands nowhere");

    let mut other = self::bench(seed);
    let migrations = other.migrations(&three());
    assert_eq!(other.open(&migrations, true, Some("3")).unwrap_err().code, ErrorCode::InvalidArgument);
    let (host, called) = (other.host.clone(), migrations.clone());
    let marked = other.sim.run(async move { called.baseline(&*host, "0002").await }).unwrap();
    assert_eq!(marked.iter().map(|marked| marked.version.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(migrations.summary(), Summary { current: Some("2".into()), pending: 1, modified: 0 });
}

#[test]
fn a_forgotten_one_runs_again() {
    let mut bench = bench("");
    let migrations = bench.migrations(&[source("1", "CREATE TABLE IF NOT EXISTS a(x)")]);
    bench.open(&migrations, true, None).unwrap();
    for (version, expected) in [("01", Ok(())), ("1", Err(ErrorCode::InvalidArgument))] {
        let (host, migrations) = (bench.host.clone(), migrations.clone());
        let forgotten = bench.sim.run(async move { migrations.forget(&*host, version).await });
        assert_eq!(forgotten.map_err(|error| error.code), expected);
    }
    assert_eq!(versions(&bench.run(&migrations, RunOptions::default()).unwrap().applied), ["1"]);
}

#[test]
fn functions_run_inside_the_transaction_and_are_timed() {
    let mut bench = bench("");
    Rc::get_mut(&mut bench.host).unwrap().code = |connection, version, direction| match (version, direction) {
        ("1", MigrationDirection::Up) => {
            assert!(connection.in_transaction());
            connection.exec("CREATE TABLE a(x)")
        }
        ("1", MigrationDirection::Down) => connection.exec("DROP TABLE a"),
        ("2", _) => {
            connection.exec("CREATE TABLE half(x)")?;
            Err(Error::invalid("the function threw").detail("line", 3_u32))
        }
        _ => {
            assert!(!connection.in_transaction());
            connection.exec("CREATE TABLE half(x)")?;
            Err(Error::invalid("the function threw"))
        }
    };
    let code = |version: &str| MigrationSource {
        up: None,
        up_is_function: true,
        down_is_function: true,
        ..source(version, "")
    };
    let one = bench.migrations(&[code("1")]);
    let report = bench.run(&one, RunOptions::default()).unwrap();
    assert_eq!(report.applied[0].execution_ms, 25);
    assert_eq!(bench.value("SELECT execution_ms FROM schema_migrations"), Some(Value::Integer(25)));
    bench.log();
    for second in [code("2"), MigrationSource { transaction: Some(false), ..code("3") }] {
        let two = bench.migrations(&[code("1"), second]);
        let error = bench.run(&two, RunOptions::default()).unwrap_err();
        assert_eq!(error.code, ErrorCode::MigrationFailed);
        assert!(error.cause.as_ref().is_some_and(|cause| cause.contains("the function threw")));
        assert_eq!(bench.value("SELECT count(*) FROM sqlite_schema WHERE name = 'half'"), Some(Value::Integer(0)));
    }
    bench.revert(&one, RunOptions::default()).unwrap();
    assert_eq!(bench.value("SELECT count(*) FROM sqlite_schema WHERE name = 'a'"), Some(Value::Integer(0)));
}

#[test]
fn a_cancelled_run_leaves_nothing_of_its_migration() {
    let mut bench = bench("CREATE TABLE old(x)");
    Rc::get_mut(&mut bench.host).unwrap().code = |connection, _, _| connection.exec("CREATE TABLE never(x)");
    let code = MigrationSource { up: None, up_is_function: true, ..source("2", "") };
    let migrations = bench.migrations(&[source("1", "CREATE TABLE a(x)"), code]);
    let (host, clock) = (bench.host.clone(), bench.sim.platform().clock);
    bench.sim.run(async move {
        // The snapshot takes 10 ms, the function 25.
        let run = Box::pin(migrations.run(&*host, RunOptions::default()));
        assert!(matches!(select(run, clock.sleep(20)).await, Either::Right(_)), "the run is not over");
    });
    let connection = &bench.host.connection;
    assert!(!connection.in_transaction());
    assert_eq!(bench.value("PRAGMA foreign_keys"), Some(Value::Integer(1)));
    assert_eq!(bench.value("SELECT group_concat(version) FROM schema_migrations"), Some("1".into()));
    assert_eq!(bench.log(), ["snapshot", "1 up 0/2", "resume capture", "committed", "2 up 1/2", "resume capture"]);
    assert!(bench.host.mutex.try_acquire().is_some());
}

#[test]
fn a_run_waits_for_the_mutex_and_for_the_storage() {
    let mut bench = bench("");
    let migrations = bench.migrations(&three());
    let permit = bench.host.mutex.try_acquire().unwrap();
    let (mutex, clock) = (bench.host.mutex.clone(), bench.sim.platform().clock);
    bench.sim.platform().spawner.spawn(Box::pin(async move {
        clock.sleep(500).await;
        mutex.release(permit);
    }));
    bench.host.storage_fails.set(true);
    let started = bench.sim.platform().clock.monotonic_ms();
    let error = bench.run(&migrations, RunOptions::default()).unwrap_err();
    assert_eq!(error.code, ErrorCode::StorageUnavailable);
    assert!(bench.sim.platform().clock.monotonic_ms() - started >= 500.0);
}

#[test]
fn an_app_without_migrations_is_left_alone() {
    let mut bench = bench("CREATE TABLE schema_migrations(something, quite, different)");
    let clock = bench.sim.platform().clock;
    let none = Rc::new(Migrations::new(None, "schema_migrations", OutOfOrder::Error, clock).unwrap());
    assert_eq!(bench.open(&none, true, None), Ok(MigrationReport::default()));
    assert_eq!(bench.run(&none, RunOptions::default()).unwrap_err().code, ErrorCode::InvalidArgument);
}

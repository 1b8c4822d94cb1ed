//! An open database.

use std::{rc::Rc, sync::Arc};

use serde::de::DeserializeOwned;

#[cfg(feature = "sync")]
use super::Sync;
use super::{
    Encryption, Events, LiveQuery, Migrations, Snapshots, Transaction, TransactionMode,
    engine_handle::{Caller, EngineHandle},
    params::{Params, Statement},
    rows::{Row, RowIterator, RunResult},
    session::{Limit, Reply, ThreadState},
    transaction::{self, ManualTransaction},
};
use crate::{
    engine::{self, MaintainOptions},
    error::{Error, Result},
    health::{Health, Thresholds},
    maintain::{Expiry, MaintenanceReport},
    sqlite::{Image, Op, PlanRow},
};

/// The options of [`Database::import`].
///
/// ```
/// let options = tidelock::ImportOptions { force: true, ..Default::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportOptions {
    /// The migration version of a file without a tracking table; by default the option `baseline` of `open`.
    pub baseline: Option<String>,
    /// Whether to discard local changes that were not pushed.
    pub force: bool,
}

/// What `open` sets for the calls of a database.
#[derive(Clone, Debug)]
pub(super) struct DatabaseSettings {
    pub expires: Vec<Expiry>,
    pub health: Thresholds,
}

/// An open database: the result of [`open`](crate::open()). A handle, cheap to clone, for any thread.
///
/// Calls run one at a time, in the order in which they were first polled; a transaction keeps other calls waiting until
/// it ends. Dropping the future of a call cancels it where it waits; a statement that runs already is ended by
/// [`with_timeout_ms`](Self::with_timeout_ms) only. SQL errors are `sqlite_error` or
/// `sqlite_constraint` (`details.sqliteCode`, `details.offset`), wrong arguments `invalid_argument`, calls on a closed
/// database `closed`.
///
/// When the last handle is dropped, the database stores all commits, releases its lock and closes; natively that drop
/// waits for it. [`close`](Self::close) does the same, and reports errors.
#[derive(Clone, Debug)]
pub struct Database {
    engine: Arc<EngineHandle>,
    settings: Arc<DatabaseSettings>,
    timeout_ms: Option<u64>,
}

impl Database {
    /// Creates a handle to an engine whose database is open.
    pub(super) fn new(engine: Arc<EngineHandle>, settings: DatabaseSettings) -> Self {
        Self { engine, settings: Arc::new(settings), timeout_ms: None }
    }

    fn caller(&self) -> Caller {
        Caller { level: None, timeout_ms: self.timeout_ms }
    }

    /// Returns the option `name` of `open`.
    pub fn name(&self) -> &str {
        &self.engine.name
    }

    /// Returns whether the database was closed.
    pub fn is_closed(&self) -> bool {
        self.engine.is_closed()
    }

    /// Returns a handle whose calls fail with `timeout` after so many milliseconds: those that wait for a transaction, and
    /// statements that run. A transaction that takes longer in all is rolled back at its end. While a statement of another
    /// handle runs, calls wait for its end: give long ones a time limit, too.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{ErrorCode, OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";
    /// let error = db.with_timeout_ms(20).query(endless, ()).await.unwrap_err();
    /// assert_eq!(error.code, ErrorCode::Timeout);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    #[must_use]
    pub fn with_timeout_ms(&self, timeout_ms: u64) -> Self {
        Self { timeout_ms: Some(timeout_ms), ..self.clone() }
    }

    /// Runs a query and returns its rows. A statement that writes may return rows, too, with RETURNING.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use tidelock::{OpenOptions, Storage, named_params};
    ///
    /// let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// db.exec("CREATE TABLE orders(id INTEGER PRIMARY KEY, status TEXT); INSERT INTO orders VALUES (7, 'open')").await?;
    /// let rows = db.query("SELECT id FROM orders WHERE status = :status", named_params! { "status": "open" }).await?;
    /// assert_eq!(rows[0].get::<i64>("id")?, 7);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn query(&self, sql: &str, params: impl Into<Params>) -> Result<Vec<Row>> {
        self.engine.statement(self.caller(), Op::Query, sql, params.into()).await?.rows()
    }

    /// Runs a query and reads each row as a `T`, by serde: see [`Row::to`].
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// use tidelock::{OpenOptions, Storage, params};
    ///
    /// #[derive(Debug, PartialEq, serde::Deserialize)]
    /// struct Order {
    ///     id: i64,
    ///     note: Option<String>,
    /// }
    ///
    /// let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// db.exec("CREATE TABLE orders(id INTEGER PRIMARY KEY, note TEXT); INSERT INTO orders VALUES (7, NULL)").await?;
    /// let orders: Vec<Order> = db.query_as("SELECT * FROM orders WHERE id > ?", params![1]).await?;
    /// assert_eq!(orders, [Order { id: 7, note: None }]);
    /// let ids: Vec<i64> = db.query_as("SELECT id FROM orders", ()).await?;
    /// assert_eq!(ids, [7]);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn query_as<T: DeserializeOwned>(&self, sql: &str, params: impl Into<Params>) -> Result<Vec<T>> {
        self.iterate_as(sql, params).await?.collect()
    }

    /// Runs a query and returns its first row.
    pub async fn get(&self, sql: &str, params: impl Into<Params>) -> Result<Option<Row>> {
        let reply = self.engine.statement(self.caller(), Op::Get, sql, params.into()).await?;
        Ok(reply.rows()?.into_iter().next())
    }

    /// Runs a query and reads its first row as a `T`, by serde: see [`Row::to`].
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// let count: Option<u64> = db.get_as("SELECT count(*) FROM sqlite_schema", ()).await?;
    /// assert_eq!(count, Some(0));
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn get_as<T: DeserializeOwned>(&self, sql: &str, params: impl Into<Params>) -> Result<Option<T>> {
        self.get(sql, params.into()).await?.map(|row| row.to()).transpose()
    }

    /// Runs a query and returns an iterator over its rows, which creates them one at a time: for large results, of which
    /// [`query`](Self::query) would create all rows at once. They are the rows of one point in time; the loop may
    /// write.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage, params};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE orders(id INTEGER PRIMARY KEY, sent BOOLEAN); INSERT INTO orders VALUES (7, 0)").await?;
    /// for order in db.iterate("SELECT id FROM orders WHERE NOT sent", ()).await? {
    ///     let id: i64 = order?.get("id")?;
    ///     db.run("UPDATE orders SET sent = 1 WHERE id = ?", params![id]).await?;
    /// }
    /// # assert_eq!(db.query_as::<bool>("SELECT sent FROM orders", ()).await?, [true]);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn iterate(&self, sql: &str, params: impl Into<Params>) -> Result<RowIterator> {
        Ok(self.engine.statement(self.caller(), Op::Query, sql, params.into()).await?.iterate())
    }

    /// Does the same as [`iterate`](Self::iterate), and reads each row as a `T`, by serde: see [`Row::to`].
    pub async fn iterate_as<T: DeserializeOwned>(
        &self,
        sql: &str,
        params: impl Into<Params>,
    ) -> Result<RowIterator<T>> {
        Ok(self.iterate(sql, params.into()).await?.typed())
    }

    /// Runs a statement. Resolves when its changes are stored as the option `durability` promises. When storing fails,
    /// the error has `details.applied: true`: the changes are visible and will be stored when possible, so don't repeat
    /// the call.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage, params};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE products(id INTEGER PRIMARY KEY, name TEXT, price TEXT)").await?;
    /// let inserted = db.run("INSERT INTO products(name, price) VALUES (?, ?)", params!["tea", "4.50"]).await?;
    /// assert_eq!((inserted.changes, inserted.last_insert_rowid), (1, 1));
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn run(&self, sql: &str, params: impl Into<Params>) -> Result<RunResult> {
        self.engine.statement(self.caller(), Op::Run, sql, params.into()).await.map(|reply| reply.run_result())
    }

    /// Runs one statement for each row of parameters, in one transaction: all or none. Returns how many rows were
    /// changed.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE points(x, y)").await?;
    /// assert_eq!(db.run_many("INSERT INTO points(x, y) VALUES (?, ?)", [[1, 2], [3, 4]]).await?, 2);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn run_many<P: Into<Params>>(&self, sql: &str, rows: impl IntoIterator<Item = P>) -> Result<u64> {
        let rows = rows.into_iter().map(Into::into).collect();
        self.engine.many(self.caller(), sql, rows).await
    }

    /// Runs several statements in one transaction and returns the rows of each. `details.statement` of an error counts
    /// from 1.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Statement, Storage, Value, params};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE notes(body)").await?;
    /// let results = db
    ///     .batch([
    ///         Statement::new("INSERT INTO notes VALUES (?)", params!["tea"]),
    ///         Statement::new("SELECT count(*) FROM notes", ()),
    ///     ])
    ///     .await?;
    /// assert_eq!(results[1][0][0], Value::Integer(1));
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn batch(&self, statements: impl IntoIterator<Item = Statement>) -> Result<Vec<Vec<Row>>> {
        let statements = statements.into_iter().collect();
        self.engine.batch(self.caller(), statements).await?.into_iter().map(Reply::rows).collect()
    }

    /// Runs a script of several statements in one transaction, unless it has its own BEGIN and COMMIT.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// db.exec("CREATE TABLE notes(body TEXT); CREATE INDEX notes_body ON notes(body)").await?;
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn exec(&self, script: &str) -> Result<()> {
        self.engine.script(self.caller(), script).await
    }

    /// Runs a function in a transaction: commits when it returns `Ok`, rolls back when it returns `Err` or the future is
    /// dropped. Calls on the database wait for its end, so the function must use `tx`; a call on the database inside of
    /// it is `invalid_argument`.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{Error, OpenOptions, Storage, params};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE accounts(id INTEGER PRIMARY KEY, balance INTEGER)").await?;
    /// # db.exec("INSERT INTO accounts VALUES (1, 9), (2, 0)").await?;
    /// let (from, to) = (1, 2);
    /// db.transaction(async |tx| {
    ///     tx.run("UPDATE accounts SET balance = balance - 5 WHERE id = ?", params![from]).await?;
    ///     tx.run("UPDATE accounts SET balance = balance + 5 WHERE id = ?", params![to]).await?;
    ///     Ok::<_, Error>(())
    /// })
    /// .await?;
    /// # assert_eq!(db.query_as::<i64>("SELECT balance FROM accounts ORDER BY id", ()).await?, [4, 5]);
    /// # Ok::<_, Error>(()) }).unwrap();
    /// ```
    pub async fn transaction<T, E, F, Fut>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(Transaction) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        self.transaction_with(TransactionMode::Deferred, work).await
    }

    /// Does the same as [`transaction`](Self::transaction) in another mode.
    pub async fn transaction_with<T, E, F, Fut>(&self, mode: TransactionMode, work: F) -> Result<T, E>
    where
        F: FnOnce(Transaction) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        transaction::run(&self.engine, self.caller(), mode, work).await
    }

    /// Begins a transaction that its owner commits, or rolls back by dropping it. All other calls wait meanwhile.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage, TransactionMode};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE drafts(body)").await?;
    /// let tx = db.begin(TransactionMode::Deferred).await?;
    /// tx.run("DELETE FROM drafts", ()).await?;
    /// tx.commit().await?;
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn begin(&self, mode: TransactionMode) -> Result<ManualTransaction> {
        ManualTransaction::begin(&self.engine, self.caller(), mode).await
    }

    /// Returns a query that runs again when a commit may have changed its result: a stream of its rows. See
    /// [`LiveQuery`].
    pub fn live(&self, sql: &str, params: impl Into<Params>) -> LiveQuery {
        LiveQuery::rows(&self.engine, self.caller(), sql, params.into())
    }

    /// Does the same as [`live`](Self::live), and reads each row as a `T`.
    pub fn live_as<T: DeserializeOwned>(&self, sql: &str, params: impl Into<Params>) -> LiveQuery<T> {
        LiveQuery::typed(&self.engine, self.caller(), sql, params.into())
    }

    /// Returns SQLite's plan for a statement (EXPLAIN QUERY PLAN).
    pub async fn explain(&self, sql: &str) -> Result<Vec<PlanRow>> {
        let sql = sql.to_owned();
        let explain = async move |session: Rc<ThreadState>, limit| {
            let explain = |_: &_, core: &engine::Database, permit| core.explain(permit, &sql).map(|plan| (plan, false));
            session.under_permit(None, &limit, explain).await
        };
        self.engine.call(self.caller(), explain).await
    }

    /// Returns the whole database as the bytes of a `.sqlite` file, tidelock's own tables included.
    pub async fn export(&self) -> Result<Vec<u8>> {
        let export = async |session: Rc<ThreadState>, _limit| {
            let contents = session.core()?.export()?;
            let mut bytes = Vec::new();
            for index in 0..contents.chunk_count() {
                contents.with_chunk(index, |chunk| bytes.extend_from_slice(chunk))?;
            }
            Ok(bytes)
        };
        self.engine.ask(self.caller(), export).await
    }

    /// Returns the whole database as SQL text, in the form of SQLite's `.dump`.
    pub async fn export_sql(&self) -> Result<String> {
        let export = async |session: Rc<ThreadState>, limit: Limit| {
            let mut text = Vec::new();
            let sink = &mut |piece: &[u8]| {
                text.extend_from_slice(piece);
                Ok(())
            };
            limit.run(session.core()?.export_sql(sink)).await?;
            String::from_utf8(text).map_err(|_| Error::internal("The SQL text isn't UTF-8"))
        };
        self.engine.call(self.caller(), export).await
    }

    /// Replaces all data by the contents of a `.sqlite` file, after checking it. The old data becomes a snapshot, and
    /// pending migrations run. On any failure the old data stays.
    ///
    /// Fails with `database_corrupt` (damaged, or not a database), `invalid_argument` (the schema needs functions or
    /// modules that this database lacks), `snapshot_incompatible` (newer than the supplied migrations), `timeout`,
    /// `database_too_large` and `out_of_memory`.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{ImportOptions, OpenOptions, Storage};
    /// # let here = tidelock::open(OpenOptions::new("here").storage(Storage::Memory)).await?;
    /// # let there = tidelock::open(OpenOptions::new("there").storage(Storage::Memory)).await?;
    /// # there.exec("CREATE TABLE notes(body); INSERT INTO notes VALUES ('tea')").await?;
    /// let file = there.export().await?; // Or std::fs::read("notes.sqlite")
    /// here.import(file, ImportOptions::default()).await?;
    /// assert_eq!(here.query_as::<String>("SELECT body FROM notes", ()).await?, ["tea"]);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn import(&self, file: impl Into<Vec<u8>>, options: ImportOptions) -> Result<()> {
        let file = file.into();
        let prepare = async move |session: Rc<ThreadState>| {
            let core = session.core()?;
            let ImportOptions { baseline, force } = options;
            let options = engine::ImportOptions { baseline, force, timeout_ms: None };
            let image = Image::from_bytes(&file);
            drop(file);
            core.prepare_import(image, options).await
        };
        self.engine.replacing(self.caller(), prepare).await
    }

    /// Checks the database (SQLite's `integrity_check` and `foreign_key_check`), deletes expired rows (the options
    /// `expires` and `audit`), frees unused pages, and gathers statistics for the query planner. The report has the
    /// findings and the failed steps.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{OpenOptions, Storage, params};
    /// let options = OpenOptions::new("example").storage(Storage::Memory).expires("sessions", "until");
    /// let db = tidelock::open(options).await?;
    /// db.exec("CREATE TABLE sessions(id INTEGER PRIMARY KEY, until TEXT)").await?;
    /// db.run("INSERT INTO sessions(until) VALUES (?)", params!["2020-01-01T00:00:00Z"]).await?;
    /// let report = db.maintain().await?;
    /// assert!(report.ok && report.expired[0].deleted == 1);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn maintain(&self) -> Result<MaintenanceReport> {
        let expires = self.settings.expires.clone();
        let maintain = async move |session: Rc<ThreadState>, limit: Limit| {
            limit.run(session.core()?.maintain(MaintainOptions { expires })).await
        };
        self.engine.call(self.caller(), maintain).await
    }

    /// Returns the state of the database: storage, lock, snapshots, migrations, queries. Works on a closed one, too.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{HealthStatus, OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// let health = db.health().await?;
    /// assert_eq!(health.status, HealthStatus::Ok);
    /// assert_eq!(health.storage.kind, "memory");
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn health(&self) -> Result<Health> {
        let thresholds = self.settings.health;
        let health = async move |session: Rc<ThreadState>, _limit| Ok(session.core()?.health_by(&thresholds).await);
        self.engine.ask(self.caller(), health).await
    }

    /// Asks the platform never to evict the data, and returns whether it agreed: it never evicts a folder.
    pub async fn persist(&self) -> Result<bool> {
        let persist = async |session: Rc<ThreadState>, _limit| session.core()?.persist().await;
        self.engine.ask(self.caller(), persist).await
    }

    /// Resolves when everything written so far is stored. Fails with the error of the storage.
    pub async fn flush(&self) -> Result<()> {
        let flush = async |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.flush()).await;
        self.engine.ask(self.caller(), flush).await
    }

    /// Changes the secret of the database, encrypts a plain one, or decrypts it with `None`. Other calls wait meanwhile.
    /// If the process dies during the call, the database has either the old or the new secret.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{Encryption, OpenOptions, Storage};
    /// # let options = OpenOptions::new("example").storage(Storage::Memory);
    /// let db = tidelock::open(options.encryption(Encryption::passphrase("correct horse battery staple"))).await?;
    /// db.rekey(Some(Encryption::passphrase("four other unrelated words"))).await?;
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn rekey(&self, encryption: Option<Encryption>) -> Result<()> {
        if encryption.as_ref().is_some_and(Encryption::is_empty) {
            return Err(Error::invalid("encryption.passphrase must not be empty").detail("option", "encryption"));
        }
        let rekey = async move |session: Rc<ThreadState>| {
            session.core()?.rekey(encryption.map(|encryption| encryption.vault())).await
        };
        self.engine.alone(self.caller(), rekey).await
    }

    /// Replaces the data key of an encrypted database by a new one, and encrypts everything with it: data, log and
    /// snapshots. The secret stays. Most of it happens while other calls run; at the end they wait while the log is written.
    ///
    /// If the process dies, or the call fails or is dropped, the next opening or call continues. Fails with
    /// `invalid_argument` when the database is not encrypted, `out_of_memory` when the log doesn't fit into memory twice,
    /// and with the errors of [`flush`](Self::flush); with `storage_quota_exceeded` the old key stays.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{Encryption, OpenOptions, Storage};
    /// # let options = OpenOptions::new("example").storage(Storage::Memory);
    /// let db = tidelock::open(options.encryption(Encryption::passphrase("correct horse battery staple"))).await?;
    /// db.rotate_key().await?;
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn rotate_key(&self) -> Result<()> {
        let rotate = async move |session: Rc<ThreadState>, limit: Limit| {
            let core = session.core()?;
            limit.wait_for(core).await?;
            core.begin_rotation().await?;
            core.end_rotation(limit.run(core.copy_ahead()).await).await
        };
        self.engine.call(self.caller(), rotate).await
    }

    /// Sets the author of changes in the audit log, for calls that begin afterwards.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{AuditOptions, OpenOptions, Storage};
    /// # let options = OpenOptions::new("example").storage(Storage::Memory);
    /// let db = tidelock::open(options.audit(AuditOptions::new(["notes"]))).await?;
    /// db.exec("CREATE TABLE notes(id INTEGER PRIMARY KEY, body)").await?;
    /// db.set_actor(Some("user-17")).await?;
    /// db.run("INSERT INTO notes(body) VALUES ('tea')", ()).await?;
    /// let actors: Vec<String> = db.query_as("SELECT actor FROM audit_log", ()).await?;
    /// assert_eq!(actors, ["user-17"]);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn set_actor(&self, actor: Option<&str>) -> Result<()> {
        let actor = actor.map(str::to_owned);
        let set = async move |session: Rc<ThreadState>, limit| {
            let set = |_: &_, core: &engine::Database, _| core.set_actor(actor.as_deref()).map(|()| ((), false));
            session.under_permit(None, &limit, set).await
        };
        self.engine.call(self.caller(), set).await
    }

    /// Returns the migrations of the schema.
    pub fn migrations(&self) -> Migrations {
        Migrations::new(&self.engine, self.caller())
    }

    /// Returns the snapshots.
    pub fn snapshots(&self) -> Snapshots {
        Snapshots::new(&self.engine, self.caller())
    }

    /// Returns the sync with the option `remote`.
    ///
    /// ```no_run
    /// # async fn example(db: tidelock::Database) -> tidelock::Result<()> {
    /// let report = db.sync().run().await?;
    /// println!("{} rows are new", report.pull.tables[0].inserted);
    /// # Ok(()) }
    /// ```
    #[cfg(feature = "sync")]
    pub fn sync(&self) -> Sync {
        Sync::new(&self.engine, self.caller())
    }

    /// Returns the events from now on: a stream, which ends when the database is closed. It doesn't keep the database
    /// open.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{Event, OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE notes(body)").await?;
    /// let mut events = db.events().await?;
    /// db.run("INSERT INTO notes VALUES ('tea')", ()).await?;
    /// let Some(Event::Change(change)) = events.next().await else { panic!("a change was expected") };
    /// assert_eq!(change.tables, ["notes"]);
    /// # Ok::<_, tidelock::Error>(()) }).unwrap();
    /// ```
    pub async fn events(&self) -> Result<Events> {
        let listen = async |session: Rc<ThreadState>, _limit| {
            let core = session.open_core()?;
            core.emit_changes(true);
            Ok(Events(session.reports.listen()))
        };
        self.engine.ask(self.caller(), listen).await
    }

    /// Finishes the calls made so far, stores everything and releases the lock. Later calls fail with `closed`, except
    /// `close` itself. A transaction that [`begin`](Self::begin) returned is rolled back.
    pub async fn close(&self) -> Result<()> {
        self.engine.call(self.caller(), async |session: Rc<ThreadState>, _limit| session.close().await).await
    }
}

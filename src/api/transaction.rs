//! Transactions.

use std::{
    future::Future,
    ops::Deref,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use serde::de::DeserializeOwned;

use super::{
    engine_handle::{Caller, EngineHandle, OpenLevel},
    inside::inside,
    params::{Params, Statement},
    rows::{Row, RowIterator, RunResult},
    session::{LevelId, Reply},
};
use crate::{
    error::{Error, Result},
    sqlite::Op,
};

/// When a transaction takes SQLite's write lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TransactionMode {
    /// With the first write.
    #[default]
    Deferred,
    /// At its beginning.
    Immediate,
}

/// An open transaction: the argument of the function passed to [`Database::transaction`](crate::Database::transaction).
/// A handle, cheap to clone.
///
/// After its end, every call fails with `transaction_closed`. While a nested transaction is open, calls on the outer one
/// wait for its end; in the function of the nested one that is `invalid_argument`.
#[derive(Clone, Debug)]
pub struct Transaction {
    engine: Arc<EngineHandle>,
    caller: Caller,
}

impl Transaction {
    /// Creates a handle to a level.
    pub(super) fn new(engine: Arc<EngineHandle>, level: LevelId) -> Self {
        Self { engine, caller: Caller { level: Some(level), timeout_ms: None } }
    }

    /// Runs a query and returns its rows: see [`Database::query`](crate::Database::query).
    pub async fn query(&self, sql: &str, params: impl Into<Params>) -> Result<Vec<Row>> {
        self.engine.statement(self.caller, Op::Query, sql, params.into()).await?.rows()
    }

    /// Runs a query and reads each row as a `T`: see [`Database::query_as`](crate::Database::query_as).
    pub async fn query_as<T: DeserializeOwned>(&self, sql: &str, params: impl Into<Params>) -> Result<Vec<T>> {
        self.iterate_as(sql, params).await?.collect()
    }

    /// Runs a query and returns its first row: see [`Database::get`](crate::Database::get).
    pub async fn get(&self, sql: &str, params: impl Into<Params>) -> Result<Option<Row>> {
        let reply = self.engine.statement(self.caller, Op::Get, sql, params.into()).await?;
        Ok(reply.rows()?.into_iter().next())
    }

    /// Runs a query and reads its first row as a `T`: see [`Database::get_as`](crate::Database::get_as).
    pub async fn get_as<T: DeserializeOwned>(&self, sql: &str, params: impl Into<Params>) -> Result<Option<T>> {
        self.get(sql, params.into()).await?.map(|row| row.to()).transpose()
    }

    /// Runs a query and returns an iterator over its rows: see [`Database::iterate`](crate::Database::iterate).
    pub async fn iterate(&self, sql: &str, params: impl Into<Params>) -> Result<RowIterator> {
        Ok(self.engine.statement(self.caller, Op::Query, sql, params.into()).await?.iterate())
    }

    /// Runs a query and returns an iterator that reads its rows as a `T`: see
    /// [`Database::iterate_as`](crate::Database::iterate_as).
    pub async fn iterate_as<T: DeserializeOwned>(
        &self,
        sql: &str,
        params: impl Into<Params>,
    ) -> Result<RowIterator<T>> {
        Ok(self.iterate(sql, params.into()).await?.typed())
    }

    /// Runs a statement: see [`Database::run`](crate::Database::run).
    pub async fn run(&self, sql: &str, params: impl Into<Params>) -> Result<RunResult> {
        self.engine.statement(self.caller, Op::Run, sql, params.into()).await.map(|reply| reply.run_result())
    }

    /// Runs one statement for each row of parameters, all or none: see
    /// [`Database::run_many`](crate::Database::run_many).
    pub async fn run_many<P: Into<Params>>(&self, sql: &str, rows: impl IntoIterator<Item = P>) -> Result<u64> {
        let rows = rows.into_iter().map(Into::into).collect();
        self.engine.many(self.caller, sql, rows).await
    }

    /// Runs several statements, all or none: see [`Database::batch`](crate::Database::batch).
    pub async fn batch(&self, statements: impl IntoIterator<Item = Statement>) -> Result<Vec<Vec<Row>>> {
        let statements = statements.into_iter().collect();
        self.engine.batch(self.caller, statements).await?.into_iter().map(Reply::rows).collect()
    }

    /// Runs a script inside this transaction. BEGIN and COMMIT in the script are `invalid_argument`.
    pub async fn exec(&self, script: &str) -> Result<()> {
        self.engine.script(self.caller, script).await
    }

    /// Runs a function in a nested transaction (a savepoint): commits into this one when it returns `Ok`, rolls back
    /// when it returns `Err`.
    ///
    /// ```
    /// # futures_executor::block_on(async {
    /// # use tidelock::{Error, OpenOptions, Storage};
    /// # let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
    /// # db.exec("CREATE TABLE notes(body)").await?;
    /// db.transaction(async |tx| {
    ///     tx.run("INSERT INTO notes VALUES ('kept')", ()).await?;
    ///     let failed = tx.transaction(async |inner| {
    ///         inner.run("INSERT INTO notes VALUES ('undone')", ()).await?;
    ///         inner.run("INSERT INTO missing VALUES (1)", ()).await
    ///     });
    ///     assert!(failed.await.is_err());
    ///     Ok::<_, Error>(())
    /// })
    /// .await?;
    /// assert_eq!(db.query_as::<String>("SELECT body FROM notes", ()).await?, ["kept"]);
    /// # Ok::<_, Error>(()) }).unwrap();
    /// ```
    pub async fn transaction<T, E, F, Fut>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(Transaction) -> Fut,
        Fut: Future<Output = Result<T, E>>,
        E: From<Error>,
    {
        run(&self.engine, self.caller, TransactionMode::Deferred, work).await
    }
}

/// Runs a function in a transaction, or in a savepoint of the caller's.
pub(super) async fn run<T, E, F, Fut>(
    engine: &Arc<EngineHandle>,
    caller: Caller,
    mode: TransactionMode,
    work: F,
) -> Result<T, E>
where
    F: FnOnce(Transaction) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: From<Error>,
{
    let level = engine.begin(caller, mode == TransactionMode::Immediate, false).await?;
    let tx = Transaction { engine: engine.clone(), caller: Caller { level: Some(level.id), ..caller } };
    let waiting = caller.level;
    let working = inside(engine.id(), waiting, || work(tx));
    // An error drops the level, which rolls back before any later call runs.
    let value = Inside { engine: engine.id(), waiting, working: Box::pin(working) }.await?;
    level.commit(engine).await?;
    Ok(value)
}

/// The function of a transaction.
struct Inside<F> {
    engine: usize,
    waiting: Option<LevelId>,
    working: Pin<Box<F>>,
}

impl<F: Future> Future for Inside<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Self { engine, waiting, working } = &mut *self;
        inside(*engine, *waiting, || working.as_mut().poll(context))
    }
}

/// A transaction that its owner ends: the result of [`Database::begin`](crate::Database::begin). Dropping it rolls back.
#[derive(Debug)]
pub struct ManualTransaction {
    tx: Transaction,
    level: OpenLevel,
}

impl ManualTransaction {
    /// Begins a transaction.
    pub(super) async fn begin(engine: &Arc<EngineHandle>, caller: Caller, mode: TransactionMode) -> Result<Self> {
        let level = engine.begin(caller, mode == TransactionMode::Immediate, true).await?;
        let tx = Transaction { engine: engine.clone(), caller: Caller { level: Some(level.id), ..caller } };
        Ok(Self { tx, level })
    }

    /// Commits. Resolves when the changes are stored as the option `durability` promises. A failed commit rolls back.
    pub async fn commit(self) -> Result<()> {
        self.level.commit(&self.tx.engine).await
    }

    /// Rolls back; as dropping it does.
    pub fn rollback(self) {}
}

impl Deref for ManualTransaction {
    type Target = Transaction;

    fn deref(&self) -> &Transaction {
        &self.tx
    }
}

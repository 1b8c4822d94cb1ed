//! The calls that run on the engine's thread.

use std::sync::{Arc, atomic::Ordering};

use super::{LevelId, LiveSignal, ThreadState, levels::LevelEnd, limit::Limit};
use crate::{
    api::{
        params::{PackedParams, Statement},
        rows::{Row, RowIterator, RunResult},
    },
    engine::{Call, Database as Core, connection::mutex::MutexPermit},
    error::{Error, Result},
    sqlite::{FlatRows, Op},
};

/// The longest text of a statement in the details of an error, in characters.
const LONGEST_SQL: usize = 1000;

/// A statement to run.
#[derive(Clone, Debug)]
pub struct SqlCall {
    pub op: Op,
    pub sql: Arc<str>,
    pub params: Arc<PackedParams>,
}

/// The result of a statement, in the engine's form.
#[derive(Debug, Default)]
pub struct Reply {
    columns: Option<Arc<[String]>>,
    rows: FlatRows,
    changes: u64,
    last_insert_rowid: i64,
}

impl Reply {
    /// Returns what is known of a statement without rows.
    pub fn run_result(&self) -> RunResult {
        RunResult { changes: self.changes, last_insert_rowid: self.last_insert_rowid }
    }

    /// Returns the rows, decoded one at a time.
    pub fn iterate(self) -> RowIterator {
        RowIterator::new(self.rows, self.columns.unwrap_or_default())
    }

    /// Returns all rows. Fails with `internal` for areas that the engine doesn't write.
    pub fn rows(self) -> Result<Vec<Row>> {
        self.iterate().collect()
    }
}

/// What a call does under a permit: its result, and whether it wrote something that has to be stored.
type Done<T> = Result<(T, bool)>;

impl ThreadState {
    /// Runs `work` under a permit: in a transaction, or alone; then it waits until what it wrote is stored.
    pub async fn under_permit<T>(
        &self,
        level: Option<LevelId>,
        limit: &Limit,
        work: impl FnOnce(&Self, &Core, MutexPermit) -> Done<T>,
    ) -> Result<T> {
        let core = self.core()?;
        if let Some(id) = level {
            let (permit, _calls) = limit.run(self.levels.enter(id)).await?;
            return work(self, core, permit).map(|(value, _)| value).map_err(|error| limit.named(error));
        }
        let guard = limit.run(core.mutex().acquire()).await?;
        let (value, wrote) = work(self, core, guard.permit()).map_err(|error| limit.named(error))?;
        let stored = if wrote { core.stored() } else { None };
        drop(guard);
        if let Some(stored) = stored {
            stored.await?;
        }
        Ok(value)
    }

    /// Runs a statement.
    pub async fn statement(&self, level: Option<LevelId>, call: &SqlCall, limit: &Limit) -> Result<Reply> {
        self.under_permit(level, limit, |session, core, permit| session.execute(core, permit, call, limit)).await
    }

    fn execute(&self, core: &Core, permit: MutexPermit, call: &SqlCall, limit: &Limit) -> Done<Reply> {
        let SqlCall { op, sql, params } = call;
        let mut rows = FlatRows::default();
        let flat = params.read()?;
        let engine_call =
            Call { op: *op, sql, params: flat.as_ref(), names: &params.names, timeout_ms: limit.of_statement() };
        let outcome = core.execute(permit, &engine_call, &mut rows).map_err(|error| with_statement(error, sql))?;
        let columns = (rows.columns > 0).then(|| self.columns(core, rows.shape));
        let (changes, last_insert_rowid) = (outcome.changes, outcome.last_insert_rowid);
        Ok((Reply { columns, rows, changes, last_insert_rowid }, outcome.wrote))
    }

    /// Runs several statements in one transaction or savepoint.
    pub async fn batch(&self, level: Option<LevelId>, statements: Vec<Statement>, limit: &Limit) -> Result<Vec<Reply>> {
        let work = |session: &Self, core: &Core, permit| {
            let depth = core.begin(permit, false)?;
            let each = |(index, statement): (usize, Statement)| {
                let run = |params| {
                    let call = SqlCall { op: Op::Query, sql: statement.sql.as_str().into(), params: Arc::new(params) };
                    session.execute(core, permit, &call, limit).map(|(reply, _)| reply)
                };
                PackedParams::one(statement.params).and_then(run).map_err(|error| at_statement(error, index + 1))
            };
            let replies: Result<Vec<Reply>> = statements.into_iter().enumerate().map(each).collect();
            let done = replies.and_then(|replies| core.commit(permit, depth).map(|wrote| (replies, wrote)));
            if done.is_err() {
                // The first error is the one to report.
                let _ = core.rollback(permit, depth);
            }
            done
        };
        self.under_permit(level, limit, work).await
    }

    /// Runs a script.
    pub async fn script(&self, level: Option<LevelId>, sql: &str, limit: &Limit) -> Result<()> {
        let work = |_: &Self, core: &Core, permit| core.script(permit, sql, limit.of_statement());
        self.under_permit(level, limit, |session, core, permit| work(session, core, permit).map(|wrote| ((), wrote)))
            .await
    }

    /// Begins a transaction, or a savepoint in one.
    pub async fn begin(
        &self,
        level: Option<LevelId>,
        immediate: bool,
        is_manual: bool,
        limit: &Limit,
    ) -> Result<LevelId> {
        let core = self.core()?;
        let (permit, guard) = match level {
            Some(id) => limit.run(self.levels.enter(id)).await?,
            None => {
                let guard = limit.run(core.mutex().acquire()).await?;
                (guard.permit(), guard)
            }
        };
        let depth = core.begin(permit, immediate)?;
        let ends = if is_manual { LevelEnd::Manual } else { LevelEnd::Within(limit.clone()) };
        Ok(self.levels.add(guard, permit, depth, ends))
    }

    /// Commits a transaction or savepoint, and waits until what it wrote is stored.
    pub async fn commit(&self, id: LevelId) -> Result<()> {
        let core = self.core()?;
        let (wrote, ended) = self.levels.commit(core, id).await?;
        let stored = if wrote { core.stored() } else { None };
        drop(ended);
        match stored {
            Some(stored) => stored.await,
            None => Ok(()),
        }
    }

    /// Rolls back a transaction or savepoint, unless it has ended.
    pub fn roll_back(&self, id: LevelId) {
        if let Ok(core) = self.core() {
            self.levels.roll_back(core, id);
        }
    }

    /// Runs a live query, whose changes are reported to `signal` from then on.
    pub async fn read_live(&self, call: &SqlCall, signal: &Arc<LiveSignal>, limit: &Limit) -> Result<Reply> {
        let core = self.core()?;
        if signal.watch.load(Ordering::SeqCst) == 0 {
            let id = core.watch(&call.sql, call.params.read()?.as_ref(), &call.params.names);
            self.reports.watch(id.map_err(|error| with_statement(error, &call.sql))?, signal);
        }
        let read = |session: &Self, core: &Core, permit| {
            // This run sees the changes that were reported before it.
            signal.clear();
            session.execute(core, permit, call, limit)
        };
        self.under_permit(None, limit, read).await
    }

    /// Ends the watch of a live query.
    pub fn unwatch(&self, signal: &LiveSignal) {
        let id = signal.watch.swap(0, Ordering::SeqCst);
        if let (Ok(core), true) = (self.core(), id != 0) {
            core.unwatch(id);
            self.reports.unwatch(id);
        }
    }
}

/// Adds the statement to an error of SQLite.
fn with_statement(error: Error, sql: &str) -> Error {
    if !error.code.as_str().starts_with("sqlite_") {
        return error;
    }
    let shown: String = sql.chars().take(LONGEST_SQL).collect();
    let more = if shown.len() < sql.len() { "…" } else { "" };
    error.detail("sql", shown + more)
}

/// Names the statement of a batch that failed, counted from 1.
fn at_statement(mut error: Error, number: usize) -> Error {
    error.message = format!("Statement {number} of the batch: {}", error.message);
    error.detail("statement", number)
}

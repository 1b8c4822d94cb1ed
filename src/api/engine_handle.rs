//! A handle to the engine's thread.

use std::{
    fmt,
    future::Future,
    rc::Rc,
    sync::{
        Arc, OnceLock, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    inside::{is_inside, is_waiting},
    params::{PackedParams, Params, Statement},
    platform::{Poster, Worker, begin_closing},
    session::{LevelId, Limit, LiveSignal, ProgramFunctions, Reply, SqlCall, ThreadState},
};
use crate::{
    engine::Replacement,
    error::{Error, Result},
    sqlite::{Op, functions},
};

/// The engine of one database, natively on a thread of its own. Dropping the last handle closes the database.
pub(super) struct EngineHandle {
    worker: Worker<ThreadState>,
    pub name: String,
    closed: Arc<AtomicBool>,
}

/// A handle that doesn't keep the database open, for functions that are made before the engine.
pub(super) type LaterEngine = Arc<OnceLock<Weak<EngineHandle>>>;

/// Who makes a call: the database itself, or a transaction or savepoint in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Caller {
    pub level: Option<LevelId>,
    pub timeout_ms: Option<u64>,
}

impl EngineHandle {
    /// Starts the thread, without a database yet.
    pub fn start(name: String, functions: ProgramFunctions, later: &LaterEngine) -> Result<Arc<Self>> {
        let closed = functions.closed.clone();
        let worker = Worker::start(&name, move |platform| ThreadState::new(platform, functions))?;
        let engine = Arc::new(Self { worker, name, closed });
        later.get_or_init(|| Arc::downgrade(&engine));
        Ok(engine)
    }

    /// Returns what distinguishes it from other engines of this process.
    pub fn id(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    /// Returns whether the database was closed.
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst) || self.worker.has_ended()
    }

    /// Makes a call that doesn't wait for the connection. Fails with `invalid_argument` in an SQL function of the
    /// database.
    pub async fn ask<R, F, Fut>(self: &Arc<Self>, caller: Caller, work: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Rc<ThreadState>, Limit) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + 'static,
    {
        if is_inside(self.id()) && functions::running() {
            return Err(functions::inside());
        }
        let job = move |session: Rc<ThreadState>| {
            let limit = Limit::begin(session.platform.clock.clone(), caller.timeout_ms);
            work(session, limit)
        };
        self.worker.call(job).await
    }

    /// Makes a call that waits for the connection.
    ///
    /// Fails with `invalid_argument` in the function of a transaction, or of a nested one, whose end it would wait for.
    pub async fn call<R, F, Fut>(self: &Arc<Self>, caller: Caller, work: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Rc<ThreadState>, Limit) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + 'static,
    {
        if !functions::running() {
            match caller.level {
                None if is_inside(self.id()) => return Err(waits_for_transaction()),
                Some(level) if is_waiting(self.id(), level) => return Err(waits_for_nested()),
                _ => {}
            }
        }
        self.ask(caller, work).await
    }

    /// Makes a call that prepares other contents, within the time limit, and then replaces the present ones to its end.
    pub async fn replacing<F, Fut>(self: &Arc<Self>, caller: Caller, prepare: F) -> Result<()>
    where
        F: FnOnce(Rc<ThreadState>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<Replacement>> + 'static,
    {
        let job = async move |session: Rc<ThreadState>, limit: Limit| {
            let prepared = limit.run(prepare(session.clone())).await?;
            session.core()?.finish_replacement(prepared).await
        };
        self.call(caller, job).await
    }

    /// Makes a call that takes the connection itself, and then runs to its end: the time limit is that of waiting.
    pub async fn alone<R, F, Fut>(self: &Arc<Self>, caller: Caller, work: F) -> Result<R>
    where
        R: Send + 'static,
        F: FnOnce(Rc<ThreadState>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<R>> + 'static,
    {
        let job = async move |session: Rc<ThreadState>, limit: Limit| {
            limit.wait_for(session.core()?).await?;
            work(session).await
        };
        self.call(caller, job).await
    }

    /// Runs a statement.
    pub async fn statement(self: &Arc<Self>, caller: Caller, op: Op, sql: &str, params: Params) -> Result<Reply> {
        self.packed(caller, op, sql, PackedParams::one(params)?).await
    }

    /// Runs a statement once for each row of parameters.
    pub async fn many(self: &Arc<Self>, caller: Caller, sql: &str, rows: Vec<Params>) -> Result<u64> {
        let reply = self.packed(caller, Op::RunMany, sql, PackedParams::many(rows)?).await?;
        Ok(reply.run_result().changes)
    }

    async fn packed(self: &Arc<Self>, caller: Caller, op: Op, sql: &str, params: PackedParams) -> Result<Reply> {
        let call = SqlCall { op, sql: sql.into(), params: Arc::new(params) };
        self.call(caller, async move |session, limit| session.statement(caller.level, &call, &limit).await).await
    }

    /// Runs several statements, all or none.
    pub async fn batch(self: &Arc<Self>, caller: Caller, statements: Vec<Statement>) -> Result<Vec<Reply>> {
        self.call(caller, async move |session, limit| session.batch(caller.level, statements, &limit).await).await
    }

    /// Runs a script.
    pub async fn script(self: &Arc<Self>, caller: Caller, script: &str) -> Result<()> {
        let script = script.to_owned();
        self.call(caller, async move |session, limit| session.script(caller.level, &script, &limit).await).await
    }

    /// Begins a transaction or savepoint, which rolls back when the result is dropped.
    pub async fn begin(self: &Arc<Self>, caller: Caller, immediate: bool, is_manual: bool) -> Result<OpenLevel> {
        let poster = self.worker.poster();
        let begin = async move |session: Rc<ThreadState>, limit| {
            let id = session.begin(caller.level, immediate, is_manual, &limit).await?;
            // Made here: a caller that stopped waiting drops it, which rolls back.
            Ok(OpenLevel { id, poster: Some(poster) })
        };
        self.call(caller, begin).await
    }

    /// Runs a live query.
    pub async fn read_live(self: &Arc<Self>, caller: Caller, call: SqlCall, signal: Arc<LiveSignal>) -> Result<Reply> {
        self.call(caller, async move |session, limit| session.read_live(&call, &signal, &limit).await).await
    }

    /// Ends the watch of a live query.
    pub fn unwatch(&self, signal: Arc<LiveSignal>) {
        self.worker.post(Box::new(move |session| Box::pin(async move { session.unwatch(&signal) })));
    }
}

/// Returns the error of a call on the database that waits for the end of the transaction in whose function it is made.
fn waits_for_transaction() -> Error {
    Error::invalid("A call on the database in the function of a transaction would wait for itself: use tx")
        .hint("Call tx, the argument of the function, for whatever belongs to the transaction")
}

/// Returns the error of a call on a transaction that waits for the end of the nested one in whose function it is made.
fn waits_for_nested() -> Error {
    let message =
        "A call on the outer transaction in the function of a nested one would wait for itself: use its own tx";
    Error::invalid(message)
        .hint("Call the argument of the inner function for whatever belongs to the nested transaction")
}

impl Drop for EngineHandle {
    fn drop(&mut self) {
        // What can't be stored any more can't be reported, either; the next opening recovers.
        let closing = begin_closing(&self.name);
        self.worker.post(Box::new(|session| {
            Box::pin(async move {
                let _closing = closing;
                let _ = session.close().await;
            })
        }));
    }
}

impl fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineHandle").field("name", &self.name).finish_non_exhaustive()
    }
}

/// An open transaction or savepoint. Dropping it rolls back. It doesn't keep the database open: a job of the engine's
/// thread may hold it.
pub(super) struct OpenLevel {
    pub id: LevelId,
    poster: Option<Poster<ThreadState>>,
}

impl OpenLevel {
    /// Commits, and resolves when what was written is stored. A failed commit rolls back, and so does one whose future
    /// is dropped before it began.
    pub async fn commit(self, engine: &Arc<EngineHandle>) -> Result<()> {
        let caller = Caller { level: Some(self.id), timeout_ms: None };
        let commit = async move |session: Rc<ThreadState>, _limit| {
            let mut level = self;
            let result = session.commit(level.id).await;
            level.poster = None;
            result
        };
        engine.ask(caller, commit).await
    }
}

impl Drop for OpenLevel {
    fn drop(&mut self) {
        if let Some(poster) = self.poster.take() {
            let id = self.id;
            poster.post(Box::new(move |session| Box::pin(async move { session.roll_back(id) })));
        }
    }
}

impl fmt::Debug for OpenLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenLevel").field("id", &self.id).finish_non_exhaustive()
    }
}

//! Live queries.

use std::{
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    task::{Context, Poll},
};

use futures_util::Stream;
use serde::de::DeserializeOwned;

use super::{
    engine_handle::{Caller, EngineHandle},
    params::{PackedParams, Params},
    rows::Row,
    session::{LiveSignal, Reply, SqlCall},
};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Op,
};

type PendingRun = Pin<Box<dyn Future<Output = Result<Reply>> + Send>>;

/// A query that runs at once, and again when a commit may have changed its result: a [`Stream`] of its rows.
///
/// It runs when it is polled, at most once per commit: a slow reader gets the latest rows, not a backlog. A failed run
/// is an item, too; the query runs again with the next change. The stream ends when the database is closed. Dropping it
/// ends the query; until then it keeps the database open.
///
/// ```
/// # futures_executor::block_on(async {
/// use tidelock::{OpenOptions, Storage, params};
///
/// let db = tidelock::open(OpenOptions::new("example").storage(Storage::Memory)).await?;
/// db.exec("CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)").await?;
///
/// let mut bodies = db.live_as::<String>("SELECT body FROM notes ORDER BY id", ());
/// assert_eq!(bodies.next().await.unwrap()?, Vec::<String>::new());
/// db.run("INSERT INTO notes(body) VALUES (?)", params!["buy tea"]).await?;
/// assert_eq!(bodies.next().await.unwrap()?, ["buy tea"]);
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
pub struct LiveQuery<T = Row> {
    engine: Arc<EngineHandle>,
    caller: Caller,
    /// The error of parameters that can't be bound, until it is reported.
    call: Result<SqlCall, Option<Error>>,
    decode: fn(Vec<Row>) -> Result<Vec<T>>,
    signal: Arc<LiveSignal>,
    running: Option<PendingRun>,
}

impl LiveQuery {
    /// Creates a live query of rows.
    pub(super) fn rows(engine: &Arc<EngineHandle>, caller: Caller, sql: &str, params: Params) -> Self {
        Self::decoded(engine, caller, sql, params, Ok)
    }
}

impl<T: DeserializeOwned> LiveQuery<T> {
    /// Creates a live query whose rows are read as a `T`.
    pub(super) fn typed(engine: &Arc<EngineHandle>, caller: Caller, sql: &str, params: Params) -> Self {
        Self::decoded(engine, caller, sql, params, |rows| rows.iter().map(Row::to).collect())
    }
}

impl<T> LiveQuery<T> {
    fn decoded(
        engine: &Arc<EngineHandle>,
        caller: Caller,
        sql: &str,
        params: Params,
        decode: fn(Vec<Row>) -> Result<Vec<T>>,
    ) -> Self {
        let call = match PackedParams::one(params) {
            Ok(params) => Ok(SqlCall { op: Op::Query, sql: sql.into(), params: Arc::new(params) }),
            Err(error) => Err(Some(error)),
        };
        let signal = Arc::new(LiveSignal::default());
        signal.notify();
        Self { engine: engine.clone(), caller, call, decode, signal, running: None }
    }

    /// Has the query run again, as after a change of its data.
    pub fn refresh(&self) {
        self.signal.notify();
    }

    /// Returns the next result; `None` once the database is closed.
    pub async fn next(&mut self) -> Option<Result<Vec<T>>> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Vec<T>>>> {
        let call = match &mut self.call {
            Ok(call) => call,
            Err(error) => return Poll::Ready(error.take().map(Err)),
        };
        if self.running.is_none() {
            if !self.signal.take(context.waker()) {
                return Poll::Pending;
            }
            let (engine, caller, call, signal) = (self.engine.clone(), self.caller, call.clone(), self.signal.clone());
            self.running = Some(Box::pin(async move { engine.read_live(caller, call, signal).await }));
        }
        let Some(running) = &mut self.running else { return Poll::Pending };
        let Poll::Ready(result) = running.as_mut().poll(context) else { return Poll::Pending };
        self.running = None;
        let rows = result.and_then(|reply| reply.rows()).and_then(self.decode);
        if let Err(error) = &rows
            && (error.is(ErrorCode::Closed) || self.signal.watch.load(Ordering::SeqCst) == 0)
        {
            // A query that can't be watched never runs again.
            self.call = Err(None);
            return Poll::Ready(if error.is(ErrorCode::Closed) { None } else { Some(rows) });
        }
        Poll::Ready(Some(rows))
    }
}

impl<T> Stream for LiveQuery<T> {
    type Item = Result<Vec<T>>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.as_mut().get_mut().poll(context)
    }
}

impl<T> Drop for LiveQuery<T> {
    fn drop(&mut self) {
        // Cancelled first, so that it can't begin a watch afterwards.
        self.running = None;
        self.engine.unwatch(self.signal.clone());
    }
}

impl<T> fmt::Debug for LiveQuery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveQuery").field("engine", &self.engine).finish_non_exhaustive()
    }
}

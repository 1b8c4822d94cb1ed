//! Sync with the remote.

use std::{fmt, marker, panic::AssertUnwindSafe, rc::Rc, sync::Arc};

use futures_util::{StreamExt, future::ready};

use super::{
    Event,
    engine_handle::{Caller, EngineHandle},
    session::{Limit, ThreadState},
};
use crate::{
    engine::{connection::mutex::closed, sync::single_flight::OnProgress},
    error::{ErrorCode, Result},
    sync::{
        config::options::Names,
        outbox::change::Change as OutboxEntry,
        report::{ConflictEntry, PullMode, PullOptions as EnginePullOptions, PullProgress, PullReport, PushReport},
        schedule::rounds::INTERVAL_MS,
        status::{SyncPhase, TableStatus as SyncStatus},
    },
};

/// How many conflicts are returned by default, and at most.
const CONFLICTS: u32 = 100;
const MOST_CONFLICTS: u32 = 1000;

/// What is called with the progress of a pull or push. It comes with a call, so it reaches the engine through a channel in
/// browsers, too.
trait ProgressListener: Fn(&PullProgress) + Send + marker::Sync {}

impl<F: Fn(&PullProgress) + Send + marker::Sync> ProgressListener for F {}

/// The options of [`Sync::pull`].
///
/// ```
/// use tidelock::{PullMode, PullOptions};
///
/// let options = PullOptions { mode: PullMode::Replace, ..PullOptions::default() };
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PullOptions {
    /// [`PullMode::Merge`] by default: rows that exist only here stay, rows with unpushed changes follow the policy of
    /// their table. [`PullMode::Replace`] makes the tables exactly the remote's, in one transaction.
    pub mode: PullMode,
    /// The tables to pull; `None`: all that are synced.
    pub tables: Option<Vec<String>>,
    /// Whether everything is read, not only what is behind the cursors.
    pub full: bool,
    /// Whether most or all rows of a table may be deleted because the remote didn't send them.
    pub allow_empty: bool,
    /// With [`PullMode::Replace`]: whether local changes may be lost.
    pub discard_unpushed: bool,
}

/// What [`Sync::run`] did.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunReport {
    /// What the push did, which came first.
    pub push: PushReport,
    /// What the pull did.
    pub pull: PullReport,
}

/// The sync with the remote: [`Database::sync`](crate::Database::sync). Local changes are recorded from the first
/// opening with [`OpenOptions::remote`](crate::OpenOptions::remote) on.
///
/// Calls that need the remote fail with `invalid_argument` without that option. Dropping a future cancels its call: what
/// was done stays, and what was sent without an answer is sent again later, and not applied twice.
///
/// ```no_run
/// # futures_executor::block_on(async {
/// use tidelock::{Migration, OpenOptions, PullOptions, RemoteOptions, Storage};
///
/// let remote = RemoteOptions::new("https://example.supabase.co", "sb_publishable_example").tables(["notes"]);
/// let options = OpenOptions::new("notes")
///     .storage(Storage::File)
///     .migrations([Migration::new("1", "notes", "CREATE TABLE notes(id INTEGER PRIMARY KEY, body TEXT)")])
///     .remote(remote);
/// let db = tidelock::open(options).await?;
/// let pulled = db.sync().pull(PullOptions::default()).await?;
/// println!("{} new notes", pulled.tables[0].inserted);
///
/// db.run("UPDATE notes SET body = 'buy tea' WHERE id = 1", ()).await?;
/// let pushed = db.sync().push().await?;
/// println!("{} changes were sent", pushed.tables[0].updated);
/// for change in db.sync().rejected().await? {
///     println!("{} was refused: {:?}", change.table, change.error);
/// }
/// # Ok::<_, tidelock::Error>(()) }).unwrap();
/// ```
#[derive(Clone)]
pub struct Sync {
    engine: Arc<EngineHandle>,
    caller: Caller,
    progress: Option<Arc<dyn ProgressListener>>,
}

impl Sync {
    pub(super) fn new(engine: &Arc<EngineHandle>, caller: Caller) -> Self {
        Self { engine: engine.clone(), caller, progress: None }
    }

    /// Returns a handle whose pulls and pushes report their progress: of a pull the rows read, of a push the changes that
    /// are settled. The function is called on the engine's thread.
    ///
    /// ```no_run
    /// # async fn example(db: tidelock::Database) -> tidelock::Result<()> {
    /// let sync = db.sync().on_progress(|step| println!("{}: {} rows", step.table, step.rows));
    /// sync.run().await?;
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn on_progress(&self, listener: impl Fn(&PullProgress) + Send + marker::Sync + 'static) -> Self {
        Self { progress: Some(Arc::new(listener)), ..self.clone() }
    }

    /// Returns what the engine calls. A panic of the program's function doesn't concern the engine.
    fn listener(&self) -> Option<impl FnOnce() -> OnProgress + Send + use<>> {
        let listener = self.progress.clone()?;
        Some(move || -> OnProgress {
            Box::new(move |step| {
                let _ = std::panic::catch_unwind(AssertUnwindSafe(|| listener(&step)));
            })
        })
    }

    /// Reads the remote's rows into the local tables. A second pull without remote changes changes nothing; an
    /// interrupted pull resumes where it stopped. A cancelled merge keeps the whole pages that it applied; a replace is
    /// all or nothing. A call with the options of a running one joins it.
    ///
    /// Fails with `unpushed_changes`, `remote_empty`, `sync_network`, `sync_unauthorized`, `sync_rejected`,
    /// `sync_server`, `sync_protocol`, `sync_schema_mismatch` and `sync_user_mismatch`.
    pub async fn pull(&self, options: PullOptions) -> Result<PullReport> {
        let PullOptions { mode, tables, full, allow_empty, discard_unpushed } = options;
        let tables = tables.map(Names::Many);
        let options = EnginePullOptions { mode, tables, full, allow_empty, discard_unpushed };
        let listener = self.listener();
        let pull = async move |session: Rc<ThreadState>, limit: Limit| {
            limit.run(session.core()?.sync_pull(options, listener.map(|make| make()))).await
        };
        self.engine.call(self.caller, pull).await
    }

    /// Sends the local changes: one change per row, inserts and deletes in bulk, updates with the changed columns only.
    /// A call during a push joins it. A change that the remote refuses permanently doesn't fail the push: it moves to
    /// [`rejected`](Self::rejected) and holds back only its row and dependent rows.
    ///
    /// Fails with `sync_network`, `sync_unauthorized`, `sync_server`, `sync_protocol`, `sync_schema_mismatch` and
    /// `sync_user_mismatch`. A change leaves the outbox only when the remote has it.
    pub async fn push(&self) -> Result<PushReport> {
        let listener = self.listener();
        let push = async move |session: Rc<ThreadState>, limit: Limit| {
            limit.run(session.core()?.sync_push(listener.map(|make| make()))).await
        };
        self.engine.call(self.caller, push).await
    }

    /// Pushes, then pulls. The pull runs even if the push failed because of one table. Fails as [`push`](Self::push) and
    /// [`pull`](Self::pull) do.
    pub async fn run(&self) -> Result<RunReport> {
        let pushed = self.push().await;
        // These errors are about one table, and the pull can still bring the others; other errors would fail the pull
        // too.
        if let Err(error) = &pushed
            && !error.is(ErrorCode::SyncRejected)
            && !error.is(ErrorCode::SyncSchemaMismatch)
        {
            return Err(error.clone());
        }
        let pull = self.pull(PullOptions::default()).await?;
        Ok(RunReport { push: pushed?, pull })
    }

    /// Starts the periodic sync: pushes and pulls at once, then every `interval_ms` milliseconds (`None`: 30,000) from
    /// the end of one round to the next, and within a second after local writes. A failed round is retried after a delay
    /// that doubles up to two minutes, or after the delay that the remote asks for. Calls join a running round. A second
    /// `start` changes the interval.
    ///
    /// [`Event::Sync`](crate::Event::Sync), [`status`](Self::status) and
    /// [`Database::health`](crate::Database::health) report the progress. The token of another user
    /// (`sync_user_mismatch`) stops the sync. [`Mode::Cloud`](crate::Mode::Cloud) starts it when the database is opened.
    ///
    /// ```no_run
    /// # async fn example(db: tidelock::Database) -> tidelock::Result<()> {
    /// db.sync().start(10_000).await?;
    /// # Ok(()) }
    /// ```
    pub async fn start(&self, interval_ms: impl Into<Option<u64>>) -> Result<()> {
        let interval_ms = interval_ms.into().unwrap_or(INTERVAL_MS).max(1);
        let start = async move |session: Rc<ThreadState>, _limit| session.core()?.sync_start(interval_ms);
        self.engine.ask(self.caller, start).await
    }

    /// Stops the periodic sync, and cancels a running round unless a call has joined it. Idempotent.
    pub async fn stop(&self) -> Result<()> {
        let stop = async |session: Rc<ThreadState>, _limit| {
            session.core()?.sync_stop();
            Ok(())
        };
        self.engine.ask(self.caller, stop).await
    }

    /// Resolves when every pulled table has been pulled completely once, by any pull, in this process or an earlier one.
    /// Fails with `closed` when the database is closed first.
    pub async fn ready(&self) -> Result<()> {
        let ready = async |session: Rc<ThreadState>, limit: Limit| {
            // What ends after the question is in the stream.
            let ended = |event: &Event| ready(matches!(event, Event::Sync(now) if now.phase == SyncPhase::Idle));
            let mut rounds = session.reports.listen().filter(ended);
            let wait = async {
                while !session.core()?.sync_ready().await? {
                    rounds.next().await.ok_or_else(closed)?;
                }
                Ok(())
            };
            limit.run(wait).await
        };
        self.engine.call(self.caller, ready).await
    }

    /// Returns the local changes that the remote doesn't have yet, oldest first.
    pub async fn pending(&self) -> Result<Vec<OutboxEntry>> {
        let pending = async |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.sync_pending()).await;
        self.engine.call(self.caller, pending).await
    }

    /// Returns the rejected changes, oldest first. They stay until [`retry`](Self::retry) or
    /// [`discard`](Self::discard).
    ///
    /// ```no_run
    /// # async fn example(db: tidelock::Database) -> tidelock::Result<()> {
    /// use tidelock::ChangeReason;
    ///
    /// for change in db.sync().rejected().await? {
    ///     match change.reason {
    ///         // Someone else has changed the row: take theirs.
    ///         Some(ChangeReason::Conflict) => db.sync().discard(change.id).await?,
    ///         _ => println!("{} {:?}: {:?}", change.table, change.key.get("id"), change.error),
    ///     }
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn rejected(&self) -> Result<Vec<OutboxEntry>> {
        let rejected = async |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.sync_rejected()).await;
        self.engine.call(self.caller, rejected).await
    }

    /// Queues a rejected change for the next push. Fails with `invalid_argument` for an unknown id.
    pub async fn retry(&self, id: i64) -> Result<()> {
        let retry = async move |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.sync_retry(id)).await;
        self.engine.call(self.caller, retry).await
    }

    /// Discards a local change: the row becomes the remote's again, or is deleted when the remote has none.
    ///
    /// Fails with `invalid_argument` for an unknown id, with `sync_*` when the remote can't be read, and with
    /// `sqlite_constraint` when the remote's row violates a local constraint. Then nothing has changed.
    pub async fn discard(&self, id: i64) -> Result<()> {
        let discard =
            async move |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.sync_discard(id)).await;
        self.engine.call(self.caller, discard).await
    }

    /// Returns the log of conflicts, newest first, at most `limit` (`None`: 100; never more than 1000).
    ///
    /// ```no_run
    /// # async fn example(db: tidelock::Database) -> tidelock::Result<()> {
    /// for conflict in db.sync().conflicts(10).await? {
    ///     println!("{} {:?}: {:?}", conflict.table, conflict.key.get("id"), conflict.result);
    /// }
    /// # Ok(()) }
    /// ```
    pub async fn conflicts(&self, limit: impl Into<Option<u32>>) -> Result<Vec<ConflictEntry>> {
        let most = limit.into().unwrap_or(CONFLICTS).min(MOST_CONFLICTS);
        let conflicts =
            async move |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.sync_conflicts(most)).await;
        self.engine.call(self.caller, conflicts).await
    }

    /// Queues the rows of a table that the remote doesn't have, after reading the remote's keys, and returns their
    /// number. Rows from before the table was synced are otherwise not pushed. A table with `SyncDirection::Push` isn't
    /// read: all of its rows are queued.
    ///
    /// Fails with `invalid_argument` for a table that isn't pushed, and with `sync_*` when the remote can't be read.
    ///
    /// ```no_run
    /// # async fn example(db: tidelock::Database) -> tidelock::Result<()> {
    /// let queued = db.sync().enqueue("notes").await?;
    /// println!("{queued} notes will be sent");
    /// db.sync().push().await?;
    /// # Ok(()) }
    /// ```
    pub async fn enqueue(&self, table: &str) -> Result<u64> {
        let table = table.to_owned();
        let enqueue =
            async move |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.sync_enqueue(&table)).await;
        self.engine.call(self.caller, enqueue).await
    }

    /// Returns the state of the sync, one entry for each synced table; none without a remote.
    pub async fn status(&self) -> Result<Vec<SyncStatus>> {
        let status = async |session: Rc<ThreadState>, limit: Limit| limit.run(session.core()?.sync_status()).await;
        self.engine.call(self.caller, status).await
    }
}

impl fmt::Debug for Sync {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sync").field("engine", &self.engine).finish_non_exhaustive()
    }
}

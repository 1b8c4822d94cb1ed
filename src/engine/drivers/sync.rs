//! Connects sync with an open database: implements [`SyncHost`] for it, and the sync methods of [`Database`].

use std::rc::Rc;

use futures_util::future::{Either, select};

use super::scheduler::retry_after_ms;
use crate::{
    collections::Map,
    engine::{
        Database, Event,
        database::{Changed, Inner, SyncTrigger},
        sync::{
            driver::{Caller, Sync},
            host::{SyncEvent, SyncHost},
            single_flight::OnProgress,
        },
    },
    error::{Error, ErrorCode, Result},
    ports::LocalFuture,
    sync::{
        outbox::{change::Change, entries},
        report::{Cells, Conflict, ConflictEntry, PullOptions, PullReport, PushReport},
        status::TableStatus,
    },
};

impl SyncHost for Inner {
    fn admit_write(&self) -> Result<()> {
        self.flusher.admit_write()
    }

    fn committed(&self, tables: &[&str]) {
        let tables = tables.iter().map(|table| Rc::from(*table)).collect();
        self.publish_commit(&Changed { tables, everything: false });
    }

    fn access_token(&self) -> LocalFuture<'_, Result<Option<String>>> {
        Box::pin(async {
            let Some(sync) = self.sync.get() else { return Ok(None) };
            let timeout_ms = sync.config.options.timeout_ms;
            // A token function may wait for the network, or for this call itself. It must not block all later calls.
            match select(self.callbacks.access_token(), self.ports.platform.clock.sleep(timeout_ms)).await {
                Either::Left((token, _)) => token,
                Either::Right(_) => {
                    let text = format!("The access token took longer than remote.timeoutMs ({timeout_ms} ms)");
                    Err(Error::new(ErrorCode::SyncUnauthorized, text).hint(
                        "Raise remote.timeoutMs, or return the present token without waiting; don't await db.sync in onAuthStateChange",
                    ))
                }
            }
        })
    }

    fn filter(&self, table: &str) -> LocalFuture<'_, Result<Map<String, String>>> {
        self.callbacks.filter(table)
    }

    fn resolve(&self, conflict: Conflict) -> LocalFuture<'_, Result<Option<Cells>>> {
        self.callbacks.resolve_conflict(conflict)
    }

    fn emit(&self, event: SyncEvent) {
        if let Some(ms) = event.error.as_ref().and_then(retry_after_ms) {
            self.notify_automatic_sync(SyncTrigger::RetryAfter { ms });
        }
        self.events.emit(Event::Sync(event));
    }
}

impl Database {
    /// Pulls the remote's rows; see [`Sync::pull`]. A call with the same options as a running one joins it
    /// (single-flight). Fails with `invalid_argument` without a remote.
    pub async fn sync_pull(&self, options: PullOptions, progress: Option<OnProgress>) -> Result<PullReport> {
        self.pull_for(Caller::User, options, progress).await
    }

    /// Pulls for this kind of caller. All kinds join each other.
    pub(super) async fn pull_for(
        &self,
        caller: Caller,
        options: PullOptions,
        progress: Option<OnProgress>,
    ) -> Result<PullReport> {
        let sync = self.synced()?;
        let inner = self.inner.clone();
        // A running pull already has its filters, which may have changed since.
        let may_join = sync.config.options.tables.iter().all(|table| !table.has_filter_function);
        let joined = sync.pulls.join(options.clone(), may_join, progress, |progress| {
            Box::pin(
                async move { Database::of(inner.clone()).synced()?.pull_for(caller, &*inner, options, progress).await },
            )
        });
        joined.await
    }

    /// Pushes the local changes; see [`Sync::push`]. A call during a running one joins it, which then also sends the
    /// changes made since. Fails with `invalid_argument` without a remote.
    pub async fn sync_push(&self, progress: Option<OnProgress>) -> Result<PushReport> {
        self.push_for(Caller::User, progress).await
    }

    /// Pushes for this kind of caller.
    pub(super) async fn push_for(&self, caller: Caller, progress: Option<OnProgress>) -> Result<PushReport> {
        let sync = self.synced()?;
        let inner = self.inner.clone();
        let may_join = sync.accepting.get();
        sync.joined.set(may_join);
        let joined = sync.pushes.join((), may_join, progress, |progress| {
            Box::pin(async move { Database::of(inner.clone()).synced()?.push_for(caller, &*inner, progress).await })
        });
        joined.await
    }

    /// Queues the rows of a table that the remote doesn't have, and returns their number. See [`Sync::enqueue`].
    pub async fn sync_enqueue(&self, table: &str) -> Result<u64> {
        let queued = self.until_stored(Box::pin(self.synced()?.enqueue(&*self.inner, table))).await?;
        self.inner.notify_automatic_sync(SyncTrigger::Wrote);
        Ok(queued)
    }

    /// Queues a refused change again; see [`Sync::retry`].
    pub async fn sync_retry(&self, id: i64) -> Result<()> {
        self.until_stored(Box::pin(self.synced()?.retry(&*self.inner, id))).await?;
        self.inner.notify_automatic_sync(SyncTrigger::Wrote);
        Ok(())
    }

    /// Discards a change and takes the remote's row; see [`Sync::discard`].
    pub async fn sync_discard(&self, id: i64) -> Result<()> {
        self.until_stored(Box::pin(self.synced()?.discard(&*self.inner, id))).await
    }

    /// Returns the latest conflicts, newest first.
    pub async fn sync_conflicts(&self, limit: u32) -> Result<Vec<ConflictEntry>> {
        let _guard = self.inner.acquire().await?;
        entries::conflicts(&*self.inner.connection()?, limit)
    }

    /// Returns the changes that wait to be pushed, oldest first.
    pub async fn sync_pending(&self) -> Result<Vec<Change>> {
        let _guard = self.inner.acquire().await?;
        entries::pending(&*self.inner.connection()?)
    }

    /// Returns the rejected changes, oldest first.
    pub async fn sync_rejected(&self) -> Result<Vec<Change>> {
        let _guard = self.inner.acquire().await?;
        entries::rejected(&*self.inner.connection()?)
    }

    /// Returns the status of each synced table; none without a remote.
    pub async fn sync_status(&self) -> Result<Vec<TableStatus>> {
        let Some(sync) = self.inner.sync.get() else { return Ok(Vec::new()) };
        let _guard = self.inner.acquire().await?;
        sync.status(&*self.inner.connection()?)
    }

    pub(super) fn synced(&self) -> Result<&Sync> {
        self.inner.sync.get().ok_or_else(|| {
            Error::invalid("This database has no remote").hint("Pass remote: { url, key, tables } to open")
        })
    }
}

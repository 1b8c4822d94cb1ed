//! Sync inside an open database.

use std::rc::Rc;

use super::{Host, OnProgress, Sync, SyncEvent};
use crate::{
    engine::{
        Database, Event,
        database::{Changed, Inner},
        turn::Guard,
    },
    error::{Error, Result},
    ports::LocalFuture,
    sqlite::Connection,
    sync::{
        outbox,
        report::{PullOptions, PullReport},
        status::TableStatus,
    },
};

impl Host for Inner {
    fn turn(&self) -> LocalFuture<'_, Result<Guard>> {
        Box::pin(self.acquire())
    }

    fn connection(&self) -> Result<Rc<Connection>> {
        Inner::connection(self)
    }

    fn admit_write(&self) -> Result<()> {
        self.flusher.admit_write()
    }

    fn committed(&self, tables: &[&str]) {
        let tables = tables.iter().map(|table| (*table).to_owned()).collect();
        Inner::committed(self, Changed { tables, everything: false });
    }

    fn stored(&self) -> Option<LocalFuture<'static, Result<()>>> {
        self.flusher.stored()
    }

    fn safety_snapshot(&self) -> LocalFuture<'_, Result<()>> {
        Box::pin(async { self.snapshots.safety().await.map(drop) })
    }

    fn access_token(&self) -> LocalFuture<'_, Result<Option<String>>> {
        self.callbacks.access_token()
    }

    fn emit(&self, event: SyncEvent) {
        self.events.emit(Event::Sync(event));
    }
}

impl Database {
    /// Brings the remote's rows here; see [`Sync::pull`]. Fails with `invalid_argument` without a remote.
    pub async fn sync_pull(&self, options: PullOptions, progress: Option<OnProgress>) -> Result<PullReport> {
        self.synced()?.pull(&*self.inner, options, progress).await
    }

    /// Changes that wait to be pushed, oldest first.
    pub async fn sync_pending(&self) -> Result<Vec<outbox::Change>> {
        let _turn = self.inner.acquire().await?;
        outbox::pending(&*self.inner.connection()?)
    }

    /// Changes that were refused for good, oldest first.
    pub async fn sync_rejected(&self) -> Result<Vec<outbox::Change>> {
        let _turn = self.inner.acquire().await?;
        outbox::rejected(&*self.inner.connection()?)
    }

    /// One entry a synced table; none without a remote.
    pub async fn sync_status(&self) -> Result<Vec<TableStatus>> {
        let Some(sync) = self.inner.sync.get() else { return Ok(Vec::new()) };
        let _turn = self.inner.acquire().await?;
        sync.status(&*self.inner.connection()?)
    }

    fn synced(&self) -> Result<&Sync> {
        self.inner.sync.get().ok_or_else(|| {
            Error::invalid("this database has no remote").hint("pass remote: { url, key, tables } to open")
        })
    }
}

//! The events of a database.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_channel::mpsc::UnboundedReceiver;
use futures_util::{Stream, StreamExt};

use super::ThreadSafe;
#[cfg(feature = "sync")]
use crate::engine::sync::host::SyncEvent;
use crate::{
    engine::{
        ChangeEvent, EngineCloseEvent as CloseEvent, Event as EngineEvent, FlushEvent as HealthEvent, LockEvent,
        migrations::host::MigrationEvent, storage::snapshots::SnapshotEvent,
    },
    error::Warning,
};

/// A function that is called with each warning.
pub(super) trait WarningFn: Fn(&Warning) + ThreadSafe {}
impl<F: Fn(&Warning) + ThreadSafe> WarningFn for F {}

/// What is called with each warning.
pub(super) type OnWarning = Arc<dyn WarningFn>;

/// An event of a database: see [`Database::events`](crate::Database::events).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// A problem that needs attention, but stopped no operation.
    Warning(Warning),
    /// A commit changed rows.
    Change(ChangeEvent),
    /// The lock was lost.
    Lock(LockEvent),
    /// A snapshot was taken, or failed.
    Snapshot(SnapshotEvent),
    /// A sync began or ended.
    #[cfg(feature = "sync")]
    Sync(SyncEvent),
    /// A migration is about to run.
    Migration(MigrationEvent),
    /// Commits can't be stored, or can be stored again.
    Health(HealthEvent),
    /// The database was closed.
    Close(CloseEvent),
}

impl Event {
    /// Converts an event of the engine; `None` for those that aren't for users.
    pub(super) fn of(event: EngineEvent) -> Option<Self> {
        Some(match event {
            EngineEvent::Warning(warning) => Self::Warning(warning),
            EngineEvent::Change(change) => Self::Change(change),
            EngineEvent::Lock(lock) => Self::Lock(lock),
            EngineEvent::Snapshot(snapshot) => Self::Snapshot(snapshot),
            EngineEvent::Migration(migration) => Self::Migration(migration),
            EngineEvent::Health(health) => Self::Health(health),
            EngineEvent::Close(close) => Self::Close(close),
            #[cfg(feature = "sync")]
            EngineEvent::Sync(sync) => Self::Sync(sync),
            #[cfg(not(feature = "sync"))]
            EngineEvent::Sync(_) => return None,
            EngineEvent::Live(_) => return None,
        })
    }
}

/// The events of a database, as a [`Stream`]: see [`Database::events`](crate::Database::events).
#[derive(Debug)]
pub struct Events(pub(super) UnboundedReceiver<Event>);

impl Events {
    /// Returns the next event; `None` once the database is closed and all were read.
    pub async fn next(&mut self) -> Option<Event> {
        self.0.next().await
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_next_unpin(context)
    }
}

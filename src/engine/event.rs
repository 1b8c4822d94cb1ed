//! What a database tells its page without being asked.

use serde::Serialize;

use super::{storage::snapshots::SnapshotEvent, sync::driver::SyncEvent};
use crate::{error::Error, migrate::Direction};

/// One event; crosses the boundary as `{ type, detail }`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", content = "detail", rename_all = "camelCase")]
pub enum Event {
    /// Something that deserves a person's attention, but stopped nothing.
    Warning {
        /// What programs compare.
        code: String,
        /// One sentence for people.
        message: String,
    },
    /// A commit changed rows.
    Change {
        /// Of these tables, as the schema spells them.
        tables: Vec<String>,
        /// Or of any: the schema changed, or everything was replaced.
        all: bool,
    },
    /// These live queries are to run again.
    Live {
        /// The ids that `watch` gave.
        ids: Vec<u32>,
    },
    /// The lock changed hands.
    Lock {
        /// `lost` or `released`.
        state: &'static str,
    },
    /// A snapshot was taken, or could not be.
    Snapshot(SnapshotEvent),
    /// A sync began, went on or ended.
    Sync(SyncEvent),
    /// A migration is about to run.
    Migration {
        /// Its version.
        version: String,
        /// Its name.
        name: String,
        /// Which way it runs.
        direction: Direction,
        /// How many of this run are done.
        done: usize,
        /// How many this run has.
        total: usize,
    },
    /// Commits can't be stored at present, or can again.
    Health {
        /// Why not; `None` once they can.
        error: Option<Error>,
    },
    /// The database was closed.
    Close {
        /// `closed`: by a call; `released`: another tab asked for it.
        reason: &'static str,
    },
}

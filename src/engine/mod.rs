//! Joins the concepts into a database: open → lock → recover → migrate → serve → flush → snapshot → close.
//!
//! Folders and files; each uses only those above it (checked by `tests/native/rooms.rs`):
//!
//! | room | subject |
//! |---|---|
//! | `connection` | the connection's mutex; the limits of calls; loading of full-text search |
//! | `storage` | flushes of committed pages to the log; snapshots |
//! | `options` | the options of `open` |
//! | `environment` | the services of the database that the drivers of migrations and sync need |
//! | `migrations`, `sync` | the drivers of the two concepts |
//! | `event` | the events that a database emits |
//! | `database` | the handle, and the state that its parts share |
//! | `statements` | the execution of users' statements, transactions and scripts |
//! | `drivers` | connects the drivers with the database |
//! | `lock`, `lifecycle` | acquisition and loss of the lock; lifecycle events of the page |
//! | `contents` | replacing the contents: import, restore, reset |
//! | `operations` | maintenance, health, audit, schema, rekeying |
//! | `open` | opening and closing |
//! | `recover` | recovery of a database that no longer opens |
//! | `folders` | describing and deleting databases that are not open |
//! | `moving` | moving a database that isn't open to another storage |
//! | `typescript` | in tests: generates the TypeScript types of serialized values |

pub mod connection;
mod contents;
mod database;
mod drivers;
mod environment;
mod event;
mod folders;
mod lifecycle;
mod lock;
pub mod migrations;
mod moving;
mod open;
mod operations;
mod options;
mod recover;
mod statements;
pub mod storage;
pub mod sync;
#[cfg(test)]
mod typescript;

pub use contents::{import::ImportOptions, replacement::Replacement};
pub use database::{Callbacks, Database};
pub use environment::{Environment, until_stored};
pub use event::{ChangeEvent, CloseReason, EngineCloseEvent, Event, FlushEvent, LiveEvent, LockChange, LockEvent};
pub use folders::{StoredDatabase, delete, stored, while_closed};
pub use moving::move_storage;
pub use operations::maintain::MaintainOptions;
pub use options::*;
pub use recover::recover;
pub use statements::run::Call;

//! Joins the concepts into a database: open → lock → recover → migrate → serve → flush → snapshot → close.
//!
//! Rooms and files, each of which uses only those above it (held by `tests/native/rooms.rs`):
//!
//! | room | subject |
//! |---|---|
//! | `connection` | the connection: its mutex, and what is loaded for it |
//! | `storage` | committed pages into the log; snapshots |
//! | `options` | what comes in at open |
//! | `environment` | what the drivers of migrations and sync ask of the database around them |
//! | `migrations`, `sync` | drivers of the two concepts |
//! | `event` | what goes out unasked |
//! | `database` | the handle, and what its parts share |
//! | `statements` | running what users write |
//! | `drivers` | the drivers, joined to the database |
//! | `lock`, `lifecycle` | the lock from taking it to losing it; what a hidden or leaving page does |
//! | `contents` | contents that come from elsewhere: import, restore, reset |
//! | `operations` | maintenance, health, audit, schema, rekeying |
//! | `open` | the two ends of a database's life |
//! | `rescue` | a database that no longer opens |
//! | `folders` | a database in a folder that isn't opened: looking at it, deleting it |
//! | `typescript` | in tests: the types of what crosses to TypeScript |

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
mod open;
mod operations;
mod options;
mod rescue;
mod statements;
pub mod storage;
pub mod sync;
#[cfg(test)]
mod typescript;

pub use contents::import::{ImportOptions, PreparedImport};
pub use database::{Callbacks, Database};
pub use environment::Environment;
pub use event::{ChangeEvent, CloseEvent, CloseReason, Event, LiveEvent, LockChange, LockEvent, StorageEvent};
pub use folders::{Stored, delete, stored};
pub use operations::maintain::MaintainOptions;
pub use options::*;
pub use rescue::recover;
pub use statements::run::Call;

//! What Rust programs use: the contract of the npm package in Rust. Converts, decides nothing.
//!
//! The engine runs on a thread of its own ([`session`]); the values here are handles to it, and their futures wait for
//! its answers. So they are `Send`, and need no runtime.
//!
//! Each file uses only those above it (`tests/native/rooms.rs`):
//!
//! | file | subject |
//! |---|---|
//! | `params`, `decode`, `rows` | values to and from statements |
//! | `inside` | calls that would wait for themselves |
//! | `event`, `encryption` | what a database reports; its secret |
//! | `session` | the engine's thread: statements, transactions, live queries |
//! | `engine_handle` | a handle to that thread, shared by all that follow |
//! | `transaction`, `migration`, `options`, `live`, `migrations`, `snapshots`, `database` | what a program holds |
//! | `open` | the ways in |

mod database;
mod decode;
mod encryption;
mod engine_handle;
mod event;
mod inside;
mod live;
mod migration;
mod migrations;
mod open;
mod options;
mod params;
mod rows;
mod session;
mod snapshots;
mod transaction;

pub use database::{Database, ImportOptions};
pub use encryption::Encryption;
pub use event::{Event, Events};
pub use live::LiveQuery;
pub use migration::{Migration, migrations_from};
pub use migrations::Migrations;
pub use open::{DatabaseInfo, databases, delete_database, open, recover};
pub use options::{AuditOptions, LockOptions, OpenOptions, SnapshotOptions};
pub use params::{Params, Statement};
pub use rows::{ColumnIndex, Row, RunResult};
pub use snapshots::Snapshots;
pub use transaction::{ManualTransaction, Transaction, TransactionMode};

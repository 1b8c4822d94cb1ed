//! What Rust programs use: the contract of the npm package in Rust. Converts, decides nothing.
//!
//! The engine has a thread of its own, or in a browser a task of its own ([`session`]); the values here are handles to it,
//! and their futures wait for its answers. So they are `Send`, and need no runtime.
//!
//! Each file uses only those above it (`tests/native/rooms.rs`):
//!
//! | file | subject |
//! |---|---|
//! | `thread`, `platform` | what the functions of a program must be, and what else differs between native programs and those in a browser |
//! | `params`, `decode`, `rows` | values to and from statements |
//! | `event`, `encryption` | what a database reports; its secret |
//! | `remote_functions`, `remote` | the functions of the program that sync calls; the option `remote` |
//! | `session` | the engine's thread: statements, transactions, live queries |
//! | `inside` | calls that would wait for themselves |
//! | `engine_handle` | a handle to that thread, shared by all that follow |
//! | `functions` | the SQL functions of the program |
//! | `transaction`, `migration`, `options`, `live`, `migrations`, `snapshots`, `sync`, `database` | what a program holds |
//! | `per_user`, `open`, `group` | the ways in |

mod database;
mod decode;
mod encryption;
mod engine_handle;
mod event;
#[cfg(not(target_arch = "wasm32"))]
mod functions;
mod group;
mod inside;
mod live;
mod migration;
mod migrations;
mod open;
mod options;
mod params;
#[cfg(feature = "sync")]
mod per_user;
mod platform;
#[cfg(feature = "sync")]
mod remote;
#[cfg(feature = "sync")]
mod remote_functions;
mod rows;
mod session;
mod snapshots;
#[cfg(feature = "sync")]
mod sync;
mod thread;
mod transaction;

pub use database::{Database, ImportOptions};
pub use encryption::Encryption;
pub use event::{Event, Events};
#[cfg(not(target_arch = "wasm32"))]
pub use functions::SqlFunction;
pub use group::{Group, GroupHealth, GroupMemberState, GroupMigrations, open_group};
pub use live::LiveQuery;
pub use migration::{Migration, migrations_from};
pub use migrations::Migrations;
pub use open::{delete_database, open, recover};
pub use options::{AuditOptions, LockOptions, OpenOptions, SnapshotOptions};
pub use params::{Params, Statement};
pub use platform::{DatabaseInfo, databases};
#[cfg(feature = "sync")]
pub use remote::{RemoteOptions, TableSync};
pub use rows::{ColumnIndex, Row, RowIterator, RunResult};
pub use snapshots::Snapshots;
#[cfg(feature = "sync")]
pub use sync::{PullOptions, RunReport, Sync};
pub use thread::ThreadSafe;
pub use transaction::{ManualTransaction, Transaction, TransactionMode};

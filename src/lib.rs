//! tidelock: a local database engine for browser apps.
//!
//! SQLite runs in wasm memory on a page-tracking file system. Each commit writes its dirty pages as one record to a
//! page log in IndexedDB. Snapshots are manifests over content-addressed chunks. Lock, migrations, sync and health are
//! pure state machines above that; the browser only provides their inputs.
//!
//! The modules are layers, and dependencies point down only. `tests/native/layers.rs` checks that, and
//! `tests/native/rooms.rs` checks the order inside of modules:
//!
//! | layer | modules | what |
//! |---|---|---|
//! | L0 | [`error`], [`value`], [`time`], [`collections`], [`memory`], [`panics`] | shared types |
//! | L1 | [`sqlite`] | connection, statements, row codec, page-tracking VFS; the only `unsafe` |
//! | L2 | [`ports`] | the platform services that the concepts need, as small traits |
//! | L2 | [`format`](mod@format) | the stored records and their bytes |
//! | L2 | [`store`], [`migrate`], [`schema`], [`snapshot`], [`lock`], [`sync`], [`live`], [`health`], [`audit`], [`maintain`], [`tabs`] | a folder per concept |
//! | | [`engine`] | joins the concepts into a database |
//! | L3 | `browser` (wasm only) | one thin file per browser capability |
//! | L4 | `wasm` (wasm only) | the wasm-bindgen classes: convert, decide nothing |

pub mod collections;
pub mod error;
pub mod memory;
pub mod panics;
pub mod time;
pub mod value;

pub mod sqlite;

pub mod ports;

pub mod format;

pub mod audit;
pub mod health;
pub mod live;
pub mod lock;
pub mod maintain;
pub mod migrate;
pub mod schema;
pub mod snapshot;
pub mod store;
pub mod sync;
pub mod tabs;

pub mod engine;

#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(target_arch = "wasm32")]
pub mod wasm;

pub use error::{Error, ErrorCode, Result};
pub use time::Timestamp;
pub use value::Value;

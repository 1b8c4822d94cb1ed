//! tidelock: a local database engine for browser apps.
//!
//! SQLite runs in wasm memory on a page-tracking file system; every commit's dirty pages go as one record into a page
//! log in IndexedDB; snapshots are manifests over content-addressed chunks; lock, migrations, sync and health sit on
//! top as pure state machines that the browser only feeds.
//!
//! The modules are layers, and dependencies point down only (held by `tests/native/layers.rs`, and inside of them by
//! `tests/native/rooms.rs`):
//!
//! | layer | modules | what |
//! |---|---|---|
//! | L0 | [`error`], [`value`], [`time`], [`collections`], [`memory`], [`panics`] | shared types |
//! | L1 | [`sqlite`] | connection, statements, row codec, page-tracking VFS; the only `unsafe` |
//! | L2 | [`ports`] | the platform services that the concepts need, as small traits |
//! | L2 | [`format`](mod@format) | the stored records and their bytes |
//! | L2 | [`store`], [`migrate`], [`schema`], [`snapshot`], [`lock`], [`sync`], [`live`], [`health`], [`audit`], [`upkeep`], [`tabs`] | a folder per concept |
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
pub mod migrate;
pub mod schema;
pub mod snapshot;
pub mod store;
pub mod sync;
pub mod tabs;
pub mod upkeep;

pub mod engine;

#[cfg(target_arch = "wasm32")]
pub mod browser;
#[cfg(target_arch = "wasm32")]
pub mod wasm;

pub use error::{Error, ErrorCode, Result};
pub use time::Timestamp;
pub use value::Value;

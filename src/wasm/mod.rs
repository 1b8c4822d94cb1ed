//! The wasm-bindgen boundary: converts, decides nothing. One wasm instance holds one [`Core`], one `Core` one database.
//!
//! Statements are synchronous and exchange flat buffers ([`statements`]); everything that waits exchanges plain objects
//! ([`operations`]). The TypeScript side of this is `pkg-js/src/engine/core.ts`.

mod buffers;
mod callbacks;
mod cancels;
mod convert;
mod encryption;
mod files;
mod functions;
mod handle;
mod maintain;
mod migrations;
mod moving;
mod opening;
mod operations;
mod options;
mod panics;
mod plain;
mod promise;
mod snapshots;
mod statements;
mod sync;
mod tabs;

pub use handle::Core;

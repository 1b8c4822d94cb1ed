//! The wasm-bindgen boundary: converts, decides nothing. One wasm instance holds one [`Core`], one `Core` one database.
//!
//! Statements are synchronous and exchange flat buffers ([`statements`]); everything that waits exchanges plain objects
//! ([`operations`]). The TypeScript side of this is `pkg-js/src/engine/core.ts`.
//!
//! | methods of `Core` | subject |
//! |---|---|
//! | `handle`, `opening` | the object, and ways to open it |
//! | `statements` | statements, transactions, live queries |
//! | `operations` | permits, flushing, closing, health |
//! | `migrations`, `snapshots`, `sync`, `tabs`, `maintain`, `functions`, `encryption`, `files`, `moving` | as they are called |
//!
//! | helpers | subject |
//! |---|---|
//! | `buffers` | the areas of memory that statements share with JavaScript |
//! | `options`, `callbacks`, `cancels` | what JavaScript passes in: options, functions, requests to cancel |
//! | `convert`, `plain`, `promise` | what goes out: errors, plain objects, promises |
//! | `panics` | the report of a panic |

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

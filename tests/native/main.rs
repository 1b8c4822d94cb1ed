//! The native tests of the crate: real SQLite on the real page-tracking file system, and a simulated platform.
#![cfg(not(target_arch = "wasm32"))]

mod api;
mod audit;
mod columns;
mod dump;
mod engine;
mod file_lock;
mod files;
mod functions;
mod golden;
mod import;
mod key_rotation;
mod layers;
mod lifecycle;
mod live;
mod live_part;
mod lock;
mod maintain;
mod memory;
mod messages;
mod migrate_again;
mod migrate_apply;
mod migrate_files;
mod migrate_run;
mod public_api;
mod rooms;
mod sample;
mod schema;
mod schema_property;
mod simulation;
mod snapshot_files;
mod source;
mod store;
mod sync;
mod tabs;
mod world;

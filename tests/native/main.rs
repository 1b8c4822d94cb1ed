//! The native tests of the whole crate: real SQLite over the real page-tracking file system, simulated platform.
#![cfg(not(target_arch = "wasm32"))]

mod audit;
mod dump;
mod engine;
mod file_lock;
mod files;
mod functions;
mod golden;
mod import;
mod layers;
mod lifecycle;
mod lock;
mod maintain;
mod memory;
mod migrate_apply;
mod migrate_run;
mod simulation;
mod snapshot_files;
mod store;
mod sync_aside;
mod sync_capture;
mod sync_engine;
mod sync_exchanges;
mod sync_host;
mod sync_model;
mod sync_model_writes;
mod sync_property;
mod sync_pull;
mod sync_push;
mod sync_push_exchanges;
mod sync_push_order;
mod sync_replace;
mod sync_schema;
mod sync_simulation;
mod world;

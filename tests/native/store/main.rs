//! The storage format: conformance of the native stores, the invariants by name, and the simulation.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs)]

mod bench;
mod conformance;
mod invariants;
mod page;
mod policy;
mod simulation;

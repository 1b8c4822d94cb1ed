//! The storage format: conformance of the native stores, the invariants by name, and the simulation.
#![cfg(not(target_arch = "wasm32"))]
#![allow(missing_docs)]

mod conformance;
mod page;
mod simulation;

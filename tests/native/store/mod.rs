//! The storage format: conformance of the native stores, the rules by name, snapshots by the clock, and the simulation.

mod bench;
mod conformance;
mod invariants;
mod page;
mod policy;
mod simulation;

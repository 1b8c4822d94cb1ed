//! The storage format: conformance of the native stores, the rules by name, snapshots by the clock, and the simulation.

mod bench;
mod chain;
mod commits;
mod conformance;
mod fencing;
mod folder;
mod generations;
mod history;
mod page;
mod policy;
mod recovery;
mod rekey;
mod rescue;
mod sealed;
mod simulation;

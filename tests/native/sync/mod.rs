//! The sync, over a simulated network and a model of the remote.

mod capture;
mod conflict;
mod engine;
mod filter;
mod function;
mod generated;
mod helped;
pub mod host;
mod hostile;
mod keep;
mod late;
pub mod model;
pub mod model_writes;
mod property;
mod pull;
mod push;
mod quarantined;
mod random;
mod realtime;
mod rekey;
mod replace;
mod restored;
mod schedule;
mod schema;
mod simulation;
mod spans;
mod trouble;

//! Joins the concepts into a database.

pub mod flush;
mod gate;
pub mod snapshots;

//! Joins the concepts into a database.

pub mod flush;
mod gate;
pub mod migrations;
pub mod snapshots;
pub mod turn;

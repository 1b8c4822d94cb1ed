//! Joins the concepts into a database.

pub mod migrations;
pub mod sync;
pub mod turn;

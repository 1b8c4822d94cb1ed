//! Pulled rows into local tables.
//!
//! | file | subject |
//! |---|---|
//! | `parents` | foreign keys while rows are applied |
//! | `park` | unique values freed for others |
//! | `writer` | rows inserted, updated, left alone |
//! | `swap` | rows that exchange unique values |
//! | `normalized_key` | a row takes the key as the server spells it |
//! | `staged` | rows that wait |

pub(crate) mod normalized_key;
pub mod parents;
mod park;
pub mod staged;
pub mod swap;
pub mod writer;

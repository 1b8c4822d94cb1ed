//! The state of sync inside the database file.
//!
//! | file | subject |
//! |---|---|
//! | `spans` | spans of a table's keys that are read concurrently, and their progress |
//! | `metadata` | the tables of sync, and access to them |

pub mod metadata;
pub mod spans;

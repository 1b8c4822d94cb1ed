//! The state of sync inside the database file.
//!
//! | file | subject |
//! |---|---|
//! | `spans` | spans of a table's keys that are read concurrently, and their progress |
//! | `failure` | why a pull or push of a table failed, as JSON |
//! | `metadata` | the tables of sync, and access to them |
//! | `filter` | the filter with which a table is synced |
//! | `dropped` | tables that were dropped and created again |

pub mod dropped;
pub(super) mod failure;
pub mod filter;
pub mod metadata;
pub mod spans;

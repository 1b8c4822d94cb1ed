//! The state of sync inside the database file.
//!
//! | file | subject |
//! |---|---|
//! | `spans` | spans of a table's keys that are read concurrently, and their progress |
//! | `failure` | why a pull or push of a table failed, as JSON |
//! | `tables` | the tables that hold the state, and which tables are captured |
//! | `progress` | how far each table was read and pushed |
//! | `properties` | single values by name |
//! | `filter` | the filter with which a table is synced |
//! | `dropped` | tables that were dropped and created again |

pub mod dropped;
pub(super) mod failure;
pub mod filter;
pub mod progress;
pub mod properties;
pub mod spans;
pub mod tables;

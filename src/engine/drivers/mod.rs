//! The drivers of migrations and sync, joined to the database.
//!
//! | file | subject |
//! |---|---|
//! | `migrations` | what the driver of migrations asks, and its calls |
//! | `scheduler` | automatic sync: keeping in step with the remote |
//! | `sync` | what the driver of sync asks, and its calls |

mod migrations;
pub(super) mod scheduler;
mod sync;

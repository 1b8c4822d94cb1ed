//! Connects the drivers of migrations and sync with the database.
//!
//! | file | subject |
//! |---|---|
//! | `migrations` | the host of the migrations driver, and the migration calls |
//! | `scheduler` | automatic sync |
//! | `sync` | the host of the sync driver, and the sync calls |

mod migrations;
pub(super) mod scheduler;
mod sync;

//! The drivers of migrations and sync, joined to the database.
//!
//! | file | subject |
//! |---|---|
//! | `migrations` | what the driver of migrations asks, and its calls |
//! | `keeper` | keeping in step with the remote |
//! | `sync` | what the driver of sync asks, and its calls |

pub(super) mod keeper;
mod migrations;
mod sync;

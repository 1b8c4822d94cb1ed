//! Stores committed pages and snapshots.
//!
//! | file | subject |
//! |---|---|
//! | `flush` | group commit: writes committed pages to the log |
//! | `snapshots` | takes, verifies, lists and prunes snapshots |

pub mod flush;
pub mod snapshots;

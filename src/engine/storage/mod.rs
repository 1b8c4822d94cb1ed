//! Committed pages on their way to the storage.
//!
//! | file | subject |
//! |---|---|
//! | `flush` | group commit: committed pages into the log |
//! | `snapshots` | snapshots taken, checked, listed and pruned |

pub mod flush;
pub mod snapshots;

//! The connection: its mutex, and what is loaded for it.
//!
//! | file | subject |
//! |---|---|
//! | `mutex` | one at a time, on the connection as among snapshots |
//! | `signal` | one who waits, and one who wakes |
//! | `fts5` | full-text search, loaded where it is used |

pub(super) mod fts5;
pub mod mutex;
pub(super) mod signal;

//! The connection: its mutex, and loading of full-text search.
//!
//! | file | subject |
//! |---|---|
//! | `mutex` | a mutex with a queue, for the connection and for snapshots |
//! | `signal` | a notification from one task to another |
//! | `fts5` | loads full-text search where it is used |

pub(super) mod fts5;
pub mod mutex;
pub(super) mod signal;

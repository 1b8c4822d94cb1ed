//! The connection: its mutex, the limits of its calls, and loading of full-text search.
//!
//! | file | subject |
//! |---|---|
//! | `mutex` | a mutex with a queue, for the connection and for snapshots |
//! | `signal` | a notification from one task to another |
//! | `limits` | the time limit and the cancellation of a call |
//! | `fts5` | loads full-text search where it is used |

pub(super) mod fts5;
pub mod limits;
pub mod mutex;
pub mod signal;

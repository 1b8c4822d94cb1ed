//! Shared tabs: the record of a tab's writes, so that each happens exactly once even if the tab that runs it dies.
//!
//! | file | what |
//! |---|---|
//! | `applied` | which writes of other tabs are committed, with their replies |

mod applied;

pub use applied::{TabWrite, note, reply};

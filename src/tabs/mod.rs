//! Shared tabs: what a tab's write leaves behind, so that it happens exactly once although the tab that runs it may die.
//!
//! | file | what |
//! |---|---|
//! | `applied` | which writes of other tabs are in the database, with what they answered |

mod applied;

pub use applied::{TabWrite, note, reply};

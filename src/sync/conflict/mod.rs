//! Rows that changed on both sides.
//!
//! | file | subject |
//! |---|---|
//! | `resolution` | the one rule, pure |
//! | `unpushed` | the unpushed changes of a table, and their statements |
//! | `local_row` | reads and writes the local row of a change |
//! | `requeue` | what is left to push of a change |
//! | `reconcile` | applies the rule to a remote row and the unpushed change of its key |

mod local_row;
pub mod reconcile;
mod requeue;
pub mod resolution;
pub mod unpushed;

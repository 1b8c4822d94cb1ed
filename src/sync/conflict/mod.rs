//! Rows that changed on both sides.
//!
//! | file | subject |
//! |---|---|
//! | `resolution` | the one rule, pure |
//! | `own_write` | what is known of a key; recognizes what was sent, and whose answer was lost |
//! | `unpushed` | the unpushed changes of a table, and their statements |
//! | `local_row` | reads and writes the local row of a change |
//! | `requeue` | what is left to push of a change |
//! | `restored_parents` | what a row that wins remotely needs here |
//! | `unapplied` | conflicts with a row of the remote that doesn't fit here |
//! | `reconcile` | applies the rule to a remote row and the unpushed change of its key |

mod local_row;
pub mod own_write;
pub mod reconcile;
mod requeue;
pub mod resolution;
mod restored_parents;
#[cfg(test)]
mod tests;
mod unapplied;
pub mod unpushed;

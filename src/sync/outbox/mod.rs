//! Local changes: capture, adaptation to a changed schema, and what users see of them.
//!
//! | file | subject |
//! |---|---|
//! | `change` | one unpushed change |
//! | `waiting` | whether a change is sent, and why it waits |
//! | `late` | writes that may still arrive |
//! | `unapplied` | remote rows that don't fit, as users see them |
//! | `entries` | pending and refused changes, as users see them |
//! | `rebase` | adapts pending changes to a changed schema |
//! | `rekey` | adapts keys and values to another key or other types |
//! | `unread` | deletions of rows with columns that were never read |
//! | `capture` | the triggers that capture local changes |

pub mod capture;
pub mod change;
pub mod entries;
pub mod late;
mod rebase;
pub mod rekey;
pub mod unapplied;
pub mod unread;
pub mod waiting;

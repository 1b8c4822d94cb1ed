//! Local changes: how they are noted, follow the schema, and are seen by users.
//!
//! | file | subject |
//! |---|---|
//! | `change` | one unpushed change |
//! | `waiting` | whether a change is sent, or why it isn't |
//! | `unapplied` | pulled rows that don't fit, as users see them |
//! | `entries` | the changes that wait and those that were refused |
//! | `rebase` | waiting changes follow the schema |
//! | `capture` | the triggers that note local changes |

pub mod capture;
pub mod change;
pub mod entries;
mod rebase;
pub mod unapplied;
pub mod waiting;

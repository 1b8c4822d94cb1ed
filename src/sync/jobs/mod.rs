//! Changes on their way to the remote, inside the database.
//!
//! | file | subject |
//! |---|---|
//! | `job` | one change on its way, and what became of it |
//! | `order` | which change waits for which |
//! | `circle` | changes that wait for each other |
//! | `unsent` | the changes that wait, as jobs |
//! | `settle` | what became of a job, written down |
//! | `retry` | what a person decides about a change |

pub mod circle;
pub mod job;
pub mod order;
pub mod retry;
pub mod settle;
pub mod unsent;

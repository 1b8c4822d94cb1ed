//! Changes on their way to the remote, inside the database.
//!
//! | file | subject |
//! |---|---|
//! | `job` | one change on its way, and its outcome |
//! | `dependencies` | the order of changes: which one waits for which |
//! | `cycle` | changes that wait for each other in a cycle |
//! | `unsent` | the pending changes, as jobs |
//! | `outcome` | stores the outcome of a job |
//! | `retry` | retries or discards a change |

pub mod cycle;
pub mod dependencies;
pub mod job;
pub mod outcome;
pub mod retry;
pub mod unsent;

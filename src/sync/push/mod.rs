//! Writing to the remote.
//!
//! | file | subject |
//! |---|---|
//! | `phases` | the order in which changes are sent, and what follows |
//! | `write` | the requests that change the remote |
//! | `task` | a request of a push |
//! | `grouping` | how changes become requests |
//! | `sender` | concurrent requests, and the outcome of each change |
//! | `answers` | the outcome of each job by the rows of an answer |
//! | `refusals` | the outcome of failed requests |
//! | `helper_push` | many updates in one call of the helpers' function |

pub mod answers;
mod grouping;
pub mod helper_push;
pub mod phases;
pub mod refusals;
pub mod sender;
mod task;
pub mod write;

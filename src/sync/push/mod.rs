//! Writing to the remote.
//!
//! | file | subject |
//! |---|---|
//! | `write` | the requests that change the remote, and those that read single rows for it |
//! | `task` | a request of a push |
//! | `bulk` | how changes become requests |
//! | `sender` | a few requests under way at once, and what becomes of each change |
//! | `answers` | what an answer with rows says of each job |
//! | `refusals` | what becomes of a request that brought nothing |
//! | `together` | many updates in one call of the helpers |

pub mod answers;
mod bulk;
pub mod refusals;
pub mod sender;
mod task;
pub mod together;
pub mod write;

//! The client of the remote.
//!
//! | file | subject |
//! |---|---|
//! | `query` | the URLs that read a table, page by page |
//! | `request` | where a request goes, and what it says about who asks |
//! | `response` | what an answer means |
//! | `permits` | a bound for what is done at once |
//! | `remote` | the one client: tries, tokens, roots, how many requests at once |
//! | `queue` | what one side of a sync hands to the other |

pub(crate) mod permits;
pub mod query;
pub mod queue;
pub mod remote;
pub mod request;
pub mod response;

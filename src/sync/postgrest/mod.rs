//! The client of the remote.
//!
//! | file | subject |
//! |---|---|
//! | `query` | the URLs that read a table, page by page |
//! | `keyed` | requests for rows by their keys |
//! | `request` | the root and the headers of a request |
//! | `retry_delay` | the delay before a request is sent again |
//! | `response` | what an answer means |
//! | `permits` | a limit for concurrent work |
//! | `remote` | the one client: retries, tokens, roots, concurrent requests |
//! | `queue` | the queue between the network side of a sync and the database side |

pub mod keyed;
pub(crate) mod permits;
pub mod query;
pub mod queue;
pub mod remote;
pub mod request;
pub mod response;
pub mod retry_delay;

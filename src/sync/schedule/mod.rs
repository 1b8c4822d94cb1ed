//! Automatic sync.
//!
//! | file | subject |
//! |---|---|
//! | `rounds` | when which round begins |
//! | `resting` | failing tables that rounds leave out for a time |
//! | `realtime` | the messages of Supabase Realtime |

pub mod realtime;
pub mod resting;
pub mod rounds;

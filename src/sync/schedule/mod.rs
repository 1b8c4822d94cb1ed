//! Keeping in step.
//!
//! | file | subject |
//! |---|---|
//! | `rounds` | when which round begins |
//! | `resting` | tables in trouble rest, each by itself |
//! | `realtime` | the messages of Supabase Realtime |

pub mod realtime;
pub mod resting;
pub mod rounds;

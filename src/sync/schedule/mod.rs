//! Automatic sync.
//!
//! | file | subject |
//! |---|---|
//! | `rounds` | when which round begins |
//! | `table_backoff` | failing tables that rounds leave out for a time |
//! | `realtime` | the messages of Supabase Realtime |

pub mod realtime;
pub mod rounds;
pub mod table_backoff;

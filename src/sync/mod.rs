//! Sync with PostgREST as a state machine without I/O.

pub mod encode;
pub mod json;
pub mod schema;
pub mod types;

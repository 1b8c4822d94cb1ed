//! Sync with PostgREST as a state machine without I/O.

pub mod capture;
pub mod config;
pub mod encode;
pub mod json;
pub mod jwt;
pub mod outbox;
pub mod query;
pub mod response;
pub mod schema;
pub mod state;
pub mod types;

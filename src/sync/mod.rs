//! Sync with PostgREST as a state machine without I/O.

pub mod apply;
pub mod capture;
pub mod compare;
pub mod config;
pub mod encode;
pub mod guard;
pub mod json;
pub mod jwt;
pub mod outbox;
pub mod parents;
pub mod plan;
pub mod pull;
pub mod query;
pub mod replace;
pub mod report;
pub mod request;
pub mod response;
pub mod schema;
pub mod staged;
pub mod state;
pub mod status;
pub mod swap;
pub mod types;
pub mod unpushed;
pub mod window;

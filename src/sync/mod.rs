//! Sync with PostgREST over ports, and the tables that it keeps inside the database.
//!
//! Rooms, each of which uses only those above it (checked by `tests/native/rooms.rs`):
//!
//! | room | subject |
//! |---|---|
//! | `values` | values: the remote's spelling, the local column's value, and text inside the database |
//! | `config` | the `remote` option and its checks |
//! | `report` | reports of pulls and pushes |
//! | `state` | the state of sync inside the database file |
//! | `postgrest` | the client of the remote: requests, and the meaning of answers |
//! | `schema` | the tables on both sides |
//! | `outbox` | local changes: capture, adaptation to a changed schema, and what users see of them |
//! | `conflict` | rows that changed on both sides |
//! | `apply` | applying pulled rows to local tables |
//! | `pull` | reading the remote |
//! | `jobs` | changes as jobs: their order, and their outcomes |
//! | `push` | writing to the remote |
//! | `schedule` | automatic sync: when each round begins; hints from the remote |
//! | `status` | the status of a table |

pub mod apply;
pub mod config;
pub mod conflict;
pub mod jobs;
pub mod outbox;
pub mod postgrest;
pub mod pull;
pub mod push;
pub mod report;
pub mod schedule;
pub mod schema;
pub mod state;
pub mod status;
pub mod values;

//! Sync with PostgREST over ports, and the tables inside the database that it works on.
//!
//! Rooms, each of which uses only those above it (held by `tests/native/rooms.rs`):
//!
//! | room | subject |
//! |---|---|
//! | `values` | values: as the remote spells them, as a local column has them, and as text inside the database |
//! | `config` | the `remote` option, and what is refused of it |
//! | `report` | what is told of a pull or push |
//! | `state` | what is remembered inside the database file |
//! | `postgrest` | the client of the remote: what is sent, and what an answer means |
//! | `schema` | the tables on both sides |
//! | `outbox` | local changes: how they are noted, follow the schema, and are seen by users |
//! | `conflict` | rows that changed on both sides |
//! | `apply` | pulled rows into local tables |
//! | `pull` | reading the remote |
//! | `jobs` | changes as jobs: which waits for which, and what became of them |
//! | `push` | writing to the remote |
//! | `schedule` | keeping in step: when which round begins; the remote's own hints |
//! | `status` | how a table stands |

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

//! Sync with PostgREST over ports, and the tables inside the database that it works on.
//!
//! | file | subject |
//! |---|---|
//! | `config` | the `remote` option, and what is refused of it |
//! | `credentials`, `jwt` | keys, tokens and headers: checked before they are used, masked in texts from outside |
//! | `schema`, `types`, `plan` | the local tables, what a JSON value becomes in them, and what is therefore asked for |
//! | `json`, `encode` | JSON from the wire with every digit; values as JSON inside the database |
//! | `query`, `write`, `request`, `response` | what is sent, and what an answer means |
//! | `remote`, `permits`, `queue` | the one client: tries, tokens, roots, how many requests at once; what it hands on |
//! | `pull`, `page` | reading: requests side by side, pages in order |
//! | `window`, `spans` | where a pull begins, and how far it came; a table in several spans at once |
//! | `push`, `bulk`, `job` | writing; how changes become requests |
//! | `unsent`, `order`, `settle`, `waiting` | changes that wait as jobs, which waits for which, what became of them, and why they aren't sent |
//! | `same_key`, `respell` | which row of an answer belongs to which key that was sent; a row takes the key as the server spells it |
//! | `conflict`, `outgoing` | the one rule for rows that changed on both sides; values on their way out |
//! | `apply`, `table_sql`, `parents`, `unpushed`, `swap`, `staged` | pulled rows into tables: their statements, foreign keys, local edits, unique values, rows that wait |
//! | `remote_schema`, `local_schema` | the remote's tables as it tells them, and the local ones that hold them |
//! | `helpers`, `gone` | what `sqlHelpers` has put into the project; rows that are gone by its tombstones |
//! | `compare`, `replace`, `guard` | deletions by absence, whole tables as a difference, and what stops both |
//! | `unapplied` | pulled rows that don't fit, as users see them |
//! | `capture`, `rebase`, `outbox`, `retry` | local changes: how they are noted, follow the schema, are seen by users, and what those decide |
//! | `schedule`, `realtime` | keeping in step: when which round begins; the remote's own hints |
//! | `state`, `status`, `report` | what is remembered, and what is told |

pub mod apply;
mod bulk;
pub mod capture;
pub mod change;
pub mod circle;
pub mod compare;
pub mod config;
pub mod conflict;
pub mod credentials;
mod decimal;
pub mod encode;
pub mod gone;
pub mod guard;
pub mod helpers;
pub mod job;
pub mod json;
pub mod jwt;
pub mod local_schema;
pub mod meaning;
pub mod options;
pub mod order;
pub mod outbox;
pub mod outgoing;
pub mod page;
pub mod parents;
mod park;
mod permits;
pub mod plan;
pub mod pull;
pub mod push;
pub mod query;
pub mod queue;
pub mod realtime;
mod rebase;
pub mod remote;
pub mod remote_schema;
pub mod replace;
pub mod report;
pub mod request;
mod respell;
pub mod response;
pub mod resting;
pub mod retry;
pub mod same_key;
pub mod schedule;
pub mod schema;
pub mod settle;
pub mod spans;
pub mod staged;
pub mod state;
pub mod status;
pub mod swap;
pub mod table_sql;
mod task;
pub mod types;
pub mod unapplied;
pub mod unpushed;
pub mod unsent;
pub mod waiting;
pub mod window;
pub mod write;

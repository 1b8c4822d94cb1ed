//! The driver of sync: joins the rules of `sync` with the network, the clock and the open database.
//!
//! | file | subject |
//! |---|---|
//! | `single_flight` | a call that asks for what is already being done joins it |
//! | `retries` | changes that the remote refuses for now |
//! | `host` | what sync needs of the database around it |
//! | `driver` | one sync, and who may call it |
//! | `listen` | the socket on which the remote reports changes |
//! | `remote_helpers` | whether the project has tidelock's helpers |
//! | `pending_conflicts` | conflicts that a function of the user decides |
//! | `page_consumer` | pages are applied while others are read |
//! | `filters` | filters that a function of the user gives, or that are new |
//! | `lacking_columns` | columns that the remote lacks |
//! | `push` | one push |
//! | `push_run` | the state of a running push |
//! | `owner` | the user to whom a database belongs |
//! | `pull` | one pull |
//! | `compared_keys` | lists of the remote's keys, by which a pull finds deletions |
//! | `pull_run` | the state of a running pull |
//! | `single_changes` | what users decide about refused changes |
//! | `remote_schema` | asking a remote for its tables, without a database |

mod compared_keys;
pub mod driver;
mod filters;
pub mod host;
mod lacking_columns;
pub(super) mod listen;
mod owner;
mod page_consumer;
mod pending_conflicts;
mod pull;
mod pull_run;
mod push;
mod push_run;
mod remote_helpers;
pub mod remote_schema;
pub(super) mod retries;
mod single_changes;
pub mod single_flight;

//! The driver of sync: of an open database: joins the rules of `sync` with the network, the clock and the database.
//!
//! | file | subject |
//! |---|---|
//! | `single_flight` | a call that asks for what is already being done joins it |
//! | `retries` | changes that the remote refuses for now |
//! | `driver` | one sync, and who may call it |
//! | `listen` | the socket on which the remote tells of changes |
//! | `helped` | whether the project has tidelock's helpers |
//! | `pending_conflicts` | conflicts that a function of the user decides |
//! | `reading` | pages are applied while others are read |
//! | `push` | one push |
//! | `pull` | one pull |
//! | `refused` | what users do about changes by hand |
//! | `remote_schema` | asking a remote for its tables, without a database |

pub mod driver;
mod helped;
pub(super) mod listen;
mod pending_conflicts;
mod pull;
mod push;
mod reading;
mod refused;
pub mod remote_schema;
pub(super) mod retries;
pub mod single_flight;

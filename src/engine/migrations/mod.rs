//! The driver of migrations.
//!
//! | file | subject |
//! |---|---|
//! | `options` | the options of a run |
//! | `host` | the services of the database that the driver needs |
//! | `driver` | reads the history, and plans |
//! | `run` | runs a plan |
//! | `schema` | drift, generated migrations and lint |

pub mod driver;
pub mod host;
pub mod options;
mod run;
mod schema;

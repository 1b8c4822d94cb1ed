//! The driver of migrations.
//!
//! | file | subject |
//! |---|---|
//! | `options` | how they are to be run |
//! | `host` | what the driver asks of the database around it |
//! | `driver` | reads what is applied, and plans |
//! | `run` | runs what was planned |
//! | `schema` | what the schema is, and could be |

pub mod driver;
pub mod host;
pub mod options;
mod run;
mod schema;

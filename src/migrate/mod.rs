//! Migrations: the schema's history, what is to be run or reverted, and running one of them.
//!
//! | file | what |
//! |---|---|
//! | [`version`] | the order of versions (pure) |
//! | [`migration`] | what the app supplies, checked; checksums (pure) |
//! | [`plan`] | supplied + applied → what to run, what to revert, or why neither is possible (pure) |
//! | [`status`] | supplied + applied → one row a version (pure) |
//! | [`lint`] | what one may not have meant to write (pure) |
//! | [`report`] | what a run tells |
//! | [`history`] | the tracking table |
//! | [`foreign_keys`] | violations that a migration brought in |
//! | [`apply`] | one migration on a connection: all of it or nothing |
//! | [`together`] | several in one transaction |

pub mod apply;
pub mod foreign_keys;
pub mod history;
pub mod lint;
pub mod migration;
pub mod plan;
pub mod report;
pub mod status;
pub mod together;
pub mod version;

pub use apply::{Attempt, Run};
pub use history::{Applied, History};
pub use lint::{Lint, lint};
pub use migration::{Body, Direction, Migration, MigrationSource, Supplied};
pub use plan::{MigrationTarget, OutOfOrder};
pub use report::{MigrationReport, Planned, Ran};
pub use status::{MigrationState, StatusRow};
pub use together::Together;

//! Migrations: the history, the plan of which to apply or revert, and the execution of one migration.
//!
//! | file | what |
//! |---|---|
//! | [`version`] | the order of versions (pure) |
//! | [`migration`] | the supplied migrations, checked; checksums (pure) |
//! | [`plan`] | supplied + applied → which to apply or revert, or why that is impossible (pure) |
//! | [`status`] | supplied + applied → one row per version (pure) |
//! | [`lint`] | warnings about probable mistakes (pure) |
//! | [`report`] | the result of a run |
//! | [`files`] | supplied migrations from files, by the naming rules of several tools (pure) |
//! | [`script_text`] | the flaws of a file's script (pure) |
//! | [`history`] | the tracking table |
//! | [`foreign_keys`] | the violations that a migration introduced |
//! | [`apply`] | one migration on a connection: completely or not at all |
//! | [`migration_group`] | several in one transaction |

pub mod apply;
pub mod files;
pub mod foreign_keys;
pub mod history;
pub mod lint;
pub mod migration;
pub mod migration_group;
pub mod plan;
pub mod report;
pub mod script_text;
pub mod status;
pub mod version;

pub use apply::{Attempt, RunStatement};
pub use history::{AppliedMigration, History};
pub use lint::{LintCode, LintFinding, lint};
pub use migration::{Body, Migration, MigrationDirection, MigrationSource, SuppliedMigrations};
pub use migration_group::MigrationGroup;
pub use plan::{MigrationTarget, OutOfOrder};
pub use report::{MigrationReport, MigrationResult, PlannedMigration};
pub use status::{MigrationState, MigrationStatus};

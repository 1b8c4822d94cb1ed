//! Replacing the contents of a database.
//!
//! | file | subject |
//! |---|---|
//! | `replacement` | replaces all contents, or none after a failure |
//! | `import` | contents from a file: `import`, `seed` |
//! | `snapshot_files` | exports and imports snapshots as files; exports a point in time |
//! | `restore` | restores a snapshot or a point in time |
//! | `reset` | drops all contents |

pub(super) mod import;
pub(super) mod replacement;
mod reset;
mod restore;
mod snapshot_files;

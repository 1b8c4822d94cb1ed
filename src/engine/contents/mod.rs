//! Contents that come from elsewhere.
//!
//! | file | subject |
//! |---|---|
//! | `replacement` | the one way to replace the contents: all of them or nothing |
//! | `import` | contents that come as a file: `import`, `seed` |
//! | `snapshot_files` | snapshots as files to keep |
//! | `restore` | going back to a snapshot |
//! | `reset` | dropping everything, to begin again |

pub(super) mod import;
mod replacement;
mod reset;
mod restore;
mod snapshot_files;

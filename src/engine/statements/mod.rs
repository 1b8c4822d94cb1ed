//! Runs the statements of users.
//!
//! | file | subject |
//! |---|---|
//! | `triggers` | the temporary triggers of capture and audit |
//! | `run` | statements, transactions, scripts |
//! | `tabs` | records the writes of other tabs |

pub(super) mod run;
mod tabs;
mod triggers;

//! Runs the statements of users.
//!
//! | file | subject |
//! |---|---|
//! | `triggers` | the temporary triggers of capture and audit |
//! | `run` | statements, transactions, scripts |
//! | `live` | live queries |
//! | `tabs` | records the writes of other tabs |

mod live;
pub(super) mod run;
mod tabs;
mod triggers;

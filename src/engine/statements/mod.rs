//! Running what users write.
//!
//! | file | subject |
//! |---|---|
//! | `triggers` | what watches the user's tables |
//! | `run` | statements, transactions, scripts |
//! | `tabs` | writes of other tabs, noted in their transactions |

pub(super) mod run;
mod tabs;
mod triggers;

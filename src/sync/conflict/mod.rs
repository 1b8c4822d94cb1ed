//! Rows that changed on both sides.
//!
//! | file | subject |
//! |---|---|
//! | `resolution` | the one rule, pure |
//! | `unpushed` | applies the rule to a remote row and the unpushed change of its key |

pub mod resolution;
pub mod unpushed;

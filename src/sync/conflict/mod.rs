//! Rows that changed on both sides.
//!
//! | file | subject |
//! |---|---|
//! | `resolution` | the one rule, pure |
//! | `unpushed` | a remote row meets an unpushed change: the rule applied, and what is left written down |

pub mod resolution;
pub mod unpushed;

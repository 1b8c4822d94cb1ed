//! The exclusive lock of a database: its name, how it is asked for, and what is said when another tab has it.
//!
//! The lock itself is a port ([`crate::ports::Locks`]); Web Locks die with their tab, so a stale one can't be.

mod acquire;
mod name;
mod takeover;

pub use acquire::{OnBusy, acquire, in_use};
pub use name::{check_name, lock_name};
pub use takeover::TAKEOVER;

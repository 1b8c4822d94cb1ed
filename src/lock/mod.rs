//! The exclusive lock of a database: its name, how it is asked for, and what is said when another tab has it.
//!
//! The lock itself is a port ([`crate::ports::Locks`]); Web Locks die with their tab, so a stale one can't be. Folders have
//! [`FileLocks`], where a dead owner's is found out.

mod acquire;
mod file;
mod name;
mod takeover;

pub use acquire::{OnBusy, acquire, in_use};
pub use file::{FileLocks, remove_locks, unsupported};
pub use name::{check_name, lock_name};
pub use takeover::TAKEOVER;

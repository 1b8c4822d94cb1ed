//! The exclusive lock of a database: its name, its acquisition, and the error when another tab holds it.
//!
//! The lock itself is a port ([`crate::ports::Locks`]). Web Locks end with their tab, so they can't be stale. Folders
//! have [`FileLocks`], which detects a dead owner.

mod acquire;
mod file;
mod name;
mod takeover;

pub use acquire::{OnBusy, acquire, in_use};
pub use file::{FileLocks, remove_locks, unsupported};
pub use name::{check_name, lock_name};
pub use takeover::TAKEOVER;

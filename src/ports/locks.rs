//! Exclusive named locks that die with their holder, as Web Locks do.

use super::LocalFuture;
use crate::error::Result;

/// How to ask for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// Only if it is free now.
    IfAvailable,
    /// Wait in line; dropping the future leaves the line.
    Wait,
}

/// A lock that is held until this is dropped.
pub trait Held {}

/// Hands out exclusive locks.
pub trait Locks {
    /// Asks for the lock; `None` when it is taken and `how` is [`Acquire::IfAvailable`].
    ///
    /// Fails with `unsupported_environment` where the platform has no such locks.
    fn acquire(&self, name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn Held>>>>;
}

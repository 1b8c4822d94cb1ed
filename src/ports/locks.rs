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

/// A lock that is held until it is released, or this is dropped.
pub trait Held {
    /// Gives the lock back and resolves when others can have it. Dropping gives it back, too, but a little later.
    fn release(self: Box<Self>) -> LocalFuture<'static, ()>;
}

/// Hands out exclusive locks.
pub trait Locks {
    /// Asks for the lock; `None` when it is taken and `how` is [`Acquire::IfAvailable`].
    ///
    /// Fails with `unsupported_environment` where the platform has no such locks.
    fn acquire(&self, name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn Held>>>>;

    /// Which tab has the lock: an id that is the tab's own, for as long as it lives. `None` when nobody has it.
    fn holder(&self, name: &str) -> LocalFuture<'static, Option<String>>;
}

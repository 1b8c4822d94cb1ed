//! Exclusive named locks that die with their holder, as Web Locks do, and how those who want one speak with each other.

use super::LocalFuture;
use crate::error::Result;

/// How to ask for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// Only if it is free now.
    IfAvailable,
    /// Wait in line; dropping the future leaves the line.
    Wait,
    /// Take it away from whoever has it.
    Steal,
}

/// A lock that is held until it is released, or this is dropped.
pub trait Held {
    /// Resolves when the lock is ours no more: `true` when somebody took it away, `false` when it was given back.
    fn ended(&self) -> LocalFuture<'static, bool>;

    /// Gives the lock back and resolves when others can have it. Dropping gives it back, too, but a little later.
    fn release(self: Box<Self>) -> LocalFuture<'static, ()>;
}

/// One end of a channel between all who opened it under the same name. Dropping it stops listening.
pub trait Channel {
    /// Says something to all the others. It may get lost.
    fn send(&self, message: &str);
}

/// Hands out exclusive locks.
pub trait Locks {
    /// Asks for the lock; `None` when it is taken and `how` is [`Acquire::IfAvailable`].
    ///
    /// Fails with `unsupported_environment` where the platform has no such locks, or can't take one away.
    fn acquire(&self, name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn Held>>>>;

    /// Which tab has the lock: an id that is the tab's own, for as long as it lives. `None` when nobody has it.
    fn holder(&self, name: &str) -> LocalFuture<'static, Option<String>>;

    /// Whether somebody waits in line for the lock.
    fn is_awaited(&self, name: &str) -> LocalFuture<'static, bool>;

    /// Opens a channel; `heard` is called with what others say.
    ///
    /// Fails with `unsupported_environment` where the platform has none.
    fn channel(&self, name: &str, heard: Box<dyn Fn(&str)>) -> Result<Box<dyn Channel>>;
}

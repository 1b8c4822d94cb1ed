//! Exclusive named locks that end with their holder, as Web Locks do, and a channel between holders and waiters.

use super::LocalFuture;
use crate::error::Result;

/// How to request a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquire {
    /// Only if it is free now.
    IfAvailable,
    /// Wait in the lock's queue; dropping the future leaves the queue.
    Wait,
    /// Steal it from its holder.
    Steal,
}

/// A lock that is held until it is released or this value is dropped.
pub trait HeldLock {
    /// Resolves when the lock is no longer held: `true` when it was stolen, `false` when it was released.
    fn ended(&self) -> LocalFuture<'static, bool>;

    /// Releases the lock; resolves when others can acquire it. Dropping releases it, too, a little later.
    fn release(self: Box<Self>) -> LocalFuture<'static, ()>;
}

/// One end of a broadcast channel between all that opened the same name. Dropping it stops listening.
pub trait Broadcast {
    /// Sends a message to all the others. It may get lost.
    fn send(&self, message: &str);
}

/// Grants exclusive locks.
pub trait Locks {
    /// Requests the lock; `None` when it is taken and `how` is [`Acquire::IfAvailable`].
    ///
    /// Fails with `unsupported_environment` where the platform has no such locks, or can't steal one.
    fn acquire(&self, name: &str, how: Acquire) -> LocalFuture<'static, Result<Option<Box<dyn HeldLock>>>>;

    /// Returns the id of the tab that holds the lock: unique and constant while that tab lives. `None` when the lock is
    /// free.
    fn holder(&self, name: &str) -> LocalFuture<'static, Option<String>>;

    /// Returns whether a request waits in the lock's queue.
    fn is_awaited(&self, name: &str) -> LocalFuture<'static, bool>;

    /// Opens a channel; `on_message` is called with each message of the others.
    ///
    /// Fails with `unsupported_environment` where the platform has no channels.
    fn open_broadcast(&self, name: &str, on_message: Box<dyn Fn(&str)>) -> Result<Box<dyn Broadcast>>;
}

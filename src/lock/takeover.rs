//! Asking the holder of a lock to release it.

use std::convert::Infallible;

use crate::ports::{Broadcast, Clock, LocalFuture};

/// The message on the lock's channel that asks its holder to finish and release, because a request waits in the queue.
pub const TAKEOVER: &str = "takeover";

/// Milliseconds between two messages.
const ASK_EVERY_MS: u64 = 300;

/// Asks repeatedly: the holder may still be opening or may change, and messages may get lost.
pub(super) fn ask<'a>(channel: Box<dyn Broadcast>, clock: &'a dyn Clock) -> LocalFuture<'a, Infallible> {
    Box::pin(async move {
        loop {
            channel.send(TAKEOVER);
            clock.sleep(ASK_EVERY_MS).await;
        }
    })
}

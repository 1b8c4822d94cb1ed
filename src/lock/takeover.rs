//! Asking the holder of a lock to let go.

use std::convert::Infallible;

use crate::ports::{Channel, Clock, LocalFuture};

/// What is said on the channel of a lock to whoever holds it: please finish and let go, somebody waits in line.
pub const TAKEOVER: &str = "takeover";

/// Milliseconds from one question to the next.
const ASK_EVERY_MS: u64 = 300;

/// Asks, again and again: the holder may be opening still, or somebody else by now, and messages may get lost.
pub(super) fn ask<'a>(channel: Box<dyn Channel>, clock: &'a dyn Clock) -> LocalFuture<'a, Infallible> {
    Box::pin(async move {
        loop {
            channel.send(TAKEOVER);
            clock.sleep(ASK_EVERY_MS).await;
        }
    })
}

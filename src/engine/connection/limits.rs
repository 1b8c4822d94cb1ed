//! What ends a call early: its time limit, and its cancellation.

use std::{future::Future, pin::pin, rc::Rc};

use futures_util::future::{Either, select};

use super::signal::Signal;
use crate::error::{Error, ErrorCode, Result};

/// The limits of one call; by default none.
#[derive(Clone, Default)]
pub struct CallLimits {
    /// When running statements are interrupted, in milliseconds of the monotonic clock; `None`: never.
    pub ends_ms: Option<f64>,
    /// Notified when the call is cancelled.
    pub cancelled: Option<Rc<Signal>>,
}

impl CallLimits {
    /// Runs the part of a call that can be cancelled, which ends with its commit at the latest. Cancelling drops the future
    /// where it waits. Its steps on the database are synchronous, so they are never interrupted by it.
    ///
    /// Fails with `timeout` when the call is cancelled.
    pub async fn until_commit<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(cancelled) = &self.cancelled else { return work.await };
        match select(pin!(work), pin!(cancelled.notified())).await {
            Either::Left((result, _)) => result,
            // JavaScript rejects with the reason of its signal instead.
            Either::Right(_) => Err(Error::new(ErrorCode::Timeout, "The call was cancelled")),
        }
    }
}

//! The time limit of a call.

use std::{future::Future, pin::pin, rc::Rc};

use futures_util::future::{Either, select};

use crate::{
    engine::Database as Core,
    error::{Error, ErrorCode, Result},
    ports::Clock,
};

/// The time that a call may take.
#[derive(Clone)]
pub struct Limit {
    clock: Rc<dyn Clock>,
    timeout_ms: Option<u64>,
    began_ms: f64,
}

impl Limit {
    /// Begins a call.
    pub fn begin(clock: Rc<dyn Clock>, timeout_ms: Option<u64>) -> Self {
        Self { began_ms: if timeout_ms.is_some() { clock.monotonic_ms() } else { 0.0 }, clock, timeout_ms }
    }

    /// Runs a part of the call that waits. Fails with `timeout`.
    pub async fn run<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(timeout_ms) = self.timeout_ms else { return work.await };
        let sleep = self.clock.sleep(self.left_ms().ceil() as u64);
        match select(pin!(work), sleep).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => Err(exceeded(timeout_ms)),
        }
    }

    /// Fails with `timeout` when the time is over.
    pub fn check(&self) -> Result<()> {
        match self.timeout_ms {
            Some(timeout_ms) if self.clock.monotonic_ms() - self.began_ms > timeout_ms as f64 => {
                Err(exceeded(timeout_ms))
            }
            _ => Ok(()),
        }
    }

    /// Waits until the connection is free, for calls that take it themselves and then run to their end. Fails with
    /// `timeout`.
    pub async fn wait_for(&self, core: &Core) -> Result<()> {
        self.run(core.mutex().acquire()).await.map(drop)
    }

    fn left_ms(&self) -> f64 {
        let limit = self.timeout_ms.map_or(0.0, |ms| ms as f64);
        (limit - (self.clock.monotonic_ms() - self.began_ms)).max(1.0)
    }

    /// Returns the time that a statement may take, in milliseconds; 0: any.
    pub fn of_statement(&self) -> f64 {
        if self.timeout_ms.is_some() { self.left_ms() } else { 0.0 }
    }

    /// Names the limit in the error of a statement that SQLite interrupted.
    pub fn named(&self, mut error: Error) -> Error {
        if let Some(timeout_ms) = self.timeout_ms
            && error.is(ErrorCode::Timeout)
            && error.details.contains_key("sqliteCode")
        {
            error.message = format!("Query exceeded with_timeout_ms ({timeout_ms} ms)");
            return error.detail("timeoutMs", timeout_ms);
        }
        error
    }
}

fn exceeded(timeout_ms: u64) -> Error {
    Error::new(ErrorCode::Timeout, format!("Call exceeded with_timeout_ms ({timeout_ms} ms)"))
        .hint("Raise with_timeout_ms, or find the call that delays it: a database runs one call at a time")
        .detail("timeoutMs", timeout_ms)
}

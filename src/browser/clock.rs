//! Time and background work: `Date`, `performance`, `setTimeout` (gloo-timers) and the microtask queue.

use gloo_timers::future::TimeoutFuture;
use wasm_bindgen::prelude::*;

use crate::{
    ports::{Clock, LocalFuture, Spawner},
    time::Timestamp,
};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = performance, js_name = now)]
    fn performance_now() -> f64;
}

/// `setTimeout` takes a signed 32-bit number of milliseconds; a larger one fires at once.
const LONGEST_TIMEOUT_MS: u64 = i32::MAX as u64;

/// The clock of the page or worker.
pub struct BrowserClock;

impl Clock for BrowserClock {
    fn now(&self) -> Timestamp {
        Timestamp(js_sys::Date::now() as i64)
    }

    fn monotonic_ms(&self) -> f64 {
        performance_now()
    }

    fn sleep(&self, ms: u64) -> LocalFuture<'static, ()> {
        Box::pin(async move {
            let mut left = ms;
            loop {
                let step = left.min(LONGEST_TIMEOUT_MS);
                TimeoutFuture::new(step as u32).await;
                left -= step;
                if left == 0 {
                    return;
                }
            }
        })
    }
}

/// Background work as microtasks.
pub struct BrowserSpawner;

impl Spawner for BrowserSpawner {
    fn spawn(&self, future: LocalFuture<'static, ()>) {
        wasm_bindgen_futures::spawn_local(future);
    }
}

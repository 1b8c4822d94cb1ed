//! The few small traits that the concepts need from outside. `browser` implements them over the web platform; native
//! tests over memory, a virtual clock and a seed.
//!
//! Everything is single-threaded: futures are local, handles are `Rc`.

mod clock;
mod http;
mod locks;
#[cfg(not(target_arch = "wasm32"))]
pub mod sim;
mod store;

use std::{future::Future, pin::Pin, rc::Rc};

pub use clock::{Clock, Entropy, Spawner};
pub use http::{Http, HttpFailure, HttpRequest, HttpResponse, Method};
pub use locks::{Acquire, Held, Locks};
pub use store::*;

/// A boxed future that never leaves its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Time, chance and background work together, as most of the engine needs them. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// The clock.
    pub clock: Rc<dyn Clock>,
    /// The randomness.
    pub entropy: Rc<dyn Entropy>,
    /// The background.
    pub spawner: Rc<dyn Spawner>,
}

//! The few small traits that the concepts need from outside. `browser` implements them over the web platform; native
//! tests over memory, a virtual clock and a seed.
//!
//! Everything is single-threaded: futures are local, handles are `Rc`.

mod clock;
mod http;
mod locks;
mod store;

use std::{future::Future, pin::Pin};

pub use clock::{Clock, Entropy, Spawner};
pub use http::{Http, HttpFailure, HttpRequest, HttpResponse, Method};
pub use locks::{Acquire, Held, Locks};
pub use store::*;

/// A boxed future that never leaves its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

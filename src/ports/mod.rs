//! The platform services that the concepts need, as a few small traits. `browser` implements them over the web
//! platform; native tests over memory, a virtual clock and a seed.
//!
//! Everything is single-threaded: futures are local, handles are `Rc`.

mod chunk_id;
mod clock;
mod crypto;
mod files;
mod http;
mod lifecycle;
mod locks;
mod parts;
mod reserve;
#[cfg(all(feature = "testing", not(target_arch = "wasm32")))]
pub mod sim;
mod socket;
mod store;
mod store_connection;
#[cfg(not(target_arch = "wasm32"))]
mod timers;

use std::{
    future::{Future, ready},
    pin::Pin,
    rc::Rc,
};

pub use chunk_id::ChunkId;
pub use clock::{Clock, Entropy, Spawner};
pub use crypto::{AeadInput, Cipher, Crypto, DataKey, NONCE_BYTES};
pub use files::{Files, LockFiles, Process, Processes};
pub use http::{Http, HttpFailure, HttpRequest, HttpResponse, Method};
pub use lifecycle::{Lifecycle, LifecycleEvent};
pub use locks::{Acquire, Broadcast, HeldLock, Locks};
pub use parts::{LoadedParts, Part, Parts, entered};
pub use reserve::{RESERVE, refill_reserve, write_with_reserve};
pub use socket::{Socket, SocketEvent, Sockets};
pub use store::*;
pub use store_connection::StoreConnection;
#[cfg(not(target_arch = "wasm32"))]
pub use timers::Timers;

use crate::error::Result;

/// A boxed future that never leaves its thread.
pub type LocalFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Time, randomness and background work together, as most of the engine needs them. Cheap to clone.
#[derive(Clone)]
pub struct Platform {
    /// The clock.
    pub clock: Rc<dyn Clock>,
    /// The randomness.
    pub entropy: Rc<dyn Entropy>,
    /// The background.
    pub spawner: Rc<dyn Spawner>,
    /// The loader of rarely used code.
    pub parts: Rc<dyn Parts>,
}

impl Platform {
    /// Returns how many of so many milliseconds are left, from now.
    pub fn time_left(&self, ms: f64) -> Rc<dyn Fn() -> f64> {
        let clock = self.clock.clone();
        let end = clock.monotonic_ms() + ms;
        Rc::new(move || end - clock.monotonic_ms())
    }
}

/// The platform's estimate of the origin's storage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Bytes in use, where that is known.
    pub usage: Option<u64>,
    /// Bytes that may be used, where that is known.
    pub quota: Option<u64>,
    /// Whether the browser promised not to evict it.
    pub persisted: bool,
}

/// Where databases are stored.
pub trait Stores {
    /// Opens the storage of one database and creates it when it doesn't exist. Takes no lock and changes no record.
    ///
    /// Fails with `storage_unavailable`, `storage_blocked`, or `snapshot_incompatible` for a newer format.
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>>;

    /// Opens it for a recovery, with an older state where the newest one can't be read; `None` where there is none. What is
    /// missing is described by [`Store::damage`].
    fn open_older(&self, _name: &str) -> LocalFuture<'static, Result<Option<Rc<dyn Store>>>> {
        Box::pin(ready(Ok(None)))
    }

    /// Returns what can be shown of a database while another holder has it open; `None` where opening its storage shows
    /// that at any time.
    fn shown(&self, _name: &str) -> Option<LocalFuture<'static, Option<HeadInfo>>> {
        None
    }

    /// Returns the platform's estimate of the space.
    fn estimate(&self) -> LocalFuture<'static, Estimate>;

    /// Asks the platform never to evict the stored data. Returns whether it agreed.
    fn persist(&self) -> LocalFuture<'static, bool>;
}

/// All the platform services that a database needs.
#[derive(Clone)]
pub struct Ports {
    /// Time, randomness and background work.
    pub platform: Platform,
    /// Exclusive locks.
    pub locks: Rc<dyn Locks>,
    /// HTTP requests.
    pub http: Rc<dyn Http>,
    /// Sockets, for messages that the remote sends unasked.
    pub sockets: Rc<dyn Sockets>,
    /// The storage.
    pub stores: Rc<dyn Stores>,
    /// The page's lifecycle.
    pub lifecycle: Rc<dyn Lifecycle>,
}

//! What native programs give the engine: a thread with a clock, the system's randomness, and folders. No policy, as in
//! `browser`.
//!
//! | file | what |
//! |---|---|
//! | `worker` | a thread that runs jobs on one value, and the futures of the engine |
//! | `clock` | the system's clocks, and timers that the worker's thread waits for |
//! | `entropy` | the system's randomness |
//! | `http` | with the feature `sync`: requests, each on a thread of its own |
//! | `socket` | with the feature `realtime`: WebSockets, each with a thread |

mod clock;
mod entropy;
#[cfg(feature = "sync")]
mod http;
#[cfg(feature = "realtime")]
mod socket;
mod worker;

use std::{any::Any, future::ready, path::Path, rc::Rc};

pub use clock::NativeClock;
pub use entropy::SystemEntropy;
#[cfg(feature = "sync")]
pub use http::HttpClient;
#[cfg(feature = "realtime")]
pub use socket::{NativeSockets, tls_trusting};
pub use worker::{Poster, Worker, alone};

use crate::{
    error::{Error, ErrorCode, Result},
    lock::FileLocks,
    ports::{
        Http, HttpFailure, HttpRequest, HttpResponse, Lifecycle, LifecycleEvent, LoadedParts, LocalFuture, Platform,
        Ports, Socket, SocketEvent, Sockets, Spawner,
    },
    store::folder::{Disk, Folder, OwnProcess},
};

/// Returns the platform of a worker's thread.
fn platform(clock: &NativeClock, spawner: Rc<dyn Spawner>) -> Platform {
    Platform { clock: Rc::new(clock.clone()), entropy: Rc::new(SystemEntropy), spawner, parts: Rc::new(LoadedParts) }
}

/// Returns the ports over a folder of this machine. Nothing is created before the database is opened.
pub fn ports(platform: Platform, folder: &Path) -> Ports {
    let files = Rc::new(Disk::new(folder));
    Ports {
        locks: Rc::new(FileLocks::new(files.clone(), Rc::new(OwnProcess), platform.clone())),
        http: Rc::new(NoNetwork),
        sockets: Rc::new(NoNetwork),
        stores: Rc::new(Folder { files }),
        lifecycle: Rc::new(NoPage),
        platform,
    }
}

/// A program has no page. Never visible, because it gets no event before it ends: deferred commits are stored at once.
struct NoPage;

impl Lifecycle for NoPage {
    fn visible(&self) -> bool {
        false
    }

    fn watch(&self, _on_event: Rc<dyn Fn(LifecycleEvent)>) -> Box<dyn Any> {
        Box::new(())
    }
}

/// A database without a remote has no client for one, and one without `realtime` no sockets.
struct NoNetwork;

impl Http for NoNetwork {
    fn send(&self, _: HttpRequest) -> LocalFuture<'static, Result<HttpResponse, HttpFailure>> {
        Box::pin(ready(Err(HttpFailure::Network("there is no HTTP client".to_owned()))))
    }
}

impl Sockets for NoNetwork {
    fn open(&self, _: &str, _: Box<dyn Fn(SocketEvent)>) -> Result<Box<dyn Socket>> {
        Err(Error::new(ErrorCode::UnsupportedEnvironment, "Sockets are not available in this build"))
    }
}

//! A connection on which both sides speak when they want to, as a WebSocket is.

use crate::error::Result;

/// What is heard of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketNews {
    /// It is open: from now on it can send.
    Opened,
    /// The other side said a text.
    Said(String),
    /// It is closed, or never came to be open.
    Closed,
}

/// One connection. Dropping it closes it, and nothing more is heard of it.
pub trait Socket {
    /// Says a text; what is said before it is open, or after its end, is lost.
    fn send(&self, text: &str);
}

/// Opens connections.
pub trait Sockets {
    /// Begins to connect; `heard` is called with what happens, never before this returns.
    ///
    /// Fails with `unsupported_environment` where the platform has no sockets, with `sync_network` when it refuses that address.
    fn open(&self, url: &str, heard: Box<dyn Fn(SocketNews)>) -> Result<Box<dyn Socket>>;
}

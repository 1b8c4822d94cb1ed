//! A bidirectional message connection, as a WebSocket is.

use crate::error::Result;

/// An event of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketEvent {
    /// The socket is open and can send.
    Opened,
    /// The other side sent a text message.
    Said(String),
    /// The socket is closed, or failed to open.
    Closed,
}

/// One connection. Dropping it closes it and ends its events.
pub trait Socket {
    /// Sends a text message; it is lost while the socket isn't open.
    fn send(&self, text: &str);
}

/// Opens connections.
pub trait Sockets {
    /// Starts to connect; `on_event` is called with each event, never before this returns.
    ///
    /// Fails with `unsupported_environment` where the platform has no sockets, `sync_network` when it refuses the
    /// address.
    fn open(&self, url: &str, on_event: Box<dyn Fn(SocketEvent)>) -> Result<Box<dyn Socket>>;
}

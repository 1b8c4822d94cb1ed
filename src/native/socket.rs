//! WebSockets by tungstenite. Each connection has a thread, which waits for what the server sends; the engine's thread
//! sends.

#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io::{self, ErrorKind, Read, Write},
    net::{Shutdown, TcpStream, ToSocketAddrs},
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use futures_channel::mpsc::{UnboundedSender, unbounded};
use futures_util::{
    FutureExt, StreamExt,
    future::{AbortHandle, abortable},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::{CryptoProvider, ring},
    pki_types::CertificateDer,
};
use tungstenite::{
    Connector, HandshakeError, Message, WebSocket, client_tls_with_config, http::Uri, protocol::WebSocketConfig,
    stream::MaybeTlsStream,
};

use super::http::certificates_of;
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Socket, SocketEvent, Sockets, Spawner},
};

/// The longest message that is read, in bytes, as in browsers: those of Realtime have at most a megabyte.
const LONGEST: usize = 16 << 20;
/// How long an address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the engine waits for the system to take a message.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// The sockets of a native program.
pub struct NativeSockets {
    pub spawner: Rc<dyn Spawner>,
    pub tls: Arc<ClientConfig>,
}

/// Returns what trusts the given certificates, in PEM form; `None`: the public authorities, as Mozilla lists them. Fails
/// with `invalid_argument` when there is no certificate in the text.
pub fn tls_trusting(root_certificates: Option<&[u8]>) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    match root_certificates {
        Some(pem) => {
            let certificates = certificates_of(pem)?;
            roots.add_parsable_certificates(certificates.iter().map(|each| CertificateDer::from(each.der())));
        }
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
    }
    // As ureq chooses it.
    let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.map_err(|error| Error::internal("The TLS library has no protocol").cause(error))?;
    Ok(Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

impl Sockets for NativeSockets {
    fn open(&self, url: &str, on_event: Box<dyn Fn(SocketEvent)>) -> Result<Box<dyn Socket>> {
        let state = SharedState::default();
        let (report, mut events) = unbounded();
        let (url, tls, connection) = (url.to_owned(), self.tls.clone(), state.clone());
        let run = move || {
            // Whatever ended the connection: the subscription opens another one.
            let _ = run(&url, tls, &connection, &report);
            let _ = report.unbounded_send(SocketEvent::Closed);
        };
        thread::Builder::new().name("tidelock socket".to_owned()).spawn(run).map_err(|error| {
            Error::new(ErrorCode::SyncNetwork, "The WebSocket connection could not be opened").cause(error)
        })?;
        let (forwarding, abort) = abortable(async move {
            while let Some(event) = events.next().await {
                on_event(event);
            }
        });
        self.spawner.spawn(Box::pin(forwarding.map(drop)));
        Ok(Box::new(NativeSocket { state, abort }))
    }
}

/// A connection, whose thread and owner share it.
#[derive(Default)]
struct SocketState {
    /// Ends the waiting of the thread when it is shut down.
    tcp: Option<TcpStream>,
    socket: Option<WebSocket<MaybeTlsStream<ReceivedStream>>>,
    is_dropped: bool,
}

type SharedState = Arc<Mutex<SocketState>>;

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(|broken| broken.into_inner())
}

/// A connection that never waits for the server: it reads what its thread has received.
struct ReceivedStream {
    tcp: TcpStream,
    received: Arc<Mutex<VecDeque<u8>>>,
}

impl Read for ReceivedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match lock(&self.received).read(buffer)? {
            0 if !buffer.is_empty() => Err(ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for ReceivedStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tcp.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

/// Connects, and reports the messages of the server until the connection ends.
fn run(
    url: &str,
    tls: Arc<ClientConfig>,
    shared: &Mutex<SocketState>,
    report: &UnboundedSender<SocketEvent>,
) -> tungstenite::Result<()> {
    let mut tcp = connect(&url.parse().map_err(tungstenite::http::Error::from)?)?;
    {
        let mut connection = lock(shared);
        if connection.is_dropped {
            return Ok(());
        }
        connection.tcp = Some(tcp.try_clone()?);
    }
    let received: Arc<Mutex<VecDeque<u8>>> = Arc::default();
    let wire = ReceivedStream { tcp: tcp.try_clone()?, received: received.clone() };
    let mut piece = vec![0; 16 * 1024];
    // Waits for the server, while nothing is locked.
    let mut receive = || match tcp.read(&mut piece)? {
        0 => Err(io::Error::from(ErrorKind::UnexpectedEof)),
        count => {
            lock(&received).extend(&piece[..count]);
            Ok(())
        }
    };
    let limits = WebSocketConfig::default().max_message_size(Some(LONGEST)).max_frame_size(Some(LONGEST));
    let mut handshake = client_tls_with_config(url, wire, Some(limits), Some(Connector::Rustls(tls)));
    let socket = loop {
        match handshake {
            Ok((socket, _)) => break socket,
            Err(HandshakeError::Failure(error)) => return Err(error),
            Err(HandshakeError::Interrupted(waiting)) => {
                receive()?;
                handshake = waiting.handshake();
            }
        }
    };
    lock(shared).socket = Some(socket);
    let _ = report.unbounded_send(SocketEvent::Opened);
    loop {
        while let Some(message) = next_message(shared)? {
            // Binary messages belong to no protocol used here. A ping is answered by the next read.
            if let Message::Text(text) = message {
                let _ = report.unbounded_send(SocketEvent::Said(text.to_string()));
            }
        }
        receive()?;
    }
}

/// Returns the next message that has been received.
fn next_message(shared: &Mutex<SocketState>) -> tungstenite::Result<Option<Message>> {
    let mut connection = lock(shared);
    let socket = connection.socket.as_mut().ok_or(tungstenite::Error::AlreadyClosed)?;
    match socket.read() {
        Ok(message) => Ok(Some(message)),
        Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

fn connect(url: &Uri) -> io::Result<TcpStream> {
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("wss") { 443 } else { 80 });
    let mut failure = ErrorKind::AddrNotAvailable.into();
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECT_TIMEOUT) {
            Ok(tcp) => {
                tcp.set_nodelay(true)?;
                tcp.set_write_timeout(Some(SEND_TIMEOUT))?;
                return Ok(tcp);
            }
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

struct NativeSocket {
    state: SharedState,
    abort: AbortHandle,
}

impl Socket for NativeSocket {
    fn send(&self, text: &str) {
        if let Some(socket) = &mut lock(&self.state).socket {
            // What can't be sent is lost; a lost connection is seen by its thread.
            let _ = socket.send(text.into());
        }
    }
}

impl Drop for NativeSocket {
    fn drop(&mut self) {
        self.abort.abort();
        let mut connection = lock(&self.state);
        connection.is_dropped = true;
        if let Some(mut socket) = connection.socket.take() {
            let _ = socket.close(None);
            let _ = socket.flush();
        }
        if let Some(tcp) = connection.tcp.take() {
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }
}

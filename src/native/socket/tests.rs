//! The sockets against local servers.

use std::{
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

use futures_channel::mpsc::UnboundedReceiver;
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tungstenite::accept;

use super::*;
use crate::{native::alone, ports::Platform};

const AUTHORITY: &[u8] = include_bytes!("../../../tests/fixtures/tls/authority.pem");
const CERTIFICATE: &[u8] = include_bytes!("../../../tests/fixtures/tls/certificate.pem");
const KEY: &[u8] = include_bytes!("../../../tests/fixtures/tls/key.pem");

/// Answers one connection → the server's port.
fn serve(answer: impl FnOnce(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || answer(listener.accept().unwrap().0));
    port
}

/// Greets, repeats each text that it receives, and returns how the connection ended.
fn echo(stream: impl Read + Write) -> tungstenite::Error {
    let Ok(mut socket) = accept(stream) else { return tungstenite::Error::AlreadyClosed };
    socket.send("hello".into()).unwrap();
    loop {
        match socket.read() {
            Ok(Message::Text(text)) => socket.send(Message::Text(text)).unwrap(),
            Ok(_) => {}
            Err(error) => return error,
        }
    }
}

/// Has a server of `echo` → its port, and how its connection ended.
fn echoes() -> (u16, Receiver<tungstenite::Error>) {
    let (ended, end) = channel();
    (serve(move |stream| ended.send(echo(stream)).unwrap()), end)
}

fn over_tls(stream: TcpStream) -> tungstenite::Error {
    let certificates = CertificateDer::pem_slice_iter(CERTIFICATE).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(KEY).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = config.with_single_cert(certificates, key).unwrap();
    echo(StreamOwned::new(ServerConnection::new(Arc::new(config)).unwrap(), stream))
}

fn open(platform: &Platform, url: &str, authority: Option<&[u8]>) -> (Box<dyn Socket>, UnboundedReceiver<SocketEvent>) {
    let sockets = NativeSockets { spawner: platform.spawner.clone(), tls: tls_trusting(authority).unwrap() };
    let (sender, events) = unbounded();
    let socket = sockets.open(url, Box::new(move |event| sender.unbounded_send(event).unwrap())).unwrap();
    (socket, events)
}

fn run<T: Send + 'static>(test: impl AsyncFnOnce(Platform) -> T + Send + 'static) -> T {
    futures_executor::block_on(alone(move |platform| async move { Ok(test(platform).await) })).unwrap()
}

/// Expects a greeting and an echo, and closes.
async fn talk(platform: &Platform, url: &str, authority: Option<&[u8]>) {
    let (socket, mut events) = open(platform, url, authority);
    socket.send("lost: the socket isn't open yet");
    assert_eq!(events.next().await, Some(SocketEvent::Opened));
    assert_eq!(events.next().await, Some(SocketEvent::Said("hello".to_owned())));
    let text = "naïve 🌊 ".repeat(5000);
    socket.send(&text);
    assert_eq!(events.next().await, Some(SocketEvent::Said(text)));
    drop(socket);
    assert_eq!(events.next().await, None, "a dropped socket has no events");
}

#[test]
fn messages_go_both_ways_and_a_dropped_socket_closes() {
    let (port, ended) = echoes();
    run(async move |platform| talk(&platform, &format!("ws://127.0.0.1:{port}/x?apikey=k"), None).await);
    let end = ended.recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(matches!(end, tungstenite::Error::ConnectionClosed), "{end}");
}

#[test]
fn tls_is_for_servers_that_the_certificates_have_signed() {
    let port = serve(|stream| drop(over_tls(stream)));
    run(async move |platform| talk(&platform, &format!("wss://localhost:{port}/"), Some(AUTHORITY)).await);
    let port = serve(|stream| drop(over_tls(stream)));
    run(async move |platform| {
        let (_socket, mut events) = open(&platform, &format!("wss://localhost:{port}/"), None);
        assert_eq!(events.next().await, Some(SocketEvent::Closed), "a public authority has not signed it");
    });
    assert!(tls_trusting(Some(b"no PEM")).is_err_and(|error| error.is(ErrorCode::InvalidArgument)));
}

#[test]
fn what_ends_a_connection_is_reported() {
    type Answer = fn(TcpStream);
    let ends: [(&str, Answer); 5] = [
        ("it hangs up", drop),
        ("no WebSocket", |mut stream| {
            let _ = stream.read(&mut [0; 1000]);
            stream.write_all(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n").unwrap();
        }),
        ("it closes", |stream| {
            let mut socket = accept(stream).unwrap();
            socket.close(None).unwrap();
            while socket.read().is_ok() {}
        }),
        ("a frame that isn't one", |stream| {
            accept(stream).unwrap().get_mut().write_all(&[0xff; 100]).unwrap();
        }),
        ("a message that is too long", |stream| {
            let mut socket = accept(stream).unwrap();
            let _ = socket.send("x".repeat(LONGEST + 1).into());
        }),
    ];
    for (end, answer) in ends {
        let port = serve(answer);
        run(async move |platform| {
            let (_socket, mut events) = open(&platform, &format!("ws://127.0.0.1:{port}/"), None);
            let mut last = events.next().await;
            if last == Some(SocketEvent::Opened) {
                last = events.next().await;
            }
            assert_eq!(last, Some(SocketEvent::Closed), "{end}");
        });
    }
}

#[test]
fn a_socket_dropped_while_it_opens_is_closed() {
    let (ended, end) = channel();
    // A server that never answers.
    let port = serve(move |mut stream| {
        while stream.read(&mut [0; 1000]).is_ok_and(|count| count > 0) {}
        ended.send(()).unwrap();
    });
    let began = Instant::now();
    run(async move |platform| drop(open(&platform, &format!("ws://127.0.0.1:{port}/"), None)));
    assert!(began.elapsed() < CONNECT_TIMEOUT, "nothing waits for the thread");
    end.recv_timeout(CONNECT_TIMEOUT).unwrap();
}

//! `WebSocket`, with own bindings for the few methods that are needed.

use js_sys::{Function, JsString};
use wasm_bindgen::prelude::*;

use super::{global, property, thrown_text};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{Socket, SocketEvent, Sockets},
};

#[wasm_bindgen]
extern "C" {
    type WebSocket;

    #[wasm_bindgen(constructor, catch)]
    fn new(url: &str) -> Result<WebSocket, JsValue>;

    #[wasm_bindgen(method, catch, js_name = send)]
    fn js_send(this: &WebSocket, text: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method)]
    fn close(this: &WebSocket);

    #[wasm_bindgen(method, js_name = addEventListener)]
    fn add(this: &WebSocket, kind: &str, listener: &Function);

    #[wasm_bindgen(method, js_name = removeEventListener)]
    fn remove(this: &WebSocket, kind: &str, listener: &Function);
}

/// The longest message that is read, in UTF-16 units: those of Realtime have at most a megabyte. To copy one of 200 MB into the
/// engine's memory takes seconds, so a longer one ends the connection.
const LONGEST: u32 = 16 << 20;

/// The events of a socket. An `error` is always followed by `close`.
const KINDS: [&str; 3] = ["open", "message", "close"];

/// The sockets of this page or worker.
pub struct WebSockets;

impl Sockets for WebSockets {
    fn open(&self, url: &str, on_event: Box<dyn Fn(SocketEvent)>) -> Result<Box<dyn Socket>> {
        open(url, on_event)
    }
}

/// An entry of the part `sync`, the only caller: never inlined, so that the part can be split off here.
#[inline(never)]
fn open(url: &str, on_event: Box<dyn Fn(SocketEvent)>) -> Result<Box<dyn Socket>> {
    global("WebSocket").ok_or_else(|| {
        Error::new(ErrorCode::UnsupportedEnvironment, "WebSocket is missing")
            .hint("Leave remote.realtime out: changes are then found by the interval")
    })?;
    let socket = WebSocket::new(url).map_err(|error| {
        Error::new(ErrorCode::SyncNetwork, "The WebSocket connection could not be opened")
            .hint("The page's Content-Security-Policy must allow it (connect-src)")
            .cause(thrown_text(&error))
    })?;
    let listener = Closure::<dyn Fn(JsValue)>::new(move |event: JsValue| {
        match property(&event, "type").and_then(|kind| kind.as_string()).as_deref() {
            Some("open") => on_event(SocketEvent::Opened),
            Some("close") => on_event(SocketEvent::Closed),
            // Binary messages belong to no protocol used here.
            _ => {
                let Some(Ok(said)) = property(&event, "data").map(JsCast::dyn_into::<JsString>) else { return };
                let fits = said.length() <= LONGEST;
                on_event(if fits { SocketEvent::Said(said.into()) } else { SocketEvent::Closed });
            }
        }
    });
    let function = listener.as_ref().unchecked_ref();
    KINDS.iter().for_each(|kind| socket.add(kind, function));
    Ok(Box::new(OpenSocket { socket, listener }))
}

struct OpenSocket {
    socket: WebSocket,
    listener: Closure<dyn Fn(JsValue)>,
}

impl Socket for OpenSocket {
    fn send(&self, text: &str) {
        // It throws only before the socket is open; later messages are lost silently.
        let _ = self.socket.js_send(text);
    }
}

impl Drop for OpenSocket {
    fn drop(&mut self) {
        let function = self.listener.as_ref().unchecked_ref();
        KINDS.iter().for_each(|kind| self.socket.remove(kind, function));
        self.socket.close();
    }
}

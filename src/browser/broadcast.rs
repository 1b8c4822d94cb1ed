//! Messages between tabs: `BroadcastChannel`, with own bindings for the few methods that are needed.

use js_sys::Function;
use wasm_bindgen::prelude::*;

use super::{global, property, thrown_text};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::Broadcast,
};

#[wasm_bindgen]
extern "C" {
    type BroadcastChannel;

    #[wasm_bindgen(constructor, catch)]
    fn new(name: &str) -> Result<BroadcastChannel, JsValue>;

    #[wasm_bindgen(method, catch, js_name = postMessage)]
    fn post_message(this: &BroadcastChannel, message: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method)]
    fn close(this: &BroadcastChannel);

    #[wasm_bindgen(method, setter)]
    fn set_onmessage(this: &BroadcastChannel, handler: &Function);
}

struct OpenBroadcast {
    channel: BroadcastChannel,
    _listener: Closure<dyn Fn(JsValue)>,
}

/// Opens a channel between the tabs of this origin.
pub fn open_broadcast(name: &str, on_message: Box<dyn Fn(&str)>) -> Result<Box<dyn Broadcast>> {
    let missing = || {
        Error::new(ErrorCode::UnsupportedEnvironment, "BroadcastChannel is missing")
            .hint("Use a newer browser, or open without lock: { onBusy: 'takeover' }")
    };
    global("BroadcastChannel").ok_or_else(missing)?;
    let channel = BroadcastChannel::new(name).map_err(|error| missing().cause(thrown_text(&error)))?;
    let listener = Closure::<dyn Fn(JsValue)>::new(move |event: JsValue| {
        // Other messages on the channel are ignored.
        if let Some(message) = property(&event, "data").and_then(|data| data.as_string()) {
            on_message(&message);
        }
    });
    channel.set_onmessage(listener.as_ref().unchecked_ref());
    Ok(Box::new(OpenBroadcast { channel, _listener: listener }))
}

impl Broadcast for OpenBroadcast {
    fn send(&self, message: &str) {
        // It throws only on a closed channel.
        let _ = self.channel.post_message(message);
    }
}

impl Drop for OpenBroadcast {
    fn drop(&mut self) {
        self.channel.close();
    }
}

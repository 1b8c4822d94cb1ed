//! Abort signals as futures.

use futures_channel::oneshot;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::AbortSignal;

/// Listens to a signal until it is dropped.
struct Listening {
    signal: AbortSignal,
    listener: Closure<dyn FnMut()>,
}

impl Drop for Listening {
    fn drop(&mut self) {
        let _ = self.signal.remove_event_listener_with_callback("abort", self.listener.as_ref().unchecked_ref());
    }
}

/// Resolves with the signal's reason once it aborts; never when there is no signal.
pub async fn aborted(signal: Option<AbortSignal>) -> JsValue {
    let Some(signal) = signal else { return std::future::pending().await };
    if signal.aborted() {
        return signal.reason();
    }
    let (sender, aborted) = oneshot::channel::<()>();
    let mut sender = Some(sender);
    let listener = Closure::new(move || {
        if let Some(sender) = sender.take() {
            let _ = sender.send(());
        }
    });
    let listening = Listening { signal, listener };
    let callback = listening.listener.as_ref().unchecked_ref();
    let _ = listening.signal.add_event_listener_with_callback("abort", callback);
    // The listener keeps the sender for as long as this waits.
    let _ = aborted.await;
    listening.signal.reason()
}

//! The page's lifecycle: `visibilitychange`, `pagehide`, `pageshow`, Chromium's `freeze` and `resume`, and `online` and
//! `offline`.

use std::{any::Any, rc::Rc};

use js_sys::Function;
use wasm_bindgen::prelude::*;

use super::{global, property};
use crate::ports::{Lifecycle, LifecycleEvent};

#[wasm_bindgen]
extern "C" {
    #[derive(Clone)]
    type EventTarget;

    #[wasm_bindgen(method, js_name = addEventListener)]
    fn add(this: &EventTarget, kind: &str, listener: &Function);

    #[wasm_bindgen(method, js_name = removeEventListener)]
    fn remove(this: &EventTarget, kind: &str, listener: &Function);
}

/// The events of a window, and those of its document.
const OF_WINDOW: [&str; 4] = ["pagehide", "pageshow", "online", "offline"];
const OF_DOCUMENT: [&str; 3] = ["visibilitychange", "freeze", "resume"];

/// The page of this window. Workers and Node have none: never visible. A worker of the package receives its page's
/// events on its global scope: `visibilitychange` when the page is hidden, `pageshow` when it is shown, `online` and
/// `offline` for the network.
pub struct PageLifecycle;

impl Lifecycle for PageLifecycle {
    fn visible(&self) -> bool {
        let hidden = |document| property(&document, "visibilityState").is_some_and(|state| state == "hidden");
        global("document").is_some_and(|document| !hidden(document))
    }

    fn watch(&self, on_event: Rc<dyn Fn(LifecycleEvent)>) -> Box<dyn Any> {
        if global("addEventListener").is_none() {
            return Box::new(());
        }
        let document = global("document");
        let in_worker = document.is_none();
        let listener = Closure::<dyn Fn(JsValue)>::new(move |event: JsValue| {
            let kind = property(&event, "type").and_then(|kind| kind.as_string()).unwrap_or_default();
            on_event(match kind.as_str() {
                "pagehide" | "freeze" => LifecycleEvent::Leaving,
                "online" => LifecycleEvent::Online,
                "offline" => LifecycleEvent::Offline,
                "pageshow" if in_worker => LifecycleEvent::Shown,
                _ if PageLifecycle.visible() => LifecycleEvent::Shown,
                _ => LifecycleEvent::Hidden,
            });
        });
        let window: EventTarget = js_sys::global().unchecked_into();
        let document = document.map_or_else(|| window.clone(), JsValue::unchecked_into);
        let watch = LifecycleWatch { window, document, listener };
        let function = watch.listener.as_ref().unchecked_ref();
        OF_WINDOW.iter().for_each(|kind| watch.window.add(kind, function));
        OF_DOCUMENT.iter().for_each(|kind| watch.document.add(kind, function));
        Box::new(watch)
    }
}

/// The event listeners, removed on drop.
struct LifecycleWatch {
    window: EventTarget,
    document: EventTarget,
    listener: Closure<dyn Fn(JsValue)>,
}

impl Drop for LifecycleWatch {
    fn drop(&mut self) {
        let function = self.listener.as_ref().unchecked_ref();
        OF_WINDOW.iter().for_each(|kind| self.window.remove(kind, function));
        OF_DOCUMENT.iter().for_each(|kind| self.document.remove(kind, function));
    }
}

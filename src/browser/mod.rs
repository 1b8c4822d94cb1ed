//! The browser's capabilities, one thin file each. No policy: that lives in the layers that `cargo test` runs.

mod abort;
mod broadcast;
mod clock;
mod crypto;
mod entropy;
mod fetch;
mod files;
mod host;
mod idb_raw;
mod idb_stored;
mod idb_values;
mod idb_write;
mod indexeddb;
mod lifecycle;
mod locks;
mod page;
mod page_fetch;
mod parts;
mod private_files;
mod private_folders;
mod quota;
mod socket;

pub use abort::aborted;
pub use clock::{BrowserClock, BrowserSpawner};
pub use crypto::{WebCrypto, user_key};
pub use entropy::BrowserEntropy;
pub use fetch::Fetch;
pub use files::{JsFiles, PrivateFolder};
pub use host::Host;
pub use idb_stored::{StoredIndexedDbs, delete_indexeddb, indexeddb_names};
pub use indexeddb::{IndexedDb, IndexedDbs};
pub use lifecycle::PageLifecycle;
pub use locks::WebLocks;
pub use page::{local_time, page_names, page_platform, page_ports, private_ports, show_warning};
pub use page_fetch::PageFetch;
pub use parts::HostParts;
pub use private_files::{PrivateFiles, PrivateStores};
pub use private_folders::{StoredPrivate, delete_private, private_files_work, private_names};
pub use quota::{estimate, persist};
pub use socket::WebSockets;

use std::rc::Rc;

use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use crate::{
    error::Result,
    lock::FileLocks,
    memory::room_for,
    ports::{Platform, Ports},
    store::folder::Folder,
};

/// Returns a property of the global scope (window or worker), if it is there.
fn global(name: &str) -> Option<JsValue> {
    property(&js_sys::global(), name)
}

/// Returns a property that is neither missing, nor undefined, nor null.
pub(crate) fn property(object: &JsValue, name: &str) -> Option<JsValue> {
    let value = Reflect::get(object, &JsValue::from_str(name)).ok()?;
    (!value.is_undefined() && !value.is_null()).then_some(value)
}

/// Returns a plain object of these entries.
pub(crate) fn object(entries: &[(&str, JsValue)]) -> Object {
    let object = Object::new();
    for (name, value) in entries {
        // Setting a property of a fresh plain object can't fail.
        let _ = Reflect::set(&object, &JsValue::from_str(name), value);
    }
    object
}

/// Copies bytes into wasm. Fails with `out_of_memory` where they don't fit: `to_vec` would end the instance.
pub(crate) fn to_bytes(array: &Uint8Array) -> Result<Vec<u8>> {
    room_for(array.length().into())?;
    Ok(array.to_vec())
}

/// Describes a thrown value: `name: message` of an Error, else the value as text. An app's error may have properties of
/// any type.
pub(crate) fn thrown_text(thrown: &JsValue) -> String {
    let message = property(thrown, "message").and_then(|message| message.as_string());
    match thrown.is_instance_of::<js_sys::Error>() {
        true => format!("{}: {}", thrown_name(thrown), message.unwrap_or_default()),
        false => message.or_else(|| thrown.as_string()).unwrap_or_else(|| String::from("unknown error")),
    }
}

/// Returns the name of a thrown Error, without its message.
pub(crate) fn thrown_name(thrown: &JsValue) -> String {
    let name = || property(thrown, "name").and_then(|name| name.as_string());
    match thrown.is_instance_of::<js_sys::Error>() {
        true => name().unwrap_or_else(|| String::from("Error")),
        false => String::from("no Error"),
    }
}

fn platform(host: &Host) -> Platform {
    let (clock, entropy, spawner) = (Rc::new(BrowserClock), Rc::new(BrowserEntropy), Rc::new(BrowserSpawner));
    Platform { clock, entropy, spawner, parts: Rc::new(HostParts { host: host.clone() }) }
}

/// Creates the ports over this browser.
pub fn ports(host: &Host) -> Ports {
    Ports {
        platform: platform(host),
        locks: Rc::new(WebLocks { host: Some(host.clone()) }),
        http: Rc::new(Fetch { host: host.clone() }),
        sockets: Rc::new(WebSockets),
        stores: Rc::new(IndexedDbs { host: Some(host.clone()) }),
        lifecycle: Rc::new(PageLifecycle),
    }
}

/// Creates the ports over a folder: of Node, or of the browser's private file system, where Web Locks are. An entry of
/// the part `stores`, for other parts: never inlined.
#[inline(never)]
pub fn folder_ports(host: &Host, files: JsFiles) -> Ports {
    let files = Rc::new(files);
    if files.is_private() {
        return Ports { stores: Rc::new(PrivateFolder { files }), ..ports(host) };
    }
    let platform = platform(host);
    Ports {
        locks: Rc::new(FileLocks::new(files.clone(), files.clone(), platform.clone())),
        http: Rc::new(Fetch { host: host.clone() }),
        sockets: Rc::new(WebSockets),
        stores: Rc::new(Folder { files }),
        lifecycle: Rc::new(PageLifecycle),
        platform,
    }
}

//! What a Rust program in a page gives the engine, without the npm package.

use std::rc::Rc;

use js_sys::Date;
use wasm_bindgen::prelude::*;

use super::{
    BrowserClock, BrowserEntropy, BrowserSpawner, IndexedDb, PageFetch, PageLifecycle, PrivateStores, WebLocks,
    WebSockets, estimate, global, persist, private_folders::has_private_files, property,
};
use crate::{
    error::Result,
    ports::{Estimate, LoadedParts, LocalFuture, Platform, Ports, Store, Stores},
    store::failure::elsewhere,
};

#[wasm_bindgen]
extern "C" {
    /// Writes a warning to the console.
    #[wasm_bindgen(js_namespace = console, js_name = warn)]
    pub fn show_warning(text: &str);
}

/// Returns the platform of this page or worker.
pub fn page_platform() -> Platform {
    Platform {
        clock: Rc::new(BrowserClock),
        entropy: Rc::new(BrowserEntropy),
        spawner: Rc::new(BrowserSpawner),
        parts: Rc::new(LoadedParts),
    }
}

/// Returns the ports over IndexedDB.
pub fn page_ports(platform: Platform) -> Ports {
    Ports {
        platform,
        locks: Rc::new(WebLocks { host: None }),
        http: Rc::new(PageFetch),
        sockets: Rc::new(WebSockets),
        stores: Rc::new(PageStores),
        lifecycle: Rc::new(PageLifecycle),
    }
}

/// Returns the ports over the browser's private file system, in a dedicated worker.
pub fn private_ports(platform: Platform) -> Ports {
    Ports { stores: Rc::new(PrivateStores), ..page_ports(platform) }
}

/// The databases in IndexedDB. One that the private file system has isn't created.
struct PageStores;

impl Stores for PageStores {
    fn open(&self, name: &str) -> LocalFuture<'static, Result<Rc<dyn Store>>> {
        let name = name.to_owned();
        Box::pin(async move {
            let database = name.clone();
            let absent: LocalFuture<'static, Result<()>> =
                Box::pin(async move { if has_private_files(&database).await { Err(elsewhere()) } else { Ok(()) } });
            IndexedDb::open(&name, Some(absent)).await.map(|store| Rc::new(store) as Rc<dyn Store>)
        })
    }

    fn estimate(&self) -> LocalFuture<'static, Estimate> {
        Box::pin(estimate())
    }

    fn persist(&self) -> LocalFuture<'static, bool> {
        Box::pin(persist())
    }
}

/// Returns the title of this page, and its address without query and fragment.
pub fn page_names() -> (String, String) {
    let text = |object: &str, name: &str| global(object).and_then(|object| property(&object, name)?.as_string());
    let address = text("location", "href").unwrap_or_default();
    let address = address.split(['?', '#']).next().unwrap_or_default();
    (text("document", "title").unwrap_or_default(), address.to_owned())
}

/// Returns the local time of day of an ISO time, with the date when it isn't today.
pub fn local_time(time: &str) -> String {
    let (then, now) = (Date::new(&time.into()), Date::new_0());
    let day = |date: &Date| format!("{}-{:02}-{:02}", date.get_full_year(), date.get_month() + 1, date.get_date());
    let at = format!("{:02}:{:02}", then.get_hours(), then.get_minutes());
    if day(&then) == day(&now) { at } else { format!("{} {at}", day(&then)) }
}

//! Moving a database between the browser's storages.

use std::rc::Rc;

use js_sys::Promise;
use wasm_bindgen::prelude::*;

use super::{encryption, handle::Core, promise::done};
use crate::{
    browser::{self, Host, IndexedDbs, JsFiles},
    engine,
    ports::{Part, Ports},
};

#[wasm_bindgen]
impl Core {
    /// Moves a database from IndexedDB to these files, or with `back` from there to IndexedDB. This instance opens no
    /// database. Both storages have data then; IndexedDB's says which of them is the database.
    #[wasm_bindgen(js_name = moveStorage)]
    pub fn move_storage(name: String, back: bool, host: Host, files: JsFiles) -> Promise {
        done(async move {
            let ports = browser::ports(&host);
            ports.platform.parts.load(Part::Stores).await?;
            let records = Ports { stores: Rc::new(IndexedDbs { host: None }), ..ports };
            let folder = browser::folder_ports(&host, files);
            let (from, to) = if back { (folder, records) } else { (records, folder) };
            let decrypted = encryption::sealed(from.clone(), &host).await?;
            let decrypted = (!host.encryption().is_undefined()).then_some(&*decrypted.stores);
            engine::move_storage(&name, &*from.stores, &*to.stores, decrypted, back).await
        })
    }
}

//! Opening a database for TypeScript.

use std::{cell::RefCell, rc::Rc};

use futures_util::future::{Either, select};
use wasm_bindgen::prelude::*;

use super::{callbacks::HostCallbacks, convert::Thrown, encryption, handle::Core, options};
use crate::{
    browser::{self, Host, JsFiles},
    engine::Database,
    lock::lock_name,
    ports::{LocalFuture, Ports},
};

#[wasm_bindgen]
impl Core {
    /// Acquires the database's lock and reads the stored database; [`Core::start`] must follow. `options` is the plain
    /// object `CoreOptions`. Rejects with a `CoreError`, and stops when the host's signal aborts.
    pub async fn open(options: JsValue, host: Host) -> Result<Core, JsValue> {
        let ports = browser::ports(&host);
        Self::open_over(ports, options, host).await
    }

    /// Opens a database in a folder. A separate export, since pages don't need its code.
    #[wasm_bindgen(js_name = openFolder)]
    pub async fn open_folder(options: JsValue, host: Host, files: JsFiles) -> Result<Core, JsValue> {
        let ports = browser::folder_ports(&host, files);
        Self::open_over(ports, options, host).await
    }
}

impl Core {
    /// Boxed: both openings share one body of code.
    fn open_over(ports: Ports, options: JsValue, host: Host) -> LocalFuture<'static, Result<Core, JsValue>> {
        Box::pin(async move {
            let options = options::read(&options).thrown()?;
            let callbacks = Rc::new(HostCallbacks { host: host.clone() });
            let (locks, lock) = (ports.locks.clone(), lock_name(&options.name));
            let signal = host.signal();
            let opening = Box::pin(async move {
                let ports = encryption::sealed(ports, &host).await?;
                Database::acquire(options, ports, callbacks).await
            });
            let database = match select(opening, Box::pin(browser::aborted(signal))).await {
                Either::Left((opened, _)) => opened.thrown()?,
                Either::Right((reason, opening)) => {
                    drop(opening);
                    // The browser may still grant the lock, which is released then. It answers in order.
                    locks.holder(&lock).await;
                    return Err(reason);
                }
            };
            // No `change` events until JavaScript has a listener.
            database.emit_changes(false);
            Ok(Core { database, buffers: RefCell::default(), cancels: Rc::default() })
        })
    }
}

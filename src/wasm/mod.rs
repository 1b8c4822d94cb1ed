//! The wasm-bindgen boundary: converts, decides nothing. One wasm instance holds one [`Core`], one `Core` one database.
//!
//! Statements are synchronous and exchange flat buffers ([`statements`]); everything that waits exchanges plain objects
//! ([`operations`]). The TypeScript side of this is `pkg-js/src/engine/core.ts`.

mod callbacks;
mod cancels;
mod convert;
mod encryption;
mod files;
mod functions;
mod operations;
mod options;
mod panics;
mod plain;
mod promise;
mod schema;
mod statements;
mod sync;
mod tabs;
mod upkeep;

use std::{cell::RefCell, rc::Rc};

use futures_util::future::{Either, select};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::{
    browser::{self, Host, NodeFiles},
    engine::Database,
    ports::{LocalFuture, Ports},
};
use callbacks::HostCallbacks;
use cancels::Cancels;
use convert::Thrown;
use statements::Buffers;

/// One database, as TypeScript holds it.
#[wasm_bindgen]
pub struct Core {
    database: Database,
    buffers: RefCell<Buffers>,
    cancels: Rc<Cancels>,
}

#[wasm_bindgen]
impl Core {
    /// Takes the database's lock and reads what is stored; [`Core::start`] follows. `options` is the plain object
    /// `CoreOptions`; rejects with a `CoreError`, and gives up when the host's signal aborts.
    pub async fn open(options: JsValue, host: Host) -> Result<Core, JsValue> {
        let ports = browser::ports(&host);
        Self::open_over(ports, options, host).await
    }

    /// The same over the files of a folder. An export of its own: no page needs the code behind it.
    #[wasm_bindgen(js_name = openFolder)]
    pub async fn open_folder(options: JsValue, host: Host, files: NodeFiles) -> Result<Core, JsValue> {
        let ports = browser::folder_ports(&host, files);
        Self::open_over(ports, options, host).await
    }

    /// Takes the turn if it is free and nobody waits, else 0.
    pub fn enter(&self) -> u32 {
        self.database.turn().enter().unwrap_or(0)
    }

    /// Every commit is to be told as an event from now on.
    #[wasm_bindgen(js_name = tellChanges)]
    pub fn tell_changes(&self) {
        self.database.tell_changes(true);
    }

    /// Takes the turn or a place in line.
    pub fn queue(&self) -> u32 {
        self.database.turn().queue()
    }

    /// Gives up the turn, or the place in line.
    pub fn leave(&self, ticket: u32) {
        self.database.turn().leave(ticket);
    }
}

impl Core {
    /// Boxed: both openings share one body of code.
    fn open_over(ports: Ports, options: JsValue, host: Host) -> LocalFuture<'static, Result<Core, JsValue>> {
        Box::pin(async move {
            let options = options::read(&options).thrown()?;
            let callbacks = Rc::new(HostCallbacks { host: host.clone() });
            let signal = host.signal();
            let opening = Box::pin(async move {
                let ports = encryption::sealed(ports, &host).await?;
                Database::acquire(options, ports, callbacks).await
            });
            let database = match select(opening, Box::pin(browser::aborted(signal))).await {
                Either::Left((opened, _)) => opened.thrown()?,
                Either::Right((reason, _)) => return Err(reason),
            };
            // Until somebody listens.
            database.tell_changes(false);
            Ok(Core { database, buffers: RefCell::default(), cancels: Rc::default() })
        })
    }
}

/// Awaits a promise that JavaScript handed in; a rejection is the thrown value.
async fn settled(promise: Result<js_sys::Promise, JsValue>) -> Result<JsValue, JsValue> {
    JsFuture::from(promise?).await
}

//! Encrypted databases: opened by a function of their own, so that others don't load what it takes.

use std::rc::Rc;

use js_sys::{Promise, Reflect};
use wasm_bindgen::prelude::*;

use super::{Core, convert::Thrown, promise::done};
use crate::{
    browser::{self, BrowserEntropy, Host, WebCrypto, user_key},
    error::Result,
    store::sealed::{SealedStores, Secret, Vault},
};

/// What `{ passphrase }` or `{ key }` stands for. TypeScript has checked that it is one of them.
fn vault(encryption: &JsValue) -> Result<Vault> {
    let part = |name: &str| Reflect::get(encryption, &name.into()).unwrap_or_default();
    let secret = match part("passphrase").as_string() {
        Some(words) => Secret::Passphrase(words),
        None => Secret::Key(user_key(&part("key"))?),
    };
    Ok(Vault { secret, crypto: Rc::new(WebCrypto), entropy: Rc::new(BrowserEntropy) })
}

#[wasm_bindgen]
impl Core {
    /// [`Core::open`] for an encrypted database, or one that is to be made so: `{ passphrase }` or `{ key }`.
    #[wasm_bindgen(js_name = openEncrypted)]
    pub async fn open_encrypted(options: JsValue, encryption: JsValue, host: Host) -> Result<Core, JsValue> {
        let vault = vault(&encryption).thrown()?;
        let mut ports = browser::ports(&host);
        ports.stores = Rc::new(SealedStores { stores: ports.stores, vault });
        Core::open_over(options, host, ports).await
    }

    /// Encrypts with another secret from now on; null makes the database plain.
    pub fn rekey(&self, encryption: &JsValue) -> Promise {
        let database = self.database.clone();
        let vault = (!encryption.is_null()).then(|| vault(encryption)).transpose();
        done(async move { database.rekey(vault?).await })
    }
}

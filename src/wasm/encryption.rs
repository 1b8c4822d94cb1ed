//! Encrypted databases: a part of the wasm that only they load.

use std::rc::Rc;

use js_sys::{Promise, Reflect};
use wasm_bindgen::prelude::*;

use super::{handle::Core, promise::done};
use crate::{
    browser::{BrowserEntropy, Host, WebCrypto, user_key},
    error::Result,
    ports::{Part, Ports},
    store::sealed::{SealedStores, Secret, Vault},
};

/// Returns the ports with encrypted stores, if the host has the option `encryption`. Fails with `invalid_argument` for
/// a key that can't encrypt keys, and `wasm_load_failed`.
pub(super) async fn sealed(mut ports: Ports, host: &Host) -> Result<Ports> {
    let encryption = host.encryption();
    if !encryption.is_undefined() {
        ports.platform.parts.load(Part::Encryption).await?;
        seal(&mut ports, &encryption)?;
    }
    Ok(ports)
}

/// Makes the stores encrypted. The part's entry: opening reaches its code only through this function.
#[inline(never)]
fn seal(ports: &mut Ports, encryption: &JsValue) -> Result<()> {
    ports.stores = Rc::new(SealedStores { stores: ports.stores.clone(), vault: vault(encryption)? });
    Ok(())
}

/// Reads `{ passphrase }` or `{ key }`. TypeScript has checked that it is one of them.
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
    /// Encrypts with another secret from now on, `{ passphrase }` or `{ key }`; null makes the database plain. `cancel` is an
    /// id of `newCancel`, or 0: it cancels the call while it waits.
    pub fn rekey(&self, encryption: &JsValue, cancel: u32) -> Promise {
        let (database, cancels) = (self.database.clone(), self.cancels.clone());
        let vault = (!encryption.is_null()).then(|| vault(encryption)).transpose();
        done(async move {
            let vault = vault?;
            let quiet = cancels.watch(cancel, database.quiet()).await?;
            database.rekey_quiet(quiet, vault).await
        })
    }

    /// Replaces the data key, and encrypts everything with the new one. `cancel` is an id of `newCancel`, or 0: cancelled,
    /// the next call or opening continues.
    #[wasm_bindgen(js_name = rotateKey)]
    pub fn rotate_key(&self, cancel: u32) -> Promise {
        let database = self.database.limited(None, self.cancels.of(cancel));
        done(async move {
            database.begin_rotation().await?;
            let copied = database.limits().until_commit(database.copy_ahead()).await;
            database.end_rotation(copied).await
        })
    }
}

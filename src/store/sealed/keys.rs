//! Keys: from the user's secret to the data key, and from that to the keys of single purposes.

use std::{cell::Cell, rc::Rc};

use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

use super::super::failure::{corrupt, refused};
use crate::{
    error::Result,
    format::{LayoutWriter, Reader},
    ports::{AeadInput, Cipher, Crypto, DataKey, Entropy, NONCE_BYTES},
};

/// OWASP's recommendation for PBKDF2 with HMAC-SHA256.
const ITERATIONS: u32 = 600_000;
/// The limit of iterations from a file: more only serve to block the page, and fewer than [`ITERATIONS`] protect
/// nothing.
const MOST_ITERATIONS: u32 = 5_000_000;
const SALT_BYTES: usize = 16;
const PASSPHRASE: &str = "pbkdf2-sha256";
const KEY: &str = "key";

/// The user's secret that encrypts a database.
#[derive(Clone)]
pub enum Secret {
    /// A passphrase.
    Passphrase(String),
    /// The user's own key, which encrypts only the data key.
    Key(Rc<dyn Cipher>),
}

/// A data key in its stored form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WrappedKey {
    /// The method that wrapped it: `pbkdf2-sha256` (a passphrase) or `key` (the user's own key).
    method: String,
    /// The iterations of PBKDF2; 0 for a key.
    iterations: u32,
    /// The salt of PBKDF2; empty for a key.
    salt: Vec<u8>,
    /// A nonce, and the data key encrypted with it.
    pub(super) wrapped: Vec<u8>,
}

impl WrappedKey {
    /// Returns another key, wrapped in the same way.
    pub(super) fn with(&self, wrapped: Vec<u8>) -> Self {
        Self { method: self.method.clone(), iterations: self.iterations, salt: self.salt.clone(), wrapped }
    }

    pub(super) fn write(&self, writer: &mut LayoutWriter) {
        writer.text(&self.method);
        writer.u32(self.iterations);
        writer.bytes(&self.salt);
        writer.bytes(&self.wrapped);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Self> {
        Some(Self {
            method: reader.text()?,
            iterations: reader.u32()?,
            salt: reader.bytes()?.to_vec(),
            wrapped: reader.bytes()?.to_vec(),
        })
    }

    /// Returns the additional data for wrapping: the method and its parameters, which so can't be changed.
    fn associated(&self) -> Vec<u8> {
        let mut writer = LayoutWriter::default();
        writer.text("tidelock 1 data key");
        self.with(Vec::new()).write(&mut writer);
        writer.0
    }
}

/// A secret with the services to use it. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    /// The secret.
    pub secret: Secret,
    /// The platform's cryptography.
    pub crypto: Rc<dyn Crypto>,
    /// The platform's randomness.
    pub entropy: Rc<dyn Entropy>,
}

impl Vault {
    /// Prepares the secret to wrap the keys of one database. Fails with `unsupported_environment` without cryptography.
    pub(super) async fn wrapper(&self) -> Result<KeyWrapper> {
        let form = match self.secret {
            Secret::Passphrase(_) => {
                let mut salt = [0; SALT_BYTES];
                self.entropy.fill(&mut salt);
                let method = PASSPHRASE.to_owned();
                WrappedKey { method, iterations: ITERATIONS, salt: salt.to_vec(), wrapped: Vec::new() }
            }
            Secret::Key(_) => WrappedKey { method: KEY.to_owned(), ..WrappedKey::default() },
        };
        let cipher = self.cipher(&form).await?;
        Ok(KeyWrapper { form, cipher, entropy: self.entropy.clone() })
    }

    /// Prepares the secret to unwrap the keys of a database. Fails with `decryption_failed` when a secret of another kind
    /// wrapped them.
    pub(super) async fn wrapper_of(&self, wrapped: &WrappedKey) -> Result<KeyWrapper> {
        let expected = match self.secret {
            Secret::Passphrase(_) => PASSPHRASE,
            Secret::Key(_) => KEY,
        };
        if wrapped.method != expected {
            return Err(refused(match wrapped.method.as_str() {
                PASSPHRASE => "The database was encrypted with a passphrase, not with a key",
                KEY => "The database was encrypted with a key, not with a passphrase",
                _ => "The database was encrypted by a method that this version doesn't support",
            }));
        }
        if wrapped.wrapped.len() < NONCE_BYTES {
            return Err(corrupt("The head record of the database is damaged"));
        }
        if expected == PASSPHRASE && !(ITERATIONS..=MOST_ITERATIONS).contains(&wrapped.iterations) {
            return Err(refused("The database's number of PBKDF2 iterations is out of range"));
        }
        let form = wrapped.with(Vec::new());
        let cipher = self.cipher(&form).await?;
        Ok(KeyWrapper { form, cipher, entropy: self.entropy.clone() })
    }

    async fn cipher(&self, form: &WrappedKey) -> Result<Rc<dyn Cipher>> {
        match &self.secret {
            Secret::Passphrase(words) => {
                let key = self.crypto.pbkdf2(words, &form.salt, form.iterations).await?;
                self.crypto.cipher(&key).await
            }
            Secret::Key(key) => Ok(key.clone()),
        }
    }
}

/// What wraps the data keys of one database: prepared from the secret once, which is slow. Cheap to clone.
#[derive(Clone)]
pub(super) struct KeyWrapper {
    /// A wrapped key without its bytes.
    form: WrappedKey,
    cipher: Rc<dyn Cipher>,
    entropy: Rc<dyn Entropy>,
}

impl KeyWrapper {
    /// Creates a random data key, and wraps it. Fails as [`wrap`](Self::wrap) does.
    pub async fn new_key(&self) -> Result<StoredKey> {
        let mut key = DataKey::default();
        self.entropy.fill(&mut key[..]);
        self.wrap(key).await
    }

    /// Encrypts a data key. Fails with `invalid_argument` when the user's key refuses.
    pub async fn wrap(&self, key: DataKey) -> Result<StoredKey> {
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let piece = AeadInput { nonce, associated: self.form.associated(), bytes: key.to_vec() };
        let sealed = self.cipher.seal(vec![piece]).await?;
        let wrapped = self.form.with([&nonce[..], &sealed.concat()].concat());
        Ok(StoredKey { key, wrapped, encryptions: Rc::default() })
    }

    /// Decrypts a data key. Fails with `decryption_failed` when another secret encrypted it.
    pub async fn unwrap(&self, wrapped: WrappedKey) -> Result<StoredKey> {
        let other = || {
            refused("The passphrase or key is not the one that the database was encrypted with").hint(
                "Nothing was changed; open it with the right `encryption`: an older copy of the files needs that from before a rekey",
            )
        };
        let (nonce, sealed) = wrapped.wrapped.split_first_chunk::<NONCE_BYTES>().ok_or_else(other)?;
        let piece = AeadInput { nonce: *nonce, associated: wrapped.associated(), bytes: sealed.to_vec() };
        let opened = self.cipher.open(vec![piece]).await?.into_iter().next().flatten().map(Zeroizing::new);
        let mut key = DataKey::default();
        match opened {
            Some(opened) if opened.len() == key.len() => key.copy_from_slice(&opened),
            _ => return Err(other()),
        }
        Ok(StoredKey { key, wrapped, encryptions: Rc::default() })
    }
}

/// A data key, and its stored form.
#[derive(Clone)]
pub(super) struct StoredKey {
    pub key: DataKey,
    pub wrapped: WrappedKey,
    /// How often it encrypted something.
    pub encryptions: Rc<Cell<u64>>,
}

/// Derives the key of one purpose from the data key.
pub(super) fn derived(data_key: &DataKey, purpose: &str) -> DataKey {
    Zeroizing::new(Hmac::new(&data_key[..]).of(purpose.as_bytes()))
}

/// HMAC-SHA256 (RFC 2104).
#[derive(Clone)]
pub(super) struct Hmac {
    inner: Sha256,
    outer: Sha256,
}

impl Hmac {
    pub fn new(key: &[u8]) -> Self {
        let short = (key.len() > 64).then(|| Sha256::digest(key));
        let key = short.as_deref().unwrap_or(key);
        let padded = |pad: u8| {
            let mut block = [pad; 64];
            block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
            let state = Sha256::new().chain_update(block);
            block.zeroize();
            state
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    pub fn of(&self, bytes: &[u8]) -> [u8; 32] {
        let inner = self.inner.clone().chain_update(bytes).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Hmac;
    use crate::value::hex;

    #[test]
    fn hmac_is_hmac_sha_256() {
        // RFC 4231, test cases 1 and 6.
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex(&Hmac::new(&[0x0b; 20]).of(b"Hi There")), expected);
        let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hex(&Hmac::new(&[0xaa; 131]).of(text)), expected);
    }
}

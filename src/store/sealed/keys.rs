//! Keys: from what the user gives to the data key, and from that to the keys of single purposes.

use std::rc::Rc;

use sha2::{Digest, Sha256};

use super::super::{
    chunk::hex,
    failure::{corrupt, refused},
    layout::Writer,
};
use crate::{
    error::Result,
    ports::{Cipher, Crypto, DataKey, Encryption, Entropy, Head, NONCE_BYTES, Piece},
};

/// What OWASP asks for of PBKDF2 with HMAC-SHA256.
const ITERATIONS: u32 = 600_000;
/// Fewer rounds than that protect nothing, and more than these are made to keep the page busy.
const MOST_ITERATIONS: u32 = 5_000_000;
const SALT_BYTES: usize = 16;
const PASSPHRASE: &str = "pbkdf2-sha256";
const KEY: &str = "key";

/// What a user encrypts a database with.
#[derive(Clone)]
pub enum Secret {
    /// A passphrase.
    Passphrase(String),
    /// A key of the user's own, which encrypts the data key only.
    Key(Rc<dyn Cipher>),
}

/// A secret with what it takes to use it. Cheap to clone.
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
    /// A new data key.
    pub(in super::super) fn new_key(&self) -> DataKey {
        let mut key = [0; 32];
        self.entropy.fill(&mut key);
        key
    }

    /// Encrypts a data key with the secret. `mac` is still empty: it covers a whole head.
    ///
    /// Fails with `invalid_argument` when the user's key refuses, `unsupported_environment` without cryptography.
    pub(in super::super) async fn wrap(&self, data_key: &DataKey) -> Result<Encryption> {
        let mut salt = [0; SALT_BYTES];
        self.entropy.fill(&mut salt);
        let mut nonce = [0; NONCE_BYTES];
        self.entropy.fill(&mut nonce);
        let (method, iterations, salt) = match self.secret {
            Secret::Passphrase(_) => (PASSPHRASE, ITERATIONS, &salt[..]),
            Secret::Key(_) => (KEY, 0, &[][..]),
        };
        let mut encryption = Encryption {
            method: method.to_owned(),
            iterations,
            salt: hex(salt),
            wrapped: String::new(),
            mac: String::new(),
        };
        let piece = Piece { nonce, associated: associated(&encryption), bytes: data_key.to_vec() };
        let sealed = self.wrapping(salt, iterations).await?.seal(vec![piece]).await?;
        encryption.wrapped = hex(&nonce) + &hex(&sealed.concat());
        Ok(encryption)
    }

    /// The data key. Fails with `decryption_failed` when another secret encrypted it.
    pub(super) async fn unwrap(&self, encryption: &Encryption) -> Result<DataKey> {
        let expected = match self.secret {
            Secret::Passphrase(_) => PASSPHRASE,
            Secret::Key(_) => KEY,
        };
        if encryption.method != expected {
            return Err(refused(match encryption.method.as_str() {
                PASSPHRASE => "The database was encrypted with a passphrase, not with a key",
                KEY => "The database was encrypted with a key, not with a passphrase",
                _ => "The database was encrypted in a way that this version doesn't know",
            }));
        }
        let damaged = || corrupt("The head record of the database is damaged");
        let salt = unhex(&encryption.salt).ok_or_else(damaged)?;
        let wrapped = unhex(&encryption.wrapped).ok_or_else(damaged)?;
        let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_BYTES>().ok_or_else(damaged)?;
        if expected == PASSPHRASE && !(ITERATIONS..=MOST_ITERATIONS).contains(&encryption.iterations) {
            return Err(refused("The database asks for more or fewer rounds of PBKDF2 than are taken"));
        }
        let piece = Piece { nonce: *nonce, associated: associated(encryption), bytes: sealed.to_vec() };
        let opened = self.wrapping(&salt, encryption.iterations).await?.open(vec![piece]).await;
        let key = opened.into_iter().next().flatten().and_then(|key| key.try_into().ok());
        key.ok_or_else(|| refused("The passphrase or key is not the one that the database was encrypted with"))
    }

    async fn wrapping(&self, salt: &[u8], iterations: u32) -> Result<Rc<dyn Cipher>> {
        match &self.secret {
            Secret::Passphrase(words) => {
                let key = self.crypto.pbkdf2(words, salt, iterations).await?;
                self.crypto.cipher(&key).await
            }
            Secret::Key(key) => Ok(key.clone()),
        }
    }
}

/// How a data key was wrapped is part of what unwraps it.
fn associated(encryption: &Encryption) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.text("tidelock 1 data key");
    writer.text(&encryption.method);
    writer.u32(encryption.iterations);
    writer.text(&encryption.salt);
    writer.0
}

/// What authenticates a head: all of it but what changes while the database is open without being read at the next
/// opening (`generation`, `truncated`).
pub(super) fn mac_of(key: &Hmac, head: &Head, encryption: &Encryption) -> String {
    let mut writer = Writer::default();
    writer.u32(head.format);
    writer.u64(head.features.len() as u64);
    head.features.iter().for_each(|feature| writer.text(feature));
    writer.text(&head.database_id);
    writer.u64(head.epoch);
    writer.text(&head.holder.id);
    writer.text(&head.holder.title);
    writer.text(&head.holder.url);
    writer.time(head.holder.since);
    writer.u64(head.lsn);
    writer.u64(head.epochs.len() as u64);
    head.epochs.iter().for_each(|lsn| writer.u64(*lsn));
    writer.0.extend_from_slice(&associated(encryption));
    writer.text(&encryption.wrapped);
    hex(&key.of(&writer.0))
}

/// The key of one purpose, made of the data key.
pub(super) fn derived(data_key: &DataKey, purpose: &str) -> DataKey {
    Hmac::new(data_key).of(purpose.as_bytes())
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
            Sha256::new().chain_update(block)
        };
        Self { inner: padded(0x36), outer: padded(0x5c) }
    }

    pub fn of(&self, bytes: &[u8]) -> [u8; 32] {
        let inner = self.inner.clone().chain_update(bytes).finalize();
        self.outer.clone().chain_update(inner).finalize().into()
    }
}

/// The bytes of lowercase hex digits; `None` for anything else.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::{Hmac, hex, unhex};

    #[test]
    fn hmac_is_hmac_sha_256() {
        // RFC 4231, test cases 1 and 6.
        let expected = "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7";
        assert_eq!(hex(&Hmac::new(&[0x0b; 20]).of(b"Hi There")), expected);
        let expected = "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54";
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        assert_eq!(hex(&Hmac::new(&[0xaa; 131]).of(text)), expected);
    }

    #[test]
    fn hex_digits_come_back_as_bytes() {
        assert_eq!(unhex("00ff1a"), Some(vec![0, 255, 26]));
        for text in ["0", "0g", "é"] {
            assert_eq!(unhex(text), None);
        }
    }
}

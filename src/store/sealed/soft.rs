//! Cryptography in plain Rust: where no platform provides it, and where a call has to return at once.

use std::{future::ready, rc::Rc};

use tidelock_gcm::{KEY_BYTES, Key, TAG_BYTES};

use super::keys::Hmac;
use crate::{
    error::Result,
    ports::{AeadInput, Cipher, Crypto, DataKey, LocalFuture},
};

/// [`Crypto`] without a platform.
pub struct SoftCrypto;

impl Crypto for SoftCrypto {
    fn pbkdf2(&self, passphrase: &str, salt: &[u8], iterations: u32) -> LocalFuture<'static, Result<DataKey>> {
        let hmac = Hmac::new(passphrase.as_bytes());
        let mut step = hmac.of(&[salt, &1_u32.to_be_bytes()].concat());
        let mut key = DataKey::new(step);
        for _ in 1..iterations {
            step = hmac.of(&step);
            key.iter_mut().zip(step).for_each(|(key, step)| *key ^= step);
        }
        Box::pin(ready(Ok(key)))
    }

    fn cipher(&self, key: &DataKey) -> LocalFuture<'static, Result<Rc<dyn Cipher>>> {
        Box::pin(ready(Ok(Rc::new(SoftCipher::new(key)) as Rc<dyn Cipher>)))
    }
}

/// [`Cipher`] without a platform; also a user's own key.
pub struct SoftCipher(Key);

impl SoftCipher {
    /// Creates an AES-256-GCM cipher with that key.
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Key::new(key))
    }
}

impl Cipher for SoftCipher {
    fn seal(&self, pieces: Vec<AeadInput>) -> LocalFuture<'static, Result<Vec<Vec<u8>>>> {
        let seal = |mut piece: AeadInput| {
            let tag = self.0.seal(&piece.nonce, &piece.associated, &mut piece.bytes);
            piece.bytes.extend_from_slice(&tag);
            piece.bytes
        };
        Box::pin(ready(Ok(pieces.into_iter().map(seal).collect())))
    }

    fn open(&self, pieces: Vec<AeadInput>) -> LocalFuture<'static, Result<Vec<Option<Vec<u8>>>>> {
        let open = |mut piece: AeadInput| {
            let (_, tag) = piece.bytes.split_last_chunk::<TAG_BYTES>()?;
            let tag = *tag;
            piece.bytes.truncate(piece.bytes.len() - TAG_BYTES);
            self.0.open(&piece.nonce, &piece.associated, &mut piece.bytes, &tag).then_some(piece.bytes)
        };
        Box::pin(ready(Ok(pieces.into_iter().map(open).collect())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ports::sim::Sim, value::hex};

    #[test]
    fn pbkdf2_is_that_of_the_standard() {
        // RFC 7914, section 11, the first half of each.
        for (words, salt, iterations, expected) in [
            ("passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
            ("Password", "NaCl", 80_000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
        ] {
            let derived = SoftCrypto.pbkdf2(words, salt.as_bytes(), iterations);
            assert_eq!(hex(&Sim::new(1).run(derived).unwrap()[..]), expected);
        }
    }
}

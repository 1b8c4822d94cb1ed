//! Cryptography in plain Rust: where no platform does it, as in native tests.

use std::{future::ready, rc::Rc};

use aes_gcm::{
    Aes256Gcm,
    aead::{Aead, KeyInit, Payload},
};

use super::keys::Hmac;
use crate::{
    error::{Error, Result},
    ports::{Cipher, Crypto, DataKey, LocalFuture, Piece},
};

/// [`Crypto`] without a platform.
pub struct SoftCrypto;

impl Crypto for SoftCrypto {
    fn pbkdf2(&self, passphrase: &str, salt: &[u8], iterations: u32) -> LocalFuture<'static, Result<DataKey>> {
        let hmac = Hmac::new(passphrase.as_bytes());
        let mut step = hmac.of(&[salt, &1_u32.to_be_bytes()].concat());
        let mut key = step;
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
pub struct SoftCipher(Aes256Gcm);

impl SoftCipher {
    /// AES-256-GCM under that key.
    pub fn new(key: &DataKey) -> Self {
        Self(Aes256Gcm::new(&(*key).into()))
    }
}

fn payload(piece: &Piece) -> Payload<'_, '_> {
    Payload { msg: &piece.bytes, aad: &piece.associated }
}

impl Cipher for SoftCipher {
    fn seal(&self, pieces: Vec<Piece>) -> LocalFuture<'static, Result<Vec<Vec<u8>>>> {
        let refused = |_| Error::invalid("too much to encrypt");
        let seal = |piece: &Piece| self.0.encrypt(&piece.nonce.into(), payload(piece)).map_err(refused);
        Box::pin(ready(pieces.iter().map(seal).collect()))
    }

    fn open(&self, pieces: Vec<Piece>) -> LocalFuture<'static, Vec<Option<Vec<u8>>>> {
        let open = |piece: &Piece| self.0.decrypt(&piece.nonce.into(), payload(piece)).ok();
        Box::pin(ready(pieces.iter().map(open).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ports::sim::Sim, store::chunk::hex};

    #[test]
    fn pbkdf2_is_that_of_the_standard() {
        // RFC 7914, section 11, the first half of each.
        for (words, salt, iterations, expected) in [
            ("passwd", "salt", 1, "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"),
            ("Password", "NaCl", 80_000, "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"),
        ] {
            let derived = SoftCrypto.pbkdf2(words, salt.as_bytes(), iterations);
            assert_eq!(hex(&Sim::new(1).run(derived).unwrap()), expected);
        }
    }
}

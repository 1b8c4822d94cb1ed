//! Encryption at rest.

use std::{fmt, rc::Rc};

use super::platform;
use crate::{
    ports::Ports,
    store::sealed::{SealedStores, Secret, SoftCipher, Vault},
};

/// What encrypts a database at rest: a passphrase, or a key of 32 bytes.
///
/// The data is encrypted by AES-256-GCM under a random key, which this secret wraps. Nothing can be read without it.
///
/// ```
/// use tidelock::{Encryption, OpenOptions};
///
/// let options = OpenOptions::new("diary").encryption(Encryption::passphrase("correct horse battery staple"));
/// # let _ = options;
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Encryption(EncryptionSecret);

#[derive(Clone, PartialEq, Eq)]
enum EncryptionSecret {
    Passphrase(String),
    Key([u8; 32]),
}

impl Encryption {
    /// Encrypts with a passphrase, by PBKDF2 with HMAC-SHA-256. An empty one is `invalid_argument` when it is used.
    ///
    /// Each opening derives the key in 600,000 rounds. That takes seconds in a program that isn't optimised, unless its
    /// Cargo.toml has `[profile.dev.package.sha2]` with `opt-level = 3`.
    pub fn passphrase(passphrase: impl Into<String>) -> Self {
        Self(EncryptionSecret::Passphrase(passphrase.into()))
    }

    /// Encrypts with an AES-256 key, as an AES-GCM `CryptoKey` of these bytes does in the npm package.
    pub fn key(key: [u8; 32]) -> Self {
        Self(EncryptionSecret::Key(key))
    }

    /// Returns whether it is a passphrase without characters.
    pub(super) fn is_empty(&self) -> bool {
        matches!(&self.0, EncryptionSecret::Passphrase(passphrase) if passphrase.is_empty())
    }

    /// Returns it as the engine uses it.
    pub(super) fn vault(&self) -> Vault {
        let secret = match &self.0 {
            EncryptionSecret::Passphrase(passphrase) => Secret::Passphrase(passphrase.clone()),
            EncryptionSecret::Key(key) => Secret::Key(Rc::new(SoftCipher::new(key))),
        };
        let (crypto, entropy) = platform::crypto();
        Vault { secret, crypto, entropy }
    }

    /// Makes the stores encrypted.
    pub(super) fn seal(&self, ports: &mut Ports) {
        ports.stores = Rc::new(SealedStores { stores: ports.stores.clone(), vault: self.vault() });
    }
}

impl fmt::Debug for Encryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encryption(..)")
    }
}

//! Encryption at rest, as a [`Store`](crate::ports::Store) over another one: it encrypts bytes and replaces chunk ids.
//! The store below sees nothing readable but the head, keys and sizes.
//!
//! All data is encrypted by AES-256-GCM with random nonces and a random data key, which a passphrase or the user's own
//! key wraps ([`Secret`]). The key that bytes are stored under is their additional data, so that they don't decrypt in
//! another place. Chunks are stored under HMACs of their ids. The head carries a MAC.

mod head;
mod keys;
mod soft;
mod store;

pub(super) use head::head_within;
pub use keys::{Secret, Vault};
pub use soft::{SoftCipher, SoftCrypto};
pub use store::{SealedStore, SealedStores};

/// The feature of a head that means encryption.
pub const ENCRYPTION: &str = "encryption";

/// The feature of the head of an encrypted database that has a next data key.
pub const ROTATION: &str = "rotation";

/// Returns whether a feature of a head belongs to the encryption, which any other reader of the head leaves alone.
pub fn is_of_encryption(feature: &str) -> bool {
    feature == ENCRYPTION || feature == ROTATION
}

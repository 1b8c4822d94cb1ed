//! Encryption at rest: a transform of bytes and the key that they are stored under, as a [`Store`](crate::ports::Store) over
//! another one, to which it gives nothing readable but the head, keys and sizes.
//!
//! Everything is AES-256-GCM with random nonces under a random data key, which a passphrase or a key of the user's wraps
//! ([`Secret`]). What bytes are stored under is associated with them, so that others in their place don't decrypt.
//! Chunks are stored under HMACs of their ids. The head carries a MAC.

mod head;
mod keys;
#[cfg(not(target_arch = "wasm32"))]
mod soft;
mod store;

pub use keys::{Secret, Vault};
#[cfg(not(target_arch = "wasm32"))]
pub use soft::{SoftCipher, SoftCrypto};
pub use store::{SealedStore, SealedStores};

/// The name of encryption among the features of a head.
pub const ENCRYPTION: &str = "encryption";

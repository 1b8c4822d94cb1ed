//! Encryption at rest: a [`Store`](crate::ports::Store) over another one, to which it gives nothing readable but the head,
//! keys, sizes, and which records of the log are epoch records.
//!
//! Everything is AES-256-GCM with random nonces under a random data key, which a passphrase or a key of the user's wraps
//! ([`Secret`]). What a record is stored under is associated with it, so that one in the place of another doesn't decrypt.
//! Chunks are stored under HMACs of their ids. The head carries a MAC.

mod keys;
mod records;
#[cfg(not(target_arch = "wasm32"))]
mod soft;
mod store;

pub use keys::{Secret, Vault};
#[cfg(not(target_arch = "wasm32"))]
pub use soft::{SoftCipher, SoftCrypto};
pub use store::{SealedStore, SealedStores};

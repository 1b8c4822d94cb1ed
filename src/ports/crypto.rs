//! The cryptography that a platform runs off the calling thread: for large inputs, slow functions and the user's own
//! key.

use std::rc::Rc;

use zeroize::Zeroizing;

use super::LocalFuture;
use crate::error::Result;

/// An AES-256 key, whose bytes are overwritten when it is dropped.
pub type DataKey = Zeroizing<[u8; 32]>;

/// The size of an AES-GCM nonce in bytes.
pub const NONCE_BYTES: usize = 12;

/// Bytes to encrypt or to decrypt.
#[derive(Clone, Debug)]
pub struct AeadInput {
    /// The nonce: never used twice with one key.
    pub nonce: [u8; NONCE_BYTES],
    /// The additional authenticated data: decryption needs the same.
    pub associated: Vec<u8>,
    /// The plaintext, or the ciphertext followed by the tag (16 bytes).
    pub bytes: Vec<u8>,
}

/// Makes keys and ciphers.
pub trait Crypto {
    /// Derives a key by PBKDF2 with HMAC-SHA256. Fails with `unsupported_environment` where the platform has no
    /// cryptography.
    fn pbkdf2(&self, passphrase: &str, salt: &[u8], iterations: u32) -> LocalFuture<'static, Result<DataKey>>;

    /// Creates an AES-256-GCM cipher with a key. Fails with `unsupported_environment` where the platform has no
    /// cryptography.
    fn cipher(&self, key: &DataKey) -> LocalFuture<'static, Result<Rc<dyn Cipher>>>;
}

/// Authenticated encryption with a key that may be unreadable.
pub trait Cipher {
    /// Encrypts pieces; each result is as long as its piece plus the tag. Fails with `invalid_argument` when the key
    /// refuses, and `out_of_memory`.
    fn seal(&self, pieces: Vec<AeadInput>) -> LocalFuture<'static, Result<Vec<Vec<u8>>>>;

    /// Decrypts pieces; `None` for each one that was not encrypted with this key, nonce and additional data.
    /// Fails with `out_of_memory`.
    fn open(&self, pieces: Vec<AeadInput>) -> LocalFuture<'static, Result<Vec<Option<Vec<u8>>>>>;
}

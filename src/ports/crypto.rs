//! The cryptography that a platform does beside the thread that asks: for what is large, slow, or the user's own key.

use std::rc::Rc;

use super::LocalFuture;
use crate::error::Result;

/// A key of AES-256.
pub type DataKey = [u8; 32];

/// The bytes of a nonce of AES-GCM.
pub const NONCE_BYTES: usize = 12;

/// Bytes to encrypt or to decrypt.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Never used twice with one key.
    pub nonce: [u8; NONCE_BYTES],
    /// What must be the same at decryption.
    pub associated: Vec<u8>,
    /// Plain ones, or encrypted ones with the tag (16 bytes) behind them.
    pub bytes: Vec<u8>,
}

/// Makes keys and what encrypts with them.
pub trait Crypto {
    /// PBKDF2 with HMAC-SHA256. Fails with `unsupported_environment` where the platform has no cryptography.
    fn pbkdf2(&self, passphrase: &str, salt: &[u8], iterations: u32) -> LocalFuture<'static, Result<DataKey>>;

    /// AES-256-GCM under a key. Fails with `unsupported_environment` where the platform has no cryptography.
    fn cipher(&self, key: &DataKey) -> LocalFuture<'static, Result<Rc<dyn Cipher>>>;
}

/// Authenticated encryption under a key that may never be seen.
pub trait Cipher {
    /// Encrypts pieces; each answer is as long as its piece and the tag. Fails when the key refuses, with `invalid_argument`.
    fn seal(&self, pieces: Vec<Piece>) -> LocalFuture<'static, Result<Vec<Vec<u8>>>>;

    /// Decrypts pieces; `None` for each one that this key did not make, or not with that nonce and associated data.
    fn open(&self, pieces: Vec<Piece>) -> LocalFuture<'static, Vec<Option<Vec<u8>>>>;
}

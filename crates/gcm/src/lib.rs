//! AES-256-GCM in place.
//!
//! A crate of its own, because generic code is compiled the way of the crate that uses it: tidelock is compiled for size,
//! and there the same cipher has a fifth of the speed.

use aes_gcm::{
    Aes256Gcm,
    aead::{AeadInOut, KeyInit},
};

/// The bytes of a key.
pub const KEY_BYTES: usize = 32;
/// The bytes of a nonce.
pub const NONCE_BYTES: usize = 12;
/// The bytes of a tag.
pub const TAG_BYTES: usize = 16;

/// A key, ready for use.
pub struct Key(Aes256Gcm);

impl Key {
    /// Makes a key ready.
    #[inline(never)]
    pub fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Aes256Gcm::new(&(*key).into()))
    }

    /// Encrypts in place and gives the tag. A nonce must never be used twice.
    ///
    /// # Panics
    /// For 64 GB or more.
    #[inline(never)]
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], associated: &[u8], bytes: &mut [u8]) -> [u8; TAG_BYTES] {
        let sealed = self.0.encrypt_inout_detached(&(*nonce).into(), associated, bytes.into());
        sealed.expect("64 GB are too much for one nonce").into()
    }

    /// Decrypts in place; `false`, and the bytes stay as they are, when anything differs from what was sealed.
    #[inline(never)]
    pub fn open(&self, nonce: &[u8; NONCE_BYTES], associated: &[u8], bytes: &mut [u8], tag: &[u8; TAG_BYTES]) -> bool {
        self.0.decrypt_inout_detached(&(*nonce).into(), associated, bytes.into(), &(*tag).into()).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::Key;

    #[test]
    fn it_is_aes_256_gcm() {
        // Test case 14 of the proposal of McGrew and Viega: one block of zeros under zeros.
        let (key, nonce) = (Key::new(&[0; 32]), [0; 12]);
        let mut bytes = [0; 16];
        let tag = key.seal(&nonce, &[], &mut bytes);
        assert_eq!(u128::from_be_bytes(bytes), 0xcea7403d4d606b6e074ec5d3baf39d18);
        assert_eq!(u128::from_be_bytes(tag), 0xd0d1c8a799996bf0265b98b5d48ab919);
        assert!(!key.open(&nonce, b"other", &mut bytes, &tag));
        assert!(key.open(&nonce, &[], &mut bytes, &tag));
        assert_eq!(bytes, [0; 16]);
    }
}

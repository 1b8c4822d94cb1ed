//! The format of the values that `encrypt` produces and `decrypt` reads; docs/encryption.md describes it for other programs.
//!
//! ```text
//!  0  version     1 byte, 1
//!  1  key id      4 bytes: the first of SHA-256("tidelock column key" and the key)
//!  5  nonce      12 bytes, random
//! 17  ciphertext  as long as the UTF-8 of the text
//!     tag        16 bytes
//! ```
//!
//! AES-256-GCM; the first five bytes are associated data. Nonces are random, because devices share a key without knowing each other: NIST
//! allows such a key 2^32 values (SP 800-38D), a million a day for eleven years. A longer nonce would lift that limit, but servers would
//! lose the cipher that every language has.

use sha2::{Digest, Sha256};
use tidelock_gcm::{KEY_BYTES, Key, NONCE_BYTES, TAG_BYTES};

use crate::{
    error::{Error, ErrorCode, Result},
    memory::no_memory,
    value::hex,
};

const VERSION: u8 = 1;
/// The prefix of the key in the hash that its id is taken from.
const ID_OF: &[u8] = b"tidelock column key";
/// The version and the key id.
const HEAD_BYTES: usize = 5;
/// Where the ciphertext begins.
const BEGIN: usize = HEAD_BYTES + NONCE_BYTES;

type CipherHead = [u8; HEAD_BYTES];

/// Fills bytes with cryptographic randomness.
pub type Random = Box<dyn Fn(&mut [u8])>;

/// The keys of sensitive columns.
pub struct ColumnKeys {
    keys: Vec<(CipherHead, Key)>,
    random: Random,
}

impl ColumnKeys {
    /// Creates a set of AES-256 keys: the first one encrypts, all of them decrypt. Fails with `invalid_argument` without a key.
    pub fn new(keys: &[[u8; KEY_BYTES]], random: Random) -> Result<Self> {
        if keys.is_empty() {
            return Err(Error::invalid("columnKey needs a key")
                .hint("Leave the option out, or pass at least one key")
                .detail("option", "columnKey"));
        }
        Ok(Self { keys: keys.iter().map(|key| (head_of(key), Key::new(key))).collect(), random })
    }

    /// Encrypts a text; the result differs each time. Fails with `out_of_memory`.
    pub fn encrypt(&self, text: &str) -> Result<Vec<u8>> {
        let (head, key) = &self.keys[0];
        let mut nonce = [0; NONCE_BYTES];
        (self.random)(&mut nonce);
        let mut bytes = Vec::new();
        let length = BEGIN + text.len() + TAG_BYTES;
        bytes.try_reserve_exact(length).map_err(|_| no_memory("to encrypt a text").detail("bytes", length))?;
        bytes.extend_from_slice(head);
        bytes.extend_from_slice(&nonce);
        bytes.extend_from_slice(text.as_bytes());
        let tag = key.seal(&nonce, head, &mut bytes[BEGIN..]);
        bytes.extend_from_slice(&tag);
        Ok(bytes)
    }

    /// Decrypts a text. Fails with `decryption_failed`, where `details.reason` is `not_encrypted`, `other_key` or `damaged`, and with
    /// `out_of_memory`.
    pub fn decrypt(&self, bytes: &[u8]) -> Result<String> {
        let (head, rest) = bytes.split_first_chunk::<HEAD_BYTES>().ok_or_else(not_encrypted)?;
        let (nonce, rest) = rest.split_first_chunk().ok_or_else(not_encrypted)?;
        let (sealed, tag) = rest.split_last_chunk().ok_or_else(not_encrypted)?;
        if head[0] != VERSION {
            return Err(not_encrypted());
        }
        let mut plain = Vec::new();
        let room = plain.try_reserve_exact(sealed.len());
        room.map_err(|_| no_memory("to decrypt a text").detail("bytes", sealed.len()))?;
        plain.extend_from_slice(sealed);
        let mut known = self.keys.iter().filter(|(id, _)| id == head).peekable();
        if known.peek().is_none() {
            return Err(failed("other_key", "decrypt() got a value that was encrypted with another key")
                .hint("The option columnKey may hold several keys: the first encrypts, all of them decrypt")
                .detail("keyId", hex(&head[1..])));
        }
        // A failed open leaves the bytes unchanged.
        if !known.any(|(_, key)| key.open(nonce, head, &mut plain, tag)) {
            return Err(failed("damaged", "decrypt() got a value that was changed after its encryption"));
        }
        String::from_utf8(plain).map_err(|_| failed("damaged", "decrypt() got a value whose plaintext is not UTF-8"))
    }
}

/// Returns the head of the values that a key encrypts.
fn head_of(key: &[u8; KEY_BYTES]) -> CipherHead {
    let hash = Sha256::new().chain_update(ID_OF).chain_update(key).finalize();
    [VERSION, hash[0], hash[1], hash[2], hash[3]]
}

/// Returns the error of a value that `encrypt` did not produce.
#[cold]
pub(super) fn not_encrypted() -> Error {
    failed("not_encrypted", "decrypt() got a value that encrypt() did not produce")
        .hint("It accepts blobs that encrypt() returned, and NULL")
}

#[cold]
fn failed(reason: &'static str, message: &'static str) -> Error {
    Error::new(ErrorCode::DecryptionFailed, message).detail("reason", reason)
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    /// Creates keys whose nonces count from 1.
    fn keys(keys: &[[u8; 32]]) -> ColumnKeys {
        let next = Cell::new(0_u8);
        let random = move |bytes: &mut [u8]| {
            next.set(next.get().wrapping_add(1));
            bytes.fill(next.get());
        };
        ColumnKeys::new(keys, Box::new(random)).unwrap()
    }

    fn reason(result: Result<String>) -> String {
        let error = result.unwrap_err();
        assert_eq!(error.code, ErrorCode::DecryptionFailed);
        match &error.details["reason"] {
            crate::error::Detail::Text(reason) => reason.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        // Produced by Node's crypto: createHash('sha256'), createCipheriv('aes-256-gcm').
        let expected = "013738243c010101010101010101010101123200d61ff311a12041d3c6abbbab6cc46c475d433bee";
        assert_eq!(hex(&keys(&[[0; 32]]).encrypt("grüezi").unwrap()), expected);
    }

    proptest! {
        #[test]
        fn encrypted_texts_decrypt_to_themselves(text: String, one: [u8; 32], other: [u8; 32]) {
            prop_assume!(one != other);
            let (old, new, both) = (keys(&[one]), keys(&[other]), keys(&[other, one]));
            let (first, second) = (old.encrypt(&text).unwrap(), old.encrypt(&text).unwrap());
            prop_assert_ne!(&first, &second);
            prop_assert_eq!(first.len(), text.len() + 33);
            for sealed in [first, second] {
                prop_assert_eq!(old.decrypt(&sealed).unwrap(), text.as_str());
                prop_assert_eq!(both.decrypt(&sealed).unwrap(), text.as_str());
                prop_assert_eq!(reason(new.decrypt(&sealed)), "other_key");
            }
            prop_assert_eq!(new.decrypt(&both.encrypt(&text).unwrap()).unwrap(), text);
        }

        #[test]
        fn any_change_is_noticed(text: String, key: [u8; 32], at: prop::sample::Index, bit in 0..8) {
            let keys = keys(&[key]);
            let mut sealed = keys.encrypt(&text).unwrap();
            let at = at.index(sealed.len());
            sealed[at] ^= 1_u8 << bit;
            let expected = match at { 0 => "not_encrypted", 1..5 => "other_key", _ => "damaged" };
            prop_assert_eq!(reason(keys.decrypt(&sealed)), expected);
        }

        #[test]
        fn any_input_is_refused_cleanly(bytes in prop::collection::vec(any::<u8>(), 0..64), key: [u8; 32]) {
            let keys = keys(&[key]);
            let ours = [&head_of(&key)[..], &bytes].concat();
            for (bytes, expected) in [(&bytes, "not_encrypted"), (&ours, "damaged")] {
                let reason = reason(keys.decrypt(bytes));
                prop_assert!((bytes.len() < 33 && reason == "not_encrypted") || reason == expected || reason == "other_key");
            }
        }
    }

    #[test]
    fn a_plaintext_that_is_not_utf_8_is_refused() {
        let keys = keys(&[[7; 32]]);
        let mut bytes = vec![0xff, 0xfe];
        let head = head_of(&[7; 32]);
        let tag = Key::new(&[7; 32]).seal(&[9; NONCE_BYTES], &head, &mut bytes);
        let sealed = [&head[..], &[9; NONCE_BYTES], &bytes, &tag].concat();
        assert_eq!(reason(keys.decrypt(&sealed)), "damaged");
        assert_eq!(ColumnKeys::new(&[], Box::new(|_| {})).err().unwrap().code, ErrorCode::InvalidArgument);
    }
}

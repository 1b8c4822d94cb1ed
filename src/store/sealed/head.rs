//! The head of an encrypted database: the plain head, readable, the wrapped data key, and a MAC over both.

use super::{
    ENCRYPTION,
    keys::{Hmac, WrappedKey},
};
use crate::format::{Head, Reader, begin, body, finish};

/// A head as an encrypted database stores it.
pub(super) struct SealedHead {
    /// The readable part: as the head within, with the feature [`ENCRYPTION`].
    pub shown: Head,
    /// The wrapped data key.
    pub key: WrappedKey,
    /// The head within, as an unencrypted database stores it.
    pub head: Vec<u8>,
}

impl SealedHead {
    /// Encodes a head for storage. Deterministic for the same head and key.
    pub fn encode(head: &[u8], key: &WrappedKey, mac: &Hmac) -> Vec<u8> {
        let mut shown = Head::decode(head).unwrap_or_default();
        shown.features.push(ENCRYPTION.to_owned());
        let mut writer = begin(head.len() + 512);
        shown.write_start(&mut writer);
        key.write(&mut writer);
        writer.bytes(head);
        let mac = mac.of(&writer.0);
        writer.bytes(&mac);
        finish(writer)
    }

    /// Decodes a stored head without checking its MAC; of one in a newer format, or with other features, `key` and
    /// `head` are empty. `None` for anything else.
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let mut reader = body(stored)?;
        let shown = Head::read_start(&mut reader).filter(|head| head.features.iter().any(|name| name == ENCRYPTION))?;
        let (key, head) = Self::within(&mut reader).unwrap_or_default();
        Some(Self { shown, key, head })
    }

    fn within(reader: &mut Reader<'_>) -> Option<(WrappedKey, Vec<u8>)> {
        Some((WrappedKey::read(reader)?, reader.bytes()?.to_vec()))
    }
}

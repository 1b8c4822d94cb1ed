//! The head of an encrypted database: the plain head, readable, the wrapped data keys, and a MAC over all of it.

use super::{
    ENCRYPTION, ROTATION,
    keys::{Hmac, WrappedKey},
};
use crate::format::{Head, Reader, begin, body, finish};

/// A head as an encrypted database stores it.
#[derive(Default)]
pub(super) struct SealedHead {
    /// The readable part: as the head within, with the features of the encryption.
    pub shown: Head,
    /// The wrapped data key.
    pub key: WrappedKey,
    /// The data key that everything is being encrypted with, wrapped by the same secret: with the feature [`ROTATION`].
    pub next: Option<WrappedKey>,
    /// How often the data key had encrypted something when the head was stored.
    pub encryptions: u64,
    /// The head within, as an unencrypted database stores it.
    pub head: Vec<u8>,
}

impl SealedHead {
    /// Encodes a head for storage. Deterministic for the same head, keys and count.
    pub fn encode(head: &[u8], key: &WrappedKey, next: Option<&WrappedKey>, encryptions: u64, mac: &Hmac) -> Vec<u8> {
        let mut shown = Head::decode(head).unwrap_or_default();
        shown.features.extend(features(next.is_some()));
        let mut writer = begin(head.len() + 512);
        shown.write_start(&mut writer);
        key.write(&mut writer);
        if let Some(next) = next {
            writer.bytes(&next.wrapped);
        }
        writer.u64(encryptions);
        writer.bytes(head);
        let mac = mac.of(&writer.0);
        writer.bytes(&mac);
        finish(writer)
    }

    /// Decodes a stored head without checking its MAC; of one in a newer format, or with other features, only `shown`.
    /// `None` for anything else.
    pub fn decode(stored: &[u8]) -> Option<Self> {
        let mut reader = body(stored)?;
        let shown = Head::read_start(&mut reader).filter(|head| head.features.iter().any(|name| name == ENCRYPTION))?;
        let rotates = shown.features.iter().any(|name| name == ROTATION);
        let within = Self::within(&mut reader, rotates).unwrap_or_default();
        Some(Self { shown, ..within })
    }

    fn within(reader: &mut Reader<'_>, rotates: bool) -> Option<Self> {
        let key = WrappedKey::read(reader)?;
        let next = if rotates { Some(key.with(reader.bytes()?.to_vec())) } else { None };
        let (encryptions, head) = (reader.counter()?, reader.bytes()?.to_vec());
        Some(Self { shown: Head::default(), key, next, encryptions, head })
    }
}

/// Returns the head within that of an encrypted database, as far as it can be read.
pub fn head_within(stored: &[u8]) -> Option<Vec<u8>> {
    SealedHead::decode(stored).map(|sealed| sealed.head)
}

/// Returns the features of the encryption that a head shows.
pub(super) fn features(rotates: bool) -> impl Iterator<Item = String> {
    [ENCRYPTION].into_iter().chain(rotates.then_some(ROTATION)).map(str::to_owned)
}

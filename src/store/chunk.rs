//! Chunks: content ids, and the stored form of their bytes.
//!
//! Stored form: one byte for the codec (0 plain, 1 lz4 block), four for the plain length (little-endian), the content.

use sha2::{Digest, Sha256};

use crate::{
    format::{ChunkRef, checksum},
    memory::resized,
    ports::ChunkId,
    value::hex,
};

const HEADER: usize = 5;
const PLAIN: u8 = 0;
const LZ4: u8 = 1;

/// Returns the content id of a chunk: SHA-256 of its plain bytes.
pub fn id(plain: &[u8]) -> ChunkId {
    ChunkId::new(&Sha256::digest(plain).into())
}

/// Returns the SHA-256 over the chunks' SHA-256 in order, as 64 hex digits.
pub fn digest(chunks: &[ChunkRef]) -> String {
    let mut hash = Sha256::new();
    for chunk in chunks {
        hash.update(chunk.id.bytes());
    }
    hex(&hash.finalize())
}

/// Returns the bytes with all bits inverted: those of a copy that is stored as a chunk of its own.
pub fn inverted(mut plain: Vec<u8>) -> Vec<u8> {
    plain.iter_mut().for_each(|byte| *byte = !*byte);
    plain
}

/// Returns the stored form; compressed only if that is smaller.
pub fn encode(plain: &[u8], compress: bool) -> Vec<u8> {
    if compress {
        let mut stored = vec![0; HEADER + lz4_flex::block::get_maximum_output_size(plain.len())];
        if let Ok(length) = lz4_flex::block::compress_into(plain, &mut stored[HEADER..])
            && length < plain.len()
        {
            stored.truncate(HEADER + length);
            header(&mut stored, LZ4, plain.len());
            return stored;
        }
    }
    let mut stored = vec![0; HEADER];
    header(&mut stored, PLAIN, plain.len());
    stored.extend_from_slice(plain);
    stored
}

/// Returns the plain bytes of a stored form if they are those of a manifest; `None` when they are damaged.
pub fn intact(stored: &[u8], plain_length: usize, check: u64) -> Option<Vec<u8>> {
    intact_into(stored, plain_length, check, Vec::new())
}

/// Returns the plain bytes of a chunk from the stored form of its copy, or those of the copy from the chunk; `None` when they are
/// damaged.
pub fn from_other(stored: &[u8], length: usize, other: &ChunkRef, this: &ChunkRef) -> Option<Vec<u8>> {
    intact(stored, length, other.check).map(inverted).filter(|plain| checksum(plain) == this.check)
}

/// Does the same as [`intact`] in the memory of `buffer`, whose bytes don't matter.
pub fn intact_into(stored: &[u8], plain_length: usize, check: u64, buffer: Vec<u8>) -> Option<Vec<u8>> {
    decode_into(stored, plain_length, buffer).filter(|plain| checksum(plain) == check)
}

/// Returns the plain bytes of a stored form; `None` when it is invalid or has another length.
pub fn decode(stored: &[u8], plain_length: usize) -> Option<Vec<u8>> {
    decode_into(stored, plain_length, Vec::new())
}

fn decode_into(stored: &[u8], plain_length: usize, mut buffer: Vec<u8>) -> Option<Vec<u8>> {
    let (head, body) = stored.split_at_checked(HEADER)?;
    let length = u32::from_le_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length != plain_length {
        return None;
    }
    match head[0] {
        PLAIN if body.len() == length => {
            buffer.clear();
            buffer.extend_from_slice(body);
            Some(buffer)
        }
        LZ4 => {
            let mut plain = resized(buffer, length);
            (lz4_flex::block::decompress_into(body, &mut plain).ok()? == length).then_some(plain)
        }
        _ => None,
    }
}

fn header(stored: &mut [u8], codec: u8, plain: usize) {
    stored[0] = codec;
    stored[1..HEADER].copy_from_slice(&(plain as u32).to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::{decode, encode, id};

    #[test]
    fn stored_bytes_come_back() {
        let noise: Vec<u8> = (0..70_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for plain in [&[][..], &[7], &[0; 65536], &noise] {
            for compress in [false, true] {
                let stored = encode(plain, compress);
                assert!(stored.len() <= plain.len() + 5);
                assert_eq!(decode(&stored, plain.len()).as_deref(), Some(plain));
                assert_eq!(decode(&stored, plain.len() + 1), None);
                assert_eq!(decode(&stored[..stored.len() - 1], plain.len()), None);
            }
        }
        assert!(encode(&[0; 65536], true).len() < 1000);
    }

    #[test]
    fn damaged_bytes_never_panic() {
        let plain: Vec<u8> = (0..2000_u32).map(|n| (n / 7) as u8).collect();
        let stored = encode(&plain, true);
        for at in 0..stored.len() {
            for flip in [1, 0x80, 0xff] {
                let mut damaged = stored.clone();
                damaged[at] ^= flip;
                let _ = decode(&damaged, plain.len());
            }
        }
    }

    #[test]
    fn the_id_is_sha_256() {
        assert_eq!(id(b"abc").to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}

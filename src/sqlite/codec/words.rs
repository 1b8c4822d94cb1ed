//! Short byte sequences, processed eight bytes at a time: a call to copy or compare them would take longer than the work.

/// The bit of each of eight bytes that is 0 in ASCII.
pub(super) const HIGH: u64 = 0x8080_8080_8080_8080;

/// Appends the bytes if they are all ASCII, checking while it copies; the capacity must be reserved. Returns whether they were.
#[inline(always)]
pub(super) fn append_ascii(area: &mut Vec<u8>, bytes: &[u8]) -> bool {
    debug_assert!(area.capacity() - area.len() >= bytes.len());
    let (from, count) = (bytes.as_ptr(), bytes.len());
    let mut seen = 0;
    // SAFETY: the area has capacity for that many bytes behind its end; its length grows only after all are written.
    unsafe {
        let to = area.as_mut_ptr().add(area.len());
        // Loops instead of closures: compiled for size, closures would be calls.
        let mut at = 0;
        while at + 8 < count {
            let word = from.add(at).cast::<u64>().read_unaligned();
            to.add(at).cast::<u64>().write_unaligned(word);
            seen |= word;
            at += 8;
        }
        if count >= 8 {
            // The last word may overlap the one before it.
            at = count - 8;
            let word = from.add(at).cast::<u64>().read_unaligned();
            to.add(at).cast::<u64>().write_unaligned(word);
            seen |= word;
        } else {
            while at < count {
                let byte = *from.add(at);
                *to.add(at) = byte;
                seen |= u64::from(byte);
                at += 1;
            }
        }
        if seen & HIGH == 0 {
            area.set_len(area.len() + count);
        }
    }
    seen & HIGH == 0
}

/// Returns whether the bytes are equal; they must be equally long.
#[inline(always)]
pub(super) fn same(one: &[u8], other: &[u8]) -> bool {
    let count = one.len();
    if count < 8 {
        return ends(one) == ends(other);
    }
    debug_assert_eq!(count, other.len());
    let (one, other) = (one.as_ptr().cast::<u64>(), other.as_ptr().cast::<u64>());
    let mut at = 0;
    // SAFETY: each word lies within the bytes; the last one may overlap the one before it. No closures, as above.
    unsafe {
        while at + 8 < count {
            if one.byte_add(at).read_unaligned() != other.byte_add(at).read_unaligned() {
                return false;
            }
            at += 8;
        }
        at = count - 8;
        one.byte_add(at).read_unaligned() == other.byte_add(at).read_unaligned()
    }
}

/// Returns the first and the last eight bytes, which may overlap; for fewer than eight, all bytes and zeros.
#[inline(always)]
pub(super) fn ends(bytes: &[u8]) -> (u64, u64) {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    let mut word = 0;
    for byte in bytes {
        word = word << 8 | u64::from(*byte);
    }
    (word, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_at_any_byte_is_found() {
        for length in 1..40_usize {
            let bytes: Vec<u8> = (0..length).map(|at| at as u8 + 1).collect();
            assert!(same(&bytes, &bytes.clone()));
            for at in 0..length {
                let mut other = bytes.clone();
                other[at] = 0;
                assert!(!same(&bytes, &other), "{length} {at}");
            }
        }
    }
}

//! The system's randomness.

use crate::ports::Entropy;

/// The operating system's source of cryptographic randomness.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    /// # Panics
    /// When the system has no randomness: nothing could be encrypted or fenced without it.
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system's source of randomness");
    }
}

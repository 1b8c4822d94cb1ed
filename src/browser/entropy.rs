//! Randomness: `crypto.getRandomValues`.

use wasm_bindgen::prelude::*;

use crate::ports::Entropy;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = crypto, js_name = getRandomValues)]
    fn get_random_values(bytes: &mut [u8]);
}

/// The platform's limit for one call, in bytes.
const MOST_BYTES: usize = 65_536;

/// The browser's cryptographic randomness.
pub struct BrowserEntropy;

impl Entropy for BrowserEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.chunks_mut(MOST_BYTES).for_each(get_random_values);
    }
}

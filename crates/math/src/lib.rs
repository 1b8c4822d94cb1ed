//! What SQLite's mathematical functions (`sin`, `pow`, `ln`...) call in C's library, by JavaScript's `Math`: every engine has it,
//! and the code would be 7 KB of each download. Empty outside of wasm.
//!
//! A crate of its own, because these names are for the linker: a program that links it gets them, and nothing else of the same name.
#![cfg(target_arch = "wasm32")]

use js_sys::Math;
use wasm_bindgen::JsValue;

macro_rules! functions {
    ($($name:ident)*) => { $(
        /// C's function of this name.
        // SAFETY: the name is C's, and so is what it takes and gives.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(x: f64) -> f64 {
            Math::$name(x)
        }
    )* };
}

functions!(acos asin atan cos cosh exp log log10 log2 sin sinh tan tanh);

macro_rules! renamed {
    ($($name:ident $function:ident)*) => { $(
        /// C's function, by the name that sqlite-wasm-rs gives it.
        // SAFETY: as above.
        #[unsafe(no_mangle)]
        pub extern "C" fn $name(x: f64) -> f64 {
            Math::$function(x)
        }
    )* };
}

renamed!(rust_sqlite_wasm_acosh acosh rust_sqlite_wasm_asinh asinh rust_sqlite_wasm_atanh atanh);

/// C's function of this name.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn atan2(y: f64, x: f64) -> f64 {
    Math::atan2(y, x)
}

/// C's function of this name: unlike JavaScript's, it gives 1 for 1 to any power and for -1 to an infinite one.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn pow(x: f64, y: f64) -> f64 {
    if x == 1.0 || (x == -1.0 && y.is_infinite()) { 1.0 } else { Math::pow(x, y) }
}

/// C's function of this name.
// SAFETY: as above.
#[unsafe(no_mangle)]
pub extern "C" fn fmod(x: f64, y: f64) -> f64 {
    (&JsValue::from_f64(x) % &JsValue::from_f64(y)).as_f64().unwrap_or(f64::NAN)
}

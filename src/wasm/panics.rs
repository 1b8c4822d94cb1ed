//! Reporting of panics. JavaScript sees a panic as a trap, which only says `unreachable`, so the message is passed
//! before that.

use std::panic;

use wasm_bindgen::prelude::*;

use crate::panics::message;

#[wasm_bindgen]
extern "C" {
    /// Stores the message for the error that the trap becomes. `guard` is a variable of the glue: scripts/guard.js.
    #[wasm_bindgen(js_namespace = guard)]
    fn panicked(message: &str, location: &str);
}

/// Runs when the module is instantiated.
#[wasm_bindgen(start, private)]
fn report_panics() {
    panic::set_hook(Box::new(|info| {
        // Its line is unknown: scripts/wasm.sh.
        panicked(message(info.payload()), info.location().map_or("", |place| place.file()));
    }));
}

//! What differs between native programs and those in a browser. Both files have the same functions.
//!
//! | file | what |
//! |---|---|
//! | `native` | folders; the engine on a thread of its own |
//! | `browser` | IndexedDB; the engine on the thread of the page |
//! | `page_worker` | in browsers: the face of `native::Worker` without a thread |

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod page_worker;

#[cfg(target_arch = "wasm32")]
pub use browser::*;
#[cfg(not(target_arch = "wasm32"))]
pub use native::*;

use crate::error::{Detail, Error, ErrorCode};

/// Names the holder of the lock in the message of `database_in_use`.
pub fn with_holder(error: Error) -> Error {
    if !error.is(ErrorCode::DatabaseInUse) {
        return error;
    }
    let Some(Detail::Object(holder)) = error.details.get("holder") else { return error };
    let text = |name: &str| match holder.get(name) {
        Some(Detail::Text(text)) => text.clone(),
        _ => String::new(),
    };
    let (message, hint) = in_use_by(&text);
    let mut error = error;
    error.message = message;
    error.hint(hint)
}

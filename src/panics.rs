//! Which part of a panic's message may appear in the error that the panic becomes.

use std::any::Any;

/// Returns the part of a panic's message that users may see: its first line, up to the first quotation. A quotation may
/// be a user's text: the standard library quotes a string that could not be sliced. Only `unwrap` and `assert_eq` quote
/// themselves; the values that they show are on other lines, or left out by the compiler (`scripts/wasm.sh`).
pub fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    let line = text.and_then(|text| text.lines().next()).unwrap_or_default();
    let quotes_itself = ["called `", "assertion `"].iter().any(|begin| line.starts_with(begin));
    let shown = if quotes_itself { line } else { line.split('`').next().unwrap_or_default() };
    shown.trim_end()
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, panic::catch_unwind};

    use super::message;

    /// Returns the message that users see of this panic.
    fn shown<T>(panicking: impl FnOnce() -> T + std::panic::UnwindSafe) -> String {
        let Err(payload) = catch_unwind(panicking) else { unreachable!("it panics") };
        message(payload.as_ref()).to_owned()
    }

    #[test]
    fn a_text_that_could_not_be_sliced_is_not_shown() {
        let text = black_box("sécret");
        for message in [
            shown(|| text[20..].len()),
            shown(|| text[2..].len()),
            shown(|| text[..2].len()),
            shown(|| text[..20].len()),
        ] {
            assert!(message.contains("byte index"), "{message}");
            assert!(!message.contains("cret"), "{message}");
        }
        let (from, to) = black_box((4, 3));
        assert!(!shown(|| text[from..to].len()).contains("cret"));
    }

    #[test]
    fn what_is_no_data_is_shown() {
        assert_eq!(shown(|| black_box(None::<i32>).unwrap()), "called `Option::unwrap()` on a `None` value");
        assert_eq!(shown(|| black_box(None::<i32>).expect("a table")), "a table");
        assert_eq!(shown(|| assert_eq!("a", black_box("b"))), "assertion `left == right` failed");
        let index = black_box(3);
        assert_eq!(shown(|| [1, 2, 3][index]), "index out of bounds: the len is 3 but the index is 3");
    }
}

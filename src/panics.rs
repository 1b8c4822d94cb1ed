//! What a panic may tell whoever reads the error that it becomes.

use std::any::Any;

/// The message of a panic's payload as users may see it: its first line, up to what it quotes. That may be a user's text, as when the
/// standard library says which one could not be sliced. Only what its `unwrap` and `assert_eq` quote is its own; their values are in other
/// lines, or left out by the compiler (`scripts/wasm.sh`).
pub fn message(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
    let line = text.and_then(|text| text.lines().next()).unwrap_or_default();
    let quotes_itself = ["called `", "assertion `"].iter().any(|begin| line.starts_with(begin));
    let told = if quotes_itself { line } else { line.split('`').next().unwrap_or_default() };
    told.trim_end()
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, panic::catch_unwind};

    use super::message;

    /// What is told of a panic.
    fn told<T>(panicking: impl FnOnce() -> T + std::panic::UnwindSafe) -> String {
        let Err(payload) = catch_unwind(panicking) else { unreachable!("it panics") };
        message(payload.as_ref()).to_owned()
    }

    #[test]
    fn a_text_that_could_not_be_sliced_is_not_told() {
        let text = black_box("sécret");
        for message in
            [told(|| text[20..].len()), told(|| text[2..].len()), told(|| text[..2].len()), told(|| text[..20].len())]
        {
            assert!(message.contains("byte index"), "{message}");
            assert!(!message.contains("cret"), "{message}");
        }
        let (from, to) = black_box((4, 3));
        assert!(!told(|| text[from..to].len()).contains("cret"));
    }

    #[test]
    fn what_is_no_data_is_told() {
        assert_eq!(told(|| black_box(None::<i32>).unwrap()), "called `Option::unwrap()` on a `None` value");
        assert_eq!(told(|| black_box(None::<i32>).expect("a table")), "a table");
        assert_eq!(told(|| assert_eq!("a", black_box("b"))), "assertion `left == right` failed");
        let index = black_box(3);
        assert_eq!(told(|| [1, 2, 3][index]), "index out of bounds: the len is 3 but the index is 3");
    }
}

//! The names of databases and of their locks.

use crate::error::{Error, Result};

/// The longest name in characters.
const MAX_CHARS: usize = 128;

/// Checks the name of a database: 1 to 128 characters (Unicode scalar values), none of them a control character. Fails
/// with `invalid_argument`.
pub fn check_name(name: &str) -> Result<()> {
    let problem = if name.is_empty() {
        "is empty"
    } else if name.chars().count() > MAX_CHARS {
        "is longer than 128 characters"
    } else if name.chars().any(char::is_control) {
        "has control characters"
    } else {
        return Ok(());
    };
    Err(Error::invalid(format!("The database's name {problem}"))
        .hint("Give `name` 1 to 128 characters, none of them a control character")
        .detail("option", "name"))
}

/// Returns the name of a database's lock; its IndexedDB database has the same name.
pub fn lock_name(name: &str) -> String {
    format!("tidelock/{name}")
}

#[cfg(test)]
mod tests {
    use super::{check_name, lock_name};
    use crate::error::ErrorCode;

    #[test]
    fn names_of_1_to_128_characters_without_control_characters() {
        for good in ["a", "shop/eu west", "Läden 🌊", "..", &"ß".repeat(128)] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a\nb", "\u{7f}", "a\u{85}", "\0", &"ß".repeat(129)] {
            let error = check_name(bad).unwrap_err();
            assert!(error.is(ErrorCode::InvalidArgument) && error.hint.is_some(), "{bad:?}");
        }
        assert_eq!(lock_name("shop"), "tidelock/shop");
    }
}

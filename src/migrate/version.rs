//! The order of versions: by their runs of digits, as numbers of any length.

use std::cmp::Ordering;

/// Returns the digit runs of a version, without leading zeros. `V1_10` and `1.10` have the same: 1, 10.
fn runs(version: &str) -> impl Iterator<Item = &str> {
    version.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty()).map(|run| run.trim_start_matches('0'))
}

/// Compares two versions: `2` before `10`, `1.9` before `1.10`, `1` before `1.0`. Other characters only separate.
pub fn compare(a: &str, b: &str) -> Ordering {
    // Without leading zeros the longer number is the larger one: no integer type limits them.
    fn by_number(run: &str) -> (usize, &str) {
        (run.len(), run)
    }
    runs(a).map(by_number).cmp(runs(b).map(by_number))
}

/// Returns whether two texts name the same version, as `1`, `001` and `v1` do.
pub fn same(a: &str, b: &str) -> bool {
    compare(a, b).is_eq()
}

/// Returns whether the text has digits, without which it can't be ordered.
pub fn has_digits(version: &str) -> bool {
    version.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{compare, has_digits, same};

    #[test]
    fn runs_of_digits_compare_as_numbers() {
        let sorted =
            ["0", "1", "1.0", "1.2", "1.10", "2", "9", "10", "20250709035454", "99999999999999999999999999999"];
        for (i, a) in sorted.iter().enumerate() {
            for (j, b) in sorted.iter().enumerate() {
                assert_eq!(compare(a, b), i.cmp(&j), "{a} {b}");
            }
        }
    }

    #[test]
    fn separators_and_leading_zeros_do_not_count() {
        assert!(same("0001", "1") && same("V1__", "1") && same("1_2", "1.02") && same("0", "000"));
        assert!(!same("1", "1.1") && !same("12", "1.2"));
        assert!(has_digits("v1") && !has_digits("first") && !has_digits(""));
    }

    proptest! {
        #[test]
        fn agrees_with_integers(a: u64, b: u64, c: u64, d: u64, zeros in 0usize..4) {
            let text = |x: u64, y: u64| format!("{:0>width$}-{y}", x, width = zeros);
            prop_assert_eq!(compare(&text(a, b), &format!("v{c}.{d}")), (a, b).cmp(&(c, d)));
        }
    }
}

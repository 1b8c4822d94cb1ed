//! The guard against mass deletion by absence: with row security, a wrong key or a wrong filter, the remote looks
//! empty.

use crate::error::{Error, ErrorCode, Result};

/// Checks that `vanishing` of `rows` local rows may be deleted. `max_ratio` is from 0 to 1.
///
/// Fails with `remote_empty` if all rows would vanish or, in a table of over 20 rows, more than `max_ratio` of them.
pub fn check(table: &str, vanishing: u64, rows: u64, max_ratio: f64) -> Result<()> {
    let all = vanishing > 0 && vanishing >= rows;
    let many = rows > 20 && vanishing as f64 > rows as f64 * max_ratio;
    if !all && !many {
        return Ok(());
    }
    let text = format!("The remote lacks {vanishing} of {rows} local rows of table {table}, which would be deleted");
    Err(Error::new(ErrorCode::RemoteEmpty, text)
        .hint("Check row security, the key and the filter; if the rows were really deleted remotely, pull with allowEmpty")
        .detail("table", table)
        .detail("deleted", vanishing)
        .detail("rows", rows))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn the_rule_of_the_contract() {
        for (vanishing, rows, ratio, passes) in [
            (0, 0, 0.5, true),
            (0, 100, 0.0, true),
            (1, 1, 0.5, false),
            (1, 1, 1.0, false),
            (19, 20, 0.5, true),
            (20, 20, 0.5, false),
            (10, 21, 0.5, true),
            (11, 21, 0.5, false),
            (50, 100, 0.5, true),
            (51, 100, 0.5, false),
            (99, 100, 1.0, true),
            (1, 100, 0.0, false),
        ] {
            assert_eq!(check("t", vanishing, rows, ratio).is_ok(), passes, "{vanishing} of {rows} at {ratio}");
        }
    }
}

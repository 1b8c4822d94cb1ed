//! The guard against mass deletion by absence: row security, a wrong key or a wrong filter look like an empty remote.

use crate::error::{Error, ErrorCode, Result};

/// Refuses, with `remote_empty`, that `vanishing` of `rows` rows go: all of them, or, in a table of over 20 rows, more
/// than `max_ratio`.
pub fn check(table: &str, vanishing: u64, rows: u64, max_ratio: f64) -> Result<()> {
    let all = vanishing > 0 && vanishing >= rows;
    let many = rows > 20 && vanishing as f64 > rows as f64 * max_ratio;
    if !all && !many {
        return Ok(());
    }
    let text =
        format!("The remote sent so little of table {table} that {vanishing} of {rows} local rows would be deleted");
    Err(Error::new(ErrorCode::RemoteEmpty, text)
        .hint("Row security or a wrong key look like this; if the rows are really gone, pull with allowEmpty")
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

//! The limit of table expressions (WITH) and named windows (WINDOW) in a statement.

use super::{text::mentions, tokens::each_token};
use crate::error::{Error, Result};

/// The limit of a statement: SQLite compares the name of each with all before it, without checking the deadline.
const MOST: usize = 5_000;

/// Fewer bytes than the shortest of either has: `,w0 AS()`.
const SHORTEST: usize = 6;

/// Returns whether a text may have a statement beyond the limit. Quick, for texts of many statements.
pub(super) fn may_exceed(sql: &str) -> bool {
    sql.len() > MOST * SHORTEST && (mentions(sql, "with") || mentions(sql, "window"))
}

/// Fails with `invalid_argument` if a statement has too many table expressions and windows.
pub(super) fn check(statement: &str) -> Result<()> {
    if !may_exceed(statement) {
        return Ok(());
    }
    let (mut count, mut follows_as) = (0, false);
    for token in each_token(statement) {
        count += usize::from(follows_as && token.is_sign("("));
        // AS NOT MATERIALIZED (
        follows_as = token.is("as") || follows_as && (token.is("not") || token.is("materialized"));
    }
    if count <= MOST {
        return Ok(());
    }
    Err(Error::invalid(format!("The statement has {count} table expressions (WITH) and windows; the limit is {MOST}"))
        .hint("SQLite compares each with all others: use VALUES for the rows of one, or a temporary table"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(count: usize, between: &str) -> String {
        let all: Vec<_> = (0..count).map(|n| format!("c{n} {between}(SELECT {n})")).collect();
        format!("WITH {} SELECT 1", all.join(","))
    }

    #[test]
    fn a_statement_has_a_limited_number_of_table_expressions() {
        for between in ["AS", "as not materialized ", "As/* */Materialized\n"] {
            check(&with(MOST, between)).unwrap();
            let error = check(&with(MOST + 1, between)).unwrap_err();
            assert!(error.message.contains("5001 table expressions"), "{error}");
        }
        let windows: Vec<_> = (0..=MOST).map(|n| format!("w{n} AS (ORDER BY a)")).collect();
        assert!(check(&format!("SELECT 1 FROM t WINDOW {}", windows.join(", "))).is_err());
    }

    #[test]
    fn texts_do_not_count() {
        check(&format!("INSERT INTO with_text VALUES ('{}')", "x as (y), ".repeat(MOST + 1))).unwrap();
    }
}

//! The limits of table expressions (WITH), named windows (WINDOW) and window functions (OVER) in a statement.

use crate::{
    error::{Error, Result},
    sqlite::sql::{text::mentions, tokens::each_token},
};

/// The limit of a statement: SQLite compares the name of each with all before it, without checking the deadline.
const MOST: usize = 5_000;

/// The limit of window functions (OVER) in a statement, for the same reason.
const MOST_FUNCTIONS: usize = 1_000;

/// Fewer bytes than the shortest of them has: `,w0 AS()`, `,f()OVER w`.
const SHORTEST: usize = 6;

/// Returns whether a text may have a statement beyond the limit. Quick, for texts of many statements.
pub(in crate::sqlite) fn may_exceed(sql: &str) -> bool {
    sql.len() > MOST_FUNCTIONS * SHORTEST && ["with", "window", "over"].iter().any(|word| mentions(sql, word))
}

/// Fails with `invalid_argument` if a statement has too many table expressions, windows or window functions.
pub(in crate::sqlite) fn check(statement: &str) -> Result<()> {
    if !may_exceed(statement) {
        return Ok(());
    }
    let (mut count, mut functions, mut follows_as) = (0, 0, false);
    for token in each_token(statement) {
        count += usize::from(follows_as && token.is_sign("("));
        functions += usize::from(token.is("over"));
        // AS NOT MATERIALIZED (
        follows_as = token.is("as") || follows_as && (token.is("not") || token.is("materialized"));
    }
    if functions > MOST_FUNCTIONS {
        return Err(Error::invalid(format!(
            "The statement has {functions} window functions (OVER); the limit is {MOST_FUNCTIONS}"
        ))
        .hint("SQLite compares each with all others: split the statement"));
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
    fn a_statement_has_a_limited_number_of_window_functions() {
        let select = |count| format!("SELECT 1 IN ({}) FROM t", vec!["sum(a)OVER w"; count].join(","));
        check(&select(MOST_FUNCTIONS)).unwrap();
        let error = check(&select(MOST_FUNCTIONS + 1)).unwrap_err();
        assert!(error.message.contains("1001 window functions"), "{error}");
    }

    #[test]
    fn texts_do_not_count() {
        check(&format!("INSERT INTO with_text VALUES ('{}')", "x as (y), ".repeat(MOST + 1))).unwrap();
    }
}

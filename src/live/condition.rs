//! The condition that a row must meet to be part of a query's result: its WHERE, if the query reads one table once.
//!
//! A row that doesn't meet it adds nothing to the result, whatever the query makes of the others: aggregates, order, limit.

use super::plain_query::PlainQuery;
use crate::sqlite::{Token, TokenKind};

/// The condition of a query on one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// A query that has a row if any row of the table meets the condition. Its parameters are `?1`, `?2`... with the numbers that the whole
    /// query gives them.
    pub sql: String,
    /// The columns, in lower case, that must equal a parameter, and the parameter's place, from 0.
    pub equal: Vec<(String, usize)>,
}

/// Words that end the WHERE.
const ENDS: [&str; 5] = ["group", "having", "window", "order", "limit"];

impl Condition {
    /// Returns the condition of a query; `None` when there is none.
    pub fn of(query: &PlainQuery<'_>) -> Option<Self> {
        let (from, start) = (query.from, query.place("where")?);
        let is_end = |at: usize| ENDS.iter().any(|word| query.tokens[at].is(word)) || query.tokens[at].is_sign(";");
        let end = query.top.iter().copied().find(|at| *at > start && is_end(*at)).unwrap_or(query.tokens.len());
        let terms = terms(&query.tokens, &query.top, start + 1, end);
        let equal = |(from, to): (usize, usize)| equality(&query.tokens[from..to], &query.numbered[from..to]);
        Some(Self {
            sql: format!("SELECT 1 FROM{} WHERE{}", query.text(from + 1, start), query.text(start + 1, end)),
            equal: terms.into_iter().filter_map(equal).collect(),
        })
    }
}

/// Returns the terms that AND joins, as ranges of tokens; none when there is something that must be read first.
fn terms(tokens: &[Token<'_>], top: &[usize], start: usize, end: usize) -> Vec<(usize, usize)> {
    let top = top.iter().copied().filter(|at| (start..end).contains(at));
    if top.clone().any(|at| ["or", "between", "case"].iter().any(|word| tokens[at].is(word))) {
        return Vec::new();
    }
    let mut from = start;
    let mut terms = Vec::new();
    for at in top.filter(|at| tokens[*at].is("and")).chain([end]) {
        terms.push((from, at));
        from = at + 1;
    }
    terms
}

/// Reads `column = ?1` and `?1 = column`.
fn equality(tokens: &[Token<'_>], numbered: &[String]) -> Option<(String, usize)> {
    let equals = tokens.iter().position(|token| token.is_sign("="))?;
    let double = usize::from(tokens.get(equals + 1)?.is_sign("="));
    let sides = [(0, equals), (equals + 1 + double, tokens.len())];
    let column = |(from, to): (usize, usize)| match tokens.get(from..to)? {
        [column] | [_, _, column] if matches!(column.kind, TokenKind::Word | TokenKind::Quoted) => {
            let plain = to - from == 1 || tokens[from + 1].is_sign(".");
            plain.then(|| column.name().to_ascii_lowercase())
        }
        _ => None,
    };
    let parameter = |(from, to): (usize, usize)| {
        let texts = numbered.get(from..to)?;
        let (first, rest) = texts.split_first()?;
        let number: usize = first.strip_prefix('?')?.parse().ok()?;
        rest.iter().all(String::is_empty).then(|| number - 1)
    };
    let [left, right] = sides;
    parameter(right)
        .and_then(|place| Some((column(left)?, place)))
        .or_else(|| parameter(left).and_then(|place| Some((column(right)?, place))))
}

#[cfg(test)]
mod tests {
    use super::{Condition, PlainQuery};

    fn of(sql: &str) -> Option<(String, Vec<(String, usize)>)> {
        let query = PlainQuery::of(sql, &[":a".to_owned(), "@b".to_owned(), "$c".to_owned()])?;
        Condition::of(&query).map(|condition| (condition.sql, condition.equal))
    }

    #[test]
    fn the_condition_has_the_numbers_of_the_whole_querys_parameters() {
        let equal = |names: &[(&str, usize)]| names.iter().map(|(name, place)| ((*name).to_owned(), *place)).collect();
        for (sql, expected, names) in [
            ("SELECT * FROM t WHERE id = ?", "SELECT 1 FROM t WHERE id = ?1", equal(&[("id", 0)])),
            (
                "SELECT a + ? FROM t AS x WHERE x.\"Id\" == ? LIMIT ?",
                "SELECT 1 FROM t AS x WHERE x.\"Id\" == ?2",
                equal(&[("id", 1)]),
            ),
            (
                "select ?3 from/**/[t] where ? = a -- and\nand b >= ?order by c;",
                "SELECT 1 FROM [t] WHERE ?4 = a and b >= ?5",
                equal(&[("a", 3)]),
            ),
        ] {
            assert_eq!(of(sql).unwrap(), (expected.to_owned(), names), "{sql}");
        }
        let (text, found) = of("SELECT 1 FROM t WHERE a = :a AND b = @b AND (c = $c OR d = 1)").unwrap();
        assert_eq!(found, [("a".to_owned(), 0), ("b".to_owned(), 1)]);
        assert!(text.contains("a = ?1") && text.contains("b = ?2") && text.contains("c = ?3"), "{text}");
    }

    #[test]
    fn an_equality_must_hold_for_every_row_of_the_result() {
        for sql in [
            "SELECT * FROM t WHERE a = ? OR b",
            "SELECT * FROM t WHERE NOT a = ?",
            "SELECT * FROM t WHERE a = ? COLLATE NOCASE",
            "SELECT * FROM t WHERE a = ? || 'x'",
            "SELECT * FROM t WHERE a + 1 = ?",
            "SELECT * FROM t WHERE a = 1",
            "SELECT * FROM t WHERE a >= ?",
            "SELECT * FROM t WHERE a <> ?",
            "SELECT * FROM t WHERE b BETWEEN 1 AND a = ?",
            "SELECT * FROM t WHERE CASE WHEN b AND a = ? THEN 1 END",
            "SELECT * FROM t WHERE (a = ?)",
            "SELECT * FROM t WHERE a IS ?",
            "SELECT * FROM t WHERE a = ? = b",
        ] {
            assert_eq!(of(sql).expect(sql).1, [], "{sql}");
        }
    }

    #[test]
    fn queries_that_read_more_than_one_row_at_once_have_none() {
        for sql in [
            "SELECT * FROM t",
            "SELECT * FROM t, u WHERE t.a = u.a",
            "SELECT * FROM t JOIN u ON t.a = u.a WHERE t.b",
            "SELECT * FROM t WHERE a IN (SELECT a FROM u)",
            "SELECT * FROM t WHERE a IN u",
            "SELECT * FROM t WHERE a UNION SELECT 1",
            "SELECT * FROM (SELECT * FROM t) WHERE a",
            "SELECT a IS NOT DISTINCT FROM b FROM t WHERE a",
            "WITH x AS (VALUES (1)) SELECT * FROM t WHERE a",
            "SELECT * FROM json_each(?) WHERE value",
            "SELECT sum(a) OVER () FROM t WHERE a",
            "SELECT * FROM t WHERE a = :unknown",
            "VALUES (1)",
            "DELETE FROM t WHERE a",
            "",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
    }
}

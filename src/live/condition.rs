//! The condition that a row must meet to be part of a query's result: its WHERE, if the query reads one table once.
//!
//! A row that doesn't meet it adds nothing to the result, whatever the query makes of the others: aggregates, order, limit.

use crate::sqlite::{Token, TokenKind, tokens};

/// The condition of a query on one table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// A query that has a row if any row of the table meets the condition. Its parameters are `?1`, `?2`... with the numbers that the whole
    /// query gives them.
    pub sql: String,
    /// The columns, in lower case, that must equal a parameter, and the parameter's place, from 0.
    pub equal: Vec<(String, usize)>,
}

/// Words that make it another kind of query, wherever they stand.
const OTHER_KINDS: [&str; 8] = ["union", "intersect", "except", "join", "using", "natural", "with", "over"];

/// Words that end the WHERE.
const ENDS: [&str; 5] = ["group", "having", "window", "order", "limit"];

impl Condition {
    /// Reads the condition of a query; `None` when there is none, or when one row doesn't decide it. `parameters` are the
    /// query's, with their prefixes; empty for those without a name.
    pub fn of(sql: &str, parameters: &[String]) -> Option<Self> {
        let tokens = tokens(sql);
        let count = |word: &str| tokens.iter().filter(|token| token.is(word)).count();
        if !tokens.first()?.is("select") || count("select") != 1 || OTHER_KINDS.iter().any(|word| count(word) > 0) {
            return None;
        }
        // IN also takes the name of a table.
        let names_table = |pair: &[Token<'_>]| pair[0].is("in") && !pair[1].is_sign("(");
        if tokens.windows(2).any(names_table) {
            return None;
        }
        let top = top_level(&tokens);
        let place = |word: &str| top.iter().copied().find(|at| tokens[*at].is(word));
        let (from, start) = (place("from")?, place("where")?);
        let source = &tokens[from + 1..start.max(from + 1)];
        // `IS DISTINCT FROM`; several tables; a function.
        if start < from
            || tokens[from - 1].is("distinct")
            || source.iter().any(|token| token.is_sign(",") || token.is_sign("("))
        {
            return None;
        }
        let is_end = |at: &usize| ENDS.iter().any(|word| tokens[*at].is(word)) || tokens[*at].is_sign(";");
        let end = top.iter().copied().find(|at| *at > start && is_end(at)).unwrap_or(tokens.len());
        let numbered = numbered(&tokens, parameters)?;
        // With white space where the query has it: operators may be of several tokens.
        let text = |from: usize, to: usize| {
            (from..to).fold(String::new(), |mut text, at| {
                if tokens[at].at > tokens[at - 1].end() {
                    text.push(' ');
                }
                text + &numbered[at]
            })
        };
        let terms = terms(&tokens, &top, start + 1, end);
        Some(Self {
            sql: format!("SELECT 1 FROM{} WHERE{}", text(from + 1, start), text(start + 1, end)),
            equal: terms.iter().filter_map(|(from, to)| equality(&tokens[*from..*to], &numbered[*from..*to])).collect(),
        })
    }
}

/// Returns the indexes of the tokens that are in no parentheses.
fn top_level(tokens: &[Token<'_>]) -> Vec<usize> {
    let mut depth = 0_i32;
    let mut top = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        depth -= i32::from(token.is_sign(")"));
        if depth == 0 {
            top.push(at);
        }
        depth += i32::from(token.is_sign("("));
    }
    top
}

/// Returns the texts of the tokens, with the parameters by their numbers, which belong to the first token of each; the others of it are empty.
/// `None` when their numbers are unknown.
fn numbered(tokens: &[Token<'_>], parameters: &[String]) -> Option<Vec<String>> {
    let mut texts: Vec<String> = Vec::with_capacity(tokens.len());
    let mut last = 0;
    let mut skip = false;
    for (at, token) in tokens.iter().enumerate() {
        if std::mem::take(&mut skip) {
            texts.push(String::new());
            continue;
        }
        let joined = tokens.get(at + 1).filter(|next| next.at == token.end());
        let named = |name: &str| parameters.iter().position(|known| known == name).map(|place| place + 1);
        let number = if token.is_sign("?") {
            match joined.filter(|next| next.kind == TokenKind::Number) {
                Some(explicit) => {
                    skip = true;
                    explicit.text.parse().ok()?
                }
                None => last + 1,
            }
        } else if token.is_sign(":") || token.is_sign("@") {
            skip = true;
            named(&format!("{}{}", token.text, joined?.text))?
        } else if token.kind == TokenKind::Word && token.text.starts_with('$') {
            named(token.text)?
        } else {
            texts.push(token.text.to_owned());
            continue;
        };
        last = last.max(number);
        texts.push(format!("?{number}"));
    }
    Some(texts)
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
    use super::Condition;

    fn of(sql: &str) -> Option<(String, Vec<(String, usize)>)> {
        Condition::of(sql, &[":a".to_owned(), "@b".to_owned(), "$c".to_owned()])
            .map(|condition| (condition.sql, condition.equal))
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

//! A SELECT on one table without another SELECT in it, as tokens.

use crate::sqlite::{Token, TokenKind, tokens};

/// Words that make it another kind of query, wherever they stand.
const OTHER_KINDS: [&str; 8] = ["union", "intersect", "except", "join", "using", "natural", "with", "over"];

/// The clauses after FROM, in their order.
const CLAUSES: [&str; 6] = ["where", "group", "having", "window", "order", "limit"];

/// The tokens of a query.
pub(super) struct PlainQuery<'s> {
    pub tokens: Vec<Token<'s>>,
    /// The indexes of the tokens that are in no parentheses.
    pub top: Vec<usize>,
    /// The texts of the tokens, with the parameters as `?1`, `?2`... by the numbers that the whole query gives them.
    pub numbered: Vec<String>,
    /// The index of FROM.
    pub from: usize,
}

impl<'s> PlainQuery<'s> {
    /// Reads a query; `None` if it is of another kind. `parameters` are the query's, with their prefixes; empty for those without a name.
    pub fn of(sql: &'s str, parameters: &[String]) -> Option<Self> {
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
        let from = top.iter().copied().find(|at| tokens[*at].is("from"))?;
        let is_clause = |at: &usize| CLAUSES.iter().any(|word| tokens[*at].is(word));
        let first_clause = top.iter().copied().find(is_clause).unwrap_or(tokens.len());
        // `IS DISTINCT FROM`; several tables; a function.
        let source = tokens.get(from + 1..first_clause)?;
        if tokens[from - 1].is("distinct") || source.iter().any(|token| token.is_sign(",") || token.is_sign("(")) {
            return None;
        }
        let numbered = numbered(&tokens, parameters)?;
        Some(Self { tokens, top, numbered, from })
    }

    /// Returns the index of a keyword outside of parentheses.
    pub fn place(&self, word: &str) -> Option<usize> {
        self.top.iter().copied().find(|at| self.tokens[*at].is(word))
    }

    /// Returns the text of a range of tokens, with white space where the query has it: operators may be of several tokens.
    pub fn text(&self, from: usize, to: usize) -> String {
        (from..to).fold(String::new(), |mut text, at| {
            if self.tokens[at].at > self.tokens[at - 1].end() {
                text.push(' ');
            }
            text + &self.numbered[at]
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

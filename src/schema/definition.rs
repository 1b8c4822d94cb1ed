//! A parsed CREATE TABLE: columns, constraints and options.

use std::ops::Range;

use super::same;
use crate::sqlite::{Token, default_value, normal, tokens};

/// The kind of a column's clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClauseKind {
    /// Its type, which may be empty.
    Type,
    /// PRIMARY KEY.
    PrimaryKey,
    /// NOT NULL.
    NotNull,
    /// UNIQUE.
    Unique,
    /// CHECK.
    Check,
    /// DEFAULT.
    Default,
    /// COLLATE.
    Collate,
    /// REFERENCES.
    References,
    /// GENERATED ALWAYS AS.
    Generated,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, without quotes.
    pub name: String,
    /// Its definition as written, with the name.
    pub text: String,
    /// Type and constraints in their normal forms: the type first, the others sorted.
    pub clauses: Vec<(ClauseKind, String)>,
    /// Its default, as an expression.
    pub default: Option<String>,
}

/// The columns, constraints and options of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The byte range of the table's name in the text.
    pub name: Range<usize>,
    /// The columns, in order.
    pub columns: Vec<Column>,
    /// The table's constraints in their normal forms, sorted.
    pub constraints: Vec<String>,
    /// STRICT and WITHOUT ROWID.
    pub options: Vec<String>,
}

impl Column {
    /// Returns whether the column has a clause of that kind.
    pub fn has(&self, kind: ClauseKind) -> bool {
        self.clauses.iter().any(|(known, _)| *known == kind)
    }

    /// Returns the column's clause of that kind.
    pub fn clause(&self, kind: ClauseKind) -> Option<&str> {
        self.clauses.iter().find(|(known, _)| *known == kind).map(|(_, text)| text.as_str())
    }

    /// Returns the declared type in lower case; empty without one.
    pub fn declared(&self) -> &str {
        self.clause(ClauseKind::Type).unwrap_or_default()
    }

    /// Returns the default, unless it is NULL.
    pub fn value(&self) -> Option<&str> {
        self.default.as_deref().filter(|default| !same(default, "null"))
    }

    /// Describes the column without its name, for people.
    pub fn described(&self) -> String {
        let clauses: Vec<_> =
            self.clauses.iter().map(|(_, text)| text.as_str()).filter(|text| !text.is_empty()).collect();
        clauses.join(" ")
    }
}

impl Definition {
    /// Parses a CREATE TABLE from the schema; `None` for any other statement, such as that of a virtual table.
    pub fn read(sql: &str) -> Option<Self> {
        let tokens = tokens(sql);
        let [create, table, name, open, ..] = tokens.as_slice() else { return None };
        if !(create.is("create") && table.is("table") && open.is_sign("(")) {
            return None;
        }
        let name = name.at..name.end();
        let (mut depth, mut from) = (0_usize, 4);
        let mut pieces = Vec::new();
        for (index, token) in tokens.iter().enumerate().skip(3) {
            if token.is_sign("(") {
                depth += 1;
            } else if token.is_sign(")") {
                depth -= 1;
            }
            if depth == 0 || depth == 1 && token.is_sign(",") {
                pieces.push(&tokens[from..index]);
                from = index + 1;
            }
            if depth == 0 {
                break;
            }
        }
        let mut definition = Self { name, columns: Vec::new(), constraints: Vec::new(), options: Vec::new() };
        for piece in pieces {
            match piece.first() {
                Some(first) if TABLE_CONSTRAINTS.iter().any(|word| first.is(word)) => {
                    let ends =
                        clause_starts(piece, |_, token| TABLE_CONSTRAINTS[1..].iter().any(|word| token.is(word)));
                    definition.constraints.extend(split(piece, &ends).map(normal));
                }
                Some(_) => definition.columns.push(column(sql, piece)),
                None => {}
            }
        }
        let rest = tokens.get(from..).unwrap_or_default();
        definition.options = rest.split(|token| token.is_sign(",")).map(normal).filter(|one| !one.is_empty()).collect();
        definition.constraints.sort_unstable();
        definition.options.sort_unstable();
        Some(definition)
    }

    /// Returns the column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| same(&column.name, name))
    }

    /// Describes the table's constraints and options, for people.
    pub fn described(&self) -> String {
        let all: Vec<_> = self.constraints.iter().chain(&self.options).map(String::as_str).collect();
        all.join(", ")
    }
}

const TABLE_CONSTRAINTS: [&str; 5] = ["constraint", "primary", "unique", "check", "foreign"];

/// Returns the indexes where clauses begin: at tokens that `begins` accepts, outside of parentheses. A CONSTRAINT name
/// belongs to the clause after it.
fn clause_starts(tokens: &[Token<'_>], begins: impl Fn(usize, &Token<'_>) -> bool) -> Vec<usize> {
    let (mut depth, mut named, mut found) = (0_usize, 0, Vec::new());
    for (index, token) in tokens.iter().enumerate() {
        if token.is_sign("(") {
            depth += 1;
        } else if token.is_sign(")") {
            depth = depth.saturating_sub(1);
        } else if depth == 0 && token.is("constraint") {
            found.push(index);
            // Skips its name and the word after that.
            named = index + 2;
        } else if depth == 0 && index > named && begins(index, token) || depth == 0 && index == 0 && begins(0, token) {
            found.push(index);
        }
    }
    found
}

fn split<'t, 's>(tokens: &'t [Token<'s>], clause_starts: &[usize]) -> impl Iterator<Item = &'t [Token<'s>]> {
    let ends: Vec<usize> = clause_starts.iter().skip(1).copied().chain([tokens.len()]).collect();
    let begins = clause_starts.to_vec();
    begins.into_iter().zip(ends).map(|(begin, end)| &tokens[begin..end])
}

fn column(sql: &str, piece: &[Token<'_>]) -> Column {
    let (name, rest) = (&piece[0], &piece[1..]);
    let text = sql[name.at..piece[piece.len() - 1].end()].to_owned();
    let before = |index: usize, word: &str| index > 0 && rest[index - 1].is(word);
    let begins = |index: usize, token: &Token<'_>| {
        let follows = |word: &str| rest.get(index + 1).is_some_and(|next| next.is(word));
        if token.is("not") {
            return follows("null");
        }
        if token.is("null") {
            return !(before(index, "not") || before(index, "set") || before(index, "default"));
        }
        if token.is("default") {
            return !before(index, "set");
        }
        if token.is("as") {
            return !before(index, "always");
        }
        ["primary", "unique", "check", "collate", "references", "generated"].iter().any(|word| token.is(word))
    };
    let ends = clause_starts(rest, begins);
    let declared = normal(&rest[..ends.first().copied().unwrap_or(rest.len())]);
    let mut default = None;
    let mut clauses = Vec::new();
    for clause in split(rest, &ends) {
        let body = if clause[0].is("constraint") { clause.get(2..).unwrap_or_default() } else { clause };
        let Some(first) = body.first() else { continue };
        let kind = match first.text.to_ascii_lowercase().as_str() {
            "primary" => ClauseKind::PrimaryKey,
            "not" => ClauseKind::NotNull,
            "unique" => ClauseKind::Unique,
            "check" => ClauseKind::Check,
            "default" => ClauseKind::Default,
            "collate" => ClauseKind::Collate,
            "references" => ClauseKind::References,
            "generated" | "as" => ClauseKind::Generated,
            // NULL, which has no effect.
            _ => continue,
        };
        if kind == ClauseKind::Default {
            default = Some(match &body[1..] {
                [one] => default_value(one),
                several => {
                    let end = several.last().map_or(first.end(), Token::end);
                    sql[several.first().map_or(end, |token| token.at)..end].to_owned()
                }
            });
        }
        // GENERATED ALWAYS and VIRTUAL have no effect either.
        let short = kind == ClauseKind::Generated && !clause[0].is("constraint");
        let from = if short && first.is("generated") { 2 } else { 0 };
        let upto = clause.len() - usize::from(short && clause[clause.len() - 1].is("virtual"));
        clauses.push((kind, normal(&clause[from.min(upto)..upto])));
    }
    clauses.sort_unstable_by(|a, b| a.1.cmp(&b.1));
    clauses.insert(0, (ClauseKind::Type, declared));
    Column { name: name.name(), text, clauses, default }
}

#[cfg(test)]
mod tests {
    use super::{ClauseKind, Definition};

    fn of(body: &str) -> Definition {
        Definition::read(&format!("CREATE TABLE \"t\" {body}")).unwrap()
    }

    #[test]
    fn a_table_is_cut_at_its_top_level_commas() {
        let table = of("(a, \"b c\" DECIMAL(10, 2) DEFAULT (max(1, 2)), [d] TEXT CHECK (d IN ('x,y', ')')),
            PRIMARY KEY (a, d), CONSTRAINT f FOREIGN KEY (a) REFERENCES p(x) ON DELETE SET NULL CHECK (a > 0)) STRICT, WITHOUT ROWID");
        assert_eq!(table.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(), ["a", "b c", "d"]);
        assert_eq!(table.columns[1].declared(), "decimal ( 10 , 2 )");
        assert_eq!(table.columns[1].default.as_deref(), Some("(max(1, 2))"));
        assert_eq!(
            table.constraints,
            [
                "check ( a > 0 )",
                "constraint f foreign key ( a ) references p ( x ) on delete set null",
                "primary key ( a , d )"
            ]
        );
        assert_eq!(table.options, ["strict", "without rowid"]);
    }

    #[test]
    fn a_column_is_cut_at_its_constraints_whose_order_is_its_own() {
        let a = of("(x TEXT NOT NULL DEFAULT 'a' COLLATE nocase REFERENCES p ON DELETE SET DEFAULT NOT DEFERRABLE)");
        let b = of("(X text collate NOCASE references p on delete set default not deferrable default \"a\" not null)");
        assert_eq!(a.columns[0].clauses, b.columns[0].clauses);
        let kinds: Vec<_> = a.columns[0].clauses.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(
            kinds,
            [ClauseKind::Type, ClauseKind::Collate, ClauseKind::Default, ClauseKind::NotNull, ClauseKind::References]
        );
        assert_eq!(a.columns[0].value(), Some("'a'"));
        let c = of("(x INTEGER NULL DEFAULT NULL, y AS (x + 1), z INT GENERATED ALWAYS AS (x) STORED)");
        assert_eq!((c.columns[0].value(), c.columns[0].described().as_str()), (None, "integer default null"));
        assert_eq!(c.columns[1].clauses, of("(y GENERATED ALWAYS AS (x + 1) VIRTUAL)").columns[0].clauses);
        assert_eq!(c.columns[2].described(), "int as ( x ) stored");
        assert_eq!(
            of("(x CONSTRAINT n NOT NULL CONSTRAINT u UNIQUE)").columns[0].described(),
            "constraint n not null constraint u unique"
        );
        assert_eq!(of("(x DEFAULT -1)").columns[0].default.as_deref(), Some("-1"));
    }

    #[test]
    fn anything_else_is_none() {
        for sql in ["CREATE VIRTUAL TABLE f USING fts5(a)", "CREATE INDEX i ON t(a)", "", "CREATE TABLE t"] {
            assert_eq!(Definition::read(sql), None, "{sql}");
        }
    }
}

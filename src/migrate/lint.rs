//! Warnings about probable mistakes in a migration, from its text alone.

use serde::Serialize;

use super::migration::{Body, Migration, SuppliedMigrations};
use crate::sqlite::{FIXED_PRAGMAS, Token, line_of, statements, tokens};

/// Pragmas without effect inside a transaction, or on a database with tables.
const WITHOUT_EFFECT: [&str; 4] = ["foreign_keys", "defer_foreign_keys", "encoding", "auto_vacuum"];

/// The kind of a lint finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum LintCode {
    /// A table is dropped with its rows.
    DropTable,
    /// A column is dropped with its values.
    DropColumn,
    /// All rows of a table are deleted.
    DeleteWithoutWhere,
    /// A NOT NULL column without a default is added.
    NotNullWithoutDefault,
    /// The migration can't be reverted.
    NoDown,
    /// A pragma has no effect in a migration.
    PragmaWithoutEffect,
    /// A pragma isn't allowed.
    PragmaRefused,
    /// The script begins or ends a transaction.
    OwnTransaction,
}

/// A lint finding on a migration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct LintFinding {
    /// The kind of finding.
    pub code: LintCode,
    /// The version of the migration.
    pub version: String,
    /// The line in its `up`, from 1; 1 for findings on the whole migration.
    pub line: usize,
    /// A description for people.
    pub message: String,
}

/// Returns the findings for all migrations, in their order.
pub fn lint(supplied: &SuppliedMigrations) -> Vec<LintFinding> {
    let mut found = Vec::new();
    for migration in supplied.iter() {
        let mut push =
            |code, line, message| found.push(LintFinding { code, version: migration.version.clone(), line, message });
        if migration.down.is_none() {
            push(LintCode::NoDown, 1, "It can't be reverted: it has no `down`".to_owned());
        }
        let Body::Sql(sql) = &migration.up else { continue };
        let all: Vec<(usize, Vec<Token<'_>>)> = statements(sql)
            .map(|text| (line_of(sql, text.as_ptr().addr() - sql.as_ptr().addr()), tokens(text)))
            .collect();
        for (index, (line, statement)) in all.iter().enumerate() {
            let (before, after) = (&all[..index], &all[index + 1..]);
            let around = Around { before, after };
            if let Some((code, message)) = remark(statement, &around, migration) {
                push(code, *line, message);
            }
        }
    }
    found
}

type Lines<'a> = &'a [(usize, Vec<Token<'a>>)];

/// The other statements of a script.
struct Around<'a> {
    before: Lines<'a>,
    after: Lines<'a>,
}

impl Around<'_> {
    /// Returns whether this script created the table before: it has no rows yet, or copied ones.
    fn creates(&self, table: &str) -> bool {
        self.before.iter().any(|(_, made)| {
            let temporary = usize::from(made.get(1).is_some_and(|word| word.is("temp") || word.is("temporary")));
            let is_table = made.first().is_some_and(|word| word.is("create"))
                && made.get(1 + temporary).is_some_and(|word| word.is("table"));
            is_table && named(&made[2 + temporary..]).is_some_and(|(name, _)| name.eq_ignore_ascii_case(table))
        })
    }

    /// Returns whether another table takes the name afterwards, as in a rebuild.
    fn replaces(&self, table: &str) -> bool {
        self.after.iter().any(|(_, rename)| {
            let words = ["alter", "table"].iter().zip(rename).all(|(word, token)| token.is(word));
            let takes = rename.len() > 3
                && rename[rename.len().saturating_sub(4)..].windows(3).any(|three| {
                    three[0].is("rename") && three[1].is("to") && three[2].name().eq_ignore_ascii_case(table)
                });
            words && takes
        })
    }
}

fn remark(statement: &[Token<'_>], around: &Around<'_>, migration: &Migration) -> Option<(LintCode, String)> {
    let is = |index: usize, word: &str| statement.get(index).is_some_and(|token| token.is(word));
    if is(0, "drop") && is(1, "table") {
        let (table, _) = named(&statement[2..])?;
        let harmless = around.creates(&table) || around.replaces(&table);
        return (!harmless)
            .then(|| (LintCode::DropTable, format!("Destructive: it drops the table {table} with its rows")));
    }
    if is(0, "alter") && is(1, "table") {
        let (table, rest) = named(&statement[2..])?;
        let [what, rest @ ..] = rest else { return None };
        let column = if rest.first().is_some_and(|word| word.is("column")) { &rest[1..] } else { rest };
        let name = column.first()?.name();
        if what.is("drop") {
            return Some((
                LintCode::DropColumn,
                format!("Destructive: it drops the column {table}.{name} with its values"),
            ));
        }
        let refused = what.is("add") && lacks_value(&column[1..]);
        return refused.then(|| {
            let message = format!("The column {table}.{name} is NOT NULL without a default: SQLite refuses to add it");
            (LintCode::NotNullWithoutDefault, message)
        });
    }
    if let Some(at) = top_level(statement).find(|at| is(*at, "delete"))
        && (at == 0 || is(0, "with"))
        && is(at + 1, "from")
    {
        let (table, _) = named(&statement[at + 2..])?;
        let all = !top_level(statement).any(|at| is(at, "where")) && !around.creates(&table);
        return all.then(|| (LintCode::DeleteWithoutWhere, format!("Destructive: it deletes all rows of {table}")));
    }
    if is(0, "pragma") {
        return pragma(&statement[1..], migration.transaction);
    }
    let own = ["begin", "commit", "end", "rollback", "savepoint", "release", "vacuum"].iter().any(|word| is(0, word));
    (own && migration.transaction).then(|| {
        let message = "It fails: a migration runs in a transaction of its own, unless it has transaction: false";
        (LintCode::OwnTransaction, message.to_owned())
    })
}

fn pragma(rest: &[Token<'_>], transaction: bool) -> Option<(LintCode, String)> {
    let rest = if rest.get(1).is_some_and(|sign| sign.is_sign(".")) { &rest[2..] } else { rest };
    let name = rest.first()?.name().to_ascii_lowercase();
    let sets = rest.get(1).is_some_and(|sign| sign.is_sign("=") || sign.is_sign("("));
    if sets && FIXED_PRAGMAS.contains(&name.as_str()) {
        return Some((LintCode::PragmaRefused, format!("It fails: PRAGMA {name} is fixed by tidelock's storage")));
    }
    let keys = name.ends_with("foreign_keys");
    let idle = sets && WITHOUT_EFFECT.contains(&name.as_str()) && (transaction || !keys);
    idle.then(|| {
        let why = if keys {
            "foreign keys are off while a migration runs, and checked at its end"
        } else {
            "the database exists already"
        };
        (LintCode::PragmaWithoutEffect, format!("PRAGMA {name} has no effect here: {why}"))
    })
}

/// Parses a table's name, after IF [NOT] EXISTS and a schema's name. Returns it and the following tokens.
fn named<'t, 's>(mut rest: &'t [Token<'s>]) -> Option<(String, &'t [Token<'s>])> {
    while rest.first().is_some_and(|word| ["if", "not", "exists"].iter().any(|skip| word.is(skip))) {
        rest = &rest[1..];
    }
    if rest.get(1).is_some_and(|sign| sign.is_sign(".")) {
        rest = &rest[2..];
    }
    let (name, rest) = rest.split_first()?;
    Some((name.name(), rest))
}

/// Returns the indexes of the tokens outside of parentheses.
fn top_level(tokens: &[Token<'_>]) -> impl Iterator<Item = usize> {
    let mut depth = 0_i32;
    tokens.iter().enumerate().filter_map(move |(index, token)| {
        depth += i32::from(token.is_sign("(")) - i32::from(token.is_sign(")"));
        (depth == 0).then_some(index)
    })
}

/// Returns whether an added column is NOT NULL and has no default.
fn lacks_value(definition: &[Token<'_>]) -> bool {
    let is = |index: usize, word: &str| definition.get(index).is_some_and(|token| token.is(word));
    let any = |test: &dyn Fn(usize) -> bool| top_level(definition).any(test);
    let required = any(&|at| is(at, "not") && is(at + 1, "null"));
    let given = any(&|at| is(at, "default") && !is(at + 1, "null") || is(at, "as"));
    required && !given
}

#[cfg(test)]
mod tests {
    use super::{super::migration::MigrationSource, LintCode, SuppliedMigrations, lint};

    fn codes(up: &str, transaction: bool) -> Vec<(LintCode, usize)> {
        let source = MigrationSource {
            version: "1".into(),
            name: "name".into(),
            up: Some(up.into()),
            down: Some("SELECT 1".into()),
            transaction: Some(transaction),
            ..MigrationSource::default()
        };
        lint(&SuppliedMigrations::new(vec![source]).unwrap()).into_iter().map(|one| (one.code, one.line)).collect()
    }

    #[test]
    fn destructive_statements_are_found_with_their_line() {
        let up = "-- a comment;\nCREATE TABLE kept(a);\n\n DROP TABLE IF EXISTS main.\"old\";\nALTER TABLE t\n  DROP COLUMN a;
            DELETE FROM t; DELETE FROM t WHERE a; DELETE FROM kept; WITH x AS (SELECT 1 WHERE 1) DELETE FROM t;
            CREATE TRIGGER g AFTER INSERT ON t BEGIN DELETE FROM t; END; ALTER TABLE t DROP b";
        let expected = [
            (LintCode::DropTable, 4),
            (LintCode::DropColumn, 5),
            (LintCode::DeleteWithoutWhere, 7),
            (LintCode::DeleteWithoutWhere, 7),
            (LintCode::DropColumn, 8),
        ];
        assert_eq!(codes(up, true), expected);
    }

    #[test]
    fn a_rebuild_loses_nothing() {
        let up =
            "CREATE TABLE new_t(a); INSERT INTO new_t SELECT a FROM t; DROP TABLE t; ALTER TABLE new_t RENAME TO t;
            CREATE TEMP TABLE x(a); DROP TABLE x";
        assert_eq!(codes(up, true), []);
        assert_eq!(codes("DROP TABLE t; ALTER TABLE new_t RENAME TO u", true), [(LintCode::DropTable, 1)]);
    }

    #[test]
    fn a_required_column_without_a_default_is_found() {
        for (definition, found) in [
            ("COLUMN c TEXT NOT NULL", true),
            ("c TEXT NOT NULL DEFAULT NULL", true),
            ("c TEXT NOT NULL DEFAULT ''", false),
            ("c TEXT CHECK (c NOT NULL)", false),
            ("c TEXT NOT NULL AS (1)", false),
            ("c", false),
        ] {
            let expected: &[_] = if found { &[(LintCode::NotNullWithoutDefault, 1)] } else { &[] };
            assert_eq!(codes(&format!("ALTER TABLE t ADD {definition}"), true), expected, "{definition}");
        }
    }

    #[test]
    fn statements_without_effect_or_that_fail_are_found() {
        let up = "PRAGMA foreign_keys = OFF;\nPRAGMA main.journal_mode(WAL);\nPRAGMA foreign_keys;\nPRAGMA user_version = 3;\nBEGIN;\nVACUUM";
        let expected = [
            (LintCode::PragmaWithoutEffect, 1),
            (LintCode::PragmaRefused, 2),
            (LintCode::OwnTransaction, 5),
            (LintCode::OwnTransaction, 6),
        ];
        assert_eq!(codes(up, true), expected);
        assert_eq!(codes(up, false), [(LintCode::PragmaRefused, 2)]);
    }

    #[test]
    fn a_migration_without_down_is_found() {
        let code = MigrationSource {
            version: "2".into(),
            name: "n".into(),
            up_is_function: true,
            ..MigrationSource::default()
        };
        let found = lint(&SuppliedMigrations::new(vec![code]).unwrap());
        assert_eq!((found[0].code, found[0].version.as_str(), found[0].line), (LintCode::NoDown, "2", 1));
    }

    #[test]
    fn any_text_can_be_read() {
        for up in [
            "DROP TABLE",
            "ALTER TABLE t",
            "ALTER TABLE t ADD",
            "PRAGMA",
            "DELETE FROM",
            "CREATE TABLE",
            "DROP TABLE a; CREATE",
            "WITH",
            ")) DELETE",
        ] {
            codes(up, true);
        }
    }
}

//! Renames. Two schemas can't distinguish a rename from a dropped and an added column, so the caller names renames.

use super::{Schema, same};
use crate::{
    error::{Error, Result},
    sqlite::{Connection, PageFile, plain_or_quoted as name},
};

/// The renames between two schemas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// Old and new names of tables.
    tables: Vec<(String, String)>,
    /// The old table, the column's old and new name, the new table.
    columns: Vec<(String, String, String, String)>,
}

impl Renames {
    /// Parses pairs such as `users.mail` and `users.email`, or, for tables, `old` and `new`. For a column of a renamed
    /// table, the old path has the table's old name, and the new path its new one.
    ///
    /// Fails with `invalid_argument` when the old name isn't in `from`, or the new one isn't in `to`.
    pub fn read(pairs: &[(String, String)], from: &Schema, to: &Schema) -> Result<Self> {
        let mut renames = Self::default();
        for (old, new) in pairs {
            match (find(from, old), find(to, new)) {
                (Some((table, None)), Some((other, None))) => renames.tables.push((table, other)),
                (Some((table, Some(column))), Some((other, Some(now)))) => {
                    renames.columns.push((table, column, now, other));
                }
                (None, _) => return Err(unusable(old, new, &format!("{old} is not in the current schema"))),
                (_, None) => return Err(unusable(old, new, &format!("{new} is not in the target schema"))),
                _ => {
                    let reason = "a table can't be renamed to a column, nor a column to a table";
                    return Err(unusable(old, new, reason));
                }
            }
        }
        let becomes = |table: &str| {
            let renamed = renames.tables.iter().find(|(old, _)| same(old, table));
            renamed.map_or_else(|| table.to_owned(), |(_, new)| new.clone())
        };
        match renames.columns.iter().find(|(table, .., other)| !same(&becomes(table), other)) {
            Some((table, column, now, other)) => {
                let (old, new) = (format!("{table}.{column}"), format!("{other}.{now}"));
                Err(unusable(&old, &new, &format!("{new} is not in the renamed table")))
            }
            None => Ok(renames),
        }
    }

    /// Returns whether there are no renames.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.columns.is_empty()
    }

    /// Returns the reverse renames.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let tables = self.tables.iter().map(|(old, new)| (new.clone(), old.clone())).collect();
        let column = |(table, old, new, other): &(String, String, String, String)| {
            (other.clone(), new.clone(), old.clone(), table.clone())
        };
        Self { tables, columns: self.columns.iter().map(column).collect() }
    }

    /// Returns the statements: columns first, by the old names of their tables.
    pub fn statements(&self) -> Vec<String> {
        let column = |(table, old, new, _): &(String, String, String, String)| {
            format!("ALTER TABLE {} RENAME COLUMN {} TO {}", name(table), name(old), name(new))
        };
        let table = |(old, new): &(String, String)| format!("ALTER TABLE {} RENAME TO {}", name(old), name(new));
        self.columns.iter().map(column).chain(self.tables.iter().map(table)).collect()
    }

    /// Returns the schema after the renames. SQLite runs them, and so adapts the objects that use the renamed names.
    ///
    /// Fails with SQLite's error when it refuses a rename.
    pub fn applied(&self, to: &Schema) -> Result<Schema> {
        let scratch = Connection::open(&PageFile::default())?;
        scratch.exec("PRAGMA foreign_keys = OFF")?;
        for statement in to.statements() {
            scratch.run(statement, &[])?;
        }
        for statement in self.statements() {
            scratch.run(&statement, &[])?;
        }
        Schema::read(&scratch, &[])
    }
}

/// Finds a table by its name, or a column by `table.column`.
fn find(schema: &Schema, path: &str) -> Option<(String, Option<String>)> {
    if let Some(table) = schema.table(path) {
        return Some((table.name.clone(), None));
    }
    // Names may contain dots.
    path.char_indices().filter(|(_, char)| *char == '.').find_map(|(at, _)| {
        let table = schema.table(&path[..at])?;
        let column = table.definition.as_ref()?.column(&path[at + 1..])?;
        Some((table.name.clone(), Some(column.name.clone())))
    })
}

fn unusable(old: &str, new: &str, reason: &str) -> Error {
    Error::invalid(format!("The rename of {old} to {new} can't be used: {reason}"))
        .hint("Renames map the current names to the new ones: { 'users.mail': 'users.email' }")
}

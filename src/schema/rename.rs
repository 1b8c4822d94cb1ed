//! Renames: a schema can't tell one from a column that went and another that came, so they are told.

use super::{Schema, same};
use crate::{
    error::{Error, Result},
    sqlite::{Connection, PageFile, plain_or_quoted as name},
};

/// The renames between two schemas.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Renames {
    /// Old and new name of tables.
    tables: Vec<(String, String)>,
    /// The old table, old and new name of the column, the new table.
    columns: Vec<(String, String, String, String)>,
}

impl Renames {
    /// Reads pairs such as `users.mail` and `users.email`, or, for tables, `old` and `new`. In a table that is renamed too, the
    /// old table goes with the old column and the new one with the new.
    ///
    /// `invalid_argument` when the old name isn't in `from`, or the new one isn't in `to`.
    pub fn read(pairs: &[(String, String)], from: &Schema, to: &Schema) -> Result<Self> {
        let mut renames = Self::default();
        for (old, new) in pairs {
            match (find(from, old), find(to, new)) {
                (Some((table, None)), Some((other, None))) => renames.tables.push((table, other)),
                (Some((table, Some(column))), Some((other, Some(now)))) => {
                    renames.columns.push((table, column, now, other));
                }
                (None, _) => return Err(unknown(old, new, old, "today's schema")),
                (_, None) => return Err(unknown(old, new, new, "the schema that is wanted")),
                _ => {
                    return Err(unknown(
                        old,
                        new,
                        new,
                        "the same kind: a table is renamed to a table, a column to one",
                    ));
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
                Err(unknown(&old, &new, &new, "the table that the other one becomes"))
            }
            None => Ok(renames),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty() && self.columns.is_empty()
    }

    /// The way back.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let tables = self.tables.iter().map(|(old, new)| (new.clone(), old.clone())).collect();
        let column = |(table, old, new, other): &(String, String, String, String)| {
            (other.clone(), new.clone(), old.clone(), table.clone())
        };
        Self { tables, columns: self.columns.iter().map(column).collect() }
    }

    /// The statements: columns first, under the old names of their tables.
    pub fn statements(&self) -> Vec<String> {
        let column = |(table, old, new, _): &(String, String, String, String)| {
            format!("ALTER TABLE {} RENAME COLUMN {} TO {}", name(table), name(old), name(new))
        };
        let table = |(old, new): &(String, String)| format!("ALTER TABLE {} RENAME TO {}", name(old), name(new));
        self.columns.iter().map(column).chain(self.tables.iter().map(table)).collect()
    }

    /// The schema as the renames leave it: SQLite itself finds what else names what is renamed.
    ///
    /// SQLite's error, when it can't rename.
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

/// A table by its name, or a column by `table.column`.
fn find(schema: &Schema, path: &str) -> Option<(String, Option<String>)> {
    if let Some(table) = schema.table(path) {
        return Some((table.name.clone(), None));
    }
    // Names may have dots themselves.
    path.char_indices().filter(|(_, char)| *char == '.').find_map(|(at, _)| {
        let table = schema.table(&path[..at])?;
        let column = table.definition.as_ref()?.column(&path[at + 1..])?;
        Some((table.name.clone(), Some(column.name.clone())))
    })
}

fn unknown(old: &str, new: &str, which: &str, place: &str) -> Error {
    Error::invalid(format!("The rename of {old} to {new} can't be used: {which} is not in {place}"))
        .hint("Renames go from what is there today to what is wanted: { 'users.mail': 'users.email' }")
}

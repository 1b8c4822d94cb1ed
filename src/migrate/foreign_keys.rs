//! Rows whose parent is missing: which of them did a migration bring in?

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    error::{Detail, Result},
    sqlite::{Connection, FkViolation, quote},
    value::Value,
};

/// How many violations an error lists.
const SHOWN: usize = 20;

/// One row whose parent is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Where it is.
    pub at: FkViolation,
    /// The row's foreign key as SQL literals: what is left of its identity when a table is rebuilt and its rows are numbered
    /// anew. Empty where the row can't be named by a rowid.
    values: String,
}

impl Violation {
    fn identity(&self) -> (&str, &str, &str) {
        (&self.at.table, &self.at.parent, &self.values)
    }

    fn detail(&self) -> Detail {
        let names = [("table", self.at.table.as_str().into()), ("parent", self.at.parent.as_str().into())];
        let rowid = self.at.rowid.map(|rowid| ("rowid", Detail::Int(rowid)));
        Detail::Object(names.into_iter().chain(rowid).collect())
    }
}

/// All rows of the database whose parent is missing. Fails as SQLite does when a foreign key doesn't fit its parent table.
pub fn violations(connection: &Connection) -> Result<Vec<Violation>> {
    let mut queries = HashMap::new();
    let mut found = Vec::new();
    for at in connection.foreign_key_check(usize::MAX)? {
        let values = match at.rowid {
            Some(rowid) => {
                let query = match queries.entry((at.table.clone(), at.key)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => free.insert(values_query(connection, &at.table, at.key)?),
                };
                connection.value(query, &[rowid.into()])?
            }
            None => None,
        };
        let values = values.as_ref().and_then(Value::as_text).unwrap_or_default().to_owned();
        found.push(Violation { at, values });
    }
    Ok(found)
}

/// The query that gives the columns of one foreign key of a row as SQL literals.
fn values_query(connection: &Connection, table: &str, key: i64) -> Result<String> {
    let keys = connection.foreign_keys(table)?;
    let from = keys.iter().filter(|it| it.id == key).flat_map(|key| &key.from);
    let columns: Vec<String> = from.map(|column| format!("quote({})", quote(column))).collect();
    let columns = columns.join("||','||");
    Ok(format!("SELECT {columns} FROM main.{} WHERE rowid = ?1", quote(table)))
}

/// Those of `after` that `before` doesn't explain: each violation before stands for one with the same table, parent and
/// values afterwards, whatever its rowid has become.
pub fn added(before: &[Violation], mut after: Vec<Violation>) -> Vec<Violation> {
    let mut known = HashMap::new();
    for violation in before {
        *known.entry(violation.identity()).or_insert(0_usize) += 1;
    }
    let is_new = after.iter().map(|violation| match known.get_mut(&violation.identity()) {
        Some(left) if *left > 0 => {
            *left -= 1;
            false
        }
        _ => true,
    });
    let mut is_new = is_new.collect::<Vec<_>>().into_iter();
    after.retain(|_| is_new.next().unwrap_or(true));
    after
}

/// The first violations for `details.violations`.
pub fn details(violations: &[Violation]) -> Vec<Detail> {
    violations.iter().take(SHOWN).map(Violation::detail).collect()
}

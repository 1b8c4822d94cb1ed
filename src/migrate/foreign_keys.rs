//! Foreign key violations: which of them a migration introduced.

use std::collections::{HashMap, hash_map::Entry};

use crate::{
    error::{Detail, Result},
    sqlite::{Connection, FkViolation, quote},
    value::Value,
};

/// The number of violations that an error lists.
const SHOWN: usize = 20;

/// One foreign key violation: a row whose parent is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// Its position.
    pub at: FkViolation,
    /// The row's foreign key as SQL literals: identifies the row after a rebuild has changed its rowid. Empty for rows
    /// without a rowid.
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

/// Returns all foreign key violations of the database. Fails as SQLite does when a foreign key doesn't fit its parent
/// table.
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

/// Returns the query that reads the columns of a row's foreign key as SQL literals.
fn values_query(connection: &Connection, table: &str, key: i64) -> Result<String> {
    let keys = connection.foreign_keys(table)?;
    let from = keys.iter().filter(|it| it.id == key).flat_map(|key| &key.from);
    let columns: Vec<String> = from.map(|column| format!("quote({})", quote(column))).collect();
    let columns = columns.join("||','||");
    Ok(format!("SELECT {columns} FROM main.{} WHERE rowid = ?1", quote(table)))
}

/// Returns the violations in `after` that are not in `before`. Violations match by table, parent and values: rowids may
/// have changed.
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

/// Returns the first violations for `details.violations`.
pub fn details(violations: &[Violation]) -> Vec<Detail> {
    violations.iter().take(SHOWN).map(Violation::detail).collect()
}

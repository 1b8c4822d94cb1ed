//! Rows whose parent is missing: which of them did a migration bring in?

use std::collections::{BTreeMap, HashMap, hash_map::Entry};

use crate::{
    error::{Detail, Error, Result},
    sqlite::Connection,
    value::Value,
};

/// How many violations an error lists.
const SHOWN: usize = 20;

/// One row whose parent is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The table of the row.
    pub table: String,
    /// Its rowid; `None` for a table WITHOUT ROWID.
    pub rowid: Option<i64>,
    /// The table that lacks its parent.
    pub parent: String,
    /// The row's foreign key as SQL literals: what is left of its identity when a table is rebuilt and its rows are
    /// numbered anew. Empty where the row can't be named by a rowid.
    key: String,
}

impl Violation {
    fn detail(&self) -> Detail {
        let rowid = self.rowid.map(|rowid| ("rowid".into(), Detail::Int(rowid)));
        let names = [("table".into(), self.table.as_str().into()), ("parent".into(), self.parent.as_str().into())];
        Detail::Object(names.into_iter().chain(rowid).collect::<BTreeMap<_, _>>())
    }
}

/// All rows of the database whose parent is missing. Fails as SQLite does when a foreign key doesn't fit its parent table.
pub fn violations(connection: &Connection) -> Result<Vec<Violation>> {
    let mut keys = HashMap::new();
    let mut found = Vec::new();
    for row in connection.rows("PRAGMA main.foreign_key_check", &[])? {
        let [table, rowid, parent, id] = <[Value; 4]>::try_from(row)
            .map_err(|_| Error::internal("foreign_key_check gave a row of another shape"))?;
        let (table, parent) = (table.as_text().unwrap_or_default(), parent.as_text().unwrap_or_default());
        let key = match (rowid.as_integer(), id.as_integer()) {
            (Some(rowid), Some(id)) => {
                let query = match keys.entry((table.to_owned(), id)) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(free) => free.insert(key_query(connection, table, id)?),
                };
                connection.value(query, &[rowid.into()])?
            }
            _ => None,
        };
        let key = key.as_ref().and_then(Value::as_text).unwrap_or_default().to_owned();
        found.push(Violation { table: table.to_owned(), rowid: rowid.as_integer(), parent: parent.to_owned(), key });
    }
    Ok(found)
}

/// The query that gives the columns of one foreign key of a row as SQL literals.
fn key_query(connection: &Connection, table: &str, id: i64) -> Result<String> {
    let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let columns = connection
        .rows(
            "SELECT \"from\" FROM pragma_foreign_key_list(?1, 'main') WHERE id = ?2 ORDER BY seq",
            &[table.into(), id.into()],
        )?
        .iter()
        .filter_map(|row| row.first().and_then(Value::as_text))
        .map(|column| format!("quote({})", quote(column)))
        .collect::<Vec<_>>()
        .join("||','||");
    Ok(format!("SELECT {columns} FROM main.{} WHERE rowid = ?1", quote(table)))
}

/// Those of `after` that `before` doesn't explain: each violation before stands for one with the same table, parent and
/// key afterwards, whatever its rowid has become.
pub fn added(before: &[Violation], mut after: Vec<Violation>) -> Vec<Violation> {
    fn identity(violation: &Violation) -> (&str, &str, &str) {
        (&violation.table, &violation.parent, &violation.key)
    }
    let mut known = HashMap::new();
    for violation in before {
        *known.entry(identity(violation)).or_insert(0_usize) += 1;
    }
    let is_new = after.iter().map(|violation| match known.get_mut(&identity(violation)) {
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

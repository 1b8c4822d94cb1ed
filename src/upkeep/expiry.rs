//! Rows whose time has passed.

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    sqlite::{Connection, TableFacts, TableKind, quote},
    time::Timestamp,
    value::Value,
};

/// The column that says when the rows of a table have expired.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Expiry {
    /// The table.
    pub table: String,
    /// The column. A text is a moment in ISO 8601 (UTC, unless it names a zone), a number seconds since 1970, or milliseconds from
    /// 1e11 on. What is none of these never expires.
    pub column: String,
}

/// Goes through a table once, in the order of its key.
pub struct Sweep {
    table: String,
    /// The key's columns, quoted and joined.
    key: String,
    width: usize,
    expired: String,
    now: Timestamp,
    /// The last key that was gone through.
    last: Option<Vec<Value>>,
    done: bool,
}

impl Sweep {
    /// Begins. `invalid_argument` when there is no such table or column.
    pub fn begin(connection: &Connection, expiry: &Expiry, now: Timestamp) -> Result<Self> {
        let Expiry { table, column } = expiry;
        let facts =
            TableFacts::read(connection, table)?.filter(|facts| facts.kind == TableKind::Table).ok_or_else(|| {
                Error::invalid(format!("There is no table \"{table}\" whose rows could expire"))
                    .hint("Mend its name in `expires`")
                    .detail("table", table.as_str())
            })?;
        if !facts.has_column(column) {
            return Err(Error::invalid(format!("The table \"{table}\" has no column \"{column}\" to expire by"))
                .hint("Mend its name in `expires`")
                .detail("table", table.as_str())
                .detail("column", column.as_str()));
        }
        let key: Vec<String> = if facts.without_rowid {
            facts.primary_key().iter().map(|name| quote(name)).collect()
        } else {
            vec![facts.rowid_name().unwrap_or("rowid").to_owned()]
        };
        let value = quote(column);
        let expired = format!(
            "CASE typeof({value}) WHEN 'text' THEN julianday({value}) <= ?1 WHEN 'integer' THEN {ms} WHEN 'real' THEN {ms} END",
            ms = format!("CASE WHEN {value} BETWEEN -1e11 AND 1e11 THEN {value} * 1000.0 ELSE {value} END <= ?2")
        );
        let table = format!("main.{}", quote(&facts.name));
        Ok(Self { table, width: key.len(), key: key.join(", "), expired, now, last: None, done: false })
    }

    /// The statement that deletes what has expired of the next `slice` rows, with its parameters; none when all rows were gone
    /// through.
    pub fn next(&mut self, connection: &Connection, slice: u32) -> Result<Option<(String, Vec<Value>)>> {
        if self.done {
            return Ok(None);
        }
        let Self { table, key, width, expired, .. } = self;
        // The numbers behind those of the moments.
        let place = |from: usize| (from..from + *width).map(|at| format!("?{at}")).collect::<Vec<_>>().join(", ");
        let (behind, first) = match &self.last {
            Some(last) => (format!("({key}) > ({})", place(3)), last.as_slice()),
            None => ("?3 IS NULL".to_owned(), &[Value::Null][..]),
        };
        let mut params = vec![
            // Julian days, as SQLite reads texts.
            Value::Real(self.now.0 as f64 / 86_400_000.0 + 2_440_587.5),
            Value::Real(self.now.0 as f64),
        ];
        params.extend_from_slice(first);
        let sql = format!(
            "SELECT {key} FROM {table} WHERE {behind} AND ?1 <> ?2 ORDER BY {key} LIMIT 1 OFFSET {}",
            slice.saturating_sub(1)
        );
        let end = connection.rows(&sql, &params)?.pop();
        let mut sql = format!("DELETE FROM {table} WHERE {behind} AND {expired}");
        match &end {
            Some(end) => {
                sql += &format!(" AND ({key}) <= ({})", place(params.len() + 1));
                params.extend_from_slice(end);
            }
            None => self.done = true,
        }
        self.last = end;
        Ok(Some((sql, params)))
    }
}

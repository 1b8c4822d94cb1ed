//! The deletion of expired rows.

use serde::Deserialize;

use crate::{
    error::{Error, Result},
    sqlite::{Connection, TableInfo, TableKind, quote},
    time::Timestamp,
    value::Value,
};

/// The column that holds the expiry time of a table's rows.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Expiry {
    /// The table.
    pub table: String,
    /// The column. A text is a time in ISO 8601 (UTC, unless it names a zone), a number is seconds since 1970, or
    /// milliseconds from 1e11 on. Other values never expire.
    pub column: String,
}

/// Deletes expired rows of a table in one pass, in the order of its key.
#[derive(Clone)]
pub struct Sweep {
    table: String,
    /// The key's columns, quoted and joined.
    key: String,
    width: usize,
    expired: String,
    now: Timestamp,
    /// The last key processed.
    last: Option<Vec<Value>>,
    done: bool,
}

impl Sweep {
    /// Starts a sweep. Fails with `invalid_argument` when the table or column doesn't exist.
    pub fn begin(connection: &Connection, expiry: &Expiry, now: Timestamp) -> Result<Self> {
        let Expiry { table, column } = expiry;
        let info =
            TableInfo::read(connection, table)?.filter(|info| info.kind == TableKind::Table).ok_or_else(|| {
                Error::invalid(format!("There is no table \"{table}\" to expire rows of"))
                    .hint("Correct its name in `expires`")
                    .detail("table", table.as_str())
            })?;
        if !info.has_column(column) {
            return Err(Error::invalid(format!("The table \"{table}\" has no column \"{column}\" to expire by"))
                .hint("Correct its name in `expires`")
                .detail("table", table.as_str())
                .detail("column", column.as_str()));
        }
        let key: Vec<String> = if info.without_rowid {
            info.primary_key().iter().map(|name| quote(name)).collect()
        } else {
            vec![info.rowid_name().unwrap_or("rowid").to_owned()]
        };
        let value = quote(column);
        // SQLite's functions also read other texts as times: '30' as a Julian day, '10:00' as one of the year 2000, and '2026-02-30'. They
        // read a text until its first NUL.
        let expired = format!(
            "CASE typeof({value}) WHEN 'text' THEN instr({value}, char(0)) = 0 AND date({day}) = {day} AND julianday({value}) <= ?1 WHEN 'integer' THEN {ms} WHEN 'real' THEN {ms} END",
            day = format!("substr({value}, 1, 10)"),
            ms = format!("CASE WHEN {value} > -1e11 AND {value} < 1e11 THEN {value} * 1000.0 ELSE {value} END <= ?2")
        );
        let table = format!("main.{}", quote(&info.name));
        Ok(Self { table, width: key.len(), key: key.join(", "), expired, now, last: None, done: false })
    }

    /// Returns whether the last row was processed.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Returns the statement that deletes the expired ones among the next `slice` rows, with its parameters.
    pub fn next(&mut self, connection: &Connection, slice: u32) -> Result<(String, Vec<Value>)> {
        let Self { table, key, width, expired, .. } = self;
        // Parameters 1 and 2 are the times.
        let place = |from: usize| (from..from + *width).map(|at| format!("?{at}")).collect::<Vec<_>>().join(", ");
        let (behind, first) = match &self.last {
            Some(last) => (format!("({key}) > ({})", place(3)), last.as_slice()),
            None => ("?3 IS NULL".to_owned(), &[Value::Null][..]),
        };
        let mut params = vec![
            // Julian days, as SQLite's date functions count.
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
        Ok((sql, params))
    }
}

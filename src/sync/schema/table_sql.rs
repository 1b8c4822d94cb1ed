//! The statements about the rows of one synced table, built once per plan.

use super::table::key_condition;
use crate::sync::values::{encode::quote, types::PlanColumn};

/// How many new rows one statement inserts: SQLite prepares a rollback of the statement only once for all of them. The
/// capture triggers make it prepare one even while they are silent.
pub const MANY: usize = 16;

/// Statements whose parameters are one value per column of the plan, or (`select`, `delete`) per column of the key.
#[derive(Debug)]
pub struct TableSql {
    /// Returns one row when the key exists: whether all values are the same.
    pub compare: String,
    /// Inserts a row.
    pub insert: String,
    /// Inserts a row unless its key exists.
    pub add: String,
    /// Inserts [`MANY`] rows, or none.
    pub add_many: String,
    /// Updates a row; `None` when it has only its key.
    pub update: Option<String>,
    /// Reads the row of a key.
    pub select: String,
    /// Deletes the row of a key.
    pub delete: String,
}

impl TableSql {
    /// Builds the statements of a table with these columns; `key` has the indexes of the key columns.
    pub fn new(table: &str, columns: &[PlanColumn], key: &[usize]) -> Self {
        let (table, width) = (format!("main.{}", quote(table)), columns.len());
        let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
        let list = |of: &mut dyn Iterator<Item = usize>, separator: &str, item: &dyn Fn(&str, usize) -> String| {
            of.map(|at| item(&names[at], at + 1)).collect::<Vec<_>>().join(separator)
        };
        let key_names: Vec<String> = key.iter().map(|at| columns[*at].name.clone()).collect();
        let by_key = key_condition(&key_names, 1);
        // A key may be NULL in SQLite.
        let own_key = list(&mut key.iter().copied(), " AND ", &|name, at| format!("{name} IS ?{at}"));
        // A collation may treat different texts as equal.
        let same = list(&mut (0..width), " AND ", &|name, at| format!("{name} IS ?{at} COLLATE BINARY"));
        let values = list(&mut (0..width).filter(|at| !key.contains(at)), ", ", &|name, at| format!("{name} = ?{at}"));
        let unique = list(&mut key.iter().copied(), ", ", &|name, _| name.to_owned());
        let row = format!("({})", vec!["?"; width].join(", "));
        let names = names.join(", ");
        let insert = format!("INSERT INTO {table}({names}) VALUES {row}");
        Self {
            compare: format!("SELECT {same} FROM {table} WHERE {own_key}"),
            add: format!("{insert} ON CONFLICT({unique}) DO NOTHING"),
            add_many: format!("INSERT OR ABORT INTO {table}({names}) VALUES {}", vec![row; MANY].join(", ")),
            insert,
            update: (!values.is_empty()).then(|| format!("UPDATE {table} SET {values} WHERE {own_key}")),
            select: format!("SELECT {names} FROM {table} WHERE {by_key}"),
            delete: format!("DELETE FROM {table} WHERE {by_key}"),
        }
    }
}

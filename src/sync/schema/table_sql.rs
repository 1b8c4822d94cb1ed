//! The statements about the rows of one synced table, made once for each plan.

use super::table::key_condition;
use crate::sync::values::{encode::quote, types::PlanColumn};

/// So many new rows go into one statement: SQLite prepares for undoing it only once, which the triggers of capture make it do
/// though they hear of nothing.
pub const MANY: usize = 16;

/// Statements whose parameters are a value for each column of the plan, or (`select`, `delete`) for each of the key.
#[derive(Debug)]
pub struct TableSql {
    /// One row when the key exists: whether nothing differs.
    pub compare: String,
    /// Inserts a row.
    pub insert: String,
    /// Inserts a row unless its key exists.
    pub add: String,
    /// Inserts [`MANY`] rows, or none.
    pub add_many: String,
    /// Gives a row its values; `None` where it has none but its key.
    pub update: Option<String>,
    /// Reads the row of a key.
    pub select: String,
    /// Deletes the row of a key.
    pub delete: String,
}

impl TableSql {
    /// Those of a table with these columns, of which those at `key` are the key's.
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
        // A collation may call different texts equal.
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

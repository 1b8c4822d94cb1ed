//! The plan of a table's sync: the user's options joined with the local schema.

use std::rc::Rc;

use super::{
    table::{LocalTable, STAMP},
    table_sql::TableSql,
};
use crate::{
    error::{Error, ErrorCode, Result},
    sync::{
        config::options::{Names, TableSync},
        postgrest::query::Selection,
        state::progress::ReadPosition,
        values::types::{PlanColumn, WireKind},
    },
    value::Value,
};

/// How one table is pulled.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The user's options.
    pub options: TableSync,
    /// The local table.
    pub table: LocalTable,
    /// The stored columns.
    pub columns: Vec<PlanColumn>,
    /// The indexes of the key in `columns`.
    pub key: Vec<usize>,
    /// The requested columns: the stored ones first, then a cursor and a soft-delete column that aren't stored.
    pub selection: Selection,
    /// The statements about its rows.
    pub sql: Rc<TableSql>,
    /// The columns that the remote lacks: their changes wait until it has them.
    pub lacking: Vec<String>,
    /// With helpers: the ceiling below which every transaction is decided, see [`crate::sync::pull::helpers`].
    pub ceiling: Option<String>,
    pub(super) cursor: Option<usize>,
    /// The index of the column that shows how far the rows were read: the cursor, or the helpers' stamp.
    pub(super) place: Option<usize>,
    pub(super) deleted: Option<usize>,
}

/// One page of rows, converted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The values of all rows, one after the other; `width` per row.
    pub values: Vec<Value>,
    /// The number of values per row.
    pub width: usize,
    /// Whether each row is marked as deleted.
    pub deleted: Vec<bool>,
    /// Whether the values are those of the key alone, in its order.
    pub keys_only: bool,
    /// The position after the last row.
    pub last: Option<ReadPosition>,
    /// The cursor's text of each row, where conflicts are decided by it.
    pub cursors: Vec<Option<String>>,
    /// Text columns that turned out to hold objects or arrays.
    pub structured: Vec<usize>,
}

impl Rows {
    /// Returns a page with a single row. `cursor` is the text of its cursor, where conflicts are decided by it.
    pub fn one(row: Vec<Value>, deleted: bool, cursor: Option<String>) -> Self {
        Self { width: row.len(), values: row, deleted: vec![deleted], cursors: vec![cursor], ..Self::default() }
    }

    /// Returns the number of rows.
    pub fn len(&self) -> usize {
        self.deleted.len()
    }

    /// Returns whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.deleted.is_empty()
    }

    /// Returns one row's values.
    pub fn row(&self, index: usize) -> &[Value] {
        &self.values[index * self.width..(index + 1) * self.width]
    }
}

impl Plan {
    /// Joins options and schema. `missing` are columns that the remote is known to lack.
    ///
    /// Fails with `sync_schema_mismatch` when the table has no key or one with a loose
    /// collation, when a named column doesn't exist, when the remote
    /// lacks a required column, or when a column is named `*`, which PostgREST reads as all columns.
    pub fn new(options: &TableSync, table: LocalTable, missing: &[String]) -> Result<Self> {
        let name = &table.name;
        let mismatch = |text: String| Error::new(ErrorCode::SyncSchemaMismatch, text).detail("table", name.clone());
        let lacks = |column: &str| missing.iter().any(|missing| missing.eq_ignore_ascii_case(column));
        let key_names = options.primary_key.clone().map_or_else(|| table.primary_key.clone(), Names::into_vec);
        if key_names.is_empty() {
            return Err(mismatch(format!("Table {name} has no primary key"))
                .hint("Give it one, or name the columns that identify a row in `primaryKey`"));
        }
        if let Some(column) = &table.loose_key {
            let text = format!(
                "The collation of key column {name}.{column} treats different texts as equal: two remote rows would become one"
            );
            return Err(mismatch(text)
                .hint("Declare it without COLLATE NOCASE or RTRIM, by a migration")
                .detail("column", column.clone()));
        }
        let local = |column: &String| {
            table.column(column).map(|column| column.name.clone()).ok_or_else(|| {
                mismatch(format!("Table {name} has no column {column}"))
                    .hint("Add it by a migration, or take it out of the options of this table")
                    .detail("column", column.clone())
            })
        };
        let key_names = key_names.iter().map(local).collect::<Result<Vec<_>>>()?;
        let named = options.columns.as_ref().map(|columns| columns.iter().map(local).collect::<Result<Vec<_>>>());
        let named = named.transpose()?;
        let is_stored = |column: &String| {
            key_names.contains(column) || named.as_ref().map_or_else(|| !lacks(column), |named| named.contains(column))
        };
        // In the order of the table, in which capture writes them.
        let stored: Vec<String> =
            table.columns.iter().map(|column| &column.name).filter(|column| is_stored(column)).cloned().collect();
        for column in options.types.keys() {
            local(column)?;
        }
        let needed = key_names.iter().chain(options.columns.iter().flatten()).map(String::as_str);
        if let Some(column) =
            needed.chain(options.cursor.as_deref()).chain(options.soft_delete()).find(|column| lacks(column))
        {
            return Err(mismatch(format!("The remote table {} has no column {column}", options.remote()))
                .hint("Add the column remotely, or take it out of the options of this table")
                .detail("column", column));
        }
        let lacking = match named {
            Some(_) => Vec::new(),
            None => {
                table.columns.iter().map(|column| &column.name).filter(|name| !stored.contains(name)).cloned().collect()
            }
        };
        let columns: Vec<PlanColumn> = stored
            .iter()
            .filter_map(|name| table.column(name))
            .map(|column| {
                let named = options.types.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name));
                let kind = named.and_then(|(_, kind)| WireKind::from_name(kind)).unwrap_or(column.kind);
                PlanColumn { name: column.name.clone(), kind, affinity: column.affinity, structured: false }
            })
            .collect();
        let mut select = stored;
        let mut at = |column: Option<&str>| {
            let column = column?;
            let found = select.iter().position(|selected| selected.eq_ignore_ascii_case(column));
            Some(found.unwrap_or_else(|| {
                select.push(column.to_owned());
                select.len() - 1
            }))
        };
        let (cursor, deleted) = (at(options.cursor.as_deref()), at(options.soft_delete()));
        // PostgREST reads it as all columns even in quotes: an update would write the whole row's text into it.
        if select.iter().any(|column| column == "*") {
            return Err(mismatch(format!("The column * of table {name} can't be synced"))
                .hint("To PostgREST its name means all columns: rename it, or leave it out of `columns`")
                .detail("column", "*"));
        }
        let key: Vec<usize> =
            key_names.iter().filter_map(|name| columns.iter().position(|column| column.name == *name)).collect();
        let selection = Selection {
            table: options.remote().to_owned(),
            columns: select,
            key: key_names,
            cursor: options.cursor.clone(),
            filter: options.filter.iter().map(|(column, filter)| (column.clone(), filter.clone())).collect(),
        };
        let options = options.clone();
        let sql = Rc::new(TableSql::new(&table.name, &columns, &key));
        Ok(Self {
            options,
            table,
            columns,
            key,
            selection,
            sql,
            lacking,
            ceiling: None,
            cursor,
            place: cursor,
            deleted,
        })
    }

    /// Switches to reading by the helpers' ceiling: with a cursor, rows are then read in the order of the stamps.
    pub fn read_by_ceiling(&mut self, ceiling: String) {
        self.ceiling = Some(ceiling);
        if self.selection.cursor.is_none() {
            return;
        }
        let columns = &mut self.selection.columns;
        let known = columns.iter().position(|column| column == STAMP);
        self.place = Some(known.unwrap_or_else(|| {
            columns.push(STAMP.to_owned());
            columns.len() - 1
        }));
        self.selection.cursor = Some(STAMP.to_owned());
    }

    /// Returns the column that an error of the remote is about: the only one whose name is quoted in its message, else
    /// the only one whose name is a word of it, in any language.
    pub fn column_in(&self, error: &Error) -> Option<&str> {
        let message = &error.message;
        let only = |is_named: &dyn Fn(&str) -> bool| {
            let mut found = self.selection.columns.iter().filter(|name| is_named(name));
            found.next().filter(|_| found.next().is_none()).map(String::as_str)
        };
        // A quoted name first: a column may be called "a" or "value", which are words of the message, too.
        let is_quoted = |name: &str| ['"', '\''].iter().any(|quote| message.contains(&format!("{quote}{name}{quote}")));
        only(&is_quoted).or_else(|| only(&|name| has_word(message, name)))
    }

    /// Returns whether the message of an error has the name of a column that is selected.
    pub fn mentions_column(&self, error: &Error) -> bool {
        self.selection.columns.iter().any(|name| has_word(&error.message, name))
    }

    /// Adds the column that an error of the remote is about to its details, where that column can be determined.
    pub fn naming(&self, error: Error) -> Error {
        if let Some(column) = self.column_in(&error).map(str::to_owned) {
            return error.detail("column", column);
        }
        match self.selection.filter.iter().find(|(name, _)| has_word(&error.message, name)) {
            Some((column, _)) => error
                .hint(format!("The filter names column {column}, which the remote table lacks: correct the filter"))
                .detail("column", &**column),
            None => error,
        }
    }

    /// Returns the cursor's index among the stored columns; `None` where there is none, or it isn't stored.
    pub fn stored_cursor(&self) -> Option<usize> {
        self.cursor.filter(|at| *at < self.columns.len())
    }

    /// Returns the key's values of a row.
    pub fn key_of(&self, row: &[Value]) -> Vec<Value> {
        self.key.iter().map(|at| row[*at].clone()).collect()
    }

    /// Returns the index of the stored cursor, which only the remote writes; `None` where it is a part of the key.
    pub fn remote_cursor(&self) -> Option<usize> {
        self.stored_cursor().filter(|at| !self.key.contains(at))
    }

    /// Returns the indexes of columns in a row; `None` unless all of them are synced.
    pub fn places(&self, names: &[String]) -> Option<Vec<usize>> {
        let place = |name: &String| self.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        names.iter().map(place).collect()
    }

    /// Returns the names of the key's columns.
    pub fn key_columns(&self) -> Vec<String> {
        self.key.iter().map(|at| self.columns[*at].name.clone()).collect()
    }

    /// Notes which text columns hold objects or arrays. Returns whether any of them is new.
    pub fn learn_structured(&mut self, columns: &[usize]) -> bool {
        let any_new = columns.iter().any(|at| !self.columns[*at].structured);
        columns.iter().for_each(|at| self.columns[*at].structured = true);
        any_new
    }

    /// Sets which text columns hold objects or arrays, by their names.
    pub fn set_structured(&mut self, names: &[String]) {
        self.columns.iter_mut().for_each(|column| column.structured = names.contains(&column.name));
    }

    /// Returns the names of the text columns that hold objects or arrays.
    pub fn structured(&self) -> Vec<String> {
        self.columns.iter().filter(|column| column.structured).map(|column| column.name.clone()).collect()
    }

    /// Returns the table's name as the user wrote it, for the sync tables, reports and errors.
    pub fn name(&self) -> &str {
        &self.options.table
    }
}

/// Returns whether a name occurs in a text, not as a part of a longer word.
fn has_word(text: &str, name: &str) -> bool {
    let part = |char: char| char.is_alphanumeric() || char == '_';
    text.match_indices(name)
        .any(|(at, _)| !text[..at].ends_with(part) && !text[at + name.len()..].starts_with(part) && !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::{Connection, PageFile};

    fn plan(options: &str, missing: &[&str]) -> Result<Plan> {
        let connection = Connection::open(&PageFile::default()).unwrap();
        connection
            .exec("CREATE TABLE t(b TEXT, id INTEGER PRIMARY KEY, n NUMERIC TEXT, local); CREATE TABLE free(x)")
            .unwrap();
        let options: TableSync = serde_json::from_str(options).unwrap();
        let missing: Vec<String> = missing.iter().map(|name| (*name).to_owned()).collect();
        Plan::new(&options, LocalTable::read(&connection, &options.table).unwrap().unwrap(), &missing)
    }

    #[test]
    fn stored_columns_cursor_and_mark_are_selected() {
        let select = |options, missing: &[&str]| plan(options, missing).unwrap().selection.columns.join(",");
        assert_eq!(select(r#"{"table":"t"}"#, &[]), "b,id,n,local");
        assert_eq!(select(r#"{"table":"t"}"#, &["LOCAL"]), "b,id,n");
        assert_eq!(select(r#"{"table":"t","columns":["n"]}"#, &[]), "id,n");
        assert_eq!(
            select(r#"{"table":"t","columns":["n"],"cursor":"updated_at","deleted":"gone"}"#, &[]),
            "id,n,updated_at,gone"
        );
        assert_eq!(select(r#"{"table":"t","cursor":"n","deleted":"compare"}"#, &[]), "b,id,n,local");
        assert_eq!(plan(r#"{"table":"t","primaryKey":["n","b"]}"#, &[]).unwrap().key, [2, 0]);
    }

    #[test]
    fn columns_that_do_not_fit_are_named() {
        for (options, missing, column) in [
            (r#"{"table":"t","columns":["zz"]}"#, &[][..], "zz"),
            (r#"{"table":"t","primaryKey":"zz"}"#, &[], "zz"),
            (r#"{"table":"t","types":{"zz":"text"}}"#, &[], "zz"),
            (r#"{"table":"t","columns":["id","b"]}"#, &["b"], "b"),
            (r#"{"table":"t"}"#, &["id"], "id"),
            (r#"{"table":"t","cursor":"updated_at"}"#, &["updated_at"], "updated_at"),
            (r#"{"table":"t","deleted":"*"}"#, &[], "*"),
        ] {
            let error = plan(options, missing).unwrap_err();
            assert!(error.is(ErrorCode::SyncSchemaMismatch), "{error}");
            assert_eq!(error.details["column"], column.into(), "{error}");
        }
        assert!(plan(r#"{"table":"free"}"#, &[]).unwrap_err().is(ErrorCode::SyncSchemaMismatch));
    }

    #[test]
    fn the_column_of_a_remote_error_is_named() {
        let plan = plan(r#"{"table":"t"}"#, &[]).unwrap();
        let column = |message: &str| {
            let error = plan.naming(Error::new(ErrorCode::SyncSchemaMismatch, message));
            error.details.get("column").cloned()
        };
        assert_eq!(column("column t.local does not exist"), Some("local".into()));
        assert_eq!(column("Spalte \u{bb}local\u{ab} existiert nicht"), Some("local".into()));
        assert_eq!(column("Could not find the 'n' column of 't'"), Some("n".into()));
        assert_eq!(column("column t.localized does not exist"), None);
        assert_eq!(column("n or local"), None);
        assert_eq!(column("cannot insert a local value into column \"b\""), Some("b".into()));
    }
}

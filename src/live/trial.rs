//! Rows tried out against the conditions of queries, by SQLite itself: its conversions and collations are those of the columns.

use std::rc::Rc;

use crate::{
    collections::Set,
    error::Result,
    sqlite::{Connection, PageFile, Step, quote},
    value::Value,
};

/// A database of its own that has one row at a time.
pub(super) struct Trial {
    connection: Connection,
    tables: Set<Rc<str>>,
}

impl Trial {
    /// Opens one without tables.
    pub fn open() -> Result<Self> {
        let connection = Connection::open(&PageFile::default())?;
        connection.exec("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON; BEGIN")?;
        Ok(Self { connection, tables: Set::default() })
    }

    /// Makes this row the only one of a table, whose definition is that of `source`.
    pub fn place(&mut self, source: &Connection, table: &Rc<str>, row: &[Value]) -> Result<()> {
        let name = quote(table);
        if !self.tables.contains(table) {
            let sql = "SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?1";
            let definition = source.value(sql, &[Value::from(&**table)])?;
            self.connection.exec(definition.as_ref().and_then(Value::as_text).unwrap_or_default())?;
            self.tables.insert(table.clone());
        }
        self.connection.run(&format!("DELETE FROM main.{name}"), &[])?;
        let places = vec!["?"; row.len()].join(", ");
        self.connection.statement(&format!("INSERT INTO main.{name} VALUES ({places})"))?.finish_with(row)?;
        Ok(())
    }

    /// Returns whether the query has a row, with the first of these parameters that it takes.
    pub fn has_row(&self, sql: &str, params: &[Value]) -> Result<bool> {
        let mut statement = self.connection.statement(sql)?;
        statement.bind_first(params)?;
        Ok(statement.step()? == Step::Row)
    }
}

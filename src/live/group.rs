//! The live queries of one text.

use std::rc::Rc;

use super::{difference::Window, query::Query};
use crate::{
    collections::Set,
    error::{Error, ErrorCode, Result},
    sqlite::{Authority, Connection},
    value::Value,
};

/// The live queries of one text.
pub(super) struct QueryGroup {
    pub sql: Box<str>,
    /// The tables and views that the query reads; `None`: it can't be read, because it doesn't fit the schema.
    pub tables: Option<Vec<Rc<str>>>,
    /// What the analysis knows of the query, once it has read it.
    pub query: Option<Query>,
    /// In the order of their ids.
    pub watches: Vec<Watch>,
}

/// How many rowids of changed rows are kept for a reader that is slow to read.
const MOST_CHANGED: usize = 256;

pub(super) struct Watch {
    pub id: u32,
    /// The values of the parameters by number; `None` if they aren't known.
    pub params: Option<Vec<Value>>,
    /// To run again after this commit.
    pub due: bool,
    pub last: LastRead,
}

/// What is known of the result that was read last.
#[derive(Default)]
pub(super) struct LastRead {
    /// How many results were read.
    pub reads: u32,
    /// The rowids of the rows that have changed since; `None`: that isn't known.
    pub changed: Option<Vec<i64>>,
    /// The rowids of all its rows, in their order, while the result is followed.
    pub rowids: Option<Vec<i64>>,
    /// The hashes of its rows, in their order, while results are compared.
    pub hashes: Option<Vec<u128>>,
    /// The part of it that was read.
    pub window: Window,
}

impl Watch {
    /// Takes in that a row of its result may have changed, which has these rowids before and after.
    pub fn row_changed(&mut self, rowids: [i64; 2]) {
        self.due = true;
        if let Some(changed) = &mut self.last.changed {
            changed.extend(rowids);
            if changed.len() > MOST_CHANGED {
                self.last.changed = None;
            }
        }
    }
}

impl QueryGroup {
    /// Reads which tables a query reads. Fails with `invalid_argument` for a query that writes, and for other refused ones.
    pub fn of(connection: &Connection, sql: &str) -> Result<Self> {
        Ok(Self { sql: sql.into(), tables: tables_of(connection, sql)?, query: None, watches: Vec::new() })
    }

    /// Reads the query again. Returns whether it can be read, and is due then.
    pub fn read_again(&mut self, connection: &Connection) -> bool {
        self.tables = tables_of(connection, &self.sql).unwrap_or_default();
        self.query = None;
        if self.tables.is_some() {
            self.all_due();
        }
        self.tables.is_some()
    }

    /// Returns whether the query reads one of these tables.
    pub fn reads_any(&self, tables: &Set<Rc<str>>) -> bool {
        let is_changed = |table: &Rc<str>| tables.iter().any(|changed| changed.eq_ignore_ascii_case(table));
        self.tables.iter().flatten().any(is_changed)
    }

    /// Returns the index of a watch.
    pub fn place(&self, id: u32) -> Option<usize> {
        self.watches.binary_search_by_key(&id, |watch| watch.id).ok()
    }

    pub fn all_due(&mut self) {
        for watch in &mut self.watches {
            watch.due = true;
            watch.last.changed = None;
        }
    }
}

/// Returns the tables and views that a query reads; `None` when it doesn't fit the schema.
fn tables_of(connection: &Connection, sql: &str) -> Result<Option<Vec<Rc<str>>>> {
    let statement = match connection.statement_uncached(sql, Authority::User) {
        Err(error) if error.is(ErrorCode::SqliteError) => return Ok(None),
        statement => statement?,
    };
    if !statement.is_readonly() {
        return Err(Error::invalid("A live query can't write: it runs again after each commit")
            .hint("Pass a SELECT, and run writes by db.run()"));
    }
    Ok(Some(statement.effects().reads.clone()))
}

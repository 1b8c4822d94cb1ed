//! Live queries: which of them to run again after a commit.
//!
//! A commit concerns a query if it changes a table that the query reads. The analysis, a part of the wasm, knows more: where SQLite has
//! reported each changed row, the commit must also have inserted or deleted a row, or changed a column that the query reads; and for a query
//! on one table, the row must meet the WHERE, before or after. In doubt, and before the part is loaded, a query runs again.
//!
//! | file | subject |
//! |---|---|
//! | `comparison` | what changed from one result to the next of a query that has to run |
//! | `condition` | the WHERE of a query on one table |
//! | `lookup` | many queries of one text, by the value that a column must equal |
//! | `plain_query` | a SELECT on one table, as tokens |
//! | `query` | what a query reads of its tables |
//! | `difference` | what a commit changes of a result that was read before |
//! | `group` | the live queries of one text |
//! | `trial` | a changed row against a WHERE |
//! | `analysis` | the entry of the part: which changed rows concern a query |

mod analysis;
mod comparison;
mod condition;
mod difference;
mod group;
mod lookup;
mod plain_query;
mod query;
mod trial;

use std::rc::Rc;

use crate::{
    collections::Set,
    error::Result,
    sqlite::{Connection, FlatParams, FlatRows, Integers},
};

use analysis::Analysis;
use group::{LastRead, QueryGroup, Watch};

pub use difference::{Difference, LiveRead, Window};

/// The live queries of a database.
#[derive(Default)]
pub struct Registry {
    /// The queries by their text.
    groups: Vec<QueryGroup>,
    /// `None` before [`refine`](Self::refine).
    analysis: Option<Box<dyn Analysis>>,
    last_id: u32,
}

impl Registry {
    /// Registers a user's query. Returns its id, which [`committed`](Self::committed) will report. Ids are never reused. A query that doesn't
    /// fit the schema is reported once it does; wrong parameters are for its run to find. Fails with `invalid_argument` for a query that
    /// writes.
    pub fn watch(
        &mut self,
        connection: &Connection,
        sql: &str,
        params: Option<&FlatParams<'_>>,
        names: &str,
    ) -> Result<u32> {
        let known = self.groups.iter().position(|group| *group.sql == *sql);
        let at = match known {
            Some(at) => at,
            None => {
                self.groups.push(QueryGroup::of(connection, sql)?);
                self.groups.len() - 1
            }
        };
        self.last_id += 1;
        let params = connection.parameter_values(sql, params, names).ok();
        self.groups[at].watches.push(Watch { id: self.last_id, params, due: false, last: LastRead::default() });
        match &mut self.analysis {
            Some(analysis) if known.is_some() => analysis.added(&mut self.groups[at]),
            _ => self.analyse(connection),
        }
        Ok(self.last_id)
    }

    /// Reads the difference from the result of a query that its reader read last to this window of the present one; `out` then has the
    /// inserted rows. `None`: the query has to be run, which counts as read. No transaction may be open.
    pub fn read_difference(
        &mut self,
        connection: &Connection,
        id: u32,
        read: LiveRead,
        integers: Integers,
        out: &mut FlatRows,
    ) -> Option<Difference> {
        let found = self.groups.iter_mut().find_map(|group| group.place(id).map(|at| (group, at)));
        match (&self.analysis, found) {
            (Some(analysis), Some((group, at))) => analysis.difference(connection, group, at, read, integers, out),
            _ => None,
        }
    }

    /// Returns the text of a query that [`read_difference`](Self::read_difference) runs.
    pub fn runs(&self, id: u32, read: LiveRead) -> Option<Box<str>> {
        let group = self.groups.iter().find(|group| group.place(id).is_some())?;
        group.query.as_ref().filter(|query| query.is_compared(read)).map(|_| group.sql.clone())
    }

    /// Ends a watch. An unknown id is ignored.
    pub fn unwatch(&mut self, connection: Option<&Connection>, id: u32) {
        let Some(at) = self.groups.iter().position(|group| group.place(id).is_some()) else { return };
        let group = &mut self.groups[at];
        group.watches.retain(|watch| watch.id != id);
        if let Some(analysis) = &self.analysis {
            analysis.removed(group, id);
        }
        if group.watches.is_empty() {
            self.groups.remove(at);
            if let Some(connection) = connection {
                self.analyse(connection);
            }
        }
    }

    /// Returns whether there are no watches: then changed tables needn't be collected.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Analyses all queries, now and from now on. The part `live` must be loaded. No transaction may be open: rows that it has changed would
    /// be missed.
    pub fn refine(&mut self, connection: &Connection) {
        self.analysis.get_or_insert_with(analysis::begin);
        self.analyse(connection);
    }

    /// Returns the queries to run again after a commit that changed rows of these tables: each once, in the order of their ids.
    pub fn committed(&mut self, connection: &Connection, tables: &Set<Rc<str>>) -> Vec<u32> {
        match &mut self.analysis {
            Some(analysis) => analysis.mark(connection, tables, &mut self.groups),
            None => self.groups.iter_mut().filter(|group| group.reads_any(tables)).for_each(QueryGroup::all_due),
        }
        let mut reads_more = false;
        for group in self.groups.iter_mut().filter(|group| group.tables.is_none()) {
            // It may be readable now: by a change of the schema, or because FTS5 is loaded.
            reads_more |= group.read_again(connection);
        }
        if reads_more {
            self.analyse(connection);
        }
        self.take_due()
    }

    /// Returns the queries to run again when the changed tables are unknown, for instance after a change of the schema: all. Reads the
    /// queries again, because the schema may have changed.
    pub fn everything_changed(&mut self, connection: &Connection) -> Vec<u32> {
        for group in &mut self.groups {
            let was_known = group.tables.is_some();
            group.read_again(connection);
            // One that no longer fits the schema reports that.
            if was_known {
                group.all_due();
            }
        }
        self.analyse(connection);
        self.take_due()
    }

    /// Has the analysis, if it is there, read the queries that it doesn't know.
    fn analyse(&mut self, connection: &Connection) {
        if let Some(analysis) = &mut self.analysis {
            analysis.read(connection, &mut self.groups);
        }
    }

    fn take_due(&mut self) -> Vec<u32> {
        let watches = self.groups.iter_mut().flat_map(|group| &mut group.watches);
        let mut ids: Vec<u32> =
            watches.filter_map(|watch| std::mem::take(&mut watch.due).then_some(watch.id)).collect();
        ids.sort_unstable();
        ids
    }
}

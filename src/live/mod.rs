//! Live queries: which of them to run again after a commit.
//!
//! A commit concerns a query if it changes a table that the query reads. Where SQLite has reported each changed row, it must also have
//! inserted or deleted a row, or changed a column that the query reads; and for a query on one table, the row must meet the WHERE, before
//! or after. In doubt a query runs again.
//!
//! | file | subject |
//! |---|---|
//! | `condition` | the WHERE of a query on one table |
//! | `query` | what a query reads |
//! | `lookup` | many queries of one text, by the value that a column must equal |
//! | `trial` | a changed row against a WHERE |

mod condition;
mod lookup;
mod query;
mod trial;

use std::rc::Rc;

use crate::{
    collections::Set,
    error::Result,
    sqlite::{Connection, FlatParams, RecordedTable, RowChange},
    value::Value,
};

use lookup::Lookup;
use query::Query;
use trial::Trial;

/// The live queries of a database.
#[derive(Default)]
pub struct Registry {
    /// The queries by their text.
    groups: Vec<Group>,
    /// The tables whose rows are recorded, in the order in which the connection knows them.
    recorded: Vec<RecordedTable>,
    trial: Option<Trial>,
    last_id: u32,
}

/// The live queries of one text.
struct Group {
    sql: Box<str>,
    query: Query,
    /// In the order of their ids.
    watches: Vec<LiveWatch>,
    /// By the parameter that [`Query::key`] names.
    lookup: Lookup,
}

struct LiveWatch {
    id: u32,
    /// The values of the parameters by number; `None` if they aren't known.
    params: Option<Vec<Value>>,
    /// To run again after this commit.
    due: bool,
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
                let query = Query::of(connection, sql)?;
                self.groups.push(Group { sql: sql.into(), query, watches: Vec::new(), lookup: Lookup::default() });
                self.record(connection);
                self.groups.len() - 1
            }
        };
        self.last_id += 1;
        let params = connection.parameter_values(sql, params, names).ok();
        self.groups[at].add(LiveWatch { id: self.last_id, params, due: false });
        Ok(self.last_id)
    }

    /// Ends a watch. An unknown id is ignored.
    pub fn unwatch(&mut self, connection: Option<&Connection>, id: u32) {
        let Some(at) = self.groups.iter().position(|group| group.place(id).is_ok()) else { return };
        let group = &mut self.groups[at];
        group.watches.retain(|watch| watch.id != id);
        group.lookup.remove(id);
        if group.watches.is_empty() {
            self.groups.remove(at);
            if let Some(connection) = connection {
                self.record(connection);
            }
        }
    }

    /// Returns whether there are no watches: then changed tables needn't be collected.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// Returns the queries to run again after a commit that changed rows of these tables: each once, in the order of their ids.
    pub fn committed(&mut self, connection: &Connection, tables: &Set<Rc<str>>) -> Vec<u32> {
        let changes = connection.take_row_changes();
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let is_recorded = |name: &str| self.recorded.iter().any(|table| same(&table.name, name));
        // Of these it is known that rows changed, but not which.
        let mut unknown: Vec<&str> = changes.incomplete.iter().map(|at| &*self.recorded[*at].name).collect();
        unknown.extend(tables.iter().map(|table| &**table).filter(|table| !is_recorded(table)));
        let mut reads_more = false;
        for group in &mut self.groups {
            if group.query.is_unknown {
                // It may be readable now: by a change of the schema, or because FTS5 is loaded.
                reads_more |= group.read_again(connection);
                continue;
            }
            let query = &group.query;
            let is_unclear = |table: &Rc<str>| {
                unknown.iter().any(|known| same(known, table))
                    || query.reads.is_empty() && tables.iter().any(|known| same(known, table))
            };
            if query.tables.iter().any(is_unclear) {
                group.all_due();
            }
        }
        for change in &changes.rows {
            self.look_at(connection, change);
        }
        if reads_more {
            self.record(connection);
        }
        self.take_due()
    }

    /// Returns the queries to run again when the changed tables are unknown, for instance after a change of the schema: all. Reads the
    /// queries again, because the schema may have changed.
    pub fn everything_changed(&mut self, connection: &Connection) -> Vec<u32> {
        self.trial = None;
        for group in &mut self.groups {
            let was_known = !group.query.is_unknown;
            group.read_again(connection);
            // One that fits the schema no more tells so.
            if was_known {
                group.all_due();
            }
        }
        self.record(connection);
        self.take_due()
    }

    /// Marks the queries that this change of a row concerns.
    fn look_at(&mut self, connection: &Connection, change: &RowChange) {
        let Self { groups, recorded, trial, .. } = self;
        let Some(table) = recorded.get(change.table) else { return };
        let is_concerned = |group: &&mut Group| {
            let read = group.query.reads.iter().find(|read| read.table == *table);
            read.is_some_and(|read| match (&change.old, &change.new) {
                (Some(old), Some(new)) => change.moved || read.sees(old, new),
                _ => true,
            })
        };
        let mut groups: Vec<&mut Group> = groups.iter_mut().filter(is_concerned).collect();
        for row in [&change.old, &change.new].into_iter().flatten() {
            let mut row = TriedRow { connection, trial, table: &table.name, row, is_placed: false };
            groups.iter_mut().for_each(|group| group.look_at(&mut row));
        }
    }

    fn take_due(&mut self) -> Vec<u32> {
        let watches = self.groups.iter_mut().flat_map(|group| &mut group.watches);
        let mut ids: Vec<u32> =
            watches.filter_map(|watch| std::mem::take(&mut watch.due).then_some(watch.id)).collect();
        ids.sort_unstable();
        ids
    }

    /// Has the rows of all tables recorded that queries read.
    fn record(&mut self, connection: &Connection) {
        let mut tables: Vec<RecordedTable> = Vec::new();
        for read in self.groups.iter().flat_map(|group| &group.query.reads) {
            if !tables.contains(&read.table) {
                tables.push(read.table.clone());
            }
        }
        if tables != self.recorded {
            self.recorded = tables.clone();
            connection.record_rows(tables);
        }
    }
}

impl Group {
    fn add(&mut self, watch: LiveWatch) {
        self.look_up(watch.id, watch.params.as_deref());
        self.watches.push(watch);
    }

    fn place(&self, id: u32) -> std::result::Result<usize, usize> {
        self.watches.binary_search_by_key(&id, |watch| watch.id)
    }

    fn look_up(&mut self, id: u32, params: Option<&[Value]>) {
        let Some((_, place)) = self.query.key else { return };
        self.lookup.add(params.and_then(|params| params.get(place)).unwrap_or(&Value::Null), id);
    }

    /// Reads the query again. Returns whether it can be read, and is due then.
    fn read_again(&mut self, connection: &Connection) -> bool {
        self.query = Query::of(connection, &self.sql).unwrap_or_else(|_| Query::unknown());
        self.lookup = Lookup::default();
        let watches = std::mem::take(&mut self.watches);
        watches.iter().for_each(|watch| self.look_up(watch.id, watch.params.as_deref()));
        self.watches = watches;
        if !self.query.is_unknown {
            self.all_due();
        }
        !self.query.is_unknown
    }

    fn all_due(&mut self) {
        self.watches.iter_mut().for_each(|watch| watch.due = true);
    }

    /// Marks the queries whose WHERE the row meets.
    fn look_at(&mut self, row: &mut TriedRow<'_>) {
        let Some(condition) = &self.query.condition else { return self.all_due() };
        let found = self.query.key.and_then(|(column, _)| row.row.get(column)).map(|value| self.lookup.find(value));
        let mut look = |watch: &mut LiveWatch| {
            if !watch.due {
                watch.due = watch.params.as_ref().is_none_or(|params| row.meets(&condition.sql, params));
            }
        };
        match found {
            None => self.watches.iter_mut().for_each(look),
            Some(ids) => {
                for id in ids {
                    if let Ok(at) = self.watches.binary_search_by_key(&id, |watch| watch.id) {
                        look(&mut self.watches[at]);
                    }
                }
            }
        }
    }
}

/// A row before or after a change.
struct TriedRow<'r> {
    connection: &'r Connection,
    trial: &'r mut Option<Trial>,
    table: &'r Rc<str>,
    row: &'r [Value],
    is_placed: bool,
}

impl TriedRow<'_> {
    /// Returns whether the row meets a condition; also when that can't be told.
    fn meets(&mut self, sql: &str, params: &[Value]) -> bool {
        self.tried(sql, params).unwrap_or(true)
    }

    fn tried(&mut self, sql: &str, params: &[Value]) -> Result<bool> {
        let trial = match self.trial {
            Some(trial) => trial,
            None => self.trial.insert(Trial::open()?),
        };
        if !self.is_placed {
            trial.place(self.connection, self.table, self.row)?;
            self.is_placed = true;
        }
        trial.has_row(sql, params)
    }
}

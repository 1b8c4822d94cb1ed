//! Which changed rows concern a query. All of it is in the part `live`, whose entry is [`begin`].

use std::rc::Rc;

use super::{
    comparison::compare,
    difference::{Difference, LiveRead},
    group::{LastRead, QueryGroup, Watch},
    query::Query,
    trial::Trial,
};
use crate::{
    collections::Set,
    error::Result,
    sqlite::{Authority, Connection, FlatRows, Integers, RecordedTable, RowChange},
    value::Value,
};

/// Begins to analyse. An entry of the part `live`: never inlined, and the optimizer must not know the type, so that the part can be split off
/// here.
#[inline(never)]
pub(super) fn begin() -> Box<dyn Analysis> {
    std::hint::black_box(Box::new(RowAnalysis::default()))
}

/// The analysis of queries and changed rows.
pub(super) trait Analysis {
    /// Reads the queries that it hasn't read since the last change of the schema, and has the rows of all their tables recorded.
    fn read(&mut self, connection: &Connection, groups: &mut [QueryGroup]);

    /// Takes in that a group has got another watch, its last.
    fn added(&self, group: &mut QueryGroup);

    /// Takes in that a group has lost a watch.
    fn removed(&self, group: &mut QueryGroup, id: u32);

    /// Marks the queries whose result a commit can have changed, which changed rows of these tables.
    fn mark(&mut self, connection: &Connection, tables: &Set<Rc<str>>, groups: &mut [QueryGroup]);

    /// See [`Registry::read_difference`](super::Registry::read_difference): of the watch at this place of its group.
    fn difference(
        &self,
        connection: &Connection,
        group: &mut QueryGroup,
        at: usize,
        read: LiveRead,
        integers: Integers,
        out: &mut FlatRows,
    ) -> Option<Difference>;
}

#[derive(Default)]
struct RowAnalysis {
    /// The tables whose rows are recorded, in the order in which the connection knows them.
    recorded: Vec<RecordedTable>,
    /// Has tables of the present schema.
    trial: Option<Trial>,
}

impl Analysis for RowAnalysis {
    fn read(&mut self, connection: &Connection, groups: &mut [QueryGroup]) {
        for group in groups.iter_mut().filter(|group| group.query.is_none() && group.tables.is_some()) {
            // What can't be read more closely is concerned by all changes of its tables.
            let mut query = Query::read(connection, &group.sql).unwrap_or_default();
            group.watches.iter().for_each(|watch| query.index(watch.id, watch.params.as_deref()));
            group.query = Some(query);
            self.trial = None;
        }
        self.record(connection, groups);
    }

    fn added(&self, group: &mut QueryGroup) {
        if let (Some(query), Some(watch)) = (&mut group.query, group.watches.last()) {
            query.index(watch.id, watch.params.as_deref());
        }
    }

    fn removed(&self, group: &mut QueryGroup, id: u32) {
        if let Some(query) = &mut group.query {
            query.lookup.remove(id);
        }
    }

    fn mark(&mut self, connection: &Connection, tables: &Set<Rc<str>>, groups: &mut [QueryGroup]) {
        let changes = connection.take_row_changes();
        let same = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
        let is_recorded = |name: &str| self.recorded.iter().any(|table| same(&table.name, name));
        // Of these it is known that rows changed, but not which.
        let mut unclear: Vec<&str> = changes.incomplete.iter().map(|at| &*self.recorded[*at].name).collect();
        unclear.extend(tables.iter().map(|table| &**table).filter(|table| !is_recorded(table)));
        for group in groups.iter_mut() {
            let is_unclear = |table: &Rc<str>| unclear.iter().any(|known| same(known, table));
            let reads_rows = group.query.as_ref().is_some_and(|query| !query.reads.is_empty());
            if group.tables.iter().flatten().any(is_unclear) || !reads_rows && group.reads_any(tables) {
                group.all_due();
            }
        }
        for change in &changes.rows {
            self.mark_concerned(connection, change, groups);
        }
    }

    fn difference(
        &self,
        connection: &Connection,
        group: &mut QueryGroup,
        at: usize,
        read: LiveRead,
        integers: Integers,
        out: &mut FlatRows,
    ) -> Option<Difference> {
        let QueryGroup { sql, query, watches, .. } = group;
        let Watch { params, last, .. } = &mut watches[at];
        let LiveRead { reads, rows, window } = read;
        let next = LastRead { reads: reads + 1, changed: Some(Vec::new()), rowids: None, hashes: None, window };
        let before = std::mem::replace(last, next);
        let (Some(query), Some(params), true) = (query, params, before.reads == reads) else { return None };
        // Whatever fails here also fails when the query runs, or is of no matter to it.
        let Some(followed) = &query.followed else {
            if !query.is_compared(read) {
                return None;
            }
            // A window's rows have no hashes.
            let known = before.hashes.is_some();
            let hashes = before.hashes.unwrap_or_default();
            let (mut difference, hashes) = compare(connection, sql, params, &hashes, integers, out).ok()?;
            if !known {
                difference.removed = (0..rows).collect();
            }
            last.hashes = hashes;
            return Some(difference);
        };
        let mut changed = before.changed?;
        changed.sort_unstable();
        changed.dedup();
        match before.rowids {
            Some(mut rowids) if is_few(changed.len(), rowids.len()) => {
                let windows = [before.window, window];
                let (difference, inserted) =
                    followed.difference(connection, params, &mut rowids, &changed, windows).ok()?;
                followed.read(connection, params, &inserted, integers, out).ok()?;
                connection.statement_for(sql, Authority::User).ok()?.describe(out);
                last.rowids = Some(rowids);
                Some(difference)
            }
            // From the second result on: many queries never have one.
            _ => {
                last.rowids = followed.rowids(connection, params).ok().flatten();
                None
            }
        }
    }
}

/// Returns whether looking for so many changed rows takes less time than reading a result of so many rows.
fn is_few(changed: usize, rows: usize) -> bool {
    changed <= 2 + rows / 256
}

impl RowAnalysis {
    /// Has the rows of all tables recorded that queries read.
    fn record(&mut self, connection: &Connection, groups: &[QueryGroup]) {
        let mut tables: Vec<RecordedTable> = Vec::new();
        for read in groups.iter().filter_map(|group| group.query.as_ref()).flat_map(|query| &query.reads) {
            if !tables.contains(&read.table) {
                tables.push(read.table.clone());
            }
        }
        if tables != self.recorded {
            self.recorded = tables.clone();
            connection.record_rows(tables);
        }
    }

    /// Marks the queries that this change of a row concerns.
    fn mark_concerned(&mut self, connection: &Connection, change: &RowChange, groups: &mut [QueryGroup]) {
        let Self { recorded, trial } = self;
        let Some(table) = recorded.get(change.table) else { return };
        let is_concerned = |group: &&mut QueryGroup| {
            let mut reads = group.query.iter().flat_map(|query| &query.reads);
            reads.find(|read| read.table == *table).is_some_and(|read| match (&change.old, &change.new) {
                (Some(old), Some(new)) => change.is_moved() || read.sees(old, new),
                _ => true,
            })
        };
        let mut groups: Vec<&mut QueryGroup> = groups.iter_mut().filter(is_concerned).collect();
        for row in [&change.old, &change.new].into_iter().flatten() {
            let rowids = change.rowids;
            let mut row = CandidateRow { connection, trial, table: &table.name, row, rowids, is_placed: false };
            groups.iter_mut().for_each(|group| row.mark(group));
        }
    }
}

/// A row before or after a change.
struct CandidateRow<'r> {
    connection: &'r Connection,
    trial: &'r mut Option<Trial>,
    table: &'r Rc<str>,
    row: &'r [Value],
    /// Its rowids before and after the change.
    rowids: [i64; 2],
    is_placed: bool,
}

impl CandidateRow<'_> {
    /// Marks the queries whose WHERE the row meets.
    fn mark(&mut self, group: &mut QueryGroup) {
        let rowids = self.rowids;
        let Some(Query { condition: Some(condition), key, lookup, .. }) = &group.query else {
            group.watches.iter_mut().for_each(|watch| watch.row_changed(rowids));
            return;
        };
        let found = key.and_then(|(column, _)| self.row.get(column)).map(|value| lookup.find(value));
        let mut look = |watch: &mut Watch| {
            // Of one that is due it needn't be known: then one row more is looked for.
            if watch.due || watch.params.as_ref().is_none_or(|params| self.meets(&condition.sql, params)) {
                watch.row_changed(rowids);
            }
        };
        match found {
            None => group.watches.iter_mut().for_each(look),
            Some(ids) => {
                for id in ids {
                    if let Some(at) = group.place(id) {
                        look(&mut group.watches[at]);
                    }
                }
            }
        }
    }

    /// Returns whether the row meets a condition; also when that is unknown.
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

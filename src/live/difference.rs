//! What a commit changes of a result that was read before, without running the query: for an ordered query on one table, each of whose rows
//! comes from one row of the table.
//!
//! The rowids of the result are kept in its order. A changed row is taken out and looked for again; its position is found by bisection, where
//! SQLite itself compares two rows by the query's ORDER BY.

use super::plain_query::PlainQuery;
use crate::{
    error::Result,
    sqlite::{Authority, Connection, FlatRows, Integers, ROWID_NAMES, Statement, Step},
    value::Value,
};

/// Functions of several rows. `max` and `min` are, with one argument.
const AGGREGATES: [&str; 10] = [
    "avg",
    "count",
    "group_concat",
    "json_group_array",
    "json_group_object",
    "max",
    "min",
    "string_agg",
    "sum",
    "total",
];

/// Rows of a result for which it isn't followed or compared: their rowids or hashes would take too much memory.
pub(super) const MOST_ROWS: usize = 1 << 20;

/// The statements by which the result of a query is followed. Each has the columns of the query, and then the rowid.
#[derive(Debug)]
pub(super) struct FollowedQuery {
    /// All rows.
    all: String,
    /// The rows whose rowids are in a JSON array, the parameter after the query's.
    some: String,
    /// The rows with two rowids, the parameters after the query's, in the query's order.
    pair: String,
}

/// A part of a result; by default all of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The number of rows before it.
    pub offset: u32,
    /// The largest number of its rows; `None`: all that follow.
    pub limit: Option<u32>,
}

/// What a reader of a live query wants to read.
#[derive(Clone, Copy, Debug)]
pub struct LiveRead {
    /// How many results it has read before.
    pub reads: u32,
    /// The number of rows of the one that it read last.
    pub rows: u32,
    /// The part of the result.
    pub window: Window,
}

/// How the rows of a window became those of a window of a later result.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// The positions, in the earlier window, of the rows that were removed or changed, in rising order.
    pub removed: Vec<u32>,
    /// The positions, in the later window, of the rows that were added or changed, in rising order.
    pub inserted: Vec<u32>,
    /// The number of rows of the later result, with those outside of the window.
    pub total: u32,
}

impl Window {
    /// Returns its part of a result.
    fn of(self, rowids: &[i64]) -> &[i64] {
        let from = rowids.len().min(self.offset as usize);
        let count = (rowids.len() - from).min(self.limit.map_or(usize::MAX, |limit| limit as usize));
        &rowids[from..from + count]
    }
}

impl FollowedQuery {
    /// Prepares the statements; `None` for a query of another kind. `parameters` is their number, `functions` are those that the query calls,
    /// `columns` those of its table.
    pub fn of(query: &PlainQuery<'_>, parameters: usize, functions: &[String], columns: &[String]) -> Option<Self> {
        let order = query.place("order")?;
        let is_other = |word: &str| query.place(word).is_some();
        // A query that mentions a rowid may mean something else by it.
        let names_rowid = |name: &str| ROWID_NAMES.iter().any(|rowid| name.eq_ignore_ascii_case(rowid));
        if ["group", "having", "window", "limit"].into_iter().any(is_other)
            || query.tokens.iter().any(|token| token.is("distinct") || names_rowid(&token.name()))
            || columns.iter().any(|column| names_rowid(column))
            || functions.iter().any(|name| AGGREGATES.iter().any(|known| name.eq_ignore_ascii_case(known)))
        {
            return None;
        }
        let filter = query.place("where");
        let end = query.top.iter().copied().find(|at| query.tokens[*at].is_sign(";")).unwrap_or(query.tokens.len());
        let source = query.text(query.from, filter.unwrap_or(order));
        let begin = format!("SELECT{}, rowid {}", query.text(1, query.from), source.trim_start());
        let order_by = query.text(order, end).trim_start().to_owned();
        let meets = filter.map(|start| query.text(start + 1, order));
        let (first, second) = (parameters + 1, parameters + 2);
        let both = meets.as_ref().map(|meets| format!("({meets}) AND ")).unwrap_or_default();
        Some(Self {
            all: format!("{begin} {}{order_by}", meets.map(|meets| format!("WHERE{meets} ")).unwrap_or_default()),
            some: format!("{begin} WHERE {both}rowid IN (SELECT value FROM json_each(?{first})) {order_by}"),
            pair: format!("{begin} WHERE rowid IN (?{first}, ?{second}) {order_by}"),
        })
    }

    /// Returns the rowids of the result, in its order; `None` if there are too many.
    pub fn rowids(&self, connection: &Connection, params: &[Value]) -> Result<Option<Vec<i64>>> {
        let mut statement = self.statement(connection, &self.all, params, &[])?;
        let mut rowids = Vec::new();
        while statement.step()? == Step::Row {
            if rowids.len() == MOST_ROWS {
                return Ok(None);
            }
            rowids.push(rowid(&statement));
        }
        Ok(Some(rowids))
    }

    /// Brings the rowids of a result up to date after a change of the rows with these rowids, which are sorted. Returns how the one window
    /// became the other, and the rowids of the inserted rows.
    pub fn difference(
        &self,
        connection: &Connection,
        params: &[Value],
        rowids: &mut Vec<i64>,
        changed: &[i64],
        windows: [Window; 2],
    ) -> Result<(Difference, Vec<i64>)> {
        let [before, after] = windows;
        let mut difference = if windows == [Window::default(); 2] {
            self.update(connection, params, rowids, changed)?
        } else {
            let shown = before.of(rowids).to_vec();
            self.update(connection, params, rowids, changed)?;
            between(&shown, after.of(rowids), changed)
        };
        difference.total = rowids.len() as u32;
        let shown = after.of(rowids);
        let inserted = difference.inserted.iter().map(|at| shown[*at as usize]).collect();
        Ok((difference, inserted))
    }

    /// Reads the rows with these rowids into `out`, in the query's order and without their shape.
    pub fn read(
        &self,
        connection: &Connection,
        params: &[Value],
        rowids: &[i64],
        integers: Integers,
        out: &mut FlatRows,
    ) -> Result<()> {
        let mut statement = self.statement(connection, &self.some, params, &[json_list(rowids)])?;
        let columns = statement.column_count() - 1;
        out.clear();
        while statement.step()? == Step::Row {
            statement.push_row(columns, integers, out)?;
        }
        Ok(())
    }

    /// Brings the rowids of a result up to date. Returns the difference of the whole result.
    fn update(
        &self,
        connection: &Connection,
        params: &[Value],
        rowids: &mut Vec<i64>,
        changed: &[i64],
    ) -> Result<Difference> {
        let mut statement = self.statement(connection, &self.some, params, &[json_list(changed)])?;
        let mut present = Vec::new();
        while statement.step()? == Step::Row {
            present.push(rowid(&statement));
        }
        drop(statement);
        let mut difference = Difference::default();
        let mut at = 0;
        rowids.retain(|rowid| {
            let stays = changed.binary_search(rowid).is_err();
            if !stays {
                difference.removed.push(at);
            }
            at += 1;
            stays
        });
        let mut from = 0;
        for rowid in present {
            let mut to = rowids.len();
            while from < to {
                let middle = from.midpoint(to);
                if self.precedes(connection, params, rowids[middle], rowid)? {
                    from = middle + 1;
                } else {
                    to = middle;
                }
            }
            rowids.insert(from, rowid);
            difference.inserted.push(from as u32);
            from += 1;
        }
        Ok(difference)
    }

    /// Returns whether the one row comes before the other.
    fn precedes(&self, connection: &Connection, params: &[Value], one: i64, other: i64) -> Result<bool> {
        let mut statement =
            self.statement(connection, &self.pair, params, &[Value::Integer(one), Value::Integer(other)])?;
        Ok(statement.step()? == Step::Row && rowid(&statement) == one)
    }

    /// Binds the query's parameters and further ones.
    fn statement<'c>(
        &self,
        connection: &'c Connection,
        sql: &str,
        params: &[Value],
        more: &[Value],
    ) -> Result<Statement<'c>> {
        let mut statement = connection.statement_for(sql, Authority::User)?;
        statement.bind_first(params)?;
        for (index, value) in more.iter().enumerate() {
            statement.bind(params.len() + index + 1, value)?;
        }
        Ok(statement)
    }
}

/// Returns how one part of a result became another of the next one. `changed` is sorted; all other rows are in
/// the same order in both.
fn between(before: &[i64], after: &[i64], changed: &[i64]) -> Difference {
    let missing = |rowids: &[i64], others: &[i64]| {
        let mut others = others.to_vec();
        others.sort_unstable();
        let is_missing =
            |(_, rowid): &(u32, &i64)| changed.binary_search(rowid).is_ok() || others.binary_search(rowid).is_err();
        (0..).zip(rowids).filter(is_missing).map(|(at, _)| at).collect()
    };
    Difference { removed: missing(before, after), inserted: missing(after, before), total: 0 }
}

fn json_list(rowids: &[i64]) -> Value {
    let list: Vec<String> = rowids.iter().map(i64::to_string).collect();
    Value::from(format!("[{}]", list.join(",")))
}

/// Returns the last column of the present row.
fn rowid(statement: &Statement<'_>) -> i64 {
    match statement.column(statement.column_count() - 1) {
        Value::Integer(rowid) => rowid,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::{FollowedQuery, PlainQuery};

    fn of(sql: &str) -> Option<FollowedQuery> {
        of_table(sql, &[], &["id", "a"])
    }

    fn of_table(sql: &str, functions: &[&str], columns: &[&str]) -> Option<FollowedQuery> {
        let owned = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        let parameters = owned(&["", ":b"]);
        let query = PlainQuery::of(sql, &parameters)?;
        FollowedQuery::of(&query, parameters.len(), &owned(functions), &owned(columns))
    }

    #[test]
    fn the_statements_have_the_rowid_last_and_their_parameters_after_the_querys() {
        let query =
            of("select *, a + ? AS s\nfrom t AS x where a > :b OR a IS NULL order by s DESC, 1; -- end").unwrap();
        assert_eq!(query.all, "SELECT *, a + ?1 AS s, rowid from t AS x WHERE a > ?2 OR a IS NULL order by s DESC, 1");
        assert_eq!(
            query.some,
            "SELECT *, a + ?1 AS s, rowid from t AS x WHERE ( a > ?2 OR a IS NULL) AND rowid IN (SELECT value FROM \
             json_each(?3)) order by s DESC, 1"
        );
        assert_eq!(query.pair, "SELECT *, a + ?1 AS s, rowid from t AS x WHERE rowid IN (?3, ?4) order by s DESC, 1");
        assert_eq!(of("SELECT id FROM t ORDER BY a").unwrap().all, "SELECT id, rowid FROM t ORDER BY a");
    }

    #[test]
    fn other_queries_are_not_followed() {
        for sql in [
            "SELECT id FROM t",
            "SELECT id FROM t ORDER BY a LIMIT 5",
            "SELECT DISTINCT a FROM t ORDER BY a",
            "SELECT a FROM t GROUP BY a ORDER BY a",
            "SELECT id FROM t, u ORDER BY a",
            "SELECT id FROM t JOIN u ORDER BY a",
            "SELECT rowid FROM t ORDER BY a",
            "SELECT id FROM t UNION SELECT 1 ORDER BY 1",
        ] {
            assert!(of(sql).is_none(), "{sql}");
        }
        assert!(of_table("SELECT count(*) FROM t ORDER BY 1", &["COUNT"], &["id"]).is_none());
        assert!(of_table("SELECT a FROM t ORDER BY 1", &[], &["RowId"]).is_none());
    }
}

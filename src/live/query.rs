//! What is known of a query: which changes of rows can change its result.

use super::{
    condition::Condition,
    difference::{FollowedQuery, LiveRead, MOST_ROWS, Window},
    lookup::Lookup,
    plain_query::PlainQuery,
};
use crate::{
    error::Result,
    sqlite::{Authority, Connection, RecordedTable, TableInfo, TableKind, TableReads, functions, tokens},
    value::Value,
};

/// Functions whose result depends on their arguments only. Of all others a result may change without a commit: then each commit that changes
/// a table of the query is a reason to run it again.
const PURE: &str = " -> ->> abs avg ceil ceiling char coalesce concat concat_ws count floor format glob group_concat hex ifnull iif instr \
    json json_array json_array_length json_extract json_group_array json_group_object json_object json_quote json_type json_valid length \
    like lower ltrim max min mod nullif octet_length power pow printf quote replace round rtrim sign sqrt string_agg substr substring sum \
    total trim trunc typeof unhex unicode upper ";

/// What a query reads.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// What it reads of each table, if it reads only tables whose changed rows can be recorded; empty: any change may concern it.
    pub reads: Vec<TableRead>,
    /// The condition that a row of its only table must meet.
    pub condition: Option<Condition>,
    /// The column of `reads` that must equal a parameter, and the parameter's place.
    pub key: Option<(usize, usize)>,
    /// How its result is followed.
    pub followed: Option<FollowedQuery>,
    /// The queries of this text by that parameter.
    pub lookup: Lookup,
}

/// What a query reads of a table.
#[derive(Debug)]
pub(super) struct TableRead {
    pub table: RecordedTable,
    /// The indexes of the columns.
    pub columns: Vec<usize>,
}

impl Query {
    /// Reads a query. Fails when it doesn't fit the schema.
    pub fn read(connection: &Connection, sql: &str) -> Result<Self> {
        let mut query = Self::default();
        if connection.statement_for(sql, Authority::User)?.effects().pragma {
            return Ok(query);
        }
        let reading = connection.reading(sql)?;
        let is_pure = |name: &String| {
            let name = name.to_ascii_lowercase();
            PURE.split(' ').any(|pure| pure == name)
                && !functions::is_given(&name)
                && !(name == "like" && connection.has_changed_like())
        };
        // SQLite doesn't report the columns by which NATURAL JOIN and USING compare.
        let hides_columns = sql_has_word(sql, &["natural", "using"]);
        if hides_columns || functions::has_collations() || !reading.functions.iter().all(is_pure) {
            return Ok(query);
        }
        let mut reads = Vec::new();
        let mut names = Vec::new();
        for table in &reading.tables {
            let Some((read, columns)) = TableRead::of(connection, table)? else { return Ok(query) };
            reads.push(read);
            names = columns;
        }
        query.reads = reads;
        let [only] = reading.tables.as_slice() else { return Ok(query) };
        let Some(plain) = PlainQuery::of(sql, &reading.parameters) else { return Ok(query) };
        if !only.columns.iter().any(|column| column == "ROWID")
            && let Some(condition) = Condition::of(&plain)
        {
            query.key = condition.equal.iter().find_map(|(name, place)| {
                Some((names.iter().position(|column: &String| column.eq_ignore_ascii_case(name))?, *place))
            });
            query.condition = Some(condition);
        }
        query.followed = FollowedQuery::of(&plain, reading.parameters.len(), &reading.functions, &names);
        Ok(query)
    }

    /// Whether its results are compared. The part of a result is read by other statements; what isn't known of a query may call the app,
    /// which may call the registry of live queries; and many queries never have a second result.
    pub fn is_compared(&self, LiveRead { reads, rows, window }: LiveRead) -> bool {
        let is_known = self.followed.is_none() && !self.reads.is_empty();
        is_known && reads > 0 && rows as usize <= MOST_ROWS && window == Window::default()
    }

    /// Adds a query of this text to the index of parameters.
    pub fn index(&mut self, id: u32, params: Option<&[Value]>) {
        let Some((_, place)) = self.key else { return };
        self.lookup.add(params.and_then(|params| params.get(place)).unwrap_or(&Value::Null), id);
    }
}

impl TableRead {
    /// Returns it with the names of the table's columns; `None`: SQLite doesn't report all changes of its rows with all values.
    fn of(connection: &Connection, table: &TableReads) -> Result<Option<(Self, Vec<String>)>> {
        let Some(info) = TableInfo::read(connection, &table.name)? else { return Ok(None) };
        let is_plain = info.kind == TableKind::Table && !info.without_rowid && !info.name.starts_with("sqlite_");
        // A temporary table hides one of its name.
        let sql = "SELECT 1 FROM temp.sqlite_schema WHERE name = ?1 COLLATE NOCASE";
        let is_hidden = connection.value(sql, &[Value::from(table.name.as_str())])?.is_some();
        if is_hidden || !is_plain || info.columns.iter().any(|column| column.generated) {
            return Ok(None);
        }
        let names: Vec<String> = info.columns.into_iter().map(|column| column.name).collect();
        let index = |name: &String| names.iter().position(|column| column == name);
        let read = Self {
            // A rowid without a column is none of them: a row that gets another one always counts as changed.
            columns: table.columns.iter().filter_map(index).collect(),
            table: RecordedTable { name: info.name.as_str().into(), columns: names.len() },
        };
        Ok(Some((read, names)))
    }

    /// Returns whether an update changes a column that the query reads.
    pub fn sees(&self, old: &[Value], new: &[Value]) -> bool {
        self.columns.iter().any(|column| old.get(*column) != new.get(*column))
    }
}

fn sql_has_word(sql: &str, words: &[&str]) -> bool {
    tokens(sql).iter().any(|token| words.iter().any(|word| token.is(word)))
}

//! What a query reads, as SQLite reports it when it compiles the query.

/// What a query reads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QueryReads {
    /// The tables and views, each once; names as in the schema.
    pub tables: Vec<TableReads>,
    /// The names of the functions that it calls, operators included that are functions (`LIKE`, `->`).
    pub functions: Vec<String>,
    /// The names of its parameters, with prefix; empty for `?` and for a gap between numbers.
    pub parameters: Vec<String>,
}

/// What a query reads of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableReads {
    /// Its name.
    pub name: String,
    /// The columns, each once. `ROWID` is the rowid, unless a column has that name; without any, only the number of rows matters.
    pub columns: Vec<String>,
}

impl QueryReads {
    pub(in crate::sqlite) fn note_column(&mut self, table: &str, column: &str) {
        let known = self.tables.iter().position(|known| known.name == table);
        let at = known.unwrap_or_else(|| {
            self.tables.push(TableReads { name: table.to_owned(), columns: Vec::new() });
            self.tables.len() - 1
        });
        let columns = &mut self.tables[at].columns;
        if !column.is_empty() && !columns.iter().any(|known| known == column) {
            columns.push(column.to_owned());
        }
    }
}

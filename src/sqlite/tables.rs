//! The properties of tables: the only place that reads SQLite's pragmas for columns, keys, indexes and references
//! (checked by `tests/native/layers.rs`).

use crate::{
    error::Result,
    sqlite::{Connection, Step},
    value::Value,
};

/// The names of a rowid, unless columns have them.
pub(crate) const ROWID_NAMES: [&str; 3] = ["rowid", "_rowid_", "oid"];

/// The kind of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableKind {
    /// An ordinary table.
    Table,
    /// A view.
    View,
    /// A virtual table.
    Virtual,
    /// A table that holds a virtual table's data.
    Shadow,
}

/// A table or view of the schema `main`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name, as the schema spells it.
    pub name: String,
    /// Its kind.
    pub kind: TableKind,
    /// Whether it is WITHOUT ROWID.
    pub without_rowid: bool,
    /// Whether it is STRICT.
    pub strict: bool,
    /// Its columns in order, without the hidden ones of virtual tables.
    pub columns: Vec<ColumnInfo>,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnInfo {
    /// Its name, as the schema spells it.
    pub name: String,
    /// Its declared type; empty without one.
    pub declared: String,
    /// Whether it is NOT NULL.
    pub not_null: bool,
    /// Its position in the primary key, from 1; 0 when it isn't part of it.
    pub key: i64,
    /// Whether SQLite computes it.
    pub generated: bool,
}

/// A reference to another table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignKey {
    /// Its number, as in `PRAGMA foreign_key_check`.
    pub id: i64,
    /// The referenced table.
    pub parent: String,
    /// The referring columns.
    pub from: Vec<String>,
    /// The referenced columns; empty where the declaration names none: the parent's primary key.
    pub to: Vec<String>,
    /// `CASCADE`, `SET NULL`, `NO ACTION`...
    pub on_delete: String,
}

impl ForeignKey {
    /// Returns whether deleting a parent changes the rows that refer to it.
    pub fn acts_on_delete(&self) -> bool {
        !matches!(self.on_delete.as_str(), "NO ACTION" | "RESTRICT")
    }
}

impl TableInfo {
    /// Reads a table or view by its name, in any case; `None` when it doesn't exist.
    pub fn read(connection: &Connection, name: &str) -> Result<Option<Self>> {
        let sql = "SELECT name, type, wr, strict FROM pragma_table_list(?1) WHERE schema = 'main'";
        let mut found = connection.rows(sql, &[Value::from(name)])?;
        found.pop().map(|row| Self::of(connection, row)).transpose()
    }

    /// Reads all tables and views.
    pub fn all(connection: &Connection) -> Result<Vec<Self>> {
        let sql = "SELECT name, type, wr, strict FROM pragma_table_list WHERE schema = 'main'";
        connection.rows(sql, &[])?.into_iter().map(|row| Self::of(connection, row)).collect()
    }

    fn of(connection: &Connection, mut row: Vec<Value>) -> Result<Self> {
        let name = text(&mut row[0]);
        Ok(Self {
            kind: match row[1].as_text() {
                Some("table") => TableKind::Table,
                Some("view") => TableKind::View,
                Some("shadow") => TableKind::Shadow,
                _ => TableKind::Virtual,
            },
            without_rowid: row[2] == Value::Integer(1),
            strict: row[3] == Value::Integer(1),
            columns: connection.columns(&name)?,
            name,
        })
    }

    /// Returns the columns of the primary key, in its order; empty when none is declared.
    pub fn primary_key(&self) -> Vec<String> {
        let mut key: Vec<&ColumnInfo> = self.columns.iter().filter(|column| column.key > 0).collect();
        key.sort_unstable_by_key(|column| column.key);
        key.into_iter().map(|column| column.name.clone()).collect()
    }

    /// Returns whether the table has a column of that name.
    pub fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name.eq_ignore_ascii_case(name))
    }

    /// Returns a name for the rowid; `None` when the table has no rowid, or columns use all three names.
    pub fn rowid_name(&self) -> Option<&'static str> {
        let numbered = matches!(self.kind, TableKind::Table | TableKind::Shadow) && !self.without_rowid;
        ROWID_NAMES.into_iter().find(|name| numbered && !self.has_column(name))
    }

    /// Returns the column that is an alias of the rowid: the INTEGER PRIMARY KEY.
    pub fn rowid_column(&self, connection: &Connection) -> Result<Option<&str>> {
        let mut keys = self.columns.iter().filter(|column| column.key > 0);
        let (Some(key), None) = (keys.next(), keys.next()) else { return Ok(None) };
        if self.without_rowid || !key.declared.eq_ignore_ascii_case("INTEGER") {
            return Ok(None);
        }
        // A key with an index of its own is no alias of the rowid: INTEGER PRIMARY KEY DESC.
        let index = "SELECT 1 FROM pragma_index_list(?1, 'main') WHERE origin = 'pk'";
        let indexed = connection.value(index, &[Value::from(self.name.as_str())])?.is_some();
        Ok((!indexed).then_some(key.name.as_str()))
    }
}

impl Connection {
    /// Returns the columns of a table or view in order, without the hidden ones of virtual tables. Fails for a view that can't
    /// be read.
    pub(in crate::sqlite) fn columns(&self, table: &str) -> Result<Vec<ColumnInfo>> {
        let sql = "SELECT name, type, \"notnull\", pk, hidden FROM pragma_table_xinfo(?1, 'main') \
                   WHERE hidden <> 1 ORDER BY cid";
        let mut statement = self.statement(sql)?;
        statement.bind(1, &Value::from(table))?;
        let mut columns = Vec::new();
        while statement.step()? == Step::Row {
            columns.push(ColumnInfo {
                name: statement.column_text(0).unwrap_or_default().to_owned(),
                declared: statement.column_text(1).unwrap_or_default().to_owned(),
                not_null: statement.column_i64(2) == 1,
                key: statement.column_i64(3),
                generated: statement.column_i64(4) != 0,
            });
        }
        Ok(columns)
    }

    /// Returns the foreign keys of a table, in the order of their numbers.
    pub fn foreign_keys(&self, table: &str) -> Result<Vec<ForeignKey>> {
        let sql = "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?1, 'main') ORDER BY id, seq";
        let mut keys: Vec<ForeignKey> = Vec::new();
        for mut row in self.rows(sql, &[Value::from(table)])? {
            let id = row[0].as_integer().unwrap_or_default();
            if keys.last().is_none_or(|last| last.id != id) {
                let (parent, on_delete) = (text(&mut row[1]), text(&mut row[4]));
                keys.push(ForeignKey { id, parent, from: Vec::new(), to: Vec::new(), on_delete });
            }
            if let Some(key) = keys.last_mut() {
                key.from.push(text(&mut row[2]));
                if !row[3].is_null() {
                    key.to.push(text(&mut row[3]));
                }
            }
        }
        Ok(keys)
    }

    /// Returns the column lists of a table's unique indexes, without that of the primary key.
    pub fn unique_columns(&self, table: &str) -> Result<Vec<Vec<String>>> {
        let sql = "SELECT name FROM pragma_index_list(?1, 'main') WHERE \"unique\" = 1 AND origin <> 'pk'";
        let columns_of = |index: Vec<Value>| {
            let columns = self.rows("SELECT name FROM pragma_index_info(?1, 'main') ORDER BY seqno", &index)?;
            // An expression has no name.
            Ok(columns.iter().filter_map(|row| row[0].as_text().map(str::to_owned)).collect())
        };
        self.rows(sql, &[Value::from(table)])?.into_iter().map(columns_of).collect()
    }

    /// Returns a column of a table's primary key whose collation treats different texts as equal, as NOCASE does.
    pub fn loose_key_column(&self, table: &str) -> Result<Option<String>> {
        let sql = "SELECT info.name \
                   FROM pragma_index_list(?1, 'main') AS list, pragma_index_xinfo(list.name, 'main') AS info \
                   WHERE list.origin = 'pk' AND info.\"key\" = 1 AND info.coll <> 'BINARY'";
        let column = self.value(sql, &[Value::from(table)])?;
        Ok(column.as_ref().and_then(Value::as_text).map(str::to_owned))
    }
}

fn text(value: &mut Value) -> String {
    match std::mem::replace(value, Value::Null) {
        Value::Text(text) => text,
        _ => String::new(),
    }
}

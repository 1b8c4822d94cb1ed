//! What sync has to know about the local tables.

use super::order;
use crate::{
    collections::Map,
    error::Result,
    sqlite::{ColumnInfo, Connection, ForeignKey, TableInfo, TableKind},
    sync::values::{
        encode::quote,
        types::{Affinity, WireKind},
    },
};

/// The column with the number of the transaction that wrote a row.
pub const STAMP: &str = "_xid";

/// One column of a local table. Generated columns are left out: SQLite fills them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalColumn {
    /// Its name as declared.
    pub name: String,
    /// Its kind on the wire, by the declared type.
    pub kind: WireKind,
    /// How SQLite converts the values that it stores.
    pub affinity: Affinity,
    /// Whether it refuses NULL.
    pub not_null: bool,
}

/// A local table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTable {
    /// Its name as declared.
    pub name: String,
    /// Its columns in order.
    pub columns: Vec<LocalColumn>,
    /// The primary key's columns in key order; empty when none is declared.
    pub primary_key: Vec<String>,
    /// Its references to other tables.
    pub foreign_keys: Vec<ForeignKey>,
    /// The column lists of its unique indexes, without the primary key's.
    pub unique: Vec<Vec<String>>,
    /// A column of the primary key whose collation treats different texts as equal, as NOCASE does.
    pub loose_key: Option<String>,
}

impl LocalTable {
    /// Reads an ordinary table of the main schema. Returns `None` when there is no such table; views and virtual tables
    /// can't be synced.
    pub fn read(connection: &Connection, name: &str) -> Result<Option<Self>> {
        TableInfo::read(connection, name)?
            .filter(|info| info.kind == TableKind::Table)
            .map(|info| Self::of(connection, info))
            .transpose()
    }

    /// Reads all ordinary tables of the main schema.
    pub fn all(connection: &Connection) -> Result<Vec<Self>> {
        let ordinary = TableInfo::all(connection)?.into_iter().filter(|info| info.kind == TableKind::Table);
        ordinary.map(|info| Self::of(connection, info)).collect()
    }

    fn of(connection: &Connection, info: TableInfo) -> Result<Self> {
        Ok(Self {
            columns: info.columns.iter().filter(|column| !column.generated).map(|it| column(it, info.strict)).collect(),
            primary_key: info.primary_key(),
            foreign_keys: foreign_keys(connection, &info.name)?,
            unique: connection.unique_columns(&info.name)?,
            loose_key: connection.loose_key_column(&info.name)?,
            name: info.name,
        })
    }

    /// Returns the column of that name, ignoring case.
    pub fn column(&self, name: &str) -> Option<&LocalColumn> {
        self.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

fn column(info: &ColumnInfo, strict: bool) -> LocalColumn {
    // ANY in a STRICT table keeps values as they are, like no declared type in other tables.
    let any = strict && info.declared.eq_ignore_ascii_case("any");
    LocalColumn {
        name: info.name.clone(),
        kind: WireKind::from_declared(&info.declared),
        affinity: if any { Affinity::Blob } else { Affinity::from_declared(&info.declared) },
        not_null: info.not_null,
    }
}

fn foreign_keys(connection: &Connection, table: &str) -> Result<Vec<ForeignKey>> {
    let mut keys = connection.foreign_keys(table)?;
    for key in keys.iter_mut().filter(|key| key.to.is_empty()) {
        key.to = TableInfo::read(connection, &key.parent)?.map(|parent| parent.primary_key()).unwrap_or_default();
    }
    Ok(keys)
}

/// Returns the indexes of `tables` in an order in which parents come before their children. Cycles are cut at a
/// reference that may be NULL, if there is one.
pub fn parents_first(tables: &[&LocalTable]) -> Vec<usize> {
    let places: Map<String, usize> =
        tables.iter().enumerate().map(|(at, table)| (table.name.to_ascii_lowercase(), at)).collect();
    let mut order: Vec<usize> = (0..tables.len()).collect();
    for all in [true, false] {
        let parents = tables.iter().map(|table| {
            let required = |name: &String| {
                table.primary_key.contains(name) || table.column(name).is_some_and(|column| column.not_null)
            };
            let keys = table.foreign_keys.iter().filter(|key| all || key.from.iter().all(required));
            keys.filter_map(|key| places.get(&key.parent.to_ascii_lowercase()).copied()).collect()
        });
        order = order::parents_first(order, &parents.collect::<Vec<_>>());
    }
    order
}

/// Returns `"a" IS ?1 AND "b" IS ?2`, for a key whose parameters begin at `first`.
pub fn key_condition(columns: &[String], first: usize) -> String {
    let mut sql = String::new();
    for (index, column) in columns.iter().enumerate() {
        if index > 0 {
            sql.push_str(" AND ");
        }
        // A key may be NULL in SQLite.
        sql.push_str(&format!("{} IS ?{}", quote(column), first + index));
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sqlite::PageFile;

    #[test]
    fn tables_are_read_as_declared() {
        let connection = Connection::open(&PageFile::default()).unwrap();
        connection
            .exec(
                "CREATE TABLE parent(a TEXT, b INT, PRIMARY KEY(b, a)) WITHOUT ROWID;
                 CREATE TABLE Child(id INTEGER PRIMARY KEY, price NUMERIC TEXT NOT NULL, double GENERATED ALWAYS AS (id * 2),
                     a TEXT, b INT, slug TEXT UNIQUE, self REFERENCES child ON DELETE CASCADE,
                     FOREIGN KEY(b, a) REFERENCES parent);
                 CREATE TABLE strict(x ANY, y INT PRIMARY KEY) STRICT;
                 CREATE VIEW v AS SELECT 1;",
            )
            .unwrap();
        let parent = LocalTable::read(&connection, "parent").unwrap().unwrap();
        assert_eq!(parent.primary_key, ["b", "a"]);
        let child = LocalTable::read(&connection, "CHILD").unwrap().unwrap();
        assert_eq!(child.name, "Child");
        assert_eq!(child.primary_key, ["id"]);
        let names: Vec<_> = child.columns.iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "price", "a", "b", "slug", "self"]);
        assert_eq!(child.columns[1].kind, WireKind::Numeric);
        assert!(child.columns[1].not_null);
        assert_eq!(child.unique, [["slug"]]);
        let keys: Vec<_> = child.foreign_keys.iter().map(|key| (key.parent.as_str(), key.to.clone())).collect();
        assert_eq!(keys, [("parent", vec!["b".to_owned(), "a".to_owned()]), ("child", vec!["id".to_owned()])]);
        assert_eq!(child.foreign_keys[1].on_delete, "CASCADE");
        let strict = LocalTable::read(&connection, "strict").unwrap().unwrap();
        assert_eq!((strict.columns[0].kind, strict.columns[0].affinity), (WireKind::Any, Affinity::Blob));
        assert_eq!(LocalTable::read(&connection, "v").unwrap(), None);
        assert_eq!(LocalTable::read(&connection, "none").unwrap(), None);
        assert_eq!(parents_first(&[&child, &strict, &parent]), [2, 0, 1]);
    }
}

//! A database's schema, without internal tables.

use serde::Serialize;

use super::{definition::Definition, same};
use crate::{
    collections::Map,
    error::Result,
    sqlite::{Connection, TableInfo, TableKind, is_reserved, normal, tokens},
    value::Value,
};

/// The kind of a schema object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum SchemaObjectKind {
    /// A table, virtual ones too.
    Table,
    /// A column of a table.
    Column,
    /// An index.
    Index,
    /// A view.
    View,
    /// A trigger.
    Trigger,
}

/// How the rows of a table are identified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rowid {
    /// By no rowid: WITHOUT ROWID, and virtual tables.
    None,
    /// By a column: the INTEGER PRIMARY KEY.
    Column(String),
    /// By a rowid with this name.
    Hidden(&'static str),
    /// By a rowid without a name: columns use all three names.
    Covered,
}

/// One table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name, as the schema spells it.
    pub name: String,
    /// Its CREATE statement.
    pub sql: String,
    /// The statement in its normal form.
    pub normal: String,
    /// The parsed statement; `None` for a virtual table.
    pub definition: Option<Definition>,
    /// How its rows are identified.
    pub rowid: Rowid,
}

/// An index, a trigger or a view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaObject {
    /// Its kind.
    pub kind: SchemaObjectKind,
    /// Its name, as the schema spells it.
    pub name: String,
    /// Its table; for a view, its own name.
    pub table: String,
    /// Its CREATE statement.
    pub sql: String,
    /// The statement in its normal form.
    pub normal: String,
}

/// The tables, indexes, views and triggers of a database, in the order of their creation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The tables.
    pub tables: Vec<Table>,
    /// The indexes, triggers and views.
    pub objects: Vec<SchemaObject>,
}

impl Schema {
    /// Reads the schema `main`, without the internal tables of SQLite and tidelock, those in `ignored`, and the objects
    /// on them.
    pub fn read(connection: &Connection, ignored: &[&str]) -> Result<Self> {
        let mut schema = Self::default();
        let all: Map<String, TableInfo> =
            TableInfo::all(connection)?.into_iter().map(|info| (info.name.clone(), info)).collect();
        let is_own = |name: &str| is_reserved(name) || ignored.iter().any(|one| same(one, name));
        let sql = "SELECT type, name, tbl_name, sql FROM main.sqlite_schema WHERE sql IS NOT NULL ORDER BY rowid";
        for mut row in connection.rows(sql, &[])? {
            let mut text = |at: usize| match std::mem::replace(&mut row[at], Value::Null) {
                Value::Text(text) => text,
                _ => String::new(),
            };
            let (kind, name, table, sql) = (text(0), text(1), text(2), text(3));
            if is_own(&name) || is_own(&table) {
                continue;
            }
            let kind = match kind.as_str() {
                "table" => SchemaObjectKind::Table,
                "index" => SchemaObjectKind::Index,
                "view" => SchemaObjectKind::View,
                _ => SchemaObjectKind::Trigger,
            };
            let normal = normal(&tokens(&sql));
            if kind != SchemaObjectKind::Table {
                schema.objects.push(SchemaObject { kind, name, table, sql, normal });
                continue;
            }
            let info = all.get(&name);
            if info.is_some_and(|info| info.kind == TableKind::Shadow) {
                continue;
            }
            let definition = Definition::read(&sql);
            let rowid = match info.filter(|_| definition.is_some()) {
                Some(info) => rowid_of(connection, info)?,
                None => Rowid::None,
            };
            schema.tables.push(Table { name, sql, normal, definition, rowid });
        }
        Ok(schema)
    }

    /// Returns the table of that name.
    pub fn table(&self, name: &str) -> Option<&Table> {
        self.tables.iter().find(|table| same(&table.name, name))
    }

    /// Returns the index, view or trigger of that name.
    pub fn object(&self, kind: SchemaObjectKind, name: &str) -> Option<&SchemaObject> {
        self.objects.iter().find(|object| object.kind == kind && same(&object.name, name))
    }

    /// Returns whether any object has that name.
    pub fn has_name(&self, name: &str) -> bool {
        self.table(name).is_some() || self.objects.iter().any(|object| same(&object.name, name))
    }

    /// Returns the statements that create the schema, in order.
    pub fn statements(&self) -> impl Iterator<Item = &str> {
        let objects = |kind: SchemaObjectKind| self.objects.iter().filter(move |object| object.kind == kind);
        let tables = self.tables.iter().map(|table| table.sql.as_str());
        let rest = objects(SchemaObjectKind::Index)
            .chain(objects(SchemaObjectKind::View))
            .chain(objects(SchemaObjectKind::Trigger));
        tables.chain(rest.map(|object| object.sql.as_str()))
    }
}

fn rowid_of(connection: &Connection, info: &TableInfo) -> Result<Rowid> {
    if info.without_rowid {
        return Ok(Rowid::None);
    }
    Ok(match info.rowid_column(connection)? {
        Some(column) => Rowid::Column(column.to_owned()),
        None => info.rowid_name().map_or(Rowid::Covered, Rowid::Hidden),
    })
}

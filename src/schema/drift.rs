//! The differences between two schemas.
//!
//! The order of columns, constraints and a column's clauses is ignored, as are quotes, case, comments and white space.

use serde::Serialize;

use super::model::{Schema, SchemaObjectKind, Table};

/// A difference between the actual schema and that of the migrations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct DriftEntry {
    /// The kind of the object.
    pub kind: SchemaObjectKind,
    /// The name of the object.
    pub name: String,
    /// The table of a column, an index or a trigger.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub table: Option<String>,
    /// The definition by the migrations, for removed and changed objects: type and constraints of a column; constraints
    /// and options of a changed table; else the statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub expected: Option<String>,
    /// The actual definition, for added and changed objects.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, ts(optional))]
    pub actual: Option<String>,
}

/// The differences between the actual schema and that of the migrations. Columns of added and removed tables aren't
/// listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Drift {
    /// Objects that exist, though no migration creates them.
    pub added: Vec<DriftEntry>,
    /// Objects that don't exist, though a migration creates them.
    pub removed: Vec<DriftEntry>,
    /// Objects that differ from those that the migrations create.
    pub changed: Vec<DriftEntry>,
    /// The versions of applied migrations that were skipped: functions, which only the app can run.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, ts(optional, as = "Option<Vec<String>>"))]
    pub skipped: Vec<String>,
}

impl Drift {
    /// Returns whether there are no differences.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn push(
        &mut self,
        kind: SchemaObjectKind,
        name: &str,
        table: Option<&str>,
        expected: Option<String>,
        actual: Option<String>,
    ) {
        let list = match (&expected, &actual) {
            (None, _) => &mut self.added,
            (_, None) => &mut self.removed,
            _ => &mut self.changed,
        };
        list.push(DriftEntry { kind, name: name.to_owned(), table: table.map(str::to_owned), expected, actual });
    }

    fn table(&mut self, expected: &Table, actual: &Table) {
        if expected.normal == actual.normal {
            return;
        }
        let (Some(was), Some(is)) = (&expected.definition, &actual.definition) else {
            return self.push(
                SchemaObjectKind::Table,
                &actual.name,
                None,
                Some(expected.sql.clone()),
                Some(actual.sql.clone()),
            );
        };
        if (&was.constraints, &was.options) != (&is.constraints, &is.options) {
            self.push(SchemaObjectKind::Table, &actual.name, None, Some(was.described()), Some(is.described()));
        }
        for column in &is.columns {
            let known = was.column(&column.name);
            if known.is_none_or(|known| known.clauses != column.clauses) {
                let expected = known.map(|known| known.described());
                self.push(
                    SchemaObjectKind::Column,
                    &column.name,
                    Some(&actual.name),
                    expected,
                    Some(column.described()),
                );
            }
        }
        for column in was.columns.iter().filter(|column| is.column(&column.name).is_none()) {
            self.push(SchemaObjectKind::Column, &column.name, Some(&actual.name), Some(column.described()), None);
        }
    }
}

/// Returns the differences of `actual` from `expected`.
pub fn drift(expected: &Schema, actual: &Schema) -> Drift {
    let mut drift = Drift::default();
    for table in &actual.tables {
        match expected.table(&table.name) {
            Some(known) => drift.table(known, table),
            None => drift.push(SchemaObjectKind::Table, &table.name, None, None, Some(table.sql.clone())),
        }
    }
    for table in expected.tables.iter().filter(|table| actual.table(&table.name).is_none()) {
        drift.push(SchemaObjectKind::Table, &table.name, None, Some(table.sql.clone()), None);
    }
    let on = |kind: SchemaObjectKind, table: &str| (kind != SchemaObjectKind::View).then(|| table.to_owned());
    for object in &actual.objects {
        let known = expected.object(object.kind, &object.name);
        if known.is_none_or(|known| known.normal != object.normal) {
            let (table, was) = (on(object.kind, &object.table), known.map(|known| known.sql.clone()));
            drift.push(object.kind, &object.name, table.as_deref(), was, Some(object.sql.clone()));
        }
    }
    for object in expected.objects.iter().filter(|object| actual.object(object.kind, &object.name).is_none()) {
        let table = on(object.kind, &object.table);
        drift.push(object.kind, &object.name, table.as_deref(), Some(object.sql.clone()), None);
    }
    drift
}

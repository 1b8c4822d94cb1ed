//! Generates the script that changes one schema into another.
//!
//! The script first drops the changed views and triggers, and those that name a table that is dropped, rebuilt or loses
//! a column, since SQLite refuses to alter a table while a view names a missing one. Then it drops indexes and tables;
//! alters, rebuilds and creates tables; and finally creates indexes, views and triggers. Foreign keys must be off, as
//! in a running migration.

use super::{
    definition::{ClauseKind, Column, Definition},
    model::{Schema, SchemaObject, SchemaObjectKind, Table},
    rebuild, same,
    script::SchemaScript,
};
use crate::sqlite::{plain_or_quoted as name, tokens};

/// The change of a table.
enum TableChange<'a> {
    Same,
    Alter {
        add: Vec<&'a Column>,
        drop: Vec<&'a Column>,
    },
    Rebuild(&'a Definition, &'a Definition),
    /// Drops and creates a virtual table, which can't be altered.
    Replace,
    Dropped,
}

impl TableChange<'_> {
    /// Returns whether views and triggers that name the table must be dropped first.
    fn affects_views(&self) -> bool {
        match self {
            TableChange::Same => false,
            TableChange::Alter { drop, .. } => !drop.is_empty(),
            _ => true,
        }
    }

    /// Returns whether the change drops the table's indexes, too.
    fn takes_indexes(&self) -> bool {
        matches!(self, TableChange::Rebuild(..) | TableChange::Replace | TableChange::Dropped)
    }
}

/// Returns the script from one schema to another; empty if they are equal.
pub fn change(from: &Schema, to: &Schema) -> SchemaScript {
    let ways: Vec<(&Table, TableChange<'_>)> = from.tables.iter().map(|table| (table, way(table, to))).collect();
    let in_the_way = in_the_way(from, to, &ways);
    let way_of = |table: &str| ways.iter().find(|(known, _)| same(&known.name, table)).map(|(_, way)| way);
    let vanishes = |object: &SchemaObject| {
        object.kind == SchemaObjectKind::Index && way_of(&object.table).is_some_and(TableChange::takes_indexes)
            || in_the_way.iter().any(|one| std::ptr::eq(*one, object))
    };
    let stays = |object: &SchemaObject| {
        !vanishes(object) && to.object(object.kind, &object.name).is_some_and(|known| known.normal == object.normal)
    };

    let mut script = SchemaScript::default();
    for (kind, word) in
        [(SchemaObjectKind::Trigger, "TRIGGER"), (SchemaObjectKind::View, "VIEW"), (SchemaObjectKind::Index, "INDEX")]
    {
        for object in from.objects.iter().filter(|object| object.kind == kind && !stays(object)) {
            let goes_along = kind == SchemaObjectKind::Index && vanishes(object);
            if !goes_along {
                script.statement(&format!("DROP {word} {}", name(&object.name)));
            }
        }
    }
    for (table, way) in &ways {
        match way {
            TableChange::Dropped => script.destructive(format!("the table {} is dropped, with its rows", table.name)),
            TableChange::Replace => {
                script.destructive(format!("the table {} is created again, without its rows", table.name))
            }
            _ => continue,
        }
        script.statement(&format!("DROP TABLE {}", name(&table.name)));
    }
    for (table, way) in &ways {
        match way {
            TableChange::Alter { add, drop } => alter(&mut script, table, add, drop),
            TableChange::Rebuild(before, after) => {
                if let Some(target) = to.table(&table.name) {
                    let taken = |name: &str| from.has_name(name) || to.has_name(name);
                    rebuild::rebuild(&mut script, (table, before), (target, after), taken);
                }
            }
            _ => {}
        }
    }
    let is_new = |table: &&Table| matches!(way_of(&table.name), None | Some(TableChange::Replace));
    for table in to.tables.iter().filter(is_new) {
        script.statement(&table.sql);
    }
    for kind in [SchemaObjectKind::Index, SchemaObjectKind::View, SchemaObjectKind::Trigger] {
        for object in to.objects.iter().filter(|object| object.kind == kind) {
            if !from.object(kind, &object.name).is_some_and(stays) {
                script.statement(&object.sql);
            }
        }
    }
    script
}

/// Returns the views and triggers to drop before tables change: those that change themselves, and those that name a
/// table whose change affects them, or a dropped view.
fn in_the_way<'a>(from: &'a Schema, to: &Schema, ways: &[(&Table, TableChange<'_>)]) -> Vec<&'a SchemaObject> {
    let mut affected: Vec<String> =
        ways.iter().filter(|(_, way)| way.affects_views()).map(|(table, _)| table.name.clone()).collect();
    let mut left: Vec<(&SchemaObject, Vec<String>)> = Vec::new();
    let mut found = Vec::new();
    for object in from.objects.iter().filter(|object| object.kind != SchemaObjectKind::Index) {
        if to.object(object.kind, &object.name).is_some_and(|known| known.normal == object.normal) {
            let names = tokens(&object.sql).iter().map(|token| token.name()).chain([object.table.clone()]).collect();
            left.push((object, names));
        } else {
            found.push(object);
            affected.extend((object.kind == SchemaObjectKind::View).then(|| object.name.clone()));
        }
    }
    loop {
        let names_affected = |names: &[String]| names.iter().any(|name| affected.iter().any(|one| same(one, name)));
        let (mut dependent, rest): (Vec<_>, Vec<_>) = left.into_iter().partition(|(_, names)| names_affected(names));
        if dependent.is_empty() {
            return found;
        }
        left = rest;
        affected.extend(
            dependent.iter().filter(|(one, _)| one.kind == SchemaObjectKind::View).map(|(one, _)| one.name.clone()),
        );
        found.extend(dependent.drain(..).map(|(one, _)| one));
    }
}

fn way<'a>(table: &'a Table, to: &'a Schema) -> TableChange<'a> {
    let Some(target) = to.table(&table.name) else { return TableChange::Dropped };
    if table.normal == target.normal {
        return TableChange::Same;
    }
    let (Some(before), Some(after)) = (&table.definition, &target.definition) else { return TableChange::Replace };
    let kept = |column: &Column| after.column(&column.name).is_none_or(|now| now.clauses == column.clauses);
    if (&before.constraints, &before.options) != (&after.constraints, &after.options)
        || !before.columns.iter().all(kept)
    {
        return TableChange::Rebuild(before, after);
    }
    let missing = |column: &&Column, there: &Definition| there.column(&column.name).is_none();
    let add: Vec<_> = after.columns.iter().filter(|column| missing(column, before)).collect();
    let drop: Vec<_> = before.columns.iter().filter(|column| missing(column, after)).collect();
    let computed = add.iter().filter(|column| column.has(ClauseKind::Generated)).count();
    if add.is_empty() && drop.is_empty() {
        TableChange::Same
    } else if computed <= 1
        && add.iter().all(|column| can_be_added(column))
        && drop.iter().all(|column| can_be_dropped(column, before))
    {
        TableChange::Alter { add, drop }
    } else {
        TableChange::Rebuild(before, after)
    }
}

/// Returns whether ALTER TABLE ADD COLUMN accepts a column, whatever rows exist.
fn can_be_added(column: &Column) -> bool {
    if column.has(ClauseKind::PrimaryKey) || column.has(ClauseKind::Unique) {
        return false;
    }
    if let Some(computed) = column.clause(ClauseKind::Generated) {
        return !computed.ends_with("stored") && !column.has(ClauseKind::NotNull);
    }
    let constant = |value: &str| !value.starts_with('(') && !value.to_ascii_lowercase().starts_with("current_");
    match column.value() {
        Some(value) => constant(value) && !column.has(ClauseKind::References),
        None => !column.has(ClauseKind::NotNull),
    }
}

/// Returns whether ALTER TABLE DROP COLUMN accepts a column, once the indexes, views and triggers that name the column
/// are dropped.
fn can_be_dropped(column: &Column, of: &Definition) -> bool {
    let keys = [ClauseKind::PrimaryKey, ClauseKind::Unique, ClauseKind::References];
    let names_it = |text: &str| tokens(text).iter().any(|token| same(&token.name(), &column.name));
    let others = of.columns.iter().filter(|other| other.name != column.name).flat_map(|other| &other.clauses);
    !keys.iter().any(|key| column.has(*key))
        && !others.map(|(_, text)| text).chain(&of.constraints).any(|text| names_it(text))
}

fn alter(script: &mut SchemaScript, table: &Table, add: &[&Column], drop: &[&Column]) {
    let table_name = name(&table.name);
    // Generated columns are added after plain ones, which they may use. Additions come before removals, so that the
    // table always has a column.
    let (computed, plain): (Vec<&Column>, Vec<&Column>) =
        add.iter().partition(|column| column.has(ClauseKind::Generated));
    for column in plain.into_iter().chain(computed) {
        script.statement(&format!("ALTER TABLE {table_name} ADD COLUMN {}", column.text));
    }
    for column in drop {
        script.destructive(format!("the column {}.{} is dropped, with its values", table.name, column.name));
        script.statement(&format!("ALTER TABLE {table_name} DROP COLUMN {}", name(&column.name)));
    }
}

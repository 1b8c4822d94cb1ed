//! A rebuild: a table is created under another name, filled, and renamed to the old one's name, for changes that ALTER
//! TABLE can't make. See <https://sqlite.org/lang_altertable.html>.

use super::{
    definition::{ClauseKind, Column, Definition},
    model::{Rowid, Table},
    same,
    script::SchemaScript,
};
use crate::sqlite::plain_or_quoted as name;

/// A column and the expression that fills it.
type Filled = (String, String);

/// Rebuilds a table whose triggers are dropped. `taken` returns whether a name is in use, which the temporary name must
/// not be.
pub(super) fn rebuild(
    script: &mut SchemaScript,
    (from, before): (&Table, &Definition),
    (to, after): (&Table, &Definition),
    taken: impl Fn(&str) -> bool,
) {
    let mut meanwhile = format!("new_{}", to.name);
    while taken(&meanwhile) {
        meanwhile = format!("new_{meanwhile}");
    }
    let (old, new) = (name(&from.name), name(&meanwhile));
    script.comment(&format!("{} is rebuilt", to.name));
    for column in before.columns.iter().filter(|column| !column.has(ClauseKind::Generated)) {
        let fate = match after.column(&column.name) {
            None => "is dropped, with its values",
            Some(column) if column.has(ClauseKind::Generated) => "becomes a generated one, without its values",
            Some(_) => continue,
        };
        script.destructive(format!("the column {}.{} {fate}", from.name, column.name));
    }
    let filled = filled(script, (from, before), (to, after));
    script.statement(&format!("{}{new}{}", &to.sql[..after.name.start], &to.sql[after.name.end..]));
    if filled.is_empty() {
        script.destructive(format!("the rows of {} are lost: no column of them is left", from.name));
    } else {
        let into = filled.iter().map(|(column, _)| column.as_str()).collect::<Vec<_>>().join(", ");
        let with = filled.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(", ");
        // Fails for a row that violates a constraint, also where the new table ignores or replaces such rows by its ON
        // CONFLICT clauses: the copy would lose them.
        script.statement(&format!("INSERT OR ABORT INTO {new} ({into}) SELECT {with} FROM {old}"));
        if counts(before) && counts(after) {
            // The largest rowid ever used, which may belong to no row.
            let text = |name: &str| format!("'{}'", name.replace('\'', "''"));
            let (of_old, of_new) = (text(&from.name), text(&meanwhile));
            script.statement(&format!("DELETE FROM sqlite_sequence WHERE name = {of_new}"));
            script.statement(&format!(
                "INSERT INTO sqlite_sequence (name, seq) SELECT {of_new}, seq FROM sqlite_sequence WHERE name = {of_old}"
            ));
        }
    }
    script.statement(&format!("DROP TABLE {old}"));
    script.statement(&format!("ALTER TABLE {new} RENAME TO {}", name(&to.name)));
}

/// Returns the filled columns of the new table, each with its expression over the old one.
fn filled(
    script: &mut SchemaScript,
    (from, before): (&Table, &Definition),
    (to, after): (&Table, &Definition),
) -> Vec<Filled> {
    let number = match &from.rowid {
        Rowid::Column(column) => Some(name(column)),
        Rowid::Hidden(rowid) => Some((*rowid).to_owned()),
        Rowid::None | Rowid::Covered => None,
    };
    let mut filled = Vec::new();
    if let (Rowid::Hidden(rowid), Some(number)) = (&to.rowid, &number) {
        // Other tables, such as full-text indexes, may refer to the rowid.
        filled.push(((*rowid).to_owned(), number.clone()));
    }
    for column in after.columns.iter().filter(|column| !column.has(ClauseKind::Generated)) {
        let numbers = matches!(&to.rowid, Rowid::Column(key) if same(key, &column.name));
        let required = column.has(ClauseKind::NotNull) && !numbers;
        let quoted = name(&column.name);
        let value = match before.column(&column.name) {
            Some(known) if required && !known.has(ClauseKind::NotNull) => {
                let value = stand_in(column);
                script.destructive(format!("NULL in {}.{} becomes {value}", to.name, column.name));
                format!("coalesce({quoted}, {value})")
            }
            Some(_) => quoted.clone(),
            None if numbers => match &number {
                Some(number) => number.clone(),
                None => continue,
            },
            None if required && column.value().is_none() => {
                let value = stand_in(column);
                script.comment(&format!("{}.{} has no default: existing rows get {value}", to.name, column.name));
                value
            }
            None => continue,
        };
        filled.push((quoted, value));
    }
    filled
}

/// Returns a value for rows without one: the default, else the empty value of the column's type.
fn stand_in(column: &Column) -> String {
    if let Some(value) = column.value() {
        return value.to_owned();
    }
    let declared = column.declared();
    let has = |word: &str| declared.as_bytes().windows(word.len()).any(|window| window == word.as_bytes());
    let empty = if has("int") {
        "0"
    } else if has("char") || has("clob") || has("text") {
        "''"
    } else if has("blob") || declared.is_empty() {
        "x''"
    } else {
        "0"
    };
    empty.to_owned()
}

fn counts(table: &Definition) -> bool {
    let key = |column: &Column| column.clause(ClauseKind::PrimaryKey).is_some_and(|key| key.ends_with("autoincrement"));
    table.columns.iter().any(key)
}

//! Foreign keys while remote rows are applied: a row waits for its parents, and a row with unpushed changes keeps its own.

use super::{
    encode::{key_sql, literal, quote},
    plan::Plan,
    schema::{Table, key_condition},
    state,
};
use crate::{error::Result, sqlite::Connection, value::Value};

/// One foreign key of the written table.
struct Reference {
    /// Where the referring values are in a row.
    from: Vec<usize>,
    /// Where the values referred to are, when the table refers to itself and they are synced.
    own: Option<Vec<usize>>,
    /// Finds the parent; `?1..` are the values.
    find: String,
    /// What to say when there is none.
    missing: String,
}

/// The foreign keys from and to a table.
pub struct Parents {
    references: Vec<Reference>,
    /// Finds a row with unpushed changes that would be changed with the row of a key; `?1..` are the key's values.
    protected: Option<String>,
}

impl Parents {
    /// Reads what refers to what.
    pub fn new(connection: &Connection, plan: &Plan) -> Result<Self> {
        let at = |name: &String| plan.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
        let mut references = Vec::new();
        for key in &plan.table.foreign_keys {
            // Columns that aren't synced keep the value that they have.
            let Some(from) = key.from.iter().map(at).collect::<Option<Vec<_>>>() else { continue };
            let itself = key.parent.eq_ignore_ascii_case(&plan.table.name);
            references.push(Reference {
                from,
                own: itself.then(|| key.to.iter().map(at).collect()).flatten(),
                find: format!("SELECT 1 FROM main.{} WHERE {}", quote(&key.parent), key_condition(&key.to, 1)),
                missing: format!("its parent in {} is missing", key.parent),
            });
        }
        let mut captured = Vec::new();
        for registered in state::captured(connection)? {
            let Some(table) = Table::read(connection, &registered.table)? else { continue };
            let key = registered.primary_key.unwrap_or_else(|| table.primary_key.clone());
            captured.push(Captured { name: registered.table, key, table });
        }
        let key: Vec<String> = plan.key.iter().map(|at| format!("t0.{}", quote(&plan.columns[*at].name))).collect();
        let condition: Vec<String> =
            key.iter().enumerate().map(|(at, column)| format!("{column} = ?{}", at + 1)).collect();
        let protected = depends(&captured, &plan.table.name, 0).map(|depends| {
            format!(
                "SELECT 1 FROM main.{} t0 WHERE {} AND ({depends})",
                quote(&plan.table.name),
                condition.join(" AND ")
            )
        });
        Ok(Self { references, protected })
    }

    /// Whether the table refers to any.
    pub fn any(&self) -> bool {
        !self.references.is_empty()
    }

    /// What to say about the first parent that isn't there; `None` when all are.
    pub fn missing(&self, connection: &Connection, row: &[Value]) -> Result<Option<String>> {
        for reference in &self.references {
            let values: Vec<Value> = reference.from.iter().map(|at| row[*at].clone()).collect();
            if values.iter().any(Value::is_null) {
                continue;
            }
            if reference.own.as_ref().is_some_and(|own| own.iter().zip(&values).all(|(at, value)| row[*at] == *value)) {
                continue;
            }
            if connection.value(&reference.find, &values)?.is_none() {
                return Ok(Some(reference.missing.clone()));
            }
        }
        Ok(None)
    }

    /// Whether deleting the row of a key would also change a row with unpushed changes.
    pub fn protected(&self, connection: &Connection, key: &[Value]) -> Result<bool> {
        match &self.protected {
            Some(sql) => Ok(connection.value(sql, key)?.is_some()),
            None => Ok(false),
        }
    }
}

/// A table whose changes are captured.
struct Captured {
    name: String,
    key: Vec<String>,
    table: Table,
}

/// Cascades are followed so deep; also ends cycles.
const MAX_DEPTH: usize = 4;

/// SQL: whether a row with unpushed changes depends on the row `t<depth>` of `table`, by actions that would change it.
fn depends(captured: &[Captured], table: &str, depth: usize) -> Option<String> {
    let (parent, child) = (format!("t{depth}"), format!("t{}", depth + 1));
    let mut conditions = Vec::new();
    for captured_table in captured {
        for key in &captured_table.table.foreign_keys {
            let acts = !matches!(key.on_delete.as_str(), "NO ACTION" | "RESTRICT");
            if !acts || !key.parent.eq_ignore_ascii_case(table) {
                continue;
            }
            let joined: Vec<String> = key
                .from
                .iter()
                .zip(&key.to)
                .map(|(from, to)| format!("{child}.{} = {parent}.{}", quote(from), quote(to)))
                .collect();
            let own_key = key_sql(captured_table.key.iter().map(|column| format!("{child}.{}", quote(column))));
            let entry = format!(
                "SELECT 1 FROM tidelock_outbox WHERE tbl = {} AND key = {own_key}",
                literal(&captured_table.name)
            );
            let mut any = format!(
                "EXISTS ({entry} AND reason IS NULL) OR EXISTS ({entry} AND reason IS NOT NULL AND reason <> 'restored')"
            );
            if depth < MAX_DEPTH
                && let Some(deeper) = depends(captured, &captured_table.table.name, depth + 1)
            {
                any = format!("{any} OR {deeper}");
            }
            conditions.push(format!(
                "EXISTS (SELECT 1 FROM main.{} {child} WHERE {} AND ({any}))",
                quote(&captured_table.table.name),
                joined.join(" AND ")
            ));
        }
    }
    (!conditions.is_empty()).then(|| conditions.join(" OR "))
}

//! Foreign keys while remote rows are applied: a row waits for its parents, and a row with unpushed changes keeps its
//! parents.

use std::cell::OnceCell;

use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        schema::{
            plan::Plan,
            table::{LocalTable, key_condition},
        },
        state::tables,
        values::encode::{key_sql, literal, quote},
    },
    value::Value,
};

/// One foreign key of the written table.
struct Reference {
    /// Indexes of the referring columns in a row.
    from: Vec<usize>,
    /// Indexes of the referenced columns; `None` unless the table refers to itself and these columns are synced.
    own: Option<Vec<usize>>,
    /// SQL that finds the parent; `?1..` are the referring values.
    find: String,
    /// The message when the parent is missing.
    missing: String,
}

/// The foreign keys from and to a table.
pub struct Parents {
    references: Vec<Reference>,
    /// SQL that finds a row that must stay and would change if the row of a key were deleted; `?1..` are the key's
    /// values.
    protected: Option<String>,
    table: String,
    key: Vec<String>,
    /// The tables that refer to this one, each with SQL that finds such a row; `?1..` are the key's values. Read when a
    /// row can't be deleted.
    referring: OnceCell<Vec<(String, String)>>,
}

impl Parents {
    /// Prepares the foreign keys of a plan's table, among the synced tables.
    pub fn new(plan: &Plan, synced: &[Synced]) -> Self {
        let mut references = Vec::new();
        for key in &plan.table.foreign_keys {
            // Columns that aren't synced keep their values.
            let Some(from) = plan.places(&key.from) else { continue };
            let itself = key.parent.eq_ignore_ascii_case(&plan.table.name);
            references.push(Reference {
                from,
                own: itself.then(|| plan.places(&key.to)).flatten(),
                find: format!("SELECT 1 FROM main.{} WHERE {}", quote(&key.parent), key_condition(&key.to, 1)),
                missing: format!("Parent row in {} is missing", key.parent),
            });
        }
        let key: Vec<String> = plan.key.iter().map(|at| format!("t0.{}", quote(&plan.columns[*at].name))).collect();
        let condition: Vec<String> =
            key.iter().enumerate().map(|(at, column)| format!("{column} = ?{}", at + 1)).collect();
        let depends = Depends { synced, own_key: key_sql(key.iter().cloned()), plan };
        let protected = depends.on(&plan.table.name, 0).map(|depends| {
            format!(
                "SELECT 1 FROM main.{} t0 WHERE {} AND ({depends})",
                quote(&plan.table.name),
                condition.join(" AND ")
            )
        });
        let (table, key) = (plan.table.name.clone(), plan.key_columns());
        Self { references, protected, table, key, referring: OnceCell::new() }
    }

    /// Returns whether the table refers to any table.
    pub fn any(&self) -> bool {
        !self.references.is_empty()
    }

    /// Returns a message that names the first missing parent of a row; `None` when all parents exist.
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

    /// Returns whether deleting the row of a key would also change a row with unpushed changes, or one that the remote
    /// still has.
    pub fn protected(&self, connection: &Connection, key: &[Value]) -> Result<bool> {
        match &self.protected {
            Some(sql) => Ok(connection.value(sql, key)?.is_some()),
            None => Ok(false),
        }
    }

    /// Returns a message that names the first table with rows that refer to the row of a key; `None` when there are none.
    /// Tables that aren't synced count, too.
    pub fn referring(&self, connection: &Connection, key: &[Value]) -> Result<Option<String>> {
        if self.referring.get().is_none() {
            // Another call can't have set it meanwhile.
            let _ = self.referring.set(self.read_referring(connection)?);
        }
        for (table, find) in self.referring.get().into_iter().flatten() {
            if connection.value(find, key)?.is_some() {
                return Ok(Some(format!("Rows of table {table} still refer to it")));
            }
        }
        Ok(None)
    }

    fn read_referring(&self, connection: &Connection) -> Result<Vec<(String, String)>> {
        let sql = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND sql LIKE '%references%'";
        let mut referring = Vec::new();
        for row in connection.rows(sql, &[])? {
            let Some(child) = LocalTable::read(connection, row[0].as_text().unwrap_or_default())? else { continue };
            let itself = child.name.eq_ignore_ascii_case(&self.table);
            for key in child.foreign_keys.iter().filter(|key| key.parent.eq_ignore_ascii_case(&self.table)) {
                let pairs = key.from.iter().zip(&key.to);
                let mut conditions: Vec<String> =
                    pairs.map(|(from, to)| format!("child.{} = parent.{}", quote(from), quote(to))).collect();
                conditions.extend(
                    self.key.iter().enumerate().map(|(at, name)| format!("parent.{} = ?{}", quote(name), at + 1)),
                );
                if itself {
                    let same = self.key.iter().map(|name| format!("child.{0} = parent.{0}", quote(name)));
                    conditions.push(format!("NOT ({})", same.collect::<Vec<_>>().join(" AND ")));
                }
                let find = format!(
                    "SELECT 1 FROM main.{} AS parent, main.{} AS child WHERE {} LIMIT 1",
                    quote(&self.table),
                    quote(&child.name),
                    conditions.join(" AND ")
                );
                referring.push((child.name.clone(), find));
            }
        }
        Ok(referring)
    }
}

/// A synced table, as the schema is now.
pub struct Synced {
    name: String,
    key: Vec<String>,
    table: LocalTable,
}

impl Synced {
    /// Reads all synced tables from the present schema. This takes a while: call it once for all plans of a pull or
    /// push.
    pub fn all(connection: &Connection) -> Result<Vec<Self>> {
        let mut synced = Vec::new();
        for registered in tables::synced(connection)? {
            let Some(table) = LocalTable::read(connection, &registered.table)? else { continue };
            let key = registered.primary_key.unwrap_or_else(|| table.primary_key.clone());
            synced.push(Self { name: registered.table, key, table });
        }
        Ok(synced)
    }
}

/// How deep cascades are followed; the limit also ends cycles.
const MAX_DEPTH: usize = 4;

/// Builds SQL about the dependents of a row of the plan's table.
struct Depends<'a> {
    synced: &'a [Synced],
    own_key: String,
    plan: &'a Plan,
}

impl Depends<'_> {
    /// Returns SQL that is true when a row that must stay depends on the row `t<depth>` of `table`, by actions that
    /// would change it. Returns `None` when no table depends on it.
    fn on(&self, table: &str, depth: usize) -> Option<String> {
        let (parent, child) = (format!("t{depth}"), format!("t{}", depth + 1));
        let mut conditions = Vec::new();
        for synced in self.synced {
            for key in &synced.table.foreign_keys {
                if !key.acts_on_delete() || !key.parent.eq_ignore_ascii_case(table) {
                    continue;
                }
                let joined: Vec<String> = key
                    .from
                    .iter()
                    .zip(&key.to)
                    .map(|(from, to)| format!("{child}.{} = {parent}.{}", quote(from), quote(to)))
                    .collect();
                let mut any = self.stays(synced, &child);
                if depth < MAX_DEPTH
                    && let Some(deeper) = self.on(&synced.table.name, depth + 1)
                {
                    any = format!("{any} OR {deeper}");
                }
                conditions.push(format!(
                    "EXISTS (SELECT 1 FROM main.{} {child} WHERE {} AND ({any}))",
                    quote(&synced.table.name),
                    joined.join(" AND ")
                ));
            }
        }
        (!conditions.is_empty()).then(|| conditions.join(" OR "))
    }

    /// Returns SQL that is true when this row of a table must stay.
    fn stays(&self, synced: &Synced, row: &str) -> String {
        let name = literal(&synced.name);
        let key = key_sql(synced.key.iter().map(|column| format!("{row}.{}", quote(column))));
        let entry = format!("SELECT 1 FROM tidelock_outbox WHERE tbl = {name} AND key = {key}");
        // A table that is read by the helpers' ceiling has a tombstone for every row that was deleted remotely.
        let mut there = format!(
            "(EXISTS (SELECT 1 FROM tidelock_known WHERE tbl = {name} AND key = {key}) \
             OR EXISTS (SELECT 1 FROM tidelock_tables WHERE tbl = {name} AND instr(watermark, '/')))"
        );
        if self.plan.options.soft_delete().is_some() || self.plan.options.is_filtered() {
            // The remote still has the row that is deleted here, so it may still have dependents, unless their keys are
            // compared.
            there = format!(
                "({there} OR NOT EXISTS (SELECT 1 FROM tidelock_tables WHERE tbl = {name} AND listed_at IS NOT NULL))"
            );
        }
        if synced.table.name.eq_ignore_ascii_case(&self.plan.table.name) {
            there = format!("{key} <> {} AND {there}", self.own_key);
        }
        format!(
            "EXISTS ({entry} AND state = 'pending') OR EXISTS ({entry} AND state = 'rejected') \
             OR {there} AND NOT EXISTS \
             (SELECT 1 FROM tidelock_staged WHERE tbl = {name} AND key = {key} AND row IS NULL)"
        )
    }
}

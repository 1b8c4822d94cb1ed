//! The triggers that fill the log.
//!
//! The triggers are TEMP, and are dropped during schema changes, for the same reasons as those that capture changes for
//! the remote. Each row's values are a JSON object: integers with all their digits, blobs as `{"b":"hex"}`.

use super::{AuditOptions, Log, Redacted};
use crate::{
    error::{Error, Result},
    sqlite::{CAPTURE_SUSPENDED, Connection, TableInfo, TableKind, literal, quote},
    value::Value,
};

/// A table of one row: the actor's name.
const ACTOR: &str = "tidelock_actor";
/// The prefix of the triggers' names.
const PREFIX: &str = "tidelock_audit_";
/// The placeholder for a redacted value.
const HIDDEN: &str = "'[redacted]'";

/// Creates the triggers of all existing tables, and the log with the first of them. An entry of the part `tools`:
/// never inlined, so that the part can be split off here.
///
/// Fails with `migration_invalid` when something else has the log's name, `invalid_argument` for anything but an
/// ordinary table.
#[inline(never)]
pub fn resume(connection: &Connection, options: &AuditOptions) -> Result<()> {
    suspend(connection)?;
    let log = Log(&options.table);
    log.exists(connection)?;
    for name in &options.tables {
        let Some(table) = AuditedTable::read(connection, name)? else { continue };
        log.create(connection)?;
        connection.create_suspend_table()?;
        connection.exec(&format!("CREATE TEMP TABLE IF NOT EXISTS {ACTOR}(actor TEXT)"))?;
        connection.exec(&table.triggers(options))?;
    }
    Ok(())
}

/// Drops the triggers. Also an entry of the part `tools`.
#[inline(never)]
pub fn suspend(connection: &Connection) -> Result<()> {
    connection.drop_temp_triggers(PREFIX)
}

/// Sets the actor of the changes from now on.
pub fn set_actor(connection: &Connection, actor: Option<&str>) -> Result<()> {
    connection.exec(&format!("CREATE TEMP TABLE IF NOT EXISTS {ACTOR}(actor TEXT); DELETE FROM temp.{ACTOR}"))?;
    connection.run(&format!("INSERT INTO temp.{ACTOR} VALUES (?1)"), &[Value::from(actor)]).map(drop)
}

/// What the audit options name and the database doesn't have.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The audited tables that don't exist.
    pub tables: Vec<String>,
    /// The redacted columns that no audited table has; a column of a missing table may come with it.
    pub columns: Vec<String>,
}

/// Returns what the options name in vain.
pub fn missing(connection: &Connection, options: &AuditOptions) -> Result<Missing> {
    let mut missing = Missing::default();
    let mut tables = Vec::new();
    for name in &options.tables {
        match ordinary_table(connection, name)? {
            Some(table) => tables.push(table),
            None => missing.tables.push(name.clone()),
        }
    }
    for redacted in &options.redact {
        let Redacted { table, column } = redacted;
        let may_come = missing.tables.iter().any(|name| redacted.is_of(name));
        if !may_come && !tables.iter().any(|table| redacted.is_of(&table.name) && table.has_column(column)) {
            missing.columns.push(table.iter().chain([column]).map(String::as_str).collect::<Vec<_>>().join("."));
        }
    }
    Ok(missing)
}

/// Returns `None` when there is no such table. Fails with `invalid_argument` for anything but an ordinary table.
fn ordinary_table(connection: &Connection, name: &str) -> Result<Option<TableInfo>> {
    match TableInfo::read(connection, name)? {
        Some(TableInfo { kind, name, .. }) if kind != TableKind::Table => {
            Err(Error::invalid(format!("\"{name}\" can't be audited: it is not an ordinary table"))
                .hint("Views and virtual tables have no triggers: audit the tables behind them")
                .detail("table", name))
        }
        found => Ok(found),
    }
}

struct AuditedTable {
    name: String,
    /// Without generated columns: they follow from the others.
    columns: Vec<String>,
    /// The columns that identify a row: the primary key, else the rowid by a name that no column has.
    key: Vec<String>,
}

impl AuditedTable {
    /// Returns `None` when there is no such table.
    fn read(connection: &Connection, name: &str) -> Result<Option<Self>> {
        let Some(info) = ordinary_table(connection, name)? else { return Ok(None) };
        let mut key = info.primary_key();
        if key.is_empty() {
            key.extend(info.rowid_name().map(str::to_owned));
        }
        let stored = info.columns.into_iter().filter(|column| !column.generated);
        Ok(Some(Self { columns: stored.map(|column| column.name).collect(), name: info.name, key }))
    }

    /// Returns the SQL of the table's triggers.
    fn triggers(&self, options: &AuditOptions) -> String {
        let hides = |column: &String| options.hides(&self.name, column);
        let value = |row: &str, column: &String| {
            let value = format!("{row}.{}", quote(column));
            format!("CASE typeof({value}) WHEN 'blob' THEN json_object('b', hex({value})) ELSE {value} END")
        };
        let values = |row: &str| {
            let members = self.columns.iter().map(|column| {
                let value = if hides(column) { HIDDEN.to_owned() } else { value(row, column) };
                format!("{}, {value}", literal(column))
            });
            format!("json_object({})", members.collect::<Vec<_>>().join(", "))
        };
        let key_of = |row: &str| match &*self.key {
            [only] if hides(only) => HIDDEN.to_owned(),
            [only] => {
                let value = format!("{row}.{}", quote(only));
                format!("CASE typeof({value}) WHEN 'blob' THEN hex({value}) ELSE CAST({value} AS TEXT) END")
            }
            several => {
                let each =
                    several.iter().map(|column| if hides(column) { HIDDEN.to_owned() } else { value(row, column) });
                format!("json_array({})", each.collect::<Vec<_>>().join(", "))
            }
        };
        // A collation may treat different texts as equal.
        let differs = self.columns.iter().map(|column| format!("OLD.{0} IS NOT NEW.{0} COLLATE BINARY", quote(column)));
        let changed = format!("WHEN {} ", differs.collect::<Vec<_>>().join(" OR "));
        let trigger = |action: &str, when: &str, key: &str, old: &str, new: &str| {
            format!(
                "CREATE TEMP TRIGGER {} AFTER {action} ON main.{} {when}BEGIN \
                 INSERT INTO {}(action, table_name, record_id, old_values, new_values, actor, timestamp) \
                 VALUES ('{action}', {}, {key}, {old}, {new}, \
                 CASE WHEN EXISTS (SELECT 1 FROM {CAPTURE_SUSPENDED}) THEN 'sync' ELSE (SELECT actor FROM {ACTOR}) END, \
                 strftime('%Y-%m-%dT%H:%M:%fZ', 'now')); END;\n",
                quote(&format!("{PREFIX}{action}_{}", self.name)),
                quote(&self.name),
                quote(&options.table),
                literal(&self.name),
            )
        };
        let (old, new) = (values("OLD"), values("NEW"));
        let mut sql = trigger("insert", "", &key_of("NEW"), "NULL", &new);
        sql += &trigger("update", &changed, &key_of("OLD"), &old, &new);
        sql += &trigger("delete", "", &key_of("OLD"), &old, "NULL");
        sql
    }
}

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
/// Returns what the options name and the database doesn't have. Fails with `migration_invalid` when something else has the
/// log's name, `invalid_argument` for anything but an ordinary table.
#[inline(never)]
pub fn resume(connection: &Connection, options: &AuditOptions) -> Result<Missing> {
    suspend(connection)?;
    connection.keep_visible(&options.table);
    let log = Log(&options.table);
    log.exists(connection)?;
    let mut missing = Missing::default();
    let mut tables = Vec::new();
    for name in &options.tables {
        let Some(table) = AuditedTable::read(connection, name)? else {
            missing.tables.push(name.clone());
            continue;
        };
        log.create(connection)?;
        connection.create_suspend_table()?;
        connection.exec(&format!("CREATE TEMP TABLE IF NOT EXISTS {ACTOR}(actor TEXT)"))?;
        connection.exec(&table.triggers(options))?;
        tables.push(table);
    }
    for redacted in &options.redact {
        let may_come = missing.tables.iter().any(|name| redacted.is_of(name));
        if !may_come && !tables.iter().any(|table| table.has(redacted)) {
            let Redacted { table, column } = redacted;
            missing.columns.push(table.iter().chain([column]).map(String::as_str).collect::<Vec<_>>().join("."));
        }
    }
    Ok(missing)
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
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// The audited tables that don't exist.
    pub tables: Vec<String>,
    /// The redacted columns that no audited table has; a column of a missing table may come with it.
    pub columns: Vec<String>,
}

struct AuditedTable {
    name: String,
    /// Without generated columns: they follow from the others.
    columns: Vec<String>,
    generated: Vec<String>,
    /// The columns that identify a row: the primary key, else the rowid by a name that no column has.
    key: Vec<String>,
}

impl AuditedTable {
    /// Returns `None` when there is no such table. Fails with `invalid_argument` for anything but an ordinary table.
    fn read(connection: &Connection, name: &str) -> Result<Option<Self>> {
        let Some(info) = TableInfo::read(connection, name)? else { return Ok(None) };
        if info.kind != TableKind::Table {
            let name = info.name;
            return Err(Error::invalid(format!("\"{name}\" can't be audited: it is not an ordinary table"))
                .hint("Views and virtual tables have no triggers: audit the tables behind them")
                .detail("table", name));
        }
        let mut key = info.primary_key();
        if key.is_empty() {
            key.extend(info.rowid_name().map(str::to_owned));
        }
        let (generated, columns): (Vec<_>, Vec<_>) = info.columns.into_iter().partition(|column| column.generated);
        let [columns, generated] =
            [columns, generated].map(|columns| columns.into_iter().map(|column| column.name).collect());
        Ok(Some(Self { name: info.name, columns, generated, key }))
    }

    fn has(&self, redacted: &Redacted) -> bool {
        let is_meant = |column: &String| column.eq_ignore_ascii_case(&redacted.column);
        redacted.is_of(&self.name) && self.columns.iter().chain(&self.generated).any(is_meant)
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

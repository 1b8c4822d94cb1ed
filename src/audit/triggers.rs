//! The triggers that fill the log.
//!
//! They are TEMP, and step aside for changes of the schema, for the same reasons as those that capture changes for the remote. Every
//! row's values are a JSON object, integers with all their digits, blobs as `{"b":"hex"}`.

use super::{Log, Options};
use crate::{
    error::{Error, Result},
    sqlite::{Connection, SILENT, TableFacts, TableKind, literal, quote},
    value::Value,
};

/// Holds one row: who is to be named as the actor.
const ACTOR: &str = "tidelock_actor";
/// What their names begin with.
const PREFIX: &str = "tidelock_audit_";
/// What stands for a value that isn't written.
const HIDDEN: &str = "'[redacted]'";

/// Builds the triggers of all tables that are there, and the log with the first of them. An entry of the part `upkeep`: never inlined,
/// so that the part can be cut off here.
///
/// `migration_invalid` when the log's name is taken by something else, `invalid_argument` for what isn't an ordinary table.
#[inline(never)]
pub fn resume(connection: &Connection, options: &Options) -> Result<()> {
    suspend(connection)?;
    let log = Log(&options.table);
    log.exists(connection)?;
    for name in &options.tables {
        let Some(table) = AuditedTable::read(connection, name)? else { continue };
        log.create(connection)?;
        connection.make_silent()?;
        connection.exec(&format!("CREATE TEMP TABLE IF NOT EXISTS {ACTOR}(actor TEXT)"))?;
        connection.exec(&table.triggers(options))?;
    }
    Ok(())
}

/// Drops the triggers. An entry of the part `upkeep`, too.
#[inline(never)]
pub fn suspend(connection: &Connection) -> Result<()> {
    connection.drop_temp_triggers(PREFIX)
}

/// Who makes the changes from now on.
pub fn set_actor(connection: &Connection, actor: Option<&str>) -> Result<()> {
    connection.exec(&format!("CREATE TEMP TABLE IF NOT EXISTS {ACTOR}(actor TEXT); DELETE FROM temp.{ACTOR}"))?;
    connection.run(&format!("INSERT INTO temp.{ACTOR} VALUES (?1)"), &[Value::from(actor)]).map(drop)
}

/// The tables that are to be audited and aren't there.
pub fn missing(connection: &Connection, options: &Options) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for name in &options.tables {
        if AuditedTable::read(connection, name)?.is_none() {
            missing.push(name.clone());
        }
    }
    Ok(missing)
}

struct AuditedTable {
    name: String,
    /// Generated ones are left out: they follow from the others.
    columns: Vec<String>,
    /// What tells its rows apart: the primary key, else the rowid by the name that no column has.
    key: Vec<String>,
}

impl AuditedTable {
    /// `None` when there is no such table.
    fn read(connection: &Connection, name: &str) -> Result<Option<Self>> {
        let Some(facts) = TableFacts::read(connection, name)? else { return Ok(None) };
        let name = &facts.name;
        if facts.kind != TableKind::Table {
            return Err(Error::invalid(format!("\"{name}\" can't be audited: it is no ordinary table"))
                .hint("Views and virtual tables have no triggers: audit the tables behind them")
                .detail("table", name.as_str()));
        }
        let mut key = facts.primary_key();
        if key.is_empty() {
            key.extend(facts.rowid_name().map(str::to_owned));
        }
        let stored = facts.columns.into_iter().filter(|column| !column.generated);
        Ok(Some(Self { columns: stored.map(|column| column.name).collect(), name: facts.name, key }))
    }

    /// The SQL of its triggers.
    fn triggers(&self, options: &Options) -> String {
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
        // A collation may call different texts equal.
        let differs = self.columns.iter().map(|column| format!("OLD.{0} IS NOT NEW.{0} COLLATE BINARY", quote(column)));
        let changed = format!("WHEN {} ", differs.collect::<Vec<_>>().join(" OR "));
        let trigger = |action: &str, when: &str, key: &str, old: &str, new: &str| {
            format!(
                "CREATE TEMP TRIGGER {} AFTER {action} ON main.{} {when}BEGIN \
                 INSERT INTO {}(action, table_name, record_id, old_values, new_values, actor, timestamp) \
                 VALUES ('{action}', {}, {key}, {old}, {new}, \
                 CASE WHEN EXISTS (SELECT 1 FROM {SILENT}) THEN 'sync' ELSE (SELECT actor FROM {ACTOR}) END, \
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

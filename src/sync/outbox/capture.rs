//! Captures local changes: TEMP triggers keep one entry per changed key in `tidelock_outbox`, in the transaction of the
//! change itself.
//!
//! The triggers are TEMP because persistent ones would be lost in a table rebuild, block DROP COLUMN and travel in
//! exported files. They name the present columns, so a change of the schema suspends them before and resumes them
//! after, in the same transaction.
//!
//! Changes coalesce at once: insert + update = insert; insert + delete = nothing; update + delete = delete; delete +
//! insert = update; an update that restores the base = nothing. The columns that an update changed aren't stored: they
//! are those that differ from `base`. A change that a push has sent, without knowing yet whether it arrived, never
//! becomes nothing: the remote may have it.

use super::{rebase, rekey};
use crate::{
    error::Result,
    sqlite::{CAPTURE_SUSPENDED, Connection},
    sync::{
        schema::table::LocalTable,
        state::tables,
        values::encode::{key_sql, literal, quote, row_sql},
    },
    value::Value,
};

/// Deletes an entry whose changes cancel each other out.
const PRUNE: &str = "CREATE TEMP TRIGGER tidelock_capture_prune AFTER UPDATE OF op ON main.tidelock_outbox \
    WHEN NEW.op = 'none' BEGIN DELETE FROM tidelock_outbox WHERE id = NEW.id; END";
/// The prefix of the triggers' names.
pub const TRIGGERS: &str = "tidelock_capture_";
const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

/// Creates the triggers of all captured tables, from the stored registrations. Skips tables that don't exist (yet) or
/// have no key. An entry of the part `sync`: never inlined, so that the part can be split off here.
#[inline(never)]
pub fn resume(connection: &Connection) -> Result<()> {
    connection.drop_temp_triggers(TRIGGERS)?;
    if !tables::captures(connection)? {
        return Ok(());
    }
    connection.create_suspend_table()?;
    // All at once in the end: each CREATE TRIGGER makes SQLite compile its statements again, those that read a table, too.
    let mut sql = format!("{PRUNE};\n");
    // Changes of a table that isn't pushed now wait until it is.
    for registered in tables::synced(connection)? {
        let Some(table) = LocalTable::read(connection, &registered.table)? else { continue };
        let key = registered.primary_key.as_ref().unwrap_or(&table.primary_key);
        let key: Vec<String> = key.iter().filter_map(|name| Some(table.column(name)?.name.clone())).collect();
        if key.is_empty() {
            continue;
        }
        let has = |list: &[String], name: &str| list.iter().any(|column| column.eq_ignore_ascii_case(name));
        let synced = |name: &str| match &registered.columns {
            Some(columns) => has(columns, name),
            // Includes columns that the remote lacks: it may get them.
            None => true,
        };
        let present: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
        let columns: Vec<String> = present.iter().filter(|name| key.contains(name) || synced(name)).cloned().collect();
        rekey::adapt(connection, &registered.table, &table, &key)?;
        // Listed columns that are missing come with a migration, and may be renamed ones: changes wait for it.
        let lacks = |list: &Vec<String>| list.iter().any(|name| table.column(name).is_none());
        if registered.columns.as_ref().is_none_or(|list| !lacks(list)) {
            rebase::begin_unlisted(connection, &registered, &present, &columns)?;
            rebase::split_unlisted(connection, &registered.table, (&table.name, &present), &key, &columns)?;
            rebase::finish(connection, &registered.table, (&table.name, &present), &key, &columns)?;
        }
        if registered.captured {
            sql += &triggers(&registered.table, &table.name, &key, &columns);
        }
    }
    connection.exec(&sql)
}

/// Drops the triggers before the schema changes; [`resume`] adapts pending changes. Also an entry of the part `sync`.
#[inline(never)]
pub fn suspend(connection: &Connection) -> Result<()> {
    connection.drop_temp_triggers(TRIGGERS)?;
    rebase::begin(connection, &tables::synced(connection)?)
}

/// Adapts pending changes between two changes of the schema, while the triggers are dropped: by itself, each shows which
/// column was renamed. Also an entry of the part `sync`.
#[inline(never)]
pub fn follow(connection: &Connection) -> Result<()> {
    if !tables::exists(connection)? || !rebase::any_follows(connection)? {
        return Ok(());
    }
    resume(connection)?;
    suspend(connection)
}

/// Runs `work` without capturing its changes. Requires a transaction, since a rollback must also end the silence.
pub fn without_capture<T>(connection: &Connection, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
    connection.create_suspend_table()?;
    connection.run(&format!("INSERT INTO temp.{CAPTURE_SUSPENDED} VALUES (1)"), &[])?;
    let result = work(connection);
    let quiet = connection.run(&format!("DELETE FROM temp.{CAPTURE_SUSPENDED}"), &[]);
    result.and_then(|value| quiet.map(|_| value))
}

/// Returns the SQL of one table's triggers. `registered` is its name in the sync tables.
fn triggers(registered: &str, table: &str, key: &[String], columns: &[String]) -> String {
    let row =
        |prefix: &str| row_sql(columns.iter().map(|column| (column.as_str(), format!("{prefix}.{}", quote(column)))));
    let key_of = |prefix: &str| key_sql(key.iter().map(|column| format!("{prefix}.{}", quote(column))));
    let differs = |columns: &mut dyn Iterator<Item = &String>| {
        // A collation may treat different texts as equal.
        let tests = columns.map(|column| format!("OLD.{0} IS NOT NEW.{0} COLLATE BINARY", quote(column)));
        tests.collect::<Vec<_>>().join(" OR ")
    };
    let other = || columns.iter().filter(|column| !key.contains(column));
    let (tbl, not_silent) = (literal(registered), format!("NOT EXISTS (SELECT 1 FROM {CAPTURE_SUSPENDED})"));
    let upsert = |prefix: &str, op: &str, base: &str, then: &str| {
        format!(
            "INSERT INTO tidelock_outbox(tbl, key, op, base, time) VALUES ({tbl}, {}, '{op}', {base}, {NOW}) \
             ON CONFLICT(tbl, key) WHERE state = 'pending' DO UPDATE SET op = {then}, time = excluded.time;",
            key_of(prefix)
        )
    };
    let (old, new) = (row("OLD"), row("NEW"));
    let back = format!(
        "CASE WHEN op <> 'delete' THEN op WHEN base = {new} AND sent_op IS NULL THEN 'none' \
         WHEN base IS NULL THEN 'insert' ELSE 'update' END"
    );
    let inserted = upsert("NEW", "insert", "NULL", &back);
    let deleted =
        upsert("OLD", "delete", &old, "CASE WHEN op = 'insert' AND sent_op IS NULL THEN 'none' ELSE 'delete' END");
    let undone = format!("CASE WHEN op = 'update' AND base = {new} AND sent_op IS NULL THEN 'none' ELSE op END");
    let updated = upsert("OLD", "update", &old, &undone);
    let trigger = |name: &str, event: &str, condition: &str, body: &str| {
        format!(
            "CREATE TEMP TRIGGER {} AFTER {event} ON main.{} WHEN {not_silent}{condition} BEGIN {body} END;\n",
            quote(&format!("tidelock_capture_{name}_{table}")),
            quote(table),
        )
    };
    let moved = differs(&mut key.iter());
    let mut sql = trigger("insert", "INSERT", "", &inserted);
    sql += &trigger("delete", "DELETE", "", &deleted);
    // With a changed key it is another row for the remote.
    sql += &trigger("move", "UPDATE", &format!(" AND ({moved})"), &format!("{deleted}{inserted}"));
    if other().next().is_some() {
        let condition = format!(" AND NOT ({moved}) AND ({})", differs(&mut other()));
        sql += &trigger("update", "UPDATE", &condition, &updated);
    }
    sql
}

/// Returns whether any change of this table is unpushed, or may still arrive. Those that a restore quarantined don't
/// count: their rows follow the remote.
pub fn has_changes(connection: &Connection, table: &str) -> Result<bool> {
    let found = connection.value(
        "SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND state = 'pending' UNION ALL \
         SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND state = 'rejected' UNION ALL \
         SELECT 1 FROM tidelock_late WHERE tbl = ?1 LIMIT 1",
        &[Value::from(table)],
    )?;
    Ok(found.is_some())
}

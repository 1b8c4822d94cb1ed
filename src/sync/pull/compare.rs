//! `deleted: 'compare'`: rows that the remote had once and has no more.
//!
//! Rows that the remote was never seen to have exist only locally: they stay. Rows with unpushed changes are spared.

use super::guard;
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        apply::staged::ApplyTarget,
        values::encode::{decode_key, quote},
    },
    value::Value,
};

/// Makes an empty list of seen keys.
pub fn begin(connection: &Connection) -> Result<()> {
    connection.exec(
        "CREATE TEMP TABLE IF NOT EXISTS tidelock_seen(tbl TEXT, key TEXT, PRIMARY KEY(tbl, key)) WITHOUT ROWID;
         DELETE FROM temp.tidelock_seen",
    )
}

/// Deletes the vanished rows of all comparing tables, children first; inside a transaction in which capture is silent. Gives the
/// tables of which too many would go, with `remote_empty`: of those none does. `max_ratio`: `None` where that is meant.
pub fn delete_vanished(
    connection: &Connection,
    targets: &mut [ApplyTarget],
    max_ratio: Option<f64>,
) -> Result<Vec<(usize, Error)>> {
    let (mut vanished, mut refused) = (Vec::new(), Vec::new());
    for (at, target) in targets.iter().enumerate().filter(|(_, target)| target.listed) {
        let absent = absent_keys(connection, target)?;
        let count = absent.len() as u64;
        let keys: Vec<_> = absent.into_iter().filter(|absent| !absent.spared).collect();
        if let (Some(max_ratio), false) = (max_ratio, keys.is_empty()) {
            // Those that are spared are as absent as the others.
            let population = population(connection, target)?;
            if let Err(error) = guard::check(target.plan.name(), count, population, max_ratio) {
                refused.push((at, error));
                continue;
            }
        }
        vanished.push((at, keys));
    }
    for (at, _) in &vanished {
        // What waits to be applied is no row of the remote any more.
        let sql = "DELETE FROM tidelock_staged WHERE tbl = ?1 AND row IS NOT NULL \
                   AND key NOT IN (SELECT key FROM temp.tidelock_seen WHERE tbl = ?1)";
        connection.run(sql, &[Value::from(targets[*at].plan.name())])?;
    }
    // None of them keeps another one.
    for (at, keys) in &vanished {
        keys.iter().try_for_each(|absent| targets[*at].writer.know(connection, &absent.key, false))?;
    }
    for (at, keys) in vanished.iter().rev() {
        let target = &mut targets[*at];
        for Absent { key, .. } in keys {
            if !target.writer.delete(connection, key, &mut target.report)? {
                // Something that stays depends on it.
                target.writer.know(connection, key, true)?;
                target.report.kept_local += 1;
            }
        }
    }
    connection.run("INSERT OR IGNORE INTO tidelock_known(tbl, key) SELECT tbl, key FROM temp.tidelock_seen", &[])?;
    connection.run("DELETE FROM temp.tidelock_seen", &[])?;
    Ok(refused)
}

/// How many rows the remote is known to have of a table.
pub fn known(connection: &Connection, table: &str) -> Result<u64> {
    let count = connection.value("SELECT count(*) FROM tidelock_known WHERE tbl = ?1", &[Value::from(table)])?;
    Ok(count.and_then(|count| count.as_integer()).unwrap_or_default() as u64)
}

/// A row that the remote was known to have and didn't send.
struct Absent {
    key: Vec<Value>,
    /// It has an unpushed change.
    spared: bool,
}

/// The rows that are there, whose keys were known and not seen. Of those that are gone here, too, nothing is known any more.
fn absent_keys(connection: &Connection, target: &ApplyTarget) -> Result<Vec<Absent>> {
    let rows = connection.rows(
        "SELECT key, EXISTS (SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND key = known.key AND state = 'pending') \
         OR EXISTS (SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND key = known.key AND state = 'rejected') \
         FROM tidelock_known AS known WHERE tbl = ?1 \
         AND NOT EXISTS (SELECT 1 FROM temp.tidelock_seen WHERE tbl = ?1 AND key = known.key)",
        &[Value::from(target.plan.name())],
    )?;
    let mut absent = Vec::new();
    for row in rows {
        let key = decode_key(row[0].as_text().unwrap_or_default());
        if connection.value(&target.plan.sql.select, &key)?.is_some() {
            absent.push(Absent { key, spared: row[1] == Value::Integer(1) });
        } else {
            target.writer.know(connection, &key, false)?;
        }
    }
    Ok(absent)
}

/// The rows that could vanish: those that the remote was known to have, and that are there.
fn population(connection: &Connection, target: &ApplyTarget) -> Result<u64> {
    let count = |sql: &str, parameters: &[Value]| -> Result<u64> {
        Ok(connection.value(sql, parameters)?.and_then(|count| count.as_integer()).unwrap_or_default() as u64)
    };
    let local = count(&format!("SELECT count(*) FROM main.{}", quote(&target.plan.table.name)), &[])?;
    Ok(local.min(known(connection, target.plan.name())?))
}

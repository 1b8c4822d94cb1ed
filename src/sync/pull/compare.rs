//! `deleted: 'compare'`: deletes rows whose keys the remote once had and doesn't list any more.
//!
//! Rows that the remote was never seen to have exist only locally: they stay. So do rows with unpushed changes.

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

/// Creates the list of seen keys, or empties it.
pub fn begin(connection: &Connection) -> Result<()> {
    connection.exec(
        "CREATE TEMP TABLE IF NOT EXISTS tidelock_seen(tbl TEXT, key TEXT, PRIMARY KEY(tbl, key)) WITHOUT ROWID;
         DELETE FROM temp.tidelock_seen",
    )
}

/// Deletes the vanished rows of all tables whose keys were listed, children first. Must be called inside a transaction
/// in which capture is silent. `max_ratio` is the part of a table that may vanish (0 to 1); `None` allows everything.
///
/// Returns the tables that exceed it, each with its index and `remote_empty`. Those tables keep all rows.
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
            // `count` includes the spared rows, since the remote lacks them too.
            let population = population(connection, target)?;
            if let Err(error) = guard::check(target.plan.name(), count, population, max_ratio) {
                refused.push((at, error));
                continue;
            }
        }
        vanished.push((at, keys));
    }
    for (at, _) in &vanished {
        // A staged row that wasn't listed has been deleted remotely.
        let sql = "DELETE FROM tidelock_staged WHERE tbl = ?1 AND row IS NOT NULL \
                   AND key NOT IN (SELECT key FROM temp.tidelock_seen WHERE tbl = ?1)";
        connection.run(sql, &[Value::from(targets[*at].plan.name())])?;
    }
    // All vanished keys are forgotten before the first deletion, so that no vanished row protects another one.
    for (at, keys) in &vanished {
        keys.iter().try_for_each(|absent| targets[*at].writer.know(connection, &absent.key, false))?;
    }
    for (at, keys) in vanished.iter().rev() {
        let target = &mut targets[*at];
        for Absent { key, .. } in keys {
            if !target.writer.delete(connection, key, &mut target.report)? {
                // A row that stays depends on it.
                target.writer.know(connection, key, true)?;
                target.report.kept_local += 1;
            }
        }
    }
    connection.run("INSERT OR IGNORE INTO tidelock_known(tbl, key) SELECT tbl, key FROM temp.tidelock_seen", &[])?;
    connection.run("DELETE FROM temp.tidelock_seen", &[])?;
    Ok(refused)
}

/// Returns how many rows of a table the remote is known to have.
pub fn known(connection: &Connection, table: &str) -> Result<u64> {
    let count = connection.value("SELECT count(*) FROM tidelock_known WHERE tbl = ?1", &[Value::from(table)])?;
    Ok(count.and_then(|count| count.as_integer()).unwrap_or_default() as u64)
}

/// A local row that the remote was known to have and didn't list.
struct Absent {
    key: Vec<Value>,
    /// It has an unpushed change.
    spared: bool,
}

/// Returns the local rows whose keys were known and not seen. Keys without a local row are forgotten.
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

/// Returns how many rows could vanish at most: those that are known remotely and exist locally.
fn population(connection: &Connection, target: &ApplyTarget) -> Result<u64> {
    let count = |sql: &str, parameters: &[Value]| -> Result<u64> {
        Ok(connection.value(sql, parameters)?.and_then(|count| count.as_integer()).unwrap_or_default() as u64)
    };
    let local = count(&format!("SELECT count(*) FROM main.{}", quote(&target.plan.table.name)), &[])?;
    Ok(local.min(known(connection, target.plan.name())?))
}

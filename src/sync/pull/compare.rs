//! `deleted: 'compare'`: deletes rows whose keys the remote once had and doesn't list any more.
//!
//! Rows that the remote was never seen to have exist only locally: they stay. So do rows with unpushed changes.

use super::guard;
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{
        apply::staged::{self, ApplyTarget},
        values::encode::{decode_key, quote},
    },
    value::Value,
};

/// SQL that is true for a row of `known`, of table `?1`, that has an unpushed change.
const IS_SPARED: &str = "EXISTS (SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND key = known.key AND state = 'pending') \
     OR EXISTS (SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND key = known.key AND state = 'rejected')";

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
        // Includes the spared rows, since the remote lacks them too.
        let count = absent.iter().filter(|absent| !absent.outside).count() as u64;
        let (spared, keys): (Vec<_>, Vec<_>) = absent.into_iter().partition(|absent| absent.spared);
        if let (Some(max_ratio), true) = (max_ratio, keys.iter().any(|absent| !absent.outside)) {
            let population = population(connection, target)?;
            if let Err(error) = guard::check(target.plan.name(), count, population, max_ratio) {
                refused.push((at, error));
                continue;
            }
        }
        vanished.push((at, keys, spared.len()));
    }
    for (at, ..) in &vanished {
        // A staged row that wasn't listed has been deleted remotely.
        let sql = "DELETE FROM tidelock_staged WHERE tbl = ?1 AND row IS NOT NULL \
                   AND key NOT IN (SELECT key FROM temp.tidelock_seen WHERE tbl = ?1)";
        connection.run(sql, &[Value::from(targets[*at].plan.name())])?;
    }
    // All vanished keys are forgotten before the first deletion, so that no vanished row protects another one.
    for (at, keys, spared) in &vanished {
        keys.iter().try_for_each(|absent| targets[*at].writer.note_known(connection, &absent.key, false))?;
        if *spared > 0 {
            // What is left are the spared rows: their absence is no reason to list all keys again.
            let sql = "UPDATE tidelock_known SET outside = 1 WHERE tbl = ?1 AND outside IS NULL \
                       AND key NOT IN (SELECT key FROM temp.tidelock_seen WHERE tbl = ?1)";
            connection.run(sql, &[Value::from(targets[*at].plan.name())])?;
        }
    }
    let mut kept = Vec::new();
    for (at, keys, spared) in vanished.iter().rev() {
        let target = &mut targets[*at];
        target.report.kept_local += *spared as u64;
        for Absent { key, .. } in keys {
            let why_not = target.writer.delete(connection, key, &mut target.report)?;
            kept.extend(why_not.map(|error| (*at, key.as_slice(), error)));
        }
    }
    staged::stage_deletions(connection, targets, kept)?;
    let sql = "INSERT INTO tidelock_known(tbl, key) SELECT tbl, key FROM temp.tidelock_seen WHERE true \
               ON CONFLICT DO UPDATE SET outside = NULL WHERE outside IS NOT NULL";
    connection.run(sql, &[])?;
    connection.run("DELETE FROM temp.tidelock_seen", &[])?;
    Ok(refused)
}

/// Returns how many rows of a table the remote is known to have, without those that it was seen to lack while a local
/// change keeps them here; `None` if the present filter hasn't shown all others, so that only their keys decide.
pub fn expected(connection: &Connection, table: &str) -> Result<Option<u64>> {
    let sql = format!(
        "SELECT count(*) FILTER (WHERE outside IS NULL AND NOT EXISTS (SELECT 1 FROM tidelock_outbox \
         WHERE tbl = known.tbl AND key = known.key AND sent_op = 'deleted')), \
         count(*) FILTER (WHERE outside IS NOT NULL AND NOT ({IS_SPARED})) FROM tidelock_known AS known WHERE tbl = ?1"
    );
    let rows = connection.rows(&sql, &[Value::from(table)])?;
    let count = |at: usize| rows.first().and_then(|row| row[at].as_integer()).unwrap_or_default() as u64;
    Ok((count(1) == 0).then(|| count(0)))
}

/// Returns the listed keys of rows that no pull has read, `most` at most: rows that became visible, or are new since the
/// table's rows were read.
pub fn unread_keys(connection: &Connection, table: &str, most: usize) -> Result<Vec<Vec<Value>>> {
    let rows = connection.rows(
        "SELECT key FROM temp.tidelock_seen AS seen WHERE tbl = ?1 \
         AND NOT EXISTS (SELECT 1 FROM tidelock_known WHERE tbl = ?1 AND key = seen.key) LIMIT ?2",
        &[Value::from(table), Value::Integer(most as i64)],
    )?;
    Ok(rows.iter().map(|row| decode_key(row[0].as_text().unwrap_or_default())).collect())
}

/// A local row that the remote was known to have and didn't list.
struct Absent {
    key: Vec<Value>,
    /// It has an unpushed change.
    spared: bool,
    /// The present filter has never shown it, or the remote lacked it before: its absence says nothing new.
    outside: bool,
}

/// Returns the local rows whose keys were known and not seen. Keys without a local row are forgotten.
fn absent_keys(connection: &Connection, target: &ApplyTarget) -> Result<Vec<Absent>> {
    let sql = format!(
        "SELECT key, {IS_SPARED}, outside FROM tidelock_known AS known WHERE tbl = ?1 \
         AND NOT EXISTS (SELECT 1 FROM temp.tidelock_seen WHERE tbl = ?1 AND key = known.key)"
    );
    let rows = connection.rows(&sql, &[Value::from(target.plan.name())])?;
    let mut absent = Vec::new();
    for row in rows {
        let key = decode_key(row[0].as_text().unwrap_or_default());
        if connection.value(&target.plan.sql.select, &key)?.is_some() {
            absent.push(Absent { key, spared: row[1] == Value::Integer(1), outside: !row[2].is_null() });
        } else {
            target.writer.note_known(connection, &key, false)?;
        }
    }
    Ok(absent)
}

/// Returns how many rows could vanish at most: those that the present filter has shown and that exist locally.
fn population(connection: &Connection, target: &ApplyTarget) -> Result<u64> {
    let count = |sql: &str, parameters: &[Value]| -> Result<u64> {
        Ok(connection.value(sql, parameters)?.and_then(|count| count.as_integer()).unwrap_or_default() as u64)
    };
    let local = count(&format!("SELECT count(*) FROM main.{}", quote(&target.plan.table.name)), &[])?;
    let inside = "SELECT count(*) FROM tidelock_known WHERE tbl = ?1 AND outside IS NULL";
    Ok(local.min(count(inside, &[Value::from(target.plan.name())])?))
}

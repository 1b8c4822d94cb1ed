//! Rows that are gone by the helpers' tombstones.
//!
//! They are noted before anything is read and deleted after everything was, children first: a row that a pull reads has come
//! back since, and what moved away from a parent has done so by then.

use super::{
    apply::Writer,
    capture,
    encode::{decode_key, key_sql},
    helpers::Helpers,
    page::Source,
    plan::{Plan, Rows, Unreadable},
    staged::Target,
};
use crate::{error::Result, sqlite::Connection, value::Value};

/// Notes which rows are gone.
pub fn begin(connection: &Connection, sources: &[Source], helpers: Option<&Helpers>) -> Result<()> {
    connection.exec(
        "CREATE TEMP TABLE IF NOT EXISTS tidelock_gone(tbl TEXT, key TEXT, PRIMARY KEY(tbl, key)) WITHOUT ROWID;
         DELETE FROM temp.tidelock_gone",
    )?;
    for source in sources {
        let Some(keys) = helpers.and_then(|helpers| helpers.gone_of(&source.plan, &source.progress)) else { continue };
        let keys = match source.plan.read_keys(keys.as_bytes()) {
            Ok(keys) => keys,
            // The user names other key columns than the remote's primary key: tombstones don't tell.
            Err(Unreadable::Failed(_) | Unreadable::Cut) => continue,
        };
        // A new row under the key of one that is gone isn't that row.
        let sql = format!(
            "INSERT OR IGNORE INTO temp.tidelock_gone(tbl, key) SELECT ?1, gone.key FROM (SELECT {} AS key) AS gone \
             WHERE NOT EXISTS (SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND key = gone.key AND reason IS NULL \
               AND op = 'insert' AND sent_op IS NULL)",
            key_sql((0..keys.width).map(|at| format!("?{}", at + 2)))
        );
        for at in 0..keys.len() {
            run(connection, &sql, source.plan.name(), keys.row(at))?;
        }
    }
    Ok(())
}

/// The rows of this page are there.
pub fn seen(connection: &Connection, plan: &Plan, writer: &Writer, rows: &Rows) -> Result<()> {
    let any = "SELECT 1 FROM temp.tidelock_gone WHERE tbl = ?1 LIMIT 1";
    if rows.is_empty() || connection.value(any, &[Value::from(plan.name())])?.is_none() {
        return Ok(());
    }
    let key = key_sql((0..plan.key.len()).map(|at| format!("?{}", at + 2)));
    let sql = format!("DELETE FROM temp.tidelock_gone WHERE tbl = ?1 AND key = {key}");
    for at in (0..rows.len()).filter(|at| !rows.deleted[*at]) {
        run(connection, &sql, plan.name(), &writer.key(rows.row(at)))?;
    }
    Ok(())
}

/// Deletes what is gone, as if the remote had said so of each row.
pub fn apply(connection: &Connection, targets: &mut [Target]) -> Result<()> {
    if connection.value("SELECT 1 FROM temp.tidelock_gone LIMIT 1", &[])?.is_none() {
        return Ok(());
    }
    connection.atomically(|connection| {
        capture::silently(connection, |connection| {
            for target in targets.iter_mut().rev() {
                let keys = connection
                    .rows("SELECT key FROM temp.tidelock_gone WHERE tbl = ?1", &[Value::from(target.plan.name())])?;
                let width = target.plan.columns.len();
                let mut rows = Rows { width, ..Rows::default() };
                for key in &keys {
                    let mut row = vec![Value::Null; width];
                    let values = decode_key(key[0].as_text().unwrap_or_default());
                    target.plan.key.iter().zip(values).for_each(|(at, value)| row[*at] = value);
                    rows.values.extend(row);
                    rows.deleted.push(true);
                    rows.cursors.push(None);
                }
                let unchanged = target.report.unchanged;
                target.writer.merge(connection, &rows, &mut target.report)?;
                // What wasn't here anyway is nothing to tell.
                target.report.unchanged = unchanged;
            }
            connection.run("DELETE FROM temp.tidelock_gone", &[]).map(drop)
        })
    })
}

fn run(connection: &Connection, sql: &str, table: &str, key: &[Value]) -> Result<()> {
    let mut parameters = vec![Value::from(table)];
    parameters.extend_from_slice(key);
    connection.run(sql, &parameters).map(drop)
}

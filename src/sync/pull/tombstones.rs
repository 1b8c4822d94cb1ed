//! Rows that are gone by the helpers' tombstones.
//!
//! They are noted before anything is read, among the rows that wait, and deleted after everything was, children first: a row that a pull
//! reads has come back since, and what moved away from a parent has done so by then. Notes are in the database: a table's place may
//! move with its pages, since what a pull that is cut leaves of them is for the next one.

use super::{helpers::Helpers, page::PullSource};
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        apply::staged::ApplyTarget,
        outbox::capture,
        postgrest::response::Unreadable,
        schema::{
            plan::{Plan, Rows},
            table::key_condition,
        },
        state::metadata::{self, TableProgress},
        values::encode::{decode_key, key_parameters, quote},
    },
    value::Value,
};

/// Notes which rows are gone. `full`: of all times, since all rows are read: if not by this pull, which may be cut, then by the next one.
/// A row that has come back long ago would be taken for gone otherwise.
pub fn begin(connection: &Connection, sources: &[PullSource], helpers: &Helpers, full: bool) -> Result<()> {
    connection.atomically(|connection| {
        for source in sources {
            let progress = if full { &TableProgress::default() } else { &source.progress };
            let Some(keys) = helpers.gone_of(&source.plan, progress) else { continue };
            let keys = match source.plan.read_keys(keys.as_bytes()) {
                Ok(keys) => keys,
                // The user names other key columns than the remote's primary key: tombstones don't tell.
                Err(Unreadable::Failed(_) | Unreadable::Cut) => continue,
            };
            let (sql, name) = (note_sql(&source.plan), Value::from(source.plan.name()));
            let mut noted = 0;
            for at in 0..keys.len() {
                let mut parameters = vec![name.clone()];
                parameters.extend_from_slice(keys.row(at));
                noted += connection.run(&sql, &parameters)?;
            }
            if full && noted > 0 {
                metadata::read_whole_next(connection, &name)?;
            }
        }
        Ok(())
    })
}

/// Notes the row `?1` (the table), `?2..` (the key), if anything is known of it here. A new row under the key of one that is gone isn't
/// that row.
fn note_sql(plan: &Plan) -> String {
    let key = key_parameters(plan.key.len(), 2);
    let entry = format!("SELECT 1 FROM tidelock_outbox WHERE tbl = ?1 AND key = {key} AND state = 'pending'");
    format!(
        "INSERT OR REPLACE INTO tidelock_staged(tbl, key, row, error) SELECT ?1, {key}, NULL, '' \
         WHERE NOT EXISTS ({entry} AND op = 'insert' AND sent_op IS NULL) \
         AND (EXISTS (SELECT 1 FROM main.{} WHERE {}) OR EXISTS ({entry}) \
              OR EXISTS (SELECT 1 FROM tidelock_staged WHERE tbl = ?1 AND key = {key}))",
        quote(&plan.table.name),
        key_condition(&plan.key_columns(), 2)
    )
}

/// Deletes what is gone of these tables, all of whose rows were read, as if the remote had said so of each row.
pub fn apply(connection: &Connection, targets: &mut [ApplyTarget]) -> Result<()> {
    let any = "SELECT 1 FROM tidelock_staged WHERE row IS NULL AND error = '' LIMIT 1";
    if connection.value(any, &[])?.is_none() {
        return Ok(());
    }
    connection.atomically(|connection| {
        capture::silently(connection, |connection| {
            for target in targets.iter_mut().rev().filter(|target| target.read) {
                let rows = noted(connection, &target.plan)?;
                let unchanged = target.report.unchanged;
                target.writer.merge(connection, &rows, &mut target.report)?;
                // What wasn't here anyway is nothing to tell.
                target.report.unchanged = unchanged;
            }
            Ok(())
        })
    })
}

fn noted(connection: &Connection, plan: &Plan) -> Result<Rows> {
    let sql = "SELECT key FROM tidelock_staged WHERE tbl = ?1 AND row IS NULL AND error = ''";
    let mut rows = Rows { width: plan.columns.len(), ..Rows::default() };
    for key in connection.rows(sql, &[Value::from(plan.name())])? {
        let mut row = vec![Value::Null; rows.width];
        let values = decode_key(key[0].as_text().unwrap_or_default());
        plan.key.iter().zip(values).for_each(|(at, value)| row[*at] = value);
        rows.values.extend(row);
        rows.deleted.push(true);
        rows.cursors.push(None);
    }
    Ok(rows)
}

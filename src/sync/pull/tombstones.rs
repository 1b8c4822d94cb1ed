//! Deletions by the helpers' tombstones.
//!
//! Tombstones are stored among the staged rows before anything is read, and applied after everything was read, children
//! first. A row that the pull reads exists again, and by then children have moved away from deleted parents. They are
//! stored in the database, so that the next pull applies those of an interrupted one, although table positions have
//! moved on.

use std::ops::Range;

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
        state::progress::{self, TableProgress},
        values::encode::{decode_key, key_parameters, quote},
    },
    value::Value,
};

/// Stores a piece of the tombstones of these tables, by their indexes, in one transaction.
///
/// `full` takes the tombstones of all times. They are safe only because all rows are read, by this pull or, if it is
/// interrupted, by the next one: otherwise a row that was inserted again long ago would be deleted.
pub fn store(
    connection: &Connection,
    sources: &[PullSource],
    helpers: &Helpers,
    piece: Range<usize>,
    full: bool,
) -> Result<()> {
    connection.atomically(|connection| {
        for source in sources {
            let progress = if full { &TableProgress::default() } else { &source.progress };
            let Some(keys) = helpers.deleted_keys_of(&source.plan, progress, piece.clone()) else { continue };
            let keys = match source.plan.read_keys(keys.as_bytes()) {
                Ok(keys) => keys,
                // The user's key columns differ from the remote's primary key, which tombstones have.
                Err(Unreadable::Failed(_) | Unreadable::Cut) => continue,
            };
            let (sql, name) = (tombstone_sql(&source.plan), Value::from(source.plan.name()));
            let mut stored = 0;
            for at in 0..keys.len() {
                let mut parameters = vec![name.clone()];
                parameters.extend_from_slice(keys.row(at));
                stored += connection.run(&sql, &parameters)?;
            }
            if full && stored > 0 {
                progress::read_whole_next(connection, &name)?;
            }
        }
        Ok(())
    })
}

/// Returns the SQL that stores a tombstone for table `?1` and key `?2..`, if the row is known locally. A new, unsent
/// local row with the key of a deleted row is a different row.
fn tombstone_sql(plan: &Plan) -> String {
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

/// Applies the tombstones of the tables that were read to their end, each like a pulled row that is marked as deleted.
pub fn apply(connection: &Connection, targets: &mut [ApplyTarget]) -> Result<()> {
    let any = "SELECT 1 FROM tidelock_staged WHERE row IS NULL AND error = '' LIMIT 1";
    if connection.value(any, &[])?.is_none() {
        return Ok(());
    }
    connection.atomically(|connection| {
        capture::without_capture(connection, |connection| {
            for target in targets.iter_mut().rev().filter(|target| target.read) {
                let rows = tombstones(connection, &target.plan)?;
                let unchanged = target.report.unchanged;
                target.writer.merge(connection, &rows, &mut target.report)?;
                // A tombstone without a local row isn't reported.
                target.report.unchanged = unchanged;
            }
            Ok(())
        })
    })
}

/// Returns the stored tombstones of a table, as deleted rows.
fn tombstones(connection: &Connection, plan: &Plan) -> Result<Rows> {
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

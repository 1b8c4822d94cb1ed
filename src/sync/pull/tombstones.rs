//! Deletions by the helpers' tombstones.
//!
//! Tombstones are stored among the staged rows before anything is read, and applied after everything was read, children
//! first. A row that the pull reads exists again, and by then children have moved away from deleted parents. They are
//! stored in the database, so that the next pull applies those of an interrupted one, although table positions have
//! moved on. That also holds for one that is interrupted between two pieces: it saves no position, so that the next pull
//! reads the same rows again.

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

/// Returns whether any tombstone waits to be applied.
pub fn any(connection: &Connection) -> Result<bool> {
    let any = "SELECT 1 FROM tidelock_staged WHERE row IS NULL AND error = '' LIMIT 1";
    Ok(connection.value(any, &[])?.is_some())
}

/// Applies at most `most` tombstones of a table in one transaction, each like a pulled row that is marked as deleted.
/// `after` is the position of the last one that was applied before, 0 at first. Returns the new position, or `None` when
/// no more are stored.
///
/// They are applied in the order of the remote's deletions: children before parents in the same table.
pub fn apply(connection: &Connection, target: &mut ApplyTarget, after: i64, most: usize) -> Result<Option<i64>> {
    // Without the index of the key, each piece would be sorted.
    let sql = format!(
        "SELECT rowid, key FROM tidelock_staged \
         WHERE +tbl = ?1 AND rowid > ?2 AND row IS NULL AND error = '' ORDER BY rowid LIMIT {most}"
    );
    let stored = connection.rows(&sql, &[Value::from(target.plan.name()), Value::Integer(after)])?;
    let Some(last) = stored.last().and_then(|row| row[0].as_integer()) else { return Ok(None) };
    let rows = deleted_rows(&target.plan, stored.iter().map(|row| row[1].as_text().unwrap_or_default()));
    let unchanged = target.report.unchanged;
    connection.atomically(|connection| {
        capture::without_capture(connection, |connection| target.writer.merge(connection, &rows, &mut target.report))
    })?;
    // A tombstone without a local row isn't reported.
    target.report.unchanged = unchanged;
    Ok(Some(last))
}

/// Returns the rows of these encoded keys, as deleted rows.
fn deleted_rows<'k>(plan: &Plan, keys: impl Iterator<Item = &'k str>) -> Rows {
    let mut rows = Rows { width: plan.columns.len(), ..Rows::default() };
    for key in keys {
        let mut row = vec![Value::Null; rows.width];
        plan.key.iter().zip(decode_key(key)).for_each(|(at, value)| row[*at] = value);
        rows.values.extend(row);
        rows.deleted.push(true);
        rows.cursors.push(None);
    }
    rows
}

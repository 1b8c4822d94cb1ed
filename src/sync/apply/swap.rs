//! Rows that exchange unique values: A takes B's slug and B takes A's. The one that is written first violates the
//! constraint.

use super::writer::{Care, HeldRow, RowWriter};
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{report::TableReport, schema::plan::Rows},
};

impl RowWriter {
    /// Frees the unique values of the rows that are marked as deleted, unless they have unpushed changes. Where a constraint forbids that,
    /// the row keeps them.
    pub(super) fn park_deleted(&self, connection: &Connection, rows: &Rows) -> Result<()> {
        let Some(park) = &self.park else { return Ok(()) };
        for row in (0..rows.len()).filter(|at| rows.deleted[*at]).map(|at| rows.row(at)) {
            if self.unpushed.has(connection, row)? {
                continue;
            }
            match connection.run(park, &self.unpushed.key_of(row)) {
                Err(error) if !connection.is_violation(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Tries the held rows once more with their unique values freed. Writes all of them and returns none, or changes
    /// nothing and returns all.
    pub(super) fn swap(
        &self,
        connection: &Connection,
        rows: &Rows,
        held: Vec<HeldRow>,
        care: Care,
        report: &mut TableReport,
    ) -> Result<Vec<HeldRow>> {
        let Some(park) = &self.park else { return Ok(held) };
        let mut tried = report.clone();
        let done = connection.atomically(|connection| {
            // Other rows may refer to a freed value; it is back before the check at the end.
            connection.exec("PRAGMA defer_foreign_keys = ON")?;
            for held in &held {
                let (row, key) = (rows.row(held.row), self.unpushed.key_of(rows.row(held.row)));
                // A local change is detected by comparing the row with its base, so the row is remembered as it was.
                if care != Care::Bare && self.unpushed.has(connection, row)? {
                    self.unpushed.park(connection, &key)?;
                }
                connection.run(park, &key)?;
            }
            let waiting = held.iter().map(|held| held.row).collect();
            let left = self.write_some(connection, rows, waiting, care, &mut tried)?;
            self.unpushed.unpark(connection)?;
            let whole = left.is_empty() && (care == Care::Deferred || !connection.owes_parents());
            if whole { Ok(()) } else { Err(Error::internal("The rows don't only exchange their values")) }
        });
        self.unpushed.parked.take();
        if care != Care::Deferred && connection.in_transaction() {
            // Later statements of this transaction must fail at once again.
            connection.exec("PRAGMA defer_foreign_keys = OFF")?;
        }
        match done {
            Ok(()) => {
                *report = tried;
                Ok(Vec::new())
            }
            // Whatever the error, the rows stay held as before.
            Err(_) if connection.in_transaction() => Ok(held),
            Err(error) => Err(error),
        }
    }
}

//! Rows that exchange unique values: A takes B's slug and B takes A's. Whichever is written first meets the other.

use super::writer::{Care, HeldRow, RowWriter};
use crate::{
    error::{Error, Result},
    sqlite::Connection,
    sync::{report::TableReport, schema::plan::Rows},
};

impl RowWriter {
    /// Tries the held rows once more with their unique values freed. Either all of them can be written then, or nothing
    /// has changed.
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
            // A parked value may be what other rows refer to; it is back before this ends.
            connection.exec("PRAGMA defer_foreign_keys = ON")?;
            for held in &held {
                let (row, key) = (rows.row(held.row), self.unpushed.key_of(rows.row(held.row)));
                // A local change is told by comparing the row with its base: as it was before.
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
            // What comes next in this transaction is to fail at once again.
            connection.exec("PRAGMA defer_foreign_keys = OFF")?;
        }
        match done {
            Ok(()) => {
                *report = tried;
                Ok(Vec::new())
            }
            // Whatever was in the way, the rows wait as they did before.
            Err(_) if connection.in_transaction() => Ok(held),
            Err(error) => Err(error),
        }
    }
}

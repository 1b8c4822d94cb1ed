//! The local rows of a table with unpushed changes: reads and writes them, and frees their unique values for a while.

use super::unpushed::Unpushed;
use crate::{error::Result, sqlite::Connection, value::Value};

impl Unpushed {
    /// Returns the local row of a key.
    pub fn local(&self, connection: &Connection, key: &[Value]) -> Result<Option<Vec<Value>>> {
        if let Some((_, row)) = self.parked.borrow().iter().find(|(parked, _)| parked == key) {
            return Ok(Some(row.clone()));
        }
        Ok(connection.rows(&self.sql.select, key)?.into_iter().next())
    }

    /// Remembers the local row of a key, before its unique values are freed.
    pub fn park(&self, connection: &Connection, key: &[Value]) -> Result<()> {
        if let Some(row) = self.local(connection, key)? {
            self.parked.borrow_mut().push((key.to_vec(), row));
        }
        Ok(())
    }

    /// Restores the freed values of the rows about which nothing was decided. Fails with `sqlite_constraint` where
    /// another row has them now.
    pub fn unpark(&self, connection: &Connection) -> Result<()> {
        self.parked.take().iter().try_for_each(|(_, row)| self.update(connection, row))
    }

    fn update(&self, connection: &Connection, row: &[Value]) -> Result<()> {
        match &self.sql.update {
            Some(update) => connection.run(update, row).map(drop),
            None => Ok(()),
        }
    }

    /// Ends the parking of the row of a key, which is written next. Returns whether it was parked.
    pub(super) fn end_parking(&self, key: &[Value]) -> bool {
        let mut parked = self.parked.borrow_mut();
        let count = parked.len();
        parked.retain(|(known, _)| known != key);
        parked.len() < count
    }

    /// Changes the local row of a key from `before` to `after`.
    pub fn write_local(
        &self,
        connection: &Connection,
        key: &[Value],
        before: Option<&[Value]>,
        after: Option<&[Value]>,
    ) -> Result<()> {
        let parked = self.end_parking(key);
        match (before, after) {
            (Some(before), Some(after)) if before == after && !parked => Ok(()),
            (Some(_), Some(after)) => self.update(connection, after),
            (None, Some(after)) => connection.run(&self.sql.insert, after).map(drop),
            (Some(_), None) => connection.run(&self.sql.delete, key).map(drop),
            (None, None) => Ok(()),
        }
    }
}

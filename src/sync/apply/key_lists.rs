//! The lists of the keys that the remote has: those that it was ever seen to have, and those that a pull saw.

use super::writer::RowWriter;
use crate::{error::Result, sqlite::Connection, sync::schema::plan::Rows, value::Value};

/// The list to which the keys of a page go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyList {
    /// `tidelock_known`: the keys that the remote was ever seen to have.
    Known,
    /// `temp.tidelock_seen`: the keys that this pull saw.
    Seen,
}

impl RowWriter {
    /// Notes the keys of a page's rows in a list. `marked`: also those of rows that are marked as deleted, which the remote
    /// counts like others.
    pub fn note_keys(&self, connection: &Connection, rows: &Rows, list: KeyList, marked: bool) -> Result<()> {
        let name = Value::from(&*self.name);
        let mut statement =
            connection.statement(if list == KeyList::Known { &self.add_known } else { &self.note_key })?;
        for at in (0..rows.len()).filter(|at| marked || !rows.deleted[*at]) {
            let row = rows.row(at);
            statement.bind(1, &name)?;
            for (index, at) in self.unpushed.key.iter().enumerate() {
                statement.bind(index + 2, &row[if rows.keys_only { index } else { *at }])?;
            }
            statement.finish()?;
        }
        Ok(())
    }

    /// Notes in `tidelock_known` whether the remote has the row of a key, whatever the filter.
    pub fn note_known(&self, connection: &Connection, key: &[Value], has: bool) -> Result<()> {
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend_from_slice(key);
        connection.run(if has { &self.note_written } else { &self.remove_known }, &parameters).map(drop)
    }
}

//! Conflicts with a row of the remote that doesn't fit here, because a parent isn't here or a constraint refuses it. That row is staged,
//! and the local change is sent without it: what the user wrote doesn't wait for a row that may never fit.

use super::{
    reconcile::{Decision, Seen},
    resolution::base_without,
    unpushed::{Unpushed, UnpushedEntry},
};
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{outbox::change::UNKNOWN, values::encode::key_parameters},
    value::Value,
};

impl Unpushed {
    /// Decides about a remote row as [`Self::reconcile`] does, but leaves the local row without the remote's values.
    pub fn reconcile_unapplied(
        &self,
        connection: &Connection,
        row: &[Value],
        seen: Seen,
        cursor: Option<&str>,
    ) -> Result<Decision> {
        self.decide(connection, row, seen, cursor, false)
    }

    /// Stores what is left of a change. `result` is the row that was decided, which can't be written here.
    pub(super) fn requeue_unapplied(
        &self,
        connection: &Connection,
        entry: &UnpushedEntry,
        key: &[Value],
        local: Option<&[Value]>,
        (result, remote): (Option<&[Value]>, Option<&[Value]>),
    ) -> Result<()> {
        let (Some(local), Some(result), Some(remote)) = (local, result.filter(|_| result != remote), remote) else {
            // The remote's row wins.
            let row = self.undo(connection, entry, key, local)?;
            return self.requeue(connection, Some(entry.id), key, row.as_deref(), row.as_deref());
        };
        let base = base_without(local, remote, |at| result[at] != remote[at] || self.cursor == Some(at));
        self.requeue(connection, Some(entry.id), key, Some(local), Some(&base))
    }

    /// Returns the remote's row of a key that waits until it fits here.
    pub fn unapplied(&self, connection: &Connection, key: &[Value]) -> Result<Option<Vec<Option<Value>>>> {
        let sql = format!("SELECT row FROM tidelock_staged WHERE tbl = ?1 AND key = {}", key_parameters(key.len(), 2));
        let staged = connection.value(&sql, &[&[Value::from(&*self.name)], key].concat())?;
        Ok(staged.as_ref().and_then(Value::as_text).map(|row| self.align(row)))
    }

    /// Makes the local row what it was before a change, as far as that is known. Returns it.
    pub fn undo(
        &self,
        connection: &Connection,
        entry: &UnpushedEntry,
        key: &[Value],
        local: Option<&[Value]>,
    ) -> Result<Option<Vec<Value>>> {
        let (Some(base), Some(local)) = (&entry.base, local) else { return Ok(local.map(<[Value]>::to_vec)) };
        let known = |base: &Option<Value>| base.clone().filter(|base| *base != UNKNOWN);
        let row: Vec<Value> =
            base.iter().zip(local).map(|(base, local)| known(base).unwrap_or(local.clone())).collect();
        self.write_local(connection, key, Some(local), Some(&row))?;
        Ok(Some(row))
    }
}

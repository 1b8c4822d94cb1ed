//! What is left to push of a change once the remote's row is known.

use super::{resolution::change_left, unpushed::Unpushed};
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        outbox::{change::ChangeOp, waiting::forget},
        values::encode::decode_row,
    },
    value::Value,
};

impl Unpushed {
    /// Stores what is left to push of a key, now that the remote is known to have `remote`. `id` is that of the present
    /// change.
    pub fn requeue(
        &self,
        connection: &Connection,
        id: Option<i64>,
        key: &[Value],
        local: Option<&[Value]>,
        remote: Option<&[Value]>,
    ) -> Result<()> {
        let nothing = || vec![Value::Null; self.columns.len()];
        let (base, changed) = self.lacking_values(connection, id, key)?;
        // A change of columns that the remote lacks waits until it has them, as long as the row exists.
        let waits = changed && local.is_some() && remote.is_some();
        match (change_left(local, remote).or(waits.then_some(ChangeOp::Update)), id) {
            (None, Some(id)) => forget(connection, id),
            (None, None) => Ok(()),
            (Some(op), id) => {
                let mut parameters = vec![id.map_or_else(|| Value::from(&*self.name), Value::Integer)];
                parameters.push(Value::from(op.as_str()));
                parameters.extend(remote.map_or_else(nothing, <[Value]>::to_vec));
                parameters.extend(base);
                if id.is_none() {
                    parameters.extend_from_slice(key);
                }
                connection.run(if id.is_some() { &self.requeue } else { &self.requeue_new }, &parameters)?;
                match id {
                    Some(id) if local == remote => self.wait_for_columns(connection, id, key).map(drop),
                    _ => Ok(()),
                }
            }
        }
    }

    /// Returns what the columns that the remote lacks were before the change, and whether they are different now.
    pub(super) fn lacking_values(
        &self,
        connection: &Connection,
        id: Option<i64>,
        key: &[Value],
    ) -> Result<(Vec<Value>, bool)> {
        if self.lacking.is_empty() {
            return Ok((Vec::new(), false));
        }
        let local = connection.rows(&self.local_lacking, key)?.into_iter().next();
        let local = local.unwrap_or_else(|| vec![Value::Null; self.lacking.len()]);
        let Some(id) = id else { return Ok((local, false)) };
        let stored = connection.value("SELECT base FROM tidelock_outbox WHERE id = ?1", &[Value::Integer(id)])?;
        let stored = stored.as_ref().and_then(Value::as_text).map(decode_row).unwrap_or_default();
        let known = |name: &String| stored.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let base: Vec<Value> = self.lacking.iter().map(|name| known(name).unwrap_or_default()).collect();
        let changed = base != local;
        Ok((base, changed))
    }

    /// Lets a change wait for the columns that the remote lacks. Returns `false` when it changes none of them.
    pub fn wait_for_columns(&self, connection: &Connection, id: i64, key: &[Value]) -> Result<bool> {
        if !self.lacking_values(connection, Some(id), key)?.1 {
            return Ok(false);
        }
        let text = match &self.lacking[..] {
            [column] => format!("The remote table has no column {column}: add it remotely, and the change is sent"),
            columns => {
                format!(
                    "The remote table has no columns {}: add them remotely, and the change is sent",
                    columns.join(", ")
                )
            }
        };
        let sql = "UPDATE tidelock_outbox SET reason = 'remote_column_missing', error = ?2 WHERE id = ?1 AND state = 'pending'";
        connection.run(sql, &[Value::Integer(id), Value::from(text)])?;
        Ok(true)
    }

    /// Notes that the remote was seen to have no such row; decisions about the change consider it.
    pub fn note_deleted(&self, connection: &Connection, id: i64) -> Result<()> {
        let sql = "UPDATE tidelock_outbox SET sent_op = 'deleted', sent = NULL, sent_at = NULL WHERE id = ?1";
        connection.run(sql, &[Value::Integer(id)]).map(drop)
    }
}

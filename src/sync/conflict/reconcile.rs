//! Reconciles a remote row with the unpushed local change of the same key, and stores what is left of the change.
//!
//! A conflict is a remote row that differs from the change's base. After the decision the remote's row becomes the
//! base, so that the same row is no conflict twice. A change about which nothing can be decided (deleted on one side,
//! or two rows under one new key) is rejected.

use super::{
    own_write::{ConflictInput, Sent},
    resolution::{Resolution, is_later, resolve},
    unpushed::{PendingConflict, Unpushed, UnpushedEntry},
};
use crate::{
    error::Result,
    sqlite::Connection,
    sync::{
        outbox::{
            change::{ChangeOp, ChangeReason},
            late,
            waiting::{forget, reject},
        },
        values::{meaning::point_in_time, outgoing::filter_text},
    },
    time::Timestamp,
    value::Value,
};

/// What to do with the remote's row.
#[derive(Debug, PartialEq)]
pub enum Decision {
    /// Apply it: no local change has to stay.
    Apply,
    /// Apply it: it replaces the local change.
    ApplyConflict,
    /// Keep the local change.
    Keep {
        /// Whether the row differed from the change's base.
        conflict: bool,
        /// Whether the change was rejected.
        rejected: bool,
    },
}

/// What is known of the remote's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The remote has it.
    Row,
    /// It is marked as deleted.
    Deleted,
    /// The remote didn't return it: it was deleted, or it is hidden.
    Absent,
}

/// The number of conflicts that the log keeps.
const LOGGED: i64 = 1000;

impl Unpushed {
    /// Decides about a remote row, and applies the decision to the outbox and the local row, inside a transaction in
    /// which capture is silent. Of a row that the remote lacks, only the key's values count. `cursor` is the row's
    /// cursor where it isn't stored. Fails with `sqlite_constraint` when the local row can't be what was decided; the
    /// caller then undoes the rest.
    pub fn reconcile(
        &self,
        connection: &Connection,
        row: &[Value],
        seen: Seen,
        cursor: Option<&str>,
    ) -> Result<Decision> {
        self.decide(connection, row, seen, cursor, true)
    }

    /// See [`Self::reconcile`]. `fits`: whether the local row can be what is decided.
    pub(super) fn decide(
        &self,
        connection: &Connection,
        row: &[Value],
        seen: Seen,
        cursor: Option<&str>,
        fits: bool,
    ) -> Result<Decision> {
        let key = self.key_of(row);
        let local = self.local(connection, &key)?;
        let remote = (seen == Seen::Row).then_some(row);
        let Some(entry) = self.merged_entry(connection, &key, local.is_some())? else {
            return self.reconcile_late(connection, &key, local.is_some(), remote);
        };
        if remote.is_none() && local.is_some() && entry.deleted_remotely {
            return Ok(Decision::Keep { conflict: false, rejected: false });
        }
        if local.is_none() && entry.op != ChangeOp::Delete {
            // The row was deleted without capture (a cascade of a pull): its change is deleted, too.
            forget(connection, entry.id)?;
            return Ok(Decision::ApplyConflict);
        }
        let late = self.late(connection, &key, false)?;
        let input = ConflictInput {
            base: entry.base.as_deref(),
            sent: entry.sent.as_ref(),
            late: &late,
            local: local.as_deref(),
            remote,
            deletion_reported: seen == Seen::Deleted,
            kinds: &self.kinds,
            alike: &self.alike,
            cursor: self.cursor,
            written: self.written(entry.base.as_deref(), row, cursor),
        };
        let later = || {
            let remote = cursor.map(str::to_owned).or_else(|| Some(filter_text(&row[self.cursor?])));
            is_later(&self.written_at(&entry, local.as_deref()), &remote.unwrap_or_default())
        };
        let resolution = resolve(&input, self.policy, later);
        if local.is_none() && entry.base.is_none() {
            // A new row that was deleted again: the insert, or another try of it, may be executed after the deletion.
            late::remember(connection, entry.id, &key, true)?;
        }
        if let (true, None, Resolution::Row { row: Some(row), conflict: true }) = (fits, &local, &resolution) {
            self.restore_parents(connection, row)?;
        }
        match resolution {
            Resolution::Unchanged => {
                if seen == Seen::Deleted {
                    self.note_deleted(connection, entry.id)?;
                }
                Ok(Decision::Keep { conflict: false, rejected: false })
            }
            Resolution::Ask => {
                self.pending_conflicts
                    .borrow_mut()
                    .push(PendingConflict { key, remote: remote.map(<[Value]>::to_vec) });
                Ok(Decision::Keep { conflict: true, rejected: false })
            }
            Resolution::Reject(why) => self.reject_conflict(connection, &entry, &key, local.as_deref(), remote, why),
            Resolution::Row { row, conflict } => {
                if conflict {
                    self.log(connection, &key, &entry, local.as_deref(), remote, row.as_deref())?;
                }
                if !fits {
                    let decided = (row.as_deref(), remote);
                    self.requeue_unapplied(connection, &entry, &key, local.as_deref(), decided)?;
                    return Ok(Decision::Keep { conflict, rejected: false });
                }
                if row.as_deref() == remote {
                    self.end_parking(&key);
                    self.requeue(connection, Some(entry.id), &key, row.as_deref(), remote)?;
                    return Ok(if conflict { Decision::ApplyConflict } else { Decision::Apply });
                }
                self.write_local(connection, &key, local.as_deref(), row.as_deref())?;
                self.requeue(connection, Some(entry.id), &key, row.as_deref(), remote)?;
                Ok(Decision::Keep { conflict, rejected: false })
            }
        }
    }

    /// Decides about the remote's row of a key without a change: a new row of ours that arrived after it was deleted here
    /// is deleted remotely, too.
    fn reconcile_late(
        &self,
        connection: &Connection,
        key: &[Value],
        is_here: bool,
        remote: Option<&[Value]>,
    ) -> Result<Decision> {
        let Some(row) = remote.filter(|_| !is_here) else { return Ok(Decision::Apply) };
        let is_own = |sent: Sent| {
            let mut row = row.to_vec();
            // The server may spell the key differently.
            self.key.iter().for_each(|at| row[*at] = sent.row[*at].clone().unwrap_or_default());
            let input = ConflictInput {
                base: None,
                sent: Some(&sent),
                late: &[],
                local: None,
                remote: Some(&row),
                deletion_reported: false,
                kinds: &self.kinds,
                alike: &self.alike,
                cursor: self.cursor,
                written: None,
            };
            // Another client's row must not be deleted, so all values have to be as they were sent.
            input.own_write().is_some()
        };
        if !self.late(connection, key, true)?.into_iter().any(is_own) {
            return Ok(Decision::Apply);
        }
        self.requeue(connection, None, key, None, remote)?;
        Ok(Decision::Keep { conflict: false, rejected: false })
    }

    /// Returns when the remote's row was last written, if its cursor is a time and not that of the base, and the server's
    /// clock is known.
    fn written(&self, base: Option<&[Option<Value>]>, row: &[Value], cursor: Option<&str>) -> Option<Timestamp> {
        let cursor = match cursor {
            Some(cursor) => cursor.to_owned(),
            None => filter_text(&row[self.cursor?]),
        };
        let base = self.cursor.and_then(|at| base?[at].as_ref()).map(filter_text);
        let time = point_in_time(&cursor).filter(|_| self.skew_ms.get().is_some())?;
        (base.as_deref().and_then(point_in_time) != Some(time)).then_some(Timestamp(time.0))
    }

    /// Returns the time of the change as a cursor value: the value that the change wrote there, else its own time by
    /// the server's clock.
    fn written_at(&self, entry: &UnpushedEntry, local: Option<&[Value]>) -> String {
        let wrote = || {
            let value = &local?[self.cursor?];
            let base = entry.base.as_ref().and_then(|base| base[self.cursor?].as_ref());
            (base != Some(value) && !value.is_null()).then(|| filter_text(value))
        };
        let made = || {
            Timestamp::parse(&entry.time).map(|time| time.plus_ms(self.skew_ms.get().unwrap_or_default()).to_string())
        };
        wrote().or_else(made).unwrap_or_default()
    }

    /// Writes a conflict into the log.
    pub fn log(
        &self,
        connection: &Connection,
        key: &[Value],
        entry: &UnpushedEntry,
        local: Option<&[Value]>,
        remote: Option<&[Value]>,
        result: Option<&[Value]>,
    ) -> Result<()> {
        let base = entry.base.as_ref().map(|base| base.iter().map(|value| value.clone().unwrap_or_default()).collect());
        let base: Option<Vec<Value>> = base;
        let mut parameters = vec![Value::from(&*self.name)];
        parameters.extend_from_slice(key);
        for row in [base.as_deref(), local, remote, result] {
            parameters.extend(row.map_or_else(|| vec![Value::Null; self.columns.len()], <[Value]>::to_vec));
        }
        connection.run(&self.log, &parameters)?;
        let sql = "DELETE FROM tidelock_conflicts WHERE id <= (SELECT max(id) FROM tidelock_conflicts) - ?1";
        connection.run(sql, &[Value::Integer(LOGGED)]).map(drop)
    }

    /// Rejects the change; one that is rejected already stays so. The same row of the remote is no conflict again.
    pub fn reject_conflict(
        &self,
        connection: &Connection,
        entry: &UnpushedEntry,
        key: &[Value],
        local: Option<&[Value]>,
        remote: Option<&[Value]>,
        why: &str,
    ) -> Result<Decision> {
        if !entry.rejected || remote.is_some() {
            self.log(connection, key, entry, local, remote, local)?;
        }
        match remote {
            Some(remote) => {
                let mut parameters = vec![Value::Integer(entry.id), Value::from(entry.op.as_str())];
                parameters.extend_from_slice(remote);
                parameters.extend(self.lacking_values(connection, Some(entry.id), key)?.0);
                connection.run(&self.requeue, &parameters)?;
            }
            None => self.note_deleted(connection, entry.id)?,
        }
        if entry.rejected {
            return Ok(Decision::Keep { conflict: remote.is_some(), rejected: false });
        }
        reject(connection, entry.id, ChangeReason::Conflict, why)?;
        Ok(Decision::Keep { conflict: true, rejected: true })
    }
}

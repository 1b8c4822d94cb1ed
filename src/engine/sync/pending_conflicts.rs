//! Conflicts that the user's conflict function resolves. It is called outside of any transaction, and its result is
//! applied only if neither row nor change has changed meanwhile.

use super::{driver::Sync, host::SyncHost};
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::Connection,
    sync::{
        apply::writer::{RowWriter, with_parents},
        config::options::ConflictPolicy,
        conflict::{
            reconcile::Decision,
            unpushed::{PendingConflict, UnpushedEntry},
        },
        outbox::{
            capture,
            waiting::{make_pending, retry_next_time},
        },
        report::{Cells, Conflict, TableReport},
        schema::plan::Plan,
    },
    value::Value,
};

/// How often the function is called for a row that keeps changing.
const TRIES: usize = 5;

const CALLED_AGAIN: &str =
    "Settle its promise earlier, or raise remote.timeoutMs; the change waits, and the function is called again";

/// The outcome of the conflicts of a table.
#[derive(Default)]
pub(super) struct ResolvedConflicts {
    /// Number of changes that were rejected, because the function's result violates the schema.
    pub rejected: u64,
    /// The first error of the function. Its conflicts stay pending, and the function is called again later.
    pub failed: Option<Error>,
}

impl Sync {
    /// Calls the function for each pending conflict, and applies its results. A row that changes all the time keeps its
    /// change, and the next push finds the conflict again.
    pub(super) async fn resolve_pending_conflicts(
        &self,
        host: &dyn SyncHost,
        plan: &Plan,
        writer: &RowWriter,
    ) -> Result<ResolvedConflicts> {
        let mut resolved = ResolvedConflicts::default();
        if plan.options.conflict() != ConflictPolicy::Function {
            return Ok(resolved);
        }
        for conflict in writer.unpushed.take_pending_conflicts() {
            for _ in 0..TRIES {
                let Some((entry, local)) = self.read_current(host, writer, &conflict).await? else { break };
                let base = entry
                    .base
                    .as_ref()
                    .map(|base| base.iter().map(|value| value.clone().unwrap_or_default()).collect());
                let base: Option<Vec<Value>> = base;
                let case = Conflict {
                    table: plan.name().to_owned(),
                    key: Cells(plan.key_columns().into_iter().zip(conflict.key.iter().cloned()).collect()),
                    base: cells(plan, base.as_deref()),
                    local: cells(plan, local.as_deref()),
                    remote: cells(plan, conflict.remote.as_deref()),
                };
                let said = match &resolved.failed {
                    // After a timeout, further calls would take as long each.
                    Some(error) if error.is(ErrorCode::Timeout) => Err(error.clone()),
                    _ => self.within_time(host.resolve(case), "The conflict function", CALLED_AGAIN).await,
                };
                let said = match said {
                    Err(error) if !matches!(error.code, ErrorCode::Closed | ErrorCode::LockLost) => {
                        self.postpone(host, &entry, &error).await?;
                        resolved.failed.get_or_insert(error);
                        break;
                    }
                    said => said?,
                };
                let row = said.map(|said| row_of(plan, &said, local.as_deref(), &conflict));
                match self.apply_resolution(host, plan, writer, &conflict, (&entry, local.as_deref()), row).await? {
                    Answered::Changed => {}
                    Answered::Applied => break,
                    Answered::Rejected => {
                        resolved.rejected += 1;
                        break;
                    }
                }
            }
        }
        Ok(resolved)
    }

    /// Lets a change wait for which the function failed. A rejected change already waits for the user.
    async fn postpone(&self, host: &dyn SyncHost, entry: &UnpushedEntry, error: &Error) -> Result<()> {
        if entry.rejected {
            return Ok(());
        }
        let _guard = host.lock_connection().await?;
        host.admit_write()?;
        retry_next_time(&*host.connection()?, entry.id, error, self.platform.clock.now().0)?;
        host.committed(&[]);
        Ok(())
    }

    /// Returns the change and the local row as they are now, or `None` if the change no longer exists.
    async fn read_current(
        &self,
        host: &dyn SyncHost,
        writer: &RowWriter,
        conflict: &PendingConflict,
    ) -> Result<Option<(UnpushedEntry, Option<Vec<Value>>)>> {
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        let Some(entry) = writer.unpushed.entry(&connection, &conflict.key)? else { return Ok(None) };
        Ok(Some((entry, writer.unpushed.local(&connection, &conflict.key)?)))
    }

    async fn apply_resolution(
        &self,
        host: &dyn SyncHost,
        plan: &Plan,
        writer: &RowWriter,
        conflict: &PendingConflict,
        (entry, local): (&UnpushedEntry, Option<&[Value]>),
        row: Option<Vec<Value>>,
    ) -> Result<Answered> {
        let _guard = host.lock_connection().await?;
        let connection = host.connection()?;
        host.admit_write()?;
        let unpushed = &writer.unpushed;
        let now = unpushed.entry(&connection, &conflict.key)?;
        if now.as_ref() != Some(entry) || unpushed.local(&connection, &conflict.key)?.as_deref() != local {
            return Ok(Answered::Changed);
        }
        let remote = conflict.remote.as_deref();
        let answered = connection.atomically(|connection: &Connection| {
            capture::without_capture(connection, |connection| {
                let write = || {
                    if local.is_none() || row.is_some() {
                        return unpushed.write_local(connection, &conflict.key, local, row.as_deref());
                    }
                    match writer.delete(connection, &conflict.key, &mut TableReport::default())? {
                        None => Ok(()),
                        Some(why) => Err(Error::new(ErrorCode::SqliteConstraint, why)),
                    }
                };
                if let Err(error) = with_parents(connection, write) {
                    return reject_conflict(
                        connection,
                        plan,
                        writer,
                        conflict,
                        (entry, local),
                        (row.as_deref(), error),
                    );
                }
                unpushed.log(connection, &conflict.key, entry, local, remote, row.as_deref())?;
                if entry.rejected && row.as_deref() != remote {
                    // The conflict is resolved, so the change may be sent again.
                    make_pending(connection, entry.id)?;
                }
                unpushed.requeue(connection, Some(entry.id), &conflict.key, row.as_deref(), remote)?;
                if remote.is_none() && row.is_some() {
                    unpushed.note_deleted(connection, entry.id)?;
                }
                Ok(Answered::Applied)
            })
        })?;
        host.committed(&[&plan.table.name]);
        Ok(answered)
    }
}

/// What became of a result of the function.
enum Answered {
    Applied,
    /// Not applied: row or change have changed since the function was called.
    Changed,
    /// The row violates the schema, so the change was rejected.
    Rejected,
}

/// Rejects a change, since the function's result violates a constraint.
fn reject_conflict(
    connection: &Connection,
    plan: &Plan,
    writer: &RowWriter,
    conflict: &PendingConflict,
    (entry, local): (&UnpushedEntry, Option<&[Value]>),
    (row, error): (Option<&[Value]>, Error),
) -> Result<Answered> {
    if !connection.is_violation(&error) {
        return Err(error);
    }
    let missing = row.map(|row| writer.missing_parent(connection, row)).transpose()?.flatten();
    let why = missing.unwrap_or(error.into_parts().message);
    let text = match row {
        Some(_) => {
            format!("The conflict function returned a row that violates the schema of table {}: {why}", plan.name())
        }
        None => format!("The conflict function deleted a row of table {} that must stay: {why}", plan.name()),
    };
    let remote = conflict.remote.as_deref();
    let decision = writer.unpushed.reject_conflict(connection, entry, &conflict.key, local, remote, &text)?;
    // A change that was rejected before stays as it was.
    Ok(if let Decision::Keep { rejected: true, .. } = decision { Answered::Rejected } else { Answered::Applied })
}

fn cells(plan: &Plan, row: Option<&[Value]>) -> Option<Cells> {
    let row = row?;
    Some(Cells(plan.columns.iter().map(|column| column.name.clone()).zip(row.iter().cloned()).collect()))
}

/// Returns the row of the function's result. A missing column gets the remote's value, or the local one without a
/// remote row. The key never changes.
fn row_of(plan: &Plan, said: &Cells, local: Option<&[Value]>, conflict: &PendingConflict) -> Vec<Value> {
    let given = |at: usize| {
        let column = &plan.columns[at].name;
        said.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)).map(|(_, value)| value.clone())
    };
    let kept = |at: usize| conflict.remote.as_deref().or(local).map(|row| row[at].clone()).unwrap_or_default();
    let mut row: Vec<Value> = (0..plan.columns.len()).map(|at| given(at).unwrap_or_else(|| kept(at))).collect();
    plan.key.iter().zip(&conflict.key).for_each(|(at, value)| row[*at] = value.clone());
    row
}

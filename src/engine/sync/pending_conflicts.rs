//! Conflicts that a function of the user decides: asked outside of any transaction, and applied only if nothing has changed
//! meanwhile.

use futures_util::future::{Either, select};

use super::driver::{Sync, SyncHost};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::LocalFuture,
    sqlite::Connection,
    sync::{
        apply::writer::{RowWriter, with_parents},
        config::options::ConflictPolicy,
        conflict::unpushed::{Decision, OutboxEntry, PendingConflict},
        outbox::{
            capture,
            waiting::{make_pending, retry_next_time},
        },
        report::{Cells, Conflicting, TableReport},
        schema::plan::Plan,
    },
    value::Value,
};

/// How often a row that keeps changing is asked about.
const TRIES: usize = 5;

/// What became of the conflicts of a table that were asked about.
#[derive(Default)]
pub(super) struct Answers {
    /// So many changes were set aside, because what the function says doesn't fit.
    pub rejected: u64,
    /// Why the function gave no answer for some: they wait, and are asked about again.
    pub failed: Option<Error>,
}

impl Sync {
    /// Asks about each conflict, and does what the function says. A row that changes all the time keeps its change: the next push
    /// meets the conflict again.
    pub(super) async fn answer_questions(
        &self,
        host: &dyn SyncHost,
        plan: &Plan,
        writer: &RowWriter,
    ) -> Result<Answers> {
        let mut answers = Answers::default();
        if plan.options.conflict() != ConflictPolicy::Function {
            return Ok(answers);
        }
        for question in writer.unpushed.take_questions() {
            for _ in 0..TRIES {
                let Some((entry, local)) = self.look(host, writer, &question).await? else { break };
                let base = entry
                    .base
                    .as_ref()
                    .map(|base| base.iter().map(|value| value.clone().unwrap_or_default()).collect());
                let base: Option<Vec<Value>> = base;
                let case = Conflicting {
                    table: plan.name().to_owned(),
                    key: Cells(plan.key_columns().into_iter().zip(question.key.iter().cloned()).collect()),
                    base: cells(plan, base.as_deref()),
                    local: cells(plan, local.as_deref()),
                    remote: cells(plan, question.remote.as_deref()),
                };
                let said = match &answers.failed {
                    // The others would take as long each.
                    Some(error) if error.is(ErrorCode::Timeout) => Err(error.clone()),
                    _ => self.within_time(host.resolve(case)).await,
                };
                let said = match said {
                    Err(error) if !matches!(error.code, ErrorCode::Closed | ErrorCode::LockLost) => {
                        self.let_wait(host, &entry, &error).await?;
                        answers.failed.get_or_insert(error);
                        break;
                    }
                    said => said?,
                };
                let row = said.map(|said| row_of(plan, &said, local.as_deref(), &question));
                match self.apply_answer(host, plan, writer, &question, (&entry, local.as_deref()), row).await? {
                    Answered::Changed => {}
                    Answered::Applied => break,
                    Answered::Rejected => {
                        answers.rejected += 1;
                        break;
                    }
                }
            }
        }
        Ok(answers)
    }

    /// Lets a change wait that the function gave no answer about; one that was refused waits for a person already.
    async fn let_wait(&self, host: &dyn SyncHost, entry: &OutboxEntry, error: &Error) -> Result<()> {
        if entry.rejected {
            return Ok(());
        }
        let _turn = host.turn().await?;
        host.admit_write()?;
        retry_next_time(&*host.connection()?, entry.id, error, self.platform.clock.now().0)?;
        host.committed(&[]);
        Ok(())
    }

    /// Fails with `timeout` when the function gives no answer within `remote.timeoutMs`.
    async fn within_time<T>(&self, asked: LocalFuture<'_, Result<T>>) -> Result<T> {
        match select(asked, self.platform.clock.sleep(self.config.options.timeout_ms)).await {
            Either::Left((said, _)) => said,
            Either::Right(_) => Err(Error::new(ErrorCode::Timeout, "The conflict function gave no answer in time")
                .hint("Let it settle, or raise remote.timeoutMs; the change waits, and is asked about again")),
        }
    }

    /// The change as it is now; `None` when it is gone.
    async fn look(
        &self,
        host: &dyn SyncHost,
        writer: &RowWriter,
        question: &PendingConflict,
    ) -> Result<Option<(OutboxEntry, Option<Vec<Value>>)>> {
        let _turn = host.turn().await?;
        let connection = host.connection()?;
        let Some(entry) = writer.unpushed.entry(&connection, &question.key)? else { return Ok(None) };
        Ok(Some((entry, writer.unpushed.local(&connection, &question.key)?)))
    }

    async fn apply_answer(
        &self,
        host: &dyn SyncHost,
        plan: &Plan,
        writer: &RowWriter,
        question: &PendingConflict,
        (entry, local): (&OutboxEntry, Option<&[Value]>),
        row: Option<Vec<Value>>,
    ) -> Result<Answered> {
        let _turn = host.turn().await?;
        let connection = host.connection()?;
        host.admit_write()?;
        let unpushed = &writer.unpushed;
        let now = unpushed.entry(&connection, &question.key)?;
        if now.as_ref() != Some(entry) || unpushed.local(&connection, &question.key)?.as_deref() != local {
            return Ok(Answered::Changed);
        }
        let remote = question.remote.as_deref();
        let answered = connection.atomically(|connection: &Connection| {
            capture::silently(connection, |connection| {
                let write = || {
                    if local.is_none() || row.is_some() {
                        return unpushed.write_local(connection, &question.key, local, row.as_deref());
                    }
                    let gone = writer.delete(connection, &question.key, &mut TableReport::default())?;
                    let stays = || Error::new(ErrorCode::SqliteConstraint, "A row that must stay refers to it");
                    if gone { Ok(()) } else { Err(stays()) }
                };
                if let Err(error) = with_parents(connection, write) {
                    return set_aside(connection, plan, writer, question, (entry, local), (row.as_deref(), error));
                }
                unpushed.log(connection, &question.key, entry, local, remote, row.as_deref())?;
                if entry.rejected && row.as_deref() != remote {
                    // It is decided now: it may be sent.
                    make_pending(connection, entry.id)?;
                }
                unpushed.requeue(connection, Some(entry.id), &question.key, row.as_deref(), remote)?;
                if remote.is_none() && row.is_some() {
                    unpushed.note_gone(connection, entry.id)?;
                }
                Ok(Answered::Applied)
            })
        })?;
        host.committed(&[&plan.table.name]);
        Ok(answered)
    }
}

/// What became of an answer.
enum Answered {
    Applied,
    /// The row has changed since the function was asked.
    Changed,
    /// The row that the function gave doesn't fit: the change moved to the rejected ones.
    Rejected,
}

/// Rejects a change, since a constraint refuses what the function made of it.
fn set_aside(
    connection: &Connection,
    plan: &Plan,
    writer: &RowWriter,
    question: &PendingConflict,
    (entry, local): (&OutboxEntry, Option<&[Value]>),
    (row, error): (Option<&[Value]>, Error),
) -> Result<Answered> {
    if !error.is(ErrorCode::SqliteConstraint) {
        return Err(error);
    }
    let missing = row.map(|row| writer.missing_parent(connection, row)).transpose()?.flatten();
    let why = missing.unwrap_or(error.into_parts().message);
    let text = match row {
        Some(_) => format!("The conflict function gave a row that doesn't fit the table {}: {why}", plan.name()),
        None => format!("The conflict function deletes a row of {} that has to stay: {why}", plan.name()),
    };
    let remote = question.remote.as_deref();
    let decision = writer.unpushed.set_aside(connection, entry, &question.key, local, remote, &text)?;
    // One that was refused before stays as it was.
    Ok(if let Decision::Keep { rejected: true, .. } = decision { Answered::Rejected } else { Answered::Applied })
}

fn cells(plan: &Plan, row: Option<&[Value]>) -> Option<Cells> {
    let row = row?;
    Some(Cells(plan.columns.iter().map(|column| column.name.clone()).zip(row.iter().cloned()).collect()))
}

/// The row that the function gave. A column that it left out keeps the remote's value, else the local one; the key stays.
fn row_of(plan: &Plan, said: &Cells, local: Option<&[Value]>, question: &PendingConflict) -> Vec<Value> {
    let given = |at: usize| {
        let column = &plan.columns[at].name;
        said.iter().find(|(name, _)| name.eq_ignore_ascii_case(column)).map(|(_, value)| value.clone())
    };
    let kept = |at: usize| question.remote.as_deref().or(local).map(|row| row[at].clone()).unwrap_or_default();
    let mut row: Vec<Value> = (0..plan.columns.len()).map(|at| given(at).unwrap_or_else(|| kept(at))).collect();
    plan.key.iter().zip(&question.key).for_each(|(at, value)| row[*at] = value.clone());
    row
}

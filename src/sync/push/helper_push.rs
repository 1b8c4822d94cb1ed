//! Many updates in one call of the helpers' function `tidelock_push`. It writes the rows that still equal their base:
//! all of them in one transaction, or none.

use super::{
    refusals::{is_of_a_firewall, may_be_executed},
    sender::{Push, PushBatch},
    task::{Act, Task, UpdateMode},
    write,
};
use crate::{
    error::Error,
    ports::HttpResponse,
    sync::{
        jobs::job::{JobOutcome, RowGuard},
        postgrest::{
            remote::{Refusal, Tries},
            request::Requester,
            response::Unreadable,
        },
        schema::plan::Rows,
        values::{
            json,
            types::{PlanColumn, WireKind},
        },
    },
};

/// How often a call is split at the failing row before its rows are sent one by one.
const MAX_CUTS: u32 = 6;

/// The answer of the function.
enum FunctionAnswer {
    /// All rows were written. These are the rows as stored.
    Written(Rows),
    /// No row was written, because of the change with this index.
    Failed(usize),
    /// The answer of another function.
    Other,
}

impl Push<'_> {
    /// Returns whether many updates of this table can be one transaction of the remote.
    pub fn has_transactions(&self, table: usize) -> bool {
        self.update_mode(table) == UpdateMode::Function
    }

    /// Returns how the updates of a table are sent. The helpers' function answers with jsonb, which equals the answer of a
    /// pull except for JSON values.
    pub(super) fn update_mode(&self, table: usize) -> UpdateMode {
        match self.targets.borrow()[table].write_only {
            true => UpdateMode::WriteOnly,
            false if self.has_function.get() && !self.has_json(table) => UpdateMode::Function,
            false => UpdateMode::Guarded,
        }
    }

    /// Returns whether a column of the table may hold JSON, whose text jsonb would change.
    pub(super) fn has_json(&self, table: usize) -> bool {
        let may = |column: &PlanColumn| {
            column.structured || matches!(column.kind, WireKind::Json | WireKind::Array | WireKind::Any)
        };
        self.targets.borrow()[table].plan.columns.iter().any(may)
    }
}

impl PushBatch<'_> {
    /// `deferred`: whether deferrable constraints are checked after the last row.
    pub(super) async fn send_by_function(&self, task: Task, deferred: bool, mut tries: Tries) -> Result<(), Refusal> {
        let name = self.name(task.table);
        let make = |requester: &Requester| {
            self.with(task.table, |target| {
                let jobs: Vec<_> = task.jobs.iter().map(|job| &self.jobs[*job]).collect();
                self.count_bytes(write::call_function(requester, &target.plan, &jobs, deferred))
            })
        };
        let parse = |response: &HttpResponse| {
            self.with(task.table, |target| parse_answer(&response.body, &|body| target.plan.read(body)))
        };
        let answer = self.push.remote.read(&name, &mut tries, &make, &parse).await;
        if tries.any() || answer.as_ref().is_err_and(may_be_executed) {
            self.note_unanswered(&task);
        }
        match answer {
            Ok((FunctionAnswer::Written(rows), _)) => {
                self.handle_rows(&Task { act: Act::Update(RowGuard::None), ..task }, &rows, None)
            }
            Ok((FunctionAnswer::Failed(at), _)) if at < task.jobs.len() && task.cuts < MAX_CUTS && !deferred => {
                let (before, rest) = task.jobs.split_at(at);
                let (one, after) = rest.split_at(1);
                let cut = Task { cuts: task.cuts + 1, ..task.clone() };
                [after, before]
                    .into_iter()
                    .filter(|part| !part.is_empty())
                    .for_each(|part| self.queue_first(cut.part(part)));
                // The request of the single row shows the reason.
                self.send_one_by_one(task.table, one);
            }
            // A cycle can't be divided: it is sent again as a whole, or waits.
            Err(Refusal::TooMuch(_)) if deferred => self.queue_first(Task { tries: Some(tries), ..task }),
            Err(Refusal::TooLarge(error) | Refusal::Trouble(error)) if deferred => self.delay_exchange(&task, error),
            Err(Refusal::Failed(error)) if deferred && is_of_a_firewall(&error) => self.delay_exchange(&task, error),
            Ok((FunctionAnswer::Failed(_), _)) if deferred && self.divide_exchange(&task) => {}
            Err(Refusal::TooMuch(_)) => {
                let task = Task { tries: Some(tries), ..task };
                self.halve_or_repeat(&task);
            }
            Err(Refusal::TooLarge(_)) if task.jobs.len() > 1 => self.halve_or_repeat(&task),
            Err(Refusal::Failed(error)) if !is_of_a_firewall(&error) => return Err(Refusal::Failed(error)),
            Err(Refusal::Failed(_)) if task.jobs.len() > 1 => self.halve_or_repeat(&task),
            // No row was written: requests of single rows show the reason.
            answer => {
                if !matches!(answer, Ok((FunctionAnswer::Failed(_), _))) {
                    self.push.has_function.set(false);
                }
                self.send_one_by_one(task.table, &task.jobs);
            }
        }
        Ok(())
    }

    /// Lets the cycle that the remote fails at wait for another push.
    fn delay_exchange(&self, task: &Task, error: Error) {
        if !self.divide_exchange(task) {
            self.put_outcome(task, &JobOutcome::Failing(error));
        }
    }

    /// Queues each cycle of an exchange alone, so that one that can't be written doesn't stop the others. Returns `false`
    /// if there is only one.
    fn divide_exchange(&self, task: &Task) -> bool {
        let cycles: Vec<&[usize]> = task.jobs.chunk_by(|a, b| self.cycles[*a] == self.cycles[*b]).collect();
        if cycles.len() < 2 {
            return false;
        }
        let whole = Task { tries: None, ..task.clone() };
        cycles.into_iter().rev().for_each(|cycle| self.queue_first(whole.part(cycle)));
        true
    }
}

/// Parses `{ applied, results: [{ status, row }], failed }`.
fn parse_answer(body: &[u8], read: &dyn Fn(&[u8]) -> Result<Rows, Unreadable>) -> Result<FunctionAnswer, Unreadable> {
    let text = std::str::from_utf8(body).map_err(|_| Unreadable::Cut)?;
    let answer = json::members(text)?;
    let member = |name: &str| answer.iter().find(|(known, _)| known == name).map(|(_, raw)| *raw);
    match (member("applied"), member("results"), member("failed")) {
        (Some("true"), Some(results), _) => {
            let mut rows = String::from("[");
            for result in json::elements(results)? {
                let result = json::members(result)?;
                let Some((_, row)) = result.iter().find(|(name, _)| name == "row") else { continue };
                if rows.len() > 1 {
                    rows.push(',');
                }
                rows.push_str(row);
            }
            rows.push(']');
            Ok(FunctionAnswer::Written(read(rows.as_bytes())?))
        }
        (Some("false"), _, Some(failed)) => Ok(failed.parse().map_or(FunctionAnswer::Other, FunctionAnswer::Failed)),
        _ => Ok(FunctionAnswer::Other),
    }
}

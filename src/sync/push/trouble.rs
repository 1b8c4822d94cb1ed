//! What becomes of a request that failed: it is tried again, cut in halves, or its jobs are refused or held.

use super::{Act, Instruction, Push, Task, marks, settle};
use crate::{
    error::{Error, Result},
    sync::{job::Outcome, response::backoff_ms},
};

impl Push {
    #[allow(clippy::too_many_arguments)]
    pub(super) fn retry(
        &mut self,
        id: u32,
        mut task: Task,
        after_ms: Option<u64>,
        smaller: bool,
        error: Error,
        chance: f64,
        out: &mut Vec<Instruction>,
    ) -> Result<()> {
        if task.attempt >= self.requester.retries() {
            return Err(error.detail("attempts", task.attempt + 1));
        }
        let wait = after_ms.unwrap_or_else(|| backoff_ms(task.attempt, chance));
        task.attempt += 1;
        if smaller && task.jobs.len() > 1 {
            let rest = task.jobs.split_off(task.jobs.len() / 2);
            self.queue.push_back(Task { jobs: rest, ..task.clone() });
        }
        // It keeps its lane while it waits: a server in trouble isn't asked for more.
        self.flying.push((id, task));
        out.push(Instruction::Wait(id, wait));
        Ok(())
    }

    pub(super) fn refused(&mut self, task: Task, error: Error, out: &mut Vec<Instruction>) -> Result<()> {
        let code = match error.details.get("remoteCode") {
            Some(crate::error::Detail::Text(code)) => code.as_str(),
            _ => "",
        };
        if matches!(task.act, Act::Read(_) | Act::Probe(_)) {
            self.hold(&task, error, out);
            return Ok(());
        }
        if code == "428C9" && matches!(task.act, Act::Insert | Act::Update(_)) && self.leave_out(&task, &error) {
            self.queue.push_front(task);
            return Ok(());
        }
        let target = &mut self.targets[task.table];
        let wrong_type = matches!(code, "22P02" | "22007" | "22008" | "42804");
        if matches!(task.act, Act::Delete(_)) && target.plan.options.soft_delete().is_some() && wrong_type {
            let marks = marks(&target.plan);
            if task.mark == target.mark && target.mark + 1 < marks.len() {
                target.mark += 1;
            }
            if task.mark < target.mark {
                self.queue.push_front(task);
                return Ok(());
            }
        }
        // What the remote makes itself it refuses of every row that has the same columns.
        if task.jobs.len() > 1 && code != "428C9" {
            let (first, second) = task.jobs.split_at(task.jobs.len() / 2);
            for half in [second, first] {
                self.queue.push_front(Task { jobs: half.to_vec(), attempt: 0, ..task.clone() });
            }
            return Ok(());
        }
        let later = matches!(code, "23503" | "23505");
        let outcomes = task.jobs.iter().map(|job| (*job, Outcome::Refused { error: error.clone(), later })).collect();
        settle(outcomes, out);
        Ok(())
    }

    /// Notes a column that the remote alone writes: it isn't sent any more, and counts as sent. Whether that leaves something to send.
    fn leave_out(&mut self, task: &Task, error: &Error) -> bool {
        let target = &mut self.targets[task.table];
        let plan = &target.plan;
        let named = plan.column_in(error).and_then(|name| plan.columns.iter().position(|column| column.name == name));
        let Some(named) = named.filter(|at| !plan.key.contains(at) && !target.remotes.contains(at)) else {
            return false;
        };
        target.remotes.push(named);
        task.jobs.iter().all(|job| self.jobs[*job].columns.iter().any(|at| !target.remotes.contains(at)))
    }

    /// The table can't be written at present.
    pub(super) fn hold(&mut self, task: &Task, error: Error, out: &mut Vec<Instruction>) {
        settle(task.jobs.iter().map(|job| (*job, Outcome::Held(error.clone()))).collect(), out);
        self.targets[task.table].held.get_or_insert(error);
    }

    /// Finds out which columns the remote lacks, once; those that the user named must be there.
    pub(super) fn unknown_column(&mut self, task: &Task, error: Error, out: &mut Vec<Instruction>) {
        let target = &mut self.targets[task.table];
        if let Act::Probe(column) = &task.act {
            target.lacks.push(column.clone());
            return;
        }
        if target.plan.options.columns.is_none() && !std::mem::replace(&mut target.probed, true) {
            for (at, column) in target.plan.columns.iter().enumerate() {
                if !target.plan.key.contains(&at) {
                    let act = Act::Probe(column.name.clone());
                    let (table, epoch) = (task.table, self.epoch);
                    self.queue.push_back(Task { table, act, jobs: Vec::new(), attempt: 0, epoch, mark: 0 });
                }
            }
        }
        let error = self.targets[task.table].plan.naming(error);
        self.hold(task, error, out);
    }
}

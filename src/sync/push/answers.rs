//! What an answer with rows says of each job: which row is whose, and what its being there, or not, means.

use super::{Act, Push, Task};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::HttpResponse,
    sync::{
        conflict::differs,
        job::{Outcome, Remote, Work},
        plan::{Rows, Unreadable},
    },
    value::Value,
};

impl Push {
    pub(super) fn body(&mut self, task: &Task, response: &HttpResponse) -> Result<Vec<(usize, Outcome)>, Unreadable> {
        let target = &self.targets[task.table];
        let all = |outcome: Outcome| task.jobs.iter().map(|job| (*job, outcome.clone())).collect();
        match &task.act {
            Act::Probe(_) => Ok(Vec::new()),
            Act::Insert | Act::Update(_) if target.blind => Ok(all(Outcome::Taken)),
            Act::Delete(_) if target.blind => Ok(all(Outcome::Deleted)),
            Act::Insert | Act::Update(_) => {
                let rows = target.plan.read(&response.body)?;
                let (found, left) = self.assign(task, &rows);
                let outcomes =
                    found.into_iter().map(|(job, at)| (job, Outcome::Written(rows.row(at).to_vec()))).collect();
                self.plan_reads_now(task.table, left);
                Ok(outcomes)
            }
            Act::Delete(_) => {
                let rows = target.plan.read_keys(&response.body)?;
                let (found, left) = self.assign(task, &rows);
                self.plan_reads_now(task.table, left);
                Ok(found.into_iter().map(|(job, _)| (job, Outcome::Deleted)).collect())
            }
            Act::Read(then_write) => {
                let rows = target.plan.read(&response.body)?;
                Ok(self.read(task, &rows, *then_write))
            }
        }
    }

    fn read(&mut self, task: &Task, rows: &Rows, then_write: bool) -> Vec<(usize, Outcome)> {
        let (found, left) = self.assign(task, rows);
        let (mut outcomes, mut ready) = (Vec::new(), Vec::new());
        for (job, at) in found {
            let (row, work) = (rows.row(at), self.jobs[job].work);
            if rows.deleted[at] {
                let outcome = if work == Work::Delete { Outcome::Deleted } else { Outcome::Met(Remote::Deleted) };
                outcomes.push((job, outcome));
                continue;
            }
            let same = self.jobs[job].base.as_ref().is_some_and(|base| !differs(base, row));
            match (work, same) {
                (Work::Update | Work::Delete, true) if then_write => ready.push(job),
                (Work::Update | Work::Delete, true) => {
                    let text =
                        format!("The remote lets table {} be read, but doesn't change this row", self.name(task.table));
                    let error = Error::new(ErrorCode::SyncRejected, text)
                        .hint("Row security allows to see the row, and neither to change nor to delete it")
                        .detail("table", self.name(task.table));
                    outcomes.push((job, Outcome::Refused { error, later: false }));
                }
                _ => {
                    let cursor = rows.cursors.get(at).cloned().flatten();
                    outcomes.push((job, Outcome::Met(Remote::Row(row.to_vec(), cursor))));
                }
            }
        }
        if rows.is_empty() {
            for job in left {
                let deleted = self.jobs[job].work == Work::Delete;
                outcomes.push((job, if deleted { Outcome::Deleted } else { Outcome::Met(Remote::Absent) }));
            }
        } else if !left.is_empty() {
            // The answer may have been cut by the server's cap: what isn't in it may be there all the same.
            self.queue.push_front(Task { jobs: left, attempt: 0, ..task.clone() });
        }
        self.write_ready(task.table, ready);
        outcomes
    }

    /// Which row of an answer belongs to which job; and the jobs without one. Of a single row there is no doubt, also when
    /// the server writes its key in another way.
    fn assign(&self, task: &Task, rows: &Rows) -> (Vec<(usize, usize)>, Vec<usize>) {
        if let ([job], 1) = (task.jobs.as_slice(), rows.len()) {
            return (vec![(*job, 0)], Vec::new());
        }
        let plan = &self.targets[task.table].plan;
        let is = |at: usize, key: &[Value]| {
            let row = rows.row(at);
            (0..key.len()).all(|index| row[if rows.keys_only { index } else { plan.key[index] }] == key[index])
        };
        let (mut found, mut left) = (Vec::new(), Vec::new());
        // Rows mostly come back in the order in which they were sent.
        let mut next = 0;
        for job in &task.jobs {
            let key = &self.jobs[*job].key;
            let at = (next..rows.len()).chain(0..next).find(|at| is(*at, key));
            match at {
                Some(at) => {
                    next = at + 1;
                    found.push((*job, at));
                }
                None => left.push(*job),
            }
        }
        (found, left)
    }
}

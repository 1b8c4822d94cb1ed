//! Writing to the remote as a state machine: events in, instructions out, no I/O.
//!
//! A batch of jobs becomes requests: inserts and deletes in bulk, updates one by one, guarded by the cursor of the row that
//! they were made on. A few are under way at once. What a request didn't change is read, and the caller decides; what the
//! remote refuses is cut in halves until the one row is found. Every request may be sent twice: a second time it changes
//! nothing, and what it met is read like anything else.

use std::collections::VecDeque;

use super::{
    config::{Config, Direction},
    conflict::differs,
    job::{Job, Outcome, Remote, Work},
    plan::{Plan, Rows, Unreadable},
    request::Requester,
    response::{Verdict, backoff_ms, http_date, judge},
    types::Kind,
    write::{self, Guard},
};
use crate::{
    error::{Error, ErrorCode, Result},
    ports::{HttpFailure, HttpRequest, HttpResponse},
    time::Timestamp,
    value::Value,
};

/// Requests under way at once.
const LANES: usize = 6;

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The answer to a request.
    Answer {
        /// Of the [`Instruction::Send`].
        id: u32,
        /// The answer, or why there is none.
        answer: Result<HttpResponse, HttpFailure>,
        /// The present moment.
        now: Timestamp,
        /// A random number from 0 to 1, for the waits.
        chance: f64,
    },
    /// A wait is over.
    Waited(u32),
    /// What the last [`Instruction::RefreshToken`] brought.
    Token(Option<String>),
}

/// What to do next. When nothing is left to wait for, the batch is done.
#[derive(Debug, PartialEq)]
pub enum Instruction {
    /// Send this request.
    Send(u32, HttpRequest),
    /// Wait for so many milliseconds.
    Wait(u32, u64),
    /// Ask for a fresh token.
    RefreshToken,
    /// Write down what became of jobs, given by their index in the batch.
    Settle(Vec<(usize, Outcome)>),
}

/// What a request does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    Insert,
    Update(Guard),
    Delete(Guard),
    /// Read the rows; `true`: those that are as the base says are written then.
    Read(bool),
    /// Does this column exist?
    Probe(String),
}

/// One request: what it does, and for which jobs of the batch.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) table: usize,
    pub(super) act: Act,
    pub(super) jobs: Vec<usize>,
    pub(super) attempt: u32,
    /// Which token and root it was sent with.
    pub(super) epoch: u32,
    /// Which mark for deleted rows it was sent with.
    pub(super) mark: usize,
}

/// One table of a push.
pub(super) struct Target {
    pub(super) plan: Plan,
    /// Never read: rows are written without looking.
    pub(super) blind: bool,
    /// Why it can't be written.
    held: Option<Error>,
    probed: bool,
    lacks: Vec<String>,
    /// The columns that the remote alone writes, as far as it has said so.
    remotes: Vec<usize>,
    /// Which of the marks fits the type of its soft-delete column.
    mark: usize,
}

/// The machine.
pub struct Push {
    requester: Requester,
    pub(super) targets: Vec<Target>,
    pub(super) jobs: Vec<Job>,
    pub(super) queue: VecDeque<Task>,
    flying: Vec<(u32, Task)>,
    last: u32,
    pub(super) epoch: u32,
    refreshing: bool,
    skew_ms: Option<i64>,
}

impl Push {
    /// A push to these tables. `root`: the one that answered before; `token`: what the access token function gave.
    pub fn new(config: &Config, root: Option<String>, plans: Vec<Plan>, token: Option<String>) -> Self {
        let target = |plan: Plan| Target {
            blind: plan.options.direction == Direction::Push,
            plan,
            held: None,
            probed: false,
            lacks: Vec::new(),
            remotes: Vec::new(),
            mark: 0,
        };
        Self {
            requester: Requester::new(config, root, token),
            targets: plans.into_iter().map(target).collect(),
            jobs: Vec::new(),
            queue: VecDeque::new(),
            flying: Vec::new(),
            last: 0,
            epoch: 0,
            refreshing: false,
            skew_ms: None,
        }
    }

    /// The root that answered, to begin with the next time.
    pub fn root(&self) -> &str {
        self.requester.root()
    }

    /// How far the server's clock is ahead, where it shows it.
    pub fn skew_ms(&self) -> Option<i64> {
        self.skew_ms
    }

    /// A job of the present batch.
    pub fn job(&self, at: usize) -> &Job {
        &self.jobs[at]
    }

    /// The columns that the remote turned out to lack since the last call; the table can be written again.
    pub fn take_lacking(&mut self, table: usize) -> Vec<String> {
        let lacks = std::mem::take(&mut self.targets[table].lacks);
        if !lacks.is_empty() {
            self.targets[table].held = None;
        }
        lacks
    }

    /// Goes on with another plan of a table.
    pub fn set_plan(&mut self, table: usize, plan: Plan) {
        self.targets[table].plan = plan;
        // They are places in the plan.
        self.targets[table].remotes.clear();
    }

    /// Begins a batch. The one before must be done.
    pub fn begin(&mut self, jobs: Vec<Job>) -> Vec<Instruction> {
        self.jobs = jobs;
        let tasks = self.plan_batch();
        self.queue.extend(tasks);
        let mut out = Vec::new();
        self.send_more(&mut out);
        out
    }

    /// What to do about an event. An error ends the push; what was settled stays.
    pub fn handle(&mut self, event: Event) -> Result<Vec<Instruction>> {
        let mut out = Vec::new();
        match event {
            Event::Waited(id) => {
                if let Some(task) = self.land(id) {
                    self.queue.push_front(task);
                }
            }
            Event::Token(token) => {
                self.requester.renewed(token);
                self.refreshing = false;
                self.epoch += 1;
            }
            Event::Answer { id, answer, now, chance } => {
                if let Some(task) = self.land(id) {
                    self.answered(id, task, &answer, now, chance, &mut out)?;
                }
            }
        }
        self.send_more(&mut out);
        Ok(out)
    }

    fn land(&mut self, id: u32) -> Option<Task> {
        let at = self.flying.iter().position(|(known, _)| *known == id)?;
        Some(self.flying.swap_remove(at).1)
    }

    fn answered(
        &mut self,
        id: u32,
        task: Task,
        answer: &Result<HttpResponse, HttpFailure>,
        now: Timestamp,
        chance: f64,
        out: &mut Vec<Instruction>,
    ) -> Result<()> {
        let table = task.table;
        match judge(self.targets[table].plan.name(), answer, now) {
            Verdict::Body => {
                let Ok(response) = answer else {
                    return Err(Error::internal("A failed request was taken for an answer"));
                };
                self.requester.accepted();
                if let Some(date) = response.header("date").and_then(http_date) {
                    // The header has whole seconds: half of one on average.
                    self.skew_ms = Some(date.plus_ms(500).since(now));
                }
                match self.body(&task, response) {
                    Ok(outcomes) => settle(outcomes, out),
                    Err(Unreadable::Failed(error)) => self.hold(&task, error.detail("table", self.name(table)), out),
                    Err(Unreadable::Cut) => {
                        let text = format!("The remote's answer for table {} ended early", self.name(table));
                        let error = Error::new(ErrorCode::SyncProtocol, text)
                            .hint(super::response::CUT)
                            .detail("table", self.name(table));
                        self.retry(id, task, None, false, error, chance, out)?;
                    }
                }
            }
            Verdict::Unauthorized(mut error) => {
                let forbidden = error.details.get("remoteCode") == Some(&"42501".into());
                if forbidden && !self.requester.has_access_token() {
                    // What a signed-in user would be told by 403.
                    error.code = ErrorCode::SyncRejected;
                    return self.refused(task, error, out);
                }
                if task.epoch == self.epoch && !self.refreshing {
                    if !self.requester.may_refresh() {
                        return Err(error);
                    }
                    self.refreshing = true;
                    out.push(Instruction::RefreshToken);
                }
                self.queue.push_front(task);
            }
            Verdict::Retry { after_ms, smaller, error } => {
                self.retry(id, task, after_ms, smaller, error, chance, out)?;
            }
            Verdict::UnknownPath(error) => {
                if task.epoch < self.epoch {
                    self.queue.push_front(task);
                } else if self.requester.try_other_root() {
                    self.epoch += 1;
                    self.queue.push_front(task);
                } else {
                    self.requester.go_back();
                    self.hold(&task, error, out);
                }
            }
            Verdict::UnknownColumn(error) => self.unknown_column(&task, error, out),
            Verdict::Fail(error) if error.is(ErrorCode::SyncRejected) => self.refused(task, error, out)?,
            Verdict::Fail(error) if error.is(ErrorCode::SyncSchemaMismatch) => self.hold(&task, error, out),
            Verdict::Fail(error) => return Err(error),
        }
        Ok(())
    }

    #[allow(clippy::too_many_arguments)]
    fn retry(
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

    fn refused(&mut self, task: Task, error: Error, out: &mut Vec<Instruction>) -> Result<()> {
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

    /// The columns of a job that are sent. Those alone that the remote alone writes are sent all the same, and refused.
    fn sent(&self, table: usize, job: &Job) -> Vec<usize> {
        let remotes = &self.targets[table].remotes;
        let columns: Vec<usize> = job.columns.iter().filter(|at| !remotes.contains(at)).copied().collect();
        if columns.is_empty() { job.columns.clone() } else { columns }
    }

    /// The table can't be written at present.
    fn hold(&mut self, task: &Task, error: Error, out: &mut Vec<Instruction>) {
        settle(task.jobs.iter().map(|job| (*job, Outcome::Held(error.clone()))).collect(), out);
        self.targets[task.table].held.get_or_insert(error);
    }

    /// Finds out which columns the remote lacks, once; those that the user named must be there.
    fn unknown_column(&mut self, task: &Task, error: Error, out: &mut Vec<Instruction>) {
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

    fn body(&mut self, task: &Task, response: &HttpResponse) -> Result<Vec<(usize, Outcome)>, Unreadable> {
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

    fn send_more(&mut self, out: &mut Vec<Instruction>) {
        while !self.refreshing && self.flying.len() < LANES {
            let Some(mut task) = self.queue.pop_front() else { return };
            let target = &self.targets[task.table];
            if let (Some(error), false) = (&target.held, matches!(task.act, Act::Probe(_))) {
                settle(task.jobs.iter().map(|job| (*job, Outcome::Held(error.clone()))).collect(), out);
                continue;
            }
            task.epoch = self.epoch;
            task.mark = target.mark;
            self.last = self.last.wrapping_add(1);
            out.push(Instruction::Send(self.last, self.request(&task)));
            self.flying.push((self.last, task));
        }
    }

    fn request(&self, task: &Task) -> HttpRequest {
        let (requester, Target { plan, blind, mark, .. }) = (&self.requester, &self.targets[task.table]);
        let keys = || task.jobs.iter().map(|job| &self.jobs[*job].key[..]).collect::<Vec<_>>();
        let first = |of: &dyn Fn(&Job) -> HttpRequest| of(&self.jobs[task.jobs[0]]);
        match &task.act {
            Act::Insert => {
                let rows: Vec<&[Value]> = task.jobs.iter().map(|job| &self.jobs[*job].row[..]).collect();
                first(&|job| write::insert(requester, plan, &rows, &self.sent(task.table, job), *blind))
            }
            Act::Update(guard) => first(&|job| {
                write::update(requester, plan, &job.key, &job.row, &self.sent(task.table, job), guard, *blind)
            }),
            Act::Delete(guard) if plan.options.soft_delete().is_some() => {
                write::soft_delete(requester, plan, &keys(), guard, marks(plan)[*mark], *blind)
            }
            Act::Delete(guard) => write::delete(requester, plan, &keys(), guard, *blind),
            Act::Read(_) => write::read(requester, plan, &keys()),
            Act::Probe(column) => write::probe(requester, plan, column),
        }
    }

    fn name(&self, table: usize) -> &str {
        self.targets[table].plan.name()
    }
}

fn settle(outcomes: Vec<(usize, Outcome)>, out: &mut Vec<Instruction>) {
    if outcomes.is_empty() {
        return;
    }
    match out.iter_mut().find_map(|one| if let Instruction::Settle(list) = one { Some(list) } else { None }) {
        Some(list) => list.extend(outcomes),
        None => out.push(Instruction::Settle(outcomes)),
    }
}

/// What marks a row as deleted, the likeliest first: the server's own time, or a flag. The wire doesn't name the column's
/// type, but the server refuses what doesn't fit.
fn marks(plan: &Plan) -> [&'static str; 3] {
    let column = plan.options.soft_delete().and_then(|name| plan.table.column(name));
    match column.map(|column| column.kind) {
        Some(Kind::Bool | Kind::Int8 | Kind::Float8) => ["true", "1", "\"now\""],
        _ => ["\"now\"", "true", "1"],
    }
}

//! Writing to the remote as a state machine: events in, instructions out, no I/O.
//!
//! A batch of jobs becomes requests: inserts and deletes in bulk, updates one by one, guarded by the cursor of the row that
//! they were made on. A few are under way at once. What a request didn't change is read, and the caller decides; what the
//! remote refuses is cut in halves until the one row is found. Every request may be sent twice: a second time it changes
//! nothing, and what it met is read like anything else.

mod answers;
mod trouble;

use std::collections::VecDeque;

use super::{
    config::{Config, Direction},
    job::{Job, Outcome},
    plan::{Plan, Unreadable},
    request::Requester,
    response::{Verdict, http_date, judge},
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

    /// The columns of a job that are sent. Those alone that the remote alone writes are sent all the same, and refused.
    fn sent(&self, table: usize, job: &Job) -> Vec<usize> {
        let remotes = &self.targets[table].remotes;
        let columns: Vec<usize> = job.columns.iter().filter(|at| !remotes.contains(at)).copied().collect();
        if columns.is_empty() { job.columns.clone() } else { columns }
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

//! Sends changes to the remote by concurrent requests, and reports the outcome of each change.
//!
//! Rows that a request didn't change are read, and the caller decides. A refused request is halved until the refused
//! row is found. Each request is idempotent: sent again, it changes nothing, and its rows are read like other unchanged
//! rows. Each answer makes a request smaller or settles changes, so a batch ends whatever the remote answers.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
};

use futures_util::future::select_all;

use super::{
    grouping,
    task::{Act, Task},
    write,
};
use crate::{
    error::{Error, Result},
    ports::{HttpRequest, HttpResponse, LocalFuture},
    sync::{
        config::options::{AT_ONCE, SyncDirection},
        jobs::job::{Job, JobOutcome},
        postgrest::{
            keyed,
            queue::Queue,
            remote::{Refusal, Remote, Tries},
            request::Requester,
            response::{Unreadable, counted_rows},
        },
        schema::plan::{Plan, Rows},
        values::{json::JsonError, types::WireKind},
    },
    value::Value,
};

/// One table of a push.
pub(super) struct WriteTarget {
    pub(super) plan: Plan,
    /// The table is never read: rows are written without a comparison.
    pub(super) write_only: bool,
    /// Why the table can't be written now.
    pub(super) held: Option<Error>,
    /// The remote lacks a column; which one isn't known yet.
    pub(super) unknown_column: bool,
    /// The columns that only the remote writes, as its refusals have shown.
    pub(super) remote_only: Vec<usize>,
    /// Index of the mark (see [`marks`]) that fits the type of the soft-delete column.
    pub(super) mark: usize,
    /// Number of consecutive rows at which the remote failed.
    pub(super) failing: u32,
    /// The remote took a write to the table during this push.
    pub(super) accepted: bool,
    /// A firewall refused rows, and no other row has passed.
    pub(super) firewall_error: Option<Error>,
}

/// A push to some tables, batch by batch.
pub struct Push<'a> {
    /// The client of the push.
    pub remote: &'a Remote<'a>,
    pub(super) targets: RefCell<Vec<WriteTarget>>,
    /// Whether the project has the helpers' function.
    pub(super) has_function: Cell<bool>,
    /// Bytes of the bodies sent since the last call of `take_sent_bytes`.
    sent_bytes: Cell<u64>,
}

/// Changes that are sent together.
pub struct PushBatch<'p> {
    pub(super) push: &'p Push<'p>,
    /// The changes.
    pub jobs: &'p [Job],
    /// For each change of an exchange, the number of the cycle that it belongs to.
    pub(super) cycles: Vec<usize>,
    waiting: RefCell<VecDeque<Task>>,
    /// The outcomes of jobs, by their index.
    pub outcomes: Queue<Vec<(usize, JobOutcome)>>,
}

impl<'a> Push<'a> {
    /// Creates a push to these tables. `helped` says whether the project has tidelock's helpers.
    pub fn new(remote: &'a Remote<'a>, plans: Vec<Plan>, helped: bool) -> Self {
        let target = |plan: Plan| WriteTarget {
            write_only: plan.options.direction == SyncDirection::Push,
            plan,
            held: None,
            unknown_column: false,
            remote_only: Vec::new(),
            mark: 0,
            failing: 0,
            accepted: false,
            firewall_error: None,
        };
        let targets = RefCell::new(plans.into_iter().map(target).collect());
        Self { remote, targets, has_function: Cell::new(helped), sent_bytes: Cell::default() }
    }

    /// Returns whether the remote turned out to lack a column of the table since the last call.
    pub fn take_unknown_column(&self, table: usize) -> bool {
        std::mem::take(&mut self.targets.borrow_mut()[table].unknown_column)
    }

    /// Returns the error of a firewall that let no row of some table pass.
    pub fn firewall_error(&self) -> Option<Error> {
        self.targets.borrow().iter().find_map(|target| target.firewall_error.clone())
    }

    /// Replaces the plan of a table, which can then be written again.
    pub fn set_plan(&self, table: usize, plan: Plan) {
        let target = &mut self.targets.borrow_mut()[table];
        target.plan = plan;
        target.held = None;
        // The columns were indexes of the old plan.
        target.remote_only.clear();
    }

    /// Leaves out of a job the columns that only the remote writes. A job with no other column sends them and is refused.
    pub fn exclude_remote_columns(&self, job: &mut Job) {
        let targets = self.targets.borrow();
        let (left_out, columns): (Vec<usize>, Vec<usize>) =
            job.columns.iter().partition(|at| targets[job.table].remote_only.contains(at));
        if !columns.is_empty() {
            (job.left_out, job.columns) = (left_out, columns);
        }
    }

    /// Holds a table: its changes aren't sent, for this reason.
    pub fn hold_table(&self, table: usize, error: &Error) {
        self.targets.borrow_mut()[table].held = Some(error.clone());
    }

    /// Returns by how many milliseconds the server's clock is ahead, if a `Date` header shows it.
    pub fn skew_ms(&self) -> Option<i64> {
        self.remote.skew_ms()
    }

    /// Returns the number of bytes sent since the last call.
    pub fn take_sent_bytes(&self) -> u64 {
        self.sent_bytes.take()
    }
}

impl<'p> PushBatch<'p> {
    /// Creates a batch of these changes.
    pub fn new(push: &'p Push<'p>, jobs: &'p [Job]) -> Self {
        let batch = Self::empty(push, jobs, Vec::new());
        let tables = push.targets.borrow().len();
        let tables: Vec<_> = (0..tables).map(|table| (push.update_mode(table), push.has_json(table))).collect();
        batch.waiting.replace(grouping::batch(jobs, &tables).into());
        batch
    }

    fn empty(push: &'p Push<'p>, jobs: &'p [Job], cycles: Vec<usize>) -> Self {
        Self { push, jobs, cycles, waiting: RefCell::default(), outcomes: Queue::default() }
    }

    /// Creates a batch of updates that can only be made in one transaction, of tables that have transactions. `cycles` has
    /// the number of the cycle of each; those of a cycle are neighbours.
    pub fn in_one_transaction(push: &'p Push<'p>, jobs: &'p [Job], cycles: Vec<usize>) -> Self {
        let batch = Self::empty(push, jobs, cycles);
        for table in 0..push.targets.borrow().len() {
            let its: Vec<usize> = (0..jobs.len()).filter(|job| jobs[*job].table == table).collect();
            if !its.is_empty() {
                batch.queue_last(vec![Task::new(table, Act::Function { deferred: true }, its)]);
            }
        }
        batch
    }

    /// Sends all changes. If it fails, the outcomes until then are in the queue all the same.
    pub async fn send(&self) -> Result<()> {
        let sent = self.send_all().await;
        self.outcomes.end();
        sent.map_err(Refusal::into_error)
    }

    async fn send_all(&self) -> Result<(), Refusal> {
        let mut running: Vec<LocalFuture<'_, Result<(), Refusal>>> = Vec::new();
        loop {
            while running.len() < AT_ONCE {
                let Some(task) = self.waiting.borrow_mut().pop_front() else { break };
                running.push(Box::pin(self.perform(task)));
            }
            if running.is_empty() {
                return Ok(());
            }
            let (done, _, others) = select_all(running).await;
            done?;
            running = others;
        }
    }

    async fn perform(&self, task: Task) -> Result<(), Refusal> {
        let held = self.with(task.table, |target| target.held.clone());
        if let Some(error) = held {
            self.put_outcome(&task, &JobOutcome::Held(error));
            return Ok(());
        }
        if task.jobs.iter().any(|job| self.is_outdated(&self.jobs[*job])) {
            self.put_outcome(&task, &JobOutcome::LeftOut);
            return Ok(());
        }
        let mut tries = task.tries.clone().unwrap_or_else(|| self.push.remote.tries());
        if let Act::Function { deferred } = task.act {
            return self.send_by_function(task, deferred, tries).await;
        }
        let mark = self.with(task.table, |target| target.mark);
        match self.request(&task, &mut tries, mark).await {
            Ok((rows, affected)) => {
                if tries.any() {
                    self.note_unanswered(&task);
                }
                self.handle_rows(&task, &rows, affected);
                Ok(())
            }
            Err(refusal) => self.handle_refusal(task, refusal, tries, mark).await,
        }
    }

    /// Whether a job has a column among others that the remote turned out to be the only one to write since the job was made.
    fn is_outdated(&self, job: &Job) -> bool {
        self.with(job.table, |target| {
            let remote_only = job.columns.iter().filter(|at| target.remote_only.contains(at)).count();
            (1..job.columns.len()).contains(&remote_only)
        })
    }

    /// Notes of the jobs of a request that the remote may have executed it.
    pub(super) fn note_unanswered(&self, task: &Task) {
        if !matches!(task.act, Act::Read(_)) {
            task.jobs.iter().for_each(|job| self.jobs[*job].unanswered.set(true));
        }
    }

    /// Sends one request, and returns the rows of its answer, and the number of affected rows where it was requested.
    pub(super) async fn request(
        &self,
        task: &Task,
        tries: &mut Tries,
        mark: usize,
    ) -> Result<(Rows, Option<u64>), Refusal> {
        let name = self.name(task.table);
        let make = |requester: &Requester| self.count_bytes(self.make(requester, task, mark));
        let parse = |response: &HttpResponse| -> Result<Rows, Unreadable> {
            self.with(task.table, |target| match task.act {
                Act::Insert | Act::Update(_) | Act::Delete(_) if target.write_only => match response.body.is_empty() {
                    true => Ok(Rows::default()),
                    // With `return=minimal` PostgREST's answer has no body.
                    false => Err(JsonError::NotRows.into()),
                },
                Act::Delete(_) => target.plan.read_keys(&response.body),
                _ => target.plan.read(&response.body),
            })
        };
        let (rows, answer) = self.push.remote.read(&name, tries, &make, &parse).await?;
        Ok((rows, counted_rows(&answer.response)))
    }

    fn make(&self, requester: &Requester, task: &Task, mark: usize) -> HttpRequest {
        self.with(task.table, |target| {
            let WriteTarget { plan, write_only, .. } = target;
            let keys: Vec<&[Value]> = task.jobs.iter().map(|job| &self.jobs[*job].key[..]).collect();
            let first = task.jobs.first().map(|job| &self.jobs[*job]);
            match (&task.act, first) {
                (Act::Insert, _) => {
                    let rows: Vec<(&[Value], Vec<usize>)> = task
                        .jobs
                        .iter()
                        .map(|job| (&self.jobs[*job].row[..], self.jobs[*job].columns.clone()))
                        .collect();
                    write::insert(requester, plan, &rows, *write_only)
                }
                (Act::Revive { nulls }, Some(job)) => {
                    let none = match marks(plan)[mark] {
                        "true" => "false",
                        "1" => "0",
                        _ => "null",
                    };
                    write::revive(requester, plan, job, none, *nulls)
                }
                (Act::Update(guard), Some(job)) => {
                    write::update(requester, plan, &keys, &job.row, &job.columns, guard, *write_only)
                }
                (Act::Upsert, Some(job)) => {
                    let rows: Vec<&[Value]> = task.jobs.iter().map(|job| &self.jobs[*job].row[..]).collect();
                    write::upsert(requester, plan, &rows, &job.columns)
                }
                (Act::Delete(guard), _) if plan.options.soft_delete().is_some() => {
                    write::soft_delete(requester, plan, &keys, guard, marks(plan)[mark], *write_only)
                }
                (Act::Delete(guard), _) => write::delete(requester, plan, &keys, guard, *write_only),
                _ => keyed::read(requester, &plan.selection, &keys),
            }
        })
    }

    pub(super) fn count_bytes(&self, request: HttpRequest) -> HttpRequest {
        let bytes = request.body.as_ref().map_or(0, Vec::len) as u64;
        self.push.sent_bytes.set(self.push.sent_bytes.get() + bytes);
        request
    }

    pub(super) fn with<T>(&self, table: usize, read: impl FnOnce(&WriteTarget) -> T) -> T {
        read(&self.push.targets.borrow()[table])
    }

    pub(super) fn change<T>(&self, table: usize, change: impl FnOnce(&mut WriteTarget) -> T) -> T {
        change(&mut self.push.targets.borrow_mut()[table])
    }

    pub(super) fn name(&self, table: usize) -> String {
        self.with(table, |target| target.plan.name().to_owned())
    }

    pub(super) fn put_outcomes(&self, outcomes: Vec<(usize, JobOutcome)>) {
        if !outcomes.is_empty() {
            self.outcomes.put(outcomes);
        }
    }

    pub(super) fn put_outcome(&self, task: &Task, outcome: &JobOutcome) {
        self.put_outcomes(task.jobs.iter().map(|job| (*job, outcome.clone())).collect());
    }

    /// Queues a request before all others.
    pub(super) fn queue_first(&self, task: Task) {
        self.waiting.borrow_mut().push_front(task);
    }

    /// Queues updates of single rows, instead of their bulk, before all other requests.
    pub(super) fn send_one_by_one(&self, table: usize, jobs: &[usize]) {
        for job in jobs.iter().rev() {
            self.queue_first(Task::new(table, Act::Update(self.jobs[*job].guard()), vec![*job]));
        }
    }

    /// Queues requests after all others.
    pub(super) fn queue_last(&self, tasks: Vec<Task>) {
        self.waiting.borrow_mut().extend(tasks);
    }
}

/// JSON for the server's time, as the value of a timestamp column.
const NOW: &str = "\"now\"";

/// Returns the values that may mark a row as deleted, as JSON, the most likely one first: the server's time, or a flag.
/// The remote column's type isn't known, but the server refuses values that don't fit.
pub(super) fn marks(plan: &Plan) -> [&'static str; 3] {
    let column = plan.options.soft_delete().and_then(|name| plan.table.column(name));
    match column.map(|column| column.kind) {
        Some(WireKind::Bool | WireKind::Int8 | WireKind::Float8) => ["true", "1", NOW],
        _ => [NOW, "true", "1"],
    }
}

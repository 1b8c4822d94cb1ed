//! Handles failed requests: their jobs are sent in smaller parts, refused or held.

use super::{
    sender::{PushBatch, marks},
    task::{Act, ReadPurpose, Task},
};
use crate::{
    error::{Detail, Error, ErrorCode},
    sync::{
        jobs::job::{JobKind, JobOutcome},
        postgrest::{
            keyed,
            remote::{Refusal, Tries},
            response::{lost_to_another, remote_code},
        },
        schema::plan::Plan,
    },
};

/// Number of consecutive failing rows after which the failure counts as one of the table.
const MOST_FAILING_ROWS: u32 = 20;

/// Number of rows that a firewall may refuse before one passes.
const MOST_REFUSED_ROWS: u32 = 3;

/// The hint about a row that a firewall refuses.
const OF_A_FIREWALL: &str = "Other rows of the table pass, so a firewall before the project refuses the text of this one: correct \
                             its rules, or change the row";

/// The hint about a row of a table that can be read.
const OF_A_TRIGGER: &str =
    "The table can be read, so a trigger or a policy of it refers to what the message names: correct it there";

impl PushBatch<'_> {
    pub(super) async fn handle_refusal(
        &self,
        mut task: Task,
        refusal: Refusal,
        tries: Tries,
        mark: usize,
    ) -> Result<(), Refusal> {
        if tries.any() || may_be_executed(&refusal) {
            self.note_unanswered(&task);
        }
        match refusal {
            Refusal::Rejected(error) => self.rejected(task, error, mark),
            Refusal::UnknownColumn(error) | Refusal::Mismatch(error) if self.may_be_of_a_row(&task, &error) => {
                return self.handle_failure(task, Refusal::Trouble(error)).await;
            }
            Refusal::UnknownColumn(error) => self.unknown_column(&task, error),
            Refusal::Mismatch(error) => self.hold(&task, error),
            Refusal::TooMuch(_) => {
                task.tries = Some(tries);
                self.halve_or_repeat(&task);
            }
            Refusal::TooLarge(error) => match task.jobs.len() {
                0 | 1 => self.put_outcome(&task, &JobOutcome::Failing(error)),
                _ => self.halve_or_repeat(&task),
            },
            Refusal::Trouble(_) => return self.handle_failure(task, refusal).await,
            Refusal::Failed(error) if self.is_of_the_keys(&task, &error) => self.handle_long_keys(&task, error),
            Refusal::Failed(error) if is_of_a_firewall(&error) && !matches!(task.act, Act::Read(_)) => {
                return self.handle_firewall(task, error).await;
            }
            Refusal::Failed(_) => return Err(refusal),
        }
        Ok(())
    }

    /// Returns whether a trigger or a policy of the remote may have missed a table, a column or a function, which it needs for some rows only.
    fn may_be_of_a_row(&self, task: &Task, error: &Error) -> bool {
        !matches!(task.act, Act::Read(_))
            && match remote_code(error) {
                "42P01" | "42883" => true,
                "42703" => !self.with(task.table, |target| target.plan.mentions_column(error)),
                _ => false,
            }
    }

    pub(super) fn halve_or_repeat(&self, task: &Task) {
        if task.jobs.len() < 2 {
            return self.queue_first(task.clone());
        }
        self.split(task, task.jobs.len() / 2);
    }

    /// Queues a request as two: one of the jobs before this index, and one of the others.
    fn split(&self, task: &Task, at: usize) {
        let (first, second) = task.jobs.split_at(at);
        [second, first].into_iter().for_each(|part| self.queue_first(task.part(part)));
    }

    /// Counts a failing row of a table; returns how many in a row that makes.
    fn count_failing(&self, table: usize) -> u32 {
        self.change(table, |target| {
            target.failing += 1;
            target.failing
        })
    }

    fn rejected(&self, task: Task, error: Error, mark: usize) {
        let code = remote_code(&error);
        if matches!(task.act, Act::Read(_)) {
            return self.hold(&task, error);
        }
        if code == "428C9"
            && matches!(task.act, Act::Insert | Act::Revive { .. } | Act::Update(_))
            && self.learn_remote_only(&task, &error)
        {
            return self.put_outcome(&task, &JobOutcome::LeftOut);
        }
        if task.act == Act::Upsert {
            // An upsert also needs the right to insert, and the columns that a new row requires; an update doesn't.
            return self.send_one_by_one(task.table, &task.jobs);
        }
        let wrong_mark = matches!(code, "22P02" | "22007" | "22008" | "42804")
            || code == "23502" && self.with(task.table, |target| is_about_the_mark(&target.plan, &error));
        if matches!(task.act, Act::Delete(_) | Act::Revive { .. }) && wrong_mark && self.next_mark(task.table, mark) {
            return self.queue_first(task);
        }
        if task.act == (Act::Revive { nulls: true }) {
            // The server may fill a column that must not be NULL, or that only it may write.
            return self.queue_first(Task { act: Act::Revive { nulls: false }, ..task });
        }
        if let ("23505", Act::Insert, [job]) = (code, &task.act, task.jobs.as_slice())
            && self.jobs[*job].unanswered.get()
            && self.with(task.table, |target| target.write_only && is_about_the_key(&target.plan, &error))
        {
            // An earlier try has inserted the row, and its answer was lost.
            return self.put_outcome(&task, &JobOutcome::Arrived);
        }
        // 428C9 (a generated column) concerns each row with the same columns, so smaller parts wouldn't help.
        if task.jobs.len() > 1 && code != "428C9" {
            return self.halve_or_repeat(&Task { tries: None, ..task });
        }
        let error =
            if code == "428C9" { self.with(task.table, |target| of_a_generated(&target.plan, error)) } else { error };
        let code = remote_code(&error);
        let later = matches!(code, "23503" | "23505");
        self.put_outcome(&task, &JobOutcome::Refused { error, later });
    }

    /// Switches to the next mark for deleted rows, if there is one. Returns whether the mark now differs from the
    /// refused one.
    fn next_mark(&self, table: usize, refused: usize) -> bool {
        self.change(table, |target| {
            if target.plan.options.soft_delete().is_none() {
                return false;
            }
            if refused == target.mark && target.mark + 1 < marks(&target.plan).len() {
                target.mark += 1;
            }
            refused < target.mark
        })
    }

    /// Notes a column that only the remote writes: it isn't sent any more. Returns whether each job
    /// still has a column to send.
    fn learn_remote_only(&self, task: &Task, error: &Error) -> bool {
        self.change(task.table, |target| {
            let plan = &target.plan;
            let named = plan.column_in(error);
            let named = named.and_then(|name| plan.columns.iter().position(|column| column.name == name));
            let Some(named) = named.filter(|at| !plan.key.contains(at)) else { return false };
            if !target.remote_only.contains(&named) {
                target.remote_only.push(named);
            }
            let columns = || task.jobs.iter().map(|job| &self.jobs[*job].columns);
            columns().any(|sent| sent.contains(&named))
                && columns().all(|sent| sent.iter().any(|at| !target.remote_only.contains(at)))
        })
    }

    /// Handles a request for which all retries failed. If the table can be read, the failure concerns the sent rows,
    /// and a failing row doesn't stop the others.
    async fn handle_failure(&self, mut task: Task, refusal: Refusal) -> Result<(), Refusal> {
        let about_one_table = refusal.is_about_one_table();
        let error = refusal.into_error();
        if matches!(task.act, Act::Read(_)) {
            return self.hold_or_fail(&task, error, about_one_table);
        }
        if task.jobs.len() == 1 && lost_to_another(remote_code(&error)) {
            // Rows that exchange unique values block each other if both are sent at once.
            self.put_outcome(&task, &JobOutcome::Refused { error, later: true });
            return Ok(());
        }
        if !task.suspect {
            if !self.is_readable(&task).await {
                return self.hold_or_fail(&task, error, about_one_table);
            }
            task.suspect = true;
        }
        task.tries = Some(self.push.remote.tries().at_most(2));
        if task.jobs.len() > 1 {
            self.halve_or_repeat(&task);
            return Ok(());
        }
        if self.count_failing(task.table) > MOST_FAILING_ROWS {
            self.hold(&task, error);
        } else {
            let is_missing = error.is(ErrorCode::SyncSchemaMismatch);
            let error = if is_missing { error.hint(OF_A_TRIGGER) } else { error };
            self.put_outcome(&task, &JobOutcome::Failing(error));
        }
        Ok(())
    }

    /// Handles a refusal by a firewall before the project. While the table can be read, it concerns single rows, for the
    /// text in them; but if none passes, the push fails at its end.
    async fn handle_firewall(&self, task: Task, error: Error) -> Result<(), Refusal> {
        let has_accepted = || self.with(task.table, |target| target.accepted);
        if task.jobs.len() > 1 {
            // A single row shows with the fewest requests whether any passes.
            self.split(&task, if has_accepted() { task.jobs.len() / 2 } else { 1 });
            return Ok(());
        }
        if !has_accepted() && !self.is_readable(&task).await {
            return Err(Refusal::Failed(error));
        }
        let failing = self.count_failing(task.table);
        if failing > if has_accepted() { MOST_FAILING_ROWS } else { MOST_REFUSED_ROWS } {
            self.hold(&task, error);
        } else if has_accepted() {
            self.put_outcome(&task, &JobOutcome::Failing(error.hint(OF_A_FIREWALL)));
        } else {
            self.put_outcome(&task, &JobOutcome::Blocked(error.clone()));
            self.change(task.table, |target| target.firewall_error = Some(error));
        }
        Ok(())
    }

    /// Returns whether the keys of the changes made the URL of a request too long.
    fn is_of_the_keys(&self, task: &Task, error: &Error) -> bool {
        let names_keys = !matches!(task.act, Act::Insert | Act::Upsert | Act::Function { .. });
        names_keys && keyed::are_too_long(task.jobs.iter().map(|job| &self.jobs[*job].key[..]), error)
    }

    /// Refuses the change whose key is too long for a URL.
    fn handle_long_keys(&self, task: &Task, error: Error) {
        let [job] = task.jobs[..] else { return self.halve_or_repeat(task) };
        let name = self.name(task.table);
        let text = format!("The key of a row of table {name} makes the URL of its request too long");
        let mut error = error.hint("Servers accept URLs of about 8,000 characters: give the row a shorter key");
        error.message = text;
        // What was sent of a change that may have arrived stays noted.
        self.put_outcome(
            task,
            &match self.jobs[job].kind {
                JobKind::Read => JobOutcome::Failing(error),
                _ => JobOutcome::Refused { error, later: false },
            },
        );
    }

    /// Returns whether the rows of a table can be read now; one that is never read counts as readable.
    async fn is_readable(&self, task: &Task) -> bool {
        if self.with(task.table, |target| target.write_only) {
            return true;
        }
        let jobs = task.jobs.iter().take(1).copied().collect();
        let probe = Task::new(task.table, Act::Read(ReadPurpose::Reconcile), jobs);
        match self.request(&probe, &mut self.push.remote.tries().at_most(1), 0).await {
            Err(Refusal::Failed(error)) => self.is_of_the_keys(&probe, &error),
            read => read.is_ok(),
        }
    }

    /// Holds the table if the failure concerns it alone, else fails.
    fn hold_or_fail(&self, task: &Task, error: Error, about_one_table: bool) -> Result<(), Refusal> {
        if !about_one_table {
            return Err(Refusal::Failed(error));
        }
        self.hold(task, error);
        Ok(())
    }

    /// Holds the table, since it can't be written now.
    fn hold(&self, task: &Task, error: Error) {
        let error = error.detail("table", self.name(task.table));
        self.put_outcome(task, &JobOutcome::Held(error.clone()));
        self.change(task.table, |target| _ = target.held.get_or_insert(error));
    }

    /// Holds the table. Which columns the remote lacks is determined after the batch, unless the user listed them.
    fn unknown_column(&self, task: &Task, error: Error) {
        let error = self.change(task.table, |target| {
            target.unknown_column = target.plan.options.columns.is_none();
            target.plan.naming(error)
        });
        self.hold(task, error);
    }
}

/// Returns whether the remote may have executed a request all the same: PostgreSQL itself undoes what it refuses.
pub(super) fn may_be_executed(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::TooLarge(_) => true,
        Refusal::TooMuch(error) | Refusal::Trouble(error) => remote_code(error).is_empty(),
        _ => false,
    }
}

/// Returns whether a firewall before the project may have refused the request for its text: they answer with 403, and
/// ModSecurity also with 406.
pub(super) fn is_of_a_firewall(error: &Error) -> bool {
    let status = error.details.get("status");
    error.is(ErrorCode::SyncServer) && remote_code(error).is_empty() && matches!(status, Some(Detail::Int(403 | 406)))
}

/// Returns the refusal of a value that the remote generates, with a hint that names the column.
fn of_a_generated(plan: &Plan, error: Error) -> Error {
    let Some(column) = plan.column_in(&error).map(str::to_owned) else { return error };
    let what_to_do = match plan.key_columns().contains(&column) {
        true => "declare it GENERATED BY DEFAULT there",
        false => "leave it out of `columns`, or don't write it here; discard takes the remote's value",
    };
    error.hint(format!("Column {column} is generated by the remote: {what_to_do}")).detail("column", column)
}

/// Returns whether a unique violation concerns the key and not another unique column. The columns in PostgreSQL's
/// details decide, or the constraint's name, since a role that can't read the table gets no columns.
fn is_about_the_key(plan: &Plan, error: &Error) -> bool {
    match error.details.get("columns") {
        Some(Detail::Text(columns)) => {
            let mut named: Vec<&str> = columns.split(", ").map(|name| name.trim_matches('"')).collect();
            let mut key = plan.key_columns();
            named.sort_unstable();
            key.sort_unstable();
            named == key
        }
        _ => error.message.contains("_pkey"),
    }
}

/// Returns whether a NOT NULL violation concerns the soft-delete column.
fn is_about_the_mark(plan: &Plan, error: &Error) -> bool {
    plan.options.soft_delete().is_some() && plan.column_in(error) == plan.options.soft_delete()
}

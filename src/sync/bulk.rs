//! How the jobs of a batch become requests: in bulk where one request can do it, one by one where the guard demands it.

use super::{
    job::Work,
    push::{Act, Push, Task},
    write::{Guard, LONGEST_FILTER, filter_length, same_prefix},
};
use crate::value::Value;

/// Rows of one insert at most, ...
const BULK_ROWS: usize = 500;
/// ... and about the bytes of its body.
const BULK_BYTES: usize = 400_000;
/// Keys of one filter at most.
const BULK_KEYS: usize = 200;

impl Push {
    /// The requests of the present batch.
    pub(super) fn plan_batch(&self) -> Vec<Task> {
        let mut tasks = Vec::new();
        for table in 0..self.targets.len() {
            let of = |work: Work| -> Vec<usize> {
                (0..self.jobs.len()).filter(|at| self.jobs[*at].table == table && self.jobs[*at].work == work).collect()
            };
            self.plan_inserts(table, of(Work::Insert), &mut tasks);
            self.plan_updates(table, of(Work::Update), &mut tasks);
            self.plan_deletes(table, of(Work::Delete), &mut tasks);
            self.plan_reads(table, of(Work::Look), false, &mut tasks);
        }
        tasks
    }

    fn task(&self, table: usize, act: Act, jobs: Vec<usize>) -> Task {
        Task { table, act, jobs, attempt: 0, epoch: self.epoch, mark: 0 }
    }

    /// In bulk: rows that fill the same columns.
    fn plan_inserts(&self, table: usize, jobs: Vec<usize>, tasks: &mut Vec<Task>) {
        let mut groups: Vec<(&[usize], Vec<usize>, usize)> = Vec::new();
        for job in jobs {
            let columns = &self.jobs[job].columns[..];
            let bytes = self.jobs[job].row.iter().map(weight).sum::<usize>();
            let open = groups.iter_mut().rev().find(|(known, ..)| *known == columns);
            match open {
                Some((_, jobs, size)) if jobs.len() < BULK_ROWS && *size + bytes <= BULK_BYTES => {
                    jobs.push(job);
                    *size += bytes;
                }
                _ => groups.push((columns, vec![job], bytes)),
            }
        }
        tasks.extend(groups.into_iter().map(|(_, jobs, _)| self.task(table, Act::Insert, jobs)));
    }

    /// One by one, guarded by the cursor; without one the rows are read first.
    fn plan_updates(&self, table: usize, jobs: Vec<usize>, tasks: &mut Vec<Task>) {
        let blind = self.targets[table].blind;
        let (guarded, unguarded): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| blind || self.jobs[*job].cursor.is_some());
        for job in guarded {
            let guard = if blind { Guard::None } else { self.jobs[job].guard() };
            tasks.push(self.task(table, Act::Update(guard), vec![job]));
        }
        self.plan_reads(table, unguarded, true, tasks);
    }

    /// In bulk, where one cursor value guards several rows; others are read first, and then deleted in bulk too.
    fn plan_deletes(&self, table: usize, jobs: Vec<usize>, tasks: &mut Vec<Task>) {
        if self.targets[table].blind {
            self.push_chunks(table, jobs, tasks, |_| Act::Delete(Guard::None));
            return;
        }
        let mut groups: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
        for job in jobs {
            let cursor = self.jobs[job].cursor.as_deref();
            match groups.iter_mut().rev().take(64).find(|(known, _)| *known == cursor) {
                Some((_, jobs)) => jobs.push(job),
                None => groups.push((cursor, vec![job])),
            }
        }
        let mut single = Vec::new();
        for (cursor, jobs) in groups {
            match cursor {
                Some(_) if jobs.len() > 1 => {
                    let guard = self.jobs[jobs[0]].guard();
                    self.push_chunks(table, jobs, tasks, |_| Act::Delete(guard.clone()));
                }
                _ => single.extend(jobs),
            }
        }
        match single.as_slice() {
            [job] if self.jobs[*job].cursor.is_some() => {
                tasks.push(self.task(table, Act::Delete(self.jobs[*job].guard()), single));
            }
            _ => self.plan_reads(table, single, true, tasks),
        }
    }

    fn plan_reads(&self, table: usize, jobs: Vec<usize>, then_write: bool, tasks: &mut Vec<Task>) {
        let mut chunk: (Vec<usize>, usize) = (Vec::new(), 0);
        for job in jobs {
            let length = filter_length(&self.jobs[job].key) * 2;
            if chunk.0.len() >= BULK_KEYS || chunk.1 + length > LONGEST_FILTER && !chunk.0.is_empty() {
                tasks.push(self.task(table, Act::Read(then_write), std::mem::take(&mut chunk.0)));
                chunk.1 = 0;
            }
            chunk.0.push(job);
            chunk.1 += length;
        }
        if !chunk.0.is_empty() {
            tasks.push(self.task(table, Act::Read(then_write), chunk.0));
        }
    }

    pub(super) fn plan_reads_now(&mut self, table: usize, jobs: Vec<usize>) {
        let mut tasks = Vec::new();
        self.plan_reads(table, jobs, false, &mut tasks);
        self.queue.extend(tasks);
    }

    /// Rows that were just read and are as their base says.
    pub(super) fn write_ready(&mut self, table: usize, jobs: Vec<usize>) {
        let (updates, deletes): (Vec<_>, Vec<_>) =
            jobs.into_iter().partition(|job| self.jobs[*job].work == Work::Update);
        let mut tasks: Vec<Task> =
            updates.into_iter().map(|job| self.task(table, Act::Update(self.jobs[job].guard()), vec![job])).collect();
        // Any of the rows' cursors: one that was changed since has a newer one.
        self.push_chunks(table, deletes, &mut tasks, |jobs| {
            let mut cursors: Vec<String> = jobs.iter().filter_map(|job| self.jobs[*job].cursor.clone()).collect();
            cursors.sort_unstable();
            cursors.dedup();
            let guardable = cursors.len() <= jobs.len() && !cursors.is_empty() && !cursors.iter().any(String::is_empty);
            Act::Delete(if guardable { Guard::Cursor(cursors) } else { Guard::None })
        });
        self.queue.extend(tasks);
    }

    /// Cuts jobs into tasks whose keys one filter can name.
    fn push_chunks(&self, table: usize, jobs: Vec<usize>, tasks: &mut Vec<Task>, act: impl Fn(&[usize]) -> Act) {
        let mut chunk: (Vec<usize>, usize) = (Vec::new(), 0);
        for job in jobs {
            let key = &self.jobs[job].key;
            let length = filter_length(key) + self.jobs[job].cursor.as_ref().map_or(0, |cursor| cursor.len() + 16);
            let fits = chunk.0.first().is_none_or(|first| {
                same_prefix(&[&self.jobs[*first].key, key])
                    && chunk.0.len() < BULK_KEYS
                    && chunk.1 + length <= LONGEST_FILTER
            });
            if !fits {
                tasks.push(self.task(table, act(&chunk.0), std::mem::take(&mut chunk.0)));
                chunk.1 = 0;
            }
            chunk.0.push(job);
            chunk.1 += length;
        }
        if !chunk.0.is_empty() {
            tasks.push(self.task(table, act(&chunk.0), chunk.0));
        }
    }
}

fn weight(value: &Value) -> usize {
    16 + match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len() * 2,
        _ => 8,
    }
}

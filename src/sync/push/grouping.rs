//! Groups changes into requests: in bulk if one request can express them, else one by one.

use super::task::{Act, ReadPurpose, Task, UpdateMode};
use crate::{
    sync::{
        jobs::job::{Job, JobKind, RowGuard},
        postgrest::keyed::{BULK_KEYS, LONGEST_FILTER, chunks, filter_length, readable, same_prefix},
        values::{outgoing::filter_text, same_key},
    },
    value::Value,
};

/// Maximum number of rows in one insert.
const BULK_ROWS: usize = 500;
/// Approximate maximum size of an insert's body, in bytes.
const BULK_BYTES: usize = 400_000;
/// Minimum number of updates with different values that justifies a request of another kind (`Function`, `Upsert`).
const WORTH_A_BULK: usize = 8;

/// Returns the requests of a batch. `tables` has for each table how its updates are sent, and whether it has JSON
/// columns.
pub(super) fn batch(jobs: &[Job], tables: &[(UpdateMode, bool)]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (table, (mode, has_json)) in tables.iter().enumerate() {
        let write_only = *mode == UpdateMode::WriteOnly;
        let of = |kind: JobKind| -> Vec<usize> {
            (0..jobs.len()).filter(|at| jobs[*at].table == table && jobs[*at].kind == kind).collect()
        };
        let (revived, new): (Vec<_>, Vec<_>) = of(JobKind::Insert).into_iter().partition(|job| jobs[*job].revives);
        tasks.extend(inserts(jobs, table, new, *has_json));
        tasks.extend(revived.into_iter().map(|job| Task::new(table, Act::Revive { nulls: true }, vec![job])));
        let (guarded, unguarded): (Vec<_>, Vec<_>) =
            of(JobKind::Update).into_iter().partition(|job| write_only || jobs[*job].cursor.is_some());
        tasks.extend(updates(jobs, table, guarded, *mode));
        // Without a cursor to guard them, rows are read before they are written.
        tasks.extend(reads(jobs, table, unguarded, ReadPurpose::Write));
        tasks.extend(deletes(jobs, table, of(JobKind::Delete), write_only));
        tasks.extend(reads(jobs, table, of(JobKind::Read), ReadPurpose::Reconcile));
    }
    tasks
}

/// Inserts new rows in bulk, whatever columns they fill. With JSON columns, only rows with the same columns share a
/// request, which keeps the text of JSON unchanged. Rows that the server may take for the same row go into different
/// requests, since an answer couldn't be assigned to one of them.
fn inserts(jobs: &[Job], table: usize, new: Vec<usize>, has_json: bool) -> Vec<Task> {
    let repeats = same_key::repeats(&new.iter().map(|job| &jobs[*job].key[..]).collect::<Vec<_>>());
    let mut new: Vec<_> = repeats.into_iter().zip(new).collect();
    let sort = |(repeat, job): &(usize, usize)| (*repeat, has_json.then_some(&jobs[*job].columns));
    new.sort_by(|a, b| sort(a).cmp(&sort(b)));
    let alike = new.chunk_by(|a, b| sort(a) == sort(b)).map(|alike| alike.iter().map(|(_, job)| *job).collect());
    let chunks = alike.flat_map(|alike| rows(jobs, alike, |_, _| true));
    chunks.map(|chunk| Task::new(table, Act::Insert, chunk)).collect()
}

/// Updates rows: all in one call of the helpers' function, or those in bulk that write the same values into the same
/// columns.
fn updates(jobs: &[Job], table: usize, changed: Vec<usize>, mode: UpdateMode) -> Vec<Task> {
    if mode == UpdateMode::Function && changed.len() >= WORTH_A_BULK {
        let chunks = rows(jobs, changed, |_, _| true);
        return chunks.into_iter().map(|chunk| Task::new(table, Act::Function { deferred: false }, chunk)).collect();
    }
    let mut spelled: Vec<(String, usize)> = changed.into_iter().map(|job| (written(&jobs[job]), job)).collect();
    spelled.sort();
    let mut tasks = Vec::new();
    for same in spelled.chunk_by(|a, b| a.0 == b.0) {
        let same = same.iter().map(|(_, job)| *job).collect();
        for chunk in keyed(jobs, same) {
            let guard = if mode == UpdateMode::WriteOnly { RowGuard::None } else { any_cursor(jobs, &chunk) };
            tasks.push(Task::new(table, Act::Update(guard), chunk));
        }
    }
    tasks.sort_by_key(|task| task.jobs.first().copied());
    tasks
}

/// Updates rows of a table without a cursor that were just read: those that change the same columns in one request.
fn upserts(jobs: &[Job], table: usize, mut changed: Vec<usize>) -> Vec<Task> {
    changed.sort_by(|a, b| jobs[*a].columns.cmp(&jobs[*b].columns));
    let mut tasks = Vec::new();
    for chunk in rows(jobs, changed, |first, job| jobs[first].columns == jobs[job].columns) {
        if chunk.len() >= WORTH_A_BULK {
            tasks.push(Task::new(table, Act::Upsert, chunk));
        } else {
            tasks.extend(chunk.into_iter().map(|job| Task::new(table, Act::Update(RowGuard::None), vec![job])));
        }
    }
    tasks
}

/// Deletes rows: in bulk if one cursor value guards several rows. Others are read first, and then deleted in bulk too.
fn deletes(jobs: &[Job], table: usize, deleted: Vec<usize>, write_only: bool) -> Vec<Task> {
    if write_only {
        return delete(jobs, table, deleted, |_| RowGuard::None);
    }
    let mut groups: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
    for job in deleted {
        let cursor = jobs[job].cursor.as_deref();
        match groups.iter_mut().rev().take(64).find(|(known, _)| *known == cursor) {
            Some((_, group)) => group.push(job),
            None => groups.push((cursor, vec![job])),
        }
    }
    let (mut tasks, mut single) = (Vec::new(), Vec::new());
    for (cursor, group) in groups {
        match cursor {
            Some(_) if group.len() > 1 => tasks.extend(delete(jobs, table, group, |chunk| jobs[chunk[0]].guard())),
            _ => single.extend(group),
        }
    }
    match single.as_slice() {
        [job] if jobs[*job].cursor.is_some() => {
            tasks.extend(delete(jobs, table, single, |chunk| jobs[chunk[0]].guard()))
        }
        _ => tasks.extend(reads(jobs, table, single, ReadPurpose::Write)),
    }
    tasks
}

fn delete(jobs: &[Job], table: usize, deleted: Vec<usize>, guard: impl Fn(&[usize]) -> RowGuard) -> Vec<Task> {
    keyed(jobs, deleted).into_iter().map(|chunk| Task::new(table, Act::Delete(guard(&chunk)), chunk)).collect()
}

/// Reads the rows of these jobs.
pub(super) fn reads(jobs: &[Job], table: usize, wanted: Vec<usize>, purpose: ReadPurpose) -> Vec<Task> {
    let chunks = readable(wanted, |job| &jobs[job].key);
    chunks.into_iter().map(|chunk| Task::new(table, Act::Read(purpose), chunk)).collect()
}

/// Writes rows that were just read and equal their base.
pub(super) fn writes(jobs: &[Job], table: usize, ready: Vec<usize>, mode: UpdateMode) -> Vec<Task> {
    let (changed, deleted): (Vec<_>, Vec<_>) = ready.into_iter().partition(|job| jobs[*job].kind == JobKind::Update);
    let unguarded = changed.iter().all(|job| jobs[*job].cursor.is_none());
    let mut tasks = match mode {
        UpdateMode::Guarded if unguarded && changed.len() >= WORTH_A_BULK => upserts(jobs, table, changed),
        mode => updates(jobs, table, changed, mode),
    };
    tasks.extend(delete(jobs, table, deleted, |chunk| any_cursor(jobs, chunk)));
    tasks
}

/// Returns a guard by any of the rows' cursors: a row that was changed meanwhile has a newer one. Returns no guard if a
/// row has no cursor.
fn any_cursor(jobs: &[Job], chunk: &[usize]) -> RowGuard {
    if let [job] = chunk {
        return jobs[*job].guard();
    }
    let mut cursors: Vec<String> = chunk.iter().filter_map(|job| jobs[*job].cursor.clone()).collect();
    cursors.sort_unstable();
    cursors.dedup();
    let guardable = cursors == [""] || !cursors.is_empty() && !cursors.iter().any(String::is_empty);
    if guardable { RowGuard::Cursor(cursors) } else { RowGuard::None }
}

/// Splits jobs into parts whose keys and cursors fit into one filter.
fn keyed(jobs: &[Job], all: Vec<usize>) -> Vec<Vec<usize>> {
    let length =
        |job: usize| filter_length(&jobs[job].key) + jobs[job].cursor.as_ref().map_or(0, |cursor| cursor.len() + 16);
    // A filter for a NULL cursor (`is.null`) can't be combined with values.
    let null = |job: usize| jobs[job].cursor.as_deref() == Some("");
    let may_share =
        |first: usize, job: usize| same_prefix(&[&jobs[first].key, &jobs[job].key]) && null(first) == null(job);
    chunks(all, BULK_KEYS, LONGEST_FILTER, length, may_share)
}

/// Splits jobs into parts whose rows fit into one body.
fn rows(jobs: &[Job], all: Vec<usize>, may_share: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    chunks(all, BULK_ROWS, BULK_BYTES, |job| jobs[job].row.iter().map(weight).sum(), may_share)
}

/// Returns the values that an update writes as text, which is equal only for equal values of equal types.
fn written(job: &Job) -> String {
    let mut text = String::new();
    for at in &job.columns {
        let value = &job.row[*at];
        let kind = match value {
            Value::Null => 'n',
            Value::Integer(_) => 'i',
            Value::Real(_) => 'r',
            Value::Text(_) => 't',
            Value::Blob(_) => 'b',
        };
        let shown = filter_text(value);
        text.push_str(&format!("{at}{kind}{}:{shown}", shown.len()));
    }
    text
}

fn weight(value: &Value) -> usize {
    16 + match value {
        Value::Text(text) => text.len(),
        Value::Blob(bytes) => bytes.len() * 2,
        _ => 8,
    }
}

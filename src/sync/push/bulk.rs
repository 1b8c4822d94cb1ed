//! How changes become requests: in bulk where one request can do it, one by one where they differ.

use super::{
    task::{Act, Task, UpdateMode},
    write::{LONGEST_FILTER, filter_length, same_prefix},
};
use crate::{
    sync::{
        jobs::job::{Job, RowGuard, Work},
        values::{outgoing::filter_text, same_key},
    },
    value::Value,
};

/// Rows of one insert at most, ...
const BULK_ROWS: usize = 500;
/// ... and about the bytes of its body.
const BULK_BYTES: usize = 400_000;
/// Keys of one filter at most.
const BULK_KEYS: usize = 200;

/// From so many updates on that differ from row to row, they are worth a request of another kind.
const WORTH_A_BULK: usize = 8;

/// The requests of a batch. `tables`: of each one how its updates are sent, and whether it has JSON.
pub(super) fn batch(jobs: &[Job], tables: &[(UpdateMode, bool)]) -> Vec<Task> {
    let mut tasks = Vec::new();
    for (table, (way, has_json)) in tables.iter().enumerate() {
        let blind = *way == UpdateMode::Blind;
        let of = |work: Work| -> Vec<usize> {
            (0..jobs.len()).filter(|at| jobs[*at].table == table && jobs[*at].work == work).collect()
        };
        let (back, new): (Vec<_>, Vec<_>) = of(Work::Insert).into_iter().partition(|job| jobs[*job].revives);
        tasks.extend(inserts(jobs, table, new, *has_json));
        tasks.extend(back.into_iter().map(|job| Task::new(table, Act::Revive, vec![job])));
        let (guarded, unguarded): (Vec<_>, Vec<_>) =
            of(Work::Update).into_iter().partition(|job| blind || jobs[*job].cursor.is_some());
        tasks.extend(updates(jobs, table, guarded, *way));
        // Without a guard they are read first.
        tasks.extend(reads(jobs, table, unguarded, true));
        tasks.extend(deletes(jobs, table, of(Work::Delete), blind));
        tasks.extend(reads(jobs, table, of(Work::Look), false));
    }
    tasks
}

/// New rows in bulk, whatever columns they fill; but text of JSON stays as it is only among rows that fill the same ones. Rows that
/// may be one to the server go apart: the answer to both could be the row of either.
fn inserts(jobs: &[Job], table: usize, new: Vec<usize>, has_json: bool) -> Vec<Task> {
    let repeats = same_key::repeats(&new.iter().map(|job| &jobs[*job].key[..]).collect::<Vec<_>>());
    let mut new: Vec<_> = repeats.into_iter().zip(new).collect();
    let sort = |(repeat, job): &(usize, usize)| (*repeat, has_json.then_some(&jobs[*job].columns));
    new.sort_by(|a, b| sort(a).cmp(&sort(b)));
    let alike = new.chunk_by(|a, b| sort(a) == sort(b)).map(|alike| alike.iter().map(|(_, job)| *job).collect());
    let chunks = alike.flat_map(|alike| rows(jobs, alike, |_, _| true));
    chunks.map(|chunk| Task::new(table, Act::Insert, chunk)).collect()
}

/// Updates as the project allows it: all together, or those in bulk that write the same values into the same columns.
fn updates(jobs: &[Job], table: usize, changed: Vec<usize>, way: UpdateMode) -> Vec<Task> {
    if way == UpdateMode::Together && changed.len() >= WORTH_A_BULK {
        let chunks = rows(jobs, changed, |_, _| true);
        return chunks.into_iter().map(|chunk| Task::new(table, Act::Together, chunk)).collect();
    }
    let mut spelled: Vec<(String, usize)> = changed.into_iter().map(|job| (written(&jobs[job]), job)).collect();
    spelled.sort();
    let mut tasks = Vec::new();
    for same in spelled.chunk_by(|a, b| a.0 == b.0) {
        let same = same.iter().map(|(_, job)| *job).collect();
        for chunk in keyed(jobs, same) {
            let guard = if way == UpdateMode::Blind { RowGuard::None } else { any_cursor(jobs, &chunk) };
            tasks.push(Task::new(table, Act::Update(guard), chunk));
        }
    }
    tasks.sort_by_key(|task| task.jobs.first().copied());
    tasks
}

/// Updates of rows that were just read, of a table that has no guard: those that change the same columns in one request.
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

/// In bulk, where one cursor value guards several rows; others are read first, and then deleted in bulk too.
fn deletes(jobs: &[Job], table: usize, gone: Vec<usize>, blind: bool) -> Vec<Task> {
    if blind {
        return delete(jobs, table, gone, |_| RowGuard::None);
    }
    let mut groups: Vec<(Option<&str>, Vec<usize>)> = Vec::new();
    for job in gone {
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
        _ => tasks.extend(reads(jobs, table, single, true)),
    }
    tasks
}

fn delete(jobs: &[Job], table: usize, gone: Vec<usize>, guard: impl Fn(&[usize]) -> RowGuard) -> Vec<Task> {
    keyed(jobs, gone).into_iter().map(|chunk| Task::new(table, Act::Delete(guard(&chunk)), chunk)).collect()
}

/// Reads of the rows of these jobs; `then_write`: those that are as the base says are written then.
pub(super) fn reads(jobs: &[Job], table: usize, wanted: Vec<usize>, then_write: bool) -> Vec<Task> {
    let length = |job: usize| filter_length(&jobs[job].key) * 2;
    let chunks = chunks(wanted, BULK_KEYS, LONGEST_FILTER, length, |_, _| true);
    chunks.into_iter().map(|chunk| Task::new(table, Act::Read(then_write), chunk)).collect()
}

/// Writes of rows that were just read and are as their base says.
pub(super) fn writes(jobs: &[Job], table: usize, ready: Vec<usize>, way: UpdateMode) -> Vec<Task> {
    let (changed, gone): (Vec<_>, Vec<_>) = ready.into_iter().partition(|job| jobs[*job].work == Work::Update);
    let unguarded = changed.iter().all(|job| jobs[*job].cursor.is_none());
    let mut tasks = match way {
        UpdateMode::Guarded if unguarded && changed.len() >= WORTH_A_BULK => upserts(jobs, table, changed),
        way => updates(jobs, table, changed, way),
    };
    tasks.extend(delete(jobs, table, gone, |chunk| any_cursor(jobs, chunk)));
    tasks
}

/// Any of the rows' cursors: one that was changed since has a newer one. Nothing, where one of them has none.
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

/// Jobs in parts whose keys, and cursors, one filter can name.
fn keyed(jobs: &[Job], all: Vec<usize>) -> Vec<Vec<usize>> {
    let length =
        |job: usize| filter_length(&jobs[job].key) + jobs[job].cursor.as_ref().map_or(0, |cursor| cursor.len() + 16);
    // A cursor that is NULL is guarded for itself alone.
    let null = |job: usize| jobs[job].cursor.as_deref() == Some("");
    let together =
        |first: usize, job: usize| same_prefix(&[&jobs[first].key, &jobs[job].key]) && null(first) == null(job);
    chunks(all, BULK_KEYS, LONGEST_FILTER, length, together)
}

/// Jobs in parts whose rows one body can have.
fn rows(jobs: &[Job], all: Vec<usize>, together: impl Fn(usize, usize) -> bool) -> Vec<Vec<usize>> {
    chunks(all, BULK_ROWS, BULK_BYTES, |job| jobs[job].row.iter().map(weight).sum(), together)
}

/// Cuts a list into parts of so many items at most, of so much weight if one item alone isn't heavier, and of items that go together.
fn chunks(
    items: Vec<usize>,
    most: usize,
    heaviest: usize,
    weight: impl Fn(usize) -> usize,
    together: impl Fn(usize, usize) -> bool,
) -> Vec<Vec<usize>> {
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let mut heavy = 0;
    for item in items {
        let own = weight(item);
        match parts.last_mut() {
            Some(part) if part.len() < most && heavy + own <= heaviest && together(part[0], item) => part.push(item),
            _ => {
                parts.push(vec![item]);
                heavy = 0;
            }
        }
        heavy += own;
    }
    parts
}

/// What an update writes, as text that tells values and their types apart.
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

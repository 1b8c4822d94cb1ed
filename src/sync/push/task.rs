//! A request of a push, and how the updates of a table are sent.

use crate::sync::{jobs::job::RowGuard, postgrest::remote::Tries};

/// How the updates of a table are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum UpdateMode {
    /// Without looking.
    Blind,
    /// Where the row is as its base says: told by the cursor, or read before.
    Guarded,
    /// By the helpers' function.
    Together,
}

/// What a request does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    Insert,
    /// Write a row that is marked as deleted, and take the mark away.
    Revive,
    Update(RowGuard),
    /// Rows that were just read, of a table without a guard: what differs from row to row in one request.
    Upsert,
    /// Updates by the helpers' function.
    Together,
    Delete(RowGuard),
    /// Read the rows; `true`: those that are as the base says are written then.
    Read(bool),
}

/// One request: what it does, and for which jobs of the batch.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) table: usize,
    pub(super) act: Act,
    pub(super) jobs: Vec<usize>,
    /// Of a part of what was tried before: how often it may still fail.
    pub(super) tries: Option<Tries>,
    /// It was sent before, and it isn't known whether it arrived.
    pub(super) again: bool,
    /// How often it is a part of what was sent together.
    pub(super) cuts: u32,
    /// Such a request has failed though the table can be read: it is about its rows.
    pub(super) suspect: bool,
}

impl Task {
    pub(super) fn new(table: usize, act: Act, jobs: Vec<usize>) -> Self {
        Self { table, act, jobs, tries: None, again: false, cuts: 0, suspect: false }
    }

    /// The same for these jobs.
    pub(super) fn part(&self, jobs: &[usize]) -> Self {
        Self { jobs: jobs.to_vec(), ..self.clone() }
    }
}

//! A request of a push, and the ways to send updates.

use crate::sync::{jobs::job::RowGuard, postgrest::remote::Tries};

/// How the updates of a table are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum UpdateMode {
    /// Without a comparison, since the table can't be read.
    WriteOnly,
    /// Only if the row still equals its base: guarded by the cursor, or read before.
    Guarded,
    /// By the helpers' function.
    Function,
}

/// The operation of a request.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Act {
    Insert,
    /// Writes a row that is marked as deleted, and removes the mark.
    Revive {
        /// Whether columns that are NULL are sent, too.
        nulls: bool,
    },
    Update(RowGuard),
    /// Updates rows of a table without a cursor that were just read, each to its own values.
    Upsert,
    /// Updates rows by the helpers' function, in one transaction.
    Function {
        /// Whether it checks deferrable constraints after the last row.
        deferred: bool,
    },
    Delete(RowGuard),
    /// Reads the rows.
    Read(ReadPurpose),
}

/// Why rows are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ReadPurpose {
    /// Their changes are reconciled with them.
    Reconcile,
    /// Those that equal their base are written afterwards.
    Write,
    /// The remote stored some rows of an insert under keys that weren't sent: those that are missing now.
    FindInserted,
}

/// One request: its operation, and its jobs in the batch.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) table: usize,
    pub(super) act: Act,
    pub(super) jobs: Vec<usize>,
    /// The remaining retry budget, for a part of an earlier request.
    pub(super) tries: Option<Tries>,
    /// How often a call of the helpers' function was split to get this part.
    pub(super) cuts: u32,
    /// A larger request failed although the table can be read, so one of its rows is the reason.
    pub(super) suspect: bool,
}

impl Task {
    pub(super) fn new(table: usize, act: Act, jobs: Vec<usize>) -> Self {
        Self { table, act, jobs, tries: None, cuts: 0, suspect: false }
    }

    /// Returns the same request for these jobs.
    pub(super) fn part(&self, jobs: &[usize]) -> Self {
        Self { jobs: jobs.to_vec(), ..self.clone() }
    }
}

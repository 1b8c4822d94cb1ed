//! What a pull is told, and what it answers.

use super::{
    plan::{Plan, Rows},
    state::Progress,
};
use crate::{
    error::Result,
    ports::{HttpFailure, HttpRequest, HttpResponse},
    time::Timestamp,
};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// The pull begins.
    Start,
    /// The answer to an [`Instruction::Send`].
    Answer {
        /// The request's number.
        lane: usize,
        /// The answer, or why there is none.
        answer: Result<HttpResponse, HttpFailure>,
        /// The present moment.
        now: Timestamp,
        /// Milliseconds from sending to the answer.
        elapsed_ms: u64,
        /// A random number from 0 to 1, for the waits.
        chance: f64,
    },
    /// The wait of an [`Instruction::Wait`] is over.
    Waited(usize),
    /// What the last [`Instruction::RefreshToken`] brought.
    Token(Option<String>),
    /// The page of an [`Instruction::Apply`] was applied.
    Applied,
}

/// What to do next.
#[derive(Debug)]
pub enum Instruction {
    /// Send this request; the number tells its answer from those of others that are under way.
    Send(usize, HttpRequest),
    /// Wait for so many milliseconds, in the place of the request of that number.
    Wait(usize, u64),
    /// Ask for a fresh token.
    RefreshToken,
    /// Apply this page, after those before it, and store the progress in the same transaction.
    Apply(Box<Page>),
    /// Everything was read.
    Finish,
}

/// One page to apply.
#[derive(Debug)]
pub struct Page {
    /// The table's index in the pull.
    pub table: usize,
    /// The rows.
    pub rows: Rows,
    /// Whether the rows' keys are part of a complete list of what the remote has.
    pub lists_keys: bool,
    /// What to store about the table, if it changed.
    pub progress: Option<Progress>,
    /// Whether the table's rows were all read with this page.
    pub complete: bool,
    /// What is read from now on, where the remote turned out to lack columns.
    pub plan: Option<Plan>,
    /// The columns that the remote lacks, where that is known with this page.
    pub missing: Option<Vec<String>>,
    /// Whether the table went on where an earlier pull was cut.
    pub resumed: bool,
    /// Bytes of the body.
    pub bytes: u64,
    /// Rows that the whole pass will bring, where the remote told.
    pub total: Option<u64>,
}

/// One table of a pull.
#[derive(Clone, Debug)]
pub struct Source {
    /// What is read.
    pub plan: Plan,
    /// How far it was read.
    pub progress: Progress,
    /// Columns that the remote lacks.
    pub missing: Vec<String>,
}

/// How a pull reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reading {
    /// Everything, whatever was read before.
    pub full: bool,
    /// Ask how many rows there are: the remote has to count them.
    pub count: bool,
    /// Whether keys are compared at the end (not in a replace, which compares rows).
    pub compare: bool,
    /// Nothing but the keys of all tables.
    pub keys_only: bool,
}

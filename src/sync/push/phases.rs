//! The phases of a push: which changes are sent before which others, and what follows when all were sent once.

use crate::sync::jobs::job::JobKind;

/// Jobs that are sent before those of the next phase.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Their kind.
    pub kind: JobKind,
    /// The indexes of their tables.
    pub tables: Vec<usize>,
}

/// Returns the phases of one pass over the pending changes of so many tables, which are numbered with parents first.
///
/// A row is inserted after the rows that it refers to, and deleted before them. Updates come in between: they may refer
/// to inserted rows, or release rows that are deleted next.
pub fn phases(tables: usize) -> Vec<Phase> {
    let all = |kind| Phase { kind, tables: (0..tables).collect() };
    let one = |kind| move |table| Phase { kind, tables: vec![table] };
    let mut phases = vec![all(JobKind::Read)];
    phases.extend((0..tables).map(one(JobKind::Insert)));
    phases.push(all(JobKind::Update));
    phases.extend((0..tables).rev().map(one(JobKind::Delete)));
    phases
}

/// The result of one pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PassResult {
    /// Whether the remote refused changes that may succeed later in this push.
    pub refused: bool,
    /// Whether a change must be sent again, with another base.
    pub resend: bool,
    /// Whether an outcome made progress.
    pub progressed: bool,
    /// How often refused changes were sent again in this push.
    pub retries: u32,
    /// Whether breaking the cycles among the refused changes was tried.
    pub tried_cycles: bool,
    /// Whether another call has joined the push.
    pub joined: bool,
}

/// What follows a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextStep {
    /// Everything was sent.
    Finish,
    /// The next pass also sends the changes made since the push began: a call that has joined expects them.
    Extend,
    /// The next pass sends what is pending.
    Repeat,
    /// The next pass also sends the refused changes again, since their prerequisite may have arrived.
    RetryRefused,
    /// Break the cycles among the refused changes, then decide again.
    BreakCycles,
    /// Leave the refused changes to the next push.
    Postpone,
    /// Reject the refused changes: nothing that could help them is left.
    Reject,
}

/// How often refused changes are sent again in one push. Each time costs up to two requests a change, so a remote that
/// accepts one of many each time would keep a push going for hours.
const MOST_RETRIES: u32 = 20;

impl PassResult {
    /// Returns what follows.
    pub fn next(&self) -> NextStep {
        match self {
            Self { refused: false, resend: true, .. } => NextStep::Repeat,
            Self { refused: false, joined: true, .. } => NextStep::Extend,
            Self { refused: false, .. } => NextStep::Finish,
            Self { progressed: true, retries: MOST_RETRIES.., .. } => NextStep::Postpone,
            Self { progressed: true, .. } => NextStep::RetryRefused,
            _ if !self.tried_cycles => NextStep::BreakCycles,
            _ => NextStep::Reject,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MOST_RETRIES, NextStep, PassResult, phases};

    #[test]
    fn parents_are_inserted_first_and_deleted_last() {
        let show = |tables| {
            let phases = phases(tables);
            let shown = phases.iter().map(|phase| format!("{:?} {:?}", phase.kind, phase.tables));
            shown.collect::<Vec<_>>().join(", ")
        };
        assert_eq!(show(1), "Read [0], Insert [0], Update [0], Delete [0]");
        assert_eq!(
            show(3),
            "Read [0, 1, 2], Insert [0], Insert [1], Insert [2], Update [0, 1, 2], Delete [2], Delete [1], Delete [0]"
        );
    }

    #[test]
    fn a_pass_is_followed_by_what_may_still_succeed() {
        let next = |flags: &str| {
            let is = |name| flags.split(' ').any(|flag| flag == name);
            let result = PassResult {
                refused: is("refused"),
                resend: is("resend"),
                progressed: is("progressed"),
                retries: if is("exhausted") { MOST_RETRIES } else { 0 },
                tried_cycles: is("tried_cycles"),
                joined: is("joined"),
            };
            result.next()
        };
        for (flags, expected) in [
            ("", NextStep::Finish),
            ("progressed", NextStep::Finish),
            ("joined", NextStep::Extend),
            ("resend", NextStep::Repeat),
            ("resend joined", NextStep::Repeat),
            ("refused progressed", NextStep::RetryRefused),
            ("refused progressed resend joined", NextStep::RetryRefused),
            ("refused progressed exhausted", NextStep::Postpone),
            ("refused exhausted", NextStep::BreakCycles),
            ("exhausted joined", NextStep::Extend),
            ("refused", NextStep::BreakCycles),
            ("refused resend", NextStep::BreakCycles),
            ("refused tried_cycles progressed", NextStep::RetryRefused),
            ("refused tried_cycles", NextStep::Reject),
            ("refused tried_cycles joined", NextStep::Reject),
        ] {
            assert_eq!(next(flags), expected, "{flags}");
        }
    }
}

//! Decides what becomes of a local change when the remote's row is seen: one pure rule for pull and push.
//!
//! Whatever the decision, the change that remains follows from the two rows alone: see [`change_left`].

use super::own_write::ConflictInput;
use crate::{
    sync::{
        config::options::ConflictPolicy,
        outbox::change::ChangeOp,
        values::{
            meaning::{point_in_time, same_meaning},
            types::WireKind,
        },
    },
    value::Value,
};

const CHANGED_AND_DELETED: &str = "The row was changed remotely and deleted here";

/// The decision about a change.
#[derive(Clone, Debug, PartialEq)]
pub enum Resolution {
    /// The remote's row is still the base: nothing to do.
    Unchanged,
    /// The local row becomes this one, and the remote's row becomes the base.
    Row {
        /// The new local row; `None` when there is to be none.
        row: Option<Vec<Value>>,
        /// Whether both sides had changed it.
        conflict: bool,
    },
    /// A function of the user decides.
    Ask,
    /// The change is rejected for this reason, and the user has to decide.
    Reject(&'static str),
}

/// Resolves a conflict by the policy. `later` returns whether the local change was made after the remote's; it is
/// called only where that matters.
pub fn resolve(input: &ConflictInput<'_>, policy: ConflictPolicy, later: impl FnOnce() -> bool) -> Resolution {
    let owned = |row: &[Value]| Some(row.to_vec());
    let decided = |row: Option<Vec<Value>>| Resolution::Row { row, conflict: true };
    if let Some((sent, row)) = input.own_write() {
        let met = input.met(sent);
        // What a server sets in a new row, or beside an update, looks like what another client wrote soon after.
        let may_be_ours = input.is_at_the_time(sent);
        return match (policy, &row) {
            _ if met.is_empty() => Resolution::Row { row, conflict: false },
            (ConflictPolicy::Function, _) => Resolution::Ask,
            (ConflictPolicy::RemoteWins, Some(row)) if sent.op == ChangeOp::Update || !may_be_ours => {
                decided(Some(input.with_remote(row, &met)))
            }
            (ConflictPolicy::LastWriteWins, Some(row)) if !later() => decided(Some(input.with_remote(row, &met))),
            (ConflictPolicy::RemoteWins, None) if !may_be_ours => decided(input.remote.and_then(owned)),
            (_, None) if !may_be_ours => Resolution::Reject(CHANGED_AND_DELETED),
            _ => decided(row),
        };
    }
    let resolved = |row: Option<&[Value]>| Resolution::Row { row: row.map(<[Value]>::to_vec), conflict: false };
    match (input.base, input.local, input.remote) {
        // A deletion that was reported was that of an earlier row with this key, unless this one may have arrived.
        (None, Some(_), None) if !input.deletion_reported || !input.may_have_arrived() => Resolution::Unchanged,
        (None, None, None) => resolved(None),
        // A new row that was deleted again; the remote has another row.
        (None, None, Some(remote)) => input.altered_write(false).map_or_else(|| resolved(Some(remote)), decided),
        (None, Some(local), Some(remote)) => {
            let same = |at: usize| {
                local[at].is_null()
                    || input.cursor == Some(at)
                    || same_meaning(input.kinds[at], &local[at], &remote[at])
            };
            if (0..local.len()).all(same) {
                return resolved(Some(remote));
            }
            match (policy, input.altered_write(false)) {
                (ConflictPolicy::Function, _) => Resolution::Ask,
                (_, Some(row)) => decided(row),
                (ConflictPolicy::RemoteWins, _) => decided(owned(remote)),
                _ => Resolution::Reject("The remote has another row with this key"),
            }
        }
        (Some(_), None, None) => resolved(None),
        // For a new row: the remote has a row with this key that is marked as deleted.
        (_, Some(_), None) => match policy {
            ConflictPolicy::RemoteWins if input.deletion_reported => decided(None),
            ConflictPolicy::Function => Resolution::Ask,
            _ if input.deletion_reported => Resolution::Reject("The row was deleted remotely"),
            _ => Resolution::Reject("The remote shows no such row: it was deleted there, or row security hides it"),
        },
        (Some(base), _, Some(remote)) if !differs(base, remote, input.kinds) => Resolution::Unchanged,
        // Only the cursor grew: nothing was changed there that the deletion would lose. After a deletion that may have arrived, it is
        // a new row with the same values.
        (Some(base), None, Some(remote))
            if !differs_beside(base, remote, input.kinds, input.cursor) && !input.may_have_deleted() =>
        {
            resolved(None)
        }
        (Some(_), None, Some(remote)) => match (policy, input.altered_write(false)) {
            (ConflictPolicy::Function, _) => Resolution::Ask,
            (_, Some(row)) => decided(row),
            (ConflictPolicy::RemoteWins, _) => decided(owned(remote)),
            _ => Resolution::Reject(CHANGED_AND_DELETED),
        },
        (Some(base), Some(local), Some(remote)) => {
            // A column that was added after the change: any value in it was written locally. What may have arrived was a change, too, also
            // where it was undone since.
            let changed = |at: usize| {
                input.cursor != Some(at)
                    && (base[at].as_ref().map_or(!local[at].is_null(), |base| *base != local[at])
                        || input.may_have_sent(at, &local[at]))
            };
            let moved =
                |at: usize| base[at].as_ref().is_some_and(|base| !same_meaning(input.kinds[at], base, &remote[at]));
            let same = |at: usize| same_meaning(input.kinds[at], &local[at], &remote[at]);
            let columns = 0..local.len();
            if columns.clone().all(|at| !changed(at) || same(at)) {
                return resolved(Some(remote));
            }
            let merged =
                || columns.clone().map(|at| if changed(at) { &local[at] } else { &remote[at] }).cloned().collect();
            let met = |at: &usize| changed(*at) && moved(*at) && !same(*at);
            let overlap = columns.clone().any(|at| met(&at));
            match policy {
                ConflictPolicy::Function => Resolution::Ask,
                _ if !overlap => decided(Some(merged())),
                ConflictPolicy::KeepLocal => decided(Some(merged())),
                ConflictPolicy::LastWriteWins if later() => decided(Some(merged())),
                ConflictPolicy::LastWriteWins | ConflictPolicy::RemoteWins => {
                    decided(input.altered_write(true).unwrap_or_else(|| owned(remote)))
                }
            }
        }
    }
}

/// Returns a base for a local row that lacks the remote's values: only the columns that are `kept`, as decided, may differ
/// from it, so the missing values are no changes.
pub fn base_without(local: &[Value], remote: &[Value], kept: impl Fn(usize) -> bool) -> Vec<Value> {
    (0..local.len()).map(|at| if kept(at) { &remote[at] } else { &local[at] }).cloned().collect()
}

/// Returns whether the row differs from the base in a column that both have, in more than the way in which it is written.
pub fn differs(base: &[Option<Value>], row: &[Value], kinds: &[WireKind]) -> bool {
    differs_beside(base, row, kinds, None)
}

/// The same for all columns but one.
fn differs_beside(base: &[Option<Value>], row: &[Value], kinds: &[WireKind], but: Option<usize>) -> bool {
    let columns = base.iter().zip(row).zip(kinds).enumerate();
    let mut columns = columns.filter(|(at, _)| but != Some(*at));
    columns.any(|(_, ((base, value), kind))| base.as_ref().is_some_and(|base| !same_meaning(*kind, base, value)))
}

/// Returns what is left to push when the remote has one row and the local table the other; `None` for nothing.
pub fn change_left(local: Option<&[Value]>, remote: Option<&[Value]>) -> Option<ChangeOp> {
    match (local, remote) {
        (Some(local), Some(remote)) => (local != remote).then_some(ChangeOp::Update),
        (Some(_), None) => Some(ChangeOp::Insert),
        (None, Some(_)) => Some(ChangeOp::Delete),
        (None, None) => None,
    }
}

/// Returns whether a change was made after another, given the cursor values of both. Compares numbers as numbers, times as
/// points in time, and a time with the number of a time; a value that can't be compared isn't later.
pub fn is_later(local: &str, remote: &str) -> bool {
    let number = |text: &str| text.parse::<i64>().ok();
    match (point_in_time(local), point_in_time(remote)) {
        (Some(local), Some(remote)) => local > remote,
        (Some((local, _)), None) => number(remote).and_then(ms_of).is_some_and(|remote| local > remote),
        _ => number(local) > number(remote) && number(remote).is_some(),
    }
}

/// Returns the milliseconds of a time from 2001 to 2286 that is in seconds, milliseconds or microseconds since 1970; `None` for
/// other numbers, such as those of a sequence.
fn ms_of(time: i64) -> Option<i64> {
    match time {
        1_000_000_000..10_000_000_000 => Some(time * 1000),
        1_000_000_000_000..10_000_000_000_000 => Some(time),
        1_000_000_000_000_000..10_000_000_000_000_000 => Some(time / 1000),
        _ => None,
    }
}

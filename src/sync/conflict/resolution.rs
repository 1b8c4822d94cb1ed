//! Decides what becomes of a local change when the remote's row is seen: one pure rule for pull and push.
//!
//! Whatever the decision, the change that remains follows from the two rows alone: see [`change_left`].

use crate::{
    sync::{
        config::options::ConflictPolicy,
        outbox::change::ChangeOp,
        values::{
            meaning::{point_in_time, same_meaning, stored_as},
            types::WireKind,
        },
    },
    time::Timestamp,
    value::Value,
};

/// The error in what is known of the server's clock, in milliseconds: its `Date` header has whole seconds.
const CLOCK_ERROR_MS: i64 = 2_000;

/// For how long after it was sent the server may execute a request, in milliseconds; few take longer.
const EXECUTION_MS: i64 = 30_000;

/// What a push sent, while it is unknown whether it arrived.
#[derive(Clone, Debug, PartialEq)]
pub struct Sent {
    /// The operation that was sent.
    pub op: ChangeOp,
    /// The row as it was sent; `None` for columns that didn't exist then. Empty for a delete.
    pub row: Vec<Option<Value>>,
    /// When it was first sent, by the server's clock; `None` where that isn't known.
    pub at: Option<Timestamp>,
}

/// Everything that is known about one key. Rows have one value per synced column.
pub struct ConflictInput<'a> {
    /// The row before the local change; `None` when the remote had none. Columns that didn't exist then are `None`.
    pub base: Option<&'a [Option<Value>]>,
    /// What pushes sent of the change, each of which may have arrived.
    pub sent: &'a [Sent],
    /// The local row.
    pub local: Option<&'a [Value]>,
    /// The remote's row.
    pub remote: Option<&'a [Value]>,
    /// Whether the remote reported the row as deleted; otherwise it only didn't send the row.
    pub deletion_reported: bool,
    /// The columns' kinds.
    pub kinds: &'a [WireKind],
    /// The indexes of the columns in which different rows often have the same values: keys and references.
    pub alike: &'a [usize],
    /// The index of the cursor column.
    pub cursor: Option<usize>,
    /// When the remote's row was last written, if its cursor is a time and not that of the base.
    pub written: Option<Timestamp>,
}

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
    if let Some(row) = input.own_write() {
        return Resolution::Row { row, conflict: false };
    }
    let owned = |row: &[Value]| Some(row.to_vec());
    let resolved = |row: Option<&[Value]>| Resolution::Row { row: row.map(<[Value]>::to_vec), conflict: false };
    let decided = |row: Option<Vec<Value>>| Resolution::Row { row, conflict: true };
    match (input.base, input.local, input.remote) {
        (None, Some(_), None) if !input.deletion_reported => Resolution::Unchanged,
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
        // Only the cursor grew: nothing was changed there that the deletion would lose.
        (Some(base), None, Some(remote)) if !differs_beside(base, remote, input.kinds, input.cursor) => resolved(None),
        (Some(_), None, Some(remote)) => match (policy, input.altered_write(false)) {
            (ConflictPolicy::Function, _) => Resolution::Ask,
            (_, Some(row)) => decided(row),
            (ConflictPolicy::RemoteWins, _) => decided(owned(remote)),
            _ => Resolution::Reject("The row was changed remotely and deleted here"),
        },
        (Some(base), Some(local), Some(remote)) => {
            // A column that was added after the change: any value in it was written locally.
            let changed = |at: usize| {
                input.cursor != Some(at) && base[at].as_ref().map_or(!local[at].is_null(), |base| *base != local[at])
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

impl ConflictInput<'_> {
    /// Returns the local row once it is clear that the remote has what was sent; `None` while it isn't. Columns that
    /// were changed after sending stay, the others are the remote's.
    pub fn own_write(&self) -> Option<Option<Vec<Value>>> {
        self.sent.iter().find_map(|sent| match (sent.op, self.remote) {
            (ChangeOp::Delete, None) => Some(self.local.map(<[Value]>::to_vec)),
            (ChangeOp::Insert | ChangeOp::Update, Some(remote)) if self.shows(sent, remote) => {
                Some(self.local.map(|local| after_own_write(sent, local, remote)))
            }
            _ => None,
        })
    }

    /// Returns the local row if the remote's row seems to be what the server made of what was sent: a trigger, or a
    /// column's type, changed values of it. Another client may have written that row all the same, so this is a conflict.
    /// Columns that were changed after sending stay. So do those in which the remote still has the base's value, which are
    /// sent again: no client has changed them. `by_time`: for an update, the time at which the row was written is enough.
    fn altered_write(&self, by_time: bool) -> Option<Option<Vec<Value>>> {
        let remote = self.remote?;
        let sent = self.sent.iter().find(|sent| self.shows_altered(sent, remote, by_time))?;
        Some(self.local.map(|local| {
            let mut row = after_own_write(sent, local, remote);
            for at in (0..row.len()).filter(|at| self.sent_value(sent, *at).is_some() && self.is_base(remote, *at)) {
                row[at].clone_from(&local[at]);
            }
            row
        }))
    }

    /// Returns the value that was sent of a column; `None` where nothing was that could show whether it arrived.
    fn sent_value<'s>(&self, sent: &'s Sent, at: usize) -> Option<&'s Value> {
        let value = sent.row.get(at)?.as_ref()?;
        let matters = match (sent.op, self.base.map(|base| &base[at])) {
            (ChangeOp::Update, Some(base)) => base.as_ref().is_some_and(|base| base != value),
            _ => !value.is_null(),
        };
        matters.then_some(value)
    }

    /// Returns whether the remote may have stored this value of a column as its own.
    fn is_as_sent(&self, at: usize, value: &Value, remote: &[Value]) -> bool {
        stored_as(self.kinds[at], value, &remote[at])
    }

    /// Returns whether the remote still has the base's value of a column.
    fn is_base(&self, remote: &[Value], at: usize) -> bool {
        let base = self.base.and_then(|base| base[at].as_ref());
        base.is_some_and(|base| same_meaning(self.kinds[at], base, &remote[at]))
    }

    /// Returns whether a remote row has what was sent.
    fn shows(&self, sent: &Sent, remote: &[Value]) -> bool {
        let mut columns = (0..sent.row.len())
            .filter(|at| self.cursor != Some(*at))
            .filter_map(|at| Some((at, self.sent_value(sent, at)?)))
            .peekable();
        columns.peek().is_some() && columns.all(|(at, value)| self.is_as_sent(at, value, remote))
    }

    /// Returns whether a remote row may be what the server made of what was sent: at least half of the columns have the
    /// values that were sent. If the row was written while the server may have executed the request, one of a new row's
    /// columns is enough, and by `by_time` an update needs none; if it was written before, nothing is.
    fn shows_altered(&self, sent: &Sent, remote: &[Value], by_time: bool) -> bool {
        let Some(sent_at) = sent.at.filter(|_| sent.op != ChangeOp::Delete) else { return false };
        let after_ms = self.written.map(|written| written.since(sent_at));
        if after_ms.is_some_and(|ms| ms < -CLOCK_ERROR_MS) {
            return false;
        }
        let is_at_the_time = after_ms.is_some_and(|ms| ms <= EXECUTION_MS);
        // The base's value shows neither that it was taken nor that it was altered.
        let counts = |at: &usize| self.cursor != Some(*at) && !self.alike.contains(at) && !self.is_base(remote, *at);
        let columns = (0..sent.row.len()).filter(counts);
        let (mut all, mut as_sent) = (0, 0);
        let values = columns.filter_map(|at| Some((at, self.sent_value(sent, at)?)));
        // Different rows often have the same flags, too.
        for (at, value) in values.filter(|(_, value)| !matches!(value, Value::Integer(0 | 1))) {
            all += 1;
            as_sent += usize::from(self.is_as_sent(at, value, remote));
        }
        match is_at_the_time {
            true => as_sent > 0 || by_time && sent.op == ChangeOp::Update,
            false => as_sent > 0 && 2 * as_sent >= all,
        }
    }
}

/// Returns the local row after the remote took what was sent: columns that were changed since stay.
pub fn after_own_write(sent: &Sent, local: &[Value], remote: &[Value]) -> Vec<Value> {
    let since = |at: usize| match sent.row.get(at).and_then(Option::as_ref) {
        Some(sent) => *sent != local[at],
        None => !local[at].is_null(),
    };
    (0..local.len()).map(|at| if since(at) { &local[at] } else { &remote[at] }).cloned().collect()
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

/// Returns whether a change was made after another, given the cursor values of both. Compares numbers as numbers and
/// times as points in time; a value that can't be compared isn't later.
pub fn is_later(local: &str, remote: &str) -> bool {
    match (point_in_time(local), point_in_time(remote)) {
        (Some(local), Some(remote)) => local > remote,
        _ => match (local.parse::<i64>(), remote.parse::<i64>()) {
            (Ok(local), Ok(remote)) => local > remote,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A row of (name, price, updated_at), written `a b c`; `-` is no row, `0` is NULL.
    fn row(text: &str) -> Option<Vec<Value>> {
        (text != "-")
            .then(|| text.split(' ').map(|word| if word == "0" { Value::Null } else { Value::from(word) }).collect())
    }

    fn decide(
        base: &str,
        local: &str,
        remote: &str,
        sent: &[(ChangeOp, &str)],
        policy: ConflictPolicy,
        later: bool,
    ) -> String {
        let known = |text: &str| row(text).map(|row| row.into_iter().map(Some).collect::<Vec<_>>());
        let (base, local, remote) = (known(base), row(local), row(remote));
        let sent: Vec<Sent> =
            sent.iter().map(|(op, row)| Sent { op: *op, row: known(row).unwrap_or_default(), at: None }).collect();
        let input = ConflictInput {
            base: base.as_deref(),
            sent: &sent,
            local: local.as_deref(),
            remote: remote.as_deref(),
            deletion_reported: true,
            kinds: &[WireKind::Text, WireKind::Text, WireKind::Text],
            alike: &[],
            cursor: Some(2),
            written: None,
        };
        show(resolve(&input, policy, || later))
    }

    fn show(resolution: Resolution) -> String {
        match resolution {
            Resolution::Unchanged => "unchanged".to_owned(),
            Resolution::Ask => "ask".to_owned(),
            Resolution::Reject(_) => "reject".to_owned(),
            Resolution::Row { row, conflict } => {
                let cell = |value: &Value| value.as_text().unwrap_or("0").to_owned();
                let row = row.map_or("-".to_owned(), |row| row.iter().map(cell).collect::<Vec<_>>().join(" "));
                if conflict { format!("conflict {row}") } else { row }
            }
        }
    }

    #[test]
    fn each_policy_decides_as_it_says() {
        use ConflictPolicy::{Function, KeepLocal, LastWriteWins, RemoteWins};
        let all =
            [(KeepLocal, false), (RemoteWins, false), (LastWriteWins, true), (LastWriteWins, false), (Function, false)];
        for (base, local, remote, expected) in [
            ("a 1 t1", "b 1 t1", "a 1 t1", ["unchanged"; 5]),
            // The same column on both sides.
            (
                "a 1 t1",
                "b 1 t1",
                "c 2 t2",
                ["conflict b 2 t2", "conflict c 2 t2", "conflict b 2 t2", "conflict c 2 t2", "ask"],
            ),
            // Different columns: neither side loses.
            (
                "a 1 t1",
                "b 1 t1",
                "a 2 t2",
                ["conflict b 2 t2", "conflict b 2 t2", "conflict b 2 t2", "conflict b 2 t2", "ask"],
            ),
            // Both wrote the cursor: that alone is no conflict.
            (
                "a 1 t1",
                "b 1 t9",
                "a 2 t2",
                ["conflict b 2 t2", "conflict b 2 t2", "conflict b 2 t2", "conflict b 2 t2", "ask"],
            ),
            // The same change on both sides.
            ("a 1 t1", "b 1 t1", "b 2 t2", ["b 2 t2"; 5]),
            // Deleted on one side.
            ("a 1 t1", "b 1 t1", "-", ["reject", "conflict -", "reject", "reject", "ask"]),
            ("a 1 t1", "-", "a 2 t2", ["reject", "conflict a 2 t2", "reject", "reject", "ask"]),
            ("a 1 t1", "-", "-", ["-"; 5]),
            ("a 1 t1", "-", "a 1 t1", ["unchanged"; 5]),
            // Only the cursor grew there.
            ("a 1 t1", "-", "a 1 t2", ["-"; 5]),
            // A new key on both sides; NULL is what the server may fill.
            ("-", "a 1 0", "b 1 t1", ["reject", "conflict b 1 t1", "reject", "reject", "ask"]),
            ("-", "a 1 0", "a 1 t1", ["a 1 t1"; 5]),
            ("-", "a 1 0", "-", ["reject", "conflict -", "reject", "reject", "ask"]),
        ] {
            let said = all.map(|(policy, later)| decide(base, local, remote, &[], policy, later));
            assert_eq!(said, expected, "{base} / {local} / {remote}");
        }
    }

    #[test]
    fn what_was_sent_is_recognized() {
        use ChangeOp::{Delete, Insert, Update};
        for (base, local, remote, sent, expected) in [
            // The answer was lost; the row is as it was sent, ...
            ("-", "a 1 0", "a 1 t1", (Insert, "a 1 0"), "a 1 t1"),
            ("a 1 t1", "b 1 t1", "b 1 t2", (Update, "b 1 t1"), "b 1 t2"),
            // ... or was changed since, or deleted, ...
            ("-", "b 1 0", "a 1 t1", (Insert, "a 1 0"), "b 1 t1"),
            ("a 1 t1", "c 1 t1", "b 1 t2", (Update, "b 1 t1"), "c 1 t2"),
            ("a 1 t1", "a 1 t1", "b 1 t2", (Update, "b 1 t1"), "a 1 t2"),
            ("-", "-", "a 1 t1", (Insert, "a 1 0"), "-"),
            ("a 1 t1", "-", "b 1 t2", (Update, "b 1 t1"), "-"),
            // ... or made again after its deletion was sent.
            ("a 1 t1", "a 1 t1", "-", (Delete, "-"), "a 1 t1"),
            ("a 1 t1", "-", "-", (Delete, "-"), "-"),
            // It never arrived.
            ("a 1 t1", "b 1 t1", "a 1 t1", (Update, "b 1 t1"), "unchanged"),
            ("a 1 t1", "c 1 t1", "x 1 t2", (Update, "b 1 t1"), "conflict x 1 t2"),
        ] {
            assert_eq!(
                decide(base, local, remote, &[(Update, "z 9 t9"), sent], ConflictPolicy::RemoteWins, false),
                expected,
                "{base}/{local}/{remote}"
            );
        }
    }

    #[test]
    fn a_write_that_the_server_altered_is_recognized() {
        use ChangeOp::{Insert, Update};
        use ConflictPolicy::{Function, KeepLocal, RemoteWins};
        const LATE: i64 = 60_000;
        for (op, base, sent, local, remote, after_ms, expected) in [
            // Half of it is as it was sent; what was edited since stays.
            (Update, "k a b t1", "k A B t1", "k C B t1", "k A B! t2", LATE, ["C B!", "C B"]),
            (Update, "k a b t1", "k A B t1", "k A B t1", "k A B! t2", LATE, ["A B!", "A B"]),
            (Update, "k a b t1", "k A B t1", "-", "k A B! t2", LATE, ["-", "-"]),
            (Insert, "-", "k A B 0", "k C B 0", "k A B! t2", LATE, ["C B!", "C B!"]),
            (Insert, "-", "k A B 0", "-", "k A B! t2", LATE, ["-", "-"]),
            (Insert, "-", "k A B 0", "k C B 0", "k A B! t2", 100, ["C B!", "C B!"]),
            // The server keeps the old value.
            (Update, "k a x t1", "k A B t1", "k C B t1", "k A x t2", LATE, ["C B", "C B"]),
            // Written before it was sent, or nothing is as it was sent.
            (Update, "k a b t1", "k A B t1", "k C B t1", "k A X t2", -5_000, ["A X", "C B"]),
            (Update, "k a b t1", "k a B t1", "k a C t1", "k a X t2", LATE, ["a X", "a C"]),
            (Insert, "-", "k A B 0", "k A B 0", "k X Y t2", 100, ["X Y", "reject"]),
            // Only the time shows it.
            (Update, "k a b t1", "k a B t1", "k a C t1", "k a B! t2", 100, ["a C", "a C"]),
            (Update, "k a b t1", "k a B t1", "-", "k a B! t2", 100, ["a B!", "reject"]),
        ] {
            let known = |text: &str| row(text).map(|row| row.into_iter().map(Some).collect::<Vec<_>>());
            let (sent, base, local, remote) = (known(sent).unwrap(), known(base), row(local), row(remote));
            let sent_at = Timestamp(1_000_000);
            let asked = if op == Insert && local.is_none() { "-" } else { "ask" };
            let said = [RemoteWins, KeepLocal, Function].map(|policy| {
                let input = ConflictInput {
                    base: base.as_deref(),
                    sent: &[Sent { op, row: sent.clone(), at: Some(sent_at) }],
                    local: local.as_deref(),
                    remote: remote.as_deref(),
                    deletion_reported: true,
                    kinds: &[WireKind::Text; 4],
                    alike: &[0],
                    cursor: Some(3),
                    written: Some(sent_at.plus_ms(after_ms)),
                };
                show(resolve(&input, policy, || false))
            });
            let shown = |text: &str| match text.strip_prefix("conflict ") {
                Some(row) => row.trim_start_matches("k ").rsplit_once(' ').map_or(row, |(row, _)| row).to_owned(),
                None => text.to_owned(),
            };
            assert_eq!(
                said.map(|text| shown(&text)),
                [expected[0], expected[1], asked],
                "{base:?} {local:?} {remote:?}"
            );
        }
    }

    #[test]
    fn cursors_are_compared_as_what_they_are() {
        for (local, remote, later) in [
            ("2026-01-01T00:00:00.000002Z", "2026-01-01T00:00:00.000001+00:00", true),
            ("2026-01-01T02:00:00+02:00", "2026-01-01T00:00:00+00:00", false),
            ("10", "9", true),
            ("9", "10", false),
            ("", "2026-01-01T00:00:00Z", false),
        ] {
            assert_eq!(is_later(local, remote), later, "{local} {remote}");
        }
    }
}

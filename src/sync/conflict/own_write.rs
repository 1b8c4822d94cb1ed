//! What is known of a key with a local change. Recognizes, in the remote's row, what was sent of it and whose answer was lost.

use crate::{
    sync::{
        outbox::change::ChangeOp,
        values::{
            meaning::{same_meaning, stored_as},
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
    /// When it was first sent, by the server's clock; `None` once the remote has answered that it wrote nothing.
    pub at: Option<Timestamp>,
}

/// Everything that is known about one key. Rows have one value per synced column.
pub struct ConflictInput<'a> {
    /// The row before the local change; `None` when the remote had none. Columns that didn't exist then are `None`.
    pub base: Option<&'a [Option<Value>]>,
    /// What was sent of the change, and may have arrived.
    pub sent: Option<&'a Sent>,
    /// What was sent of the key before, and may still arrive.
    pub late: &'a [Sent],
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

impl ConflictInput<'_> {
    fn all_sent(&self) -> impl Iterator<Item = &Sent> {
        self.sent.into_iter().chain(self.late)
    }

    /// Returns the local row once it is clear that the remote has what was sent; `None` while it isn't. Columns that
    /// were changed after sending stay, the others are the remote's.
    pub(super) fn own_write(&self) -> Option<(&Sent, Option<Vec<Value>>)> {
        self.all_sent().find_map(|sent| match (sent.op, self.remote) {
            (ChangeOp::Delete, None) => Some((sent, self.local.map(<[Value]>::to_vec))),
            (ChangeOp::Insert | ChangeOp::Update, Some(remote)) if self.shows(sent, remote) => {
                Some((sent, self.local.map(|local| after_own_write(sent, local, remote))))
            }
            _ => None,
        })
    }

    /// Returns the columns in which a remote row that has what was sent has another value than before, of a trigger or of another client, that
    /// a local change since then would replace.
    pub(super) fn met(&self, sent: &Sent) -> Vec<usize> {
        let Some(remote) = self.remote else { return Vec::new() };
        let replaces = |at: usize| {
            let Some(local) = self.local else { return true };
            is_since(sent, local, at) && !same_meaning(self.kinds[at], &local[at], &remote[at])
        };
        let is_new = |at: usize| match self.base {
            Some(base) => base[at].is_some() && self.sent_value(sent, at).is_none() && !self.is_base(remote, at),
            None => sent.row.get(at).is_some_and(|sent| *sent == Some(Value::Null)) && !remote[at].is_null(),
        };
        (0..remote.len()).filter(|at| self.cursor != Some(*at) && is_new(*at) && replaces(*at)).collect()
    }

    /// Returns a row with the remote's values in these columns.
    pub(super) fn with_remote(&self, row: &[Value], columns: &[usize]) -> Vec<Value> {
        let mut row = row.to_vec();
        let remote = self.remote.unwrap_or_default();
        columns.iter().for_each(|at| row[*at].clone_from(&remote[*at]));
        row
    }

    /// Returns whether something that was sent may have arrived.
    pub(super) fn may_have_arrived(&self) -> bool {
        self.all_sent().any(|sent| sent.at.is_some())
    }

    /// Returns whether a deletion that was sent may have arrived.
    pub(super) fn may_have_deleted(&self) -> bool {
        self.sent.is_some_and(|sent| sent.op == ChangeOp::Delete && sent.at.is_some())
    }

    /// Returns whether another value of a column was sent that may have arrived.
    pub(super) fn may_have_sent(&self, at: usize, value: &Value) -> bool {
        let sent = self.sent.filter(|sent| sent.at.is_some());
        sent.and_then(|sent| self.sent_value(sent, at)).is_some_and(|sent| sent != value)
    }

    /// Returns whether the remote's row may have been written while the server executed the request.
    pub(super) fn is_at_the_time(&self, sent: &Sent) -> bool {
        self.written_after_ms(sent).is_none_or(|ms| ms <= EXECUTION_MS)
    }

    /// Returns how long after sending the remote's row was written, in milliseconds, if that is known.
    fn written_after_ms(&self, sent: &Sent) -> Option<i64> {
        self.written.zip(sent.at).map(|(written, sent_at)| written.since(sent_at))
    }

    /// Returns the local row if the remote's row seems to be what the server made of what was sent: a trigger, or a
    /// column's type, changed values of it. Another client may have written that row all the same, so this is a conflict.
    /// Columns that were changed after sending stay. So do those in which the remote still has the base's value, which are
    /// sent again: no client has changed them. `by_time`: for an update, the time at which the row was written is enough.
    pub(super) fn altered_write(&self, by_time: bool) -> Option<Option<Vec<Value>>> {
        let remote = self.remote?;
        let sent = self.all_sent().find(|sent| self.shows_altered(sent, remote, by_time))?;
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
        if sent.at.is_none() || sent.op == ChangeOp::Delete {
            return false;
        }
        let after_ms = self.written_after_ms(sent);
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
    (0..local.len()).map(|at| if is_since(sent, local, at) { &local[at] } else { &remote[at] }).cloned().collect()
}

/// Returns whether a column was changed after sending.
fn is_since(sent: &Sent, local: &[Value], at: usize) -> bool {
    match sent.row.get(at).and_then(Option::as_ref) {
        Some(sent) => *sent != local[at],
        None => !local[at].is_null(),
    }
}

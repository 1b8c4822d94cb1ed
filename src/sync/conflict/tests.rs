//! The rule about changes on both sides, as tables of decisions.

use super::{
    own_write::{ConflictInput, Sent},
    resolution::{Resolution, is_later, resolve},
};
use crate::{
    sync::{config::options::ConflictPolicy, outbox::change::ChangeOp, values::types::WireKind},
    time::Timestamp,
    value::Value,
};

/// A row of (name, price, updated_at), written `a b c`; `-` is no row, `0` is NULL.
fn row(text: &str) -> Option<Vec<Value>> {
    (text != "-")
        .then(|| text.split(' ').map(|word| if word == "0" { Value::Null } else { Value::from(word) }).collect())
}

fn decide(
    base: &str,
    local: &str,
    remote: &str,
    late: &[(ChangeOp, &str)],
    policy: ConflictPolicy,
    later: bool,
) -> String {
    let known = |text: &str| row(text).map(|row| row.into_iter().map(Some).collect::<Vec<_>>());
    let (base, local, remote) = (known(base), row(local), row(remote));
    let late: Vec<Sent> =
        late.iter().map(|(op, row)| Sent { op: *op, row: known(row).unwrap_or_default(), at: None }).collect();
    let input = ConflictInput {
        base: base.as_deref(),
        sent: None,
        late: &late,
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
        ("-", "a 1 0", "-", ["unchanged"; 5]),
    ] {
        let said = all.map(|(policy, later)| decide(base, local, remote, &[], policy, later));
        assert_eq!(said, expected, "{base} / {local} / {remote}");
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
        ("9", "", false),
        // The column has seconds, milliseconds or microseconds; the change has its own time.
        ("2026-01-01T00:00:01Z", "1767225600", true),
        ("2025-12-31T23:59:59Z", "1767225600", false),
        ("2026-01-01T00:00:00.002Z", "1767225600001", true),
        ("2026-01-01T00:00:00.000Z", "1767225600001", false),
        ("2026-01-01T00:00:00.002Z", "1767225600001999", true),
        // A sequence says nothing about the time.
        ("2026-01-01T00:00:00Z", "17", false),
    ] {
        assert_eq!(is_later(local, remote), later, "{local} {remote}");
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
        let asked = if op == Insert && local == "-" { "-" } else { "ask" };
        let said = [RemoteWins, KeepLocal, Function]
            .map(|policy| after_lost_answer((op, sent), base, local, remote, after_ms, policy, false));
        let shown = |text: &str| match text.strip_prefix("conflict ") {
            Some(row) => row.trim_start_matches("k ").rsplit_once(' ').map_or(row, |(row, _)| row).to_owned(),
            None => text.to_owned(),
        };
        assert_eq!(said.map(|text| shown(&text)), [expected[0], expected[1], asked], "{base} {local} {remote}");
    }
}

#[test]
fn what_another_client_wrote_after_the_own_write_is_a_conflict() {
    use ChangeOp::{Insert, Update};
    use ConflictPolicy::{Function, KeepLocal, LastWriteWins, RemoteWins};
    const LATE: i64 = 60_000;
    let all =
        [(KeepLocal, false), (RemoteWins, false), (LastWriteWins, true), (LastWriteWins, false), (Function, false)];
    for (op, base, sent, local, remote, after_ms, expected) in [
        // Both changed another column than the one that was sent.
        (Update, "k a b t1", "k A b t1", "k A C t1", "k A X t2", 100, ["A C", "A X", "A C", "A X", "ask"]),
        (Update, "k a b t1", "k A b t1", "k A C t1", "k A X t2", LATE, ["A C", "A X", "A C", "A X", "ask"]),
        (Insert, "-", "k A 0 0", "k A C 0", "k A X t2", LATE, ["A C", "A X", "A C", "A X", "ask"]),
        // What else was edited stays.
        (Update, "k a b t1", "k A b t1", "k D C t1", "k A X t2", LATE, ["D C", "D X", "D C", "D X", "ask"]),
        // The server may have set it in the new row.
        (Insert, "-", "k A 0 0", "k A C 0", "k A X t2", 100, ["A C", "A C", "A C", "A X", "ask"]),
        // What was changed there is deleted here.
        (Update, "k a b t1", "k A b t1", "-", "k A X t2", LATE, ["reject", "A X", "reject", "reject", "ask"]),
        (Update, "k a b t1", "k A b t1", "-", "k A X t2", 100, ["-", "-", "-", "-", "ask"]),
        (Insert, "-", "k A 0 0", "-", "k A X t2", LATE, ["reject", "A X", "reject", "reject", "ask"]),
        (Insert, "-", "k A 0 0", "-", "k A X t2", 100, ["-", "-", "-", "-", "ask"]),
        // What was sent was undone here since, and changed there.
        (Update, "k a b t1", "k A b t1", "k a b t1", "k X b t2", LATE, ["a b", "X b", "a b", "X b", "ask"]),
    ] {
        let said =
            all.map(|(policy, later)| after_lost_answer((op, sent), base, local, remote, after_ms, policy, later));
        let expected = expected.map(|expected| match expected {
            "ask" | "reject" => expected.to_owned(),
            "-" => "conflict -".to_owned(),
            row => format!("conflict k {row} t2"),
        });
        assert_eq!(said, expected, "{base} {local} {remote} {after_ms}");
    }
    // Another column only, or the same value: no conflict.
    for (local, remote, expected) in [
        ("k A b t1", "k A X t2", "k A X t2"),
        ("k C b t1", "k A X t2", "k C X t2"),
        ("k A X t1", "k A X t2", "k A X t2"),
        ("-", "k A b t2", "-"),
    ] {
        for (policy, later) in all {
            let said = after_lost_answer((Update, "k A b t1"), "k a b t1", local, remote, 100, policy, later);
            assert_eq!(said, expected, "{local} {remote}");
        }
    }
}

#[test]
fn a_new_row_that_may_have_arrived_was_deleted_remotely() {
    use ConflictPolicy::{Function, KeepLocal, LastWriteWins, RemoteWins};
    let said = [KeepLocal, RemoteWins, LastWriteWins, Function]
        .map(|policy| after_lost_answer((ChangeOp::Insert, "k a b 0"), "-", "k a b 0", "-", 100, policy, true));
    assert_eq!(said, ["reject", "conflict -", "reject", "ask"]);
}

#[test]
fn a_row_made_again_after_a_deletion_that_may_have_arrived_is_another() {
    use ConflictPolicy::{Function, KeepLocal, RemoteWins};
    let said = [KeepLocal, RemoteWins, Function]
        .map(|policy| after_lost_answer((ChangeOp::Delete, "-"), "k a b t1", "-", "k a b t2", 100, policy, false));
    assert_eq!(said, ["reject", "conflict k a b t2", "ask"]);
}

/// Returns what `resolve` decides about a change of a row (key, name, body, time), if the remote's row was written so many
/// milliseconds after the change was sent.
fn after_lost_answer(
    (op, sent): (ChangeOp, &str),
    base: &str,
    local: &str,
    remote: &str,
    after_ms: i64,
    policy: ConflictPolicy,
    later: bool,
) -> String {
    let known = |text: &str| row(text).map(|row| row.into_iter().map(Some).collect::<Vec<_>>());
    let (base, local, remote, sent_at) = (known(base), row(local), row(remote), Timestamp(1_000_000));
    let input = ConflictInput {
        base: base.as_deref(),
        sent: Some(&Sent { op, row: known(sent).unwrap_or_default(), at: Some(sent_at) }),
        late: &[],
        local: local.as_deref(),
        remote: remote.as_deref(),
        deletion_reported: true,
        kinds: &[WireKind::Text; 4],
        alike: &[0],
        cursor: Some(3),
        written: Some(sent_at.plus_ms(after_ms)),
    };
    show(resolve(&input, policy, || later))
}

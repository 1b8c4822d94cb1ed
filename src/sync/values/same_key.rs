//! Assigns the rows of an answer to the keys that were sent: the server may spell the same key in another way.
//!
//! The wire names no types, so a key is judged by how it looks. That may take different texts for the same key ('a' and
//! 'A'), never different numbers, times or uuids; an exact match always comes first.

use super::{
    decimal::{decimal, looks_numeric},
    outgoing::filter_text,
};
use crate::{time::Timestamp, value::Value};

/// Returns whether the server may have spelled the value `sent` as `answered`.
pub fn same(sent: &Value, answered: &Value) -> bool {
    canonical(sent) == canonical(answered)
}

/// Returns one spelling for all values that may mean the same key. A time without a time zone counts as UTC.
pub fn canonical(value: &Value) -> String {
    if value.is_null() {
        return String::from("null");
    }
    let text = filter_text(value).to_ascii_lowercase();
    let trimmed = text.trim();
    let constant = match trimmed {
        "t" | "true" => Some("number 1e0"),
        "f" | "false" => Some("number 0"),
        "inf" | "+inf" | "infinity" | "+infinity" => Some("infinity"),
        "-inf" | "-infinity" => Some("-infinity"),
        _ => None,
    };
    constant
        .map(str::to_owned)
        .or_else(|| uuid(trimmed))
        .or_else(|| number(trimmed))
        .or_else(|| date_time(trimmed))
        .or_else(|| time_of_day(trimmed))
        // char(n) comes padded with blanks.
        .unwrap_or_else(|| format!("text {}", text.trim_end_matches(' ')))
}

/// Returns for each sent key the index of its row in the answer. Exact matches come first; of the rest, a key and a row
/// match by their canonical spelling if no other key or row has it. No row is assigned twice.
pub fn assign(sent: &[&[Value]], answered: &[&[Value]]) -> Vec<Option<usize>> {
    let mut rows = vec![None; sent.len()];
    // Answers mostly come in the order sent, without the rows that the remote left alone.
    let mut next = 0;
    for (row, key) in rows.iter_mut().zip(sent) {
        if answered.get(next) == Some(key) {
            *row = Some(next);
            next += 1;
        }
    }
    if next == answered.len() {
        return rows;
    }
    rows.fill(None);
    let keys = |keys: &[&[Value]], side| (0..keys.len()).map(|at| (side, at)).collect::<Vec<_>>();
    let all = [keys(sent, AnswerSide::Sent), keys(answered, AnswerSide::Answered)].concat();
    let key = |(side, at): SidePlace| match side {
        AnswerSide::Sent => sent[at],
        AnswerSide::Answered => answered[at],
    };
    let mut rest = Vec::new();
    for same in grouped(&all, |place| key(place).iter().map(filter_text).collect()) {
        let first = |side| same.iter().find(|place| place.0 == side);
        match (first(AnswerSide::Sent), first(AnswerSide::Answered)) {
            // Other rows with this very key belong to it as well: they are no candidates for other keys.
            (Some((_, at)), Some((_, row))) => rows[*at] = Some(*row),
            _ => rest.extend(same),
        }
    }
    for same in grouped(&rest, |place| key(place).iter().map(canonical).collect()) {
        if let [(AnswerSide::Sent, at), (AnswerSide::Answered, row)] = same[..] {
            rows[at] = Some(row);
        }
    }
    rows
}

/// Returns for each key how many earlier keys the server may take for the same one.
pub fn repeats(keys: &[&[Value]]) -> Vec<usize> {
    let mut repeats = vec![0; keys.len()];
    let places: Vec<SidePlace> = (0..keys.len()).map(|at| (AnswerSide::Sent, at)).collect();
    for same in grouped(&places, |(_, at)| keys[at].iter().map(canonical).collect()) {
        same.iter().enumerate().for_each(|(before, (_, at))| repeats[*at] = before);
    }
    repeats
}

/// Where a key comes from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AnswerSide {
    Sent,
    Answered,
}

/// A key, by its side and its index there.
type SidePlace = (AnswerSide, usize);

/// Returns the places of each spelling, in order: those sent first.
fn grouped(places: &[SidePlace], spelling: impl Fn(SidePlace) -> Vec<String>) -> Vec<Vec<SidePlace>> {
    let mut spelled: Vec<_> = places.iter().map(|place| (spelling(*place), *place)).collect();
    spelled.sort_unstable();
    spelled.chunk_by(|a, b| a.0 == b.0).map(|same| same.iter().map(|(_, place)| *place).collect()).collect()
}

/// Returns the canonical form of 32 hexadecimal digits, with or without hyphens and braces.
fn uuid(text: &str) -> Option<String> {
    let bare = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let digits = bare.replace('-', "");
    (digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| format!("uuid {digits}"))
}

/// Returns the canonical form of a decimal number, with every digit.
fn number(text: &str) -> Option<String> {
    let exponent = text.split_once('e').map_or("", |(_, exponent)| exponent);
    // No number can have a longer exponent.
    if !looks_numeric(text) || exponent.len() > 8 {
        return None;
    }
    let (digits, exponent, negative) = decimal(text);
    let digits: String = digits.into_iter().map(char::from).collect();
    Some(match digits.as_str() {
        "" => String::from("number 0"),
        digits => format!("number {}{digits}e{exponent}", if negative { "-" } else { "" }),
    })
}

/// Returns the canonical form of a date, or of a date and a time of day.
fn date_time(text: &str) -> Option<String> {
    let (date, time) = text.split_once(['t', ' ']).unwrap_or((text, "00:00"));
    let (year, day) = date.split_once('-')?;
    let (month, day) = day.split_once('-')?;
    let (ms, fraction) = instant(&format!("{year}-{month:0>2}-{day:0>2}"), time)?;
    Some(format!("date_time {ms}.{fraction}"))
}

/// Returns the canonical form of a time of day without a date.
fn time_of_day(text: &str) -> Option<String> {
    let (ms, fraction) = instant("1970-01-01", text)?;
    Some(format!("time {ms}.{fraction}"))
}

/// Returns the milliseconds of the whole second, and the digits of its fraction. The seconds, the fraction and the time
/// zone may be missing.
fn instant(date: &str, time: &str) -> Option<(i64, String)> {
    let (clock, zone) = time.split_at(time.find(['z', '+', '-']).unwrap_or(time.len()));
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = if clock.len() == 5 { ":00" } else { "" };
    let zone = if zone.is_empty() { "z" } else { zone };
    let whole = Timestamp::parse(&format!("{date}T{clock}{seconds}{zone}"))?;
    Some((whole.0, fraction.trim_end_matches('0').to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As PostgreSQL 15 and PostgREST 12 answered keys of these types.
    const ANSWERED: &[(&str, &str, &str)] = &[
        ("uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "{b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "c0eebc999c0b4ef8bb6d6bb9bd380a11", "c0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "d0ee-bc99-9c0b-4ef8-bb6d-6bb9-bd38-0a11", "d0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ("uuid", "11111111111141118111111111111111", "11111111-1111-4111-8111-111111111111"),
        ("date", "2026-01-03T00:00:00Z", "2026-01-03"),
        ("date", "2026-1-4", "2026-01-04"),
        ("timestamp", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05"),
        ("timestamp", "2026-01-03 03:04", "2026-01-03T03:04:00"),
        ("timestamp", "2026-01-04T03:04:05.120", "2026-01-04T03:04:05.12"),
        ("timestamp", "2026-01-06", "2026-01-06T00:00:00"),
        ("timestamptz", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+00:00"),
        ("timestamptz", "2026-01-03 03:04", "2026-01-03T03:04:00+00:00"),
        ("timestamptz", "2026-01-04T03:04:05.120Z", "2026-01-04T03:04:05.12+00:00"),
        ("timestamptz", "2026-01-05T03:04:05+02", "2026-01-05T01:04:05+00:00"),
        ("timestamptz", "2026-01-06", "2026-01-06T00:00:00+00:00"),
        ("timestamptz", "2026-01-07 03:04:05.123456+0530", "2026-01-06T21:34:05.123456+00:00"),
        ("timestamptz", "2026-01-08t03:04:05z", "2026-01-08T03:04:05+00:00"),
        ("timestamptz", "Infinity", "infinity"),
        ("time", "03:04", "03:04:00"),
        ("time", "03:04:05.120", "03:04:05.12"),
        ("time", "03:04:06Z", "03:04:06"),
        ("timetz", "03:04", "03:04:00+00"),
        ("timetz", "03:04:05.120+02:00", "03:04:05.12+02"),
        ("numeric(10,2)", "1.5", "1.50"),
        ("numeric(10,2)", "+2", "2.00"),
        ("numeric(10,2)", "003", "3.00"),
        ("numeric(10,2)", "4e1", "40.00"),
        ("numeric(10,2)", " 6 ", "6.00"),
        ("numeric", "1.50e1", "15.0"),
        ("numeric", "-0.00", "0.00"),
        ("numeric", "inf", "Infinity"),
        ("numeric", "1e20", "100000000000000000000"),
        ("char(5)", "B  ", "B    "),
        ("char(5)", "éé", "éé   "),
        ("text, lower-cased by a trigger", "A", "a"),
        ("bytea", r"\xDEADBEEF", r"\xdeadbeef"),
        ("boolean", "t", "true"),
        ("boolean", "1", "true"),
        ("boolean", "0", "false"),
        ("float8", "1000.0", "1000"),
        ("float8", "1e3", "1000"),
        ("float8", "1e300", "1e+300"),
        ("float8", "-0.0", "-0"),
        ("bigint", "+8", "8"),
        ("bigint", " 0012 ", "12"),
    ];

    fn text(text: &str) -> Value {
        Value::from(text)
    }

    #[test]
    fn the_server_spells_keys_as_its_types_do() {
        for (kind, sent, answered) in ANSWERED {
            assert!(same(&text(sent), &text(answered)), "{kind} {sent} {answered}");
        }
        for (sent, answered) in [
            (Value::Integer(77), text("077")),
            (text("77"), Value::Integer(77)),
            (Value::Integer(1), text("t")),
            (Value::Integer(1), Value::Real(1.0)),
            (Value::Real(1000.0), text("1e3")),
            (Value::Real(f64::INFINITY), text("Infinity")),
            (Value::Blob(vec![0xDE, 0xAD]), text(r"\xDEAD")),
            (Value::Null, Value::Null),
        ] {
            assert!(same(&sent, &answered), "{sent:?} {answered:?}");
        }
    }

    #[test]
    fn different_keys_stay_different() {
        let texts = [
            "",
            "a",
            "b",
            " a",
            "1",
            "77",
            "-1",
            "1.5",
            "1.05",
            "0",
            "1e99999999999999999999",
            "9007199254740993",
            "9007199254740992",
            "NaN",
            "inf",
            "-inf",
            "2026-01-01",
            "2026-01-02",
            "2026-01-01T00:00:00.000001Z",
            "2026-01-01T00:00:00+01:00",
            "2026-01-01 extra",
            "00:00",
            "00:01",
            "24:00",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12",
            "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1",
            r"\xdead",
            r"\xdeae",
        ];
        for (at, a) in texts.iter().enumerate() {
            for b in &texts[at + 1..] {
                assert!(!same(&text(a), &text(b)), "{a} {b}");
            }
        }
        assert!(!same(&Value::Integer(9_007_199_254_740_993), &Value::Real(9_007_199_254_740_992.0)));
        assert!(!same(&Value::Null, &text("")));
        assert!(!same(&Value::Null, &text("null")));
    }

    fn assigned(sent: &[&[&str]], answered: &[&[&str]]) -> Vec<Option<usize>> {
        let values = |keys: &[&[&str]]| -> Vec<Vec<Value>> {
            keys.iter().map(|key| key.iter().map(|part| text(part)).collect()).collect()
        };
        assign(&slices(&values(sent)), &slices(&values(answered)))
    }

    #[test]
    fn exact_matches_come_first_and_loose_ones_are_unique() {
        for (sent, answered, expected) in [
            // In order, with and without the rows that were left alone; in another order.
            (&["1", "2", "3"][..], &["1", "2", "3"][..], &[Some(0), Some(1), Some(2)][..]),
            (&["1", "2", "3"], &["1", "3"], &[Some(0), None, Some(1)]),
            (&["1", "2", "3"], &["3", "1"], &[Some(1), None, Some(0)]),
            // Spelled in another way, also beside exact ones.
            (&["A", "B", "c"], &["c", "b", "a"], &[Some(2), Some(1), Some(0)]),
            (&["A", "a"], &["a"], &[None, Some(0)]),
            (&["A", "a"], &["a", "A"], &[Some(1), Some(0)]),
            // Ambiguous on one side or the other.
            (&["A", "a "], &["a"], &[None, None]),
            (&["A"], &["a", "a "], &[None]),
            // A second row with an assigned key belongs to no other key.
            (&["a", "A"], &["a", "a"], &[Some(0), None]),
            // Rows that weren't asked for.
            (&["1"], &["77"], &[None]),
            (&["1"], &["77", "1"], &[Some(1)]),
            (&["1"], &[], &[None]),
            (&[], &["1"], &[]),
        ] {
            let one = |keys: &[&'static str]| keys.iter().map(|key| vec![*key]).collect::<Vec<_>>();
            let (sent, answered) = (one(sent), one(answered));
            let (sent, answered): (Vec<_>, Vec<_>) =
                (sent.iter().map(Vec::as_slice).collect(), answered.iter().map(Vec::as_slice).collect());
            assert_eq!(assigned(&sent, &answered), expected, "{sent:?} {answered:?}");
        }
        // The parts of a key don't run together.
        assert_eq!(assigned(&[&["a", "bc"], &["AB", "C"]], &[&["ab", "c"], &["A", "bc"]]), [Some(1), Some(0)]);
    }

    /// Few different keys, so that they often coincide; some are spellings of others.
    fn keys() -> impl Strategy<Value = Vec<Vec<Value>>> {
        let part =
            prop::sample::select(vec!["a", "A", "a ", "1", "01", "1.0", "77", "2026-01-01", "2026-01-01T00:00Z"]);
        let value = prop_oneof![part.prop_map(Value::from), (0..3i64).prop_map(Value::Integer)];
        prop::collection::vec(prop::collection::vec(value, 1..3), 0..12)
    }

    fn slices(keys: &[Vec<Value>]) -> Vec<&[Value]> {
        keys.iter().map(Vec::as_slice).collect()
    }

    fn spelled(key: &[Value]) -> Vec<String> {
        key.iter().map(filter_text).collect()
    }

    proptest! {
        /// Holds for any answer, also with several rows of one key and rows that weren't asked for.
        #[test]
        fn no_row_is_given_twice_nor_to_another_key(sent in keys(), answered in keys()) {
            let rows = assign(&slices(&sent), &slices(&answered));
            prop_assert_eq!(rows.len(), sent.len());
            let mut given: Vec<usize> = rows.iter().flatten().copied().collect();
            given.sort_unstable();
            prop_assert!(given.windows(2).all(|pair| pair[0] < pair[1]));
            for (key, row) in sent.iter().zip(&rows) {
                let exact = answered.iter().any(|other| spelled(other) == spelled(key));
                if let Some(row) = row {
                    let other = &answered[*row];
                    prop_assert!(key.len() == other.len() && key.iter().zip(other).all(|(a, b)| same(a, b)));
                    prop_assert!(!exact || spelled(other) == spelled(key));
                }
                let only = sent.iter().filter(|other| spelled(other) == spelled(key)).count() == 1;
                prop_assert!(row.is_some() || !exact || !only);
            }
        }

        /// Different keys are found in whatever order their rows come, in whatever spelling.
        #[test]
        fn a_permutation_is_undone(order in Just((0..200).collect::<Vec<i64>>()).prop_shuffle(), loose: bool) {
            let sent: Vec<Vec<Value>> = (0..200).map(|n| vec![Value::from("x"), Value::Integer(n)]).collect();
            let spell = |n: &i64| if loose { Value::from(format!("{n}.00")) } else { Value::Integer(*n) };
            let answered: Vec<Vec<Value>> = order.iter().map(|n| vec![Value::from("x"), spell(n)]).collect();
            for (n, row) in assign(&slices(&sent), &slices(&answered)).into_iter().enumerate() {
                prop_assert_eq!(row.map(|row| order[row]), Some(n as i64));
            }
        }
    }
}

//! The schedule of what keeps in step by itself, on a clock of its own: whatever happens in whatever order, one round at a time, never
//! too early, and always another one.

use proptest::prelude::*;
use tidelock::sync::schedule::{End, Heard, Round, Schedule};

const START: u64 = 1_000_000;
/// The longest that it waits of its own accord.
const LONGEST: u64 = 120_000;

fn started(interval_ms: u64) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.hear(Heard::Started { interval_ms }, START);
    schedule
}

/// A schedule whose first round is done.
fn quiet(interval_ms: u64) -> Schedule {
    let mut schedule = started(interval_ms);
    assert_eq!(schedule.take(START), Some(Round::Full));
    schedule.ended(End::Done, START, 0.0);
    schedule
}

#[test]
fn a_round_now_then_each_interval() {
    let mut schedule = Schedule::default();
    assert_eq!((schedule.next(), schedule.take(START)), (None, None), "it rests until it is started");
    schedule.hear(Heard::Started { interval_ms: 1000 }, START);
    assert_eq!(schedule.take(START), Some(Round::Full));
    assert_eq!((schedule.next(), schedule.take(START + 9000)), (None, None), "one at a time");
    schedule.ended(End::Done, START + 70, 0.0);
    assert_eq!(schedule.next(), Some(START + 1070));
    assert_eq!(schedule.take(START + 1069), None);
    assert_eq!(schedule.take(START + 1070), Some(Round::Full));
}

#[test]
fn starting_again_changes_the_interval() {
    let mut schedule = quiet(30_000);
    schedule.hear(Heard::Started { interval_ms: 500 }, START + 100);
    assert_eq!(schedule.next(), Some(START + 500));
    schedule.hear(Heard::Started { interval_ms: 60_000 }, START + 200);
    assert_eq!(schedule.next(), Some(START + 60_000));
    schedule.hear(Heard::Started { interval_ms: 10 }, START + 5000);
    assert_eq!(schedule.next(), Some(START + 5000), "it is long due");
    let mut schedule = started(30_000);
    schedule.hear(Heard::Started { interval_ms: 60_000 }, START);
    assert_eq!(schedule.take(START), Some(Round::Full), "the first one isn't put off");
}

#[test]
fn writes_are_gathered_and_sent_soon() {
    let mut schedule = quiet(30_000);
    for ms in 0..200 {
        schedule.hear(Heard::Written, START + ms);
    }
    assert_eq!(schedule.next(), Some(START + 250));
    assert_eq!(schedule.take(START + 250), Some(Round::Push));
    schedule.hear(Heard::Written, START + 260);
    schedule.ended(End::Done, START + 300, 0.0);
    assert_eq!(schedule.next(), Some(START + 510), "what was written meanwhile");
    assert_eq!(schedule.take(START + 510), Some(Round::Push));
    schedule.ended(End::Done, START + 520, 0.0);
    assert_eq!(schedule.next(), Some(START + 30_000), "pushes don't put off the interval");
}

#[test]
fn hints_are_gathered_by_table() {
    let mut schedule = quiet(30_000);
    let hint = |schedule: &mut Schedule, tables: &[&str], at| {
        schedule.hear(Heard::Hint(tables.iter().map(|table| (*table).to_owned()).collect()), at)
    };
    hint(&mut schedule, &["b"], START);
    hint(&mut schedule, &["a"], START + 10);
    hint(&mut schedule, &["b"], START + 20);
    assert_eq!(schedule.take(START + 200), Some(Round::Pull(vec!["a".to_owned(), "b".to_owned()])));
    hint(&mut schedule, &["c"], START + 210);
    hint(&mut schedule, &[], START + 220);
    schedule.ended(End::Done, START + 300, 0.0);
    assert_eq!(schedule.take(START + 410), Some(Round::Pull(Vec::new())), "any may have changed");
    schedule.ended(End::Done, START + 500, 0.0);
    assert_eq!(schedule.next(), Some(START + 30_000));
}

#[test]
fn failures_double_the_wait_and_writes_shorten_it_a_little() {
    let mut schedule = started(1000);
    let mut at = START;
    for wait in [1000, 2000, 4000, 8000, 16_000, 32_000, 64_000, 120_000, 120_000] {
        assert_eq!(schedule.take(at), Some(Round::Full));
        schedule.ended(End::Failed { retry_after_ms: None }, at, 0.0);
        assert_eq!(schedule.next(), Some(at + wait));
        at += wait;
    }
    schedule.hear(Heard::Written, at - 119_000);
    assert_eq!(schedule.next(), Some(at - 115_000), "five seconds after the last one");
    assert_eq!(schedule.take(at - 115_000), Some(Round::Full));
    schedule.ended(End::Done, at, 0.0);
    assert_eq!(schedule.next(), Some(at + 1000));
}

#[test]
fn the_remotes_wish_stands() {
    let mut schedule = started(1000);
    schedule.take(START);
    schedule.ended(End::Failed { retry_after_ms: Some(600_000) }, START, 1.0);
    for heard in [Heard::Written, Heard::Shown, Heard::Online, Heard::Hint(Vec::new())] {
        schedule.hear(heard, START + 10);
        assert_eq!(schedule.next(), Some(START + 600_000));
    }
}

#[test]
fn changes_that_wait_for_others_are_sent_again_while_the_rest_goes_on() {
    let mut schedule = quiet(3000);
    schedule.hear(Heard::Written, START);
    let mut at = START + 250;
    assert_eq!(schedule.take(at), Some(Round::Push));
    schedule.ended(End::Kept, at, 0.0);
    assert_eq!(schedule.next(), Some(at + 1000));
    at += 1000;
    assert_eq!(schedule.take(at), Some(Round::Push));
    schedule.ended(End::Kept, at, 0.0);
    assert_eq!(schedule.next(), Some(START + 3000), "the interval goes on");
    schedule.hear(Heard::Written, at + 10);
    assert_eq!(schedule.next(), Some(at + 260), "and so do writes");
}

#[test]
fn without_a_network_it_hardly_tries_and_with_it_it_tries_at_once() {
    let mut schedule = quiet(1000);
    schedule.hear(Heard::Offline, START + 500);
    schedule.hear(Heard::Written, START + 600);
    assert_eq!(schedule.next(), Some(START + 500 + LONGEST));
    assert!(!schedule.hear(Heard::Online, START + 7000), "nothing is under way");
    assert_eq!(schedule.take(START + 7000), Some(Round::Full));
    assert!(!schedule.hear(Heard::Online, START + 7100), "said twice");
    schedule.hear(Heard::Offline, START + 8000);
    assert!(schedule.hear(Heard::Online, START + 8200), "what hangs is given up");
    schedule.ended(End::GivenUp, START + 8200, 0.0);
    assert_eq!(schedule.take(START + 8200), Some(Round::Full));
    schedule.ended(End::Done, START + 8300, 0.0);
    // A platform that is wrong about it.
    schedule.hear(Heard::Offline, START + 9000);
    assert_eq!(schedule.take(START + 9000 + LONGEST), Some(Round::Full));
    schedule.ended(End::Done, START + 9000 + LONGEST, 0.0);
    assert_eq!(schedule.next(), Some(START + 10_000 + LONGEST), "a round went through all the same");
}

#[test]
fn a_page_that_is_shown_looks_at_the_remote() {
    let mut schedule = quiet(600_000);
    schedule.hear(Heard::Shown, START + 10);
    assert_eq!(schedule.next(), Some(START + 1000), "not again and again");
    schedule.hear(Heard::Shown, START + 50_000);
    assert_eq!(schedule.take(START + 50_000), Some(Round::Full));
}

#[test]
fn what_must_not_go_on_stops() {
    let mut schedule = started(1000);
    schedule.take(START);
    schedule.ended(End::Refused, START + 10, 0.0);
    for heard in [Heard::Written, Heard::Online, Heard::Shown, Heard::Hint(Vec::new())] {
        schedule.hear(heard, START + 20);
    }
    assert_eq!((schedule.is_started(), schedule.next()), (false, None));
    schedule.hear(Heard::Started { interval_ms: 1000 }, START + 30);
    assert_eq!(schedule.take(START + 30), Some(Round::Full));
}

#[derive(Clone, Debug)]
enum Step {
    Hear(Heard),
    End(End, f64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let heard = prop_oneof![
        (1..100_000_u64).prop_map(|interval_ms| Heard::Started { interval_ms }),
        Just(Heard::Stopped),
        Just(Heard::Online),
        Just(Heard::Offline),
        Just(Heard::Shown),
        Just(Heard::Written),
        Just(Heard::Written),
        prop::collection::vec("[ab]", 0..3).prop_map(Heard::Hint),
    ];
    let end = prop_oneof![
        Just(End::Done),
        Just(End::Kept),
        prop::option::of(0..400_000_u64).prop_map(|retry_after_ms| End::Failed { retry_after_ms }),
        Just(End::GivenUp),
    ];
    prop_oneof![
        heard.prop_map(Step::Hear),
        (end, 0.0..1.0).prop_map(|(end, chance)| Step::End(end, chance)),
        (0..5000_u64).prop_map(Step::Pass),
        (0..300_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_the_next_round_comes_and_never_too_early(steps in prop::collection::vec(step(), 1..200)) {
        let mut schedule = Schedule::default();
        let mut now = START;
        let (mut interval, mut under_way, mut wish) = (None, false, 0);
        let (mut written, mut offline) = (None, false);
        for step in steps {
            match step {
                Step::Hear(heard) => {
                    match &heard {
                        Heard::Started { interval_ms } => interval = Some(*interval_ms),
                        Heard::Stopped => {
                            // What is under way then belongs to nobody any more.
                            (interval, under_way, written, wish) = (None, false, None, 0);
                        }
                        Heard::Offline => offline = true,
                        Heard::Online => offline = false,
                        Heard::Written if interval.is_some() => written = written.or(Some(now)),
                        _ => {}
                    }
                    let given_up = schedule.hear(heard, now);
                    prop_assert!(!given_up || under_way);
                }
                Step::End(end, chance) => {
                    schedule.ended(end, now, chance);
                    if under_way {
                        wish = match end {
                            End::Failed { retry_after_ms } => now + retry_after_ms.unwrap_or_default(),
                            End::Done | End::Kept => {
                                offline = false;
                                0
                            }
                            _ => wish,
                        };
                    }
                    under_way = false;
                }
                Step::Pass(ms) => now += ms,
            }
            match (schedule.next(), interval) {
                (None, _) => prop_assert!(under_way || interval.is_none()),
                (Some(_), None) => prop_assert!(false, "it runs without having been started"),
                (Some(at), Some(interval)) => {
                    prop_assert!(!under_way);
                    prop_assert!(at >= wish, "before the remote wishes it");
                    prop_assert!(at <= now.max(wish) + interval.max(LONGEST), "it forgets to come again");
                }
            }
            let due = schedule.next().is_some_and(|at| at <= now);
            let round = schedule.take(now);
            prop_assert_eq!(round.is_some(), due);
            if let Some(round) = round {
                under_way = true;
                prop_assert_eq!(schedule.take(now + 1_000_000), None);
                if matches!(round, Round::Full | Round::Push) {
                    written = None;
                }
            }
            // A write that nothing stands in the way of leaves within a second.
            if let (Some(at), Some(since), 0, false) = (schedule.next(), written, wish, offline) {
                prop_assert!(at <= since.max(now) + 250);
            }
        }
    }
}

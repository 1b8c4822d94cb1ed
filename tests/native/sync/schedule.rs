//! The schedule of automatic sync, on a simulated clock. For events in any order: one round at a time, never too early,
//! and always a next one.

use proptest::prelude::*;
use tidelock::{
    ports::sim::Sim,
    sync::schedule::rounds::{Round, RoundEnd, Schedule, ScheduleEvent},
};

use crate::sample::draws;

const START: u64 = 1_000_000;
/// The longest delay in milliseconds, apart from the interval.
const LONGEST: u64 = 120_000 + SPREAD;
/// The time over which many clients spread simultaneous requests.
const SPREAD: u64 = 12_000;
/// The longest interval while the page is hidden.
const HIDDEN: u64 = 240_000;

/// The time in milliseconds for which an `offline` event suspends rounds.
const OFFLINE: u64 = 120_000;

fn started(interval_ms: u64) -> Schedule {
    let mut schedule = Schedule::default();
    schedule.handle(ScheduleEvent::Started { interval_ms }, START, 0.0);
    schedule
}

/// Returns a schedule whose first round is done.
fn quiet(interval_ms: u64) -> Schedule {
    let mut schedule = started(interval_ms);
    assert_eq!(schedule.take(START), Some(Round::Full));
    schedule.ended(RoundEnd::Done, START, 0.5);
    schedule
}

#[test]
fn a_round_now_then_each_interval() {
    let mut schedule = Schedule::default();
    assert_eq!((schedule.next(), schedule.take(START)), (None, None), "it rests until it is started");
    schedule.handle(ScheduleEvent::Started { interval_ms: 1000 }, START, 0.0);
    assert_eq!(schedule.take(START), Some(Round::Full));
    assert_eq!((schedule.next(), schedule.take(START + 9000)), (None, None), "one at a time");
    schedule.ended(RoundEnd::Done, START + 70, 0.5);
    assert_eq!(schedule.next(), Some(START + 1070));
    assert_eq!(schedule.take(START + 1069), None);
    assert_eq!(schedule.take(START + 1070), Some(Round::Full));
}

#[test]
fn starting_again_changes_the_interval() {
    let mut schedule = quiet(30_000);
    schedule.handle(ScheduleEvent::Started { interval_ms: 500 }, START + 100, 0.0);
    assert_eq!(schedule.next(), Some(START + 600));
    schedule.handle(ScheduleEvent::Started { interval_ms: 60_000 }, START + 200, 0.0);
    assert_eq!(schedule.next(), Some(START + 600), "what was soon due isn't put off");
    schedule.take(START + 600);
    schedule.ended(RoundEnd::Done, START + 600, 0.5);
    assert_eq!(schedule.next(), Some(START + 60_600));
    let mut schedule = started(30_000);
    schedule.handle(ScheduleEvent::Started { interval_ms: 60_000 }, START, 0.0);
    assert_eq!(schedule.take(START), Some(Round::Full), "nor is the first one");
}

#[test]
fn writes_are_gathered_and_sent_soon() {
    let mut schedule = quiet(30_000);
    for ms in 0..200 {
        schedule.handle(ScheduleEvent::Written, START + ms, 0.0);
    }
    assert_eq!(schedule.next(), Some(START + 250));
    assert_eq!(schedule.take(START + 250), Some(Round::Push));
    schedule.handle(ScheduleEvent::Written, START + 260, 0.0);
    schedule.ended(RoundEnd::Done, START + 300, 0.5);
    assert_eq!(schedule.next(), Some(START + 510), "what was written meanwhile");
    assert_eq!(schedule.take(START + 510), Some(Round::Push));
    schedule.ended(RoundEnd::Done, START + 520, 0.5);
    assert_eq!(schedule.next(), Some(START + 30_000), "pushes don't put off the interval");
}

#[test]
fn hints_are_gathered_by_table() {
    let mut schedule = quiet(30_000);
    let hint = |schedule: &mut Schedule, tables: &[&str], at| {
        schedule.handle(ScheduleEvent::Hint(tables.iter().map(|table| (*table).to_owned()).collect()), at, 0.0)
    };
    hint(&mut schedule, &["b"], START);
    hint(&mut schedule, &["a"], START + 10);
    hint(&mut schedule, &["b"], START + 20);
    assert_eq!(schedule.take(START + 200), Some(Round::Pull(vec!["a".to_owned(), "b".to_owned()])));
    hint(&mut schedule, &["c"], START + 210);
    hint(&mut schedule, &[], START + 220);
    schedule.ended(RoundEnd::Done, START + 300, 0.5);
    assert_eq!(schedule.take(START + 410), Some(Round::Pull(Vec::new())), "any may have changed");
    schedule.ended(RoundEnd::Done, START + 500, 0.5);
    assert_eq!(schedule.next(), Some(START + 30_000));
}

#[test]
fn failures_double_the_wait_and_writes_shorten_it_a_little() {
    let mut schedule = started(1000);
    let mut at = START;
    for wait in [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
        assert_eq!(schedule.take(at), Some(Round::Full));
        schedule.ended(RoundEnd::Failed, at, 0.0);
        assert_eq!(schedule.next(), Some(at + wait));
        at += wait;
    }
    schedule.handle(ScheduleEvent::Written, at - 59_000, 0.0);
    assert_eq!(schedule.next(), Some(at - 55_000), "five seconds after the last one");
    assert_eq!(schedule.take(at - 55_000), Some(Round::Full));
    schedule.ended(RoundEnd::Done, at, 0.5);
    assert_eq!(schedule.next(), Some(at + 1000));
}

#[test]
fn nothing_begins_before_the_remote_wishes_it() {
    for failed in [true, false] {
        let mut schedule = started(1000);
        if failed {
            schedule.take(START);
            schedule.handle(ScheduleEvent::RetryAfter { ms: 600_000 }, START, 0.25);
            schedule.ended(RoundEnd::Failed, START, 1.0);
        } else {
            // A call of the user received the `Retry-After`.
            schedule.handle(ScheduleEvent::RetryAfter { ms: 600_000 }, START, 0.25);
        }
        for heard in [
            ScheduleEvent::Written,
            ScheduleEvent::Shown,
            ScheduleEvent::Online,
            ScheduleEvent::Hint(Vec::new()),
            ScheduleEvent::RetryAfter { ms: 1000 },
            ScheduleEvent::Stopped,
            ScheduleEvent::Started { interval_ms: 1000 },
        ] {
            schedule.handle(heard, START + 10, 0.0);
            assert!(schedule.next().is_none_or(|at| at == START + 603_000), "{schedule:?}");
        }
        assert_eq!(schedule.take(START + 603_000), Some(Round::Full));
    }
}

#[test]
fn a_hidden_page_for_which_nothing_changes_asks_more_rarely() {
    let mut schedule = started(30_000);
    let mut at = START;
    let mut round = |schedule: &mut Schedule, end| {
        at = schedule.next().unwrap();
        assert_eq!(schedule.take(at), Some(Round::Full));
        schedule.ended(end, at, 0.5);
        (at, (schedule.next().unwrap() - at) / 1000)
    };
    for _ in 0..3 {
        assert_eq!(round(&mut schedule, RoundEnd::Unchanged).1, 30, "as long as it is in sight");
    }
    schedule.handle(ScheduleEvent::Hidden, START, 0.0);
    let waits: Vec<u64> = (0..5).map(|_| round(&mut schedule, RoundEnd::Unchanged).1).collect();
    assert_eq!(waits, [60, 120, 240, 240, 240]);
    assert_eq!(round(&mut schedule, RoundEnd::Done).1, 30, "there was something new");
    for heard in [
        ScheduleEvent::Written,
        ScheduleEvent::Hint(vec!["a".to_owned()]),
        ScheduleEvent::Started { interval_ms: 30_000 },
    ] {
        round(&mut schedule, RoundEnd::Unchanged);
        let (at, wait) = round(&mut schedule, RoundEnd::Unchanged);
        assert_eq!(wait, 120);
        schedule.handle(heard, at + 10, 0.0);
        while let Some(round) = schedule.take(at + 1000) {
            assert_ne!(round, Round::Full);
            schedule.ended(RoundEnd::Unchanged, at + 1000, 0.5);
        }
        assert_eq!(schedule.next(), Some(at + 30_010));
    }
    let (at, _) = round(&mut schedule, RoundEnd::Unchanged);
    schedule.handle(ScheduleEvent::Shown, at + 5000, 0.0);
    assert_eq!(schedule.next(), Some(at + 5000));
    assert_eq!(round(&mut schedule, RoundEnd::Unchanged).1, 30, "in sight again");
    // The interval grows at most 20 times, and never gets shorter than the user's.
    for (interval, longest) in [(1000, 20), (600_000, 600)] {
        let mut schedule = started(interval);
        schedule.handle(ScheduleEvent::Hidden, START, 0.0);
        let waits = (0..9).map(|_| round(&mut schedule, RoundEnd::Unchanged).1);
        assert_eq!(waits.last(), Some(longest));
    }
}

/// Returns the times of the first requests of 1,000 clients. `client` creates one from its number, 0 to 999, and a
/// source of random numbers.
fn first_requests(mut client: impl FnMut(u64, &mut dyn FnMut() -> f64) -> Schedule) -> Vec<u64> {
    let entropy = Sim::new(7).platform().entropy;
    let mut times: Vec<u64> =
        (0..1000).map(|number| client(number, &mut || entropy.chance()).next().expect("a round is to come")).collect();
    times.sort();
    times
}

fn assert_spread(times: &[u64], over_ms: u64) {
    let first = times[0];
    assert!(times[999] - first >= over_ms, "{} ms", times[999] - first);
    let most = (0..=(times[999] - first) / 1000)
        .map(|second| times.iter().filter(|at| (*at - first) / 1000 == second).count())
        .max();
    assert!(most < Some(150), "{most:?} of 1000 in one second");
}

#[test]
fn a_thousand_clients_that_come_back_at_once_spread_what_they_ask_for() {
    // The network returns for all clients, followed by different events.
    for then in [None, Some(ScheduleEvent::Written), Some(ScheduleEvent::Hint(Vec::new())), Some(ScheduleEvent::Shown)]
    {
        for has_failed in [false, true] {
            let times = first_requests(|number, chance| {
                let mut schedule = quiet(30_000);
                schedule.handle(ScheduleEvent::Offline, START + 10, chance());
                if has_failed {
                    schedule.take(START + 200_000).unwrap();
                    schedule.ended(RoundEnd::Failed, START + 200_000, chance());
                }
                schedule.handle(ScheduleEvent::Online, START + 600_000 + number, chance());
                if let Some(heard) = then.clone() {
                    schedule.handle(heard, START + 601_000, chance());
                }
                schedule
            });
            assert!(times[0] >= START + 600_000);
            assert_spread(&times, 10_000);
            assert!(times[999] <= START + 614_000, "soon all the same");
        }
    }
    // The server answers no client, for one to nine times.
    for failures in 1..10 {
        let times = first_requests(|number, chance| {
            let mut schedule = started(30_000);
            for failure in 1..=failures {
                schedule.take(START + 600_000 * failure).unwrap();
                schedule.ended(RoundEnd::Failed, START + 600_000 * failure + number, chance());
            }
            schedule
        });
        assert_spread(&times, 10_000);
    }
    // The server sends all clients the same `Retry-After` of a minute.
    let times = first_requests(|number, chance| {
        let mut schedule = started(30_000);
        schedule.take(START).unwrap();
        schedule.handle(ScheduleEvent::RetryAfter { ms: 60_000 }, START + number, chance());
        schedule.ended(RoundEnd::Failed, START + number, chance());
        schedule
    });
    assert!(times[0] >= START + 60_000);
    assert_spread(&times, 10_000);
    // All clients are stopped and started afterwards.
    let times = first_requests(|number, chance| {
        let mut schedule = started(30_000);
        schedule.take(START).unwrap();
        schedule.ended(RoundEnd::Failed, START, chance());
        schedule.handle(ScheduleEvent::Stopped, START + 1, chance());
        schedule.handle(ScheduleEvent::Started { interval_ms: 30_000 }, START + 50_000 + number, chance());
        schedule
    });
    assert_spread(&times, 10_000);
    // The platform never reports that the network has returned.
    let times = first_requests(|number, chance| {
        let mut schedule = quiet(30_000);
        schedule.handle(ScheduleEvent::Offline, START + number, chance());
        schedule
    });
    assert_spread(&times, 10_000);
}

#[test]
fn clients_that_began_together_drift_apart() {
    let times = first_requests(|_, chance| {
        let mut schedule = started(30_000);
        for _ in 0..5 {
            let at = schedule.next().unwrap();
            schedule.take(at).unwrap();
            schedule.ended(RoundEnd::Done, at, chance());
        }
        schedule
    });
    assert_spread(&times, 10_000);
}

#[test]
fn changes_that_wait_for_others_are_sent_again_while_the_rest_goes_on() {
    let mut schedule = quiet(3000);
    schedule.handle(ScheduleEvent::Written, START, 0.0);
    let mut at = START + 250;
    assert_eq!(schedule.take(at), Some(Round::Push));
    schedule.ended(RoundEnd::Kept, at, 0.0);
    assert_eq!(schedule.next(), Some(at + 1000));
    at += 1000;
    assert_eq!(schedule.take(at), Some(Round::Push));
    schedule.ended(RoundEnd::Kept, at, 0.0);
    assert_eq!(schedule.next(), Some(START + 3000), "the interval goes on");
    schedule.handle(ScheduleEvent::Written, at + 10, 0.0);
    assert_eq!(schedule.next(), Some(at + 260), "and so do writes");
}

#[test]
fn without_a_network_it_hardly_tries_and_with_it_it_tries_at_once() {
    let mut schedule = quiet(1000);
    schedule.handle(ScheduleEvent::Offline, START + 500, 0.0);
    schedule.handle(ScheduleEvent::Written, START + 600, 0.0);
    assert_eq!(schedule.next(), Some(START + 500 + OFFLINE));
    assert!(!schedule.handle(ScheduleEvent::Online, START + 7000, 0.0), "nothing is under way");
    assert_eq!(schedule.take(START + 7000), Some(Round::Full));
    assert!(!schedule.handle(ScheduleEvent::Online, START + 7100, 0.0), "said twice");
    schedule.handle(ScheduleEvent::Offline, START + 8000, 0.0);
    assert!(schedule.handle(ScheduleEvent::Online, START + 8200, 0.0), "what hangs is given up");
    schedule.ended(RoundEnd::Cancelled, START + 8200, 0.5);
    assert_eq!(schedule.take(START + 8200), Some(Round::Full));
    schedule.ended(RoundEnd::Done, START + 8300, 0.5);
    // The platform reports `offline` wrongly.
    schedule.handle(ScheduleEvent::Offline, START + 9000, 0.0);
    assert_eq!(schedule.take(START + 9000 + OFFLINE), Some(Round::Full));
    schedule.ended(RoundEnd::Done, START + 9000 + OFFLINE, 0.5);
    assert_eq!(schedule.next(), Some(START + 10_000 + OFFLINE), "a round went through all the same");
}

#[test]
fn a_page_that_is_shown_looks_at_the_remote() {
    let mut schedule = quiet(600_000);
    schedule.handle(ScheduleEvent::Shown, START + 10, 0.0);
    assert_eq!(schedule.next(), Some(START + 1000), "not again and again");
    schedule.handle(ScheduleEvent::Shown, START + 50_000, 0.0);
    assert_eq!(schedule.take(START + 50_000), Some(Round::Full));
}

#[test]
fn what_must_not_go_on_stops() {
    let mut schedule = started(1000);
    schedule.take(START);
    schedule.ended(RoundEnd::Refused, START + 10, 0.0);
    for heard in [ScheduleEvent::Written, ScheduleEvent::Online, ScheduleEvent::Shown, ScheduleEvent::Hint(Vec::new())]
    {
        schedule.handle(heard, START + 20, 0.0);
    }
    assert_eq!((schedule.is_started(), schedule.next()), (false, None));
    schedule.handle(ScheduleEvent::Started { interval_ms: 1000 }, START + 30, 0.0);
    assert_eq!(schedule.take(START + 30), Some(Round::Full));
}

#[derive(Clone, Debug)]
enum Step {
    Hear(ScheduleEvent, f64),
    End(RoundEnd, f64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let heard = prop_oneof![
        (1..100_000_u64).prop_map(|interval_ms| ScheduleEvent::Started { interval_ms }),
        Just(ScheduleEvent::Stopped),
        Just(ScheduleEvent::Online),
        Just(ScheduleEvent::Offline),
        Just(ScheduleEvent::Shown),
        Just(ScheduleEvent::Hidden),
        (0..400_000_u64).prop_map(|ms| ScheduleEvent::RetryAfter { ms }),
        Just(ScheduleEvent::Written),
        Just(ScheduleEvent::Written),
        prop::collection::vec("[ab]", 0..3).prop_map(ScheduleEvent::Hint),
    ];
    let end = prop_oneof![
        Just(RoundEnd::Done),
        Just(RoundEnd::Kept),
        Just(RoundEnd::Unchanged),
        Just(RoundEnd::Failed),
        Just(RoundEnd::Cancelled),
    ];
    prop_oneof![
        (heard, 0.0..1.0).prop_map(|(heard, chance)| Step::Hear(heard, chance)),
        (end, 0.0..1.0).prop_map(|(end, chance)| Step::End(end, chance)),
        (0..5000_u64).prop_map(Step::Pass),
        (0..300_000_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(draws(64, 256)))]

    #[test]
    fn whatever_happens_the_next_round_comes_and_never_too_early(steps in prop::collection::vec(step(), 1..200)) {
        let mut schedule = Schedule::default();
        let mut now = START;
        let (mut interval, mut under_way) = (None, false);
        // The end of the remote's `Retry-After`, and the latest end of all delays.
        let (mut wish, mut held) = (0, 0);
        let (mut written, mut offline, mut hidden, mut failing) = (None, false, false, false);
        for step in steps {
            match step {
                Step::Hear(heard, chance) => {
                    match &heard {
                        ScheduleEvent::Started { interval_ms } => {
                            if interval.is_none() && failing {
                                held = held.max(now + SPREAD);
                            }
                            interval = Some(*interval_ms);
                        }
                        ScheduleEvent::Stopped => {
                            // The result of the running round is ignored.
                            (interval, under_way, written) = (None, false, None);
                        }
                        ScheduleEvent::Offline => offline = true,
                        ScheduleEvent::Online => {
                            offline = false;
                            held = held.max(now + SPREAD);
                        }
                        ScheduleEvent::Hidden => hidden = true,
                        ScheduleEvent::Shown => hidden = false,
                        ScheduleEvent::RetryAfter { ms } => {
                            wish = wish.max(now + ms);
                            held = held.max(wish + SPREAD);
                        }
                        ScheduleEvent::Written if interval.is_some() => written = written.or(Some(now)),
                        _ => {}
                    }
                    let given_up = schedule.handle(heard, now, chance);
                    prop_assert!(!given_up || under_way);
                }
                Step::End(end, chance) => {
                    schedule.ended(end, now, chance);
                    if under_way {
                        match end {
                            RoundEnd::Failed => failing = true,
                            RoundEnd::Done | RoundEnd::Unchanged | RoundEnd::Kept => (offline, failing) = (false, false),
                            RoundEnd::Refused | RoundEnd::Cancelled => {}
                        }
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
                    let longest = if hidden { interval.max(HIDDEN) } else { interval };
                    prop_assert!(at <= now.max(held) + (longest + longest / 10).max(LONGEST), "it forgets to come again");
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
            // Without a delay, a write is pushed within a second.
            if let (Some(at), Some(since)) = (schedule.next(), written)
                && !offline && !failing
            {
                prop_assert!(at <= since.max(now).max(held) + 250);
            }
        }
    }
}

//! The schedule of automatic sync, as a pure rule: events go in, and the time and kind of the next round come out. The
//! caller has the clock.

use crate::{
    collections::Set,
    time::{Backoff, share},
};

/// The default interval from one round to the next, in milliseconds.
pub const INTERVAL_MS: u64 = 30_000;

/// Delay of a push after a local write, so that one push sends several writes.
const GATHER_MS: u64 = 250;
/// Delay of a pull after a hint, so that one pull reads several tables.
const HINT_MS: u64 = 200;
/// Minimum time from the end of a round to the one that a shown page starts.
const SHOWN_MS: u64 = 1000;
/// While rounds fail, a new write shortens the wait to this time after the last round.
const HASTE_MS: u64 = 5000;
/// The growing delays after failures.
const BACKOFF: Backoff = Backoff { first_ms: 1000, longest_ms: 120_000 };
/// The range of the jitter: failures and returning networks concern many clients at once.
const SPREAD_MS: u64 = 12_000;
/// The interval of a hidden page grows to the lesser of this and 20 times the interval. It is below the lag that
/// `health` warns of.
const HIDDEN_INTERVAL_MS: u64 = 240_000;
/// Interval of rounds while the platform reports no network. The report may be wrong, as a successful round shows.
const OFFLINE_MS: u64 = 120_000;
/// Platforms report a returning network more than once; later reports within this time are ignored.
const ONLINE_MS: u64 = 1000;
/// The retry budget of a change that violates a remote foreign key: it is sent again for this time in milliseconds, and
/// at least this often.
pub const RETRY_BUDGET: (f64, u32) = (120_000.0, 6);

/// Returns the delay after `failures` consecutive failures (from 1), in milliseconds: 500 that doubles up to 60,000.
/// Jitter by `chance` (0 to 1) adds up to the same again, or up to 12,000 if that is more.
pub fn backoff_ms(failures: u32, chance: f64) -> u64 {
    let least = BACKOFF.ms(failures) / 2;
    least + share(least.max(SPREAD_MS), chance)
}

/// Returns the delay after the network has returned, in milliseconds. `chance` is from 0 to 1.
pub fn return_ms(chance: f64) -> u64 {
    share(SPREAD_MS, chance)
}

/// An event of the schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScheduleEvent {
    /// Automatic sync starts, or continues with another interval.
    Started {
        /// Milliseconds from the end of one round to the next, at least 1.
        interval_ms: u64,
    },
    /// Automatic sync stops.
    Stopped,
    /// The network has returned.
    Online,
    /// The network is lost.
    Offline,
    /// A user has signed in.
    SignedIn,
    /// The page is visible again.
    Shown,
    /// The page is hidden.
    Hidden,
    /// Rows were written locally.
    Written,
    /// These tables changed remotely. An empty list: any may have changed.
    Hint(Vec<String>),
    /// `Retry-After` of any call, a round's or a user's.
    RetryAfter {
        /// Milliseconds.
        ms: u64,
    },
}

/// The kind of a round. One round runs at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// Push, then pull all tables.
    Full,
    /// Push.
    Push,
    /// Pull these tables. An empty list: all of them.
    Pull(Vec<String>),
}

/// The end of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoundEnd {
    /// Success.
    Done,
    /// Success, and no row changed remotely.
    Unchanged,
    /// Success, but for changes that wait for a missing remote row.
    Kept,
    /// Failure; a later round may succeed.
    Failed,
    /// Failure; no round may follow until automatic sync is started again.
    Refused,
    /// Cancelled in favour of another round.
    Cancelled,
}

/// The schedule of one database. Times are in milliseconds on a monotonic clock.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// `None`: automatic sync is stopped.
    interval_ms: Option<u64>,
    /// The time when the network was lost, plus jitter.
    offline: Option<u64>,
    /// The time when the network last returned.
    online: Option<u64>,
    hidden: bool,
    /// Number of consecutive full rounds without a change while the page was hidden.
    quiet: u32,
    busy: Option<Round>,
    full_at: u64,
    push_at: Option<u64>,
    pull_at: Option<u64>,
    /// The tables to pull then.
    hinted: Set<String>,
    hinted_all: bool,
    last_end: u64,
    failures: u32,
    /// Number of consecutive rounds that ended with [`RoundEnd::Kept`].
    kept: u32,
    /// The end of the delay after failures. Events that promise success shorten it.
    backoff_until: u64,
    /// No round begins earlier, whatever the events: by `Retry-After`, or by the jitter after the network returned.
    not_before: u64,
}

impl Schedule {
    /// Returns whether automatic sync is started.
    pub fn is_started(&self) -> bool {
        self.interval_ms.is_some()
    }

    /// Handles an event. Returns whether the running round should be cancelled, because a new one has better chances.
    /// `chance` (0 to 1) is the jitter.
    pub fn handle(&mut self, heard: ScheduleEvent, now: u64, chance: f64) -> bool {
        match heard {
            ScheduleEvent::Started { interval_ms } => self.start(interval_ms.max(1), now, chance),
            ScheduleEvent::Stopped => {
                let Self { offline, online, hidden, failures, not_before, .. } = *self;
                *self = Self { offline, online, hidden, failures, not_before, ..Self::default() };
            }
            ScheduleEvent::Offline => _ = self.offline.get_or_insert(now + share(SPREAD_MS, chance)),
            ScheduleEvent::Online => {
                self.offline = None;
                let again = self.online.replace(now).is_some_and(|before| now < before + ONLINE_MS);
                if self.is_started() && !again {
                    self.full_at = now;
                    self.backoff_until = now;
                    self.hold_back(now, chance);
                    // The requests of a running round hang, or wait for their next try.
                    return self.busy.is_some();
                }
            }
            ScheduleEvent::SignedIn if self.is_started() => {
                // What failed did so without this user.
                self.failures = 0;
                self.full_at = now;
                self.backoff_until = now;
                return self.busy.is_some();
            }
            ScheduleEvent::SignedIn => self.failures = 0,
            ScheduleEvent::Hidden => self.hidden = true,
            ScheduleEvent::RetryAfter { ms } => {
                self.not_before = self.not_before.max(now + ms.saturating_add(share(SPREAD_MS, chance)));
            }
            ScheduleEvent::Shown => {
                self.hidden = false;
                let at = now.max(self.last_end + SHOWN_MS);
                self.full_at = self.full_at.min(at);
                self.shorten_backoff(at);
            }
            _ if !self.is_started() => {}
            ScheduleEvent::Written => {
                self.push_by(now + GATHER_MS);
                self.shorten_backoff(now.max(self.last_end + HASTE_MS));
                self.end_quiet(now);
            }
            ScheduleEvent::Hint(tables) => {
                self.hinted_all |= tables.is_empty();
                self.hinted.extend(tables);
                self.pull_at.get_or_insert(now + HINT_MS);
                self.end_quiet(now);
            }
        }
        false
    }

    fn start(&mut self, interval_ms: u64, now: u64, chance: f64) {
        self.quiet = 0;
        match self.interval_ms.replace(interval_ms) {
            // A new interval doesn't delay a round that is due earlier.
            Some(_) => self.full_at = self.full_at.min(now + interval_ms),
            None => {
                self.full_at = now;
                if self.failures > 0 {
                    self.hold_back(now, chance);
                }
            }
        }
    }

    /// Delays the next round by jitter, since many clients see the same event at once. An existing delay isn't
    /// extended.
    fn hold_back(&mut self, now: u64, chance: f64) {
        if self.not_before <= now {
            self.not_before = now + return_ms(chance);
        }
    }

    fn push_by(&mut self, at: u64) {
        self.push_at = Some(self.push_at.map_or(at, |before| before.min(at)));
    }

    /// Shortens the delay after failures to this time.
    fn shorten_backoff(&mut self, at: u64) {
        if self.backoff_until > at {
            self.backoff_until = at;
            self.full_at = self.full_at.min(at);
        }
    }

    /// Returns to the user's interval, since rows change although the page is hidden.
    fn end_quiet(&mut self, now: u64) {
        if let (Some(interval_ms), 1..) = (self.interval_ms, self.quiet) {
            self.quiet = 0;
            self.full_at = self.full_at.min(now + interval_ms);
        }
    }

    /// Returns the time of the next round, or `None` while a round runs or automatic sync is stopped.
    pub fn next(&self) -> Option<u64> {
        if !self.is_started() || self.busy.is_some() {
            return None;
        }
        let wanted = [Some(self.full_at), self.push_at, self.pull_at].into_iter().flatten().min()?;
        let offline = self.offline.map_or(0, |since| since.max(self.last_end) + OFFLINE_MS);
        Some(wanted.max(self.backoff_until).max(self.not_before).max(offline))
    }

    /// Starts the round that is due, if any. It runs until [`Schedule::ended`].
    pub fn take(&mut self, now: u64) -> Option<Round> {
        if self.next()? > now {
            return None;
        }
        let round = if self.failures > 0 || self.full_at <= now {
            self.push_at = None;
            self.forget_hints();
            Round::Full
        } else if self.push_at.is_some_and(|at| at <= now) {
            self.push_at = None;
            Round::Push
        } else {
            let all = self.hinted_all;
            let tables = self.forget_hints();
            Round::Pull(tables.into_iter().filter(|_| !all).collect())
        };
        self.busy = Some(round.clone());
        Some(round)
    }

    fn forget_hints(&mut self) -> Set<String> {
        self.pull_at = None;
        self.hinted_all = false;
        std::mem::take(&mut self.hinted)
    }

    /// Notes the end of the running round. `chance` (0 to 1) is the jitter.
    pub fn ended(&mut self, end: RoundEnd, now: u64, chance: f64) {
        let Some(round) = self.busy.take() else { return };
        let Some(interval_ms) = self.interval_ms else { return };
        self.last_end = now;
        match end {
            RoundEnd::Done | RoundEnd::Unchanged | RoundEnd::Kept => {
                self.offline = None;
                self.failures = 0;
                self.backoff_until = 0;
                if round == Round::Full {
                    self.quiet = if self.hidden && end == RoundEnd::Unchanged { self.quiet + 1 } else { 0 };
                    // Jitter of 10 % in both directions, so that clients that began together drift apart.
                    let wait = self.stretched(interval_ms);
                    self.full_at = now + wait - wait / 10 + share(wait / 5, chance);
                }
                if !matches!(round, Round::Pull(_)) {
                    self.kept = if end == RoundEnd::Kept { self.kept + 1 } else { 0 };
                }
                if end == RoundEnd::Kept {
                    let wait = BACKOFF.ms(self.kept);
                    self.push_by(now + wait - share(wait / 2, chance));
                }
            }
            RoundEnd::Failed => {
                self.failures += 1;
                self.backoff_until = now + backoff_ms(self.failures, chance);
                self.full_at = self.backoff_until;
            }
            RoundEnd::Refused => {
                self.failures = 0;
                self.handle(ScheduleEvent::Stopped, now, chance);
            }
            RoundEnd::Cancelled => {
                // The work of the cancelled round is still to be done.
                self.full_at = self.full_at.min(now);
            }
        }
    }

    /// Returns the interval for a hidden page without changes: doubled with each quiet round.
    fn stretched(&self, interval_ms: u64) -> u64 {
        let longest = interval_ms.saturating_mul(20).min(HIDDEN_INTERVAL_MS).max(interval_ms);
        interval_ms.saturating_mul(1 << self.quiet.min(5)).min(longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_minutes() {
        let waits = |chance| (1..10).map(|failures| backoff_ms(failures, chance) / 500).collect::<Vec<u64>>();
        assert_eq!(waits(0.0), [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(waits(1.0), [25, 26, 28, 32, 40, 64, 128, 240, 240]);
    }
}

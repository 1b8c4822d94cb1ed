//! When a database that keeps in step with its remote does what. Pure: what happens goes in, and out comes at which time to begin
//! which round; the clock is whoever asks.

use crate::{
    collections::Set,
    time::{Backoff, share},
};

/// How long from one round to the next, unless the user says otherwise, in milliseconds.
pub const INTERVAL_MS: u64 = 30_000;

/// How long local writes are gathered before they are sent.
const GATHER_MS: u64 = 250;
/// How long hints are gathered before what they name is read.
const HINT_MS: u64 = 200;
/// A page that is shown again and again is not a reason to ask all the time.
const SHOWN_MS: u64 = 1000;
/// While rounds fail, a new write or a page that is shown is a reason to try again, but not more often.
const HASTE_MS: u64 = 5000;
/// Waits that grow by themselves.
const BACKOFF: Backoff = Backoff { first_ms: 1000, longest_ms: 120_000 };
/// What fails or comes back for one client often does for many at once: over so long they spread what they ask for then.
const SPREAD_MS: u64 = 12_000;
/// The interval of a page that is hidden grows to this, or to 20 times what it was. Less than the lag that `health` warns of.
const HIDDEN_INTERVAL_MS: u64 = 240_000;
/// The platform said that the network went: it may be wrong, which a round that succeeds shows.
const OFFLINE_MS: u64 = 120_000;
/// A network that comes is told more than once.
const ONLINE_MS: u64 = 1000;
/// So long, and at least so often, a change is sent again that the remote refuses because something else is missing there.
pub const PATIENCE: (f64, u32) = (120_000.0, 6);

/// How long to wait after so many failures (from 1 on), in milliseconds: half a second that doubles up to a minute, and chance (0 to
/// 1) adds as much again, but at least up to 12 seconds.
pub fn backoff_ms(failures: u32, chance: f64) -> u64 {
    let least = BACKOFF.ms(failures) / 2;
    least + share(least.max(SPREAD_MS), chance)
}

/// How long to wait once there is a network again. `chance`: 0 to 1.
pub fn return_ms(chance: f64) -> u64 {
    share(SPREAD_MS, chance)
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It is to keep in step from now on; again: with another interval.
    Started {
        /// Milliseconds from the end of one round to the next, at least 1.
        interval_ms: u64,
    },
    /// It is to rest.
    Stopped,
    /// There is a network again.
    Online,
    /// The network went.
    Offline,
    /// The page is in sight again.
    Shown,
    /// The page is out of sight.
    Hidden,
    /// Something was written locally.
    Written,
    /// These tables changed remotely; none named: any may have.
    Hint(Vec<String>),
    /// The remote asked any call, a round's or a user's own, not to come again before this time is over.
    RetryAfter {
        /// Milliseconds.
        ms: u64,
    },
}

/// What is to be done, one at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// Push, then pull everything.
    Full,
    /// Push.
    Push,
    /// Pull these tables; none named: all.
    Pull(Vec<String>),
}

/// How a round ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// All is done.
    Done,
    /// All is done, and the remote had nothing new.
    Unchanged,
    /// All is done but for changes that wait for something else to be there.
    Kept,
    /// It failed, and may succeed later.
    Failed,
    /// It must not be tried again before somebody has decided so.
    Refused,
    /// It was given up, for the sake of another one.
    GivenUp,
}

/// The schedule of one database. Times are milliseconds on a clock that only grows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// `None`: it rests.
    interval_ms: Option<u64>,
    /// When the network went, and somewhat later by chance.
    offline: Option<u64>,
    /// When it last came.
    online: Option<u64>,
    hidden: bool,
    /// Full rounds in a row that found nothing new while the page was hidden.
    quiet: u32,
    busy: Option<Round>,
    full_at: u64,
    push_at: Option<u64>,
    pull_at: Option<u64>,
    /// What to pull then; none named: all.
    hinted: Set<String>,
    hinted_all: bool,
    last_end: u64,
    failures: u32,
    /// Rounds in a row after which changes were kept.
    kept: u32,
    /// When the wait after failures ends, which whatever promises success shortens.
    backoff_until: u64,
    /// Nothing begins before that, whatever happens: the remote asked for it, or many clients come back at the same time.
    not_before: u64,
}

impl Schedule {
    /// Whether it keeps in step.
    pub fn is_started(&self) -> bool {
        self.interval_ms.is_some()
    }

    /// Takes in what happens; whether the round under way should be given up, because one that begins later has better chances.
    /// `chance` (0 to 1) spreads many clients.
    pub fn hear(&mut self, heard: Heard, now: u64, chance: f64) -> bool {
        match heard {
            Heard::Started { interval_ms } => self.start(interval_ms.max(1), now, chance),
            Heard::Stopped => {
                let Self { offline, online, hidden, failures, not_before, .. } = *self;
                *self = Self { offline, online, hidden, failures, not_before, ..Self::default() };
            }
            Heard::Offline => _ = self.offline.get_or_insert(now + share(SPREAD_MS, chance)),
            Heard::Online => {
                self.offline = None;
                let again = self.online.replace(now).is_some_and(|before| now < before + ONLINE_MS);
                if self.is_started() && !again {
                    self.full_at = now;
                    self.backoff_until = now;
                    self.hold_back(now, chance);
                    // Its requests hang, or wait for their next try.
                    return self.busy.is_some();
                }
            }
            Heard::Hidden => self.hidden = true,
            Heard::RetryAfter { ms } => {
                self.not_before = self.not_before.max(now + ms.saturating_add(share(SPREAD_MS, chance)));
            }
            Heard::Shown => {
                self.hidden = false;
                let at = now.max(self.last_end + SHOWN_MS);
                self.full_at = self.full_at.min(at);
                self.hasten(at);
            }
            _ if !self.is_started() => {}
            Heard::Written => {
                self.push_by(now + GATHER_MS);
                self.hasten(now.max(self.last_end + HASTE_MS));
                self.end_quiet(now);
            }
            Heard::Hint(tables) => {
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
            // Another interval is no reason to put off what is due.
            Some(_) => self.full_at = self.full_at.min(now + interval_ms),
            None => {
                self.full_at = now;
                if self.failures > 0 {
                    self.hold_back(now, chance);
                }
            }
        }
    }

    /// Spreads many clients for which something ends at the same moment; who is held back already isn't for longer.
    fn hold_back(&mut self, now: u64, chance: f64) {
        if self.not_before <= now {
            self.not_before = now + return_ms(chance);
        }
    }

    fn push_by(&mut self, at: u64) {
        self.push_at = Some(self.push_at.map_or(at, |before| before.min(at)));
    }

    /// Lets a new try begin at that time, although rounds have failed.
    fn hasten(&mut self, at: u64) {
        if self.backoff_until > at {
            self.backoff_until = at;
            self.full_at = self.full_at.min(at);
        }
    }

    /// Something goes on, although the page is hidden: the interval is the user's again.
    fn end_quiet(&mut self, now: u64) {
        if let (Some(interval_ms), 1..) = (self.interval_ms, self.quiet) {
            self.quiet = 0;
            self.full_at = self.full_at.min(now + interval_ms);
        }
    }

    /// When the next round is to begin; `None` while one is under way, and while it rests.
    pub fn next(&self) -> Option<u64> {
        if !self.is_started() || self.busy.is_some() {
            return None;
        }
        let wanted = [Some(self.full_at), self.push_at, self.pull_at].into_iter().flatten().min()?;
        let offline = self.offline.map_or(0, |since| since.max(self.last_end) + OFFLINE_MS);
        Some(wanted.max(self.backoff_until).max(self.not_before).max(offline))
    }

    /// The round that is to begin now, if any: it is under way until [`Schedule::ended`].
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

    /// The round under way has ended. `chance` (0 to 1) spreads the tries of many clients.
    pub fn ended(&mut self, end: End, now: u64, chance: f64) {
        let Some(round) = self.busy.take() else { return };
        let Some(interval_ms) = self.interval_ms else { return };
        self.last_end = now;
        match end {
            End::Done | End::Unchanged | End::Kept => {
                self.offline = None;
                self.failures = 0;
                self.backoff_until = 0;
                if round == Round::Full {
                    self.quiet = if self.hidden && end == End::Unchanged { self.quiet + 1 } else { 0 };
                    // A tenth more or less: clients that began together drift apart.
                    let wait = self.stretched(interval_ms);
                    self.full_at = now + wait - wait / 10 + share(wait / 5, chance);
                }
                if !matches!(round, Round::Pull(_)) {
                    self.kept = if end == End::Kept { self.kept + 1 } else { 0 };
                }
                if end == End::Kept {
                    let wait = BACKOFF.ms(self.kept);
                    self.push_by(now + wait - share(wait / 2, chance));
                }
            }
            End::Failed => {
                self.failures += 1;
                self.backoff_until = now + backoff_ms(self.failures, chance);
                self.full_at = self.backoff_until;
            }
            End::Refused => {
                self.failures = 0;
                self.hear(Heard::Stopped, now, chance);
            }
            End::GivenUp => {
                // What it was to do is still to be done.
                self.full_at = self.full_at.min(now);
            }
        }
    }
    /// The interval of a page that nobody looks at, and for which nothing changes.
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

//! When a database that keeps in step with its remote does what. Pure: what happens goes in, and out comes at which time to begin
//! which round; the clock is whoever asks.

use crate::collections::Set;

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
/// The longest wait that grows by itself.
const LONGEST_BACKOFF_MS: u64 = 120_000;
/// The platform said that the network went: it may be wrong, which a round that succeeds shows.
const OFFLINE_MS: u64 = 120_000;
/// A network that comes is told more than once.
const ONLINE_MS: u64 = 1000;
/// So long, and at least so often, a change is sent again that the remote refuses because something else is missing there.
pub const PATIENCE: (f64, u32) = (120_000.0, 6);

/// How long to wait after so many failures (from 1 on), in milliseconds: doubling from a second to two minutes, of which chance (0 to
/// 1) takes up to a half, so that many clients don't come back at once.
pub fn backoff_ms(failures: u32, chance: f64) -> u64 {
    let full = 1000_u64.saturating_mul(1 << failures.saturating_sub(1).min(7)).min(LONGEST_BACKOFF_MS);
    full - (full as f64 / 2.0 * chance.clamp(0.0, 1.0)) as u64
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
    /// Something was written locally.
    Written,
    /// These tables changed remotely; none named: any may have.
    Hint(Vec<String>),
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
    /// All is done but for changes that wait for something else to be there.
    Kept,
    /// It failed, and may succeed later.
    Failed {
        /// How long the remote wishes not to be asked.
        retry_after_ms: Option<u64>,
    },
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
    /// When the network went.
    offline: Option<u64>,
    /// When it last came.
    online: Option<u64>,
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
    /// Nothing begins before that.
    not_before: u64,
    /// It was the remote that said so.
    firm: bool,
}

impl Schedule {
    /// Whether it keeps in step.
    pub fn is_started(&self) -> bool {
        self.interval_ms.is_some()
    }

    /// Takes in what happens; whether the round under way should be given up, because one that begins now has better chances.
    pub fn hear(&mut self, heard: Heard, now: u64) -> bool {
        match heard {
            Heard::Started { interval_ms } => self.start(interval_ms.max(1), now),
            Heard::Stopped => {
                let (offline, online) = (self.offline, self.online);
                *self = Self { offline, online, ..Self::default() };
            }
            Heard::Offline => _ = self.offline.get_or_insert(now),
            Heard::Online => {
                self.offline = None;
                let again = self.online.replace(now).is_some_and(|before| now < before + ONLINE_MS);
                if self.is_started() && !again {
                    self.full_at = now;
                    self.hasten(now);
                    // Its requests hang, or wait for their next try.
                    return self.busy.is_some();
                }
            }
            _ if !self.is_started() => {}
            Heard::Shown => {
                self.full_at = self.full_at.min(now.max(self.last_end + SHOWN_MS));
                self.hasten(now.max(self.last_end + SHOWN_MS));
            }
            Heard::Written => {
                self.push_by(now + GATHER_MS);
                self.hasten(now.max(self.last_end + HASTE_MS));
            }
            Heard::Hint(tables) => {
                self.hinted_all |= tables.is_empty();
                self.hinted.extend(tables);
                self.pull_at.get_or_insert(now + HINT_MS);
            }
        }
        false
    }

    fn start(&mut self, interval_ms: u64, now: u64) {
        match self.interval_ms.replace(interval_ms) {
            None => self.full_at = now,
            // The next one is as far from the last one as it would have been with this interval; what is due stays so.
            Some(before) if self.full_at > now && self.failures == 0 => {
                self.full_at = (self.full_at + interval_ms).saturating_sub(before).max(now);
            }
            Some(_) => {}
        }
    }

    fn push_by(&mut self, at: u64) {
        self.push_at = Some(self.push_at.map_or(at, |before| before.min(at)));
    }

    /// Lets a new try begin at that time, unless the remote asked for patience.
    fn hasten(&mut self, at: u64) {
        if !self.firm && self.not_before > at {
            self.not_before = at;
            if self.failures > 0 {
                self.full_at = self.full_at.min(at);
            }
        }
    }

    /// When the next round is to begin; `None` while one is under way, and while it rests.
    pub fn next(&self) -> Option<u64> {
        if !self.is_started() || self.busy.is_some() {
            return None;
        }
        let wanted = [Some(self.full_at), self.push_at, self.pull_at].into_iter().flatten().min()?;
        let offline = self.offline.map_or(0, |since| since.max(self.last_end) + OFFLINE_MS);
        Some(wanted.max(self.not_before).max(offline))
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
            End::Done | End::Kept => {
                self.offline = None;
                self.failures = 0;
                self.not_before = 0;
                self.firm = false;
                if round == Round::Full {
                    self.full_at = now + interval_ms;
                }
                if !matches!(round, Round::Pull(_)) {
                    self.kept = if end == End::Kept { self.kept + 1 } else { 0 };
                }
                if end == End::Kept {
                    self.push_by(now + backoff_ms(self.kept, chance));
                }
            }
            End::Failed { retry_after_ms } => {
                self.failures += 1;
                let wait = backoff_ms(self.failures, chance).max(retry_after_ms.unwrap_or_default());
                self.firm = retry_after_ms.is_some();
                self.not_before = now + wait;
                self.full_at = self.not_before;
            }
            End::Refused => _ = self.hear(Heard::Stopped, now),
            End::GivenUp => {
                // What it was to do is still to be done.
                self.full_at = self.full_at.min(now);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_two_minutes() {
        let waits: Vec<u64> = (1..10).map(|failures| backoff_ms(failures, 0.0) / 1000).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 120, 120]);
        assert_eq!(backoff_ms(2, 1.0), 1000);
    }
}

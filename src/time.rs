//! Timestamps as ISO 8601 UTC text, and backoff delays. Nothing here reads a clock: that is a port.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Milliseconds since 1970-01-01T00:00:00Z; shown as `2026-11-20T07:19:57.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// Delays between retries, which double.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first delay in milliseconds.
    pub first_ms: u64,
    /// The longest delay in milliseconds.
    pub longest_ms: u64,
}

impl Backoff {
    /// Returns the delay in milliseconds after that many failures (from 1).
    pub fn ms(self, failures: u32) -> u64 {
        self.first_ms.saturating_mul(1 << (failures.clamp(1, 32) - 1)).min(self.longest_ms)
    }
}

/// Returns the fraction `chance` (0 to 1) of `ms` milliseconds. Random delays keep clients from retrying all at once.
pub fn share(ms: u64, chance: f64) -> u64 {
    (ms as f64 * chance.clamp(0.0, 1.0)) as u64
}

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

impl Timestamp {
    /// Returns the time `ms` milliseconds later (or earlier, when negative); saturates.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds from `earlier` to this time; negative when `earlier` lies after it.
    pub fn since(self, earlier: Timestamp) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Parses what [`fmt::Display`] writes, also with `+hh:mm` offsets, a space instead of `T`, and up to nine
    /// fractional digits (cut to milliseconds). Returns `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let number = |from: usize, to: usize| -> Option<i64> {
            let digits = bytes.get(from..to)?;
            digits.iter().try_fold(0, |sum, digit| digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0')))
        };
        let is = |at: usize, set: &[u8]| bytes.get(at).is_some_and(|byte| set.contains(byte));
        if !(is(4, b"-") && is(7, b"-") && is(10, b"T t") && is(13, b":") && is(16, b":")) {
            return None;
        }
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let (mut at, mut ms) = (19, 0);
        if is(at, b".") {
            let digits = bytes[at + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            if digits == 0 || digits > 9 {
                return None;
            }
            let kept = digits.min(3);
            ms = number(at + 1, at + 1 + kept)? * 10_i64.pow(3 - kept as u32);
            at += 1 + digits;
        }
        let offset_minutes = match &bytes[at..] {
            b"Z" | b"z" => 0,
            [sign @ (b'+' | b'-'), rest @ ..] => {
                let minutes = match rest.len() {
                    2 => number(at + 1, at + 3)? * 60,
                    4 => number(at + 1, at + 3)? * 60 + number(at + 3, at + 5)?,
                    5 if rest[2] == b':' => number(at + 1, at + 3)? * 60 + number(at + 4, at + 6)?,
                    _ => return None,
                };
                if *sign == b'-' { -minutes } else { minutes }
            }
            _ => return None,
        };
        let seconds = ((hour * 60 + minute - offset_minutes) * 60) + second;
        Some(Self(days_from_civil(year, month, day) * DAY_MS + seconds * 1000 + ms))
    }

    /// Parses a timestamp; one without a time zone counts as UTC. For comparing times of the same column only.
    pub(crate) fn parse_or_utc(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| Self::parse(&format!("{text}Z")))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let (year, month, day) = civil_from_days(days);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1000)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Timestamp::parse(&text).ok_or_else(|| de::Error::custom("the text is no time such as 2026-11-20T07:19:57Z"))
    }
}

/// Returns the days since the epoch of a proleptic Gregorian date, after Howard Hinnant's "chrono-Compatible Low-Level
/// Date Algorithms" (`days_from_civil`).
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Inverts [`days_from_civil`], from the same source (`civil_from_days`).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::Timestamp;

    #[test]
    fn shows_and_reads_the_same_time() {
        for ms in [0, 1, -1, 951_782_400_000, 1_795_159_197_123, -62_135_596_800_000, 253_402_300_799_999] {
            let shown = Timestamp(ms).to_string();
            assert_eq!(Timestamp::parse(&shown), Some(Timestamp(ms)), "{shown}");
        }
        assert_eq!(Timestamp(951_782_400_000).to_string(), "2000-02-29T00:00:00.000Z");
    }

    #[test]
    fn reads_what_postgres_writes() {
        let expected = Timestamp::parse("2026-01-02T03:04:05.678Z");
        assert!(expected.is_some());
        for text in ["2026-01-02T05:04:05.678901+02:00", "2026-01-01 21:04:05.678-06", "2026-01-02T03:04:05.678+0000"] {
            assert_eq!(Timestamp::parse(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in
            ["", "infinity", "2026-01-02", "2026-13-02T03:04:05Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05.Z"]
        {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }
}

//! The delay before a request is sent again.

use crate::time::{Backoff, Timestamp, share};

/// A longer `Retry-After` is reduced to this: it may be a mistake of a proxy, and automatic sync would wait for it.
const LONGEST_WISH_MS: u64 = 3_600_000;

/// Returns the delay that a `Retry-After` header asks for, in milliseconds; `None` for a header that can't be read.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<u64> {
    let ms = match text.trim().parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1000),
        Err(_) => u64::try_from(http_date(text)?.since(now)).unwrap_or(0),
    };
    Some(ms.min(LONGEST_WISH_MS))
}

/// Parses the date of an HTTP header: `Fri, 20 Nov 2026 07:37:17 GMT`.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace().skip(1);
    let (day, month, year, time) = (words.next()?, words.next()?, words.next()?, words.next()?);
    if words.next() != Some("GMT") {
        return None;
    }
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day:0>2}T{time}Z"))
}

/// Returns the delay before the next try, in milliseconds. It doubles from 500 to 30,000; jitter by `chance` (0 to 1)
/// removes up to a half, so that many clients don't retry together.
pub fn backoff_ms(attempt: u32, chance: f64) -> u64 {
    let full = Backoff { first_ms: 500, longest_ms: 30_000 }.ms(attempt + 1);
    full - share(full / 2, chance)
}

#[cfg(test)]
mod tests {
    use super::{backoff_ms, http_date, retry_after};
    use crate::time::Timestamp;

    #[test]
    fn wishes_of_the_server_are_limited() {
        let wish = |text| retry_after(text, Timestamp(0));
        assert_eq!(wish("99999999999"), Some(3_600_000));
        assert_eq!(wish("Fri, 31 Dec 9999 23:59:59 GMT"), Some(3_600_000));
    }

    #[test]
    fn waits_double_up_to_half_a_minute() {
        let waits: Vec<u64> = (0..8).map(|attempt| backoff_ms(attempt, 0.0)).collect();
        assert_eq!(waits, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
        assert_eq!(backoff_ms(1, 1.0), 500);
    }

    #[test]
    fn dates_of_headers_are_read() {
        let expected = Timestamp::parse("2026-11-20T07:37:17Z");
        assert_eq!(http_date("Fri, 20 Nov 2026 07:37:17 GMT"), expected);
        assert_eq!(http_date("Fri, 20 Foo 2026 07:37:17 GMT"), None);
        assert_eq!(http_date(""), None);
    }
}

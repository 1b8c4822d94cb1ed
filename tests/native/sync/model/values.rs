//! The types of the model's columns: the values that they accept, and the server's spelling of them.

use std::cmp::Ordering;

use tidelock::Timestamp;

/// The type of a remote column.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Accepts every value as it is sent.
    #[default]
    Any,
    Integer,
    Text,
    Uuid,
    Date,
    Boolean,
    /// A number with this many digits after the decimal point.
    Numeric(usize),
}

impl Kind {
    /// Returns the stored JSON of a sent JSON value; `None` if the type refuses it.
    pub fn store(self, json: &str) -> Option<String> {
        if json == "null" || self == Self::Any {
            return Some(json.to_owned());
        }
        let text = plain(json);
        match self {
            Self::Any => None,
            Self::Integer => text.parse::<i64>().ok().map(|value| value.to_string()),
            Self::Text => Some(string(&text)),
            Self::Uuid => is_uuid(&text).then(|| string(&text.to_ascii_lowercase())),
            Self::Date => date(&text).map(|text| string(&text)),
            Self::Boolean => matches!(text.as_str(), "true" | "false").then(|| text.clone()),
            Self::Numeric(digits) => text.parse::<f64>().ok().map(|value| format!("{value:.digits$}")),
        }
    }

    /// Returns the stored JSON of a filter's value.
    pub fn filter(self, text: &str) -> Option<String> {
        if self == Self::Any { Some(text.to_owned()) } else { self.store(&string(text)) }
    }
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text
            .char_indices()
            .all(|(at, c)| if matches!(at, 8 | 13 | 18 | 23) { c == '-' } else { c.is_ascii_hexdigit() })
}

/// Parses a date: `2026-1-2` and `20260102` are 2026-01-02.
fn date(text: &str) -> Option<String> {
    let parts: Vec<&str> = match text.len() {
        8 if text.bytes().all(|byte| byte.is_ascii_digit()) => vec![&text[..4], &text[4..6], &text[6..]],
        _ => text.split('-').collect(),
    };
    let [year, month, day] = parts.as_slice() else { return None };
    let (year, month, day) = (year.parse::<u32>().ok()?, month.parse::<u32>().ok()?, day.parse::<u32>().ok()?);
    Some(format!("{year:04}-{month:02}-{day:02}"))
}

/// Returns a JSON string.
pub fn string(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Returns the text of a JSON string; other JSON unchanged.
pub fn plain(json: &str) -> String {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => json.to_owned(),
    }
}

/// Compares two JSON values: numbers as numbers, others as text, NULL last.
pub fn compare(a: &str, b: &str) -> Ordering {
    // Most rows are compared with a value that they have, and the rest is slow in an unoptimised program.
    if a == b {
        return Ordering::Equal;
    }
    if let (Ok(a), Ok(b)) = (a.parse::<i64>(), b.parse::<i64>()) {
        return a.cmp(&b);
    }
    if let (Ok(a), Ok(b)) = (a.parse::<f64>(), b.parse::<f64>()) {
        return a.total_cmp(&b);
    }
    (a == "null").cmp(&(b == "null")).then_with(|| moment(&plain(a)).cmp(&moment(&plain(b))))
}

/// Returns a timestamp in a normal form, to the microsecond; other text unchanged. One without a time zone is compared with others by what
/// the clock shows.
fn moment(text: &str) -> String {
    match Timestamp::parse(text).or_else(|| Timestamp::parse(&format!("{text}Z"))) {
        Some(time) => {
            let fraction =
                text.split_once('.').map_or("", |(_, rest)| rest).trim_end_matches(|c: char| !c.is_ascii_digit());
            let digits: String = fraction.chars().take_while(char::is_ascii_digit).collect();
            format!("{:020} {digits:0<6}", time.0.div_euclid(1000))
        }
        None => text.to_owned(),
    }
}

//! Keys, tokens and header values: checked before use, and masked in texts from outside.
//!
//! `pkg-js/src/remote/secrets.ts` applies the same rules to requests without an engine (a seed, `doctor`, an upload),
//! before any wasm is loaded; it also masks URLs. `tests/fixtures/credentials.json` keeps the two in agreement.

use super::{jwt, options::RemoteOptions};
use crate::error::{Error, Result};

/// Headers that describe the request, not its sender.
const NO_SECRETS: [&str; 6] = ["accept", "accept-profile", "content-profile", "content-type", "prefer", "user-agent"];

/// The shortest secret, in bytes: masking shorter texts would blot out ordinary words.
const SHORTEST: usize = 4;
/// Secrets shorter than this, in bytes, are masked only as whole words.
const SHORTEST_ANYWHERE: usize = 8;
/// The longest text from outside that is kept, in characters.
const LONGEST_TEXT: usize = 1000;

const MASK: &str = "***";

/// Checks the key and the headers of the option. Fails with `invalid_argument`; the error never contains a value.
pub fn check_options(options: &RemoteOptions) -> Result<()> {
    let key = &options.key;
    if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::invalid("remote.key is empty, or contains whitespace or non-ASCII characters")
            .hint("Use the project's publishable key"));
    }
    check("remote.key", key, options.secrets_allowed)?;
    for (name, value) in &options.headers {
        if name.is_empty()
            || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
        {
            return Err(Error::invalid("remote.headers has a name that no header can have")
                .hint("A name has letters, digits and hyphens"));
        }
        check(&format!("remote.headers['{name}']"), value, options.secrets_allowed)?;
    }
    Ok(())
}

/// Checks a token before use. Fails with `invalid_argument`; the error never contains the token.
pub fn check_token(token: Option<String>, secrets_allowed: bool) -> Result<Option<String>> {
    if let Some(token) = &token {
        check("The token of accessToken()", token, secrets_allowed)?;
    }
    Ok(token)
}

fn check(what: &str, value: &str, secrets_allowed: bool) -> Result<()> {
    // What `fetch` accepts: Latin-1 without line ends.
    let unfit = |char: char| char.is_control() && char != '\t' || char > '\u{ff}';
    if let Some(at) = value.chars().position(unfit) {
        return Err(Error::invalid(format!("{what} has a character that no header can have, at position {}", at + 1))
            .hint(
                "Trim what is read from a file or from the environment: a line break at its end is such a character",
            ));
    }
    if !secrets_allowed && value.split_ascii_whitespace().any(is_secret) {
        return Err(Error::invalid(format!(
            "{what} is a secret key: anyone who opens the page could read and change all data"
        ))
        .hint("Use the publishable (anon) key here, and make a new secret key if this one was published"));
    }
    Ok(())
}

/// Returns whether a text is a secret key, which gives access to all data.
fn is_secret(text: &str) -> bool {
    text.starts_with("sb_secret_") || jwt::claim(text, "role").as_deref() == Some("service_role")
}

/// Whether a character controls a terminal or the direction of text; not a line break.
fn controls(char: char) -> bool {
    char.is_control() && char != '\n'
        || matches!(char, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The secrets that are sent with requests, to be masked in texts that come back.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Collects the secrets of the option.
    pub fn new(options: &RemoteOptions) -> Self {
        let mut secrets = Self::default();
        secrets.add(&options.key);
        let headers = options.headers.iter();
        headers
            .filter(|(name, _)| !NO_SECRETS.contains(&&*name.to_ascii_lowercase()))
            .for_each(|(_, value)| secrets.add(value));
        secrets
    }

    /// Adds a secret and each of its words, for example the token after `Bearer`.
    pub fn add(&mut self, secret: &str) {
        for text in [secret].into_iter().chain(secret.split_ascii_whitespace()) {
            if text.len() >= SHORTEST
                && !matches!(text, "Bearer" | "Basic")
                && !self.0.iter().any(|known| known == text)
            {
                self.0.push(text.to_owned());
            }
        }
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// Masks a text from outside so that it may be kept and shown: limits its length, replaces these secrets and
    /// other tokens and keys that have a known form, and characters that control a terminal or the direction of text.
    pub fn mask(&self, text: &str) -> String {
        let mut masked = text.to_owned();
        for secret in &self.0 {
            masked = without(&masked, secret);
        }
        let is_token = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        let mut shown = String::with_capacity(masked.len());
        for word in masked.split_inclusive(|char| !is_token(char)) {
            let token = word.trim_end_matches(|char| !is_token(char)).trim_end_matches('.').trim_start_matches('.');
            let at = word.len() - word.trim_start_matches('.').len();
            let known = jwt::is_jwt(token) || token.starts_with("sb_secret_");
            shown.push_str(&word[..at]);
            shown.push_str(if known { MASK } else { token });
            shown.push_str(&word[at + token.len()..]);
        }
        // A secret may have a tab.
        let mut shown = shown.replace(controls, " ");
        if let Some((end, _)) = shown.char_indices().nth(LONGEST_TEXT) {
            shown.truncate(end);
            shown.push('…');
        }
        shown
    }

    /// Masks the message and the cause of an error, so that it may be kept and shown.
    pub fn mask_error(&self, mut error: Error) -> Error {
        error.message = self.mask(&error.message);
        error.cause = error.cause.as_deref().map(|cause| self.mask(cause));
        error
    }
}

fn is_word(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '_'
}

/// Replaces each occurrence of the secret by the mask, also in other case, as in a host.
fn without(text: &str, secret: &str) -> String {
    let (lower_text, lower_secret) = (text.to_ascii_lowercase(), secret.to_ascii_lowercase());
    let in_word = |char: Option<char>| secret.len() < SHORTEST_ANYWHERE && char.is_some_and(is_word);
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for (at, _) in lower_text.match_indices(&*lower_secret) {
        let (before, behind) = (&text[done..at], &text[at + secret.len()..]);
        masked.push_str(before);
        let last = before.chars().next_back().or_else(|| masked.chars().next_back());
        let is_part = in_word(last) || in_word(behind.chars().next());
        masked.push_str(if is_part { &text[at..at + secret.len()] } else { MASK });
        done = at + secret.len();
    }
    masked.push_str(&text[done..]);
    masked
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(key: &str, headers: &str, secrets_allowed: bool) -> RemoteOptions {
        let key = serde_json::to_string(key).unwrap();
        let json = format!(
            r#"{{"url":"https://x.supabase.co","key":{key},"headers":{headers},"secretsAllowed":{secrets_allowed},"tables":[]}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    fn table() -> serde_json::Value {
        serde_json::from_str(include_str!("../../../tests/fixtures/credentials.json")).unwrap()
    }

    fn texts(value: &serde_json::Value) -> Vec<String> {
        value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    fn headers(name: &str, value: &str) -> String {
        serde_json::to_string(&std::collections::BTreeMap::from([(name, value)])).unwrap()
    }

    #[test]
    fn secret_keys_are_refused_in_a_page_on_every_way_in() {
        let table = table();
        for secret in texts(&table["secret"]) {
            let header = headers("x-key", &secret);
            for refused in [
                check_options(&options(&secret, "{}", false)),
                check_options(&options("k", &header, false)),
                check_token(Some(secret.clone()), false).map(drop),
            ] {
                let error = refused.unwrap_err();
                assert_eq!(error.code.as_str(), "invalid_argument");
                assert!(!error.to_string().contains(&secret), "{error}");
            }
            check_options(&options("k", &header, true)).unwrap();
        }
        for fine in texts(&table["public"]) {
            check_options(&options("k", &headers("x-key", &fine), false)).unwrap();
            check_token(Some(fine), false).unwrap();
        }
    }

    #[test]
    fn invalid_header_values_are_refused_without_showing_them() {
        let table = table();
        for value in texts(&table["unfit"]) {
            let error = check_options(&options("k", &headers("x-key", &value), true)).unwrap_err();
            assert_eq!(error.message, "remote.headers['x-key'] has a character that no header can have, at position 7");
            let error = check_token(Some(value), true).unwrap_err();
            assert!(error.message.starts_with("The token of accessToken() has a character"), "{error}");
        }
        for name in texts(&table["unfitNames"]) {
            assert!(check_options(&options("k", &headers(&name, "v"), true)).is_err(), "{name}");
        }
        for value in texts(&table["fit"]) {
            check_options(&options("k", &headers("x-client", &value), true)).unwrap();
        }
        for key in ["", "a b", "a\n"] {
            assert!(check_options(&options(key, "{}", true)).is_err(), "{key}");
        }
    }

    #[test]
    fn texts_from_outside_are_masked() {
        let table = table();
        let key = table["headers"]["apikey"].as_str().unwrap();
        let mut secrets = Secrets::new(&options(key, &table["headers"].to_string(), true));
        for pair in table["masked"].as_array().unwrap() {
            let [text, masked] = &*texts(pair) else { panic!("{pair}") };
            assert_eq!(secrets.mask(text), *masked);
        }
        assert_eq!(secrets.mask(&"ä".repeat(2000)).chars().count(), LONGEST_TEXT + 1);
        secrets.add("opaque-token");
        let error = secrets.mask_error(Error::invalid("opaque-token").cause("opaque-token"));
        assert_eq!((error.message.as_str(), error.cause.as_deref()), ("***", Some("***")));
    }
}

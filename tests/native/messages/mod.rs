//! Every message that the crate can produce natively, as a user reads it. Each is caused by the real mistake.
//!
//! Each file here is one area; its messages are compared with `tests/messages/golden/native-<area>.txt`, which
//! `UPDATE_GOLDEN=1` writes. `tests/messages/rules.test.mjs` checks the rules that all messages follow.

mod api;
mod engine;
mod meanwhile;
mod migrations;
mod options;
mod sql;
mod store;
mod sync;

use std::{fmt::Write, fs, path::PathBuf};

use serde_json::Value;
use tidelock::Error;

/// The errors of one area, in order.
pub struct Shown {
    area: &'static str,
    text: String,
}

impl Shown {
    pub fn of(area: &'static str) -> Self {
        Self { area, text: String::new() }
    }

    /// Adds an error under a title, the action that caused it.
    pub fn add(&mut self, done: &str, error: &Error) {
        assert!(!self.text.contains(&format!("# {done}\n")), "{done}: shown twice");
        writeln!(self.text, "# {done}\n{}: {}", error.code, error.message).unwrap();
        if let Some(hint) = &error.hint {
            writeln!(self.text, "  hint: {hint}").unwrap();
        }
        let details = keys(&serde_json::to_value(&error.details).unwrap());
        if !details.is_empty() {
            writeln!(self.text, "  details: {details}").unwrap();
        }
        if let Some(cause) = &error.cause {
            writeln!(self.text, "  cause: {cause}").unwrap();
        }
        self.text.push('\n');
    }

    /// Adds the error of a call that must fail.
    pub fn fails<T>(&mut self, done: &str, result: tidelock::Result<T>) {
        match result {
            Ok(_) => panic!("{done}: it succeeded"),
            Err(error) => self.add(done, &error),
        }
    }

    /// Compares the errors with the golden file, or writes it.
    pub fn check(self) {
        let name = format!("tests/messages/golden/native-{}.txt", self.area);
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(&name);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &self.text).unwrap();
        }
        let expected = fs::read_to_string(&path).unwrap_or_default();
        for (now, then) in self.text.split("\n\n").zip(expected.split("\n\n")) {
            assert_eq!(now, then, "{name}; UPDATE_GOLDEN=1 rewrites it");
        }
        assert_eq!(self.text.len(), expected.len(), "{name} has other entries; UPDATE_GOLDEN=1 rewrites it");
    }
}

/// Returns the keys of an object's details, nested ones after their name: `at, holder { id, url }`.
fn keys(facts: &Value) -> String {
    let Value::Object(facts) = facts else { return String::new() };
    let named = facts.iter().map(|(name, fact)| match keys(fact) {
        inner if inner.is_empty() => name.clone(),
        inner => format!("{name} {{ {inner} }}"),
    });
    named.collect::<Vec<_>>().join(", ")
}

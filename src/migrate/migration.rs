//! The migrations that the app supplies: checked once, in order, with their checksums.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::version;
use crate::{
    error::{Error, ErrorCode, Result},
    sqlite::mentions,
};

/// The direction in which a migration runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(ts_rs::TS))]
pub enum MigrationDirection {
    /// Forward: `up`.
    Up,
    /// Back: `down`.
    Down,
}

impl MigrationDirection {
    /// Returns `up` or `down`.
    pub const fn as_str(self) -> &'static str {
        match self {
            MigrationDirection::Up => "up",
            MigrationDirection::Down => "down",
        }
    }
}

/// The content of a migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// An SQL script.
    Sql(String),
    /// A function of the app, which only the app can call.
    Code,
}

/// One migration as the app wrote it, unchecked. A function stays in JavaScript: only its existence is passed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MigrationSource {
    /// Its version; see [`version::compare`] for the order.
    pub version: String,
    /// A description for people.
    pub name: String,
    /// The script.
    pub up: Option<String>,
    /// The script that undoes it.
    pub down: Option<String>,
    /// Replaces the computed checksum of `up`.
    pub checksum: Option<String>,
    /// `false`: the script manages its transactions itself, or must run outside one (VACUUM). Default `true`.
    pub transaction: Option<bool>,
    /// `up` is a function.
    pub up_is_function: bool,
    /// `down` is a function.
    pub down_is_function: bool,
}

/// One checked migration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    /// Its version, which orders it among the others.
    pub version: String,
    /// A description for people.
    pub name: String,
    /// The body of `up`.
    pub up: Body,
    /// The body of `down`, if any.
    pub down: Option<Body>,
    /// SHA-256 of the script `up` with line ends made `\n`, as 64 hex digits; or the checksum that the app supplied.
    ///
    /// All functions without a checksum share one: their text changes with each build (minifiers rename), so a real
    /// checksum would refuse good data. Only the change from a script to a function, or back, is noticed.
    pub checksum: String,
    /// Whether it runs in one transaction with its tracking row.
    pub transaction: bool,
}

impl Migration {
    /// Returns the body of that direction.
    pub fn body(&self, direction: MigrationDirection) -> Option<&Body> {
        match direction {
            MigrationDirection::Up => Some(&self.up),
            MigrationDirection::Down => self.down.as_ref(),
        }
    }

    fn check(source: MigrationSource) -> Result<Self> {
        let MigrationSource { version, name, up, down, checksum, transaction, up_is_function, down_is_function } =
            source;
        let invalid = |what: &str, hint: &str| {
            let error = Error::new(ErrorCode::MigrationInvalid, format!("Migration \"{version}\" ({name}) {what}"));
            Err(error.hint(hint).detail("version", version.as_str()))
        };
        let body = |sql: Option<String>, is_function: bool| match sql {
            _ if is_function => Some(Body::Code),
            Some(sql) if !sql.trim().is_empty() => Some(Body::Sql(sql)),
            _ => None,
        };
        if !version::has_digits(&version) {
            return invalid("has a version without digits", "Versions are ordered by their digits, such as '0001'");
        }
        if name.trim().is_empty() {
            return invalid("has no name", "Describe in a few words what it does");
        }
        let Some(up) = body(up, up_is_function) else {
            return invalid("has an empty `up`", "Supply a script or a function");
        };
        let checksum = match checksum {
            Some(checksum) if checksum.trim().is_empty() => {
                return invalid("has an empty `checksum`", "Leave it out: it is computed");
            }
            Some(checksum) => checksum,
            None => match &up {
                Body::Sql(sql) => sha256_of_lines(sql),
                Body::Code => sha256_of_lines("function"),
            },
        };
        let down = body(down, down_is_function);
        Ok(Self { version, name, up, down, checksum, transaction: transaction.unwrap_or(true) })
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.version, self.name)
    }
}

/// All migrations of an app, in order, each version once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SuppliedMigrations(Vec<Migration>);

impl SuppliedMigrations {
    /// Checks and sorts the supplied migrations.
    ///
    /// Fails with `migration_invalid` (with `details.version`) for a version without digits, for an empty name, `up` or
    /// `checksum`, and for two migrations of the same version.
    pub fn new(sources: Vec<MigrationSource>) -> Result<Self> {
        let mut all = sources.into_iter().map(Migration::check).collect::<Result<Vec<_>>>()?;
        all.sort_unstable_by(|a, b| version::compare(&a.version, &b.version));
        if let Some(pair) = all.windows(2).find(|pair| version::same(&pair[0].version, &pair[1].version)) {
            let message = format!("Migrations {} and {} have the same version", pair[0], pair[1]);
            return Err(Error::new(ErrorCode::MigrationInvalid, message)
                .hint("Versions are compared by their runs of digits, as numbers: give one of them a new number")
                .detail("version", pair[1].version.as_str()));
        }
        Ok(Self(all))
    }

    /// Iterates over the migrations in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Migration> {
        self.0.iter()
    }

    /// Returns the migration of that version.
    pub fn find(&self, version: &str) -> Option<&Migration> {
        self.0.binary_search_by(|known| version::compare(&known.version, version)).ok().map(|at| &self.0[at])
    }

    /// Returns whether the SQL of a migration contains this word, in any case.
    pub fn mentions(&self, word: &str) -> bool {
        let has_it = |body: &Body| matches!(body, Body::Sql(sql) if mentions(sql, word));
        self.0.iter().any(|migration| has_it(&migration.up) || migration.down.as_ref().is_some_and(has_it))
    }

    /// Returns the newest migration.
    pub fn newest(&self) -> Option<&Migration> {
        self.0.last()
    }
}

/// Returns the SHA-256 in hex of a text whose line ends are made `\n`, so that a checkout on Windows has the same
/// checksum.
fn sha256_of_lines(text: &str) -> String {
    let (mut lines, mut last) = (Vec::with_capacity(text.len()), 0);
    for byte in text.bytes() {
        if (last, byte) != (b'\r', b'\n') {
            lines.push(if byte == b'\r' { b'\n' } else { byte });
        }
        last = byte;
    }
    let hash = Sha256::digest(lines);
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap_or_default();
    hash.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

#[cfg(test)]
mod tests {
    use super::{Body, MigrationDirection, MigrationSource, SuppliedMigrations, sha256_of_lines};
    use crate::error::{Detail, ErrorCode};

    fn source(version: &str, up: &str) -> MigrationSource {
        MigrationSource {
            version: version.into(),
            name: "name".into(),
            up: Some(up.into()),
            ..MigrationSource::default()
        }
    }

    #[test]
    fn sorts_by_number() {
        let all = SuppliedMigrations::new(vec![source("10", "c"), source("2", "b"), source("001", "a")]).unwrap();
        assert_eq!(all.iter().map(|migration| migration.version.as_str()).collect::<Vec<_>>(), ["001", "2", "10"]);
        assert_eq!(all.find("1").map(|migration| migration.version.as_str()), Some("001"));
        assert_eq!(all.newest().map(|migration| migration.version.as_str()), Some("10"));
    }

    #[test]
    fn malformed_migrations_are_refused_by_version() {
        let named = |version: &str, name: &str, up: Option<&str>| MigrationSource {
            version: version.into(),
            name: name.into(),
            up: up.map(Into::into),
            ..MigrationSource::default()
        };
        for (bad, version) in [
            (vec![source("", "a")], ""),
            (vec![source("first", "a")], "first"),
            (vec![named("1", " ", Some("a"))], "1"),
            (vec![source("1", " \n")], "1"),
            (vec![named("1", "a", None)], "1"),
            (vec![MigrationSource { checksum: Some(String::new()), ..source("1", "a") }], "1"),
            (vec![source("1", "a"), source("2", "b"), source("0001", "c")], "0001"),
        ] {
            let error = SuppliedMigrations::new(bad).unwrap_err();
            assert_eq!(error.code, ErrorCode::MigrationInvalid, "{error}");
            assert_eq!(error.details["version"], Detail::Text(version.into()), "{error}");
            assert!(error.hint.is_some(), "{error}");
        }
    }

    #[test]
    fn line_ends_do_not_change_the_checksum() {
        // printf 'a\nb\n' | sha256sum
        let expected = "911169ddaaf146aff539f58c26c489af3b892dff0fe283c1c264c65ae5aa59a2";
        let sums: Vec<_> = ["a\nb\n", "a\r\nb\r\n", "a\rb\r"].iter().map(|text| sha256_of_lines(text)).collect();
        assert_eq!(sums, [expected; 3]);
        assert_ne!(sha256_of_lines("a\nb"), expected);
        for (text, same) in [("a\r\n\nb", "a\n\nb"), ("\r\r\n\r", "\n\n\n"), ("a\n\r\n\r", "a\n\n\n")] {
            assert_eq!(sha256_of_lines(text), sha256_of_lines(same));
        }
    }

    #[test]
    fn a_given_checksum_stands() {
        let all = SuppliedMigrations::new(vec![MigrationSource { checksum: Some("abc".into()), ..source("1", "a") }])
            .unwrap();
        assert_eq!(all.find("1").unwrap().checksum, "abc");
    }

    #[test]
    fn functions_are_recorded_without_their_text() {
        let code = MigrationSource { up: None, up_is_function: true, down_is_function: true, ..source("1", "") };
        let all = SuppliedMigrations::new(vec![code]).unwrap();
        let migration = all.find("1").unwrap();
        assert_eq!(migration.body(MigrationDirection::Up), Some(&Body::Code));
        assert_eq!(migration.body(MigrationDirection::Down), Some(&Body::Code));
        assert_eq!(migration.checksum.len(), 64);
    }
}

//! The `remote` option: what the user wrote, its defaults, and what is refused.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};

use super::{credentials, types::Kind};
use crate::{
    collections::{Map, Set},
    error::{Error, Result},
    sqlite::is_reserved,
};

/// Which way a table's changes go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Both ways.
    #[default]
    Both,
    /// From the remote only: local changes are not captured.
    Pull,
    /// To the remote only: never read.
    Push,
}

/// What happens to a row that changed on both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conflict {
    /// The columns changed locally stay, the others come from the remote.
    #[default]
    KeepLocal,
    /// The remote's row replaces the local change.
    RemoteWins,
    /// The side that wrote last replaces the other; told by the cursor.
    LastWriteWins,
    /// A function of the user decides.
    Function,
}

/// One column name or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

// By hand: `untagged` would bring along a copy of every kind of value that there is.
impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct OneOrMany;

        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name or a list of names")
            }

            fn visit_str<E>(self, name: &str) -> std::result::Result<Names, E> {
                Ok(Names::One(name.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some(name) = list.next_element()? {
                    names.push(name);
                }
                Ok(Names::Many(names))
            }
        }

        deserializer.deserialize_any(OneOrMany)
    }
}

impl Names {
    /// As a list.
    pub fn into_vec(self) -> Vec<String> {
        match self {
            Names::One(name) => vec![name],
            Names::Many(names) => names,
        }
    }
}

/// One synced table, as the user wrote it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TableSync {
    /// The local table.
    pub table: String,
    /// The remote table, where its name differs.
    #[serde(default)]
    pub remote_table: Option<String>,
    /// The key's columns; by default those of the local primary key.
    #[serde(default)]
    pub primary_key: Option<Names>,
    /// The synced columns; by default those that both sides have.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// Kinds by column name, where the declared type doesn't tell.
    #[serde(default)]
    pub types: Map<String, String>,
    /// PostgREST filters by column name, `eq.open`.
    #[serde(default)]
    pub filter: Map<String, String>,
    /// A column that grows with each change; none: each pull reads everything.
    #[serde(default)]
    pub cursor: Option<String>,
    /// How far before the server's time of the pull before a pull starts, in milliseconds.
    #[serde(default = "overlap_ms")]
    pub overlap_ms: u64,
    /// A soft-delete column, or `compare`.
    #[serde(default)]
    pub deleted: Option<String>,
    /// What happens to a row that changed on both sides; `None`: what is usual, see [`TableSync::conflict`].
    #[serde(default)]
    pub conflict: Option<Conflict>,
    /// Which way changes go.
    #[serde(default)]
    pub direction: Direction,
}

impl TableSync {
    /// The remote table's name.
    pub fn remote(&self) -> &str {
        self.remote_table.as_deref().unwrap_or(&self.table)
    }

    /// What happens to a row that changed on both sides.
    pub fn conflict(&self) -> Conflict {
        self.conflict.unwrap_or_default()
    }

    /// Whether vanished rows are found by comparing keys: also those that don't match the filter any more, which no cursor tells.
    pub fn compares(&self) -> bool {
        self.deleted.as_deref() == Some("compare") || !self.filter.is_empty()
    }

    /// The column that marks a deleted row.
    pub fn soft_delete(&self) -> Option<&str> {
        self.deleted.as_deref().filter(|column| *column != "compare")
    }
}

/// The `remote` option as the user wrote it, functions replaced by flags.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RemoteOptions {
    /// The Supabase project's URL or a PostgREST root.
    pub url: String,
    /// The publishable (anon) key.
    pub key: String,
    /// Whose data it is; by default the token's `sub`.
    #[serde(default)]
    pub user_id: Option<String>,
    /// The remote schema.
    #[serde(default = "schema")]
    pub schema: String,
    /// The synced tables.
    pub tables: Vec<TableSync>,
    /// Rows asked for at once; the server may cap it.
    #[serde(default = "page_size")]
    pub page_size: u32,
    /// Further request headers.
    #[serde(default)]
    pub headers: Map<String, String>,
    /// How often a failed request is sent again.
    #[serde(default = "retries")]
    pub retries: u32,
    /// Milliseconds after which a request is given up.
    #[serde(default = "timeout_ms")]
    pub timeout_ms: u64,
    /// A larger answer is not read, in bytes.
    #[serde(default = "max_response_bytes")]
    pub max_response_bytes: u64,
    /// The part of a table's rows that may vanish by absence.
    #[serde(default = "max_delete_ratio")]
    pub max_delete_ratio: f64,
    /// Whether the remote is to tell of changes while the database keeps in step (Supabase Realtime).
    #[serde(default)]
    pub realtime: bool,
    /// Whether an `accessToken` function was given.
    #[serde(default)]
    pub has_access_token: bool,
    /// Whether this is a place where a secret key may be, which a page is not.
    #[serde(default)]
    pub secrets_allowed: bool,
}

fn overlap_ms() -> u64 {
    60_000
}
fn schema() -> String {
    "public".to_owned()
}
fn page_size() -> u32 {
    1000
}
fn retries() -> u32 {
    5
}
fn timeout_ms() -> u64 {
    30_000
}
fn max_response_bytes() -> u64 {
    64 * 1024 * 1024
}
fn max_delete_ratio() -> f64 {
    0.5
}

/// The checked `remote` option.
#[derive(Clone, Debug)]
pub struct Config {
    /// As written, with its defaults.
    pub options: RemoteOptions,
    /// Where tables are found: no slash at its end.
    pub root: String,
    /// Where they are found if `root` turns out to be no PostgREST.
    pub other_root: Option<String>,
}

impl Config {
    /// Checks the option. Fails with `invalid_argument`.
    pub fn new(options: RemoteOptions) -> Result<Self> {
        credentials::check_options(&options)?;
        if options.tables.is_empty() {
            return Err(Error::invalid("remote.tables names no table").hint("Name those to sync: tables: ['orders']"));
        }
        if options.page_size == 0 {
            return Err(Error::invalid("remote.pageSize must be at least 1").hint("Leave it out for 1000"));
        }
        if options.timeout_ms == 0 {
            return Err(Error::invalid("remote.timeoutMs must be at least 1").hint("Leave it out for 30000"));
        }
        if options.max_response_bytes == 0 {
            return Err(
                Error::invalid("remote.maxResponseBytes must be at least 1").hint("Leave it out for 67108864 (64 MiB)")
            );
        }
        if !(0.0..=1.0).contains(&options.max_delete_ratio) {
            return Err(Error::invalid("remote.maxDeleteRatio must be between 0 and 1").hint("Leave it out for 0.5"));
        }
        let mut names = Set::new();
        for table in &options.tables {
            check_table(table)?;
            if !names.insert(table.table.to_ascii_lowercase()) {
                return Err(Error::invalid(format!("remote.tables names {} twice", table.table))
                    .hint("SQLite knows no upper and lower case in names: leave one of them out"));
            }
        }
        let (root, other_root) = roots(&options.url)?;
        Ok(Self { options, root, other_root })
    }

    /// The same for calls that are about no table yet.
    pub fn without_tables(options: RemoteOptions) -> Result<Self> {
        credentials::check_options(&options)?;
        let (root, other_root) = roots(&options.url)?;
        Ok(Self { options, root, other_root })
    }

    /// What happens to rows that changed on both sides, in tables that don't say it themselves.
    pub fn prefer(&mut self, conflict: Conflict) {
        for table in &mut self.options.tables {
            table.conflict.get_or_insert(conflict);
        }
    }

    /// The options of a table, whatever the case of its name.
    pub fn table(&self, name: &str) -> Option<&TableSync> {
        self.options.tables.iter().find(|table| table.table.eq_ignore_ascii_case(name))
    }
}

fn check_table(table: &TableSync) -> Result<()> {
    let name = &table.table;
    if name.is_empty() || table.remote().is_empty() {
        return Err(
            Error::invalid("remote.tables has a table without a name").hint("Give its name: { table: 'orders' }")
        );
    }
    if is_reserved(name) {
        return Err(
            Error::invalid(format!("remote.tables: {name} is an internal table")).hint("Sync tables of your own")
        );
    }
    if table.conflict == Some(Conflict::LastWriteWins) && table.cursor.is_none() {
        return Err(Error::invalid(format!("remote.tables: {name} has conflict 'last-write-wins' and no cursor"))
            .hint("Name the column that tells when a row was written, as cursor: 'updated_at'"));
    }
    if table.columns.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::invalid(format!("remote.tables: {name} has an empty list of columns"))
            .hint("Leave `columns` out for those that both sides have"));
    }
    for (column, kind) in &table.types {
        if Kind::from_name(kind).is_none() {
            return Err(Error::invalid(format!("remote.tables: {name}.{column} has the unknown type {kind}"))
                .hint("Types are text, int8, numeric, float8, bool, json, bytea, array and timestamptz"));
        }
    }
    Ok(())
}

/// The root of a URL, and a second one to try.
///
/// A URL with a path is a PostgREST root as it stands. One without is either a Supabase project, whose tables are under
/// `/rest/v1`, or a bare PostgREST: the first is tried, and the second taken when the first says that there is no such path.
fn roots(url: &str) -> Result<(String, Option<String>)> {
    let malformed = || Error::invalid("remote.url is no http(s) URL").hint("Use https://<project>.supabase.co");
    let trimmed = url.trim().trim_end_matches('/');
    let scheme = ["https://", "http://"]
        .into_iter()
        .find(|scheme| trimmed.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    let rest = &trimmed[scheme.ok_or_else(malformed)?.len()..];
    let host = rest.split('/').next().unwrap_or("");
    if host.is_empty() || trimmed.contains(['?', '#']) || trimmed.bytes().any(|byte| byte <= b' ') {
        return Err(malformed());
    }
    if host.contains('@') {
        return Err(Error::invalid("remote.url must not hold a user or password")
            .hint("The key goes into remote.key, a token comes from accessToken"));
    }
    if rest.contains('/') {
        return Ok((trimmed.to_owned(), None));
    }
    Ok((format!("{trimmed}/rest/v1"), Some(trimmed.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    fn config(json: &str) -> Result<Config> {
        Config::new(serde_json::from_str(json).expect("the options parse"))
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let config = config(r#"{"url":"https://x.supabase.co/","key":"k","tables":[{"table":"t"}]}"#).unwrap();
        let options = &config.options;
        assert_eq!(
            (config.root.as_str(), config.other_root.as_deref()),
            ("https://x.supabase.co/rest/v1", Some("https://x.supabase.co"))
        );
        assert_eq!((options.schema.as_str(), options.page_size, options.retries), ("public", 1000, 5));
        assert_eq!((options.timeout_ms, options.max_delete_ratio), (30_000, 0.5));
        assert_eq!(options.max_response_bytes, 67_108_864);
        let table = &options.tables[0];
        assert_eq!(
            (table.overlap_ms, table.conflict(), table.direction),
            (60_000, Conflict::KeepLocal, Direction::Both)
        );
        assert_eq!(table.remote(), "t");
    }

    #[test]
    fn what_is_preferred_is_for_tables_that_say_nothing() {
        let tables = r#"[{"table":"a"},{"table":"b","conflict":"keep-local"}]"#;
        let mut config =
            config(&format!(r#"{{"url":"https://x.co","key":"k","realtime":true,"tables":{tables}}}"#)).unwrap();
        let of = |config: &Config, table| config.table(table).unwrap().conflict();
        assert_eq!(of(&config, "a"), Conflict::KeepLocal);
        config.prefer(Conflict::RemoteWins);
        assert_eq!((of(&config, "A"), of(&config, "b")), (Conflict::RemoteWins, Conflict::KeepLocal));
    }

    #[test]
    fn a_url_with_a_path_is_a_root_as_it_stands() {
        assert_eq!(
            roots("http://127.0.0.1:3000/rest/v1/").unwrap(),
            ("http://127.0.0.1:3000/rest/v1".to_owned(), None)
        );
        assert_eq!(roots("HTTPS://api.example.com/pg").unwrap(), ("HTTPS://api.example.com/pg".to_owned(), None));
        for url in ["", "x.supabase.co", "ftp://x", "https://", "https://x/?a=1", "https://a b", "https://u:p@x"] {
            assert!(roots(url).is_err_and(|error| error.is(ErrorCode::InvalidArgument)), "{url}");
        }
    }

    #[test]
    fn what_is_refused() {
        let base = |rest: &str| config(&format!(r#"{{"url":"https://x.supabase.co","key":"k",{rest}}}"#));
        for rest in [
            r#""tables":[]"#,
            r#""tables":[{"table":"t"},{"table":"T"}]"#,
            r#""tables":[{"table":""}]"#,
            r#""tables":[{"table":"tidelock_outbox"}]"#,
            r#""tables":[{"table":"t","types":{"a":"int4"}}]"#,
            r#""tables":[{"table":"t","columns":[]}]"#,
            r#""tables":[{"table":"t","conflict":"last-write-wins"}]"#,
            r#""pageSize":0,"tables":[{"table":"t"}]"#,
            r#""maxDeleteRatio":1.5,"tables":[{"table":"t"}]"#,
        ] {
            assert!(base(rest).is_err_and(|error| error.is(ErrorCode::InvalidArgument)), "{rest}");
        }
    }
}

//! The checked `remote` option: the user's values, the defaults, and the rules that refuse values.

use super::{
    credentials,
    options::{ConflictPolicy, RemoteOptions, TableSync},
};
use crate::{
    collections::Set,
    error::{Error, Result},
    sqlite::is_reserved,
    sync::values::{json, types::WireKind},
};

/// The checked `remote` option.
#[derive(Clone, Debug)]
pub struct Config {
    /// The user's options with their defaults.
    pub options: RemoteOptions,
    /// The root URL of the tables; no slash at its end.
    pub root: String,
    /// The root URL to use when `root` turns out not to be a PostgREST.
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
                    .hint("SQLite ignores the case of names: remove one of them"));
            }
        }
        let (root, other_root) = roots(&options.url)?;
        Ok(Self { options, root, other_root })
    }

    /// Returns where the rows of a table come from: the URL, the schema and the table, as JSON.
    pub fn source(&self, table: &TableSync) -> String {
        json::string_array([&*self.root, &*self.options.schema, table.remote()])
    }

    /// Checks the option for calls that need no tables. Fails with `invalid_argument`.
    pub fn without_tables(options: RemoteOptions) -> Result<Self> {
        credentials::check_options(&options)?;
        let (root, other_root) = roots(&options.url)?;
        Ok(Self { options, root, other_root })
    }

    /// Sets how conflicts are resolved in tables that don't set it themselves.
    pub fn prefer(&mut self, conflict: ConflictPolicy) {
        for table in &mut self.options.tables {
            table.conflict.get_or_insert(conflict);
        }
    }

    /// Returns the options of a table, ignoring case.
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
    if [".", ".."].contains(&table.remote()) {
        return Err(Error::invalid(format!(
            "remote.tables: no request can reach a remote table named {}",
            table.remote()
        ))
        .hint("It would be a step in the path of the URL: rename the table"));
    }
    if is_reserved(name) {
        return Err(
            Error::invalid(format!("remote.tables: {name} is an internal table")).hint("Sync tables of your own")
        );
    }
    if table.conflict == Some(ConflictPolicy::LastWriteWins) && table.cursor.is_none() {
        return Err(Error::invalid(format!("remote.tables: {name} has conflict 'last-write-wins' and no cursor"))
            .hint("Name the column that has the time of each write, as cursor: 'updated_at'"));
    }
    if table.columns.as_ref().is_some_and(Vec::is_empty) {
        return Err(Error::invalid(format!("remote.tables: {name} has an empty list of columns"))
            .hint("Leave `columns` out for those that both sides have"));
    }
    check_filter(table)?;
    for (column, kind) in &table.types {
        if WireKind::from_name(kind).is_none() {
            return Err(Error::invalid(format!("remote.tables: {name}.{column} has the unknown type {kind}"))
                .hint("Types are text, int8, numeric, float8, bool, json, bytea, array and timestamptz"));
        }
    }
    Ok(())
}

/// Checks that each filter of a table has an operator. Fails with `invalid_argument`. A remote would refuse it with words about its
/// grammar, and a filter such as `limit: '10'` with words about a column.
pub fn check_filter(table: &TableSync) -> Result<()> {
    for (column, filter) in &table.filter {
        let condition = filter.strip_prefix("not.").unwrap_or(filter);
        let operator = condition.find(['.', '(']).map_or("", |end| &condition[..end]);
        let is_combined = condition.starts_with('(');
        if !is_combined && (operator.is_empty() || !operator.bytes().all(|byte| byte.is_ascii_lowercase())) {
            let text = format!("remote.tables: the filter {column} of {} has no operator", table.table);
            return Err(Error::invalid(text)
                .hint("Filters are PostgREST's, by column: { status: 'eq.open' }. The number of rows can't be limited")
                .detail("table", table.table.as_str())
                .detail("column", column.as_str()));
        }
    }
    Ok(())
}

/// Returns the root of a URL, and a second root to try.
///
/// A URL with a path is a PostgREST root as it is. A URL without a path is either a Supabase project, whose tables are
/// under `/rest/v1`, or a bare PostgREST: the first is tried, and the second is used when the first answers that there
/// is no such path.
fn roots(url: &str) -> Result<(String, Option<String>)> {
    let malformed = || Error::invalid("remote.url is not an http(s) URL").hint("Use https://<project>.supabase.co");
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
    use crate::{error::ErrorCode, sync::config::options::SyncDirection};

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
            (60_000, ConflictPolicy::KeepLocal, SyncDirection::Both)
        );
        assert_eq!(table.remote(), "t");
    }

    #[test]
    fn the_preferred_resolution_is_for_tables_without_their_own() {
        let tables = r#"[{"table":"a"},{"table":"b","conflict":"keep-local"}]"#;
        let mut config =
            config(&format!(r#"{{"url":"https://x.co","key":"k","realtime":true,"tables":{tables}}}"#)).unwrap();
        let of = |config: &Config, table| config.table(table).unwrap().conflict();
        assert_eq!(of(&config, "a"), ConflictPolicy::KeepLocal);
        config.prefer(ConflictPolicy::RemoteWins);
        assert_eq!((of(&config, "A"), of(&config, "b")), (ConflictPolicy::RemoteWins, ConflictPolicy::KeepLocal));
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
    fn filters_have_postgrests_operators() {
        for filter in
            ["eq.5", "not.in.(1,2)", "is.null", "like(any).{a*,b*}", "not.fts(english).tide", "(a.eq.1,not.b.is.null)"]
        {
            let tables = format!(r#""tables":[{{"table":"t","filter":{{"limit":"{filter}"}}}}]"#);
            assert!(config(&format!(r#"{{"url":"https://x.supabase.co","key":"k",{tables}}}"#)).is_ok(), "{filter}");
        }
    }

    #[test]
    fn invalid_options_are_refused() {
        let base = |rest: &str| config(&format!(r#"{{"url":"https://x.supabase.co","key":"k",{rest}}}"#));
        for rest in [
            r#""tables":[]"#,
            r#""tables":[{"table":"t"},{"table":"T"}]"#,
            r#""tables":[{"table":""}]"#,
            r#""tables":[{"table":"tidelock_outbox"}]"#,
            r#""tables":[{"table":"t","types":{"a":"int4"}}]"#,
            r#""tables":[{"table":"t","columns":[]}]"#,
            r#""tables":[{"table":"t","filter":{"limit":"10"}}]"#,
            r#""tables":[{"table":"t","filter":{"a":"Open.x"}}]"#,
            r#""tables":[{"table":"t","filter":{"a":"not.5"}}]"#,
            r#""tables":[{"table":"t","conflict":"last-write-wins"}]"#,
            r#""pageSize":0,"tables":[{"table":"t"}]"#,
            r#""maxDeleteRatio":1.5,"tables":[{"table":"t"}]"#,
        ] {
            assert!(base(rest).is_err_and(|error| error.is(ErrorCode::InvalidArgument)), "{rest}");
        }
    }
}
